// From what a case rests on to what a chart draws: which source and metric, around which moment, against which limit. Pure.
import type { Evidence, Incident } from "../types";
import type { Point } from "./chart";

export interface Subject {
	source: string;
	metric: string;
	unit: string;
	/** First and last reading of it among the evidence, ms. */
	from: number;
	to: number;
	points: Point[];
}

const MARGIN_LEAST_MS = 90 * 60_000;
const MARGIN_MOST_MS = 6 * 3_600_000;

/** Units that a metric's name ends in, longest first, for readings that come without one. */
const SUFFIXES: readonly [string, string][] = [
	["_ug_m3", "µg/m³"], ["_pct", "%"], ["_ntu", "NTU"], ["_cm", "cm"], ["_db", "dB"], ["_kg", "kg"], ["_c", "°C"], ["_v", "V"], ["_m", "m"],
];
const SIGNS: Record<string, string> = { Cel: "°C", "ug/m3": "µg/m³", "dB(A)": "dB" };

/** The unit as people write it. */
export function unitOf(event: Evidence): string {
	const given = event.unit ?? event.payload?.reading?.unit ?? "";
	return given ? SIGNS[given] ?? given : SUFFIXES.find(([end]) => event.metric?.endsWith(end))?.[1] ?? "";
}

/** As many digits as an eye takes in. */
export const rounded = (n: number) => (Math.abs(n) >= 100 ? n.toFixed(0) : Number(n.toPrecision(3)).toString());

/** The source and metric with the most readings in the evidence. */
export function subjectOf(items: readonly Evidence[]): Subject | null {
	const found = new Map<string, Subject>();
	for (const event of items) {
		if (!event.metric || typeof event.value !== "number") continue;
		const key = `${event.source_id}\n${event.metric}`;
		const at = Date.parse(event.occurred_at);
		const subject = found.get(key) ?? { source: event.source_id, metric: event.metric, unit: unitOf(event), from: at, to: at, points: [] };
		subject.from = Math.min(subject.from, at);
		subject.to = Math.max(subject.to, at);
		subject.points.push({ at, value: event.value });
		found.set(key, subject);
	}
	let best: Subject | null = null;
	for (const subject of found.values()) if (!best || subject.points.length > best.points.length) best = subject;
	best?.points.sort((a, b) => a.at - b.at);
	return best;
}

export interface Moment {
	/** The instant the rule held, and until when; null: it holds still. */
	since: number;
	until: number | null;
	/** A silence: the instant of the last word before it. */
	silent: number | null;
}

interface Span {
	source_id?: string;
	since?: string;
	until?: string;
	last_heard?: { at?: string }[];
	/** The device's own limits, where the rule goes by those. */
	above?: number;
	below?: number;
}

const spansOf = (incident: Incident | null, subject: Subject) =>
	((incident?.explanation?.spans ?? []) as Span[]).filter((span) => span.source_id === subject.source);

/** When the rule held for this source first; as the incident tells it, else when the incident was detected. */
export function momentOf(incident: Incident | null, subject: Subject): Moment | null {
	if (!incident) return null;
	const own = spansOf(incident, subject).filter((span) => span.since)
		.sort((a, b) => Date.parse(a.since ?? "") - Date.parse(b.since ?? ""))[0];
	if (!own) return incident.explanation?.kind === "silence" ? null : { since: subject.to, until: null, silent: null };
	const heard = own.last_heard?.at(-1)?.at;
	return {
		since: Date.parse(own.since ?? ""), until: own.until ? Date.parse(own.until) : null,
		silent: incident.explanation?.kind === "silence" ? (heard ? Date.parse(heard) : subject.to) : null,
	};
}

/** What to ask the server for: some time on either side of what raised the incident. */
export function windowAround(subject: Subject, moment: Moment | null): { from: number; to: number } {
	const first = Math.min(subject.from, moment?.since ?? Infinity);
	const last = Math.max(subject.to, moment?.until ?? moment?.since ?? -Infinity);
	const margin = Math.min(MARGIN_MOST_MS, Math.max(MARGIN_LEAST_MS, last - first));
	return { from: first - margin, to: Math.min(last, first + MARGIN_MOST_MS) + margin };
}

const number = (value: unknown) => (typeof value === "number" ? value : null);

/** The limit that the rule names, else the device's own. */
export function limitsOf(incident: Incident | null, subject: Subject): { limit: number | null; clear: number | null } {
	const named = (incident?.explanation?.parameters ?? {}) as Record<string, unknown>;
	const own = spansOf(incident, subject)[0];
	return { limit: number(named.above) ?? number(named.below) ?? number(own?.above) ?? number(own?.below), clear: number(named.clear_below) ?? number(named.clear_above) };
}

export const pointsOf = (items: readonly Evidence[]): Point[] =>
	items.flatMap((event) => (typeof event.value === "number" ? [{ at: Date.parse(event.occurred_at), value: event.value }] : []))
		.sort((a, b) => a.at - b.at);
