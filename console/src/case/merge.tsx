// Is it the same matter? This case and a candidate side by side, what differs tinted; candidates as the server ranks them.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { distance, instant, metres, stretch, tail } from "../format";
import { Glyph } from "../glyph";
import { placeOf, shapeOf, typeName } from "../queue/row";
import { useResource } from "../resource";
import { caseById, leftOf, now, refresh, streetName } from "../store";
import { either, t, tn } from "../text";
import type { Case, Duplicate } from "../types";
import { nearbyOf } from "./case";
import { listKeys } from "./controls";
import type { Field } from "./forms";
import type { Values } from "./panel";
import { Waiting } from "./parts";

interface Props {
	field: Field;
	c: Case;
	values: Signal<Values>;
	/** `proposed`: nobody chose it yet. */
	set: (name: string, value: unknown, proposed?: boolean) => void;
}

const SHOWN = 5;

const age = (seconds: number) => stretch(Math.max(0, seconds), "h", 28_800).join("\u00a0");

/** Neighbours of the same type family, nearest first: what the queue itself knows, where the server does not rank. */
function neighbours(c: Case): Duplicate[] {
	return nearbyOf(c).map(({ other, metres: far }): Duplicate => {
		const o = other.value.case;
		return {
			case_id: o.case_id, case_no: o.case_no, title: o.title, state: o.state, reported_at: o.reported_at, distance_m: far,
			age_s: (Date.parse(c.reported_at) - Date.parse(o.reported_at)) / 1000,
		};
	}).filter((d) => caseById(d.case_id)?.peek().case.type_code?.slice(0, 2) === c.type_code?.slice(0, 2));
}

function Compare({ c, other }: { c: Case; other: Case }) {
	const at = now.peek();
	const far = c.lon != null && c.lat != null && other.lon != null && other.lat != null
		? metres(distance(c.lon, c.lat, other.lon, other.lat)) : t("none");
	const apart = (Date.parse(c.reported_at) - Date.parse(other.reported_at)) / 1000;
	const due = (o: Case) => (o.clock?.due_at ? instant(Date.parse(o.clock.due_at), at) : t("none"));
	const rows: [string, string, string, boolean?][] = [
		[t("cmp.type"), `${c.type_code ?? ""} ${typeName(c)}`, `${other.type_code ?? ""} ${typeName(other)}`],
		[t("cmp.place"), placeOf(c) || t("none"), placeOf(other) || t("none")],
		[t("cmp.street"), streetName(c) || t("none"), streetName(other) || t("none")],
		[t("cmp.distance"), t("none"), far, true],
		[t("cmp.time"), instant(Date.parse(c.reported_at), at),
			`${instant(Date.parse(other.reported_at), at)} ${t(apart >= 0 ? "cmp.earlier" : "cmp.later", { t: age(Math.abs(apart)) })}`],
		[t("cmp.state"), tn("state", c.state), `${tn("state", other.state)} ${other.lead_department ?? ""}`],
		[t("cmp.origin"), tn("origin", c.origin), tn("origin", other.origin)],
		[t("cmp.due"), due(c), `${due(other)} ${t("cmp.keeps")}`],
	];
	return (
		<table class="cmp" data-testid="compare">
			<thead><tr><th /><th>{t("cmp.this", { no: tail(c.case_no) })}</th><th>{t("cmp.other", { no: tail(other.case_no) })}</th></tr></thead>
			<tbody>
				{rows.map(([name, mine, theirs, same]) => (
					<tr key={name}><td>{name}</td><td>{mine}</td><td class={same || mine === theirs ? "" : "diff"}>{theirs}</td></tr>
				))}
			</tbody>
		</table>
	);
}

export function Merge({ field, c, values, set }: Props) {
	const duplicates = useResource<{ items: Duplicate[] }>(`/cases/${encodeURIComponent(c.case_id)}/duplicates`, c.version);
	const at = useSignal(0);
	const ranked = duplicates.data !== null;
	const items = (duplicates.data?.items ?? (duplicates.error ? neighbours(c) : [])).slice(0, SHOWN);
	const chosen = values.value[field.name] as string | undefined;
	const pick = (to: number, proposed = false) => {
		at.value = to;
		const item = items[to];
		if (!item) return;
		set(field.name, item.case_id, proposed);
		if (!caseById(item.case_id)) refresh(item.case_id);
	};
	useEffect(() => {
		if (!chosen && items.length > 0) pick(0, true);
	}, [items.length]);
	const other = chosen ? caseById(chosen)?.value.case : undefined;
	return (
		<div class="fld" role="radiogroup" aria-label={t(field.label)} tabIndex={0} data-first
			onKeyDown={(e) => {
				listKeys(e, items.length, at.value, (to) => pick(to));
				if (/^[1-9]$/.test(e.key) && items[Number(e.key) - 1]) pick(Number(e.key) - 1);
			}}>
			<div class="sec-h"><b>{t(field.label)}</b>{ranked ? t("cmp.ranked") : t("cmp.near")}</div>
			{!duplicates.error && <Waiting of={duplicates} failed="panel.into.none" />}
			{(duplicates.data || duplicates.error) && items.length === 0 && <div class="mut">{t("panel.into.none")}</div>}
			{items.map((item, i) => {
				const known = caseById(item.case_id);
				const left = known && leftOf(known.value, now.peek());
				return (
					<div class={`opt two${item.case_id === chosen ? " on" : ""}`} role="radio" aria-checked={item.case_id === chosen} key={item.case_id}
						data-testid="merge-option" data-case-id={item.case_id} onClick={() => pick(i)}>
						<span class="k">{i + 1}</span>
						{known && left && <Glyph shape={shapeOf(known.value.case, left)} used={left.used} size={12} />}
						<div><span>{known ? `${typeName(known.value.case)} ${placeOf(known.value.case)}` : item.title}</span>
							<p class="reasons">
								<span>{tail(item.case_no)}</span><span>{tn("state", item.state)}</span>
								{(item.reasons ?? []).map((reason) => <span key={reason.code}>{either(reason.zh, reason.en)}</span>)}
								{!item.reasons?.length && item.age_s != null && item.age_s > 0 && <span>{t("cmp.earlier", { t: age(item.age_s) })}</span>}
								{(item.merged_children ?? 0) > 0 && <span>{t("cmp.children", { n: item.merged_children ?? 0 })}</span>}
							</p></div>
						<b>{item.distance_m != null ? metres(item.distance_m) : ""}</b>
					</div>
				);
			})}
			{other && <Compare c={c} other={other} />}
		</div>
	);
}
