/* Rows → the JSON the API shows: the document of SQL, without what is the program's, with what
 * depends on the caller and on the instant. */
#include "dispatch/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "dispatch/life.h"

#define NUMBER_TEXT_MAX 48

struct viewing {
	const struct tg_city *city;
	const struct tg_actor *actor;
	int64_t now_us;
	struct tg_case *kase;
};

static void add_action(void *ctx, const char *action)
{
	json_array_append_new(ctx, json_string(action));
}

static json_t *allowed(const struct viewing *v, int task)
{
	json_t *list = json_array();

	if (v->actor->read_only)
		return list;
	tg_life_allowed(v->kase, v->city, v->actor, v->now_us, task, add_action, list);
	return list;
}

static json_t *time_json(int64_t us)
{
	char text[TG_RFC3339_MAX];

	if (us == TG_NO_TIME || us == INT64_MAX)
		return json_null();
	tg_rfc3339_utc(us, text);
	return json_string(text);
}

/* "2.4wh", "-0.5wd": hours or days of the clock's own unit, one decimal, two under one. */
static json_t *amount_json(int64_t us, enum tg_unit unit, int64_t total_us, const char *limit)
{
	double per = (double)TG_US_PER_H, n;
	char text[NUMBER_TEXT_MAX];
	struct tg_limit parsed;

	if (unit == TG_UNIT_ND)
		per = (double)TG_US_PER_DAY;
	/* A working day is what the limit says: so many days, so much counted time. */
	if (unit == TG_UNIT_WD && !tg_limit_parse(tg_slice_cstr(limit), &parsed) && parsed.n_micro)
		per = (double)total_us * 1e6 / (double)parsed.n_micro;
	n = (double)us / per;
	snprintf(text, sizeof(text), "%.*f%s", n < 1 && n > -1 ? 2 : 1, n, tg_unit_name(unit));
	return json_string(text);
}

static json_t *clock_json(const struct viewing *v, const struct tg_clock *k)
{
	const struct tg_calendar *cal =
		k->calendar[0] ? tg_city_calendar(v->city, k->calendar) : NULL;
	int64_t limit_us = k->amount_us, left = k->remaining_us, next = TG_NO_TIME;
	bool running = k->state == TG_CLOCK_RUNNING;
	json_t *frozen = json_null();

	for (size_t i = 0; i < k->extensions_count; i++)
		limit_us += k->extensions[i].amount_us;
	if (running)
		left = tg_work_count(cal, v->now_us, k->due_us);
	if (running && !tg_work_open(cal, v->now_us, &next))
		frozen = time_json(next);
	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:I, s:I, s:o}", "kind",
		tg_clock_kind_name((int)k->kind), "state",
		running                       ? "running"
		: k->state == TG_CLOCK_PAUSED ? "paused"
					      : "stopped",
		"limit", k->limit, "unit", tg_unit_name(k->unit), "calendar",
		k->calendar[0] ? k->calendar : NULL, "started_at", time_json(k->started_us),
		"due_at", running ? time_json(k->due_us) : json_null(), "remaining",
		amount_json(left, k->unit, k->amount_us, k->limit), "remaining_us",
		(json_int_t)left, "limit_us", (json_int_t)limit_us, "frozen_until", frozen);
}

static bool is_overdue(const struct viewing *v)
{
	const struct tg_case *kase = v->kase;

	return kase->overdue ||
	       (kase->handle_due_us != TG_NO_TIME && kase->done_us == TG_NO_TIME &&
		       !tg_case_state_is_terminal(kase->state) && v->now_us > kase->handle_due_us);
}

/* The live clock of a task: what it waits on. */
static const struct tg_clock *task_clock(const struct tg_case *kase, int task)
{
	const struct tg_clock *found = NULL;

	for (size_t i = 0; i < kase->clocks_count; i++) {
		const struct tg_clock *k = &kase->clocks[i];

		if (k->task != task || k->state == TG_CLOCK_STOPPED)
			continue;
		if (!found ||
			k->kind == (kase->tasks[task].state == TG_TASK_assigned ? TG_CLOCK_sign
										: TG_CLOCK_handle))
			found = k;
	}
	return found;
}

static void dress_task(const struct viewing *v, json_t *task, size_t i)
{
	const struct tg_clock *k = task_clock(v->kase, (int)i);

	json_object_set_new(task, "case_id", json_string(v->kase->id));
	json_object_set_new(task, "clock", k ? clock_json(v, k) : json_null());
	json_object_set_new(task, "allowed_actions", allowed(v, (int)i));
}

static int begin(struct viewing *v, const struct tg_dispatch *d, const struct tg_actor *actor,
	const json_t *doc, int64_t now_us)
{
	*v = (struct viewing){d->city, actor, now_us, NULL};
	return d->city ? tg_case_from_doc(doc, &v->kase) : -TG_ECLOSED;
}

/* Fifteen digits: a coordinate reads as it was given, 42.345 and not 42.344999999999999. */
static int dump(const json_t *doc, struct tg_buf *out)
{
	char *text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(15));
	int rc = text ? tg_buf_add_cstr(out, text) : -TG_ENOMEM;

	free(text);
	return rc;
}

/* What the case waits on; past the handling limit that clock, whoever has yet to sign. -1: none. */
static int shown_clock(const struct viewing *v)
{
	const struct tg_case *kase = v->kase;

	for (size_t i = 0; i < kase->clocks_count; i++) {
		const struct tg_clock *k = &kase->clocks[i];

		if (k->kind == TG_CLOCK_handle && k->state == TG_CLOCK_RUNNING && k->task >= 0 &&
			kase->tasks[k->task].lead && k->due_us <= v->now_us)
			return (int)i;
	}
	return kase->due_clock;
}

static void dress_case(const struct viewing *v, json_t *doc)
{
	json_t *tasks = json_object_get(doc, "tasks"), *task;
	int shown = shown_clock(v);
	size_t i;

	json_object_del(doc, "clocks");
	json_object_del(doc, "round");
	json_object_del(doc, "master");
	json_object_set_new(doc, "overdue", json_boolean(is_overdue(v)));
	json_object_set_new(
		doc, "clock", shown >= 0 ? clock_json(v, &v->kase->clocks[shown]) : json_null());
	json_array_foreach (tasks, i, task)
		dress_task(v, task, i);
	json_object_set_new(doc, "allowed_actions", allowed(v, -1));
}

int tg_view_case(const struct tg_dispatch *d, const struct tg_actor *actor, struct tg_slice text,
	int64_t now_us, struct tg_buf *out)
{
	struct viewing v;
	json_t *doc = NULL;
	int rc = tg_json_parse(text, &doc, NULL);

	if (!rc)
		rc = begin(&v, d, actor, doc, now_us);
	if (!rc) {
		dress_case(&v, doc);
		rc = dump(doc, out);
		tg_case_free(v.kase);
	}
	json_decref(doc);
	return rc;
}

/* Of the case, what a department's list needs; its own tasks would only repeat. */
static json_t *case_of_task(const struct viewing *v, const json_t *doc)
{
	static const char *const kept[] = {"case_id", "case_no", "incident_id", "origin", "domain",
		"type_code", "type_name_zh", "type_name_en", "type_short_zh", "type_short_en",
		"condition", "handle_limit", "title", "text", "state", "version", "grid_cell",
		"street", "street_name", "street_name_en", "district", "lon", "lat", "urgency",
		"suspended", "emergency", "supervise_level", "escalation_level", "rework_count",
		"return_count", "reported_at", "due_at", "handle_due_at", "reply_due_at",
		"lead_department"};
	json_t *made = json_object();

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		json_object_set(made, kept[i], json_object_get(doc, kept[i]));
	json_object_set_new(made, "overdue", json_boolean(is_overdue(v)));
	return made;
}

int tg_view_task(const struct tg_dispatch *d, const struct tg_actor *actor, struct tg_slice text,
	int64_t now_us, struct tg_buf *out)
{
	struct viewing v;
	json_t *doc = NULL, *kase, *task, *tasks;
	const char *id;
	int rc = tg_json_parse(text, &doc, NULL);
	size_t i;

	if (rc)
		return rc;
	id = json_string_value(json_object_get(doc, "task_id"));
	kase = json_object_get(doc, "case");
	tasks = json_object_get(kase, "tasks");
	rc = id ? begin(&v, d, actor, kase, now_us) : -TG_EPARSE;
	if (rc) {
		json_decref(doc);
		return rc;
	}
	rc = -TG_ENOENT;
	json_array_foreach (tasks, i, task) {
		if (strcmp(json_string_value(json_object_get(task, "task_id")), id))
			continue;
		dress_task(&v, task, i);
		json_object_set_new(task, "case", case_of_task(&v, kase));
		rc = dump(task, out);
	}
	tg_case_free(v.kase);
	json_decref(doc);
	return rc;
}
