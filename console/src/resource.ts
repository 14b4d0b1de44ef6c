// One thing read from the server for the part of the page that shows it, with its own failure and its own retry.
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, Problem } from "./api";

export interface Resource<T> {
	data: T | null;
	error: Problem | null;
	/** True once waiting has lasted long enough to be worth showing. */
	slow: boolean;
	retry: () => void;
}

const SLOW_MS = 150;

/** Reads `path` again whenever it or `stamp` changes, by POST where there is a `body` (a question, nothing is stored). Data of the
 * same path stay until the new answer is there. */
export function useResource<T>(path: string | null, stamp: unknown = 0, body?: unknown): Resource<T> {
	const state: Signal<{ path: string | null; data: T | null; error: Problem | null; slow: boolean }> = useSignal({
		path, data: null, error: null, slow: false,
	});
	const again = useSignal(0);
	useEffect(() => {
		if (!path) return;
		const abort = new AbortController();
		const same = state.peek().path === path;
		if (!same) state.value = { path, data: null, error: null, slow: false };
		const slow = setTimeout(() => {
			if (!state.peek().data) state.value = { ...state.peek(), slow: true };
		}, SLOW_MS);
		call<T>(path, { signal: abort.signal, ...(body !== undefined && { method: "POST", body }) }).then(
			(data) => (state.value = { path, data, error: null, slow: false }),
			(error: unknown) => {
				if (abort.signal.aborted) return;
				if (!(error instanceof Problem)) throw error;
				state.value = { path, data: state.peek().data, error, slow: false };
			},
		).finally(() => clearTimeout(slow));
		return () => {
			clearTimeout(slow);
			abort.abort();
		};
	}, [path, stamp, again.value]);
	const now = state.value;
	const mine = now.path === path;
	return {
		data: mine ? now.data : null,
		error: mine ? now.error : null,
		slow: mine && now.slow,
		retry: () => again.value++,
	};
}
