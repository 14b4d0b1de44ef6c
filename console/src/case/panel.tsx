// The panel that slides over the case: what the action needs, then one decision. Escape leaves, focus goes back.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { actionName, perform, targetOf } from "../act";
import { composing, focusOn, forgetAhead, move, staysHere } from "../keys";
import { caseById, type CaseSignal, selected } from "../store";
import { t, tn } from "../text";
import { panel, panelEarly, panelEnter, type Target } from "../ui";
import { FieldInput } from "./fields";
import { caution, type Field, formOf } from "./forms";

export type Values = Record<string, unknown>;

const empty = (value: unknown) => value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);

function missingOf(fields: readonly Field[], values: Values): Field | undefined {
	return fields.find((field) => field.required && empty(values[field.name]));
}

/** What goes into the request: nothing empty. */
function bodyOf(fields: readonly Field[], values: Values): Values {
	return Object.fromEntries(fields.flatMap((field) => (!field.name || empty(values[field.name]) ? [] : [[field.name, values[field.name]]])));
}

export function ActionPanel({ known, target }: { known: CaseSignal; target: Target }) {
	const c = known.value.case;
	const fields = formOf(target.action, c);
	const task = c.tasks?.find((entry) => entry.task_id === target.taskId);
	const values = useSignal<Values>(Object.fromEntries(fields.flatMap((field) => {
		const initial = field.initial?.(c, task);
		return empty(initial) ? [] : [[field.name, initial]];
	})));
	const sending = useSignal(0);
	const warned = caution(target.action, c);
	const busy = useSignal(false);
	const missing = useSignal("");
	/** Enter came before the proposal was there: it counts once it is. */
	const early = useRef<{ thenNext: boolean } | null>(null);
	const root = useRef<HTMLDivElement>(null);

	// Before anything is drawn: what is typed at once is the panel's already.
	useLayoutEffect(() => {
		const opener = document.activeElement as HTMLElement | null;
		// Where nothing must be said Enter acts at once; the words are one Shift Tab away.
		const first = fields.some((field) => field.required) ? "[data-first], input, textarea, " : "";
		root.current?.querySelector<HTMLElement>(`${first}[data-testid=panel-submit]`)?.focus();
		return () => {
			panelEarly.value = false;
			if (opener?.isConnected && opener !== document.body) opener.focus();
			else focusOn("[data-testid=queue]");
		};
	}, []);

	// Somebody else moved the case on while the panel was open: the action may be gone.
	const still = target.taskId ? task?.allowed_actions?.includes(target.action) === true : targetOf(c, target.action) !== undefined;

	const submit = async (thenNext: boolean) => {
		if (busy.peek() || sending.peek() > 0 || !still) return;
		const lacking = missingOf(fields, values.peek());
		if (lacking) {
			early.current = { thenNext };
			panelEarly.value = true;
			missing.value = t("panel.missing", { what: t(lacking.label) });
			return;
		}
		busy.value = true;
		const ok = await perform(c, target, bodyOf(fields, values.peek()));
		busy.value = false;
		const fresh = caseById(c.case_id)?.peek().case;
		// A step that leaves nothing for me here lets go of the case; the row that left hands the cursor on.
		if (ok && thenNext && fresh && selected.peek() === c.case_id && !staysHere(fresh)) move(1);
	};

	const onKeyDown = (event: KeyboardEvent) => {
		if (composing(event) || event.key !== "Enter" || event.defaultPrevented) return;
		const inText = event.target instanceof HTMLTextAreaElement;
		if (inText && !event.ctrlKey && !event.metaKey) return;
		if (event.target instanceof HTMLButtonElement && event.target.dataset.testid !== "panel-submit") return;
		event.preventDefault();
		void submit(!event.shiftKey);
	};

	useEffect(() => {
		const pressed = panelEnter.value;
		if (pressed?.target !== target) return;
		panelEnter.value = null;
		void submit(!pressed.shift);
	}, [panelEnter.value]);

	const set = (name: string, value: unknown, proposed = false) => {
		values.value = { ...values.peek(), [name]: value };
		missing.value = "";
		const waiting = early.current;
		early.current = null;
		panelEarly.value = false;
		if (!proposed) forgetAhead();
		else if (waiting) void submit(waiting.thenNext);
	};

	return (
		<div class="disp" role="dialog" aria-label={actionName(target.action)} data-testid={`panel-${target.action}`} ref={root} onKeyDown={onKeyDown}>
			<div class="dh"><b>{actionName(target.action)}</b>
				<button class="x" aria-label={t("close.panel")} onClick={() => (panel.value = null)}>×</button></div>
			<div class="scroll">
				{warned && <p class="caution">{t(warned)}</p>}
				{!still && <p class="caution" role="alert">{t("panel.gone", { state: tn("state", c.state) })}</p>}
				{fields.map((field) => (
					<FieldInput key={field.name} field={field} c={c} task={task} values={values} set={set} sending={sending} />
				))}
			</div>
			<div class="go">
				<button class="btn p" data-testid="panel-submit" disabled={busy.value || sending.value > 0 || !still} onClick={() => void submit(false)}>
					{busy.value ? t("panel.busy") : actionName(target.action)}
				</button>
				{missing.value && <span class="need" role="alert">{missing.value}</span>}
				<div class="r">
					<span><span class="k">Enter</span>{t("panel.next")}</span>
					<span><span class="k">⇧ Enter</span>{t("panel.stay")}</span>
					<span><span class="k">Esc</span>{t("panel.cancel")}</span>
				</div>
			</div>
		</div>
	);
}
