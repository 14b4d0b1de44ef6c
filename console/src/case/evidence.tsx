// What the case rests on: a chart around the moment where there are readings, photos, and the events themselves, newest first.
import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { timeOfDay, instant } from "../format";
import { useResource } from "../resource";
import { now, selectedChanged } from "../store";
import { t, tn } from "../text";
import type { Case, Evidence, Incident } from "../types";
import type { Series } from "./chart";
import { Block, Waiting } from "./parts";
import { ownPhotos, Thumbs, type Picture } from "./photos";
import { limitsOf, pointsOf, type Subject, subjectOf, windowAround } from "./series";

const SHOWN = 5;
const READINGS_MAX = 500;

function said(event: Evidence): string {
	if (event.metric) return `${event.metric} ${event.value ?? ""} ${event.unit ?? event.payload?.reading?.unit ?? ""}`.trim();
	const title = event.title || event.payload?.report?.title;
	const text = event.text || event.payload?.report?.text;
	return [text, title].filter(Boolean).join(" · ") || event.event_id;
}

const when = (at: number) => (now.peek() - at > 12 * 3_600_000 ? instant(at, now.peek(), { brief: true }) : timeOfDay(at, true));

/** The series from the server; until it is there, or where it cannot be had, the readings of the evidence itself. */
function Readings({ subject, incident }: { subject: Subject; incident: Incident | null }) {
	const chart = useSignal<ComponentType<{ series: Series }> | null>(null);
	useEffect(() => {
		void import("./chart").then((module) => (chart.value = module.default));
	}, []);
	const { from, to } = windowAround(subject, now.peek());
	const query = new URLSearchParams({
		source_id: subject.source, metric: subject.metric, from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: String(READINGS_MAX),
	});
	const series = useResource<{ items: Evidence[] }>(`/events?${query.toString()}`);
	const got = series.data ? pointsOf(series.data.items.filter((e) => e.source_id === subject.source && e.metric === subject.metric)) : [];
	const points = got.length > subject.points.length ? got : subject.points;
	const Chart = chart.value;
	if (!Chart || points.length < 2) return null;
	const { limit, clear } = limitsOf(incident);
	const detected = incident?.detected_at ? Date.parse(incident.detected_at) : NaN;
	const trigger = detected >= from && detected <= to ? detected : subject.to;
	return <Chart series={{ metric: subject.metric, unit: subject.unit, points, limit, clear, trigger }} />;
}

function picturesOf(items: readonly Evidence[]): Picture[] {
	return items.flatMap((event) => ownPhotos(event.payload?.report?.photo_urls).map((url) => ({
		url, title: `${tn("source", event.source_kind)} ${event.source_id} ${when(Date.parse(event.occurred_at))}`,
	})));
}

/** Pictures that came with actions, for the block of evidence; the timeline has them too. */
export function EvidenceBlock({ id, c, more }: { id: string; c: Case; more: readonly Picture[] }) {
	const evidence = useResource<{ items: Evidence[] }>(`/cases/${encodeURIComponent(id)}/evidence`, selectedChanged.value);
	const items = evidence.data?.items ?? [];
	const subject = subjectOf(items);
	const incident = useResource<Incident>(c.incident_id && subject ? `/incidents/${encodeURIComponent(c.incident_id)}` : null);
	const all = useSignal(false);
	const kinds = new Map<string, number>();
	for (const event of items) kinds.set(event.source_kind, (kinds.get(event.source_kind) ?? 0) + 1);
	const pictures = [...picturesOf(items), ...more];
	const shown = items.slice(0, all.value ? items.length : SHOWN);
	return (
		<Block title={t("evidence")} id="evidence"
			sub={subject ? `${subject.metric} ${subject.unit}`.trim() : evidence.data ? t("evidence.count", { n: items.length }) : ""}
			side={[...kinds].map(([kind, n]) => `${tn("source", kind)} ${n}`).concat(pictures.length > 0 ? t("evidence.photos", { n: pictures.length }) : [])
				.join(" · ")}>
			<Waiting of={evidence} failed="evidence.failed" />
			{evidence.data && items.length === 0 && pictures.length === 0 && <div class="mut">{t("evidence.none")}</div>}
			{subject && <Readings key={`${id}/${subject.source}/${subject.metric}`} subject={subject} incident={incident.data} />}
			<Thumbs pictures={pictures} />
			<div class="evs">
				{shown.map((event) => (
					<div key={`${event.source_id}/${event.event_id}/${event.occurred_at}`}>
						<span class="tm">{when(Date.parse(event.occurred_at))}</span>
						<span class="el" title={said(event)}>{said(event)}</span>
						<span class="x el">{tn("source", event.source_kind)} {event.source_id}</span>
					</div>
				))}
			</div>
			{items.length > SHOWN && (
				<button class="link more" aria-expanded={all.value} onClick={() => (all.value = !all.peek())}>
					{all.value ? t("evidence.less") : t("evidence.all", { n: items.length })}</button>
			)}
		</Block>
	);
}

