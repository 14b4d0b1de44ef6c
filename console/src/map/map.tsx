// The map's pane. The engine is fetched when the pane first shows; without it the queue holds the same cases.
import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { LEVELS } from "../clock";
import { Glyph } from "../glyph";
import { changes, city, counts, now, select, selected } from "../store";
import { either, lang, t } from "../text";
import { isSmall, layersOpen, mapShown, theme } from "../ui";
import type { Engine, Layer } from "./engine";

const GATHER_MS = 200;
const LAYERS: readonly Layer[] = ["cases", "heat", "borders", "names"];
/** What the map shows, kept for this operator. */
const layers = signal<Record<Layer, boolean>>({ cases: true, heat: false, borders: true, names: true, ...stored() });

function stored(): Partial<Record<Layer, boolean>> {
	try {
		return JSON.parse(localStorage.getItem("layers") ?? "{}") as Partial<Record<Layer, boolean>>;
	} catch {
		return {};
	}
}

function Layers() {
	const open = layersOpen.value;
	const set = (layer: Layer, on: boolean) => {
		layers.value = { ...layers.peek(), [layer]: on };
		localStorage.setItem("layers", JSON.stringify(layers.peek()));
	};
	return (
		<div class="layers">
			<button data-testid="layers" aria-expanded={open} onClick={() => (layersOpen.value = !open)}>{t("map.layers")} <span class="k">l</span></button>
			{open && LAYERS.map((layer) => (
				<label><input type="checkbox" data-testid={`layer-${layer}`} checked={layers.value[layer]} onChange={(e) => set(layer, e.currentTarget.checked)} />
					{t(`map.layer.${layer}`)}</label>
			))}
		</div>
	);
}

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

	useEffect(() => {
		for (const layer of LAYERS) engine.value?.showLayer(layer, layers.value[layer]);
	}, [layers.value, engine.value]);
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
			<Layers />
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
