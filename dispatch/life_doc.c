/* A case from the document SQL makes of it (tongguan.case_row_doc). */
#include <stdlib.h>
#include <string.h>

#include "dispatch/life_impl.h"

#define CASE_BLOCK_BYTES ((size_t)16 << 10)
#define CASE_BYTES_MAX   ((size_t)1 << 20)

struct tg_case *tg_case_new(void)
{
	struct tg_case *kase = calloc(1, sizeof(*kase));

	if (!kase)
		return NULL;
	tg_arena_init(&kase->arena, CASE_BLOCK_BYTES, CASE_BYTES_MAX);
	kase->urgency = TG_NORMAL;
	kase->escalation_level = -1;
	kase->due_clock = -1;
	kase->reported_us = kase->filed_us = kase->dispatched_us = kase->done_us = kase->closed_us =
		TG_NO_TIME;
	kase->due_us = kase->handle_due_us = kase->master_closed_us = TG_NO_TIME;
	return kase;
}

void tg_case_free(struct tg_case *kase)
{
	if (!kase)
		return;
	for (size_t i = 0; i < kase->log_count; i++)
		json_decref(kase->log[i].detail);
	json_decref(kase->beside_detail);
	tg_arena_release(&kase->arena);
	free(kase);
}

struct doc_reader {
	struct tg_case *kase;
	int rc;
};

static void fail(struct doc_reader *r, int rc)
{
	if (!r->rc)
		r->rc = rc;
}

static const char *text(struct doc_reader *r, const json_t *obj, const char *key)
{
	const char *found = json_string_value(json_object_get(obj, key)), *kept;

	if (!found)
		return NULL;
	kept = tg_arena_strdup(&r->kase->arena, found, strlen(found));
	if (!kept)
		fail(r, -TG_ENOMEM);
	return kept;
}

static void fixed(struct doc_reader *r, const json_t *obj, const char *key, char *out, size_t size)
{
	const char *found = json_string_value(json_object_get(obj, key));

	if (!found)
		return;
	if (strlen(found) >= size) {
		fail(r, -TG_EFULL);
		return;
	}
	strcpy(out, found);
}

static int64_t number(const json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

static int64_t instant(struct doc_reader *r, const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);
	int64_t us = TG_NO_TIME;

	if (json_is_integer(v))
		return json_integer_value(v);
	if (json_is_string(v) && tg_rfc3339_parse(tg_slice_cstr(json_string_value(v)), &us))
		fail(r, -TG_EPARSE);
	return us;
}

static struct tg_slice name_of(const json_t *obj, const char *key)
{
	return tg_slice_cstr(json_string_value(json_object_get(obj, key)));
}

static void read_ask(struct doc_reader *r, const json_t *doc, struct tg_ask *ask)
{
	ask->until_us = TG_NO_TIME;
	if (!json_is_object(doc))
		return;
	if (tg_slice_is(name_of(doc, "kind"), "extension"))
		ask->kind = TG_ASK_EXTENSION;
	else if (tg_slice_is(name_of(doc, "kind"), "suspension"))
		ask->kind = TG_ASK_SUSPENSION;
	else
		fail(r, -TG_EPARSE);
	fixed(r, doc, "by", ask->by, sizeof(ask->by));
	ask->until_us = instant(r, doc, "until");
	ask->at_us = instant(r, doc, "at");
	ask->reason = text(r, doc, "reason");
	ask->actor = text(r, doc, "actor");
}

static void read_task(struct doc_reader *r, const json_t *doc)
{
	struct tg_case *kase = r->kase;
	struct tg_task *t;

	if (kase->tasks_count == TG_CASE_TASKS_MAX) {
		fail(r, -TG_EFULL);
		return;
	}
	t = &kase->tasks[kase->tasks_count++];
	fixed(r, doc, "task_id", t->id, sizeof(t->id));
	fixed(r, doc, "department", t->department, sizeof(t->department));
	t->lead = tg_slice_is(name_of(doc, "role"), "lead");
	if (!tg_task_state_parse(name_of(doc, "state"), &t->state))
		fail(r, -TG_EPARSE);
	t->version = number(doc, "version");
	t->round = number(doc, "round");
	t->assigned_us = instant(r, doc, "assigned_at");
	t->signed_us = instant(r, doc, "signed_at");
	t->due_us = instant(r, doc, "due_at");
	t->done_us = instant(r, doc, "done_at");
	t->result = text(r, doc, "result");
	t->extensions = number(doc, "extensions");
	t->suspended = json_is_true(json_object_get(doc, "suspended"));
	t->suspended_until_us = instant(r, doc, "suspended_until");
	t->appealed_us = instant(r, doc, "appealed_at");
	read_ask(r, json_object_get(doc, "request"), &t->ask);
}

static int task_index(struct doc_reader *r, const char *id)
{
	if (!id)
		return -1;
	for (size_t i = 0; i < r->kase->tasks_count; i++)
		if (!strcmp(r->kase->tasks[i].id, id))
			return (int)i;
	fail(r, -TG_EPARSE);
	return -1;
}

static void read_spans(struct doc_reader *r, const json_t *doc, struct tg_clock *k)
{
	const json_t *pauses = json_object_get(doc, "pauses"),
		     *more = json_object_get(doc, "extensions");

	if (json_array_size(pauses) > TG_CLOCK_PAUSES_MAX ||
		json_array_size(more) > TG_CLOCK_EXTENSIONS_MAX) {
		fail(r, -TG_EFULL);
		return;
	}
	for (size_t i = 0; i < json_array_size(pauses); i++) {
		const json_t *p = json_array_get(pauses, i);
		int64_t to = instant(r, p, "to");

		k->pauses[k->pauses_count++] =
			(struct tg_span){instant(r, p, "from"), to == TG_NO_TIME ? INT64_MAX : to};
	}
	for (size_t i = 0; i < json_array_size(more); i++) {
		const json_t *p = json_array_get(more, i);
		struct tg_extension *e = &k->extensions[k->extensions_count++];

		e->at_us = instant(r, p, "at");
		e->amount_us = number(p, "amount_us");
		fixed(r, p, "limit", e->limit, sizeof(e->limit));
	}
}

static void read_clock(struct doc_reader *r, const json_t *doc)
{
	static const char *const states[] = {"running", "paused", "stopped"};
	static const char *const units[] = {"h", "wh", "wd", "nd"};
	struct tg_case *kase = r->kase;
	bool state = false, kind = false, unit = false;
	struct tg_clock *k;

	if (kase->clocks_count == TG_CASE_CLOCKS_MAX) {
		fail(r, -TG_EFULL);
		return;
	}
	k = &kase->clocks[kase->clocks_count++];
	k->id = number(doc, "clock_id");
	k->task = task_index(r, json_string_value(json_object_get(doc, "task_id")));
	for (int i = 0; i < 3; i++)
		if (tg_slice_is(name_of(doc, "state"), states[i]))
			state = true, k->state = (enum tg_clock_state)i;
	for (int i = 0; i < 4; i++)
		if (tg_slice_is(name_of(doc, "unit"), units[i]))
			unit = true, k->unit = (enum tg_unit)i;
	for (int i = 0; i < TG_CLOCK_KIND_COUNT; i++)
		if (tg_slice_is(name_of(doc, "kind"), tg_clock_kind_name(i)))
			kind = true, k->kind = (enum tg_clock_kind)i;
	if (!state || !kind || !unit)
		fail(r, -TG_EPARSE);
	fixed(r, doc, "limit", k->limit, sizeof(k->limit));
	fixed(r, doc, "calendar", k->calendar, sizeof(k->calendar));
	k->amount_us = number(doc, "amount_us");
	k->started_us = instant(r, doc, "started_at");
	k->due_us = instant(r, doc, "due_at");
	k->stopped_us = instant(r, doc, "stopped_at");
	k->remaining_us = number(doc, "remaining_us");
	read_spans(r, doc, k);
}

static void read_merge(struct doc_reader *r, const json_t *doc)
{
	const json_t *master = json_object_get(doc, "master");
	struct tg_case *kase = r->kase;

	fixed(r, doc, "merged_into", kase->merged_into, sizeof(kase->merged_into));
	fixed(r, doc, "recurs", kase->recurs, sizeof(kase->recurs));
	if (!json_is_object(master))
		return;
	if (!tg_case_state_parse(name_of(master, "state"), &kase->master_state))
		fail(r, -TG_EPARSE);
	kase->master_closed_us = instant(r, master, "closed_at");
}

static void read_had(struct doc_reader *r, const json_t *list)
{
	struct tg_case *kase = r->kase;
	json_t *code;
	size_t i;

	json_array_foreach (list, i, code) {
		const char *found = json_string_value(code);
		const char *kept =
			found ? tg_arena_strdup(&kase->arena, found, strlen(found)) : NULL;

		if (!kept || kase->had_count == TG_CASE_TASKS_MAX * 2)
			fail(r, kept ? -TG_EFULL : -TG_EPARSE);
		else
			kase->had[kase->had_count++] = kept;
	}
}

static void read_head(struct doc_reader *r, const json_t *doc)
{
	struct tg_case *kase = r->kase;

	fixed(r, doc, "case_id", kase->id, sizeof(kase->id));
	fixed(r, doc, "incident_id", kase->incident_id, sizeof(kase->incident_id));
	kase->origin = text(r, doc, "origin");
	kase->version = number(doc, "version");
	kase->domain = text(r, doc, "domain");
	kase->type_code = text(r, doc, "type_code");
	kase->title = text(r, doc, "title");
	kase->condition = number(doc, "condition");
	kase->handle_limit = text(r, doc, "handle_limit");
	kase->has_place = json_is_number(json_object_get(doc, "lon"));
	kase->lon = json_number_value(json_object_get(doc, "lon"));
	kase->lat = json_number_value(json_object_get(doc, "lat"));
	kase->grid_cell = text(r, doc, "grid_cell");
	kase->street = text(r, doc, "street");
	kase->district = text(r, doc, "district");
	if (!tg_case_state_parse(name_of(doc, "state"), &kase->state) ||
		!tg_urgency_parse(name_of(doc, "urgency"), &kase->urgency))
		fail(r, -TG_EPARSE);
}

static void read_counts(struct doc_reader *r, const json_t *doc)
{
	struct tg_case *kase = r->kase;

	kase->suspended = json_is_true(json_object_get(doc, "suspended"));
	kase->emergency = json_is_true(json_object_get(doc, "emergency"));
	kase->overdue = json_is_true(json_object_get(doc, "overdue"));
	kase->supervise_level = number(doc, "supervise_level");
	if (json_is_integer(json_object_get(doc, "escalation_level")))
		kase->escalation_level = number(doc, "escalation_level");
	kase->rework_count = number(doc, "rework_count");
	kase->return_count = number(doc, "return_count");
	kase->extension_count = number(doc, "extension_count");
	kase->round = number(doc, "round");
	kase->reported_us = instant(r, doc, "reported_at");
	kase->filed_us = instant(r, doc, "filed_at");
	kase->dispatched_us = instant(r, doc, "dispatched_at");
	kase->done_us = instant(r, doc, "done_at");
	kase->closed_us = instant(r, doc, "closed_at");
}

int tg_case_from_doc(const json_t *doc, struct tg_case **ret)
{
	struct doc_reader r = {tg_case_new(), 0};
	json_t *item;
	size_t i;

	if (!r.kase)
		return -TG_ENOMEM;
	if (!json_is_object(doc))
		fail(&r, -TG_EPARSE);
	read_head(&r, doc);
	read_counts(&r, doc);
	read_merge(&r, doc);
	read_had(&r, json_object_get(doc, "departments"));
	json_array_foreach (json_object_get(doc, "tasks"), i, item)
		read_task(&r, item);
	json_array_foreach (json_object_get(doc, "clocks"), i, item)
		read_clock(&r, item);
	if (r.rc) {
		tg_case_free(r.kase);
		return r.rc;
	}
	life_derive(r.kase);
	for (i = 0; i < r.kase->tasks_count; i++)
		r.kase->tasks[i].changed = false;
	*ret = r.kase;
	return 0;
}
