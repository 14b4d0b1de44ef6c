// Shapes the API sends. Only what the console reads; unknown members are ignored, optional ones may be absent.

export type Role =
	| "operator" | "shift_lead" | "department" | "inspector" | "supervisor" | "leader" | "auditor" | "admin";

export type CaseState =
	| "new" | "verifying" | "to_file" | "to_dispatch" | "assigned" | "handling" | "review" | "checking"
	| "to_close" | "closed" | "refused" | "not_filed" | "void" | "merged";

export type Unit = "h" | "wh" | "wd" | "nd";

export interface Session {
	name: string;
	role: Role;
	department?: string | null;
	csrf: string;
	expires_at?: string;
}

/** The clock a case waits on now. */
export interface Clock {
	kind: string;
	/** "2wh", or the bare number in `unit`. */
	limit: string | number;
	unit: Unit;
	calendar?: string | null;
	started_at: string;
	due_at: string | null;
	/** What is left, counted in `unit` when the answer was given: "1.6wd" or the bare number. Negative when overdue. */
	remaining?: string | number | null;
	/** The instant counting goes on, when the clock stands still now. */
	frozen_until?: string | null;
	/** The same two in counted microseconds, extensions included: exact, and true for a day that is not 8 hours long. */
	limit_us?: number | null;
	remaining_us?: number | null;
	/** The instant counting stops next (end of the working period), when the server says. */
	counts_until?: string | null;
}

export interface Task {
	task_id: string;
	department: string;
	role: "lead" | "assist";
	state: "assigned" | "signed" | "done" | "returned" | "waived" | "cancelled";
	version: number;
	assigned_at: string;
	signed_at?: string | null;
	due_at?: string | null;
	done_at?: string | null;
	result?: string | null;
	/** What the department asks for and nobody has answered yet. */
	request?: TaskRequest | null;
	/** Extensions granted. */
	extensions?: number;
	suspended?: boolean;
	suspended_until?: string | null;
	clock?: Clock | null;
	allowed_actions?: string[];
}

export interface TaskRequest {
	kind: "extension" | "suspension";
	by?: string | null;
	until?: string | null;
	reason?: string | null;
	at?: string | null;
	actor?: string | null;
}

/** A task of the list `/tasks`: with what the department must know of its case. */
export interface WorkTask extends Task {
	case_id: string;
	case: Case;
}

export interface Case {
	case_id: string;
	case_no: string;
	incident_id?: string | null;
	origin?: string | null;
	domain?: string | null;
	type_code?: string | null;
	type_name_zh?: string | null;
	type_name_en?: string | null;
	type_short_zh?: string | null;
	type_short_en?: string | null;
	condition?: number | null;
	title: string;
	text?: string | null;
	state: CaseState;
	version: number;
	grid_cell?: string | null;
	street?: string | null;
	street_name?: string | null;
	street_name_en?: string | null;
	lon?: number | null;
	lat?: number | null;
	urgency?: string | null;
	suspended?: boolean;
	suspended_until?: string | null;
	reported_at: string;
	filed_at?: string | null;
	dispatched_at?: string | null;
	done_at?: string | null;
	closed_at?: string | null;
	due_at?: string | null;
	handle_limit?: string | null;
	/** Of the lead's handling clock, which runs from dispatch while the case may still wait to be signed. */
	handle_due_at?: string | null;
	overdue?: boolean;
	escalation_level?: number | null;
	supervise_level?: number | null;
	rework_count?: number;
	return_count?: number;
	merged_count?: number;
	/** The case this one was merged into. */
	merged_into?: string | null;
	merged?: MergedCase[];
	/** Distinct reporters, those of merged cases included. */
	reporters?: number;
	reply_due_at?: string | null;
	extension_count?: number;
	assist_count?: number;
	recurrence?: boolean;
	lead_department?: string | null;
	clock?: Clock | null;
	tasks?: Task[];
	allowed_actions?: string[];
}

export interface MergedCase {
	case_id: string;
	case_no: string;
	title?: string | null;
	reported_at?: string | null;
}

/** Why the server ranks something: said in both languages. */
export interface Reason {
	code: string;
	zh: string;
	en: string;
}

/** A department for this case, as `/cases/{id}/candidates` ranks it. */
export interface Candidate {
	department: string;
	name_zh: string;
	name_en?: string | null;
	short_zh?: string | null;
	short_en?: string | null;
	pinyin?: string | null;
	role?: "lead" | "assist" | null;
	score?: number | null;
	reasons?: Reason[];
	/** If it were dispatched now. */
	due_at?: string | null;
	limit?: string | null;
	calendar?: string | null;
	on_duty?: boolean | null;
	open_tasks?: number | null;
}

/** An open case this one may repeat, as `/cases/{id}/duplicates` ranks it. */
export interface Duplicate {
	case_id: string;
	case_no: string;
	title: string;
	state: CaseState;
	reported_at: string;
	score?: number | null;
	distance_m?: number | null;
	age_s?: number | null;
	reasons?: Reason[];
	merged_children?: number;
}

export interface Incident {
	incident_id: string;
	rule_id: string;
	rule_version?: number;
	state: string;
	first_event_at: string;
	last_event_at: string;
	detected_at?: string | null;
	event_count?: number;
	explanation?: Record<string, unknown> | null;
}

export interface LogRow {
	seq: number;
	task_id?: string | null;
	at: string;
	actor?: string | null;
	actor_role?: string | null;
	action: string;
	from_state?: CaseState | null;
	to_state?: CaseState | null;
	note?: string | null;
	detail?: Record<string, unknown> | string | null;
}

export interface Span {
	from: string;
	to: string;
}

export interface DeadlineClock {
	clock: string;
	task_id?: string | null;
	state: string;
	limit: string;
	calendar?: string | null;
	started_at: string;
	due_at: string | null;
	stopped_at?: string | null;
	periods?: Span[];
	skipped?: { date: string; reason?: string | null }[];
	pauses?: { from: string; to: string | null }[];
	extensions?: { at: string; limit: string }[];
}

export interface Evidence {
	event_uid?: string;
	source_id: string;
	event_id: string;
	source_kind: string;
	occurred_at: string;
	metric?: string | null;
	value?: number | null;
	unit?: string | null;
	title?: string | null;
	text?: string | null;
	payload?: { report?: { title?: string; text?: string; photo_urls?: string[] }; reading?: { unit?: string } } | null;
}

export interface Department {
	code: string;
	name_zh: string;
	name_en?: string | null;
	short_zh?: string | null;
	short_en?: string | null;
	pinyin?: string | null;
}

export interface Condition {
	condition_no: number;
	limit: string;
	filing_zh: string;
	filing_en?: string | null;
	close_zh?: string | null;
	close_en?: string | null;
}

export interface CaseType {
	type_code: string;
	name_zh: string;
	name_en?: string | null;
	domain?: string | null;
	pinyin?: string | null;
	lead_department?: string | null;
	conditions?: Condition[];
}

export interface City {
	name_zh: string;
	name_en?: string | null;
	division: string;
	zone: string;
	bbox: [number, number, number, number] | [null, null, null, null];
	boundary?: GeoJSON.GeoJSON | null;
	districts?: GeoJSON.FeatureCollection | null;
	streets?: GeoJSON.FeatureCollection | null;
}
