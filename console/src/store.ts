// The cases the console knows, one signal each, and what the operator is looking at. Everything live arrives here.
import { type ReadonlySignal, type Signal, batch, computed, effect, signal } from "@preact/signals";
import { call, Problem, serverNow, session } from "./api";
import { isTerminal, type Level, LEVELS, type Left, timeLeft } from "./clock";
import { zone } from "./format";
import { gap, SILENCE_MS, type StreamEvent, startStream, stopStream } from "./stream";
import { either, lang, type TextKey } from "./text";
import type { Case, City, Department, Role, Task, WorkTask } from "./types";
import { more, panel, replay } from "./ui";

const OPEN_STATES = "new,verifying,to_file,to_dispatch,assigned,handling,review,checking,to_close";
const PAGE = 200;
const PAGES_MAX = 50; // 10,000 rows: the queue's budget
const FETCHES_MAX = 6;
const PAUSE_MS = 2_000;
const QUIET_MS = 3_000; // nothing is inserted while the operator moves
const RESORT_MS = 20_000; // nothing is moved either

export interface Known {
	case: Case;
	/** When the server counted what is in it, ms. */
	asOf: number;
}
export type CaseSignal = Signal<Known>;

const cases = new Map<string, CaseSignal>();

/** One tick a second drives every countdown on the page. */
export const now = signal(serverNow());
export const city = signal<City | null>(null);
export const departments = signal<Map<string, Department>>(new Map());
export const listState = signal<"loading" | "ready" | { failed: string }>("loading");
/** False while pages of the list are still to come: the counts are not all of it yet. */
export const listWhole = signal(true);
/** Grows with every change to any case: what looks at all of them depends on it. */
export const changes = signal(0);

export const caseById = (id: string) => cases.get(id);
export const allCases = () => cases.values();
export const leftOf = (known: Known, at: number): Left => timeLeft(waitsOn(known.case), known.asOf, at);

// ---- a department's own part in a case ----

export const isDepartment = computed(() => session.value?.role === "department");

/** The task of my department; of several the one that is still to be done, else the last. */
export function ownTask(c: Case): Task | undefined {
	const me = session.peek();
	if (me?.role !== "department") return undefined;
	const own = (c.tasks ?? []).filter((task) => task.department === me.department);
	return own.find((task) => task.state === "assigned" || task.state === "signed") ?? own.at(-1);
}

/** A department sees what it has to do and what it has reported done, not what it gave back. */
function concerns(c: Case): boolean {
	const task = ownTask(c);
	return !task || task.state === "assigned" || task.state === "signed" || task.state === "done";
}

const waits = new WeakMap<Case, Case>();

/** The case with the clock that I wait on: a department's is its task's own. */
export function waitsOn(c: Case): Case {
	const task = ownTask(c);
	if (!task || task.clock === undefined) return c;
	let mine = waits.get(c);
	if (!mine) {
		mine = {
			...c, clock: task.clock, suspended: task.suspended ?? c.suspended ?? false, suspended_until: task.suspended_until ?? c.suspended_until ?? null,
			handle_due_at: task.due_at ?? c.handle_due_at ?? null,
		};
		waits.set(c, mine);
	}
	return mine;
}

// ---- what my role does next ----

const DESK: readonly string[] = ["new", "to_file", "to_dispatch", "review", "to_close", "checking"];
const TURN: Record<Role, readonly string[]> = {
	operator: DESK,
	shift_lead: DESK,
	department: ["assigned", "handling"],
	inspector: ["verifying", "checking"],
	supervisor: [],
	leader: [],
	auditor: [],
	admin: [],
};

export function isMine(c: Case): boolean {
	const me = session.value;
	const task = ownTask(c);
	if (task) return task.state === "assigned" || task.state === "signed";
	return me !== null && TURN[me.role]?.includes(c.state) === true;
}

// ---- views and filters ----

export type View = "mine" | "over" | "soon" | "returned" | "review" | "open" | "asked" | "sign" | "handle" | "sent";
const DESK_VIEWS: readonly View[] = ["mine", "over", "soon", "returned", "review", "asked", "open"];
const TASK_VIEWS: readonly View[] = ["sign", "handle", "over", "soon", "asked", "sent", "open"];
export const views = computed(() => (isDepartment.value ? TASK_VIEWS : DESK_VIEWS));
export const VIEW_TEXT: Record<View, TextKey> = {
	mine: "view.mine", over: "view.over", soon: "view.soon", returned: "view.returned", review: "view.review", open: "view.open",
	asked: "view.asked", sign: "view.sign", handle: "view.handle", sent: "view.sent",
};

export const view = signal<View>("open");
export const streetFilter = signal("");
export const domainFilter = signal("");
export const textFilter = signal("");

function inView(name: View, c: Case, level: Level): boolean {
	switch (name) {
	case "mine": return isMine(c);
	case "over": return level === "over";
	case "soon": return level === "80" || level === "70";
	case "returned": return c.state === "to_dispatch" && (c.return_count ?? 0) > 0;
	case "review": return c.state === "review";
	case "asked": return c.tasks?.some((task) => task.request) === true;
	case "sign": return ownTask(c)?.state === "assigned";
	case "handle": return ownTask(c)?.state === "signed";
	case "sent": return ownTask(c)?.state === "done";
	case "open": return true;
	}
}

function matches(c: Case): boolean {
	if (streetFilter.value && c.street !== streetFilter.value) return false;
	if (domainFilter.value && c.domain !== domainFilter.value) return false;
	const query = textFilter.value.trim().toLowerCase();
	if (!query) return true;
	return [c.case_no, c.title, c.text, c.type_name_zh, c.type_name_en, c.street_name, c.street_name_en, c.type_code, c.grid_cell]
		.some((field) => field?.toLowerCase().includes(query));
}

// ---- order ----

export interface Entry {
	id: string;
	/** The group it was sorted into; its own level may have moved on since. */
	level: Level;
}

/** The rows of the view as last sorted. Values change in place, places change only in resort(). */
export const order = signal<Entry[]>([]);
/** Cases that belong in the view and wait for `n` or for a quiet moment. */
export const waiting = signal<ReadonlySet<string>>(new Set());
/** Arrived since the page was opened and not looked at yet. */
export const unread = signal<ReadonlySet<string>>(new Set());
type Counts = Record<View, number>;
const noCounts = (): Counts => ({ mine: 0, over: 0, soon: 0, returned: 0, review: 0, open: 0, asked: 0, sign: 0, handle: 0, sent: 0 });
export const counts = signal<Counts>(noCounts());
/** The next case to become due, for the empty state. */
export const nextDue = signal<number | null>(null);

/** Ticked for a step taken on many. */
export const ticked = signal<ReadonlySet<string>>(new Set());

let touchedAt = 0;
let sortedAt = 0;

/** The operator moved: the order stands still for a while. */
export function touched() {
	touchedAt = performance.now();
}

/** Counts for every view, and the ids that belong in the current one. */
function survey(at: number): { ids: Map<string, Left>; totals: Counts; next: number | null } {
	const totals = noCounts();
	const names = views.peek();
	const ids = new Map<string, Left>();
	let next: number | null = null;
	for (const [id, known] of cases) {
		const { case: c } = known.peek();
		if (isTerminal(c) || !concerns(c)) continue;
		const left = leftOf(known.peek(), at);
		for (const name of names) if (inView(name, c, left.level)) totals[name]++;
		if (left.due !== null && left.due > at && (next === null || left.due < next)) next = left.due;
		if (inView(view.value, c, left.level) && matches(c)) ids.set(id, left);
	}
	return { ids, totals, next };
}

function publish(totals: Counts, next: number | null) {
	if (views.peek().some((name) => counts.peek()[name] !== totals[name])) counts.value = totals;
	nextDue.value = next;
}

/** Sort everything anew: group by the share of the limit used, then by it. */
export function resort() {
	sortedAt = performance.now();
	const { ids, totals, next } = survey(serverNow());
	const rank = (level: Level) => LEVELS.indexOf(level);
	const sorted = [...ids].sort(([a, x], [b, y]) =>
		rank(x.level) - rank(y.level) || y.used - x.used || (x.due ?? Infinity) - (y.due ?? Infinity) || (a < b ? -1 : 1));
	batch(() => {
		publish(totals, next);
		order.value = sorted.map(([id, left]) => ({ id, level: left.level }));
		waiting.value = new Set();
	});
}

/** Once a second: fresh counts; arrivals and moves enter the order only while the operator rests. */
function settle() {
	if (listState.peek() !== "ready") return;
	const { ids, totals, next } = survey(serverNow());
	const placed = new Set(order.peek().map((entry) => entry.id));
	const arrived = [...ids.keys()].filter((id) => !placed.has(id));
	const resting = performance.now() - touchedAt;
	const moved = order.peek().some((entry) => ids.get(entry.id)?.level !== entry.level);
	if (arrived.length > 0 && (resting > QUIET_MS || !listWhole.peek())) return resort();
	if (moved && resting > RESORT_MS && performance.now() - sortedAt > RESORT_MS) return resort();
	batch(() => {
		publish(totals, next);
		const before = waiting.peek();
		if (arrived.length !== before.size || arrived.some((id) => !before.has(id))) waiting.value = new Set(arrived);
	});
}

let settling = false;

/** Many answers in a burst are one look at the order. */
function settleSoon() {
	if (settling) return;
	settling = true;
	setTimeout(() => {
		settling = false;
		settle();
	}, 50);
}

// ---- selection: one for queue, case and map ----

export const selected = signal<string | null>(null);

export function select(id: string | null) {
	if (selected.peek() === id) return;
	batch(() => {
		selected.value = id;
		// A panel belongs to its case; a step under way goes on and says how it ended.
		panel.value = null;
		more.value = false;
		replay.value = null;
		if (id && unread.peek().has(id)) {
			const rest = new Set(unread.peek());
			rest.delete(id);
			unread.value = rest;
		}
	});
	history.replaceState(null, "", id ? `#case=${encodeURIComponent(id)}` : location.pathname);
	if (id) refresh(id);
}

/** The case after this one in the order, else the one before it. */
export function neighbour(id: string, step: 1 | -1): string | null {
	const rows = order.peek();
	const at = rows.findIndex((entry) => entry.id === id);
	if (at < 0) return rows[0]?.id ?? null;
	return rows[Math.min(Math.max(at + step, 0), rows.length - 1)]?.id ?? null;
}

export const position = computed(() => {
	const at = order.value.findIndex((entry) => entry.id === selected.value);
	return { at: at + 1, of: order.value.length };
});

// ---- changes ----

/** How many versions were new to us, ever. */
let news = 0;

/** Keep what is newer: answers may overtake each other, and a list item knows less than the case itself. */
export function learn(c: Case, isNew = false) {
	const known = cases.get(c.case_id);
	const next: Known = { case: c, asOf: serverNow() };
	if (!known || c.version > known.peek().case.version) news++;
	if (!known) {
		cases.set(c.case_id, signal(next));
		if (isNew && !isTerminal(c)) unread.value = new Set(unread.peek()).add(c.case_id);
	} else if (c.version >= known.peek().case.version) {
		known.value = { ...next, case: { ...known.peek().case, ...c } };
	}
	changes.value++;
}

function forget(id: string) {
	if (!cases.delete(id)) return;
	order.value = order.peek().filter((entry) => entry.id !== id);
	changes.value++;
}

const dirty = new Set<string>();
let fetching = 0;
/** Until then nothing is asked: the server is away or has had enough of us. */
let pausedUntil = 0;
let flushing = false;
let resuming: ReturnType<typeof setTimeout> | undefined;

/** Fetch a case again soon; many requests for one case in a frame become one. */
export function refresh(id: string) {
	dirty.add(id);
	if (flushing) return;
	flushing = true;
	// A hidden tab gets no frames, yet its counts and sounds must stay true.
	const soon = document.hidden ? (f: () => void) => setTimeout(f, 50) : requestAnimationFrame;
	soon(() => {
		flushing = false;
		pump();
	});
}

/** Bumped when the log of the selected case may have grown. */
export const selectedChanged = signal(0);
/** Ids whose fetch answered 404: gone, or another department's. */
export const gone = signal<ReadonlySet<string>>(new Set());

function pump() {
	const rest = pausedUntil - performance.now();
	if (rest > 0) {
		if (!resuming) resuming = setTimeout(() => {
			resuming = undefined;
			pump();
		}, rest);
		return;
	}
	for (const id of dirty) {
		if (fetching >= FETCHES_MAX) return;
		dirty.delete(id);
		fetching++;
		void fetchCase(id).finally(() => {
			fetching--;
			if (dirty.size > 0) pump();
		});
	}
}

async function fetchCase(id: string) {
	try {
		const c = await call<Case>(`/cases/${encodeURIComponent(id)}`);
		batch(() => {
			learn(c, true);
			if (selected.peek() === id) selectedChanged.value++;
		});
		settleSoon();
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
		if (error.status === 404) {
			forget(id);
			gone.value = new Set(gone.peek()).add(id);
		} else if (error.status === 0 || error.status >= 500 || error.status === 429) {
			// Not lost: asked for again when the world is back.
			if (!session.peek()) return;
			pausedUntil = performance.now() + PAUSE_MS;
			dirty.add(id);
		}
	}
}

/** The case as its task knows it: the task itself among what is known of its tasks. */
function caseOf({ case: c, ...task }: WorkTask): Case {
	const others = (cases.get(c.case_id)?.peek().case.tasks ?? []).filter((other) => other.task_id !== task.task_id);
	return { ...c, tasks: [task, ...others] };
}

async function pages<T>(path: string, take: (items: T[], first: boolean) => void) {
	let cursor: string | null = null;
	for (let page = 0; page < PAGES_MAX; page++) {
		const got: { items: T[]; next_cursor?: string | null } =
			await call(`${path}&limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
		take(got.items, page === 0);
		cursor = got.next_cursor ?? null;
		if (!cursor) break;
	}
}

/** Read the whole list again, page by page; what is shown stays until the new answer is complete. */
export async function loadList(onPage: () => void = () => {}) {
	const seen = new Set<string>();
	listWhole.value = false;
	const take = (items: Case[], first: boolean) => {
		batch(() => {
			for (const c of items) {
				seen.add(c.case_id);
				learn(c);
			}
			listState.value = "ready";
			if (first) resort();
		});
		onPage();
	};
	try {
		if (isDepartment.peek()) {
			// Its tasks first, by their own clocks; then what it has reported done and others still look at.
			await pages<WorkTask>("/tasks?state=assigned,signed", (items, first) => take(items.map(caseOf), first));
			await pages<Case>("/cases?state=review,checking,to_close&sort=due", (items) => take(items, false));
			resort();
		} else {
			const states = session.peek()?.role === "inspector" ? TURN.inspector.join() : OPEN_STATES;
			await pages<Case>(`/cases?state=${states}&sort=due`, take);
		}
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
		if (listState.peek() !== "ready") listState.value = { failed: error.detail };
		return;
	} finally {
		listWhole.value = true;
	}
	// What was open and is no longer listed was closed meanwhile, or is out of reach now.
	for (const [id, known] of cases) if (!seen.has(id) && !isTerminal(known.peek().case)) refresh(id);
	if (seen.size > PAGE) resort();
}

function onEvent(message: StreamEvent) {
	if (message.event === "resync" || message.event === "reload") {
		const before = news;
		void loadList().then(() => {
			const silentMs = message.silentMs ?? 0;
			if (silentMs > SILENCE_MS && news > before) gap.value = { changes: news - before, seconds: Math.round(silentMs / 1000) };
		});
		if (message.event === "resync") resynced.value++;
		return;
	}
	if (message.event !== "case" && message.event !== "task") return;
	const data = JSON.parse(message.data) as { case_id?: string; task_id?: string };
	const id = data.case_id ?? caseOfTask(data.task_id);
	if (id) refresh(id);
}

/** Counts the times the server could not resume our stream. */
export const resynced = signal(0);

function caseOfTask(taskId: string | undefined): string | undefined {
	if (!taskId) return undefined;
	for (const [id, known] of cases) {
		if (known.peek().case.tasks?.some((task) => task.task_id === taskId)) return id;
	}
	return undefined;
}

// ---- a session's life ----

async function loadReference() {
	const [gotCity, gotDepartments] = await Promise.allSettled([
		call<City>("/city"),
		call<{ items: Department[] }>("/departments"),
	]);
	batch(() => {
		if (gotCity.status === "fulfilled") {
			city.value = gotCity.value;
			zone.value = gotCity.value.zone;
		}
		if (gotDepartments.status === "fulfilled") {
			departments.value = new Map(gotDepartments.value.items.map((d) => [d.code, d]));
		}
	});
}

let ticking: ReturnType<typeof setTimeout> | undefined;

function tick() {
	now.value = serverNow();
	settle();
	// On the second, so that all countdowns of the room change together.
	ticking = setTimeout(tick, 1000 - (serverNow() % 1000));
}

export function openDesk() {
	const me = session.peek();
	view.value = me?.role === "department" ? "open" : me && TURN[me.role]?.length > 0 ? "mine" : "open";
	listState.value = "loading";
	// Listening starts before the list is read: what changes in between is fetched by its event.
	void startStream(onEvent);
	void loadReference();
	const wanted = /^#case=(.+)$/.exec(location.hash)?.[1];
	if (wanted) select(decodeURIComponent(wanted));
	// The most urgent is in sight at once; the rest of a long list follows below it.
	const first = () => selected.peek() ?? select(order.peek()[0]?.id ?? null);
	void loadList(first).then(first);
	tick();
}

export function closeDesk() {
	stopStream();
	clearTimeout(ticking);
	dirty.clear();
	cases.clear();
	batch(() => {
		selected.value = null;
		order.value = [];
		waiting.value = new Set();
		unread.value = new Set();
		ticked.value = new Set();
		gone.value = new Set();
		streetFilter.value = domainFilter.value = textFilter.value = "";
		changes.value++;
	});
	history.replaceState(null, "", location.pathname);
}

// An address of a case pasted or followed opens that case.
addEventListener("hashchange", (event) => {
	// What was asked for, not what the address has become since.
	const wanted = /^#case=(.+)$/.exec(new URL(event.newURL).hash)?.[1];
	if (wanted && session.peek()) select(decodeURIComponent(wanted));
});

// Another view or filter is a new question: answer it at once.
effect(() => {
	void [view.value, streetFilter.value, domainFilter.value, textFilter.value];
	if (listState.peek() === "ready") resort();
});

/** Short name of a department for narrow columns. */
export function departmentShort(code: string | null | undefined): string {
	if (!code) return "";
	const d = departments.value.get(code);
	if (!d) return code;
	return lang.value === "zh" ? d.short_zh || d.name_zh : d.short_en || d.name_en || d.name_zh;
}

export function departmentName(code: string | null | undefined): string {
	if (!code) return "";
	const d = departments.value.get(code);
	if (!d) return code;
	return (lang.value === "zh" ? d.name_zh || d.name_en : d.name_en || d.name_zh) ?? code;
}

/** Short names of the streets that have one, by code and language. */
const streetShorts = computed(() => {
	const found = new Map<string, { zh: string | undefined; en: string | undefined }>();
	for (const { properties } of city.value?.streets?.features ?? []) {
		const p = (properties ?? {}) as Record<string, string | undefined>;
		if (p.code) found.set(p.code, { zh: p.short_zh || p.name_zh, en: p.short_en || p.name_en });
	}
	return found;
});

/** Han names of more than four characters want a wider column. */
export const streetNamesLong = computed(() =>
	lang.value === "zh" && [...streetShorts.value.values()].some(({ zh }) => (zh?.length ?? 0) > 4));

/** For narrow columns. */
export function streetShort(c: Case): string {
	const short = streetShorts.value.get(c.street ?? "");
	return either(short?.zh, short?.en) || streetName(c);
}

export const streetName = (c: Case) => either(c.street_name, c.street_name_en) || c.street || "";

/** The streets cases lie in, for the filter. */
export const streets: ReadonlySignal<[string, string][]> = computed(() => {
	void changes.value;
	const found = new Map<string, string>();
	for (const known of cases.values()) {
		const c = known.peek().case;
		if (c.street) found.set(c.street, either(c.street_name, c.street_name_en) || c.street);
	}
	return [...found].sort((a, b) => a[1].localeCompare(b[1]));
});
