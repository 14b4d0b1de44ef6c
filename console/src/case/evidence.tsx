// What the case rests on: the events of its incident, newest first.
import { timeOfDay, instant } from "../format";
import { useResource } from "../resource";
import { now, selectedChanged } from "../store";
import { t, tn } from "../text";
import type { Evidence } from "../types";
import { Block, Waiting } from "./parts";

const SHOWN = 5;

function said(event: Evidence): string {
	if (event.metric) return `${event.metric} ${event.value ?? ""} ${event.unit ?? event.payload?.reading?.unit ?? ""}`.trim();
	const title = event.title || event.payload?.report?.title;
	const text = event.text || event.payload?.report?.text;
	return [text, title].filter(Boolean).join(" · ") || event.event_id;
}

export function EvidenceBlock({ id }: { id: string }) {
	const evidence = useResource<{ items: Evidence[] }>(`/cases/${encodeURIComponent(id)}/evidence`, selectedChanged.value);
	const items = evidence.data?.items ?? [];
	const kinds = new Map<string, number>();
	for (const event of items) kinds.set(event.source_kind, (kinds.get(event.source_kind) ?? 0) + 1);
	return (
		<Block title={t("evidence")} sub={evidence.data ? t("evidence.count", { n: items.length }) : ""}
			side={[...kinds].map(([kind, n]) => `${tn("source", kind)} ${n}`).join(" · ")}>
			<Waiting of={evidence} failed="evidence.failed" />
			{evidence.data && items.length === 0 && <div class="mut">{t("evidence.none")}</div>}
			<div class="evs">
				{items.slice(0, SHOWN).map((event) => {
					const at = Date.parse(event.occurred_at);
					return (
						<div key={`${event.source_id}/${event.event_id}`}>
							<span class="tm">{now.peek() - at > 12 * 3_600_000 ? instant(at, now.peek(), { brief: true }) : timeOfDay(at, true)}</span>
							<span class="el" title={said(event)}>{said(event)}</span>
							<span class="x el">{tn("source", event.source_kind)} {event.source_id}</span>
						</div>
					);
				})}
			</div>
		</Block>
	);
}
