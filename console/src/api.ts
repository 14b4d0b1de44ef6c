// The one place that talks HTTP. The session is an HttpOnly cookie the script never sees; writes carry the CSRF value.
import { signal } from "@preact/signals";
import { refusal } from "./refusals";
import type { Session } from "./types";

/** An RFC 9457 problem, or status 0 when no answer came. */
export class Problem extends Error {
	constructor(
		readonly status: number,
		readonly title: string,
		readonly body: Record<string, unknown> = {},
	) {
		super(title);
	}

	get detail(): string {
		const errors = this.body.errors;
		if (Array.isArray(errors) && errors.length > 0) {
			return errors.map((e: { field?: string; detail?: string }) => refusal(e.field, e.detail)).join("; ");
		}
		return typeof this.body.detail === "string" ? this.body.detail : this.title;
	}
}

export const session = signal<Session | null>(null);
/** Why the sign-in page shows although somebody was signed in. */
export const expired = signal(false);
/** Server's clock minus ours, ms; 0 unless they differ by more than the header's whole seconds explain. */
export let skew = 0;

export const serverNow = () => Date.now() + skew;

function noteServerTime(answer: Response) {
	const date = Date.parse(answer.headers.get("date") ?? "");
	if (Number.isNaN(date)) return;
	const off = date + 500 - Date.now();
	skew = Math.abs(off) > 2000 ? off : 0;
}

async function problemOf(answer: Response): Promise<Problem> {
	let body: Record<string, unknown> = {};
	try {
		body = (await answer.json()) as Record<string, unknown>;
	} catch {
		// A proxy's page, or nothing: the status says enough.
	}
	const title = typeof body.title === "string" ? body.title : `HTTP ${answer.status}`;
	return new Problem(answer.status, title, body);
}

interface Options {
	method?: string;
	body?: unknown;
	key?: string;
	signal?: AbortSignal;
	/** A 401 is an answer here (sign-in itself), not the end of a session. */
	anonymous?: boolean;
}

/** A dead network answers nothing: what takes longer than this has not arrived. */
const ANSWER_MS = 20_000;

function within(given?: AbortSignal): AbortSignal {
	if (!given) return AbortSignal.timeout(ANSWER_MS);
	const either = new AbortController();
	for (const signal of [given, AbortSignal.timeout(ANSWER_MS)]) signal.addEventListener("abort", () => either.abort(), { once: true });
	return either.signal;
}

export async function call<T>(path: string, options: Options = {}): Promise<T> {
	const headers: Record<string, string> = { accept: "application/json" };
	if (options.body !== undefined) headers["content-type"] = "application/json";
	if (options.key) headers["idempotency-key"] = options.key;
	if (options.method && session.value) headers["x-csrf-token"] = session.value.csrf;

	let answer: Response;
	try {
		answer = await fetch(`/api/v1${path}`, {
			method: options.method ?? "GET",
			credentials: "same-origin",
			cache: "no-store",
			headers,
			...(options.body !== undefined && { body: JSON.stringify(options.body) }),
			signal: within(options.signal),
		});
	} catch (cause) {
		if (options.signal?.aborted) throw cause;
		throw new Problem(0, "network");
	}
	noteServerTime(answer);
	if (!answer.ok) {
		if (answer.status === 401 && !options.anonymous && session.value) {
			expired.value = true;
			session.value = null;
		}
		throw await problemOf(answer);
	}
	if (answer.status === 204) return undefined as T;
	const text = await answer.text().catch(() => {
		throw new Problem(0, "network");
	});
	return (text ? JSON.parse(text) : undefined) as T;
}

/** Sends a file as it is. */
export async function upload<T>(path: string, file: Blob): Promise<T> {
	let answer: Response;
	try {
		answer = await fetch(`/api/v1${path}`, {
			method: "POST", credentials: "same-origin", cache: "no-store", body: file,
			headers: { accept: "application/json", "content-type": file.type, "x-csrf-token": session.value?.csrf ?? "" },
		});
	} catch {
		throw new Problem(0, "network");
	}
	noteServerTime(answer);
	if (!answer.ok) {
		if (answer.status === 401 && session.value) {
			expired.value = true;
			session.value = null;
		}
		throw await problemOf(answer);
	}
	return (await answer.json()) as T;
}

/** A request key; crypto.randomUUID exists only in secure contexts, an intranet address is not one. */
export function requestKey(): string {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

export async function signIn(username: string, password: string) {
	const got = await call<Session>("/sessions", { method: "POST", body: { username, password }, anonymous: true });
	expired.value = false;
	// Only these leave the answer: the token in it belongs to other kinds of client and is dropped here.
	session.value = { name: got.name ?? username, role: got.role, department: got.department ?? null, csrf: got.csrf };
}

/** The session the cookie stands for, if it still does. */
export async function restoreSession() {
	try {
		session.value = await call<Session>("/sessions/current", { anonymous: true });
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
		session.value = null;
	}
}

export async function signOut() {
	try {
		await call("/sessions/current", { method: "DELETE" });
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
	}
	expired.value = false;
	session.value = null;
}
