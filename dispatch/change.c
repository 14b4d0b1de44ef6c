/* What a decision changed, as the document that tongguan.case_apply() takes. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/store.h"

/* json_object_set_new takes NULL for a failure before it; one check at the end is enough. */
struct filler {
	json_t *obj;
	bool failed;
};

static void put(struct filler *f, const char *key, json_t *value)
{
	if (json_object_set_new(f->obj, key, value))
		f->failed = true;
}

static void put_str(struct filler *f, const char *key, const char *text)
{
	put(f, key, text && text[0] ? json_string(text) : json_null());
}

static void put_int(struct filler *f, const char *key, int64_t v)
{
	put(f, key, json_integer((json_int_t)v));
}

static json_t *time_json(int64_t us)
{
	char text[TG_RFC3339_MAX];

	if (us == TG_NO_TIME || us == INT64_MAX)
		return json_null();
	tg_rfc3339_utc(us, text);
	return json_string(text);
}

static void put_time(struct filler *f, const char *key, int64_t us)
{
	put(f, key, time_json(us));
}

void tg_store_new_id(int64_t now_us, char out[40])
{
	uint64_t ms = (uint64_t)(now_us / 1000);
	uint8_t b[16];
	char hex[33];

	randombytes_buf(b, sizeof(b));
	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
	tg_hex(b, sizeof(b), hex);
	snprintf(out, 40, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

bool tg_store_is_uuid(struct tg_slice text)
{
	if (text.len != 36)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? c != '-'
			 : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
				   (c >= 'A' && c <= 'F')))
			return false;
	}
	return true;
}

static void add_once(json_t *list, const char *text)
{
	json_t *known;
	size_t i;

	json_array_foreach (list, i, known)
		if (!strcmp(json_string_value(known), text))
			return;
	json_array_append_new(list, json_string(text));
}

static json_t *departments_json(const struct tg_case *kase)
{
	json_t *list = json_array();

	for (size_t i = 0; i < kase->had_count; i++)
		add_once(list, kase->had[i]);
	for (size_t i = 0; i < kase->tasks_count; i++)
		add_once(list, kase->tasks[i].department);
	return list;
}

static const char *lead_department(const struct tg_case *kase)
{
	const char *lead = NULL;

	for (size_t i = 0; i < kase->tasks_count; i++)
		if (kase->tasks[i].lead && kase->tasks[i].round == kase->round)
			lead = kase->tasks[i].department;
	return lead;
}

static void put_counts(struct filler *f, const struct tg_case *kase)
{
	put(f, "suspended", json_boolean(kase->suspended));
	put(f, "emergency", json_boolean(kase->emergency));
	put_int(f, "supervise_level", kase->supervise_level);
	put(f, "escalation_level",
		kase->escalation_level < 0 ? json_null()
					   : json_integer((json_int_t)kase->escalation_level));
	put_int(f, "rework_count", kase->rework_count);
	put_int(f, "return_count", kase->return_count);
	put_int(f, "extension_count", kase->extension_count);
	put_int(f, "round", kase->round);
	put_time(f, "reported_at", kase->reported_us);
	put_time(f, "filed_at", kase->filed_us);
	put_time(f, "dispatched_at", kase->dispatched_us);
	put_time(f, "done_at", kase->done_us);
	put_time(f, "closed_at", kase->closed_us);
	put_time(f, "due_at", kase->due_us);
	put_time(f, "handle_due_at", kase->handle_due_us);
	put(f, "overdue", json_boolean(kase->overdue));
	put_str(f, "lead_department", lead_department(kase));
	put(f, "departments", departments_json(kase));
}

static json_t *case_json(const struct tg_case *kase, bool fresh)
{
	struct filler f = {json_object(), false};

	put_str(&f, "case_id", kase->id);
	put_str(&f, "state", tg_case_state_name((int)kase->state));
	put_int(&f, "version", kase->version);
	put_str(&f, "domain", kase->domain);
	put_str(&f, "type_code", kase->type_code);
	put_str(&f, "title", kase->title);
	put(&f, "condition",
		kase->condition ? json_integer((json_int_t)kase->condition) : json_null());
	put_str(&f, "handle_limit", kase->handle_limit);
	put_str(&f, "grid_cell", kase->grid_cell);
	put_str(&f, "street", kase->street);
	put_str(&f, "district", kase->district);
	put_str(&f, "urgency", tg_urgency_name(kase->urgency));
	if (kase->has_place) {
		put(&f, "lon", json_real(kase->lon));
		put(&f, "lat", json_real(kase->lat));
	}
	if (fresh) {
		put_str(&f, "incident_id", kase->incident_id);
		put_str(&f, "origin", kase->origin);
		put_str(&f, "body", kase->text);
		put_str(&f, "contact", kase->contact);
	}
	put_str(&f, "merged_into", kase->merged_into);
	put_str(&f, "recurs", kase->recurs);
	put_counts(&f, kase);
	return f.obj;
}

static json_t *ask_json(const struct tg_ask *ask)
{
	struct filler f;

	if (ask->kind == TG_ASK_NONE)
		return json_null();
	f = (struct filler){json_object(), false};
	put_str(&f, "kind", ask->kind == TG_ASK_EXTENSION ? "extension" : "suspension");
	put_str(&f, "by", ask->by);
	put_time(&f, "until", ask->until_us);
	put_str(&f, "reason", ask->reason);
	put_time(&f, "at", ask->at_us);
	put_str(&f, "actor", ask->actor);
	return f.obj;
}

static json_t *task_json(const struct tg_task *t)
{
	struct filler f = {json_object(), false};

	put_str(&f, "task_id", t->id);
	put_str(&f, "department", t->department);
	put_str(&f, "role", t->lead ? "lead" : "assist");
	put_str(&f, "state", tg_task_state_name((int)t->state));
	put_int(&f, "version", t->version);
	put_int(&f, "round", t->round);
	put_time(&f, "assigned_at", t->assigned_us);
	put_time(&f, "signed_at", t->signed_us);
	put_time(&f, "due_at", t->due_us);
	put_time(&f, "done_at", t->done_us);
	put_str(&f, "result", t->result);
	put(&f, "request", ask_json(&t->ask));
	put_int(&f, "extensions", t->extensions);
	put(&f, "suspended", json_boolean(t->suspended));
	put_time(&f, "suspended_until", t->suspended_until_us);
	put_time(&f, "appealed_at", t->appealed_us);
	return f.obj;
}

/* The instant of a rung: so much of the limit before the deadline, or something after it. A case
 * that has come back too often is there at once. */
static int64_t rung_at(const struct tg_rung *r, const struct tg_case *kase,
	const struct tg_clock *k, const struct tg_calendar *cal, const struct tg_calendar *dept_cal,
	int64_t now_us)
{
	int64_t total = k->amount_us, at = k->due_us;

	if (r->rework && kase->rework_count >= r->rework)
		return now_us;
	for (size_t i = 0; i < k->extensions_count; i++)
		total += k->extensions[i].amount_us;
	if (r->percent < 100)
		at = tg_work_before(cal, k->due_us, total * (100 - r->percent) / 100);
	if (r->percent < 100 && at < now_us)
		at = now_us;
	if (r->plus.n_micro) {
		const struct tg_calendar *c = tg_unit_is_working(r->plus.unit) ? dept_cal : NULL;

		at = tg_work_add(c, at, tg_limit_amount_us(&r->plus, c));
	}
	return at;
}

/* When each rung of the ladder is reached if the clock now runs on. */
static json_t *levels_json(const struct tg_case *kase, const struct tg_city *city,
	const struct tg_clock *k, int64_t now_us)
{
	const struct tg_calendar *cal = k->calendar[0] ? tg_city_calendar(city, k->calendar) : NULL;
	const struct tg_calendar *dept_cal =
		tg_city_dept(city, kase->tasks[k->task].department)
			? tg_city_dept(city, kase->tasks[k->task].department)->calendar
			: tg_city_centre_calendar(city);
	json_t *list = json_array();
	size_t count;
	const struct tg_rung *rungs = tg_city_ladder(city, &count);

	for (size_t i = 0; i < count; i++) {
		const struct tg_rung *r = &rungs[i];
		int64_t at;

		if (r->urgency != kase->urgency ||
			strcmp(r->clock, tg_clock_kind_name((int)k->kind)))
			continue;
		at = rung_at(r, kase, k, cal, dept_cal, now_us);
		if (at != INT64_MAX)
			json_array_append_new(
				list, json_pack("{s:i, s:o, s:i}", "level", r->level, "fire_at",
					      time_json(at), "supervise", r->supervise));
	}
	return list;
}

static json_t *spans_json(const struct tg_clock *k)
{
	json_t *list = json_array();

	for (size_t i = 0; i < k->pauses_count; i++)
		json_array_append_new(
			list, json_pack("{s:o, s:o}", "from", time_json(k->pauses[i].from_us), "to",
				      time_json(k->pauses[i].to_us)));
	return list;
}

static json_t *extensions_json(const struct tg_clock *k)
{
	json_t *list = json_array();

	for (size_t i = 0; i < k->extensions_count; i++)
		json_array_append_new(
			list, json_pack("{s:o, s:s, s:I}", "at", time_json(k->extensions[i].at_us),
				      "limit", k->extensions[i].limit, "amount_us",
				      (json_int_t)k->extensions[i].amount_us));
	return list;
}

static json_t *clock_json(const struct tg_case *kase, const struct tg_city *city,
	const struct tg_clock *k, int64_t now_us)
{
	static const char *const states[] = {"running", "paused", "stopped"};
	struct filler f = {json_object(), false};
	bool running = k->state == TG_CLOCK_RUNNING;

	put(&f, "clock_id", k->id ? json_integer((json_int_t)k->id) : json_null());
	put_str(&f, "task_id", k->task >= 0 ? kase->tasks[k->task].id : NULL);
	put_str(&f, "kind", tg_clock_kind_name((int)k->kind));
	put_str(&f, "state", states[k->state]);
	put_str(&f, "limit_text", k->limit);
	put_str(&f, "unit", tg_unit_name(k->unit));
	put_int(&f, "amount_us", k->amount_us);
	put_str(&f, "calendar", k->calendar);
	put_time(&f, "started_at", k->started_us);
	put_time(&f, "due_at", k->due_us);
	put_time(&f, "stopped_at", k->stopped_us);
	put(&f, "remaining_us", running ? json_null() : json_integer((json_int_t)k->remaining_us));
	put(&f, "pauses", spans_json(k));
	put(&f, "extensions", extensions_json(k));
	put(&f, "levels",
		running && k->task >= 0 ? levels_json(kase, city, k, now_us) : json_array());
	return f.obj;
}

static json_t *entry_json(const struct tg_case *kase, const struct tg_entry *e)
{
	const struct tg_task *task = e->task >= 0 ? &kase->tasks[e->task] : NULL;
	struct filler f = {json_object(), false};

	put_str(&f, "task_id", task ? task->id : NULL);
	put_str(&f, "department", task ? task->department : NULL);
	put_str(&f, "actor", e->actor);
	put_str(&f, "actor_role", e->actor_role);
	put_str(&f, "action", e->action);
	put_str(&f, "from_state", tg_case_state_name(e->from_state));
	put_str(&f, "to_state", tg_case_state_name(e->to_state));
	put_str(&f, "task_state", tg_task_state_name(e->task_to));
	put_int(&f, "case_version", e->case_version);
	put(&f, "task_version", task ? json_integer((json_int_t)e->task_version) : json_null());
	put_str(&f, "note", e->note);
	put(&f, "detail",
		e->detail && json_object_size(e->detail) ? json_incref(e->detail) : json_null());
	return f.obj;
}

/* The same deed as the other case's log tells it. */
static json_t *beside_json(const struct tg_case *kase)
{
	const struct tg_entry *e = &kase->log[kase->beside_entry];

	return json_pack("{s:s, s:{s:s, s:s, s:s, s:O}}", "case_id", kase->beside, "entry", "actor",
		e->actor, "actor_role", e->actor_role, "action", e->action, "detail",
		kase->beside_detail);
}

static json_t *number_json(const struct tg_city *city, int64_t now_us)
{
	int64_t day, day_us, year;
	unsigned month, dom;
	char text[16];

	tg_zone_to_local(tg_city_zone(city), now_us, &day, &day_us);
	tg_civil_from_days(day, &year, &month, &dom);
	snprintf(text, sizeof(text), "%04d-%02u-%02u", (int)(year % 10000), month % 100, dom % 100);
	return json_pack("{s:s, s:s}", "division", tg_city_division(city), "day", text);
}

json_t *tg_store_change(struct tg_case *kase, const struct tg_city *city, int64_t now_us)
{
	json_t *tasks = json_array(), *clocks = json_array(), *log = json_array(), *made;
	bool fresh = !kase->id[0];

	if (fresh)
		tg_store_new_id(now_us, kase->id);
	for (size_t i = 0; i < kase->tasks_count; i++) {
		if (!kase->tasks[i].id[0])
			tg_store_new_id(now_us, kase->tasks[i].id);
		if (kase->tasks[i].changed)
			json_array_append_new(tasks, task_json(&kase->tasks[i]));
	}
	for (size_t i = 0; i < kase->clocks_count; i++)
		if (kase->clocks[i].changed)
			json_array_append_new(
				clocks, clock_json(kase, city, &kase->clocks[i], now_us));
	for (size_t i = 0; i < kase->log_count; i++)
		json_array_append_new(log, entry_json(kase, &kase->log[i]));
	made = json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "new", fresh, "at",
		time_json(now_us), "case", case_json(kase, fresh), "number",
		number_json(city, now_us), "tasks", tasks, "clocks", clocks, "log", log);
	if (made && kase->beside[0] && json_object_set_new(made, "beside", beside_json(kase))) {
		json_decref(made);
		return NULL;
	}
	return made;
}
