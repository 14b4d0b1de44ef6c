// Type-ahead over departments and types: code, short name, pinyin initials, English words. Pure.
import type { CaseType, Department } from "../types";

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

const fieldsOf = (d: Department) => [d.code, d.short_zh, d.name_zh, d.short_en, d.name_en, d.pinyin];

/** Empty query: the proposed one and the first few; matches, best first; no match: all of them, by code. */
export function rankDepartments(all: readonly Department[], query: string, proposed: string | null | undefined) {
	const isProposed = (d: Department) => Number(!!proposed && (d.code === proposed || d.name_zh === proposed || d.short_zh === proposed));
	const byCode = all.slice().sort((a, b) => isProposed(b) - isProposed(a) || (a.code < b.code ? -1 : 1));
	const wanted = query.trim().toLowerCase();
	if (!wanted) return { matched: true, items: byCode.slice(0, TOP) };
	const matches = byCode
		.map((d) => ({ d, score: score(wanted, fieldsOf(d)) }))
		.filter((entry) => entry.score > 0)
		.sort((a, b) => b.score - a.score);
	if (matches.length === 0) return { matched: false, items: byCode };
	return { matched: true, items: matches.map((entry) => entry.d).slice(0, 2 * TOP) };
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
