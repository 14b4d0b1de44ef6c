// What is open on the page besides the data: panel, help, theme, toasts, the line in the foot.
import { effect, signal } from "@preact/signals";
import { lang } from "./text";

export interface Target {
	action: string;
	/** The task the action is for; absent for an action on the case itself. */
	taskId?: string;
}

/** The action panel that slides over the case, if any. */
export const panel = signal<Target | null>(null);
/** Enter was pressed for this panel before it had the focus; null once the panel has taken it. */
export const panelEnter = signal<{ shift: boolean; target: Target } | null>(null);
/** The open panel has had its Enter and waits for what it will propose. */
export const panelEarly = signal(false);
/** The full deadline explanation. */
export const why = signal(false);
export const help = signal(false);
export const more = signal(false);
/** The case whose reporters' contacts are shown. */
export const contactOpen = signal<string | null>(null);
/** The timeline as it stood after so many entries; null: all of it. */
export const replay = signal<{ at: number; playing: boolean } | null>(null);
/** The way back of what was just done, while it exists. */
export const undo = signal<{ label: string; run: () => void } | null>(null);
/** The map's choice of layers. */
export const layersOpen = signal(false);
/** On a small screen case and map share a place. */
export const mapShown = signal(false);
/** A word in the foot line: why a key did nothing. */
export const footNote = signal("");

/** Single keys act alone, with Alt, or not at all. */
export type KeysMode = "on" | "alt" | "off";
const storedKeys = localStorage.getItem("keys");
export const keysMode = signal<KeysMode>(storedKeys === "off" || storedKeys === "alt" ? storedKeys : "on");

effect(() => localStorage.setItem("keys", keysMode.value));

export function say(text: string) {
	footNote.value = text;
	setTimeout(() => {
		if (footNote.peek() === text) footNote.value = "";
	}, 6000);
}

// ---- theme ----

export type Theme = "light" | "dark";

const storedTheme = localStorage.getItem("theme");
export const theme = signal<Theme>(
	storedTheme === "dark" || storedTheme === "light" ? storedTheme
		: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
);

export function setTheme(next: Theme) {
	theme.value = next;
	localStorage.setItem("theme", next);
}

effect(() => {
	document.documentElement.dataset.theme = theme.value;
});
effect(() => {
	document.documentElement.lang = lang.value === "zh" ? "zh-Hans" : "en";
});

// ---- toasts ----

export interface Toast {
	id: number;
	kind: "done" | "warn";
	text: string;
	button?: { label: string; run: () => void };
}

export const toasts = signal<readonly Toast[]>([]);
let toastId = 0;

export function toast(kind: Toast["kind"], text: string, button?: Toast["button"], ms = 5000) {
	const id = ++toastId;
	// Of things that went well the last is enough.
	const kept = kind === "done" ? toasts.peek().filter((entry) => entry.kind === "warn") : toasts.peek();
	toasts.value = [...kept.slice(-2), { id, kind, text, ...(button && { button }) }];
	// Work not done stays until it is seen to.
	if (kind === "done") setTimeout(() => dropToast(id), ms);
	else if (!button) setTimeout(() => dropToast(id), 12_000);
}

export function dropToast(id: number) {
	toasts.value = toasts.peek().filter((entry) => entry.id !== id);
}

// ---- sizes that the script and the style sheet must agree on ----

const small = matchMedia("(max-width: 1759px)");
export const isSmall = signal(small.matches);
small.addEventListener("change", () => (isSmall.value = small.matches));

const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
export const rowHeight = () => Math.round((isSmall.value ? 1.75 : 1.875) * rem());
export const groupHeight = () => Math.round((isSmall.value ? 1.25 : 1.375) * rem());
