// One queue row. Its numbers tick as text nodes; the row itself is drawn again only when the case or its level changes.
import { memo } from "../memo";
import { computed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { actionName, sending } from "../act";
import { dateOnly, gridTail, hasHan, instant, leftNumber } from "../format";
import { Glyph, type Shape, twelfths } from "../glyph";
import type { Left } from "../clock";
import { type CaseSignal, departmentName, departmentShort, isMine, leftOf, now, ownTask, select, selected, streetName, streetShort, ticked, unread, waitsOn } from "../store";
import { isTerminal } from "../clock";
import { either, lang, t, tn } from "../text";
import type { Case } from "../types";
import { isSmall } from "../ui";
import { tick } from "./bulk";

export interface Flag {
	text: string;
	hot?: boolean;
}

/** As many marks as the row has room for; the rest are counted. */
const flagsMax = () => (isSmall.value ? 2 : 3);

/** The marks behind a title, worst first. */
export function flagsOf(c: Case, left: Left, at: number): Flag[] {
	const flags: Flag[] = [];
	const count = (key: Parameters<typeof t>[0], n: number | null | undefined, hot = false) => {
		if (n && n > 0) flags.push({ text: t(key, { n }), hot });
	};
	count("flag.supervise", c.supervise_level, true);
	if ((c.escalation_level ?? 0) >= 2) count("flag.escalate", c.escalation_level, true);
	count("flag.return", c.return_count);
	count("flag.rework", c.rework_count);
	count("flag.merged", c.merged_count);
	count("flag.assist", c.assist_count ?? c.tasks?.filter((task) => task.role === "assist" && task.state !== "waived").length);
	count("flag.extended", c.extension_count);
	if (c.tasks?.some((task) => task.request)) flags.push({ text: t("flag.asked") });
	if (c.recurrence) flags.push({ text: t("flag.recurred") });
	if (left.frozenUntil !== null) flags.push({ text: t("frozen.until", { d: instant(left.frozenUntil, at, { brief: true }) }) });
	return flags;
}

export const isUrgent = (c: Case) => c.urgency === "urgent" || c.urgency === "emergency";
export const typeName = (c: Case) => either(c.type_name_zh, c.type_name_en) || t("case.notype");
/** For the row: the short name where the catalogue has one. */
export const typeShort = (c: Case) => either(c.type_short_zh, c.type_short_en) || typeName(c);

/** The title without the type's name in front. */
function restOfTitle(c: Case): string {
	for (const name of [c.type_name_zh, c.type_name_en, c.type_short_zh, c.type_short_en]) {
		if (name && c.title.startsWith(name)) return c.title.slice(name.length).replace(/^[\s·:：,，-]+/, "");
	}
	return c.title;
}

/** What tells this case from others of its type: the rest of its title, and what the first report said, mostly where. */
export function placeOf(c: Case): string {
	const said = c.text?.split("\n", 1)[0]?.trim() ?? "";
	const rest = restOfTitle(c);
	// A rule's title is Chinese; in English the reporter's words and the type's name say more.
	if (!rest || rest === said || ((said || c.type_code) && lang.value === "en" && hasHan(rest))) return said;
	return said ? `${rest} ${said}` : rest;
}

export function shapeOf(c: Case, left: Left): Shape {
	if (isTerminal(c) || left.seconds === null) return "stopped";
	return left.frozenUntil !== null && left.level === "ok" ? "frozen" : left.level;
}

function dueText(c: Case, left: Left, at: number): string {
	if (left.level === "hold") {
		const until = c.suspended_until ?? c.clock?.frozen_until;
		return until ? t("hold.until", { d: dateOnly(Date.parse(until), at) }) : t("hold.open");
	}
	return left.due === null ? "" : instant(left.due, at, { brief: isSmall.value });
}

/** What a screen reader says of the row. */
function spoken(c: Case, left: Left): string {
	const [number, unit] = leftNumber(left);
	const time = left.level === "hold" ? t("level.hold")
		: t(left.level === "over" ? "say.over" : "say.left", { t: `${number.replace(/^\+/, "")} ${unit}` });
	return [
		left.seconds === null ? tn("state", c.state) : time,
		typeName(c), placeOf(c), tn("state", c.state), departmentName(c.lead_department),
		isUrgent(c) ? t("urgent.long") : "",
	].filter(Boolean).join(lang.value === "zh" ? "，" : ", ");
}

/** A department reads its own task's state, everybody else the case's. */
function stageOf(c: Case): string {
	const own = ownTask(c);
	return own && own.state !== "done" ? tn("task", own.state) : tn("state", c.state);
}

export const rowId = (id: string) => `row-${id}`;

export const Row = memo(function Row({ known, top, height, index }: {
	known: CaseSignal;
	top: number;
	height: number;
	index: number;
}) {
	const c = known.value.case;
	const id = c.case_id;
	const live = useMemo(() => {
		const left = computed(() => leftOf(known.value, now.value));
		return {
			number: computed(() => leftNumber(left.value)[0]),
			unit: computed(() => leftNumber(left.value)[1]),
			due: computed(() => dueText(waitsOn(known.value.case), left.value, now.value)),
			shape: computed(() => shapeOf(known.value.case, left.value)),
			level: computed(() => left.value.level),
			used: computed(() => twelfths(left.value.used)),
			current: computed(() => selected.value === id),
			fresh: computed(() => unread.value.has(id)),
			marked: computed(() => ticked.value.has(id)),
			busy: computed(() => sending.value.get(id) ?? ""),
		};
	}, [known, id]);
	const { number, unit, due, shape, level, used, current, fresh, marked, busy } = live;

	const left = leftOf(known.value, now.peek());
	const flags = flagsOf(c, left, now.peek());
	const shown = flags.slice(0, flagsMax());
	const street = streetShort(c);
	const own = ownTask(c);
	return (
		<div class={`row lv-${level.value}${shape.value === "frozen" ? " lv-frozen" : ""}${current.value ? " cur" : ""}${marked.value ? " ticked" : ""}${busy.value ? " pend" : ""}${isTerminal(c) ? " gone" : ""}`}
			role="row" id={rowId(id)} aria-rowindex={index} aria-selected={current.value} aria-label={spoken(c, left)}
			data-testid="row" data-case-id={id} data-state={c.state} data-level={level.value}
			data-escalation={c.escalation_level ?? ""} style={{ transform: `translateY(${top}px)`, height: `${height}px` }}
			onClick={() => select(id)}>
			<span class={`tick${fresh.value ? " new" : ""}`} role="gridcell" data-testid="tick" onClick={(e) => {
				e.stopPropagation();
				tick(id, e.shiftKey);
			}}><i /></span>
			<Glyph shape={shape.value} used={used.value} />
			<span class="num" role="gridcell">{number}</span>
			<span class="unit">{unit}</span>
			<span class="due" role="gridcell">{due}</span>
			<span class="ttl" role="gridcell">
				<span class="t" title={typeName(c)}>{typeShort(c)}</span>
				<span class="d el" title={placeOf(c)}>{placeOf(c)}</span>
				{isUrgent(c) && <span class="urg">{t("urgent")}</span>}
				{shown.map((flag) => <span class={`fl${flag.hot ? " hot" : ""}`}>{flag.text}</span>)}
				{flags.length > shown.length && <span class="fl">+{flags.length - shown.length}</span>}
			</span>
			<span class={`pl el${hasHan(street) ? "" : " latin"}`} role="gridcell" title={streetName(c)}>
				<span class="el">{street}</span><s>{gridTail(c.grid_cell)}</s>
			</span>
			<span class={`st${isMine(c) ? "" : " q"}`} role="gridcell">
				{busy.value ? t("row.sending", { what: actionName(busy.value) }) : stageOf(c)}
			</span>
			<span class={`dp el${c.lead_department ? "" : " none"}`} role="gridcell">
				{own ? tn("role", own.role) : departmentShort(c.lead_department) || t("none")}
			</span>
		</div>
	);
});
