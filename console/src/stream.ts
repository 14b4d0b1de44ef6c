// Server-Sent Events over fetch: unlike EventSource it hears the heartbeats, so silence can be told from calm.
import { signal } from "@preact/signals";
import { expired, session } from "./api";

export type StreamState = "live" | "stale" | "off";

/** Nothing heard for longer is a gap: old data look old, and what was missed is told. */
export const SILENCE_MS = 10_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;

export interface StreamEvent {
	/** Of a `reload`: how long nothing was heard. */
	silentMs?: number;
	id: string;
	event: string;
	data: string;
}

/** Splits a byte stream's text into events; comments count as life, not as events. */
export class EventParser {
	private rest = "";
	private id = "";
	private event = "";
	private data: string[] = [];

	constructor(private readonly onEvent: (event: StreamEvent) => void) {}

	push(text: string) {
		const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
		this.rest = lines.pop() ?? "";
		for (const line of lines) this.line(line);
	}

	private line(line: string) {
		if (line === "") {
			if (this.data.length > 0) this.onEvent({ id: this.id, event: this.event || "message", data: this.data.join("\n") });
			this.event = "";
			this.data = [];
			return;
		}
		const colon = line.indexOf(":");
		if (colon === 0) return;
		const name = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
		if (name === "id") this.id = value;
		else if (name === "event") this.event = value;
		else if (name === "data") this.data.push(value);
	}
}

/** When the last byte came (our clock), or 0 before the first. */
export const heardAt = signal(0);
/** Failed attempts since the last byte. */
export const attempts = signal(0);
export const connected = signal(false);
/** A gap that was filled after a silence: how many changes, how long. Cleared by the reader of it. */
export const gap = signal<{ changes: number; seconds: number } | null>(null);

export function streamState(now: number): StreamState {
	if (heardAt.value === 0) return "off";
	if (now - heardAt.value > SILENCE_MS) return "stale";
	return connected.value ? "live" : "stale";
}

let running: AbortController | null = null;
let wake: (() => void) | null = null;

/** Try again at once instead of waiting out the pause. */
export function retryNow() {
	wake?.();
}

const pause = (ms: number) =>
	new Promise<void>((resolve) => {
		const timer = setTimeout(resolve, ms);
		wake = () => {
			clearTimeout(timer);
			resolve();
		};
	});

async function readOnce(lastId: string, abort: AbortController, onOpen: (silentMs: number) => void, onEvent: (event: StreamEvent) => void) {
	const headers: Record<string, string> = { accept: "text/event-stream" };
	if (lastId) headers["last-event-id"] = lastId;
	const answer = await fetch("/api/v1/stream", {
		headers, credentials: "same-origin", cache: "no-store", signal: abort.signal,
	});
	if (answer.status === 401) {
		expired.value = true;
		session.value = null;
		return;
	}
	if (!answer.ok || !answer.body) throw new Error(`stream: ${answer.status}`);

	const silentMs = heardAt.value ? Date.now() - heardAt.value : 0;
	let changes = 0;
	let counting = silentMs > SILENCE_MS;
	const parser = new EventParser((event) => {
		if (counting && event.event !== "vitals") changes++;
		onEvent(event);
	});
	const decoder = new TextDecoder();
	const reader = answer.body.getReader();
	connected.value = true;
	attempts.value = 0;
	heardAt.value = Date.now();
	onOpen(silentMs);
	// A server that stops without closing would hold us for ever: give the connection up after twice the silence.
	const watch = setInterval(() => {
		if (Date.now() - heardAt.value > 2 * SILENCE_MS) void reader.cancel();
	}, 1000);
	if (counting) {
		setTimeout(() => {
			counting = false;
			if (changes > 0) gap.value = { changes, seconds: Math.round(silentMs / 1000) };
		}, 2000);
	}
	try {
		for (;;) {
			const { done, value } = await reader.read();
			if (done) return;
			heardAt.value = Date.now();
			parser.push(decoder.decode(value, { stream: true }));
		}
	} finally {
		clearInterval(watch);
	}
}

/** Listen until stopped, taking up after every break where the last event left off. */
export async function startStream(onEvent: (event: StreamEvent) => void) {
	stopStream();
	const abort = new AbortController();
	running = abort;
	let lastId = "";
	let wait = RETRY_MIN_MS;
	let opened = false;
	while (!abort.signal.aborted) {
		try {
			await readOnce(lastId, abort, (silentMs) => {
				// Nothing to resume from yet: what happened in the break can only be read as a whole.
				if (opened && !lastId) onEvent({ id: "", event: "reload", data: "", silentMs });
				opened = true;
			}, (event) => {
				if (event.id) lastId = event.id;
				wait = RETRY_MIN_MS;
				onEvent(event);
			});
		} catch {
			// The world failed; the state shown to the operator is the report.
		}
		if (abort.signal.aborted) return;
		connected.value = false;
		attempts.value++;
		await pause(wait);
		wait = Math.min(wait * 2, RETRY_MAX_MS);
	}
}

export function stopStream() {
	running?.abort();
	running = null;
	connected.value = false;
	heardAt.value = 0;
	attempts.value = 0;
	gap.value = null;
}
