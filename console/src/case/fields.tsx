// The inputs of an action panel, one component a kind of field.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect } from "preact/hooks";
import { limitText, zone } from "../format";
import { typeName } from "../queue/row";
import { useResource } from "../resource";
import { either, t } from "../text";
import type { Case, CaseType, Condition, Task } from "../types";
import { DepartmentField, Dispatch } from "./candidates";
import { Label, listKeys } from "./controls";
import type { Field } from "./forms";
import { Merge } from "./merge";
import type { Values } from "./panel";
import { Waiting } from "./parts";
import { PhotoField } from "./photos";
import { RequestLine } from "./requests";
import { rankTypes } from "./search";

interface Props {
	field: Field;
	c: Case;
	values: Signal<Values>;
	/** `proposed`: nobody chose it yet. */
	set: (name: string, value: unknown, proposed?: boolean) => void;
	/** The task the action is for. */
	task: Task | undefined;
	/** Pictures under way. */
	sending: Signal<number>;
}

function Note({ field, values, set }: Props) {
	return (
		<div class="fld">
			<Label field={field} />
			<textarea rows={3} maxLength={2000} aria-label={t(field.label)} data-testid={`field-${field.name}`}
				value={String(values.value[field.name] ?? "")} onInput={(e) => set(field.name, e.currentTarget.value)} />
			<div class="hint">{t("panel.enter.twice")}</div>
		</div>
	);
}

function Choice({ field, values, set }: Props) {
	const choices = field.choices ?? [];
	const value = (key: string) => key.slice(key.indexOf(".") + 1);
	// Before anything is drawn: what is chosen at once must not be overwritten by what is proposed.
	useLayoutEffect(() => {
		if (choices[0]) set(field.name, value(choices[0]), true);
	}, []);
	const at = choices.findIndex((key) => value(key) === values.value[field.name]);
	return (
		<div class="fld" role="radiogroup" aria-label={t(field.label)} tabIndex={0} data-first
			onKeyDown={(e) => {
				listKeys(e, choices.length, at, (to) => set(field.name, value(choices[to] ?? "")));
				const picked = choices[Number(e.key) - 1];
				if (picked) set(field.name, value(picked));
			}}>
			<Label field={field} />
			{choices.map((key, i) => (
				<div class={`opt${i === at ? " on" : ""}`} role="radio" aria-checked={i === at} data-testid={`${field.name}-option`}
					data-value={value(key)} onClick={() => set(field.name, value(key))}>
					<span class="k">{i + 1}</span>{t(key)}
				</div>
			))}
		</div>
	);
}

const conditionText = (condition: Condition) => either(condition.filing_zh, condition.filing_en);

function Conditions({ field, c, values, set }: Props) {
	const type = useResource<CaseType>(c.type_code ? `/catalog/${encodeURIComponent(c.type_code)}` : null);
	const items = type.data?.conditions ?? [];
	// The rule or the reporter may have named one; otherwise the first is a proposal, seen before it is used.
	useEffect(() => {
		if (items.length > 0 && values.peek()[field.name] === undefined) {
			set(field.name, items.find((item) => item.condition_no === c.condition)?.condition_no ?? items[0]?.condition_no, true);
		}
	}, [type.data]);
	const at = items.findIndex((item) => item.condition_no === values.value[field.name]);
	return (
		<div class="fld" role="radiogroup" aria-label={t(field.label)} tabIndex={0} data-first
			onKeyDown={(e) => {
				listKeys(e, items.length, at, (to) => set(field.name, items[to]?.condition_no));
				const picked = items[Number(e.key) - 1];
				if (picked) set(field.name, picked.condition_no);
			}}>
			<Label field={field} />
			<Waiting of={type} failed="panel.condition.none" />
			{type.data && items.length === 0 && <div class="mut">{t("panel.condition.none")}</div>}
			{items.map((item, i) => (
				<div class={`opt two${i === at ? " on" : ""}`} role="radio" aria-checked={i === at} data-testid="condition-option"
					data-condition={item.condition_no} onClick={() => set(field.name, item.condition_no)}>
					<span class="k">{item.condition_no}</span>
					<div>{conditionText(item)}
						{either(item.close_zh, item.close_en) && <p>{t("panel.condition.close", { text: either(item.close_zh, item.close_en) })}</p>}</div>
					<b>{limitText(item.limit)}</b>
				</div>
			))}
		</div>
	);
}

function Types({ field, c, values, set }: Props) {
	const catalog = useResource<{ items: CaseType[] }>("/catalog");
	const query = useSignal("");
	useLayoutEffect(() => {
		if (c.type_code) set(field.name, c.type_code, true);
	}, []);
	const items = rankTypes(catalog.data?.items ?? [], query.value, c.type_code);
	const at = items.findIndex((type) => type.type_code === values.value[field.name]);
	return (
		<div class="fld" onKeyDown={(e) => listKeys(e, items.length, at, (to) => set(field.name, items[to]?.type_code))}>
			<Label field={field} />
			<input class="inp" data-testid="field-type" placeholder={t("panel.type.hint")} aria-label={t(field.label)} value={query.value}
				onInput={(e) => {
					query.value = e.currentTarget.value;
					const best = rankTypes(catalog.data?.items ?? [], query.value, c.type_code)[0];
					if (query.value && best) set(field.name, best.type_code);
				}} />
			<Waiting of={catalog} failed="panel.type.none" />
			{c.type_code && !catalog.data && <div class="opt on"><span class="k">{c.type_code}</span>{typeName(c)}</div>}
			{catalog.data && items.length === 0 && <div class="mut">{t("panel.type.none")}</div>}
			<div role="listbox" aria-label={t(field.label)}>
				{items.map((type, i) => (
					<div class={`opt${i === at ? " on" : ""}`} role="option" aria-selected={i === at} data-testid="type-option" data-code={type.type_code}
						onClick={() => set(field.name, type.type_code)}>
						<span class="k">{type.type_code}</span>{either(type.name_zh, type.name_en)}
					</div>
				))}
			</div>
		</div>
	);
}

/** The instant a day ends in the city's zone, for "on hold until". */
function endOfDay(date: string): string {
	const guess = Date.parse(`${date}T23:59:59Z`);
	const there = new Date(guess).toLocaleString("sv-SE", { timeZone: zone.value }).replace(" ", "T");
	return new Date(guess - (Date.parse(`${there}Z`) - guess)).toISOString();
}

const dayOf = (instant: unknown) =>
	(typeof instant === "string" && instant ? new Date(instant).toLocaleDateString("sv-SE", { timeZone: zone.value }) : "");

function DateField({ field, values, set }: Props) {
	return (
		<div class="fld">
			<Label field={field} />
			<input class="inp" type="date" data-first aria-label={t(field.label)} data-testid={`field-${field.name}`} value={dayOf(values.value[field.name])}
				min={dayOf(new Date().toISOString())}
				onInput={(e) => set(field.name, e.currentTarget.value ? endOfDay(e.currentTarget.value) : "")} />
		</div>
	);
}

/** "-71.0601, 42.3554" as the request's body wants it. */
function placeFrom(text: string): { lon: number; lat: number } | "" {
	const match = /^\s*(-?\d+(?:\.\d+)?)[\s,，]+(-?\d+(?:\.\d+)?)\s*$/.exec(text);
	return match ? { lon: Number(match[1]), lat: Number(match[2]) } : "";
}

/** A place by its coordinates, typed or taken from a click on the map. */
function Place({ field, set }: Props) {
	const said = useSignal("");
	const take = (text: string) => {
		said.value = text;
		set(field.name, placeFrom(text));
	};
	useEffect(() => {
		const onPlace = (event: Event) => take((event as CustomEvent<[number, number]>).detail.map((n) => n.toFixed(6)).join(", "));
		addEventListener("map-place", onPlace);
		return () => removeEventListener("map-place", onPlace);
	}, []);
	return (
		<div class="fld">
			<Label field={field} />
			<input class="inp" data-first aria-label={t(field.label)} data-testid="field-location" placeholder={t("panel.place.hint")} value={said.value}
				onInput={(e) => take(e.currentTarget.value)} />
		</div>
	);
}

function TextField({ field, values, set }: Props) {
	return (
		<div class="fld">
			<Label field={field} />
			<input class="inp" data-first aria-label={t(field.label)} data-testid={`field-${field.name}`} value={String(values.value[field.name] ?? "")}
				onInput={(e) => set(field.name, e.currentTarget.value.trim())} />
		</div>
	);
}

/** An extension counts as the limit does: in working time, or by the clock. */
const SPANS = { working: ["2wh", "4wh", "1wd", "2wd", "5wd"], continuous: ["2h", "4h", "24h", "3nd", "7nd"] };

/** A stretch of working time: the usual ones by a key, any other typed. */
function Span({ field, c, values, set, task }: Props) {
	const value = String(values.value[field.name] ?? "");
	const original = String(task?.clock?.limit ?? c.handle_limit ?? "");
	const spans = [...new Set([...(original ? [original] : []), ...SPANS[/w[hd]$/.test(original) ? "working" : "continuous"]])].slice(0, 6);
	const at = spans.indexOf(value);
	return (
		<div class="fld" tabIndex={0} data-first role="radiogroup" aria-label={t(field.label)}
			onKeyDown={(e) => {
				if (e.target instanceof HTMLInputElement) return;
				const picked = spans[Number(e.key) - 1];
				if (picked) set(field.name, picked);
				else listKeys(e, spans.length, Math.max(0, at), (to) => set(field.name, spans[to]));
			}}>
			<Label field={field} />
			<div class="spans">
				{spans.map((span, i) => (
					<span class={`spanopt${span === value ? " on" : ""}`} role="radio" aria-checked={span === value} data-testid="span-option" data-value={span}
						onClick={() => set(field.name, span)}><span class="k">{i + 1}</span>{limitText(span)}</span>
				))}
				<input class="inp" aria-label={t(field.label)} placeholder={t("panel.by.hint")} data-testid={`field-${field.name}`}
					value={at < 0 ? value : ""} onInput={(e) => set(field.name, e.currentTarget.value.trim())} />
			</div>
		</div>
	);
}

const URGENCIES = ["urgent", "priority", "normal", "slow"] as const;

function Urgency({ field, values, set }: Props) {
	return (
		<div class="fld">
			<Label field={field} />
			<select class="inp" aria-label={t(field.label)} data-testid={`field-${field.name}`} value={String(values.value[field.name] ?? "normal")}
				onChange={(e) => set(field.name, e.currentTarget.value)}>
				{URGENCIES.map((name) => <option value={name}>{t(`urgency.${name}`)}</option>)}
			</select>
		</div>
	);
}

export function FieldInput(props: Props) {
	const { field, values, set, task, sending } = props;
	switch (field.kind) {
	case "note": return <Note {...props} />;
	case "reason": return <Choice {...props} />;
	case "type": return <Types {...props} />;
	case "place": return <Place {...props} />;
	case "condition": return <Conditions {...props} />;
	case "dispatch": return <Dispatch {...props} />;
	case "department": return <DepartmentField {...props} />;
	case "merge": return <Merge {...props} />;
	case "date": return <DateField {...props} />;
	case "text": return <TextField {...props} />;
	case "span": return <Span {...props} />;
	case "urgency": return <Urgency {...props} />;
	case "photos":
		return <PhotoField label={t(field.label)} value={(values.value[field.name] as string[] | undefined) ?? []} sending={sending}
			set={(hashes) => set(field.name, hashes)} />;
	case "request": return task ? <div class="fld"><RequestLine task={task} /></div> : null;
	}
}
