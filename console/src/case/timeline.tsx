// What happened, newest first, as the log has it. A hollow mark is the system, a solid one a person, a diamond a clock.
import { dateOnly, instant, limitText, timeOfDay } from "../format";
import type { Resource } from "../resource";
import { departmentShort, now } from "../store";
import { t, tn, whoText } from "../text";
import { useEffect } from "preact/hooks";
import type { LogRow } from "../types";
import { replay } from "../ui";
import { Block, Waiting } from "./parts";
import { photoUrl, type Picture, Thumbs } from "./photos";

/** The parts of a log detail worth a word, in reading order. */
function detailText(row: LogRow): string {
	const detail = detailOf(row);
	if (!detail) return "";
	const said: string[] = [];
	const tasks = detail.tasks;
	if (Array.isArray(tasks)) {
		said.push(tasks.map((task: { department?: string; role?: string }) =>
			`${tn("role", task.role)} ${departmentShort(task.department)}`).join("、"));
	}
	if (row.action === "incident") {
		if (typeof detail.state === "string") said.push(tn("incident", detail.state));
		if (typeof detail.event_count === "number") said.push(t("incident.count", { n: detail.event_count }));
		if (detail.proposed === "void") said.push(t("incident.void"));
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

const detailOf = (row: LogRow) => (typeof row.detail === "string" ? parse(row.detail) : row.detail);

/** The pictures that came with the steps of a case. */
export function picturesOf(rows: readonly LogRow[]): Picture[] {
	return rows.flatMap((row) => {
		const hashes = detailOf(row)?.photos;
		if (!Array.isArray(hashes)) return [];
		const title = `${tn("act", row.action)} ${row.actor ?? ""} ${timeOfDay(Date.parse(row.at), true)}`;
		return hashes.filter((hash): hash is string => typeof hash === "string").map((hash) => ({ url: photoUrl(hash), title }));
	});
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
				<Thumbs pictures={picturesOf([row])} />
				{moved && <span class="to"> {t("timeline.to", { state: tn("state", row.to_state) === row.to_state ? tn("task", row.to_state) : tn("state", row.to_state) })}</span>}
			</div>
			<div class="x">{isSystem(row) ? t("role.system") : whoText(row.actor_role, row.actor)}</div>
		</div>
	);
}

const STEP_MS = 900;

/** Arrows step through what happened, the space bar plays it, Escape or `t` shows all of it again. */
function Replay({ total }: { total: number }) {
	const state = replay.value;
	useEffect(() => {
		if (!state?.playing) return;
		const timer = setTimeout(() => {
			const at = Math.min(state.at + 1, total);
			replay.value = { at, playing: at < total };
		}, STEP_MS);
		return () => clearTimeout(timer);
	}, [state]);
	if (state && state.at > total) replay.value = { ...state, at: total };
	if (!state) return <button class="link" disabled={total < 2} onClick={() => (replay.value = { at: 1, playing: false })}>{t("replay")} <span class="k">t</span></button>;
	return <span class="replaying" role="status" data-testid="replay">{t("replay.at", { i: state.at, n: total })} <span class="k">←</span><span class="k">→</span>
		<span class="k">{t("replay.space")}</span></span>;
}

export function Timeline({ log }: { log: Resource<{ items: LogRow[] }> }) {
	const rows = log.data?.items.slice().sort((a, b) => b.seq - a.seq) ?? [];
	const shown = replay.value ? rows.slice(Math.max(0, rows.length - replay.value.at)) : rows;
	return (
		<Block title={t("timeline")} sub={log.data ? t("timeline.count", { n: rows.length }) : ""} side={rows.length > 1 ? <Replay total={rows.length} /> : undefined}>
			<Waiting of={log} failed="timeline.failed" />
			<div class={`tl${replay.value ? " past" : ""}`} data-testid="timeline">{shown.map((row) => <Entry key={row.seq} row={row} />)}</div>
		</Block>
	);
}
