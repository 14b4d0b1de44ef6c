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

const MARGIN_LEAST_MS = 30 * 60_000;
const MARGIN_MOST_MS = 6 * 3_600_000;

/** The source and metric with the most readings in the evidence. */
export function subjectOf(items: readonly Evidence[]): Subject | null {
	const found = new Map<string, Subject>();
	for (const event of items) {
		if (!event.metric || typeof event.value !== "number") continue;
		const key = `${event.source_id}\n${event.metric}`;
		const at = Date.parse(event.occurred_at);
		const subject = found.get(key) ?? {
			source: event.source_id, metric: event.metric, unit: event.unit ?? event.payload?.reading?.unit ?? "", from: at, to: at, points: [],
		};
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

/** What to ask the server for: some time on either side of the readings that raised the incident. */
export function windowAround(subject: Subject, now: number): { from: number; to: number } {
	const margin = Math.min(MARGIN_MOST_MS, Math.max(MARGIN_LEAST_MS, subject.to - subject.from));
	return { from: subject.from - margin, to: Math.min(subject.to + margin, now) };
}

/** The first number under one of these names, wherever in the explanation it stands. */
function find(value: unknown, names: readonly string[], depth = 0): number | null {
	if (typeof value !== "object" || value === null || depth > 4) return null;
	const entries = Object.entries(value as Record<string, unknown>);
	for (const name of names) {
		const said = entries.find(([key]) => key === name)?.[1];
		if (typeof said === "number") return said;
	}
	for (const [, inner] of entries) {
		const got = find(inner, names, depth + 1);
		if (got !== null) return got;
	}
	return null;
}

export function limitsOf(incident: Incident | null): { limit: number | null; clear: number | null } {
	const explanation = incident?.explanation;
	return {
		limit: find(explanation, ["limit", "above", "below"]),
		clear: find(explanation, ["clear", "clear_below", "clear_above"]),
	};
}

export const pointsOf = (items: readonly Evidence[]): Point[] =>
	items.flatMap((event) => (typeof event.value === "number" ? [{ at: Date.parse(event.occurred_at), value: event.value }] : []))
		.sort((a, b) => a.at - b.at);
