// Whom to send: departments as the server ranks them, each with its reasons and the deadline that dispatching now would give.
// Where the server has no ranking, the plain list of departments takes its place.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { instant, limitText, timeOfDay } from "../format";
import { useResource } from "../resource";
import { departmentName, departments, now } from "../store";
import { either, t } from "../text";
import type { Candidate, Case, CaseType, DeadlineClock } from "../types";
import { listKeys, Label } from "./controls";
import { Strip } from "./deadline";
import type { Field } from "./forms";
import type { Values } from "./panel";
import { Waiting } from "./parts";
import { marked, rankCandidates } from "./search";

interface Planned {
	department: string;
	role: "lead" | "assist";
}

interface Props {
	field: Field;
	c: Case;
	values: Signal<Values>;
	/** `proposed`: nobody chose it yet. */
	set: (name: string, value: unknown, proposed?: boolean) => void;
}

/** Whoever has given the case back is not proposed for it again. */
const hasReturned = (c: Case, item: Candidate) =>
	c.tasks?.some((task) => task.department === item.department && task.state === "returned") === true;

/** The list the panel works on, ranked by the server or made of the plain departments. */
function useCandidates(c: Case): { items: Candidate[]; ranked: boolean; waiting: boolean; of: ReturnType<typeof useResource<{ items: Candidate[] }>> } {
	const of = useResource<{ items: Candidate[] }>(`/cases/${encodeURIComponent(c.case_id)}/candidates`, c.version);
	const missing = of.error !== null;
	const type = useResource<CaseType>(missing && c.type_code ? `/catalog/${encodeURIComponent(c.type_code)}` : null);
	if (of.data) {
		return { items: of.data.items, ranked: true, waiting: false, of };
	}
	if (!missing) return { items: [], ranked: false, waiting: true, of };
	const proposed = type.data?.lead_department;
	const isProposed = (d: { code: string; name_zh: string }) => Number(!!proposed && (d.code === proposed || d.name_zh === proposed));
	const items = [...departments.value.values()].sort((a, b) => isProposed(b) - isProposed(a) || (a.code < b.code ? -1 : 1)).map((d): Candidate => ({
		department: d.code, name_zh: d.name_zh, name_en: d.name_en ?? null, short_zh: d.short_zh ?? null, short_en: d.short_en ?? null,
		pinyin: d.pinyin ?? null,
		reasons: isProposed(d) ? [{ code: "catalogue", zh: t("panel.department.proposed"), en: t("panel.department.proposed") }] : [],
		...(isProposed(d) && { role: "lead" as const }),
	}));
	return { items, ranked: false, waiting: c.type_code ? !type.data && !type.error : false, of };
}

function Marked({ item, query }: { item: Candidate; query: string }) {
	const [before, hit, after] = marked(either(item.name_zh, item.name_en), query, item.pinyin);
	return <>{before}{hit && <mark>{hit}</mark>}{after}</>;
}

function Option({ item, at, query, lead, assisting, current, choose, assist }: {
	item: Candidate;
	at: number;
	query: string;
	lead: boolean;
	assisting: boolean;
	current: boolean;
	choose: () => void;
	assist: () => void;
}) {
	const reasons = item.reasons ?? [];
	return (
		<div class={`cand${lead ? " on" : ""}${current ? " at" : ""}`} role="option" aria-selected={lead} data-testid="dept-option"
			data-code={item.department} id={`cand-${item.department}`} onClick={choose}>
			<span class="k">{at < 9 ? at + 1 : item.department}</span>
			<div class="what">
				<div class="nm"><Marked item={item} query={query} />
					{lead && <span class="role l">{t("role.lead")}</span>}
					{assisting && <span class="role">{t("role.assist")}</span>}
					{!lead && !assisting && item.role === "assist" && reasons.length > 0 && <span class="said">{t("cand.assist")}</span>}
				</div>
				{(reasons.length > 0 || item.on_duty === false) && (
					<p class="reasons">
						{item.on_duty === false && <b class="off">{t("cand.offduty")}</b>}
						{reasons.map((reason) => <span key={reason.code}>{either(reason.zh, reason.en)}</span>)}
					</p>
				)}
			</div>
			<div class="nums">
				{item.due_at && <b>{instant(Date.parse(item.due_at), now.peek())}</b>}
				{item.open_tasks != null && <span>{t("cand.load", { n: item.open_tasks })}</span>}
			</div>
			{!lead && !assisting && (
				// For the mouse alone: on the keyboard it is Tab.
				<span class="btn g" data-testid="dept-assist" data-code={item.department} onClick={(e) => {
					e.stopPropagation();
					assist();
				}}>{t("panel.assist")}{current && <span class="k">Tab</span>}</span>
			)}
		</div>
	);
}

/** The tasks that sending would make, each with its instant. */
function Plan({ planned, items, remove }: { planned: readonly Planned[]; items: readonly Candidate[]; remove: (task: Planned) => void }) {
	return (
		<div class="planned">
			<div class="sec-h"><b>{t("panel.tasks")}</b>{t("panel.tasks.rule", { n: planned.length })}<span>{t("panel.clock")}</span></div>
			<table class="tasks"><tbody>
				{planned.map((task) => {
					const item = items.find((candidate) => candidate.department === task.department);
					return (
						<tr key={task.department} data-testid="planned" data-department={task.department} data-role={task.role}>
							<td>{departmentName(task.department)}</td>
							<td class={task.role === "lead" ? "ld" : "sec"}>{t(`role.${task.role}`)}</td>
							<td>{item?.due_at ? t("task.due", { at: instant(Date.parse(item.due_at), now.peek()) }) : ""}
								{task.role === "assist" && <button class="btn g" onClick={() => remove(task)}>{t("panel.remove")}</button>}</td>
						</tr>
					);
				})}
			</tbody></table>
		</div>
	);
}

/** Why the deadline would be that one: asked of the server, drawn as a strip. */
function WhyThen({ item }: { item: Candidate }) {
	// A start to the minute: the same question within it is answered once.
	const start = new Date(Math.floor(now.peek() / 60_000) * 60_000).toISOString();
	const clock = useResource<DeadlineClock>(item.limit ? "/deadline/explain" : null, `${item.calendar ?? ""}/${item.limit ?? ""}`, {
		start, limit: item.limit, ...(item.calendar && { calendar: item.calendar }),
	});
	if (!item.limit || !item.due_at) return null;
	return (
		<div class="thenwhy" data-testid="dispatch-due">
			<div class="sec-h"><b>{t("cand.due", { at: instant(Date.parse(item.due_at), now.peek()) })}</b>
				{limitText(item.limit)} · {item.calendar ? t("deadline.calendar", { name: item.calendar }) : t("deadline.continuous")}
				<span>{t("cand.now", { at: timeOfDay(now.value) })}</span></div>
			{clock.data && <Strip clock={clock.data} />}
		</div>
	);
}

export function Dispatch({ field, c, values, set }: Props) {
	const query = useSignal("");
	const at = useSignal(0);
	const { items: all, ranked, waiting, of } = useCandidates(c);
	const found = rankCandidates(all, query.value);
	const planned = (values.value[field.name] as Planned[] | undefined) ?? [];
	const lead = planned.find((task) => task.role === "lead")?.department;
	const touched = useSignal(false);
	// Typing moves the lead; who was it before the query began is who an assisting department assists.
	const leadBefore = useSignal<string | undefined>(undefined);

	const put = (code: string) =>
		set(field.name, [{ department: code, role: "lead" }, ...planned.filter((task) => task.role === "assist" && task.department !== code)]);
	const choose = (code: string) => {
		touched.value = true;
		put(code);
	};
	const assist = (code: string) => {
		if (!lead || planned.some((task) => task.department === code)) return;
		touched.value = true;
		set(field.name, [...planned, { department: code, role: "assist" }]);
	};
	// The best one is chosen already, with who must assist; the panel shows what sending it would do.
	useEffect(() => {
		at.value = 0;
		const best = found.items[0];
		if (!best) return;
		if (query.value) put(best.department);
		else if (!lead && !touched.peek() && best.role) {
			const helpers = all.filter((item) => item.role === "assist" && item.department !== best.department && (item.reasons?.length ?? 0) > 0
				&& !hasReturned(c, item));
			set(field.name, [{ department: best.department, role: "lead" }, ...helpers.map((item) => ({ department: item.department, role: "assist" }))], true);
		}
	}, [query.value, all.length, waiting]);

	const onKeyDown = (event: KeyboardEvent) => {
		listKeys(event, found.items.length, at.value, (to) => {
			at.value = to;
			const item = found.items[to];
			if (item) choose(item.department);
			document.getElementById(`cand-${item?.department}`)?.scrollIntoView({ block: "nearest" });
		});
		const input = event.target as HTMLInputElement;
		// Digits pick while nothing is typed: no code or name begins with a single digit.
		const picked = !input.value && /^[1-9]$/.test(event.key) ? found.items[Number(event.key) - 1] : undefined;
		if (picked) {
			event.preventDefault();
			choose(picked.department);
		}
		// Tab takes what is marked along as an assisting department; with nothing typed it walks on, as ever.
		const item = found.items[at.value];
		if (event.key === "Tab" && !event.shiftKey && query.value && item) {
			event.preventDefault();
			const before = leadBefore.value;
			if (before && before !== item.department) {
				touched.value = true;
				set(field.name, [{ department: before, role: "lead" },
					...planned.filter((task) => task.role === "assist" && task.department !== item.department && task.department !== before),
					{ department: item.department, role: "assist" }]);
			}
			query.value = "";
		}
	};
	const chosen = all.find((item) => item.department === lead);
	return (
		<div class="fld" onKeyDown={onKeyDown}>
			<div class="sec-h"><b>{t(field.label)}</b>{ranked ? t("cand.ranked") : ""}</div>
			<div class="inpw">
				<input class="inp" data-testid="field-department" data-first autocomplete="off" spellcheck={false} role="combobox" aria-expanded="true"
					aria-controls="cands" aria-activedescendant={lead ? `cand-${lead}` : undefined}
					placeholder={t("panel.department.hint")} aria-label={t(field.label)} value={query.value}
					onInput={(e) => {
						if (!query.peek()) leadBefore.value = lead;
						query.value = e.currentTarget.value;
					}} />
				<span class="r">{found.matched ? t("panel.department.count", { n: found.items.length, all: all.length }) : t("panel.department.nomatch")}</span>
			</div>
			{waiting && <Waiting of={of} failed="panel.department.none" />}
			<div role="listbox" id="cands" aria-label={t(field.label)} class="cands">
				{found.items.map((item, i) => (
					<Option key={item.department} item={item} at={i} query={query.value} lead={item.department === lead}
						assisting={planned.some((task) => task.role === "assist" && task.department === item.department)} current={i === at.value}
						choose={() => choose(item.department)} assist={() => assist(item.department)} />
				))}
			</div>
			{planned.length > 0 && (
				<Plan planned={planned} items={all} remove={(task) => set(field.name, planned.filter((other) => other !== task))} />
			)}
			{chosen && <WhyThen key={chosen.department} item={chosen} />}
		</div>
	);
}

/** One department, for an action that names it. */
export function DepartmentField({ field, c, values, set }: Props) {
	const query = useSignal("");
	const at = useSignal(0);
	const only = field.among?.(c);
	const all = [...departments.value.values()].filter((d) => !only || only.includes(d.code))
		.sort((a, b) => (a.code < b.code ? -1 : 1))
		.map((d): Candidate => ({
			department: d.code, name_zh: d.name_zh, name_en: d.name_en ?? null, short_zh: d.short_zh ?? null, short_en: d.short_en ?? null,
			pinyin: d.pinyin ?? null,
		}));
	const found = rankCandidates(all, query.value);
	const chosen = values.value[field.name] as string | undefined;
	useEffect(() => {
		at.value = 0;
		const best = found.items[0];
		if (best && (query.value || only?.length === 1)) set(field.name, best.department, true);
	}, [query.value, all.length]);
	return (
		<div class="fld" onKeyDown={(event) => listKeys(event, found.items.length, at.value, (to) => {
			at.value = to;
			set(field.name, found.items[to]?.department);
		})}>
			<Label field={field} />
			<div class="inpw">
				<input class="inp" data-testid="field-department" data-first autocomplete="off" spellcheck={false} role="combobox" aria-expanded="true"
					aria-controls="cands" placeholder={t("panel.department.hint")} aria-label={t(field.label)} value={query.value}
					onInput={(e) => (query.value = e.currentTarget.value)} />
				<span class="r">{found.matched ? t("panel.department.count", { n: found.items.length, all: all.length }) : t("panel.department.nomatch")}</span>
			</div>
			<div role="listbox" id="cands" aria-label={t(field.label)} class="cands">
				{found.items.map((item) => (
					<div class={`cand${item.department === chosen ? " on" : ""}`} role="option" aria-selected={item.department === chosen} key={item.department}
						data-testid="dept-option" data-code={item.department} onClick={() => set(field.name, item.department)}>
						<span class="k">{item.department}</span>
						<div class="what"><div class="nm"><Marked item={item} query={query.value} /></div></div>
					</div>
				))}
			</div>
		</div>
	);
}
