import assert from "node:assert/strict";
import { test } from "node:test";
import { quantity, timeLeft } from "../src/clock";
import { instant, leftNumber, limitText, stretch, wallClock, zone } from "../src/format";
import { setLang } from "../src/text";
import type { Case, Clock } from "../src/types";

const NOW = Date.parse("2026-11-24T16:48:12+08:00");
const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

const withClock = (clock: Partial<Clock>, more: Partial<Case> = {}): Case => ({
	case_id: "1", case_no: "31010420261124000123", title: "", state: "handling", version: 1, reported_at: at(-3600),
	clock: { kind: "handle", limit: "2wh", unit: "wh", started_at: at(-3600), due_at: at(3600), ...clock },
	...more,
});

test("a continuous clock follows the wall to its due instant", () => {
	const c = withClock({ limit: "0.25h", unit: "h", due_at: at(252) });
	const left = timeLeft(c, NOW, NOW);
	assert.equal(left.seconds, 252);
	assert.equal(left.level, "70");
	assert.deepEqual(leftNumber(left), ["04:12", "分"]);
	assert.equal(timeLeft(c, NOW, NOW + 252_000).level, "over");
	assert.deepEqual(leftNumber(timeLeft(c, NOW, NOW + 252_000 + 18 * 60_000)), ["+18", "分"]);
});

test("a working clock goes on from what the server counted", () => {
	const c = withClock({ remaining: 0.6, due_at: at(20 * 3600) });
	const left = timeLeft(c, NOW, NOW);
	assert.equal(left.level, "70");
	assert.deepEqual(leftNumber(left), ["0.6", "工时"]);
	assert.equal(timeLeft(c, NOW, NOW + 600_000).seconds, 0.6 * 3600 - 600);
	assert.equal(timeLeft(withClock({ remaining: "0.3wh", due_at: at(3600) }), NOW, NOW).level, "80");
});

test("a frozen clock stands still until it goes on", () => {
	const c = withClock({ remaining: 1.3, due_at: at(20 * 3600), frozen_until: at(16 * 3600) });
	assert.equal(timeLeft(c, NOW, NOW + 8 * 3_600_000).seconds, 1.3 * 3600);
	assert.equal(timeLeft(c, NOW, NOW + 8 * 3_600_000).frozenUntil, NOW + 16 * 3_600_000);
	assert.equal(timeLeft(c, NOW, NOW + 16 * 3_600_000 + 60_000).seconds, 1.3 * 3600 - 60);
});

test("unsigned past the handling limit is overdue, whatever is left to sign", () => {
	const c = withClock({ kind: "sign", limit: "2h", unit: "h", due_at: at(3600) }, { state: "assigned", handle_due_at: at(30) });
	assert.notEqual(timeLeft(c, NOW, NOW + 29_000).level, "over");
	assert.equal(timeLeft(c, NOW, NOW + 30_000).level, "over");
	assert.equal(timeLeft(c, NOW, NOW + 90_000).seconds, -60);
});

test("nothing is overdue before its due instant, and everything is after it", () => {
	const c = withClock({ remaining: 0.01, due_at: at(7200) });
	assert.equal(timeLeft(c, NOW, NOW + 3_600_000).seconds, 1);
	assert.notEqual(timeLeft(c, NOW, NOW + 7_199_000).level, "over");
	assert.equal(timeLeft(c, NOW, NOW + 7_201_000).level, "over");
	assert.equal(timeLeft(withClock({ remaining: 5, due_at: at(-1) }), NOW, NOW).level, "over");
});

test("on hold: what was left stays, whatever the wall says", () => {
	const c = withClock({ limit: "3wd", unit: "wd", remaining: 1.4, due_at: at(-5) }, { suspended: true });
	const left = timeLeft(c, NOW, NOW + 86_400_000);
	assert.equal(left.level, "hold");
	assert.deepEqual(leftNumber(left), ["1.4", "工日"]);
});

test("a working day is as long as its calendar says", () => {
	const c = withClock({ limit: "2wd", unit: "wd", limit_us: 2 * 7 * 3600e6, remaining_us: 7 * 3600e6, due_at: at(90_000) });
	assert.deepEqual(leftNumber(timeLeft(c, NOW, NOW)), ["1.0", "工日"]);
	assert.equal(timeLeft(c, NOW, NOW).used, 0.5);
});

test("no clock, and a closed case", () => {
	assert.equal(timeLeft(withClock({}, { clock: null }), NOW, NOW).seconds, null);
	assert.equal(timeLeft(withClock({ due_at: at(-1) }, { state: "closed" }), NOW, NOW).level, "ok");
});

test("quantities", () => {
	assert.deepEqual(quantity("1.5wd", "h"), [1.5, "wd"]);
	assert.deepEqual(quantity(-2, "wh"), [-2, "wh"]);
	assert.deepEqual(quantity("30min", "wh"), [0.5, "h"]);
	assert.equal(quantity("soon", "h"), null);
	assert.equal(quantity(null, "h"), null);
});

test("numbers are floored, never promising more than remains", () => {
	assert.deepEqual(stretch(3599, "h", 28_800), ["59", "分"]);
	assert.deepEqual(stretch(3840, "h", 28_800), ["1:04", "时"]);
	assert.deepEqual(stretch(0.99 * 3600, "wh", 28_800), ["0.9", "工时"]);
	assert.deepEqual(stretch(1.69 * 28_800, "wd", 28_800), ["1.6", "工日"]);
	assert.equal(limitText("0.25h"), "15\u00a0分");
	assert.equal(limitText("2wh"), "2\u00a0工时");
});

test("instants as seen from now, in the city's zone", () => {
	zone.value = "Asia/Shanghai";
	const see = (text: string, how = {}) => instant(Date.parse(text), NOW, how).replace("\u00a0", " ");
	assert.equal(see("2026-11-24T16:52:24+08:00"), "今天 16:52");
	assert.equal(see("2026-11-24T16:52:24+08:00", { brief: true, seconds: true }), "16:52:24");
	assert.equal(see("2026-11-25T00:10:00+08:00"), "明天 00:10");
	assert.equal(see("2026-11-25T09:42:00+08:00", { brief: true }), "明 09:42");
	assert.equal(see("2026-11-26T09:24:00+08:00"), "周四 09:24");
	assert.equal(see("2026-12-05T11:00:00+08:00"), "12-05 11:00");
	assert.equal(see("2025-11-30T11:00:00+08:00"), "2025-11-30");
	assert.equal(wallClock(NOW), "11-24 周二 16:48:12");
	setLang("en");
	assert.equal(see("2026-11-24T16:52:24+08:00"), "16:52");
	assert.equal(see("2026-11-26T09:24:00+08:00"), "Thu 09:24");
	assert.equal(see("2026-11-30T11:00:00+08:00"), "Mon 11:00");
	assert.equal(wallClock(NOW), "Tue 24 Nov 16:48:12");
	zone.value = "America/New_York"; // the same instant, another day's morning
	assert.equal(wallClock(NOW), "Tue 24 Nov 03:48:12");
	setLang("zh");
});
