/* What a body must hold, action by action. Nothing here changes the case. */
#include <math.h>
#include <string.h>

#include "dispatch/api_parse.h"
#include "dispatch/life_impl.h"

#define NOTE_BYTES_MAX    4000
#define REASON_BYTES_MAX  200
#define TITLE_BYTES_MAX   300
#define TEXT_BYTES_MAX    16384
#define CONTACT_BYTES_MAX 200
#define EVIDENCE_MAX      20

/* Text of at most max bytes; NULL when absent or bad (then said). */
static const char *text_field(struct life_step *step, const char *key, size_t max, bool required)
{
	const char *text = NULL;
	bool wrong = false;

	if (!tg_json_str(step->in->body, key, &text, &wrong)) {
		if (wrong)
			life_wrong(step, key, "must be text");
		else if (required)
			life_wrong(step, key, "is required");
		return NULL;
	}
	if (strlen(text) > max) {
		life_wrong(step, key, "is too long");
		return NULL;
	}
	if (required && !text[strspn(text, " \t\r\n")]) {
		life_wrong(step, key, "must not be empty");
		return NULL;
	}
	return text;
}

static void take_note(struct life_step *step)
{
	const char *note = text_field(step, "note", NOTE_BYTES_MAX, false);

	if (note && note[0])
		step->note = life_keep(step, note);
}

static void take_list(struct life_step *step, const char *key)
{
	json_t *list = json_object_get(step->in->body, key), *item;
	size_t i;

	if (!list || json_is_null(list))
		return;
	if (!json_is_array(list) || json_array_size(list) > EVIDENCE_MAX) {
		life_wrong(step, key, "must be a list of at most 20 texts");
		return;
	}
	json_array_foreach (list, i, item) {
		if (!json_is_string(item) || json_string_length(item) > REASON_BYTES_MAX) {
			life_wrong(step, key, "must be a list of short texts");
			return;
		}
	}
	if (!json_array_size(list))
		return;
	if (!step->detail)
		step->detail = json_object();
	if (json_object_set_new(step->detail, key, json_deep_copy(list)))
		step->failed = true;
}

#define PHOTOS_MAX 9

/* Names of photos; whether they are there is asked before. */
static void take_photos(struct life_step *step)
{
	json_t *list = json_object_get(step->in->body, "photos"), *item;
	size_t i;

	if (!list || json_is_null(list))
		return;
	if (!json_is_array(list) || json_array_size(list) > PHOTOS_MAX) {
		life_wrong(step, "photos", "must be a list of at most 9 names of photos");
		return;
	}
	json_array_foreach (list, i, item) {
		if (!json_is_string(item) ||
			!tg_is_photo_hash(tg_slice_cstr(json_string_value(item)))) {
			life_wrong(step, "photos",
				"a photo's name is the hash that POST /photos gave");
			return;
		}
	}
	if (!json_array_size(list))
		return;
	if (!step->detail)
		step->detail = json_object();
	if (json_object_set_new(step->detail, "photos", json_deep_copy(list)))
		step->failed = true;
}

static bool urgency_field(struct life_step *step, enum tg_urgency *ret)
{
	const char *name = text_field(step, "urgency", 16, false);

	if (!name)
		return false;
	if (tg_urgency_parse(tg_slice_cstr(name), ret))
		return true;
	life_wrong(step, "urgency", "one of urgent, priority, normal, slow");
	return false;
}

static void type_field(struct life_step *step, bool required)
{
	const char *code = text_field(step, "type_code", 16, required);

	if (code && !tg_city_type(step->in->city, code))
		life_wrong(step, "type_code", "is not in the catalogue");
}

/* The caller has looked a well-formed location up already. */
static bool location_field(struct life_step *step, bool required)
{
	const json_t *loc = json_object_get(step->in->body, "location");
	double lon, lat;

	if (!loc || json_is_null(loc)) {
		if (required)
			life_wrong(step, "location", "is required: {lon, lat}");
		return false;
	}
	if (!tg_json_dbl(loc, "lon", &lon, NULL) || !tg_json_dbl(loc, "lat", &lat, NULL)) {
		life_wrong(step, "location", "must be {lon, lat} with two numbers");
		return false;
	}
	if (!(fabs(lon) <= 180) || !(fabs(lat) <= 90)) {
		life_wrong(
			step, "location", "longitude lies within 180 degrees, latitude within 90");
		return false;
	}
	if (!step->in->place.grid_cell) {
		life_wrong(step, "location", "lies outside the city's grid");
		return false;
	}
	return true;
}

void life_form_none(struct life_step *step)
{
	take_note(step);
}

void life_form_note(struct life_step *step)
{
	take_note(step);
}

/* A reason code, or at least words. */
void life_form_reason(struct life_step *step)
{
	const char *reason = text_field(step, "reason", REASON_BYTES_MAX, false);

	take_note(step);
	if (reason && reason[0])
		life_detail_str(step, "reason", reason);
	else if (!step->note)
		life_wrong(step, "reason", "a reason, or words in note, is required");
}

void life_form_return_reason(struct life_step *step)
{
	const char *reason = text_field(step, "reason", REASON_BYTES_MAX, true);

	take_note(step);
	take_list(step, "evidence");
	life_detail_str(step, "reason", reason);
}

void life_form_accept(struct life_step *step)
{
	take_note(step);
	type_field(step, !step->kase->type_code);
	location_field(step, !step->kase->grid_cell);
}

void life_form_edit(struct life_step *step)
{
	static const char *const fields[] = {"type_code", "title", "location", "urgency"};
	enum tg_urgency urgency;
	bool any = false;

	take_note(step);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		any |= json_object_get(step->in->body, fields[i]) != NULL;
	if (!any)
		life_wrong(step, "action", "edit needs type_code, title, location or urgency");
	type_field(step, false);
	text_field(
		step, "title", TITLE_BYTES_MAX, json_object_get(step->in->body, "title") != NULL);
	location_field(step, false);
	urgency_field(step, &urgency);
}

void life_form_inspector(struct life_step *step)
{
	take_note(step);
	life_detail_str(step, "inspector", text_field(step, "inspector", 64, false));
}

void life_form_result(struct life_step *step)
{
	const char *result = text_field(step, "result", NOTE_BYTES_MAX, true);

	take_note(step);
	take_list(step, "evidence");
	take_photos(step);
	/* Free words belong where they can be erased. */
	if (result && !step->note)
		step->note = life_keep(step, result);
}

void life_form_check(struct life_step *step)
{
	take_note(step);
	take_list(step, "evidence");
	take_photos(step);
}

void life_form_file(struct life_step *step)
{
	const struct tg_type *type = tg_city_type(step->in->city, step->kase->type_code);
	int64_t no = 0;
	bool wrong = false;

	take_note(step);
	if (!tg_json_int(step->in->body, "condition", &no, &wrong))
		life_wrong(step, "condition",
			wrong ? "must be the number of a filing condition" : "is required");
	else if (!type || !tg_type_condition(type, no))
		life_wrong(step, "condition", "is not a filing condition of this type");
}

/* Who has just given it back does not get it again by another name, with all its time anew. */
static bool just_returned(const struct tg_case *kase, const char *department)
{
	int lead = life_lead(kase);

	return lead >= 0 && kase->tasks[lead].state == TG_TASK_returned &&
	       !strcmp(kase->tasks[lead].department, department);
}

static void dispatch_one(struct life_step *step, const json_t *list, size_t at, size_t *leads)
{
	const json_t *item = json_array_get(list, at);
	const char *code = NULL, *role = NULL;

	if (!tg_json_str(item, "department", &code, NULL) ||
		!tg_json_str(item, "role", &role, NULL)) {
		life_wrong(step, "tasks", "each needs department and role");
		return;
	}
	if (!tg_city_dept(step->in->city, code))
		life_wrong(step, "tasks", "an unknown department");
	if (!strcmp(role, "lead") && just_returned(step->kase, code))
		life_wrong(step, "tasks",
			"this department has returned it: uphold, or choose another");
	if (!strcmp(role, "lead"))
		++*leads;
	else if (strcmp(role, "assist"))
		life_wrong(step, "tasks", "role is lead or assist");
	for (size_t i = 0; i < at; i++) {
		const char *other = NULL;

		if (tg_json_str(json_array_get(list, i), "department", &other, NULL) &&
			!strcmp(other, code))
			life_wrong(step, "tasks", "a department stands there twice");
	}
}

void life_form_dispatch(struct life_step *step)
{
	const json_t *list = json_object_get(step->in->body, "tasks");
	size_t n = json_array_size(list), leads = 0;

	take_note(step);
	if (!json_is_array(list) || !n || n > TG_CASE_TASKS_MAX / 4) {
		life_wrong(step, "tasks", "a list of 1 to 8 {department, role}");
		return;
	}
	for (size_t i = 0; i < n; i++)
		dispatch_one(step, list, i, &leads);
	if (leads != 1)
		life_wrong(step, "tasks", "exactly one department leads");
}

static bool has_open_task(const struct tg_case *kase, const char *department)
{
	for (size_t i = 0; i < kase->tasks_count; i++)
		if (!strcmp(kase->tasks[i].department, department) &&
			(kase->tasks[i].state == TG_TASK_assigned ||
				kase->tasks[i].state == TG_TASK_signed))
			return true;
	return false;
}

void life_form_add_assist(struct life_step *step)
{
	const char *code = text_field(step, "department", 31, true);

	take_note(step);
	if (!code)
		return;
	if (!tg_city_dept(step->in->city, code))
		life_wrong(step, "department", "is unknown");
	else if (has_open_task(step->kase, code))
		life_wrong(step, "department", "has a task of this case already");
	life_detail_str(step, "department", code);
}

void life_form_waive(struct life_step *step)
{
	const char *code = text_field(step, "department", 31, true);
	const struct tg_case *kase = step->kase;
	bool found = false;

	life_form_reason(step);
	if (!code)
		return;
	for (size_t i = 0; i < kase->tasks_count; i++)
		found |= !kase->tasks[i].lead && !strcmp(kase->tasks[i].department, code) &&
			 kase->tasks[i].state != TG_TASK_done &&
			 kase->tasks[i].state != TG_TASK_cancelled &&
			 kase->tasks[i].state != TG_TASK_waived;
	if (!found)
		life_wrong(step, "department", "has no assisting task that is open");
	life_detail_str(step, "department", code);
}

void life_form_comment(struct life_step *step)
{
	const char *note = text_field(step, "note", NOTE_BYTES_MAX, true);

	if (note)
		step->note = life_keep(step, note);
	take_photos(step);
}

void life_form_report(struct life_step *step)
{
	const char *title = text_field(step, "title", TITLE_BYTES_MAX, false);
	const char *text = text_field(step, "text", TEXT_BYTES_MAX, false);
	const char *address = text_field(step, "address", TITLE_BYTES_MAX, false);
	enum tg_urgency urgency;

	take_note(step);
	type_field(step, false);
	urgency_field(step, &urgency);
	text_field(step, "contact", CONTACT_BYTES_MAX, false);
	location_field(step, !address);
	if (!title && !text && !json_is_string(json_object_get(step->in->body, "type_code")))
		life_wrong(step, "title", "a type, a title or a text is required");
	life_detail_str(step, "address", address);
	take_photos(step);
}
