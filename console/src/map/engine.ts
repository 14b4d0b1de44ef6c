// MapLibre over the city's own shapes: no tiles, no glyph files, no address but ours. Loaded on demand.
import * as maplibre from "maplibre-gl";
import workerUrl from "asset:maplibre-gl/dist/maplibre-gl-worker.mjs";
import { isTerminal, LEVELS } from "../clock";
import { discImage, glyphImage, type Shape } from "../glyph";
import { shapeOf } from "../queue/row";
import { allCases, caseById, leftOf } from "../store";
import { either } from "../text";
import type { Case, City } from "../types";

maplibre.setWorkerUrl(workerUrl);

const FONT_STACK = '"Inter","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif';
const SHAPES: readonly Shape[] = [...LEVELS, "frozen"];
const SIZE: Partial<Record<Shape, number>> = { over: 15, "80": 15, "70": 15 };
const SIZE_CALM = 10;
/** Metres a pixel: nearer than about 1:25 000 every case stands for itself, farther than about 1:100 000 streets stand for
 * their grids. */
const CASES_MPP = 6.6;
const GRIDS_MPP = 26;
const DISC_PX = 26;
/** A part of the boundary this much smaller than the largest does not decide what is shown: far islands. */
const PART_MIN = 0.02;

export interface Engine {
	/** Colours, marks and names in the theme and language of the moment. */
	paint(): void;
	/** Bring the marks up to date; only what changed travels. */
	showCases(at: number): void;
	showSelected(id: string | null, at: number): void;
	zoom(by: number): void;
	fit(): void;
	showLayer(layer: Layer, on: boolean): void;
	remove(): void;
}

export type Layer = "cases" | "heat" | "borders" | "names";
const LAYERS: Record<Layer, readonly string[]> = {
	cases: ["cases", "grids", "many-grids", "wards", "many-wards"],
	heat: ["heat"],
	borders: ["streets", "districts"],
	names: ["names"],
};

const NONE: GeoJSON.FeatureCollection = { type: "FeatureCollection", features: [] };

function asFeature(shape: GeoJSON.GeoJSON | null | undefined): GeoJSON.GeoJSON {
	return shape ?? NONE;
}

/** Names need a point of their own, or a shape of many parts would carry its name many times. */
function labelPoints(shapes: GeoJSON.FeatureCollection | null | undefined): GeoJSON.FeatureCollection {
	const features = (shapes?.features ?? []).flatMap((feature): GeoJSON.Feature[] => {
		const p = (feature.properties ?? {}) as Record<string, string | null | undefined>;
		const name = either(p.short_zh || p.name_zh, p.short_en || p.name_en) || p.name || p.code;
		const at = feature.geometry && middle(feature.geometry);
		return typeof name === "string" && at
			? [{ type: "Feature", properties: { name }, geometry: { type: "Point", coordinates: at } }] : [];
	});
	return { type: "FeatureCollection", features };
}

function outerRings(shape: GeoJSON.GeoJSON): GeoJSON.Position[][] {
	switch (shape.type) {
	case "Polygon": return shape.coordinates.slice(0, 1);
	case "MultiPolygon": return shape.coordinates.flatMap((polygon) => polygon.slice(0, 1));
	case "Feature": return shape.geometry ? outerRings(shape.geometry) : [];
	case "FeatureCollection": return shape.features.flatMap(outerRings);
	default: return [];
	}
}

/** Area in square degrees and centroid of a ring. */
function measure(ring: GeoJSON.Position[]): { area: number; at: [number, number] } {
	let area = 0;
	let x = 0;
	let y = 0;
	for (let i = 0; i + 1 < ring.length; i++) {
		const [x0 = 0, y0 = 0] = ring[i] ?? [];
		const [x1 = 0, y1 = 0] = ring[i + 1] ?? [];
		const cross = x0 * y1 - x1 * y0;
		area += cross;
		x += (x0 + x1) * cross;
		y += (y0 + y1) * cross;
	}
	return { area: Math.abs(area) / 2, at: [x / (3 * area), y / (3 * area)] };
}

/** Centroid of the largest ring. */
function middle(geometry: GeoJSON.Geometry): [number, number] | null {
	let best: ReturnType<typeof measure> | null = null;
	for (const ring of outerRings(geometry)) {
		const found = measure(ring);
		if (found.area > (best?.area ?? 0)) best = found;
	}
	return best?.at ?? null;
}

/** The box of the city's larger parts; the whole world for a city without a boundary. */
function boundsOf({ bbox: [west, south, east, north], boundary }: City): maplibre.LngLatBoundsLike {
	if (west === null) return [[-170, -60], [170, 70]];
	const parts = boundary ? outerRings(boundary).map((ring) => ({ ring, area: measure(ring).area })) : [];
	const least = PART_MIN * Math.max(0, ...parts.map((part) => part.area));
	const box = new maplibre.LngLatBounds();
	for (const { ring, area } of parts) {
		if (area >= least) for (const [lon = 0, lat = 0] of ring) box.extend([lon, lat]);
	}
	return box.isEmpty() ? [[west, south], [east, north]] : box;
}

function token(name: string): string {
	return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The zoom at which so many metres lie in a pixel. */
function zoomOf(metresPerPixel: number, city: City): number {
	const [, south, , north] = city.bbox;
	const lat = south === null || north === null ? 0 : (south + north) / 2;
	return Math.log2((40_075_016.686 * Math.cos((lat * Math.PI) / 180)) / (512 * metresPerPixel));
}

/** Colours stand in the style from the first frame: a layer without one is painted black. */
function styleOf(city: City): maplibre.StyleSpecification {
	const line = (id: string, source: string, width: number, colour: string, dash?: number[]): maplibre.LineLayerSpecification => ({
		id, source, type: "line", paint: { "line-color": token(colour), "line-width": width, ...(dash && { "line-dasharray": dash }) },
	});
	const nearZoom = zoomOf(CASES_MPP, city);
	const gridZoom = zoomOf(GRIDS_MPP, city);
	const one = (id: string, source: string, from: number, to: number): maplibre.SymbolLayerSpecification => ({
		id, source, type: "symbol", minzoom: from, maxzoom: to, filter: ["==", ["get", "n"], 1],
		layout: {
			"icon-image": ["get", "icon"], "icon-allow-overlap": true, "icon-ignore-placement": true, "symbol-sort-key": ["get", "rank"],
		},
	});
	const many = (id: string, source: string, from: number, to: number): maplibre.SymbolLayerSpecification => ({
		id, source, type: "symbol", minzoom: from, maxzoom: to, filter: [">", ["get", "n"], 1],
		layout: {
			"icon-image": ["concat", "many-", ["get", "rank"]], "icon-allow-overlap": true, "icon-ignore-placement": true,
			"text-field": ["to-string", ["get", "n"]], "text-size": 11, "text-font": ["Noto Sans CJK SC Regular"], "text-allow-overlap": true,
			"text-ignore-placement": true, "symbol-sort-key": ["get", "rank"],
		},
		paint: { "text-color": token("fg1") },
	});
	return {
		version: 8,
		sources: {
			boundary: { type: "geojson", data: asFeature(city.boundary) },
			districts: { type: "geojson", data: asFeature(city.districts) },
			streets: { type: "geojson", data: asFeature(city.streets) },
			names: { type: "geojson", data: NONE },
			cases: { type: "geojson", data: NONE, promoteId: "id" },
			grids: { type: "geojson", data: NONE, promoteId: "id" },
			wards: { type: "geojson", data: NONE, promoteId: "id" },
			selected: { type: "geojson", data: NONE },
		},
		layers: [
			{ id: "out", type: "background", paint: { "background-color": token("m-out") } },
			{ id: "land", source: "boundary", type: "fill", paint: { "fill-color": token("m-land") } },
			{
				id: "heat", source: "cases", type: "heatmap", layout: { visibility: "none" },
				paint: {
					"heatmap-radius": 26, "heatmap-opacity": 0.75,
					"heatmap-color": ["interpolate", ["linear"], ["heatmap-density"], 0, "rgba(0,0,0,0)", 0.2, token("line1"), 0.6, token("gryf"), 1, token("fg1")],
				},
			},
			line("streets", "streets", 1, "m-road2", [1, 3]),
			line("districts", "districts", 1, "m-edge", [2, 3]),
			line("edge", "boundary", 1.4, "m-edge"),
			{
				id: "names", source: "names", type: "symbol",
				layout: { "text-field": ["get", "name"], "text-size": 12, "text-font": ["Noto Sans CJK SC Regular"], "text-max-width": 7,
					"text-variable-anchor": ["center", "top", "bottom", "left", "right"], "text-radial-offset": 1.3 },
				paint: { "text-color": token("m-label"), "text-halo-color": token("m-land"), "text-halo-width": 1.6 },
			},
			one("cases", "cases", nearZoom, 24),
			one("grids", "grids", gridZoom, nearZoom),
			many("many-grids", "grids", gridZoom, nearZoom),
			one("wards", "wards", 0, gridZoom),
			many("many-wards", "wards", 0, gridZoom),
			{
				id: "selected-mark", source: "selected", type: "symbol",
				layout: { "icon-image": ["get", "icon"], "icon-allow-overlap": true, "icon-ignore-placement": true },
			},
			{
				id: "selected", source: "selected", type: "circle",
				paint: { "circle-radius": 13, "circle-color": "rgba(0,0,0,0)", "circle-stroke-width": 2.2, "circle-stroke-color": token("acc") },
			},
		],
	};
}

interface Mark {
	icon: string;
	rank: number;
	lon: number;
	lat: number;
	/** Cases it stands for. */
	n: number;
	/** The case it is, when it stands for one. */
	id: string;
}

function markOf(c: Case, asOf: number, at: number): Mark | null {
	if (c.lon == null || c.lat == null || isTerminal(c)) return null;
	const shape = shapeOf(c, leftOf({ case: c, asOf }, at));
	const icon = SHAPES.includes(shape) ? shape : "ok";
	return { icon: `mark-${icon}`, rank: rankOf(icon), lon: c.lon, lat: c.lat, n: 1, id: c.case_id };
}

/** Takes one more case into the mark of its grid or street: in the middle of them all, as bad as the worst. */
function gather(into: Map<string, Mark>, key: string, mark: Mark) {
	const sum = into.get(key);
	if (!sum) {
		into.set(key, { ...mark });
		return;
	}
	sum.lon += (mark.lon - sum.lon) / (sum.n + 1);
	sum.lat += (mark.lat - sum.lat) / (sum.n + 1);
	sum.n++;
	if (mark.rank > sum.rank) {
		sum.rank = mark.rank;
		sum.icon = mark.icon;
	}
}

/** A source of marks and what it shows: only differences travel. */
class Marks {
	private readonly shown = new Map<string, Mark>();

	constructor(private readonly map: maplibre.Map, private readonly source: string) {}

	get size() {
		return this.shown.size;
	}

	show(next: ReadonlyMap<string, Mark>) {
		const add: GeoJSON.Feature[] = [];
		const update: maplibre.GeoJSONFeatureDiff[] = [];
		const remove: string[] = [];
		for (const [key, mark] of next) {
			const before = this.shown.get(key);
			const properties = { id: key, icon: mark.icon, rank: mark.rank, n: mark.n, case: mark.n === 1 ? mark.id : "" };
			if (!before) {
				add.push({ type: "Feature", properties, geometry: point(mark) });
			} else if (before.icon !== mark.icon || before.lon !== mark.lon || before.lat !== mark.lat || before.n !== mark.n || before.id !== mark.id) {
				update.push({
					id: key, newGeometry: point(mark),
					addOrUpdateProperties: Object.entries(properties).map(([name, value]) => ({ key: name, value })),
				});
			} else continue;
			this.shown.set(key, mark);
		}
		for (const key of this.shown.keys()) if (!next.has(key)) remove.push(key);
		for (const key of remove) this.shown.delete(key);
		if (add.length + update.length + remove.length === 0) return;
		void this.map.getSource<maplibre.GeoJSONSource>(this.source)?.updateData({ add, update, remove });
	}
}

/** The worst is the highest and is drawn last. */
const rankOf = (shape: Shape) => SHAPES.length - SHAPES.indexOf(shape);

const point = (mark: Mark): GeoJSON.Point => ({ type: "Point", coordinates: [mark.lon, mark.lat] });

class MapEngine implements Engine {
	private readonly cases: Marks;
	private readonly grids: Marks;
	private readonly wards: Marks;

	constructor(
		private readonly map: maplibre.Map,
		private readonly city: City,
		private readonly holder: HTMLElement,
	) {
		this.cases = new Marks(map, "cases");
		this.grids = new Marks(map, "grids");
		this.wards = new Marks(map, "wards");
		map.on("move", () => this.scale());
		map.on("resize", () => this.scale());
		this.scale();
	}

	paint() {
		const set = (layer: string, property: string, name: string) =>
			this.map.setPaintProperty(layer, property as "fill-color", token(name));
		set("out", "background-color", "m-out");
		set("land", "fill-color", "m-land");
		set("streets", "line-color", "m-road2");
		set("districts", "line-color", "m-edge");
		set("edge", "line-color", "m-edge");
		set("names", "text-color", "m-label");
		set("names", "text-halo-color", "m-land");
		set("many-grids", "text-color", "fg1");
		set("many-wards", "text-color", "fg1");
		this.map.setPaintProperty("heat", "heatmap-color", ["interpolate", ["linear"], ["heatmap-density"],
			0, "rgba(0,0,0,0)", 0.2, token("line1"), 0.6, token("gryf"), 1, token("fg1")]);
		set("selected", "circle-stroke-color", "acc");
		const named = this.city.districts?.features.length ? this.city.districts : this.city.streets;
		void this.map.getSource<maplibre.GeoJSONSource>("names")?.setData(labelPoints(named));
		for (const shape of SHAPES) {
			this.putImage(`mark-${shape}`, glyphImage(shape, 0.4, SIZE[shape] ?? SIZE_CALM, 2));
			this.putImage(`many-${rankOf(shape)}`, discImage(shape, DISC_PX, 2));
		}
	}

	private putImage(name: string, image: ImageData | null) {
		if (!image) return;
		if (this.map.hasImage(name)) this.map.removeImage(name);
		this.map.addImage(name, image, { pixelRatio: 2 });
	}

	showCases(at: number) {
		const cases = new Map<string, Mark>();
		const grids = new Map<string, Mark>();
		const wards = new Map<string, Mark>();
		for (const known of allCases()) {
			const { case: c, asOf } = known.peek();
			const mark = markOf(c, asOf, at);
			if (!mark) continue;
			cases.set(c.case_id, mark);
			gather(grids, c.grid_cell || c.case_id, mark);
			gather(wards, c.street || c.grid_cell || c.case_id, mark);
		}
		this.cases.show(cases);
		this.grids.show(grids);
		this.wards.show(wards);
		this.holder.dataset.marks = String(this.cases.size);
		this.holder.dataset.grids = String(this.grids.size);
	}

	showLayer(layer: Layer, on: boolean) {
		for (const id of LAYERS[layer]) this.map.setLayoutProperty(id, "visibility", on ? "visible" : "none");
	}

	showSelected(id: string | null, at: number) {
		const known = id ? caseById(id)?.peek() : undefined;
		const source = this.map.getSource<maplibre.GeoJSONSource>("selected");
		if (!source) return;
		const c = known?.case;
		if (!known || c?.lon == null || c.lat == null) {
			void source.setData(NONE);
			return;
		}
		// Its own mark too: among many it would be part of a disc.
		const icon = markOf(c, known.asOf, at)?.icon ?? "";
		void source.setData({ type: "Feature", properties: { icon }, geometry: { type: "Point", coordinates: [c.lon, c.lat] } });
		if (!this.map.getBounds().contains([c.lon, c.lat])) this.map.panTo([c.lon, c.lat], { duration: 0 });
	}

	zoom(by: number) {
		this.map.zoomTo(this.map.getZoom() + by, { duration: 120 });
	}

	fit() {
		this.map.fitBounds(boundsOf(this.city), { padding: 20, duration: 0 });
	}

	remove() {
		this.map.remove();
	}

	/** The scale bar: a round length between 40 and 100 px. */
	private scale() {
		const bar = this.holder.parentElement?.querySelector<HTMLElement>(".scale i");
		const said = this.holder.parentElement?.querySelector<HTMLElement>(".scale span");
		if (!bar || !said) return;
		const lat = this.map.getCenter().lat;
		const metresPerPixel = (40_075_016.686 * Math.cos((lat * Math.PI) / 180)) / (512 * 2 ** this.map.getZoom());
		const most = metresPerPixel * 100;
		const power = 10 ** Math.floor(Math.log10(most));
		const length = [5, 2, 1].map((n) => n * power).find((n) => n <= most) ?? power;
		bar.style.width = `${length / metresPerPixel}px`;
		said.textContent = length >= 1000 ? `${length / 1000} km` : `${length} m`;
	}
}

/** Draw the city; resolves when the first frame is there. */
export function createEngine(holder: HTMLElement, city: City, onPick: (id: string) => void): Promise<Engine> {
	const map = new maplibre.Map({
		container: holder,
		style: styleOf(city),
		bounds: boundsOf(city),
		fitBoundsOptions: { padding: 20 },
		localIdeographFontFamily: FONT_STACK,
		attributionControl: false,
		dragRotate: false,
		pitchWithRotate: false,
		touchPitch: false,
		fadeDuration: 0,
		keyboard: false,
	});
	map.touchZoomRotate.disableRotation();
	const singles = ["cases", "grids", "wards"];
	const discs = ["many-grids", "many-wards"];
	map.on("click", singles, (event) => {
		const id: unknown = event.features?.[0]?.properties.case;
		if (typeof id === "string" && id) onPick(id);
	});
	// Somebody may be asking where: the panel of a case without a place.
	map.on("click", (event) => {
		if (map.queryRenderedFeatures(event.point, { layers: [...singles, ...discs] }).length === 0) {
			dispatchEvent(new CustomEvent("map-place", { detail: event.lngLat.toArray() }));
		}
	});
	// A disc opens: nearer, until its streets are grids and its grids are cases.
	map.on("click", discs, (event) => {
		const found = event.features?.[0];
		if (found?.geometry.type !== "Point") return;
		const [lon = 0, lat = 0] = found.geometry.coordinates;
		const zoom = zoomOf(found.layer.id === "many-wards" ? GRIDS_MPP : CASES_MPP, city) + 0.1;
		map.easeTo({ center: [lon, lat], zoom, duration: 120 });
	});
	map.on("mouseenter", [...singles, ...discs], () => (map.getCanvas().style.cursor = "pointer"));
	map.on("mouseleave", [...singles, ...discs], () => (map.getCanvas().style.cursor = ""));
	map.getCanvas().tabIndex = -1; // the pane is the tab stop
	return new Promise((resolve, reject) => {
		map.once("load", () => {
			const engine = new MapEngine(map, city, holder);
			engine.paint();
			resolve(engine);
		});
		map.once("error", (event) => reject(event.error));
	});
}
