// How much time a case has left. Pure; the server counts working time, this only carries its count forward to now.
import type { Case, Clock, Unit } from "./types";

export type Level = "over" | "80" | "70" | "ok" | "hold";
/** Queue groups from the top. */
export const LEVELS: readonly Level[] = ["over", "80", "70", "ok", "hold"];

export interface Left {
	level: Level;
	/** Share of the limit used; 1 and more is overdue. 0 when no clock runs. */
	used: number;
	/** Counted seconds left, negative when overdue; null when no clock runs. */
	seconds: number | null;
	unit: Unit;
	/** Counted seconds that make one working day of this clock. */
	daySeconds: number;
	/** Outside working hours: the number stands still until this instant (ms). */
	frozenUntil: number | null;
	due: number | null;
}

const HOUR = 3600;
const TERMINAL = new Set(["closed", "refused", "not_filed", "void", "merged"]);

export const isTerminal = (c: Case) => TERMINAL.has(c.state);

const ms = (instant: string | null | undefined) => (instant ? Date.parse(instant) : NaN);

/** "1.5wd" → [1.5, "wd"]; a bare number keeps the unit given. null when there is no number. */
export function quantity(value: string | number | null | undefined, unit: Unit): [number, Unit] | null {
	if (value === null || value === undefined) return null;
	if (typeof value === "number") return [value, unit];
	const match = /^\s*(-?\d+(?:\.\d+)?)\s*(wh|wd|nd|h|min)?\s*$/.exec(value);
	if (!match) return null;
	const number = Number(match[1]);
	if (match[2] === "min") return [number / 60, "h"];
	return [number, (match[2] as Unit | undefined) ?? unit];
}

function unitSeconds(unit: Unit, daySeconds: number): number {
	if (unit === "wd") return daySeconds;
	return unit === "nd" ? 24 * HOUR : HOUR;
}

/** The clock's limit in counted seconds, and how long one of its days is. */
export function limitOf(clock: Clock): { seconds: number; daySeconds: number; unit: Unit } {
	const [number, unit] = quantity(clock.limit, clock.unit) ?? [0, clock.unit];
	const exact = clock.limit_us ? clock.limit_us / 1e6 : null;
	let daySeconds = 8 * HOUR;
	if (unit === "wd" && exact && number > 0) daySeconds = exact / number;
	return { seconds: exact ?? number * unitSeconds(unit, daySeconds), daySeconds, unit };
}

/** A clock's texts as numbers; read once, since every case is looked at every second. */
interface Read {
	limit: ReturnType<typeof limitOf>;
	/** Counted seconds left when the server answered, if it said. */
	told: number | null;
	due: number;
	resumes: number;
	stops: number;
}

const reads = new WeakMap<Clock, Read>();

function read(clock: Clock): Read {
	let found = reads.get(clock);
	if (!found) {
		const limit = limitOf(clock);
		const told = quantity(clock.remaining, clock.unit);
		found = {
			limit,
			told: typeof clock.remaining_us === "number" ? clock.remaining_us / 1e6
				: told ? told[0] * unitSeconds(told[1], limit.daySeconds) : null,
			due: ms(clock.due_at),
			resumes: ms(clock.frozen_until),
			stops: ms(clock.counts_until),
		};
		reads.set(clock, found);
	}
	return found;
}

/** Counted seconds left at `now`, from what the server counted at `asOf` (both ms). */
function secondsLeft({ told, due, resumes, stops, limit }: Read, asOf: number, now: number): number | null {
	const wall = (due - now) / 1000;
	const continuous = limit.unit === "h" || limit.unit === "nd";
	if (continuous || told === null) return Number.isNaN(due) ? told : wall;

	const from = Number.isNaN(resumes) ? asOf : Math.max(asOf, resumes);
	const to = Number.isNaN(stops) || stops < from ? now : Math.min(now, stops);
	const then = told - Math.max(0, to - from) / 1000;
	if (Number.isNaN(due)) return then;
	// Counted time never passes faster than the wall's, and never ends before the due instant.
	return wall > 0 ? Math.min(Math.max(then, 1), wall) : Math.min(then, 0) || Math.min(wall, -1);
}

export function timeLeft(c: Case, asOf: number, now: number): Left {
	const clock = c.clock;
	if (!clock || isTerminal(c)) {
		return { level: "ok", used: 0, seconds: null, unit: "h", daySeconds: 8 * HOUR, frozenUntil: null, due: null };
	}
	const known = read(clock);
	const { limit, resumes, due } = known;
	// Nobody has signed and the handling limit has passed: that is what the case is late for.
	const handleDue = clock.kind === "sign" && !c.done_at ? ms(c.handle_due_at) : NaN;
	if (now >= handleDue) {
		return {
			level: "over", used: 1, seconds: Math.min((handleDue - now) / 1000, -1), unit: "h", daySeconds: 8 * HOUR,
			frozenUntil: null, due: handleDue,
		};
	}
	const held = c.suspended === true;
	const seconds = held && known.told !== null ? known.told : secondsLeft(known, asOf, held ? asOf : now);
	const used = seconds === null || limit.seconds <= 0 ? 0 : Math.max(0, 1 - seconds / limit.seconds);
	return {
		level: held ? "hold" : used >= 1 ? "over" : used >= 0.8 ? "80" : used >= 0.7 ? "70" : "ok",
		used,
		seconds,
		unit: limit.unit,
		daySeconds: limit.daySeconds,
		frozenUntil: !held && resumes > now ? resumes : null,
		due: Number.isNaN(due) ? null : due,
	};
}
