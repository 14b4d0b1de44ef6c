// Numbers, durations and instants as the operator reads them: the city's zone, floored so that no more is promised than remains.
import { signal } from "@preact/signals";
import type { Left } from "./clock";
import { lang, t } from "./text";
import type { Unit } from "./types";

/** IANA zone of the city; the browser's own until the city is known. */
export const zone = signal(Intl.DateTimeFormat().resolvedOptions().timeZone);

const NBSP = "\u00a0";
const MINUS = "\u2212";

interface Parts {
	year: number;
	month: number;
	day: number;
	hour: string;
	minute: string;
	second: string;
	/** Days since the epoch of the local date, for telling today from tomorrow. */
	dayNumber: number;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(name: string): Intl.DateTimeFormat {
	let found = formatters.get(name);
	if (!found) {
		found = new Intl.DateTimeFormat("en-GB", {
			timeZone: name, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
			hour: "2-digit", minute: "2-digit", second: "2-digit",
		});
		formatters.set(name, found);
	}
	return found;
}

function parts(at: number): Parts {
	const got: Record<string, string> = {};
	for (const part of formatter(zone.value).formatToParts(at)) got[part.type] = part.value;
	const year = Number(got.year);
	const month = Number(got.month);
	const day = Number(got.day);
	return {
		year, month, day,
		hour: got.hour ?? "", minute: got.minute ?? "", second: got.second ?? "",
		dayNumber: Math.round(Date.UTC(year, month - 1, day) / 86_400_000),
	};
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS = {
	zh: ["周日", "周一", "周二", "周三", "周四", "周五", "周六"],
	en: ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
};
const weekday = (p: Parts) => WEEKDAYS[lang.value][(((p.dayNumber + 4) % 7) + 7) % 7] ?? "";
const two = (n: number) => String(n).padStart(2, "0");

export function timeOfDay(at: number, seconds = false): string {
	const p = parts(at);
	return seconds ? `${p.hour}:${p.minute}:${p.second}` : `${p.hour}:${p.minute}`;
}

function monthDay(p: Parts, now: Parts): string {
	if (lang.value === "zh") return p.year === now.year ? `${two(p.month)}-${two(p.day)}` : `${p.year}-${two(p.month)}-${two(p.day)}`;
	const short = `${p.day} ${MONTHS[p.month - 1]}`;
	return p.year === now.year ? short : `${short} ${p.year}`;
}

/** The day of an instant as seen from now: 今天, 明天, 周四, 11-30. */
function dayName(p: Parts, now: Parts, brief: boolean): string {
	const ahead = p.dayNumber - now.dayNumber;
	if (ahead === 0) return brief || lang.value === "en" ? "" : t("day.today");
	if (ahead === 1) return t(brief ? "day.tomorrow.short" : "day.tomorrow");
	if (ahead === -1) return t("day.yesterday");
	if (ahead > 1 && ahead < 7) return weekday(p);
	return monthDay(p, now);
}

/** An instant: 今天 16:52, 明天 09:42, 周四 09:24, 11-30 11:00. Brief drops today and shortens tomorrow. */
export function instant(at: number, now: number, how: { brief?: boolean; seconds?: boolean } = {}): string {
	const p = parts(at);
	const today = parts(now);
	const day = dayName(p, today, how.brief === true);
	const time = how.seconds ? `${p.hour}:${p.minute}:${p.second}` : `${p.hour}:${p.minute}`;
	// Of another year the date says enough.
	if (p.year !== today.year && Math.abs(p.dayNumber - today.dayNumber) >= 7 && !how.seconds) return day;
	return day ? `${day}${NBSP}${time}` : time;
}

export function dateOnly(at: number, now: number): string {
	return dayName(parts(at), parts(now), false) || t("day.today");
}

/** The wall clock in the head line: 11-24 周二 16:48:12, Tue 24 Nov 16:48:12. */
export function wallClock(at: number): string {
	const p = parts(at);
	const time = `${p.hour}:${p.minute}:${p.second}`;
	if (lang.value === "zh") return `${two(p.month)}-${two(p.day)} ${weekday(p)} ${time}`;
	return `${weekday(p)} ${p.day} ${MONTHS[p.month - 1]} ${time}`;
}

const floor1 = (x: number) => (Math.floor(x * 10 + 1e-9) / 10).toFixed(1);

/** Number and unit of a stretch of counted seconds (not negative). */
export function stretch(seconds: number, unit: Unit, daySeconds: number): [string, string] {
	const whole = Math.floor(seconds);
	if (unit === "wd") return [floor1(seconds / daySeconds), t("unit.wd")];
	if (unit === "wh" && seconds >= 600) return [floor1(seconds / 3600), t("unit.wh")];
	if (whole < 600) return [`${two(Math.floor(whole / 60))}:${two(whole % 60)}`, t("unit.min")];
	if (whole < 3600) return [String(Math.floor(whole / 60)), t("unit.min")];
	if (whole < 48 * 3600) return [`${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))}`, t("unit.h")];
	return [floor1(seconds / 86_400), t("unit.d")];
}

/** What the row's number shows: `04:12` 分, `+18` 分, `1.6` 工日. */
export function leftNumber(left: Left): [string, string] {
	if (left.seconds === null) return [t("none"), ""];
	const [number, unit] = stretch(Math.abs(left.seconds), left.unit, left.daySeconds);
	return [left.seconds < 0 ? `+${number}` : number, unit];
}

/** "2wh" → 2 工时, 2 wh. */
export function limitText(limit: string | number, unit: Unit = "h"): string {
	const match = /^\s*(\d+(?:\.\d+)?)\s*(wh|wd|nd|h|min)?\s*$/.exec(String(limit));
	if (!match) return String(limit);
	const number = Number(match[1]);
	const name = match[2] ?? unit;
	if (name === "min") return `${number}${NBSP}${t("unit.min")}`;
	if (name === "h") {
		return number < 1 ? `${Math.round(number * 60)}${NBSP}${t("unit.min")}` : `${number}${NBSP}${t("unit.hour.whole")}`;
	}
	return `${number}${NBSP}${t(`unit.${name as "wh" | "wd" | "nd"}`)}`;
}

export const percent = (share: number) => String(Math.floor(share * 100 + 1e-9));
export const thousands = (n: number) => n.toLocaleString("en-US");
export const signed = (n: number) => (n < 0 ? `${MINUS}${Math.abs(n)}` : `+${n}`);

export function metres(m: number): string {
	return m < 1000 ? `${Math.round(m)}${NBSP}m` : `${(m / 1000).toFixed(1)}${NBSP}km`;
}

/** Mean-earth distance; good enough to say how far a neighbour is. */
export function distance(lon1: number, lat1: number, lon2: number, lat2: number): number {
	const rad = Math.PI / 180;
	const x = (lon2 - lon1) * rad * Math.cos(((lat1 + lat2) / 2) * rad);
	const y = (lat2 - lat1) * rad;
	return Math.hypot(x, y) * 6_371_008.8;
}

export const hasHan = (text: string) => /[\u3400-\u9fff]/.test(text);
/** The tail of a case number: …000123. */
export const tail = (caseNo: string) => `…${caseNo.slice(-6)}`;
/** The last four of a unit grid's code. */
export const gridTail = (cell: string | null | undefined) => (cell ? cell.slice(-4) : "");
