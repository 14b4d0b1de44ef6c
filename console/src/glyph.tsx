// The silhouettes that say how a case is doing. Shape carries it, colour repeats it, a word stands beside it.
import type { Level } from "./clock";

export type Shape = Level | "frozen" | "stopped";

interface Stroke {
	d: string;
	/** Token names: `redf` is var(--redf). */
	fill?: string;
	stroke?: string;
	width?: number;
	dash?: string;
	opacity?: number;
}

const RING = "M7 2a5 5 0 0 1 0 10a5 5 0 0 1 0-10"; // clockwise from the top, so that a dash fills like a clock
const ROUND = 2 * Math.PI * 5;

function strokes(shape: Shape, used: number): Stroke[] {
	switch (shape) {
	case "over": return [
		{ d: "M3 1.5h8a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5H3A1.5 1.5 0 0 1 1.5 11V3A1.5 1.5 0 0 1 3 1.5Z", fill: "redf" },
		{ d: "M7 3.8v4.2M7 9.4v1.4", stroke: "on-red", width: 1.7 },
	];
	case "80": return [{ d: "M7 1.4 13.3 12.4H.7Z", fill: "ambf" }];
	case "70": return [
		{ d: "M7 1.8a5.2 5.2 0 0 1 0 10.4a5.2 5.2 0 0 1 0-10.4", stroke: "yelf", width: 1.5 },
		{ d: "M7 1.8a5.2 5.2 0 0 1 0 10.4Z", fill: "yelf" },
	];
	case "hold": return [{ d: "M3 2.5h2.8v9H3ZM8.2 2.5H11v9H8.2Z", fill: "gryf" }];
	case "frozen": return [
		{ d: RING, stroke: "gryf", width: 1.6, opacity: 0.34 },
		{ d: RING, stroke: "gryf", width: 1.6, dash: "2 2.2" },
	];
	case "stopped": return [{ d: RING, stroke: "gryf", width: 1.3 }, { d: "M5.2 7h3.6", stroke: "gryf", width: 1.3 }];
	case "ok": {
		const filled = Math.max(0.6, ROUND * Math.min(used, 1));
		return [
			{ d: RING, stroke: "gryf", width: 1.6, opacity: 0.34 },
			{ d: RING, stroke: "grnf", width: 1.6, dash: `${filled.toFixed(1)} ${ROUND.toFixed(1)}` },
		];
	}
	}
}

/** Fill of the ring in twelfths: the eye does not tell more, and the row is not redrawn for less. */
export const twelfths = (used: number) => Math.floor(Math.min(used, 1) * 12) / 12;

const colour = (token: string | undefined) => (token ? `var(--${token})` : "none");

export function Glyph({ shape, used = 0.6, size = 14 }: { shape: Shape; used?: number; size?: number }) {
	return (
		<svg class={`glyph g-${shape}`} width={size} height={size} viewBox="0 0 14 14" aria-hidden="true">
			{strokes(shape, used).map((s) => (
				<path d={s.d} fill={colour(s.fill)} stroke={colour(s.stroke)} stroke-width={s.width} stroke-dasharray={s.dash}
					stroke-opacity={s.opacity} />
			))}
		</svg>
	);
}

type Token = (name: string) => string;

function picture(size: number, ratio: number, draw: (ctx: CanvasRenderingContext2D, token: Token) => void): ImageData | null {
	const canvas = document.createElement("canvas");
	canvas.width = canvas.height = size * ratio;
	const ctx = canvas.getContext("2d");
	if (!ctx) return null;
	const style = getComputedStyle(document.documentElement);
	ctx.scale(ratio, ratio);
	draw(ctx, (name) => style.getPropertyValue(`--${name}`).trim());
	return ctx.getImageData(0, 0, canvas.width, canvas.height);
}

/** The same silhouette as pixels for the map, `size` px at `ratio` device pixels each, on a disc of the land's colour. */
export function glyphImage(shape: Shape, used: number, size: number, ratio: number): ImageData | null {
	const pad = 2;
	return picture(size + 2 * pad, ratio, (ctx, token) => {
		ctx.translate(pad, pad);
		ctx.scale(size / 14, size / 14);
		drawGlyph(ctx, token, shape, used);
	});
}

/** A grey disc for many cases, to carry their number; on its rim the silhouette of the worst of them. */
export function discImage(worst: Shape, size: number, ratio: number): ImageData | null {
	const rim = 11;
	return picture(size + rim, ratio, (ctx, token) => {
		const middle = (size + rim) / 2;
		ctx.fillStyle = token("bg2");
		ctx.strokeStyle = token("line2");
		ctx.beginPath();
		ctx.arc(middle, middle, size / 2 - 0.5, 0, 2 * Math.PI);
		ctx.fill();
		ctx.stroke();
		const out = (size / 2) * Math.SQRT1_2;
		ctx.translate(middle + out - rim / 2, middle - out - rim / 2);
		ctx.scale(rim / 14, rim / 14);
		drawGlyph(ctx, token, worst, 0.4);
	});
}

function drawGlyph(ctx: CanvasRenderingContext2D, token: Token, shape: Shape, used: number) {
	if (shape === "ok" || shape === "70" || shape === "frozen") {
		ctx.fillStyle = token("m-land");
		ctx.beginPath();
		ctx.arc(7, 7, 6.8, 0, 2 * Math.PI);
		ctx.fill();
	}
	for (const s of strokes(shape, used)) {
		const path = new Path2D(s.d);
		ctx.globalAlpha = s.opacity ?? 1;
		ctx.setLineDash(s.dash ? s.dash.split(" ").map(Number) : []);
		if (s.fill) {
			ctx.fillStyle = token(s.fill);
			ctx.fill(path);
		}
		if (s.stroke) {
			ctx.strokeStyle = token(s.stroke);
			ctx.lineWidth = s.width ?? 1;
			ctx.stroke(path);
		}
	}
}
