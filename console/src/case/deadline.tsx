// Why this deadline: the server's counted periods, pauses and extensions, quoted as a strip or as a table.
import { hasHan, instant, limitText, stretch, timeOfDay } from "../format";
import { now } from "../store";
import { lang, t, tn } from "../text";
import type { DeadlineClock, Unit } from "../types";
import { why } from "../ui";
import { Block } from "./parts";

interface Piece {
	from: number;
	to: number;
	kind: "counted" | "pause" | "gap";
}

const unitOf = (limit: string): Unit => (/(wh|wd|nd|h)\s*$/.exec(limit)?.[1] ?? "h") as Unit;
/** Counted time of a piece of a working clock reads best in hours, whatever unit the limit has. */
const pieceUnit = (unit: Unit): Unit => (unit === "wd" ? "wh" : unit === "nd" ? "h" : unit);

/** Counted periods in order, with what lies between them. */
export function piecesOf(clock: DeadlineClock): Piece[] {
	const pauses = (clock.pauses ?? []).map((p) => [Date.parse(p.from), p.to ? Date.parse(p.to) : Infinity] as const);
	const pieces: Piece[] = [];
	let at = Date.parse(clock.started_at);
	for (const period of clock.periods ?? []) {
		const from = Date.parse(period.from);
		const to = Date.parse(period.to);
		if (from > at) {
			const paused = pauses.some(([a, b]) => a < from && b > at);
			pieces.push({ from: at, to: from, kind: paused ? "pause" : "gap" });
		}
		pieces.push({ from, to, kind: "counted" });
		at = to;
	}
	return pieces;
}

/** A calendar names its days in one language only; the other is told the date alone. */
const nameOf = (reason: string | null | undefined) => (reason && !(lang.value === "en" && hasHan(reason)) ? reason : "");

const PIECES_IN_STRIP = 9;

/** The strip: counted time solid, the rest hatched; a hatched night is drawn shorter than it is, its hours are written. */
export function Strip({ clock }: { clock: DeadlineClock }) {
	const pieces = piecesOf(clock).slice(0, PIECES_IN_STRIP);
	if (pieces.length === 0) return null;
	const unit = pieceUnit(unitOf(clock.limit));
	const counted = pieces.filter((p) => p.kind === "counted").reduce((s, p) => s + p.to - p.from, 0);
	const width = (p: Piece) => (p.kind === "counted" ? Math.max(p.to - p.from, counted * 0.06) : counted * 0.3);
	const total = pieces.reduce((s, p) => s + width(p), 0);
	const at = now.value;
	return (
		<div class="seg">
			{pieces.map((p, i) => {
				const [number, name] = stretch(Math.max(0, p.to - p.from) / 1000, unit, 28_800);
				const share = width(p) / total;
				return (
					<div class={`piece ${p.kind}`} style={{ flexGrow: String(share * 1000) }}>
						<i>{p.kind === "counted" && share > 0.12 ? `${number} ${name}` : ""}</i>
						<span>{i === 0 || share > 0.16 ? instant(p.from, at, { brief: i > 0 }) : ""}</span>
					</div>
				);
			})}
			<span class="end">{clock.due_at ? t("deadline.end", { at: instant(Date.parse(clock.due_at), at, { brief: true }) }) : ""}</span>
		</div>
	);
}

function Table({ clock }: { clock: DeadlineClock }) {
	const at = now.value;
	const unit = pieceUnit(unitOf(clock.limit));
	let sum = 0;
	const said = (seconds: number) => stretch(seconds, unit, 28_800).join(" ");
	return (
		<table class="why">
			<thead><tr><th>{t("deadline.period")}</th><th>{t("deadline.counted")}</th><th>{t("deadline.sum")}</th><th>{t("deadline.note")}</th></tr></thead>
			<tbody>
				{piecesOf(clock).map((p) => {
					if (p.kind === "counted") sum += (p.to - p.from) / 1000;
					const sameDay = instant(p.from, at).split("\u00a0")[0] === instant(p.to, at).split("\u00a0")[0];
					const skipped = (clock.skipped ?? []).filter((s) => {
						const day = Date.parse(`${s.date}T12:00:00Z`);
						return day > p.from && day < p.to;
					});
					return (
						<tr class={p.kind === "counted" ? "" : "off"}>
							<td>{instant(p.from, at)} – {sameDay ? timeOfDay(p.to) : instant(p.to, at)}</td>
							<td>{p.kind === "counted" ? said((p.to - p.from) / 1000) : "0"}</td>
							<td>{said(sum)}</td>
							<td>{p.kind === "counted" ? t("deadline.counts") : p.kind === "pause" ? t("deadline.pause")
								: skipped.length > 0 ? skipped.map((s) => t("deadline.skipped", { why: `${s.date} ${nameOf(s.reason)}`.trim() })).join("; ")
									: t("deadline.dayoff")}</td>
						</tr>
					);
				})}
				{(clock.extensions ?? []).map((e) => (
					<tr><td>{instant(Date.parse(e.at), at)}</td><td /><td /><td>{t("deadline.extension", { limit: limitText(e.limit) })}</td></tr>
				))}
				<tr class="tot">
					<td>{clock.due_at ? t("deadline.end", { at: instant(Date.parse(clock.due_at), at) }) : ""}</td>
					<td>{said(sum)}</td><td />
					<td>{t("deadline.total", {
						limit: limitText(clock.limit), e: clock.extensions?.length ?? 0, p: clock.pauses?.length ?? 0,
					})}</td>
				</tr>
			</tbody>
		</table>
	);
}

export function Deadline({ clocks, kind, task }: { clocks: DeadlineClock[]; kind: string | undefined; task: string | undefined }) {
	const same = clocks.filter((c) => c.clock === kind);
	const clock = same.filter((c) => task && c.task_id === task).at(-1) ?? same.at(-1) ?? clocks.at(-1);
	if (!clock) return null;
	const calendar = clock.calendar ? t("deadline.calendar", { name: clock.calendar }) : t("deadline.continuous");
	return (
		<Block title={t("deadline")} id="deadline" sub={`${tn("clock", clock.clock)} ${limitText(clock.limit)} · ${calendar}`}
			side={<button class="link" onClick={() => (why.value = !why.peek())} aria-expanded={why.value}>{t("deadline.full")} <span class="k">w</span></button>}>
			{why.value ? <Table clock={clock} /> : <Strip clock={clock} />}
		</Block>
	);
}
