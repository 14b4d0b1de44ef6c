// The clock a case waits on now, large; the others beside it, each with used and limit, in time or late.
import { isTerminal, limitOf } from "../clock";
import { instant, leftNumber, limitText, percent, stretch, timeOfDay } from "../format";
import { Glyph } from "../glyph";
import { shapeOf } from "../queue/row";
import { type CaseSignal, leftOf, now, waitsOn } from "../store";
import { t, tn } from "../text";
import type { DeadlineClock, Unit } from "../types";

/** Counted seconds of a clock up to an instant: what the server listed, added up. */
export function countedSeconds(clock: DeadlineClock, until: number): number {
	const end = clock.stopped_at ? Math.min(until, Date.parse(clock.stopped_at)) : until;
	let sum = 0;
	for (const period of clock.periods ?? []) {
		sum += Math.max(0, Math.min(Date.parse(period.to), end) - Date.parse(period.from));
	}
	return sum / 1000;
}

const unitOf = (limit: string) => (/(wh|wd|nd|h)\s*$/.exec(limit)?.[1] ?? "h") as Unit;

/** 10:48, 1.3 工时, 0.4 工日: how much of it went by; `exact` seconds where the case itself counts them. */
function usedText(clock: DeadlineClock, until: number, exact: number | null): string {
	// The listed periods reach the due instant: without the instant it stopped, nobody can say how much was used.
	if (clock.state === "stopped" && !clock.stopped_at) return t("none");
	const unit = unitOf(clock.limit);
	const daySeconds = clock.due_at && unit === "wd" ? dayOf(clock) : 8 * 3600;
	const [number, name] = stretch(exact ?? countedSeconds(clock, until), unit, daySeconds);
	return number.includes(":") && name === t("unit.min") ? number : `${number}\u00a0${name}`;
}

/** Seconds of one working day: the whole clock's counted time over its number of days, when the periods reach the end. */
function dayOf(clock: DeadlineClock): number {
	const days = parseFloat(clock.limit);
	const last = clock.periods?.at(-1);
	if (!days || !last || !clock.due_at || Date.parse(last.to) < Date.parse(clock.due_at)) return 8 * 3600;
	const sum = (clock.periods ?? []).reduce((s, p) => s + Date.parse(p.to) - Date.parse(p.from), 0) / 1000;
	return sum / days || 8 * 3600;
}

function stateText(clock: DeadlineClock): string {
	if (clock.state === "running") return t("clock.running");
	if (clock.state === "paused" || clock.state === "suspended") return t("clock.paused");
	if (!clock.due_at || !clock.stopped_at) return t("level.stopped");
	return t(Date.parse(clock.stopped_at) <= Date.parse(clock.due_at) ? "clock.intime" : "clock.late");
}

function Big({ known }: { known: CaseSignal }) {
	const left = leftOf(known.value, now.value);
	const c = waitsOn(known.value.case);
	if (left.seconds === null || !c.clock) {
		return (
			<div class="big">
				<div class="lbl"><Glyph shape="stopped" />{isTerminal(c) ? tn("state", c.state) : t("clock.none")}</div>
				<div class="v">{t("none")}</div>
				{c.closed_at && <div class="due">{instant(Date.parse(c.closed_at), now.value, { seconds: true })}</div>}
			</div>
		);
	}
	const [number, unit] = leftNumber(left);
	const clock = tn("clock", c.clock.kind);
	const label = left.level === "hold" ? "clock.held" : left.level === "over" ? "clock.over" : "clock.left";
	const limit = limitOf(c.clock);
	return (
		<div class={`big lv-${left.level}`} data-testid="clock" data-level={left.level} data-kind={c.clock.kind}>
			<div class="lbl"><Glyph shape={shapeOf(c, left)} used={left.used} />{t(label, { clock })}</div>
			<div class="v">{number}<small>{unit === t("unit.min") && number.includes(":") ? "" : unit} {t("clock.used", { p: percent(left.used) })}</small></div>
			<div class="bar"><i style={{ width: `${Math.min(100, left.used * 100)}%` }} /><u class="at70" /><u class="at80" /></div>
			<div class="due">
				{left.due !== null && t("clock.due", { at: instant(left.due, now.value, { seconds: true }) })}
				<span>{limitText(c.clock.limit, limit.unit)} {limit.unit === "h" ? t("continuous") : ""}</span>
			</div>
			{left.frozenUntil !== null && <div class="due">{t("frozen.until", { d: instant(left.frozenUntil, now.value) })}</div>}
		</div>
	);
}

export function Clocks({ known, deadline }: { known: CaseSignal; deadline: DeadlineClock[] | null }) {
	const c = waitsOn(known.value.case);
	const at = now.value;
	const seen = new Set<string>();
	// A clock that ran more than once (after a return) is shown as it runs now.
	const latest = (deadline ?? []).slice().reverse().filter((clock) => {
		if (clock.clock === "total" || (clock.task_id && clock.clock === "sign")) return false;
		const fresh = !seen.has(clock.clock);
		seen.add(clock.clock);
		return fresh;
	}).reverse();
	const left = leftOf(known.value, at);
	const spent = c.clock && left.seconds !== null ? Math.max(0, limitOf(c.clock).seconds - left.seconds) : null;
	const end = c.closed_at ? Date.parse(c.closed_at) : at;
	const [total, totalUnit] = stretch(Math.max(0, (end - Date.parse(c.reported_at)) / 1000), "h", 28_800);
	return (
		<div class="clk" aria-label={t("clocks")}>
			<Big known={known} />
			<div class="tclk">
				<table>
					<tbody>
						{latest.map((clock) => (
							<tr key={clock.clock} class={clock.state === "running" ? "on" : ""} data-clock={clock.clock}>
								<td>{tn("clock", clock.clock)}</td>
								<td>{usedText(clock, at, clock.state === "running" && clock.clock === c.clock?.kind ? spent : null)}</td>
								<td>/ {limitText(clock.limit)}</td>
								<td>{stateText(clock)}</td>
							</tr>
						))}
						<tr>
							<td>{t("clock.total")}</td>
							<td>{total}{"\u00a0"}{totalUnit}</td>
							<td />
							<td>{t("clock.since", { at: since(Date.parse(c.reported_at), at) })}</td>
						</tr>
					</tbody>
				</table>
			</div>
		</div>
	);
}

function since(from: number, at: number): string {
	return at - from < 12 * 3_600_000 ? timeOfDay(from, true) : instant(from, at);
}
