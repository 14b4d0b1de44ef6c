// The inputs of an action panel, one component a kind of field.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { limitText, metres, tail, zone } from "../format";
import { composing } from "../keys";
import { placeOf, typeName } from "../queue/row";
import { useResource } from "../resource";
import { departmentName, departments } from "../store";
import { either, t } from "../text";
import type { Case, CaseType, Condition } from "../types";
import { nearbyOf } from "./case";
import type { Field } from "./forms";
import type { Values } from "./panel";
import { Waiting } from "./parts";
import { rankDepartments, rankTypes } from "./search";

interface Props {
	field: Field;
	c: Case;
	values: Signal<Values>;
	set: (name: string, value: unknown) => void;
}

function Label({ field }: { field: Field }) {
	return <div class="sec-h"><b>{t(field.label)}</b>{field.required ? "" : t("panel.optional")}</div>;
}

/** Arrows walk a list; digits pick only where nothing is typed. */
function listKeys(event: KeyboardEvent, length: number, at: number, move: (to: number) => void) {
	if (composing(event) || length === 0) return;
	const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
	if (step === 0) return;
	event.preventDefault();
	move((at + step + length) % length);
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
	useEffect(() => {
		if (choices[0]) set(field.name, value(choices[0]));
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
			set(field.name, items.find((item) => item.condition_no === c.condition)?.condition_no ?? items[0]?.condition_no);
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
	useEffect(() => {
		if (c.type_code) set(field.name, c.type_code);
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

interface Planned {
	department: string;
	role: "lead" | "assist";
}

function Departments({ field, c, values, set }: Props) {
	const many = field.kind === "dispatch";
	const type = useResource<CaseType>(many && c.type_code ? `/catalog/${encodeURIComponent(c.type_code)}` : null);
	const query = useSignal("");
	const at = useSignal(0);
	const proposed = type.data?.lead_department;
	const ranked = rankDepartments([...departments.value.values()], query.value, proposed);
	const planned = many ? ((values.value[field.name] as Planned[] | undefined) ?? []) : [];
	const lead = planned.find((task) => task.role === "lead")?.department;
	const chosen = many ? lead : (values.value[field.name] as string | undefined);

	const choose = (code: string) => {
		if (!many) set(field.name, code);
		else set(field.name, [{ department: code, role: "lead" }, ...planned.filter((task) => task.role === "assist" && task.department !== code)]);
	};
	const assist = (code: string) => {
		if (code === lead || planned.some((task) => task.department === code)) return;
		set(field.name, [...planned, { department: code, role: "assist" }]);
	};
	// The best candidate is chosen already; the panel shows what sending it would do.
	useEffect(() => {
		at.value = 0;
		const best = ranked.items[0];
		if (best && (query.value || (many && proposed && !lead))) choose(best.code);
	}, [query.value, proposed, departments.value.size]);

	const onKeyDown = (event: KeyboardEvent) => {
		listKeys(event, ranked.items.length, at.value, (to) => {
			at.value = to;
			const item = ranked.items[to];
			if (item) choose(item.code);
		});
		const item = ranked.items[at.value];
		if (many && event.key === "Tab" && !event.shiftKey && query.value && item && lead && item.code !== lead) {
			event.preventDefault();
			assist(item.code);
			query.value = "";
		}
	};
	return (
		<div class="fld" onKeyDown={onKeyDown}>
			<Label field={field} />
			<div class="inpw">
				<input class="inp" data-testid="field-department" data-first autocomplete="off" spellcheck={false} role="combobox" aria-expanded="true"
					placeholder={t("panel.department.hint")} aria-label={t(field.label)} value={query.value}
					onInput={(e) => (query.value = e.currentTarget.value)} />
				<span class="r">{ranked.matched ? t("panel.department.count", { n: ranked.items.length, all: departments.value.size }) : t("panel.department.nomatch")}</span>
			</div>
			<div role="listbox" aria-label={t(field.label)} class="cands">
				{ranked.items.map((d, i) => (
					<div class={`cand${d.code === chosen ? " on" : ""}${i === at.value ? " at" : ""}`} role="option" aria-selected={d.code === chosen}
						data-testid="dept-option" data-code={d.code} onClick={() => choose(d.code)}>
						<span class="k">{d.code}</span>
						<div class="nm">{either(d.name_zh, d.name_en)}
							{d.code === lead && <span class="role l">{t("role.lead")}</span>}
							{planned.some((task) => task.role === "assist" && task.department === d.code) && <span class="role">{t("role.assist")}</span>}
							{(d.code === proposed || d.name_zh === proposed) && <span class="said">{t("panel.department.proposed")}</span>}
						</div>
						{many && d.code !== lead && (
							<button class="btn g" data-testid="dept-assist" data-code={d.code} tabIndex={-1} onClick={(e) => {
								e.stopPropagation();
								assist(d.code);
							}}>{t("panel.assist")} {i === at.value && query.value ? <span class="k">Tab</span> : ""}</button>
						)}
					</div>
				))}
			</div>
			{many && planned.length > 0 && (
				<div class="planned">
					<div class="sec-h"><b>{t("panel.tasks")}</b>{t("panel.tasks.rule", { n: planned.length })}<span>{t("panel.clock")}</span></div>
					<table class="tasks"><tbody>
						{planned.map((task) => (
							<tr key={task.department}><td>{departmentName(task.department)}</td>
								<td class={task.role === "lead" ? "ld" : "sec"}>{t(`role.${task.role}`)}</td>
								<td>{task.role === "assist" && (
									<button class="btn g" onClick={() => set(field.name, planned.filter((other) => other !== task))}>{t("panel.remove")}</button>
								)}</td></tr>
						))}
					</tbody></table>
				</div>
			)}
		</div>
	);
}

function MergeInto({ field, c, values, set }: Props) {
	const near = nearbyOf(c);
	return (
		<div class="fld">
			<Label field={field} />
			<input class="inp" data-first aria-label={t(field.label)} data-testid="field-into" value={String(values.value[field.name] ?? "")}
				onInput={(e) => set(field.name, e.currentTarget.value.trim())} />
			{near.slice(0, 5).map(({ other, metres: far }) => {
				const o = other.value.case;
				return (
					<div class={`opt${values.value[field.name] === o.case_id ? " on" : ""}`} role="option" aria-selected={values.value[field.name] === o.case_id}
						data-testid="merge-option" data-case-id={o.case_id} onClick={() => set(field.name, o.case_id)}>
						<span class="k">{tail(o.case_no)}</span>{typeName(o)} {placeOf(o)} · {metres(far)}
					</div>
				);
			})}
		</div>
	);
}

/** The instant a day ends in the city's zone, for "on hold until". */
function endOfDay(date: string): string {
	const guess = Date.parse(`${date}T23:59:59Z`);
	const there = new Date(guess).toLocaleString("sv-SE", { timeZone: zone.value }).replace(" ", "T");
	return new Date(guess - (Date.parse(`${there}Z`) - guess)).toISOString();
}

function DateField({ field, set }: Props) {
	return (
		<div class="fld">
			<Label field={field} />
			<input class="inp" type="date" data-first aria-label={t(field.label)} data-testid={`field-${field.name}`}
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

export function FieldInput(props: Props) {
	switch (props.field.kind) {
	case "note": return <Note {...props} />;
	case "reason": return <Choice {...props} />;
	case "finding": return <Choice {...props} />;
	case "type": return <Types {...props} />;
	case "place": return <Place {...props} />;
	case "condition": return <Conditions {...props} />;
	case "dispatch": return <Departments {...props} />;
	case "department": return <Departments {...props} />;
	case "case": return <MergeInto {...props} />;
	case "date": return <DateField {...props} />;
	case "text": return <TextField {...props} />;
	}
}
