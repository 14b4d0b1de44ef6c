// Many cases at once: tick, see what would happen, do it, see who was refused or quicker; the rest again under the same keys.
import { signal } from "@preact/signals";
import { actionName, allowed } from "../act";
import { call, Problem, requestKey } from "../api";
import { tail, thousands } from "../format";
import { caseById, learn, order, select, selected, ticked } from "../store";
import { streamState } from "../stream";
import { t, tn } from "../text";
import type { Case } from "../types";

/** Steps that need nothing said case by case; `accept` takes the type and the place that the case came with. */
const BULK = ["accept", "send_verify", "send_check", "check_pass", "close", "sign", "remind"];
const AT_ONCE = 4;

type Outcome = "waiting" | "done" | "refused" | "raced" | "lost";

interface Job {
	id: string;
	taskId: string | undefined;
	version: number;
	key: string;
	outcome: Outcome;
	why: string;
}

interface Run {
	action: string;
	jobs: Job[];
	running: boolean;
}

const run = signal<Run | null>(null);

const bodyOf = (action: string, c: Case) => (action === "accept" ? { type_code: c.type_code } : {});

/** Why this case cannot take the step, or null: the dry run. */
function hindrance(c: Case, action: string): string | null {
	if (!allowed(c).some((target) => target.action === action)) return tn("state", c.state);
	if (action === "accept" && (!c.type_code || c.lon == null)) return t("bulk.incomplete");
	return null;
}

const chosen = () => [...ticked.value].map((id) => caseById(id)?.value.case).filter((c): c is Case => c !== undefined);

function update(job: Job, outcome: Outcome, why = "") {
	job.outcome = outcome;
	job.why = why;
	if (run.peek()) run.value = { ...run.peek() as Run };
}

async function perform(action: string, job: Job) {
	const c = caseById(job.id)?.peek().case;
	if (!c) return update(job, "refused", t("case.gone"));
	const path = job.taskId ? `/tasks/${encodeURIComponent(job.taskId)}/actions` : `/cases/${encodeURIComponent(job.id)}/actions`;
	try {
		const answer = await call<Partial<Case> | undefined>(path, {
			method: "POST", key: job.key, body: { action, version: job.version, ...bodyOf(action, c) },
		});
		if (answer?.case_no && answer.case_id === job.id) learn(answer as Case);
		update(job, "done");
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
		if (error.status === 409) {
			const fresh = await call<Case>(`/cases/${encodeURIComponent(job.id)}`).catch(() => null);
			if (fresh) learn(fresh);
			update(job, "raced", t("bulk.raced", { state: tn("state", fresh?.state) }));
		} else if (error.status === 0 || error.status >= 500 || error.status === 429) {
			update(job, "lost", error.status === 0 ? t("network") : error.title);
		} else {
			update(job, "refused", error.detail);
		}
	}
}

async function work(action: string, jobs: Job[]) {
	run.value = { ...(run.peek() ?? { action, jobs, running: true }), running: true };
	const left = jobs.slice();
	await Promise.all(Array.from({ length: AT_ONCE }, async () => {
		for (let job = left.shift(); job; job = left.shift()) await perform(action, job);
	}));
	if (run.peek()) run.value = { ...run.peek() as Run, running: false };
}

function start(action: string) {
	const jobs = chosen().filter((c) => hindrance(c, action) === null).map((c): Job => {
		const target = allowed(c).find((entry) => entry.action === action);
		const task = c.tasks?.find((entry) => entry.task_id === target?.taskId);
		return { id: c.case_id, taskId: target?.taskId, version: task?.version ?? c.version, key: requestKey(), outcome: "waiting", why: "" };
	});
	run.value = { action, jobs, running: true };
	void work(action, jobs);
}

export function clearTicks() {
	run.value = null;
	ticked.value = new Set();
}

export function tick(id: string | null, reach = false) {
	if (!id) return;
	const next = new Set(ticked.peek());
	const rows = order.peek();
	const last = [...next].at(-1);
	if (reach && last) {
		const [from, to] = [rows.findIndex((row) => row.id === last), rows.findIndex((row) => row.id === id)].sort((a, b) => a - b);
		for (const row of rows.slice(Math.max(0, from ?? 0), (to ?? 0) + 1)) next.add(row.id);
	} else if (!next.delete(id)) next.add(id);
	ticked.value = next;
}

export const tickAll = () => (ticked.value = new Set(order.peek().map((row) => row.id)));

function Result({ now }: { now: Run }) {
	const count = (outcome: Outcome) => now.jobs.filter((job) => job.outcome === outcome).length;
	const rest = now.jobs.filter((job) => !["done", "waiting"].includes(job.outcome));
	const lost = rest.filter((job) => job.outcome === "lost");
	const part = (outcome: Outcome) => `${(count(outcome) / Math.max(1, now.jobs.length)) * 100}%`;
	return (
		<>
			<div class="bulkbar" aria-hidden="true"><i class="done" style={{ width: part("done") }} /><i class="raced" style={{ width: part("raced") }} />
				<i class="bad" style={{ width: `${((count("refused") + count("lost")) / Math.max(1, now.jobs.length)) * 100}%` }} /></div>
			<p data-testid="bulk-result" data-done={count("done")} data-rest={rest.length} data-running={String(now.running)}>
				<b>{t("bulk.done", { act: actionName(now.action), n: count("done"), all: now.jobs.length })}</b>
				{count("raced") > 0 && <span class="am">{t("bulk.racedn", { n: count("raced") })}</span>}
				{count("refused") > 0 && <span class="rd">{t("bulk.refused", { n: count("refused") })}</span>}
				{count("lost") > 0 && <span class="rd">{t("bulk.lost", { n: count("lost") })}</span>}</p>
			{rest.slice(0, 6).map((job) => (
				<div class="bulkrow" key={job.id}><span>{tail(caseById(job.id)?.peek().case.case_no ?? "")}</span><span class="el">{job.why}</span>
					<button class="link" onClick={() => select(job.id)}>{t("look")}</button></div>
			))}
			<div class="bulkacts">
				{lost.length > 0 && !now.running && (
					<button class="btn" onClick={() => void work(now.action, lost)}>{t("bulk.retry", { n: lost.length })}</button>
				)}
				<button class="btn g" data-testid="bulk-clear" onClick={clearTicks}>{t("close.panel")}</button>
				{lost.length > 0 && <span class="mut">{t("bulk.samekey")}</span>}
			</div>
		</>
	);
}

export function Bulk() {
	const n = ticked.value.size;
	const now = run.value;
	if (n === 0 && !now) return null;
	const cases = chosen();
	const may = BULK.map((action) => ({ action, can: cases.filter((c) => hindrance(c, action) === null).length })).filter(({ can }) => can > 0);
	const stale = streamState(Date.now()) === "stale";
	return (
		<div class="bulk" role="region" aria-label={t("bulk")} data-testid="bulk" data-count={n}>
			{now ? <Result now={now} /> : (
				<div class="bulkacts">
					<b>{t("bulk.chosen", { n: thousands(n) })}</b>
					{may.map(({ action, can }) => (
						<button class="btn" key={action} data-testid={`bulk-${action}`} disabled={stale} onClick={() => start(action)}>
							{actionName(action)} <span class="mut">{can === n ? "" : t("bulk.some", { can, n })}</span></button>
					))}
					{may.length === 0 && <span class="mut">{t("bulk.none")}</span>}
					{stale && <span class="am">{t("bulk.stale")}</span>}
					<button class="btn g" data-testid="bulk-clear" onClick={clearTicks}>{t("bulk.clear")}<span class="k">Esc</span></button>
				</div>
			)}
		</div>
	);
}

/** What `x` ticks. */
export const tickSelected = (reach: boolean) => tick(selected.peek(), reach);
