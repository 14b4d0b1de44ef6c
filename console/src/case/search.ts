// Type-ahead over departments and types: code, short name, pinyin initials, English words. Pure.
import type { Candidate, CaseType } from "../types";

const TOP = 5;

/** 0 no match, more is better. */
function score(query: string, fields: readonly (string | null | undefined)[]): number {
	let best = 0;
	for (const field of fields) {
		const text = field?.toLowerCase();
		if (!text) continue;
		if (text === query) best = Math.max(best, 4);
		else if (text.startsWith(query)) best = Math.max(best, 3);
		else if (text.split(/[\s,&/()-]+/).some((word) => word.startsWith(query))) best = Math.max(best, 2);
		else if (text.includes(query)) best = Math.max(best, 1);
	}
	return best;
}

const fieldsOf = (d: Candidate) => [d.department, d.short_zh, d.name_zh, d.short_en, d.name_en, d.pinyin];

/** Empty query: the first few as they are ranked; matches, best first; no match: all of them, A to Z. */
export function rankCandidates(all: readonly Candidate[], query: string): { matched: boolean; items: Candidate[] } {
	const wanted = query.trim().toLowerCase();
	if (!wanted) return { matched: true, items: all.slice(0, TOP) };
	const matches = all
		.map((d) => ({ d, score: score(wanted, fieldsOf(d)) }))
		.filter((entry) => entry.score > 0)
		.sort((a, b) => b.score - a.score);
	if (matches.length === 0) return { matched: false, items: all.slice().sort((a, b) => (a.department < b.department ? -1 : 1)) };
	return { matched: true, items: matches.map((entry) => entry.d).slice(0, 2 * TOP) };
}

/** The name cut at what the query hit: before, hit, after. Initials hit the characters they stand for where each has one. */
export function marked(name: string, query: string, pinyin?: string | null): [string, string, string] {
	const wanted = query.trim().toLowerCase();
	if (!wanted) return [name, "", ""];
	let at = name.toLowerCase().indexOf(wanted);
	if (at < 0 && pinyin && [...name].length === pinyin.length) at = pinyin.toLowerCase().indexOf(wanted);
	if (at < 0) return [name, "", ""];
	return [name.slice(0, at), name.slice(at, at + wanted.length), name.slice(at + wanted.length)];
}

export function rankTypes(all: readonly CaseType[], query: string, current: string | null | undefined): CaseType[] {
	const wanted = query.trim().toLowerCase();
	if (!wanted) {
		const own = all.find((type) => type.type_code === current);
		return own ? [own] : all.slice(0, TOP);
	}
	return all
		.map((type) => ({ type, score: score(wanted, [type.type_code, type.name_zh, type.name_en, type.pinyin]) }))
		.filter((entry) => entry.score > 0)
		.sort((a, b) => b.score - a.score)
		.slice(0, 2 * TOP)
		.map((entry) => entry.type);
}
