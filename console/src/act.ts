// Doing: one request per decision, with a key of its own, and an honest word about what came of it.
import { signal } from "@preact/signals";
import { call, Problem, requestKey } from "./api";
import { tail } from "./format";
import { caseById, learn, refresh, select, selected } from "./store";
import { t, tn } from "./text";
import { session } from "./api";
import type { Case, LogRow } from "./types";
import { panel, say, type Target, toast } from "./ui";

/** What is on its way, by case: the row shows it at once. */
export const sending = signal<ReadonlyMap<string, string>>(new Map());

function mark(id: string, action: string | null) {
	const next = new Map(sending.peek());
	if (action) next.set(id, action);
	else next.delete(id);
	sending.value = next;
}

export const actionName = (action: string) => tn("act", action);

/** Every action the caller may take on this case or one of its tasks now, in the server's order. */
export function allowed(c: Case): Target[] {
	const found: Target[] = (c.allowed_actions ?? []).map((action) => ({ action }));
	for (const task of c.tasks ?? []) {
		for (const action of task.allowed_actions ?? []) {
			if (!found.some((target) => target.action === action)) found.push({ action, taskId: task.task_id });
		}
	}
	return found;
}

export function targetOf(c: Case, action: string): Target | undefined {
	return allowed(c).find((target) => target.action === action);
}

/** Say why a key does nothing, where the eye rests and without a beep. */
export function sayNotAllowed(c: Case, action: string) {
	say(t("key.notallowed", {
		act: actionName(action), state: tn("state", c.state), role: tn("role", session.peek()?.role),
	}));
}

/** Who was quicker: the last entry of the log that is not ours. */
async function winner(id: string): Promise<string> {
	try {
		const log = await call<{ items: LogRow[] }>(`/cases/${encodeURIComponent(id)}/log`);
		const last = log.items.reduce<LogRow | undefined>((a, b) => (a && a.seq > b.seq ? a : b), undefined);
		if (last?.actor && last.actor !== session.peek()?.name) return last.actor;
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
	}
	return t("conflict.someone");
}

async function explain(problem: Problem, id: string, action: string) {
	const act = actionName(action);
	const show = { label: t("look"), run: () => select(id) };
	if (problem.status === 409) {
		const raced = typeof problem.body.version === "number";
		const fresh = await call<Case>(`/cases/${encodeURIComponent(id)}`).catch(() => null);
		if (fresh) learn(fresh);
		const state = tn("state", fresh?.state ?? caseById(id)?.peek().case.state);
		toast("warn", raced ? t("conflict.version", { who: await winner(id), state, act }) : t("conflict.state", { state, act }), show);
	} else if (problem.status === 403) {
		toast("warn", t("refused.role", { act }), show);
	} else {
		toast("warn", t("refused.values", { act, why: problem.detail }), show);
	}
}

async function post(id: string, target: Target, body: Record<string, unknown>, key: string): Promise<boolean> {
	const path = target.taskId
		? `/tasks/${encodeURIComponent(target.taskId)}/actions`
		: `/cases/${encodeURIComponent(id)}/actions`;
	mark(id, target.action);
	try {
		const answer = await call<Partial<Case> | undefined>(path, { method: "POST", body, key });
		if (answer?.case_no && answer.case_id === id) learn(answer as Case);
		refresh(id);
		toast("done", t("done.act", { act: actionName(target.action), no: caseById(id)?.peek().case.case_no.slice(-6) ?? "" }));
		return true;
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
		if (error.status === 0 || error.status >= 500 || error.status === 429) {
			const reason = error.status === 0 ? t("network") : error.title;
			toast("warn", `${tail(caseById(id)?.peek().case.case_no ?? "")} ${t("queued", { act: actionName(target.action), why: reason })}`, {
				label: t("retry"),
				run: () => void post(id, target, body, key), // the same key: the server answers, it does not act twice
			});
		} else {
			await explain(error, id, target.action);
		}
		return false;
	} finally {
		mark(id, null);
	}
}

/** Perform one action on a case as shown (its version decides races). True when it took effect. */
export async function perform(c: Case, target: Target, fields: Record<string, unknown>): Promise<boolean> {
	const version = target.taskId
		? c.tasks?.find((task) => task.task_id === target.taskId)?.version ?? 0
		: c.version;
	const ok = await post(c.case_id, target, { action: target.action, version, ...fields }, requestKey());
	if (selected.peek() === c.case_id) panel.value = null;
	return ok;
}
