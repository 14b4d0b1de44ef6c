// What the fields of a panel share.
import { composing } from "../keys";
import { t } from "../text";
import type { Field } from "./forms";

export function Label({ field }: { field: Field }) {
	return <div class="sec-h"><b>{t(field.label)}</b>{field.required ? "" : t("panel.optional")}</div>;
}

/** Arrows walk a list; digits pick only where nothing is typed. */
export function listKeys(event: KeyboardEvent, length: number, at: number, move: (to: number) => void) {
	if (composing(event) || length === 0) return;
	const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
	if (step === 0) return;
	event.preventDefault();
	move((at + step + length) % length);
}
