import assert from "node:assert/strict";
import { test } from "node:test";
import { rankDepartments } from "../src/case/search";
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
		{ code: "LRJ", name_zh: "区绿化市容局", name_en: "Landscaping bureau", short_zh: "绿化市容局", pinyin: "qlhsrj" },
		{ code: "CGJ", name_zh: "区城管执法局", name_en: "Urban management bureau", short_zh: "城管执法局", pinyin: "qcgzfj" },
		{ code: "SWJ", name_zh: "区水务局", name_en: "Water bureau", short_zh: "水务局", pinyin: "qswj" },
	];
	const codes = (query: string, proposed?: string) => rankDepartments(all, query, proposed).items.map((d) => d.code).join();
	assert.equal(codes(""), "CGJ,LRJ,SWJ");
	assert.equal(codes("", "SWJ"), "SWJ,CGJ,LRJ");
	assert.equal(codes("cg"), "CGJ");
	assert.equal(codes("城管"), "CGJ");
	assert.equal(codes("qs"), "SWJ");
	assert.equal(codes("manage"), "CGJ");
	assert.equal(codes("LRJ"), "LRJ");
	assert.equal(rankDepartments(all, "zzz", null).matched, false);
	assert.equal(codes("zzz"), "CGJ,LRJ,SWJ");
});
