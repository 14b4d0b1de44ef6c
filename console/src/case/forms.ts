// What each action asks for, as data: the panel draws it, the body of the request follows from it.
import type { TextKey } from "../text";
import type { Case } from "../types";

export type FieldKind =
	| "note" | "reason" | "finding" | "type" | "place" | "condition" | "dispatch" | "department" | "case" | "date" | "text";

export interface Field {
	kind: FieldKind;
	/** Member of the request's body. */
	name: string;
	label: TextKey;
	required?: boolean;
	choices?: readonly TextKey[];
}

const note: Field = { kind: "note", name: "note", label: "panel.note" };
const mustNote: Field = { ...note, required: true };
const reason = (...choices: TextKey[]): Field => ({ kind: "reason", name: "reason", label: "panel.reason", required: true, choices });
const text = (name: string, label: TextKey, required = true): Field => ({ kind: "text", name, label, required });

const FORMS: Record<string, readonly Field[]> = {
	accept: [{ kind: "type", name: "type_code", label: "panel.type", required: true }, note],
	edit: [{ kind: "type", name: "type_code", label: "panel.type", required: true }, note],
	refuse: [reason("reason.not_ours", "reason.not_exist", "reason.not_enough", "reason.duplicate", "reason.test"), note],
	verify_result: [{ kind: "finding", name: "result", label: "panel.finding", required: true, choices: ["finding.true", "finding.false"] }, note],
	file: [{ kind: "condition", name: "condition", label: "panel.condition", required: true }, note],
	not_file: [reason("reason.not_listed", "reason.not_exist", "reason.duplicate", "reason.test"), note],
	merge: [{ kind: "case", name: "into", label: "panel.into", required: true }, note],
	dispatch: [{ kind: "dispatch", name: "tasks", label: "panel.department", required: true }, note],
	add_assist: [{ kind: "department", name: "department", label: "panel.unit", required: true }, note],
	waive_assist: [{ kind: "department", name: "department", label: "panel.unit", required: true }, mustNote],
	forward: [{ kind: "department", name: "unit", label: "panel.unit", required: true }, note],
	uphold: [mustNote],
	rework: [mustNote],
	check_fail: [mustNote],
	void: [reason("reason.test", "reason.duplicate", "reason.not_exist"), note],
	comment: [mustNote],
	appeal: [mustNote],
	return: [reason("reason.wrong_department", "reason.wrong_area", "reason.not_exist"), note],
	complete: [{ kind: "note", name: "result", label: "panel.result", required: true }],
	self_dispose: [{ kind: "note", name: "result", label: "panel.result", required: true }],
	request_extension: [text("by", "panel.by"), mustNote],
	grant_extension: [text("by", "panel.by", false), note],
	request_suspension: [{ kind: "date", name: "until", label: "panel.until", required: true }, mustNote],
	grant_suspension: [{ kind: "date", name: "until", label: "panel.until", required: true }, note],
	transfer: [text("district", "panel.district"), note],
	enter_emergency: [text("plan", "panel.plan"), note],
};

const place: Field = { kind: "place", name: "location", label: "panel.place", required: true };

/** A case that came without a place must get one before it is accepted. */
export const formOf = (action: string, c: Case): readonly Field[] =>
	[...(action === "accept" && c.lon == null ? [place] : []), ...(FORMS[action] ?? [note])];
