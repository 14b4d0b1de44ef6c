// The live queue: views, filters, groups by share of the limit used, a window of rows over any number of cases.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Level } from "../clock";
import { instant, thousands } from "../format";
import { Glyph } from "../glyph";
import {
	caseById, counts, domainFilter, isDepartment, listState, listWhole, loadList, nextDue, now, order, resort, selected, streetFilter, streets,
	textFilter, touched, VIEW_TEXT, view, views, waiting,
} from "../store";
import { t, type TextKey } from "../text";
import { groupHeight, isSmall, rowHeight } from "../ui";
import { Bulk } from "./bulk";
import { Row, rowId } from "./row";

const OVERSCAN = 6;
const DOMAINS = ["pingan", "jianguan", "shichang", "minsheng"] as const;

interface Item {
	/** Top edge, px. */
	y: number;
	height: number;
	/** A group head has a level, a row an id; `index` counts rows from 1. */
	level?: Level;
	size?: number;
	id?: string;
	index: number;
}

/** The order laid out: group heads between the rows, each with its place. */
function layOut(): { items: Item[]; height: number; rowAt: Map<string, Item> } {
	const row = rowHeight();
	const group = groupHeight();
	const sizes = new Map<Level, number>();
	for (const entry of order.value) sizes.set(entry.level, (sizes.get(entry.level) ?? 0) + 1);
	const items: Item[] = [];
	const rowAt = new Map<string, Item>();
	let y = 0;
	let level: Level | null = null;
	let index = 0;
	for (const entry of order.value) {
		if (entry.level !== level) {
			level = entry.level;
			items.push({ y, height: group, level, size: sizes.get(level) ?? 0, index });
			y += group;
		}
		const item = { y, height: row, id: entry.id, index: ++index };
		items.push(item);
		rowAt.set(entry.id, item);
		y += row;
	}
	return { items, height: y, rowAt };
}

/** First item whose bottom edge is below y. */
function firstAt(items: Item[], y: number): number {
	let low = 0;
	let high = items.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		const item = items[middle];
		if (item && item.y + item.height <= y) low = middle + 1;
		else high = middle;
	}
	return low;
}

function Views() {
	return (
		<div class="views" role="tablist" aria-label={t("views")}>
			{views.value.map((name, i) => (
				<button role="tab" aria-selected={view.value === name} class={view.value === name ? "on" : ""} title={String(i + 1)}
					data-testid={`view-${name}`} onClick={() => (view.value = name)}>
					{name === "over" && <Glyph shape="over" size={12} />}
					{name === "soon" && <Glyph shape="80" size={12} />}
					{t(VIEW_TEXT[name])} <em>{thousands(counts.value[name])}{listWhole.value ? "" : "+"}</em>
				</button>
			))}
		</div>
	);
}

function Filters() {
	return (
		<div class="filters">
			<label class="chip">{t("filter.street")}
				<select data-testid="filter-street" value={streetFilter.value} onChange={(e) => (streetFilter.value = e.currentTarget.value)}>
					<option value="">{t("filter.all")}</option>
					{streets.value.map(([code, name]) => <option value={code}>{name}</option>)}
				</select>
			</label>
			<label class="chip">{t("filter.domain")}
				<select value={domainFilter.value} onChange={(e) => (domainFilter.value = e.currentTarget.value)}>
					<option value="">{t("filter.all")}</option>
					{DOMAINS.map((name) => <option value={name}>{t(`domain.${name}`)}</option>)}
				</select>
			</label>
			{textFilter.value && (
				<span class="chip">{t("filter.text")} <b>{textFilter.value}</b>
					<button class="x" aria-label={t("filter.clear")} onClick={() => (textFilter.value = "")}>×</button>
				</span>
			)}
			<span class="sort">{t("sort.share")}</span>
			{waiting.value.size > 0 && (
				<button class="newpill" data-testid="new-rows" onClick={resort}>
					{t("new.rows", { n: thousands(waiting.value.size) })} <span class="k">n</span>
				</button>
			)}
		</div>
	);
}

function Empty() {
	const filtered = streetFilter.value || domainFilter.value || textFilter.value;
	return (
		<div class="empty" data-testid="empty">
			<b>{t("empty.view", { view: t(VIEW_TEXT[view.value]) })}</b>
			<p>{filtered ? t("empty.filtered")
				: nextDue.value ? t("empty.next", { at: instant(nextDue.value, now.peek()) }) : t("empty.nothing")}</p>
		</div>
	);
}

/** Rows of the true height, but only if the answer takes longer than a blink. */
function Skeleton() {
	return <div class="skeleton" aria-hidden="true">{Array.from({ length: 14 }, () => <div class="skrow"><i /><i /><i /></div>)}</div>;
}

function Body() {
	const state = listState.value;
	if (state === "loading") return <Skeleton />;
	if (state !== "ready") {
		return (
			<div class="empty err" role="alert">
				<b>{t("queue.failed")}</b>
				<p>{state.failed}</p>
				<button class="btn" onClick={() => {
					listState.value = "loading";
					void loadList();
				}}>{t("retry")}</button>
			</div>
		);
	}
	return order.value.length === 0 ? <Empty /> : <Rows />;
}

function Rows() {
	const list = useRef<HTMLDivElement>(null);
	const scroll = useSignal(0);
	const view_ = useSignal(800);
	const plan = useComputed(() => (void isSmall.value, layOut()));
	const { items, height } = plan.value;
	const before = useRef<{ plan: typeof plan.value; y: number | undefined }>({ plan: plan.value, y: undefined });

	useEffect(() => {
		const element = list.current?.parentElement;
		if (!element) return;
		const observer = new ResizeObserver(() => (view_.value = element.clientHeight));
		observer.observe(element);
		const onScroll = () => {
			scroll.value = element.scrollTop;
			touched();
		};
		element.addEventListener("scroll", onScroll, { passive: true });
		return () => {
			observer.disconnect();
			element.removeEventListener("scroll", onScroll);
		};
	}, []);

	// Another view starts at its top.
	useLayoutEffect(() => {
		if (list.current?.parentElement) list.current.parentElement.scrollTop = 0;
		before.current = { plan: plan.peek(), y: undefined };
	}, [view.value, streetFilter.value, domainFilter.value, textFilter.value]);

	// Sorting keeps the cursor row where it stands on the screen.
	useLayoutEffect(() => {
		const element = list.current?.parentElement;
		const y = selected.peek() ? plan.value.rowAt.get(selected.peek() ?? "")?.y : undefined;
		const old = before.current;
		if (element && old.plan !== plan.value && old.y !== undefined && y !== undefined) {
			const visible = old.y >= element.scrollTop && old.y < element.scrollTop + element.clientHeight;
			if (visible) element.scrollTop += y - old.y;
		}
		before.current = { plan: plan.value, y };
	});

	// The cursor moved: bring it into sight, never under the edge.
	useEffect(() => {
		const element = list.current?.parentElement;
		const item = selected.value ? plan.peek().rowAt.get(selected.value) : undefined;
		if (!element || !item) return;
		if (item.y < element.scrollTop + groupHeight()) element.scrollTop = item.y - groupHeight();
		else if (item.y + item.height > element.scrollTop + element.clientHeight) {
			element.scrollTop = item.y + item.height - element.clientHeight;
		}
	}, [selected.value]);

	const first = Math.max(0, firstAt(items, scroll.value) - OVERSCAN);
	const last = firstAt(items, scroll.value + view_.value) + OVERSCAN;
	return (
		<div class="rows" ref={list} role="presentation" style={{ height: `${height}px` }}>
			{items.slice(first, last + 1).map((item) => {
				if (item.level !== undefined) {
					return (
						<div class="grp" key={item.level} role="presentation" data-testid="group" data-level={item.level}
							style={{ transform: `translateY(${item.y}px)`, height: `${item.height}px` }}>
							<Glyph shape={item.level} size={12} /><b>{t(`level.${item.level}` as TextKey)}</b>{thousands(item.size ?? 0)}
						</div>
					);
				}
				const known = item.id ? caseById(item.id) : undefined;
				return known && <Row key={item.id} known={known} top={item.y} height={item.height} index={item.index} />;
			})}
		</div>
	);
}

export function Queue() {
	const active = selected.value && order.value.some((entry) => entry.id === selected.value) ? rowId(selected.value) : undefined;
	return (
		<section class="queue" aria-label={t("queue")}>
			<Views />
			<Filters />
			<div class="hd" aria-hidden="true">
				<span /><span class="l">{t("col.left")}</span><span class="due">{t("col.due")}</span><span>{t("col.case")}</span>
				<span>{t("col.street")}<span class="gz">{t("col.grid")}</span></span><span>{t("col.stage")}</span><span>{t(isDepartment.value ? "col.role" : "col.lead")}</span>
			</div>
			<div class="list" role="grid" tabIndex={0} data-testid="queue" aria-label={t("queue")} aria-rowcount={order.value.length}
				aria-activedescendant={active}>
				<Body />
			</div>
			<Bulk />
		</section>
	);
}
