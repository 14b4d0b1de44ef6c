// What an inspector sends, kept on the phone until the server has it: each item with one idempotency key for all its attempts,
// its pictures, and the place and time of capture. It survives a dead network, a closed page and an empty battery.
import { batch, computed, signal } from "@preact/signals";
import { call, Problem, requestKey, serverNow, session } from "../api";
import { uploadPhoto } from "../case/photos";
import { refresh } from "../store";

export type ItemState = "draft" | "queued" | "sending" | "received" | "failed";

export interface Item {
	id: string;
	user: string;
	kind: "report" | "action";
	/** The request's key, the same for every attempt. */
	key: string;
	path: string;
	body: Record<string, unknown>;
	/** A picture not yet sent, or the hash the server gave it. */
	photos: (Blob | string)[];
	title: string;
	place: string;
	/** When it was captured, ms. */
	at: number;
	state: ItemState;
	error?: string;
	caseId?: string;
	/** When the server had it. */
	receivedAt?: number;
}

const KEPT_MS = 24 * 3_600_000;
const RETRY_MIN_MS = 3_000;
const RETRY_MAX_MS = 60_000;

export const items = signal<readonly Item[]>([]);
export const draft = computed(() => items.value.find((item) => item.state === "draft"));
export const waitingItems = computed(() => items.value.filter((item) => item.state === "queued" || item.state === "sending" || item.state === "failed"));
export const sentToday = computed(() => items.value.filter((item) => item.state === "received"));
/** Cases with an answer of mine on its way: they are no longer to do. */
export const answered = computed(() => new Set(items.value.filter((item) => item.caseId && item.state !== "failed").map((item) => item.caseId)));

// ---- the store of the browser ----

let opened: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
	opened ??= new Promise((resolve, reject) => {
		const asking = indexedDB.open("tongguan", 1);
		asking.onupgradeneeded = () => asking.result.createObjectStore("outbox", { keyPath: "id" });
		asking.onsuccess = () => resolve(asking.result);
		asking.onerror = () => reject(asking.error ?? new Error("indexedDB"));
	});
	return opened;
}

async function stored<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
	const db = await database();
	return new Promise((resolve, reject) => {
		const transaction = db.transaction("outbox", mode);
		const request = ask(transaction.objectStore("outbox"));
		transaction.oncomplete = () => resolve(request.result);
		transaction.onerror = () => reject(transaction.error ?? new Error("indexedDB"));
	});
}

/** The page may not promise to keep what this browser cannot store. */
export const keeps = signal(true);

async function keep(item: Item) {
	items.value = [...items.peek().filter((other) => other.id !== item.id), item].sort((a, b) => a.at - b.at);
	await stored("readwrite", (store) => store.put(item)).catch(() => (keeps.value = false));
}

export async function discard(id: string) {
	items.value = items.peek().filter((item) => item.id !== id);
	await stored("readwrite", (store) => store.delete(id)).catch(() => (keeps.value = false));
}

export async function openOutbox() {
	const user = session.peek()?.name ?? "";
	const all = await stored<Item[]>("readonly", (store) => store.getAll() as IDBRequest<Item[]>).catch(() => {
		keeps.value = false;
		return [];
	});
	const mine = all.filter((item) => item.user === user);
	for (const old of mine) if (old.state === "received" && serverNow() - (old.receivedAt ?? 0) > KEPT_MS) void discard(old.id);
	// What was under way when the page closed is asked again under its key: the server answers, it does not act twice.
	items.value = mine.filter((item) => item.state !== "received" || serverNow() - (item.receivedAt ?? 0) <= KEPT_MS)
		.map((item): Item => (item.state === "sending" ? { ...item, state: "queued" } : item)).sort((a, b) => a.at - b.at);
	pumpSoon(0);
}

// ---- sending ----

export function newItem(kind: Item["kind"], path: string, body: Record<string, unknown>, said: Pick<Item, "title" | "place" | "photos"> & { caseId?: string }): Item {
	return {
		id: requestKey(), user: session.peek()?.name ?? "", kind, key: requestKey(), path, body, at: serverNow(), state: "queued", ...said,
	};
}

export async function enqueue(item: Item) {
	await keep({ ...item, state: "queued" });
	pumpSoon(0);
}

export const saveDraft = (item: Item) => keep({ ...item, state: "draft" });

let pumping = false;
let wait = RETRY_MIN_MS;
let timer: ReturnType<typeof setTimeout> | undefined;

export function pumpSoon(ms: number) {
	clearTimeout(timer);
	timer = setTimeout(() => void pump(), ms);
}

export function retryItem(item: Item) {
	const { error: _, ...rest } = item;
	void enqueue(rest);
}

addEventListener("online", () => pumpSoon(0));

async function pump() {
	if (pumping || !session.peek()) return;
	pumping = true;
	try {
		for (;;) {
			const item = items.peek().find((entry) => entry.state === "queued");
			if (!item) return;
			if (!(await send(item))) {
				pumpSoon(wait);
				wait = Math.min(wait * 2, RETRY_MAX_MS);
				return;
			}
			wait = RETRY_MIN_MS;
		}
	} finally {
		pumping = false;
	}
}

/** The pictures first, each once; then the item itself. False: the world failed, later again. */
async function send(item: Item): Promise<boolean> {
	let now: Item = { ...item, state: "sending" };
	await keep(now);
	try {
		for (const [i, photo] of now.photos.entries()) {
			if (typeof photo === "string") continue;
			const hash = await uploadPhoto(photo);
			now = { ...now, photos: now.photos.map((other, k) => (k === i ? hash : other)) };
			await keep(now);
		}
		const hashes = now.photos.filter((photo): photo is string => typeof photo === "string");
		const pictures = hashes.length > 0 && { photos: hashes };
		await call(now.path, { method: "POST", body: { ...now.body, ...pictures }, key: now.key });
		await keep({ ...now, state: "received", receivedAt: serverNow() });
		if (now.caseId) refresh(now.caseId);
		return true;
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
		if (error.status === 0 || error.status >= 500 || error.status === 429 || error.status === 401) {
			await keep({ ...now, state: "queued" });
			return false;
		}
		const caseId = now.caseId;
		batch(() => {
			void keep({ ...now, state: "failed", error: error.status === 409 ? "409" : error.detail });
			if (caseId) refresh(caseId);
		});
		return true;
	}
}
