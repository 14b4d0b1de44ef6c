// The map's pane. The engine is fetched when the pane first shows; without it the queue holds the same cases.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { LEVELS } from "../clock";
import { Glyph } from "../glyph";
import { changes, city, counts, now, select, selected } from "../store";
import { either, lang, t } from "../text";
import { isSmall, mapShown, theme } from "../ui";
import type { Engine } from "./engine";

const GATHER_MS = 200;

export function MapPane() {
	const holder = useRef<HTMLDivElement>(null);
	const engine = useSignal<Engine | null>(null);
	const failure = useSignal("");
	const shown = !isSmall.value || mapShown.value;
	const here = city.value;

	useEffect(() => {
		if (!shown || !here || !holder.current) return;
		const element = holder.current;
		let made: Engine | null = null;
		let over = false;
		import("./engine").then(({ createEngine }) => createEngine(element, here, select)).then(
			(created) => {
				if (over) return created.remove();
				made = created;
				engine.value = created;
			},
			(error: unknown) => (failure.value = error instanceof Error ? error.message : String(error)),
		);
		return () => {
			over = true;
			engine.value = null;
			made?.remove();
		};
	}, [shown, here]);

	useEffect(() => engine.value?.paint(), [theme.value, lang.value, engine.value]);
	// Many changes are one update; levels that moved with time alone are looked at every five seconds.
	const pending = useRef<ReturnType<typeof setTimeout> | null>(null);
	useEffect(() => {
		pending.current ??= setTimeout(() => {
			pending.current = null;
			engine.peek()?.showCases(now.peek());
			engine.peek()?.showSelected(selected.peek(), now.peek());
		}, GATHER_MS);
	}, [changes.value, Math.floor(now.value / 5000), engine.value]);
	useEffect(() => engine.value?.showSelected(selected.value, now.peek()), [selected.value, engine.value]);
	useEffect(() => {
		const onZoom = (event: Event) => engine.peek()?.zoom((event as CustomEvent<number>).detail);
		addEventListener("map-zoom", onZoom);
		return () => removeEventListener("map-zoom", onZoom);
	}, []);

	return (
		<section class="map" tabIndex={0} aria-label={t("map.of", { city: either(here?.name_zh, here?.name_en), n: counts.value.open })} data-testid="map"
			data-ready={engine.value ? "true" : "false"} data-selected={selected.value ?? ""}>
			<div class="canvas" ref={holder} />
			{failure.value && <div class="blank" role="alert">{t("map.failed", { why: failure.value })}<p>{t("map.failed.body")}</p></div>}
			<div class="zoom">
				<button aria-label={t("map.zoom.in")} onClick={() => engine.peek()?.zoom(1)}>+</button>
				<button aria-label={t("map.zoom.out")} onClick={() => engine.peek()?.zoom(-1)}>−</button>
				<button aria-label={t("map.fit")} onClick={() => engine.peek()?.fit()}>◎</button>
			</div>
			<div class="legend">
				{LEVELS.map((level) => <div><Glyph shape={level} size={12} />{t(`level.${level}`)}</div>)}
			</div>
			<div class="scale" aria-hidden="true"><i /><span /></div>
		</section>
	);
}
