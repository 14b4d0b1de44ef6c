// The inspector's page: what to verify and check nearby, what to report, what still waits to be sent. Made for 360 px and one thumb.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { session, signOut } from "../api";
import { Banners } from "../frame/frame";
import { Switches } from "../frame/top";
import { dateOnly, distance, instant, leftNumber, metres, tail, timeOfDay } from "../format";
import { Glyph } from "../glyph";
import { isUrgent, placeOf, shapeOf, typeName } from "../queue/row";
import { caseById, type CaseSignal, changes, city, departmentShort, leftOf, listState, loadList, now, order } from "../store";
import { heardAt, streamState } from "../stream";
import { t, type TextKey, tn } from "../text";
import type { Case, City } from "../types";
import { isTerminal } from "../clock";
import { answered, discard, type Item, items, keeps, openOutbox, pumpSoon, retryItem, sentToday, waitingItems } from "./outbox";
import { here, unwatchPlace, watchPlace } from "./place";
import { Answer, Report } from "./sheet";

type Tab = "tasks" | "waiting" | "done" | "me";

/** What the inspector is asked for in this state: the way forward first. */
function stepsOf(c: Case): string[] {
	const may = c.allowed_actions ?? [];
	return (c.state === "verifying" ? ["verify_result"] : ["check_pass", "check_fail"]).filter((action) => may.includes(action));
}

const taskName = (c: Case) => t(c.state === "verifying" ? "act.send_verify" : "step.check");

function away(c: Case): number | null {
	const at = here.value;
	return at && c.lon != null && c.lat != null ? distance(at.lon, at.lat, c.lon, c.lat) : null;
}

const MAP_WIDTH = 360;
const MAP_HEIGHT = 104;

function rings(shape: GeoJSON.GeoJSON | null | undefined): GeoJSON.Position[][] {
	switch (shape?.type) {
	case "Polygon": return shape.coordinates;
	case "MultiPolygon": return shape.coordinates.flat();
	case "Feature": return rings(shape.geometry);
	case "FeatureCollection": return shape.features.flatMap((feature) => rings(feature));
	default: return [];
	}
}

/** Where it is, seen from where I am: street borders, the case, me, and the distance. North is up. */
function Sketch({ c, city: known }: { c: Case; city: City | null }) {
	if (c.lon == null || c.lat == null) return null;
	const me = here.value;
	const far = away(c);
	const scale = Math.cos((c.lat * Math.PI) / 180) * 111_320; // metres a degree of longitude
	const wide = me ? Math.abs(me.lon - c.lon) * scale : 0;
	const high = me ? Math.abs(me.lat - c.lat) * 111_320 : 0;
	// Metres across: both must have room for their marks, and the words beside me.
	const span = Math.max(500, Math.min(20_000, Math.max(wide * 1.9, (high * 2 * MAP_WIDTH) / MAP_HEIGHT)));
	const px = MAP_WIDTH / span;
	// Between me and the case when both are known, else around the case.
	const mid = me && far !== null && far < 8000 ? [(me.lon + c.lon) / 2, (me.lat + c.lat) / 2] as const : [c.lon, c.lat] as const;
	const x = (lon: number) => MAP_WIDTH / 2 + (lon - mid[0]) * scale * px;
	const y = (lat: number) => MAP_HEIGHT / 2 - (lat - mid[1]) * 111_320 * px;
	const path = rings(known?.streets).map((ring) => ring.map(([lon = 0, lat = 0], i) => `${i ? "L" : "M"}${x(lon).toFixed(0)} ${y(lat).toFixed(0)}`).join("")).join("");
	const left = leftOf(caseById(c.case_id)?.peek() ?? { case: c, asOf: now.peek() }, now.peek());
	return (
		<svg class="sketch" viewBox={`0 0 ${MAP_WIDTH} ${MAP_HEIGHT}`} role="img" aria-label={far === null ? placeOf(c) || typeName(c) : t("phone.away", { d: metres(far) })}>
			<path class="border" d={path} />
			{me && <path class="to" d={`M${x(me.lon)} ${y(me.lat)}L${x(c.lon)} ${y(c.lat)}`} />}
			{me && <><circle class="me" cx={x(me.lon)} cy={y(me.lat)} r="5" />
				<text x={x(me.lon) + 9} y={y(me.lat) + 4}>{t("phone.me.here")} {far === null ? "" : metres(far)}</text></>}
			<g transform={`translate(${x(c.lon) - 9} ${y(c.lat) - 9})`}><circle class="around" cx="9" cy="9" r="14" /><Glyph shape={shapeOf(c, left)} used={left.used} size={18} /></g>
		</svg>
	);
}

function LeftText({ known }: { known: CaseSignal }) {
	const left = leftOf(known.value, now.value);
	if (left.seconds === null) return <b>{t("none")}</b>;
	const [number, unit] = leftNumber(left);
	return <b class={`lt-${left.level}`}>{t(left.level === "over" ? "say.over" : "say.left", { t: `${number.replace(/^\+/, "")}\u00a0${unit}` })}</b>;
}

function Card({ known, act }: { known: CaseSignal; act: (c: Case, action: string) => void }) {
	const c = known.value.case;
	const left = leftOf(known.value, now.peek());
	const steps = stepsOf(c);
	return (
		<article class="pcard" data-testid="phone-task" data-case-id={c.case_id} data-state={c.state}>
			<div class="ptop"><Glyph shape={shapeOf(c, left)} used={left.used} size={18} /><LeftText known={known} />
				{left.due !== null && <span class="mut">{t("clock.due", { at: instant(left.due, now.peek()) })}</span>}
				{isUrgent(c) && <span class="urg">{t("urgent")}</span>}</div>
			<h2>{taskName(c)} · {typeName(c)}</h2>
			<p>{placeOf(c)}</p>
			<p class="mut">{tail(c.case_no)} {c.lead_department && c.state === "checking" ? t("phone.done.by", { who: departmentShort(c.lead_department) }) : ""}</p>
			<Sketch c={c} city={city.value} />
			<div class="pacts">
				{steps.map((action, i) => (
					<button class={`pbtn${i === 0 ? " p" : ""}`} data-testid={`phone-${action}`} onClick={() => act(c, action)}>{t(`act.${action}` as TextKey)}</button>
				))}
			</div>
		</article>
	);
}

function TaskRow({ known, open }: { known: CaseSignal; open: () => void }) {
	const c = known.value.case;
	const left = leftOf(known.value, now.peek());
	const far = away(c);
	return (
		<button class="prow" data-testid="phone-row" data-case-id={c.case_id} onClick={open}>
			<Glyph shape={shapeOf(c, left)} used={left.used} size={18} />
			<span class="pmain"><span class="el">{taskName(c)} · {typeName(c)}</span><span class="el sec">{placeOf(c)}</span></span>
			<span class="pside"><LeftText known={known} /><span class="mut">{far === null ? "" : metres(far)}</span></span>
		</button>
	);
}

function ItemRow({ item }: { item: Item }) {
	const size = item.photos.reduce((sum, photo) => sum + (typeof photo === "string" ? 0 : photo.size), 0);
	return (
		<div class="prow" data-testid="outbox-item" data-state={item.state} data-kind={item.kind}>
			<svg width="18" height="18" viewBox="0 0 14 14" class="oicon" aria-hidden="true">
				{item.state === "received" ? <path d="m2.5 7.5 3 3 6-7" /> : item.state === "failed" ? <path d="M3 3l8 8M11 3l-8 8" />
					: <path d="M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2ZM7 4v3l2 1.5" />}</svg>
			<span class="pmain"><span class="el">{item.title}</span>
				<span class="el sec">{[item.place, timeOfDay(item.at), item.photos.length > 0
					? t("phone.pictures", { n: item.photos.length, mb: (size / 1e6).toFixed(1) }) : ""].filter(Boolean).join(" · ")}</span>
				{item.state === "failed" && <span class="need">{item.error === "409" ? t("phone.conflict") : item.error}</span>}</span>
			<span class="pside"><b>{t(`outbox.${item.state}`)}</b></span>
			{item.state === "failed" && (
				<span class="pfail"><button class="pbtn" onClick={() => retryItem(item)}>{t("retry")}</button>
					<button class="pbtn" data-testid="outbox-discard" onClick={() => void discard(item.id)}>{t("phone.discard")}</button></span>
			)}
		</div>
	);
}

function Offline() {
	const at = now.value && Date.now();
	const silent = heardAt.value ? Math.round((at - heardAt.value) / 60_000) : 0;
	const off = !navigator.onLine || streamState(at) === "stale";
	const n = waitingItems.value.filter((item) => item.state !== "failed").length;
	if (!off) return null;
	return (
		<div class="pban" role="status" data-testid="offline"><b>{silent > 0 ? t("phone.offline.for", { n: silent }) : t("phone.offline")}</b>
			<span>{n > 0 ? t("phone.offline.waiting", { n }) : t("phone.offline.calm")}</span></div>
	);
}

function Me() {
	const me = session.value;
	return (
		<div class="pme">
			<p><b>{me?.name}</b> <span class="mut">{tn("role", me?.role)}</span></p>
			<p>{here.value ? t("phone.placed", { m: Math.round(here.value.accuracy) }) : t("phone.nowhere.unavailable")}</p>
			{!keeps.value && <p class="need">{t("phone.nokeep")}</p>}
			<div class="psw"><Switches /></div>
			<button class="pbtn" data-testid="signout" onClick={() => void signOut()}>{t("signout")}</button>
		</div>
	);
}

const ICONS: Record<Tab | "report", string> = {
	tasks: "M4 6h12M4 10h12M4 14h8", waiting: "M10 3a7 7 0 1 1 0 14a7 7 0 0 1 0-14ZM10 6v4l3 2", done: "m4 10 4 4 8-9",
	me: "M10 3a3.5 3.5 0 1 1 0 7a3.5 3.5 0 0 1 0-7ZM4 17c1-4 11-4 12 0", report: "M10 4v12M4 10h12",
};

export default function Phone() {
	const tab = useSignal<Tab>("tasks");
	const first = useSignal<string | null>(null);
	const answer = useSignal<{ c: Case; action: string } | null>(null);
	const reporting = useSignal(false);
	useEffect(() => {
		void openOutbox();
		watchPlace();
		return unwatchPlace;
	}, []);
	// The world is back: what waits goes out.
	const live = streamState(now.value && Date.now()) === "live";
	useEffect(() => {
		if (live) pumpSoon(0);
	}, [live]);
	void changes.value;
	const todo = order.value.map((entry) => caseById(entry.id)).filter((known): known is CaseSignal =>
		known !== undefined && !isTerminal(known.value.case) && stepsOf(known.value.case).length > 0 && !answered.value.has(known.value.case.case_id));
	const open = todo.find((known) => known.value.case.case_id === first.value) ?? todo[0];
	const state = listState.value;
	const waiting = waitingItems.value;
	const today = sentToday.value.slice().reverse();
	const go = (next: Tab) => () => (tab.value = next);
	const Bar = ({ name, label }: { name: Tab; label: string }) => (
		<button class={tab.value === name ? "on" : ""} aria-current={tab.value === name ? "page" : undefined} data-testid={`tab-${name}`} onClick={go(name)}>
			<svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true"><path d={ICONS[name]} /></svg>{label}
			{name === "waiting" && waiting.length > 0 && <em>{waiting.length}</em>}</button>
	);
	return (
		<div class="phone" data-testid="phone">
			<Offline />
			<Banners />
			<header class="phead"><h1>{t(tab.value === "me" ? "phone.me" : tab.value === "waiting" ? "phone.waiting" : tab.value === "done" ? "phone.today" : "phone.tasks")}</h1>
				<span class="mut el">{session.value?.name} · {dateOnly(now.value, now.value)} {timeOfDay(now.value)}</span></header>
			<main class="pscroll" data-testid="queue">
				{tab.value === "tasks" && (
					<>
						{open && <Card key={open.value.case.case_id} known={open} act={(c, action) => (answer.value = { c, action })} />}
						{todo.filter((known) => known !== open).map((known) => (
							<TaskRow key={known.value.case.case_id} known={known} open={() => (first.value = known.value.case.case_id)} />
						))}
						{state === "ready" && todo.length === 0 && <div class="pempty" data-testid="empty"><b>{t("phone.none")}</b><p>{t("phone.none.next")}</p></div>}
						{state !== "ready" && state !== "loading" && (
							<div class="pempty" role="alert"><b>{t("queue.failed")}</b><p>{state.failed}</p>
								<button class="pbtn" onClick={() => void loadList()}>{t("retry")}</button></div>
						)}
					</>
				)}
				{tab.value === "waiting" && (waiting.length > 0 ? waiting.map((item) => <ItemRow key={item.id} item={item} />)
					: <div class="pempty"><b>{t("phone.waiting.none")}</b><p>{t("phone.waiting.hint")}</p></div>)}
				{tab.value === "done" && (today.length > 0 ? today.map((item) => <ItemRow key={item.id} item={item} />)
					: <div class="pempty"><b>{t("phone.today.none")}</b></div>)}
				{tab.value === "me" && <Me />}
			</main>
			<nav class="ptabs" aria-label={t("rail")}>
				<Bar name="tasks" label={t("phone.tab.tasks", { n: todo.length })} />
				<Bar name="waiting" label={t("phone.tab.waiting")} />
				<button class="big" data-testid="tab-report" onClick={() => (reporting.value = true)}>
					<svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true"><path d={ICONS.report} /></svg>{t("phone.report")}</button>
				<Bar name="done" label={t("phone.tab.done", { n: items.value.filter((item) => item.state === "received").length })} />
				<Bar name="me" label={t("phone.me")} />
			</nav>
			{answer.value && <Answer c={answer.value.c} action={answer.value.action} close={() => (answer.value = null)} />}
			{reporting.value && <Report close={() => (reporting.value = false)} />}
		</div>
	);
}
