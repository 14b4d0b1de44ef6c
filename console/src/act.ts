// Doing: one request per decision, with a key of its own, and an honest word about what came of it.
import { signal } from "@preact/signals";
import { call, Problem, requestKey, serverNow } from "./api";
import { stretch, tail } from "./format";
import { caseById, learn, refresh, select, selected } from "./store";
import { t, tn } from "./text";
import { session } from "./api";
import type { Case, LogRow } from "./types";
import { panel, say, type Target, toast, undo } from "./ui";
import { PRIMARY } from "./keys";

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

/** Who was quicker, and when: the last entry of the log that is not ours. */
async function winner(id: string): Promise<{ who: string; when: string }> {
	try {
		const log = await call<{ items: LogRow[] }>(`/cases/${encodeURIComponent(id)}/log`);
		const theirs = log.items.filter((row) => row.actor && row.actor !== session.peek()?.name && row.action !== "comment" && row.action !== "contact");
		const last = theirs.reduce<LogRow | undefined>((a, b) => (a && a.seq > b.seq ? a : b), undefined);
		if (last?.actor) {
			const seconds = Math.max(0, (serverNow() - Date.parse(last.at)) / 1000);
			return {
				who: last.actor_role ? `${tn("role", last.actor_role)} ${last.actor}` : last.actor,
				when: t("conflict.ago", { t: stretch(seconds, "h", 28_800).join("\u00a0"), act: actionName(last.action) }),
			};
		}
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
	}
	return { who: t("conflict.someone"), when: "" };
}

/** What the loser may do on this case now, as a word and a key. */
function nextStep(c: Case | undefined): { text: string; target: Target } | null {
	const target = c && (allowed(c).find(({ action }) => PRIMARY.has(action)) ?? allowed(c)[0]);
	return target ? { text: actionName(target.action), target } : null;
}

async function explain(problem: Problem, id: string, action: string) {
	const act = actionName(action);
	const show = { label: t("look"), run: () => select(id) };
	if (problem.status === 409) {
		const fresh = await call<Case>(`/cases/${encodeURIComponent(id)}`).catch(() => null);
		if (fresh) learn(fresh);
		const state = tn("state", fresh?.state ?? caseById(id)?.peek().case.state);
		const { who, when } = await winner(id);
		const next = nextStep(fresh ?? undefined);
		const raced = typeof problem.body.version === "number" || when !== "";
		const head = raced ? t("conflict.version", { who, when, state, act }) : t("conflict.state", { state, act });
		toast("warn", `${tail(caseById(id)?.peek().case.case_no ?? "")} ${head} ${next ? t("conflict.next", { act: next.text }) : t("conflict.nothing")}`,
			next ? {
				label: next.text,
				run: () => {
					select(id);
					panel.value = next.target;
				},
			} : show);
	} else if (problem.status === 403) {
		toast("warn", t("refused.role", { act }), show);
	} else {
		toast("warn", t("refused.values", { act, why: problem.detail }), show);
	}
}

const UNDO_MS = 10_000;
/** Steps that the table of transitions has a way back for. */
const WAY_BACK: Record<string, string> = { merge: "unmerge", grant_suspension: "resume" };

/** After a step that can be taken back by me: offer it for ten seconds. */
async function offerUndo(id: string, action: string) {
	const back = WAY_BACK[action];
	const fresh = back && (await call<Case>(`/cases/${encodeURIComponent(id)}`).catch(() => null));
	const target = fresh && targetOf(fresh, back);
	if (!target) return;
	learn(fresh);
	const offer = { label: actionName(back), run: () => void perform(fresh, target, {}) };
	undo.value = offer;
	setTimeout(() => {
		if (undo.peek() === offer) undo.value = null;
	}, UNDO_MS);
	const button = { label: `${t("undo")} u`, run: takeBack };
	toast("done", t("done.act", { act: actionName(action), no: fresh.case_no.slice(-6) }), button, UNDO_MS);
}

export function takeBack() {
	const offer = undo.peek();
	if (!offer) return say(t("undo.none"));
	undo.value = null;
	offer.run();
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
		void offerUndo(id, target.action);
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
	const shown = panel.peek();
	if (selected.peek() === c.case_id && shown?.action === target.action && shown.taskId === target.taskId) panel.value = null;
	return ok;
}
