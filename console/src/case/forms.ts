// What each action asks for, as data: the panel draws it, the body of the request follows from it.
import type { TextKey } from "../text";
import type { Case, Task } from "../types";

export type FieldKind =
	| "note" | "reason" | "type" | "place" | "condition" | "dispatch" | "department" | "merge" | "date" | "text" | "span" | "urgency"
	| "photos" | "request";

export interface Field {
	kind: FieldKind;
	/** Member of the request's body; "" for a field that only shows. */
	name: string;
	label: TextKey;
	required?: boolean;
	choices?: readonly TextKey[];
	/** What the field begins with. */
	initial?: (c: Case, task: Task | undefined) => unknown;
	/** Departments to choose from; all when absent. */
	among?: (c: Case) => readonly string[];
}

const note: Field = { kind: "note", name: "note", label: "panel.note" };
const mustNote: Field = { ...note, required: true };
const reason = (...choices: TextKey[]): Field => ({ kind: "reason", name: "reason", label: "panel.reason", required: true, choices });
const text = (name: string, label: TextKey): Field => ({ kind: "text", name, label, required: true });
const department = (name: string): Field => ({ kind: "department", name, label: "panel.unit", required: true });
const result = (...choices: TextKey[]): Field => ({ kind: "reason", name: "result", label: "panel.finding", required: true, choices });
const done: Field = { kind: "note", name: "result", label: "panel.result", required: true };
const photos: Field = { kind: "photos", name: "photos", label: "panel.photos" };
/** The request that is answered, on top of the answer. */
const asked: Field = { kind: "request", name: "", label: "panel.asked" };
const span: Field = { kind: "span", name: "by", label: "panel.by", required: true };
const until: Field = { kind: "date", name: "until", label: "panel.until", required: true };

const type: Field = { kind: "type", name: "type_code", label: "panel.type", required: true };

/** A final ruling is the shift lead's: nobody may return the case a third time. */
const RETURNED_TWICE = 2;

const FORMS: Record<string, readonly Field[]> = {
	accept: [type, note],
	edit: [type, { ...text("title", "panel.title"), initial: (c) => c.title },
		{ kind: "urgency", name: "urgency", label: "panel.urgency", initial: (c) => c.urgency }, note],
	refuse: [reason("reason.not_ours", "reason.not_exist", "reason.not_enough", "reason.duplicate", "reason.test"), note],
	verify_result: [result("finding.true", "finding.false"), photos, note],
	file: [{ kind: "condition", name: "condition", label: "panel.condition", required: true }, note],
	not_file: [reason("reason.not_listed", "reason.not_exist", "reason.duplicate", "reason.test"), note],
	merge: [{ kind: "merge", name: "into", label: "panel.into", required: true }, note],
	unmerge: [note],
	dispatch: [{ kind: "dispatch", name: "tasks", label: "panel.department", required: true }, note],
	add_assist: [department("department"), note],
	waive_assist: [{ ...department("department"), among: assisting }, mustNote],
	forward: [department("unit"), note],
	uphold: [reason("reason.duty_theirs", "reason.area_theirs", "reason.joint_lead"), note],
	rework: [mustNote],
	check_fail: [photos, mustNote],
	check_pass: [photos, note],
	void: [reason("reason.test", "reason.duplicate", "reason.not_exist"), note],
	comment: [mustNote, photos],
	return: [reason("reason.wrong_department", "reason.wrong_area", "reason.not_exist"), note],
	complete: [done, photos],
	self_dispose: [done, photos],
	request_extension: [span, reason("reason.weather", "reason.engineering", "reason.joint", "reason.materials"), note],
	grant_extension: [asked, { ...span, required: false, initial: (_, task) => task?.request?.by }, note],
	deny_extension: [asked, reason("reason.not_needed", "reason.asked_late", "reason.not_enough"), note],
	request_suspension: [until, reason("reason.season", "reason.engineering", "reason.no_owner"), note],
	grant_suspension: [asked, { ...until, required: false, initial: (_, task) => task?.request?.until }, note],
	deny_suspension: [asked, reason("reason.not_needed", "reason.not_enough"), note],
	appeal: [reason("reason.not_our_fault", "reason.clock_wrong", "reason.wrong_department"), note],
};

function assisting(c: Case): string[] {
	return (c.tasks ?? []).filter((task) => task.role === "assist" && !["waived", "cancelled", "done"].includes(task.state))
		.map((task) => task.department);
}

const place: Field = { kind: "place", name: "location", label: "panel.place", required: true };

/** A case that came without a place must get one before it is accepted. */
export const formOf = (action: string, c: Case): readonly Field[] =>
	[...(action === "accept" && c.lon == null ? [place] : []), ...(FORMS[action] ?? [note])];

/** What to say on top of an action, when the rules of this moment matter. */
export function caution(action: string, c: Case): TextKey | null {
	if (action === "uphold" && (c.return_count ?? 0) >= RETURNED_TWICE) return "caution.final";
	if (action === "dispatch" && (c.return_count ?? 0) > 0) return "caution.redispatch";
	if (action === "merge") return "caution.merge";
	return null;
}
