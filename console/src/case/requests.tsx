// What departments ask for and nobody has answered yet: more time, or a hold. Shown above the tasks, with the answers I may give.
import { instant, limitText } from "../format";
import { capOf } from "../keys";
import { departmentName, now } from "../store";
import { t, tn } from "../text";
import type { Case, Task, TaskRequest } from "../types";
import { panel } from "../ui";
import { Block } from "./parts";

const ANSWERS = ["grant_extension", "deny_extension", "grant_suspension", "deny_suspension"];

/** 延期 2 工时, or 挂账 挂至 12-05. */
export function requestText(request: TaskRequest): string {
	if (request.kind === "extension") return t("request.extension", { by: request.by ? limitText(request.by) : t("none") });
	return t("request.suspension", { until: request.until ? instant(Date.parse(request.until), now.peek()) : t("none") });
}

export function RequestLine({ task }: { task: Task }) {
	const request = task.request;
	if (!request) return null;
	return (
		<p class="asked">
			<b>{requestText(request)}</b> {departmentName(task.department)}
			<span class="sec"> {[request.reason && tn("reason", request.reason), request.actor, request.at && instant(Date.parse(request.at), now.peek())]
				.filter(Boolean).join(" · ")}</span>
		</p>
	);
}

export function Requests({ c }: { c: Case }) {
	const asking = (c.tasks ?? []).filter((task) => task.request);
	if (asking.length === 0) return null;
	return (
		<Block title={t("requests")} sub={t("requests.count", { n: asking.length })} id="requests">
			{asking.map((task) => {
				const answers = ANSWERS.filter((action) => task.allowed_actions?.includes(action));
				return (
					<div class="request" key={task.task_id} data-testid="request" data-kind={task.request?.kind}>
						<RequestLine task={task} />
						<div class="answers">
							{answers.map((action) => (
								<button class="btn" data-testid={`answer-${action}`} onClick={() => (panel.value = { action, taskId: task.task_id })}>
									{tn("act", action)}<span class="k">{capOf(action)}</span></button>
							))}
							{answers.length === 0 && <span class="mut">{t("requests.waits")}</span>}
						</div>
					</div>
				);
			})}
		</Block>
	);
}
