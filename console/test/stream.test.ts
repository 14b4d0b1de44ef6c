import assert from "node:assert/strict";
import { test } from "node:test";
import { thin, ticks } from "../src/case/chart";
import { marked, rankCandidates } from "../src/case/search";
import { limitsOf, momentOf, subjectOf, unitOf, windowAround } from "../src/case/series";
import { EventParser, type StreamEvent } from "../src/stream";

const TEXT = ": hello\r\n\r\nid: 7\nevent: case\ndata: {\"a\":\ndata: 1}\n\n: beat\n\nevent: vitals\ndata: {}\n\nid: 8\ndata:x\n\n";

function parse(...chunks: string[]): StreamEvent[] {
	const got: StreamEvent[] = [];
	const parser = new EventParser((event) => got.push(event));
	for (const chunk of chunks) parser.push(chunk);
	return got;
}

test("events, comments and ids, however the bytes are cut", () => {
	const whole = parse(TEXT);
	assert.deepEqual(whole, [
		{ id: "7", event: "case", data: "{\"a\":\n1}" },
		{ id: "7", event: "vitals", data: "{}" },
		{ id: "8", event: "message", data: "x" },
	]);
	assert.deepEqual(parse(...TEXT), whole);
	for (let cut = 1; cut < TEXT.length; cut++) assert.deepEqual(parse(TEXT.slice(0, cut), TEXT.slice(cut)), whole);
});

test("departments by code, short name, pinyin initials, words; none matching lists all", () => {
	const all = [
		{ department: "SWJ", name_zh: "区水务局", name_en: "Water bureau", short_zh: "水务局", pinyin: "qswj" },
		{ department: "LRJ", name_zh: "区绿化市容局", name_en: "Landscaping bureau", short_zh: "绿化市容局", pinyin: "qlhsrj" },
		{ department: "CGJ", name_zh: "区城管执法局", name_en: "Urban management bureau", short_zh: "城管执法局", pinyin: "qcgzfj" },
	];
	const codes = (query: string) => rankCandidates(all, query).items.map((d) => d.department).join();
	assert.equal(codes(""), "SWJ,LRJ,CGJ", "as the server ranks them");
	assert.equal(codes("cg"), "CGJ");
	assert.equal(codes("城管"), "CGJ");
	assert.equal(codes("qs"), "SWJ");
	assert.equal(codes("manage"), "CGJ");
	assert.equal(codes("LRJ"), "LRJ");
	assert.equal(rankCandidates(all, "zzz").matched, false);
	assert.equal(codes("zzz"), "CGJ,LRJ,SWJ");
});

test("what the query hit is marked, initials over the characters they stand for", () => {
	assert.deepEqual(marked("区城管执法局", "城管", "qcgzfj"), ["区", "城管", "执法局"]);
	assert.deepEqual(marked("区城管执法局", "cg", "qcgzfj"), ["区", "城管", "执法局"]);
	assert.deepEqual(marked("Urban management", "man", null), ["Urban ", "man", "agement"]);
	assert.deepEqual(marked("区城管执法局", "CGJ", "qcgzfj"), ["区城管执法局", "", ""]);
});

test("a chart's subject, window, limits and ticks", () => {
	const at = (minute: number) => new Date(Date.UTC(2026, 10, 24, 8, minute)).toISOString();
	const reading = (minute: number, value: number, metric = "pm10") => ({
		source_id: "d-7", event_id: String(minute), source_kind: "sensor", occurred_at: at(minute), metric, value,
	});
	const subject = subjectOf([reading(9, 3, "noise"), reading(4, 170), reading(2, 160)]);
	assert.equal(subject?.metric, "pm10");
	assert.deepEqual(subject?.points.map((p) => p.value), [160, 170]);
	assert.equal(subjectOf([{ source_id: "x", event_id: "1", source_kind: "citizen", occurred_at: at(0) }]), null);
	if (!subject) return;
	const incident = (explanation: Record<string, unknown>) => ({ incident_id: "", rule_id: "", state: "open", first_event_at: "", last_event_at: "", explanation });
	const before = windowAround(subject, momentOf(null, subject));
	assert.deepEqual(before, { from: Date.parse(at(2)) - 90 * 60_000, to: Date.parse(at(4)) + 90 * 60_000 });
	const silent = momentOf(incident({ kind: "silence", spans: [
		{ source_id: "other", since: at(1) }, { source_id: "d-7", since: at(30), until: at(50), last_heard: [{ at: at(4) }] },
	] }), subject);
	assert.deepEqual(silent, { since: Date.parse(at(30)), until: Date.parse(at(50)), silent: Date.parse(at(4)) });
	assert.equal(windowAround(subject, silent).to, Date.parse(at(50)) + 90 * 60_000);
	assert.equal(momentOf(incident({ kind: "threshold", spans: [{ source_id: "d-7", since: at(4) }] }), subject)?.silent, null);
	assert.equal(unitOf({ source_id: "d", event_id: "1", source_kind: "sensor", occurred_at: at(0), metric: "level_cm" }), "cm");
	assert.deepEqual(limitsOf(incident({ parameters: { above: 150, clear_below: 120 } }), subject), { limit: 150, clear: 120 });
	assert.deepEqual(limitsOf(incident({ parameters: { limits: "device" }, spans: [{ source_id: "other", above: 1 }, { source_id: "d-7", above: 55 }] }), subject),
		{ limit: 55, clear: null });
	assert.deepEqual(limitsOf(null, subject), { limit: null, clear: null });
	assert.deepEqual(ticks(48, 205, 4), [50, 100, 150, 200]);
	const many = Array.from({ length: 5000 }, (_, i) => ({ at: i, value: i === 2500 ? 99 : i % 7 }));
	const few = thin(many, 300);
	assert.ok(few.length <= 600 && few.some((p) => p.value === 99), "the peak stays");
});
