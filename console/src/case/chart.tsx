// Readings around a moment: one line, the limit dashed, the moment a vertical line. Fetched when first needed.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { timeOfDay } from "../format";
import { t } from "../text";
import { rounded as said } from "./series";

export interface Point {
	at: number;
	value: number;
}

export interface Series {
	metric: string;
	unit: string;
	points: readonly Point[];
	/** A value beyond it is what the rule looks for. */
	limit: number | null;
	/** Back past it the incident clears. */
	clear: number | null;
	/** The instant the rule fired. */
	trigger: number | null;
	/** A silence: when the source was last heard, and when it came back; null: it has not. */
	silent: number | null;
	until: number | null;
	/** How far what is known reaches. */
	now: number;
}

const HEIGHT = 138;
const LEFT = 42;
const RIGHT = 10;
const TOP = 16;
const BOTTOM = 20;

/** Round steps so that at most `most` of them lie between low and high. */
export function ticks(low: number, high: number, most: number): number[] {
	const span = high - low || Math.abs(high) || 1;
	const raw = span / most;
	const power = 10 ** Math.floor(Math.log10(raw));
	const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? raw;
	const found: number[] = [];
	for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(Number(at.toPrecision(12)));
	return found;
}

/** More readings than pixels: of each pixel the lowest and the highest stay, so that no peak is lost. */
export function thin(points: readonly Point[], columns: number): Point[] {
	if (points.length <= columns * 2) return [...points];
	const first = points[0]?.at ?? 0;
	const span = (points.at(-1)?.at ?? 0) - first || 1;
	const kept: Point[] = [];
	let column = -1;
	let low: Point | null = null;
	let high: Point | null = null;
	const flush = () => {
		if (low && high) kept.push(...(low === high ? [low] : low.at < high.at ? [low, high] : [high, low]));
	};
	for (const point of points) {
		const at = Math.min(columns - 1, Math.floor(((point.at - first) / span) * columns));
		if (at !== column) {
			flush();
			column = at;
			low = high = point;
		} else {
			if (low && point.value < low.value) low = point;
			if (high && point.value > high.value) high = point;
		}
	}
	flush();
	return kept;
}

export default function Chart({ series }: { series: Series }) {
	const box = useRef<HTMLDivElement>(null);
	const width = useSignal(520);
	useEffect(() => {
		const element = box.current;
		if (!element) return;
		const observer = new ResizeObserver(() => (width.value = Math.max(200, element.clientWidth)));
		observer.observe(element);
		return () => observer.disconnect();
	}, []);

	const { points, limit, clear, trigger, metric, unit, silent } = series;
	const back = series.until ?? series.now;
	const values = points.map((p) => p.value);
	const least = Math.min(...values, limit ?? Infinity, clear ?? Infinity);
	const most = Math.max(...values, limit ?? -Infinity, clear ?? -Infinity);
	const pad = (most - least || Math.abs(most) || 1) * 0.08;
	const [low, high] = [least - pad, most + pad];
	const from = Math.min(points[0]?.at ?? 0, trigger ?? Infinity);
	const to = Math.max(points.at(-1)?.at ?? 1, trigger ?? -Infinity, silent === null ? -Infinity : back);
	const plot = width.value - LEFT - RIGHT;
	const x = (at: number) => LEFT + ((at - from) / (to - from || 1)) * plot;
	const y = (value: number) => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
	// Over a silence no line is drawn: nobody knows what was between.
	const breaks = (p: Point, before: Point | undefined) => !before || (silent !== null && before.at <= silent && p.at > silent);
	const line = thin(points, plot).map((p, i, all) => `${breaks(p, all[i - 1]) ? "M" : "L"}${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`).join("");
	const atTrigger = trigger === null ? undefined : points.filter((p) => p.at <= trigger).at(-1) ?? points[0];
	const last = points.at(-1);
	const sentence = t("chart.sentence", {
		metric, n: points.length, from: timeOfDay(from), to: timeOfDay(to), low: said(Math.min(...values)), high: said(Math.max(...values)), unit,
	}) + (limit === null ? "" : t("chart.sentence.limit", { limit: said(limit) }))
		+ (silent !== null ? t(series.until === null ? "chart.sentence.silent" : "chart.sentence.back", { at: timeOfDay(silent), back: timeOfDay(back) }) : "")
		+ (silent === null && atTrigger && trigger !== null ? t("chart.sentence.trigger", { at: timeOfDay(trigger), value: said(atTrigger.value) }) : "");
	const times = Array.from({ length: 5 }, (_, i) => from + ((to - from) * i) / 4);
	// The words at the trigger stand where there is room for them.
	const tx = trigger === null ? 0 : x(trigger);
	const right = tx < LEFT + plot * 0.6;
	return (
		<div class="chart" ref={box} data-testid="chart" data-points={points.length} data-silent={silent === null ? undefined : String(series.until === null)}>
			<svg width={width.value} height={HEIGHT} role="img" aria-label={sentence}>
				{ticks(low, high, 4).map((value) => (
					<g key={value}>
						<path class="grid" d={`M${LEFT} ${y(value).toFixed(1)}H${LEFT + plot}`} />
						<text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{said(value)}</text>
					</g>
				))}
				{times.map((at, i) => (
					<text key={i} x={x(at)} y={HEIGHT - 5} text-anchor={i === 0 ? "start" : i === 4 ? "end" : "middle"}>{timeOfDay(at)}</text>
				))}
				{clear !== null && clear !== limit && <path class="clear" d={`M${LEFT} ${y(clear).toFixed(1)}H${LEFT + plot}`} />}
				{limit !== null && (
					<>
						<path class="limit" d={`M${LEFT} ${y(limit).toFixed(1)}H${LEFT + plot}`} />
						<text class="halo" x={LEFT + 4} y={y(limit) - 5}>{t("chart.limit", { v: said(limit) })}</text>
					</>
				)}
				{silent !== null && (
					<>
						<rect class="silent" x={x(silent)} y={TOP} width={Math.max(1, x(back) - x(silent))} height={HEIGHT - TOP - BOTTOM} />
						<text class="halo" x={(x(silent) + x(trigger ?? back)) / 2} y={HEIGHT - BOTTOM - 8} text-anchor="middle">{t("chart.silent")}</text>
					</>
				)}
				<path class="line" d={line} />
				{points.length < 40 && points.map((p) => <circle key={p.at} class="pt" cx={x(p.at)} cy={y(p.value)} r="1.8" />)}
				{trigger !== null && (
					<>
						<path class="trigger" d={`M${tx.toFixed(1)} ${TOP - 4}V${HEIGHT - BOTTOM}`} />
						<text class="halo strong" x={tx + (right ? 5 : -5)} y={TOP - 4} text-anchor={right ? "start" : "end"}>
							{t("chart.trigger", { at: timeOfDay(trigger, true) })}</text>
					</>
				)}
				{last && !(trigger !== null && Math.abs(tx - x(last.at)) < 110 && y(last.value) < TOP + 20) && <text class="halo strong" x={LEFT + plot} y={y(last.value) - 6} text-anchor="end">{said(last.value)}</text>}
			</svg>
		</div>
	);
}
