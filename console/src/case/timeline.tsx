// What happened, newest first, as the log has it. A hollow mark is the system, a solid one a person, a diamond a clock.
import { dateOnly, instant, limitText, timeOfDay } from "../format";
import { useResource } from "../resource";
import { departmentShort, now, selectedChanged } from "../store";
import { t, tn } from "../text";
import type { LogRow } from "../types";
import { Block, Waiting } from "./parts";

/** The parts of a log detail worth a word, in reading order. */
function detailText(row: LogRow): string {
	const detail = typeof row.detail === "string" ? parse(row.detail) : row.detail;
	if (!detail) return "";
	const said: string[] = [];
	const tasks = detail.tasks;
	if (Array.isArray(tasks)) {
		said.push(tasks.map((task: { department?: string; role?: string }) =>
			`${tn("role", task.role)} ${departmentShort(task.department)}`).join("、"));
	}
	if (typeof detail.department === "string") said.push(departmentShort(detail.department));
	if (detail.condition !== undefined && detail.condition !== null) said.push(t("case.condition", { n: String(detail.condition) }));
	for (const name of ["limit", "by"]) {
		const value = detail[name];
		if (typeof value === "string" && value) said.push(limitText(value));
	}
	if (typeof detail.reason === "string" && detail.reason) said.push(tn("reason", detail.reason));
	if (typeof detail.result === "string" && detail.result) said.push(tn("finding", detail.result));
	if (typeof detail.until === "string" && !Number.isNaN(Date.parse(detail.until))) {
		said.push(t("hold.until", { d: dateOnly(Date.parse(detail.until), now.peek()) }));
	}
	const level = detail.level ?? detail.escalation_level;
	if (row.action === "escalate" && level !== undefined && !row.note) said.push(`E${String(level)}`);
	return said.join(" ");
}

function parse(text: string): Record<string, unknown> | null {
	try {
		return JSON.parse(text) as Record<string, unknown>;
	} catch {
		return null;
	}
}

const isSystem = (row: LogRow) => !row.actor || row.actor_role === "system" || row.actor.toLowerCase() === "system";

function Entry({ row }: { row: LogRow }) {
	const at = Date.parse(row.at);
	const moved = row.to_state && row.to_state !== row.from_state;
	const mark = row.action === "escalate" ? "w" : isSystem(row) ? "" : "h";
	const long = now.peek() - at > 12 * 3_600_000;
	return (
		<div class="ent" data-testid="log" data-action={row.action} data-to={row.to_state ?? ""} data-seq={row.seq}>
			<div class="tm" title={instant(at, now.peek(), { seconds: true })}>{long ? instant(at, now.peek(), { brief: true }) : timeOfDay(at, true)}</div>
			<div class={`pt ${mark}`} />
			<div>
				{tn("act", row.action)}
				<span class="s"> {[detailText(row), row.note].filter(Boolean).join(" · ")}</span>
				{moved && <span class="to"> {t("timeline.to", { state: tn("state", row.to_state) === row.to_state ? tn("task", row.to_state) : tn("state", row.to_state) })}</span>}
			</div>
			<div class="x">{isSystem(row) ? t("role.system") : `${tn("role", row.actor_role)} ${row.actor}`}</div>
		</div>
	);
}

export function Timeline({ id }: { id: string }) {
	const log = useResource<{ items: LogRow[] }>(`/cases/${encodeURIComponent(id)}/log`, selectedChanged.value);
	const rows = log.data?.items.slice().sort((a, b) => b.seq - a.seq) ?? [];
	return (
		<Block title={t("timeline")} sub={log.data ? t("timeline.count", { n: rows.length }) : ""}>
			<Waiting of={log} failed="timeline.failed" />
			<div class="tl" data-testid="timeline">{rows.map((row) => <Entry key={row.seq} row={row} />)}</div>
		</Block>
	);
}
