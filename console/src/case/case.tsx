// One case, top to bottom: number, title, place, six steps, clocks, what may be done, and what it rests on.
import { dateOnly, distance, instant, metres, tail, timeOfDay, gridTail } from "../format";
import { Glyph } from "../glyph";
import { flagsOf, isUrgent, placeOf, shapeOf, typeName } from "../queue/row";
import { useResource } from "../resource";
import {
	allCases, type CaseSignal, caseById, changes, departmentName, gone, isDepartment, leftOf, now, ownTask, refresh, select, selected, selectedChanged,
	streetName, waitsOn,
} from "../store";
import { isTerminal } from "../clock";
import { t, type TextKey, tn } from "../text";
import type { Case, DeadlineClock, LogRow, Task } from "../types";
import { contactOpen, panel } from "../ui";
import { allowed } from "../act";
import { ActionBar } from "./actions";
import { Clocks } from "./clocks";
import { Contact } from "./contact";
import { Deadline } from "./deadline";
import { EvidenceBlock } from "./evidence";
import { ActionPanel } from "./panel";
import { Block } from "./parts";
import { Requests } from "./requests";
import { picturesOf, Timeline } from "./timeline";

const NEARBY_M = 300;
const STEPS: readonly TextKey[] = ["step.found", "step.file", "step.dispatch", "step.handle", "step.check", "step.close"];
/** The step a state is at: 0 found … 5 close. */
const STEP_OF: Record<string, number> = {
	new: 0, verifying: 0, to_file: 1, to_dispatch: 2, assigned: 3, handling: 3, review: 4, checking: 4, to_close: 5,
	refused: 0, not_filed: 1,
};

function Steps({ c }: { c: Case }) {
	const ended = isTerminal(c);
	const at = c.state === "closed" ? 6 : (STEP_OF[c.state] ?? 0);
	const times = [c.reported_at, c.filed_at, c.dispatched_at, c.done_at, null, c.closed_at];
	return (
		<ol class="steps">
			{STEPS.map((key, i) => {
				const when = times[i];
				const done = i < at || (i === 0 && at > 0) ? "done" : "";
				return (
					<li class={i === at && !ended ? "now" : done} aria-current={i === at && !ended ? "step" : undefined}>
						{t(key)}{when && i <= at && <span>{sameDay(Date.parse(when)) ? timeOfDay(Date.parse(when)) : instant(Date.parse(when), now.peek(), { brief: true }).split("\u00a0")[0]}</span>}
					</li>
				);
			})}
		</ol>
	);
}

const sameDay = (at: number) => now.peek() - at < 20 * 3_600_000;

function Head({ known }: { known: CaseSignal }) {
	const c = known.value.case;
	const left = leftOf(known.value, now.peek());
	const place = placeOf(c);
	return (
		<header class="chead">
			<div class="no">
				<span data-testid="case-no">{c.case_no}</span><span>{tn("origin", c.origin)}</span>
				<span class="r">
					{isUrgent(c) && <span class="urg">{t("urgent")}</span>}
					{flagsOf(c, left, now.peek()).map((flag) => <span class={`fl${flag.hot ? " hot" : ""}`}>{flag.text}</span>)}
					<b class="state" data-testid="case-state" data-state={c.state}>{tn("state", c.state)}</b>
				</span>
			</div>
			<h1 title={`${typeName(c)} · ${place}`}>{typeName(c)}{place && place !== typeName(c) ? ` · ${place}` : ""}</h1>
			<div class="meta el">
				{[
					c.type_code,
					[streetName(c), c.grid_cell ? t("case.grid", { g: gridTail(c.grid_cell) }) : ""].filter(Boolean).join(" "),
					tn("domain", c.domain),
					c.condition ? t("case.condition", { n: c.condition }) : "",
				].filter(Boolean).map((part, i) => <>{i > 0 && <i>/</i>}{part}</>)}
			</div>
			<Steps c={c} />
		</header>
	);
}

/** Steps of one task that the bar above does not already offer for another. */
function Tasks({ c, tasks }: { c: Case; tasks: Task[] }) {
	const at = now.peek();
	const inBar = allowed(c);
	const own = (task: Task) => (task.allowed_actions ?? []).filter((action) => action !== "comment" && !/^(grant|deny)_/.test(action)
		&& !inBar.some((target) => target.action === action && (!target.taskId || target.taskId === task.task_id)));
	return (
		<Block title={t("tasks")} sub={t("tasks.count", { n: tasks.length })}>
			<table class="tasks">
				<tbody>
					{tasks.map((task) => (
						<tr key={task.task_id} data-testid="task" data-task-id={task.task_id} data-department={task.department} data-state={task.state}>
							<td class="el">{departmentName(task.department)}</td>
							<td class={task.role === "lead" ? "ld" : "sec"}>{tn("role", task.role)}</td>
							<td class="el" title={task.result ?? ""}>{tn("task", task.state)}
								{task.suspended ? ` · ${task.suspended_until ? t("hold.until", { d: dateOnly(Date.parse(task.suspended_until), at) }) : t("level.hold")}` : ""}
								{(task.extensions ?? 0) > 0 && <span class="fl">{t("flag.extended", { n: task.extensions ?? 0 })}</span>}
								{task.result ? <span class="sec"> {task.result}</span> : ""}</td>
							<td>
								{own(task).map((action) => (
									<button class="btn g" data-testid={`task-${action}`} onClick={() => (panel.value = { action, taskId: task.task_id })}>
										{tn("act", action)}</button>
								))}
								{task.done_at ? t("task.done.at", { at: instant(Date.parse(task.done_at), at) })
									: task.due_at ? t("task.due", { at: instant(Date.parse(task.due_at), at) }) : ""}
							</td>
						</tr>
					))}
				</tbody>
			</table>
		</Block>
	);
}

/** Where this case went, or what came into it. */
function Merged({ c }: { c: Case }) {
	const into = c.merged_into;
	const children = c.merged ?? [];
	if (into) {
		return (
			<Block title={t("merged.into")} id="merged-into">
				<button class="link" onClick={() => select(into)}>{caseById(into)?.value.case.case_no ?? t("look")}</button>
			</Block>
		);
	}
	if (children.length === 0) return null;
	return (
		<Block title={t("merged")} sub={t("merged.count", { n: children.length, r: c.reporters ?? children.length + 1 })} id="merged">
			<div class="near">
				{children.map((child) => (
					<button key={child.case_id} data-case-id={child.case_id} onClick={() => select(child.case_id)}>
						<Glyph shape="stopped" size={12} /><span class="el">{child.title || t("case.notype")}</span>
						<span /><span>{child.reported_at ? instant(Date.parse(child.reported_at), now.peek(), { brief: true }) : ""}</span>
						<span>{tail(child.case_no)}</span>
					</button>
				))}
			</div>
		</Block>
	);
}

/** Open cases around this one, from what the queue already knows. */
export function nearbyOf(c: Case): { other: CaseSignal; metres: number }[] {
	if (c.lon == null || c.lat == null) return [];
	const found: { other: CaseSignal; metres: number }[] = [];
	for (const other of allCases()) {
		const o = other.peek().case;
		if (o.case_id === c.case_id || o.lon == null || o.lat == null || isTerminal(o)) continue;
		const far = distance(c.lon, c.lat, o.lon, o.lat);
		if (far <= NEARBY_M) found.push({ other, metres: far });
	}
	return found.sort((a, b) => a.metres - b.metres);
}

function Nearby({ known }: { known: CaseSignal }) {
	void changes.value;
	const near = nearbyOf(known.value.case);
	if (near.length === 0) return null;
	return (
		<Block title={t("nearby")} sub={t("nearby.count", { n: near.length })}>
			<div class="near">
				{near.slice(0, 4).map(({ other, metres: far }) => {
					const o = other.value.case;
					const left = leftOf(other.value, now.peek());
					return (
						<button key={o.case_id} onClick={() => select(o.case_id)}>
							<Glyph shape={shapeOf(o, left)} used={left.used} size={12} />
							<span class="el">{typeName(o)} <span class="sec">{placeOf(o)}</span></span>
							<span>{metres(far)}</span><span>{tn("state", o.state)}</span><span>{tail(o.case_no)}</span>
						</button>
					);
				})}
			</div>
		</Block>
	);
}

function DeadlineBlock({ id, c, deadline }: { id: string; c: Case; deadline: ReturnType<typeof useDeadline> }) {
	if (deadline.error && !deadline.data) {
		return (
			<Block title={t("deadline")}>
				<div class="partfail" role="alert"><b>{t("deadline.failed")}</b> {deadline.error.detail}
					<button class="btn g" onClick={deadline.retry}>{t("retry")}</button></div>
			</Block>
		);
	}
	return deadline.data ? <Deadline key={id} clocks={deadline.data.clocks} kind={waitsOn(c).clock?.kind} task={ownTask(c)?.task_id} /> : null;
}

const useDeadline = (id: string) =>
	useResource<{ clocks: DeadlineClock[] }>(`/cases/${encodeURIComponent(id)}/deadline`, selectedChanged.value);

function Open({ id, known }: { id: string; known: CaseSignal }) {
	const c = known.value.case;
	const deadline = useDeadline(id);
	const log = useResource<{ items: LogRow[] }>(`/cases/${encodeURIComponent(id)}/log`, selectedChanged.value);
	const tasks = (c.tasks?.length ?? 0) > 0 && <Tasks c={c} tasks={c.tasks ?? []} />;
	return (
		<>
			<Head known={known} />
			<div class="cbody">
				<Clocks known={known} deadline={deadline.data?.clocks ?? null} />
				<ActionBar known={known} />
				<div class="scroll">
					{contactOpen.value === id && <Contact id={id} />}
					<Requests c={c} />
					<Merged c={c} />
					{isDepartment.value && tasks}
					<EvidenceBlock id={id} c={c} more={picturesOf(log.data?.items ?? [])} />
					<DeadlineBlock id={id} c={c} deadline={deadline} />
					{!isDepartment.value && tasks}
					<Nearby known={known} />
					<Timeline log={log} />
				</div>
				{panel.value && <ActionPanel key={`${id}/${panel.value.action}/${panel.value.taskId ?? ""}`} known={known} target={panel.value} />}
			</div>
		</>
	);
}

export function CasePane() {
	const id = selected.value;
	const known = id ? caseById(id) : undefined;
	if (!known) void changes.value; // a case asked for by address arrives later
	void gone.value;
	return (
		<section class="case" aria-label={t("case")} tabIndex={-1} data-testid="case" data-case-id={id ?? ""}
			data-state={known?.value.case.state ?? ""} data-version={known?.value.case.version ?? ""}>
			{id && known && <Open key={id} id={id} known={known} />}
			{!id && <div class="blank">{t("case.pick")}</div>}
			{id && !known && gone.value.has(id) && (
				<div class="blank">{t("case.gone")} <button class="btn g" onClick={() => refresh(id)}>{t("retry")}</button></div>
			)}
		</section>
	);
}
