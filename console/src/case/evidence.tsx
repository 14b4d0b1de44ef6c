// What the case rests on: a chart around the moment where there are readings, photos, and the events themselves, newest first.
import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { timeOfDay, instant } from "../format";
import { useResource } from "../resource";
import { isDepartment, now, selectedChanged } from "../store";
import { t, tn } from "../text";
import type { Case, Evidence, Incident } from "../types";
import type { Series } from "./chart";
import { Block, Waiting } from "./parts";
import { ownPhotos, Thumbs, type Picture } from "./photos";
import { limitsOf, momentOf, pointsOf, rounded, type Subject, subjectOf, unitOf, windowAround } from "./series";

const SHOWN = 5;
const READINGS_MAX = 500;

function said(event: Evidence): string {
	if (event.metric) {
		const value = typeof event.value === "number" ? rounded(event.value) : t("none");
		return `${tn("metric", event.metric)} ${value}\u00a0${unitOf(event)}`.trim();
	}
	const title = event.title || event.payload?.report?.title;
	const text = event.text || event.payload?.report?.text;
	return [text, title].filter(Boolean).join(" · ") || t("evidence.wordless");
}

const when = (at: number) => (now.peek() - at > 12 * 3_600_000 ? instant(at, now.peek(), { brief: true }) : timeOfDay(at, true));

/** The series from the server; until it is there, or where it cannot be had, the readings of the evidence itself. A department may not
 * read what its devices said otherwise: it sees the evidence alone. */
function Readings({ subject, incident }: { subject: Subject; incident: Incident | null }) {
	const chart = useSignal<ComponentType<{ series: Series }> | null>(null);
	useEffect(() => {
		void import("./chart").then((module) => (chart.value = module.default));
	}, []);
	const moment = momentOf(incident, subject);
	const { from, to } = windowAround(subject, moment);
	const query = new URLSearchParams({
		source_id: subject.source, metric: subject.metric, from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: String(READINGS_MAX),
	});
	const series = useResource<{ items: Evidence[] }>(isDepartment.value ? null : `/events?${query.toString()}`, selectedChanged.value);
	const got = series.data ? pointsOf(series.data.items) : [];
	const points = got.length > subject.points.length ? got : subject.points;
	const Chart = chart.value;
	const { limit, clear } = limitsOf(incident, subject);
	return (
		<>
			{Chart && (points.length > 1 || moment?.silent != null) && (
				<Chart series={{
					metric: tn("metric", subject.metric), unit: subject.unit, points, limit, clear, trigger: moment?.since ?? null, silent: moment?.silent ?? null,
					until: moment?.until ?? null, now: Math.min(now.peek(), to),
				}} />
			)}
			{!isDepartment.value && <Waiting of={series} failed="chart.failed" />}
		</>
	);
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
	const incident = useResource<Incident>(c.incident_id && subject ? `/incidents/${encodeURIComponent(c.incident_id)}` : null, selectedChanged.value);
	const all = useSignal(false);
	const kinds = new Map<string, number>();
	for (const event of items) kinds.set(event.source_kind, (kinds.get(event.source_kind) ?? 0) + 1);
	const pictures = [...picturesOf(items), ...more];
	const shown = items.slice(0, all.value ? items.length : SHOWN);
	return (
		<Block title={t("evidence")} id="evidence"
			sub={subject ? `${tn("metric", subject.metric)} ${subject.unit}`.trim() : evidence.data ? t("evidence.count", { n: items.length }) : ""}
			side={[...kinds].map(([kind, n]) => `${tn("source", kind)} ${n}`).concat(pictures.length > 0 ? t("evidence.photos", { n: pictures.length }) : [])
				.join(" · ")}>
			<Waiting of={evidence} failed="evidence.failed" />
			{evidence.data && items.length === 0 && pictures.length === 0 && <div class="mut">{t("evidence.none")}</div>}
			{subject && (incident.data || incident.error || !c.incident_id) && <Readings key={`${id}/${subject.source}/${subject.metric}`} subject={subject} incident={incident.data} />}
			<Thumbs pictures={pictures} />
			<div class="evs">
				{shown.map((event) => (
					<div key={`${event.source_id}/${event.event_id}/${event.occurred_at}`}>
						<span class="tm">{when(Date.parse(event.occurred_at))}</span>
						<span class="el" title={`${said(event)} (${event.event_id})`}>{said(event)}</span>
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

