// The keyboard. Nothing acts while an input method composes, nor a single key inside an editable field.
import { effect } from "@preact/signals";
import { allowed, perform, sayNotAllowed, sending, takeBack, targetOf } from "./act";
import { session } from "./api";
import { caseById, neighbour, order, resort, select, selected, ticked, touched, view, views } from "./store";
import { clearTicks, tickAll, tickSelected } from "./queue/bulk";
import { t, tn } from "./text";
import type { Case } from "./types";
import { contactOpen, help, isSmall, keysMode, layersOpen, mapShown, more, panel, panelEarly, panelEnter, replay, say, why } from "./ui";

/** Key caps of actions; the first action a case allows for a key takes it. */
export const ACTION_KEYS: Record<string, readonly string[]> = {
	a: ["accept"],
	f: ["file"],
	d: ["dispatch"],
	r: ["rework", "return", "uphold"],
	m: ["merge"],
	s: ["request_suspension", "grant_suspension", "resume"],
	S: ["deny_suspension"],
	e: ["request_extension", "grant_extension"],
	E: ["deny_extension"],
	c: ["comment"],
	v: ["send_check", "send_verify", "verify_result"],
	i: ["sign"],
	b: ["complete", "self_dispose"],
	p: ["check_pass"],
	P: ["check_fail"],
	z: ["close"],
	y: ["forward"],
	A: ["refuse", "not_file"],
	M: ["unmerge"],
	h: ["remind"],
	H: ["supervise"],
	"+": ["add_assist"],
};

export function capOf(action: string): string | undefined {
	for (const [key, actions] of Object.entries(ACTION_KEYS)) {
		if (actions.includes(action)) return key >= "a" || key < "A" ? key : `⇧${key.toLowerCase()}`;
	}
	return undefined;
}

/** True while an input method owns the keyboard; Safari's confirming Enter shows only by its keyCode. */
export const composing = (event: KeyboardEvent) =>
	event.isComposing || event.key === "Process" || event.keyCode === 229;

const editable = (target: EventTarget | null) =>
	target instanceof HTMLElement
	&& (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
		|| (target instanceof HTMLInputElement && target.type !== "radio" && target.type !== "checkbox"));

export const focusOn = (selector: string) => document.querySelector<HTMLElement>(selector)?.focus();

function current(): Case | undefined {
	const id = selected.peek();
	return id ? caseById(id)?.peek().case : undefined;
}

/** Keys pressed while a step of the selected case was under way, or before its panel stood: they count in their order. */
let ahead: { key: string; shift: boolean; id: string; at: number }[] = [];

const EARLY_MS = 15_000; // what was pressed longer ago was meant for something else by now

/** The open panel has an Enter and is not drawn yet. */
const isEnterPending = () => panelEnter.value !== null && panelEnter.value.target === panel.value;

/** A step is on its way, or its panel has had its Enter and waits for what it proposes. */
const isBusy = (id: string) => sending.value.has(id) || panelEarly.value || isEnterPending();

effect(() => {
	void [panel.value, sending.value, panelEarly.value, panelEnter.value]; // whichever ends first wakes us
	const next = ahead[0];
	if (next && !isBusy(next.id)) setTimeout(catchUp, 0);
});

function catchUp() {
	for (;;) {
		const next = ahead[0];
		if (!next || isBusy(next.id) || (panel.peek() && next.key !== "Enter")) return;
		ahead.shift();
		if (selected.peek() !== next.id || performance.now() - next.at > EARLY_MS) continue;
		const open = panel.peek();
		if (open) panelEnter.value = { shift: next.shift, target: open };
		if (next.key === "Enter") continue;
		actionKey(next.key);
		if (!panel.peek() && !isBusy(next.id)) ahead = []; // what was refused takes with it what was built on it
	}
}

const isInPanel = (target: EventTarget | null) => target instanceof HTMLElement && target.closest(".disp") !== null;
const isOnButton = (target: EventTarget | null) => target instanceof HTMLElement && target.closest("button, a, select") !== null;

/** What the operator chooses himself ends what was pressed ahead: he looks at the panel now. */
export function forgetAhead() {
	ahead = [];
}

/** Before anybody else hears a key: holds it back while the case's answer is awaited. */
function holdEarly(event: KeyboardEvent) {
	const id = selected.peek();
	const key = keyOf(event);
	if (!id || key === null || !(key in ACTION_KEYS || key === "Enter")) return;
	ahead = ahead.filter((entry) => entry.id === id && performance.now() - entry.at < EARLY_MS);
	const inPanel = isInPanel(event.target);
	const isUnderWay = sending.peek().has(id);
	// A field has what is typed into it, until its panel's own step is on its way.
	if (editable(event.target) && !(inPanel && isUnderWay)) return;
	if (ahead.length === 0) {
		// Where nothing is held an Enter is for the button in focus, or for the panel that waits for a choice.
		const own = key === "Enter" && (inPanel ? !isUnderWay && !isEnterPending() : isOnButton(event.target));
		if (own || !isBusy(id)) return;
	}
	touched();
	ahead.push({ key, shift: event.shiftKey, id, at: performance.now() });
	event.preventDefault();
	event.stopPropagation();
}

/** A key for an action: the panel opens, or what needs no choice is done at once. */
function actionKey(key: string): boolean {
	const names = ACTION_KEYS[key];
	if (!names) return false;
	const c = current();
	if (!c) {
		say(t("key.nocase"));
		return true;
	}
	const target = names.map((name) => targetOf(c, name)).find((found) => found !== undefined);
	if (!target) sayNotAllowed(c, names[0] ?? key);
	else if (target.action === "accept" && c.type_code && c.lon != null) void perform(c, target, { type_code: c.type_code });
	else panel.value = target;
	return true;
}

export function move(step: 1 | -1) {
	const id = selected.peek();
	const next = id ? neighbour(id, step) : order.peek()[0]?.id ?? null;
	if (next) select(next);
}

function escape() {
	ahead = [];
	if (help.peek()) help.value = false;
	else if (replay.peek()) replay.value = null;
	else if (more.peek()) more.value = false;
	else if (panel.peek()) panel.value = null;
	else if (why.peek()) why.value = false;
	else if (contactOpen.peek()) contactOpen.value = null;
	else if (ticked.peek().size > 0) clearTicks();
	else focusOn("[data-testid=queue]");
}

/** `g` then a letter; forgotten after a second. */
let prefixed = -Infinity;

function go(key: string) {
	if (key === "q") {
		mapShown.value = false;
		focusOn("[data-testid=queue]");
	} else if (key === "m") {
		if (isSmall.peek()) mapShown.value = true;
		focusOn("[data-testid=map]");
	}
}

const CONTACT_ROLES = ["operator", "shift_lead", "supervisor", "leader"];

function callReporter() {
	const id = selected.peek();
	if (!id) return say(t("key.nocase"));
	if (!CONTACT_ROLES.includes(session.peek()?.role ?? "")) return say(t("contact.role", { role: tn("role", session.peek()?.role) }));
	contactOpen.value = contactOpen.peek() === id ? null : id;
}

function openMore() {
	more.value = !more.peek();
	if (more.peek()) requestAnimationFrame(() => focusOn(".menu.open button"));
}

/** While the past is shown, arrows and the space bar are its. */
function replayKey(key: string): boolean {
	const state = replay.peek();
	if (!state) return false;
	if (key === "ArrowRight") replay.value = { at: state.at + 1, playing: false };
	else if (key === "ArrowLeft") replay.value = { at: Math.max(1, state.at - 1), playing: false };
	else if (key === " ") replay.value = { ...state, playing: !state.playing };
	else return false;
	return true;
}

const PLAIN: Record<string, () => void> = {
	j: () => move(1),
	k: () => move(-1),
	ArrowDown: () => move(1),
	ArrowUp: () => move(-1),
	Home: () => select(order.peek()[0]?.id ?? null),
	End: () => select(order.peek().at(-1)?.id ?? null),
	n: resort,
	w: () => (why.value = !why.peek()),
	"/": () => focusOn("[data-testid=search]"),
	"?": () => (help.value = !help.peek()),
	".": openMore,
	x: () => tickSelected(false),
	X: () => tickSelected(true),
	"*": tickAll,
	u: takeBack,
	o: callReporter,
	t: () => (replay.value = replay.peek() ? null : { at: 1, playing: false }),
	F: () => focusOn("[data-testid=filter-street]"),
	l: () => (layersOpen.value = !layersOpen.peek()),
	"\\": () => (mapShown.value = !mapShown.peek()),
	"[": () => dispatchEvent(new CustomEvent("map-zoom", { detail: -1 })),
	"]": () => dispatchEvent(new CustomEvent("map-zoom", { detail: 1 })),
};

/** With Alt many layouts type another sign: the place of the key counts then. */
function keyUnderAlt(event: KeyboardEvent): string {
	const letter = /^Key([A-Z])$/.exec(event.code)?.[1];
	if (letter) return event.shiftKey ? letter : letter.toLowerCase();
	return /^Digit(\d)$/.exec(event.code)?.[1] ?? event.key;
}

/** The key as it counts; null where it is not for us. Arrows, Enter and the like act always; letters, digits and signs as is set. */
function keyOf(event: KeyboardEvent): string | null {
	if (composing(event) || event.ctrlKey || event.metaKey) return null;
	const alt = keysMode.peek() === "alt";
	if (event.altKey && !alt) return null;
	const key = event.altKey ? keyUnderAlt(event) : event.key;
	return key.length === 1 && (keysMode.peek() === "off" || (alt && !event.altKey)) ? null : key;
}

function onKey(event: KeyboardEvent) {
	touched();
	const key = keyOf(event);
	if (key === null) return;
	if (key === "Escape") {
		if (editable(event.target) && !panel.peek()) (event.target as HTMLElement).blur();
		escape();
		event.preventDefault();
		return;
	}
	const open = panel.peek();
	if (open && key === "Enter" && !isInPanel(event.target) && !editable(event.target)) {
		panelEnter.value = { shift: event.shiftKey, target: open };
		event.preventDefault();
		return;
	}
	if (editable(event.target) || open) return;
	// A focused button answers Enter itself.
	if (key === "Enter" && !isOnButton(event.target)) {
		if (selected.peek()) focusOn("[data-testid=case]");
		return;
	}
	if (replayKey(key)) {
		event.preventDefault();
		return;
	}
	if (performance.now() - prefixed < 1000) {
		prefixed = -Infinity;
		go(key);
		event.preventDefault();
		return;
	}
	if (key === "g") {
		prefixed = performance.now();
		return;
	}
	const viewAt = views.peek()[Number(key) - 1];
	const inCase = event.target instanceof HTMLElement && event.target.closest("[data-testid=case]") !== null;
	if (viewAt) view.value = viewAt;
	else if (PLAIN[key] && !(inCase && key.startsWith("Arrow"))) PLAIN[key]?.();
	else if (!actionKey(key)) return;
	event.preventDefault();
}

export function listenForKeys() {
	addEventListener("keydown", holdEarly, true);
	addEventListener("keydown", onKey);
	for (const moved of ["pointermove", "pointerdown", "wheel"]) addEventListener(moved, touched, { passive: true });
}

/** After an action: is there a next step of mine on this very case? Then stay with it. */
export function staysHere(c: Case): boolean {
	return allowed(c).some((target) => PRIMARY.has(target.action));
}

/** Actions that carry a case forward: shown filled, first in the bar. */
export const PRIMARY = new Set([
	"accept", "file", "dispatch", "send_check", "check_pass", "close", "sign", "complete", "verify_result", "resume",
]);
