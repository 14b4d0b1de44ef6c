// The panel that slides over the case: what the action needs, then one decision. Escape leaves, focus goes back.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { actionName, perform, targetOf } from "../act";
import { composing, focusOn, move, staysHere } from "../keys";
import { caseById, type CaseSignal, selected } from "../store";
import { t } from "../text";
import { panel, type Target } from "../ui";
import { FieldInput } from "./fields";
import { type Field, formOf } from "./forms";

export type Values = Record<string, unknown>;

const empty = (value: unknown) => value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);

function missingOf(fields: readonly Field[], values: Values): Field | undefined {
	return fields.find((field) => field.required && empty(values[field.name]));
}

/** What goes into the request: nothing empty. */
function bodyOf(fields: readonly Field[], values: Values): Values {
	return Object.fromEntries(fields.flatMap((field) => (empty(values[field.name]) ? [] : [[field.name, values[field.name]]])));
}

export function ActionPanel({ known, target }: { known: CaseSignal; target: Target }) {
	const c = known.value.case;
	const fields = formOf(target.action, c);
	const values = useSignal<Values>({});
	const busy = useSignal(false);
	const missing = useSignal("");
	const root = useRef<HTMLDivElement>(null);

	useEffect(() => {
		const opener = document.activeElement as HTMLElement | null;
		root.current?.querySelector<HTMLElement>("[data-first], input, textarea, [data-testid=panel-submit]")?.focus();
		return () => {
			if (opener?.isConnected && opener !== document.body) opener.focus();
			else focusOn("[data-testid=queue]");
		};
	}, []);

	// Somebody else moved the case on while the panel was open: the action may be gone.
	const still = targetOf(c, target.action) !== undefined || target.taskId !== undefined;

	const submit = async (thenNext: boolean) => {
		if (busy.peek() || !still) return;
		const lacking = missingOf(fields, values.peek());
		if (lacking) {
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

	const set = (name: string, value: unknown) => {
		values.value = { ...values.peek(), [name]: value };
		missing.value = "";
	};

	return (
		<div class="disp" role="dialog" aria-label={actionName(target.action)} data-testid={`panel-${target.action}`} ref={root} onKeyDown={onKeyDown}>
			<div class="dh"><b>{actionName(target.action)}</b>
				<button class="x" aria-label={t("close.panel")} onClick={() => (panel.value = null)}>×</button></div>
			<div class="scroll">
				{fields.map((field) => (
					<FieldInput key={field.name} field={field} c={c} values={values} set={set} />
				))}
			</div>
			<div class="go">
				<button class="btn p" data-testid="panel-submit" disabled={busy.value || !still} onClick={() => void submit(false)}>
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
