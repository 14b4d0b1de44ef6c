// The action bar: exactly what the server allows, the way forward filled, each with its key.
import { useEffect, useRef } from "preact/hooks";
import { actionName, allowed, sending } from "../act";
import { session } from "../api";
import { isTerminal } from "../clock";
import { capOf, PRIMARY } from "../keys";
import type { CaseSignal } from "../store";
import { t, tn } from "../text";
import { isSmall, more, panel, type Target } from "../ui";

const LAST = new Set(["comment", "edit", "void", "transfer", "enter_emergency", "leave_emergency"]);
const rank = ({ action }: Target) => (PRIMARY.has(action) ? 0 : action === "comment" ? 2 : LAST.has(action) ? 3 : 1);

function Action({ target, filled, plain }: { target: Target; filled: boolean; plain: boolean }) {
	const cap = capOf(target.action);
	return (
		<button class={`btn${filled ? " p" : plain ? " g" : ""}`} data-testid={`action-${target.action}`} data-task-id={target.taskId ?? ""}
			onClick={() => {
				more.value = false;
				panel.value = target;
			}}>
			{actionName(target.action)}{cap && <span class="k">{cap}</span>}
		</button>
	);
}

export function ActionBar({ known }: { known: CaseSignal }) {
	const c = known.value.case;
	const bar = useRef<HTMLDivElement>(null);
	const targets = allowed(c).sort((a, b) => rank(a) - rank(b));
	const room = isSmall.value ? 5 : 4;
	const shown = targets.length <= room + 1 ? targets : targets.slice(0, room);
	const rest = targets.slice(shown.length);

	// One tab stop: arrows walk inside the bar.
	useEffect(() => {
		bar.current?.querySelectorAll<HTMLElement>("button").forEach((button, i) => (button.tabIndex = i === 0 ? 0 : -1));
	});
	const onKeyDown = (event: KeyboardEvent) => {
		const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
		if (step === 0) return;
		const buttons = [...(bar.current?.querySelectorAll<HTMLElement>("button") ?? [])];
		const at = buttons.indexOf(document.activeElement as HTMLElement);
		buttons[(at + step + buttons.length) % buttons.length]?.focus();
		event.preventDefault();
	};

	const busy = sending.value.get(c.case_id);
	return (
		<div class="acts" role="toolbar" aria-label={t("actions")} data-testid="actions" ref={bar} onKeyDown={onKeyDown}>
			{shown.map((target, i) => (
				<Action key={target.action} target={target} filled={i === 0 && PRIMARY.has(target.action)} plain={LAST.has(target.action)} />
			))}
			{rest.length > 0 && (
				<div class="morewrap">
					<button class="btn g" data-testid="action-more" aria-expanded={more.value} onClick={() => (more.value = !more.peek())}>
						{t("actions.more")} <span class="k">.</span>
					</button>
					<div class={`menu${more.value ? " open" : ""}`} role="menu">
						{rest.map((target) => <Action key={target.action} target={target} filled={false} plain />)}
					</div>
				</div>
			)}
			{targets.length === 0 && c.allowed_actions !== undefined && !isTerminal(c) && (
				<span class="mut">{t("actions.none", { role: tn("role", session.value?.role) })}</span>
			)}
			{isTerminal(c) && targets.length === 0 && <span class="mut">{tn("state", c.state)}</span>}
			{busy && <span class="r">{t("row.sending", { what: actionName(busy) })}</span>}
		</div>
	);
}
