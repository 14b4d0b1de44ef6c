/* One transaction of the intake: lock what is known of some incidents, decide, write, move the
 * offsets. */
#include <stdlib.h>
#include <string.h>

#include "base/io/service.h"
#include "base/log.h"
#include "dispatch/due.h"
#include "dispatch/intake_impl.h"
#include "dispatch/metrics.h"
#include "dispatch/outbox.h"
#include "dispatch/store.h"

#define BATCH_WAIT_MS 5000

static const char sql_begin[] = "BEGIN";
static const char sql_lock[] = "SELECT tongguan.intake_lock($1::jsonb)";
static const char sql_apply[] = "SELECT tongguan.intake_apply($1::jsonb)";
static const char sql_commit[] = "COMMIT";

#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
/* Cases whose messages this broken build writes after the commit: {id,id,…. Here and not in the
 * batch: a broken build shares every other object file with the sound one. */
static struct tg_buf late;
#endif

static void batch_over(struct intake_batch *b, int rc)
{
	b->rc = rc;
	if (b->pg)
		tg_pg_pool_give(b->d->write, b->pg);
	b->pg = NULL;
	for (int i = 0; !rc && i < 5; i++)
		if (b->counts[i])
			tg_metric_add_at(&tg_dispatch_metrics[TG_M_INCIDENTS], i, b->counts[i]);
	if (!rc) {
		tg_outbox_wake(b->d->outbox);
		tg_due_wake(b->d->due);
	}
	b->done(b->ctx);
}

static void take_error(struct intake_batch *b, const PGresult *res)
{
	const char *state = tg_pg_sqlstate(res);

	if (!res)
		return;
	/* Classes 22 (data) and 23 (constraints): the same data will be refused again. */
	b->poison |= !strncmp(state, "22", 2) || !strncmp(state, "23", 2);
	tg_log(TG_ERROR, "incidents could not be stored", TG_F("error", TG_S(tg_pg_message(res))),
		TG_F("sqlstate", TG_S(state)), TG_F("messages", TG_I(b->count)));
}

/* --- what to write --- */

static json_t *offsets_json(const struct intake_batch *b)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->count; i++) {
		const struct intake_item *it = b->items[i];
		bool last = true;

		for (size_t j = i + 1; j < b->count && last; j++)
			last = it->partition != b->items[j]->partition ||
			       strcmp(it->topic, b->items[j]->topic);
		if (last)
			json_array_append_new(list,
				json_pack("{s:s, s:i, s:I}", "topic", it->topic, "partition",
					(int)it->partition, "next", (json_int_t)it->offset + 1));
	}
	return list;
}

/* A message for those who follow incidents that have no case. */
static json_t *tell_json(const struct intake_item *it)
{
	const struct tg_incident_msg *m = &it->msg;

	return json_pack("{s:s, s:s, s:n, s:s, s:s*, s:I, s:I, s:s, s:I, s:s*}", "kind", "incident",
		"incident_id", m->incident_id, "case_id", "state", m->state, "merged_into",
		m->merged_into, "revision", (json_int_t)m->revision, "severity",
		(json_int_t)m->severity, "domain", m->domain, "event_count",
		(json_int_t)m->event_count, "grid_cell", m->grid_cell);
}

static struct tg_place place_of(const json_t *known)
{
	const json_t *place = json_object_get(known, "place");

	return (struct tg_place){json_string_value(json_object_get(place, "grid_cell")),
		json_string_value(json_object_get(place, "street")),
		json_string_value(json_object_get(place, "district"))};
}

static const json_t *find_known(const json_t *list, const char *id)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (!strcasecmp(json_string_value(json_object_get(item, "incident_id")), id))
			return item;
	return NULL;
}

static void repeats_of(const json_t *doc, struct tg_recurrence *ret)
{
	const char *id = json_string_value(json_object_get(doc, "case_id"));

	if (!id || strlen(id) >= sizeof(ret->id))
		return;
	strcpy(ret->id, id);
	ret->case_no = json_string_value(json_object_get(doc, "case_no"));
}

/* The closed case gives way to an empty one that repeats it. */
static bool begin_again(const json_t *doc, struct tg_case **kase, struct tg_recurrence *ret)
{
	repeats_of(doc, ret);
	tg_case_free(*kase);
	*kase = tg_case_new();
	return true;
}

/* The case of the incident that this one was merged into; id "": there is none. */
static struct tg_other other_of(const json_t *all, const struct tg_incident_msg *msg)
{
	const json_t *into = msg->merged_into ? find_known(all, msg->merged_into) : NULL;
	const json_t *doc = json_object_get(into, "case");
	const char *id = json_string_value(json_object_get(doc, "case_id")),
		   *state = json_string_value(json_object_get(doc, "state"));
	struct tg_other other = {.id = ""};

	if (!id || strlen(id) >= sizeof(other.id) || !state ||
		!tg_case_state_parse(tg_slice_cstr(state), &other.state))
		return other;
	strcpy(other.id, id);
	other.case_no = json_string_value(json_object_get(doc, "case_no"));
	other.type_code = json_string_value(json_object_get(doc, "type_code"));
	other.has_place = json_is_number(json_object_get(doc, "lon"));
	other.lon = json_number_value(json_object_get(doc, "lon"));
	other.lat = json_number_value(json_object_get(doc, "lat"));
	return other;
}

static bool note(struct intake_batch *b, const struct intake_item *it, const json_t *all,
	struct tg_case *kase, int64_t now_us, char beside[40])
{
	struct tg_other other = other_of(all, &it->msg);
	bool together = false;

	if (!tg_life_note_incident(
		    kase, b->d->city, &it->msg, other.id[0] ? &other : NULL, now_us, &together))
		return false;
	if (together)
		strcpy(beside, other.id);
	return true;
}

/* The change a known case gets, or a new one; NULL with *ret_rc 0: none. */
static json_t *change_of(struct intake_batch *b, const struct intake_item *it, const json_t *all,
	const json_t *known, int64_t now_us, char case_id[40], char beside[40], bool *ret_fresh,
	int *ret_rc)
{
	const json_t *doc = json_object_get(known, "case");
	struct tg_recurrence repeats = {.id = ""};
	struct tg_case *kase = NULL;
	struct tg_place place = place_of(known);
	json_t *change = NULL;
	bool fresh = !json_is_object(doc), ok;

	*ret_fresh = fresh;
	if (fresh && (!strcmp(it->msg.state, "merged") || !strcmp(it->msg.state, "withdrawn")))
		return NULL;
	if (fresh)
		kase = tg_case_new();
	else
		*ret_rc = tg_case_from_doc(doc, &kase);
	if (!kase) {
		*ret_rc = *ret_rc ? *ret_rc : -TG_ENOMEM;
		return NULL;
	}
	if (fresh)
		repeats_of(json_object_get(known, "recurs"), &repeats);
	else if (tg_life_recurred(kase, &it->msg))
		fresh = *ret_fresh = begin_again(doc, &kase, &repeats);
	if (!kase) {
		*ret_rc = -TG_ENOMEM;
		return NULL;
	}
	ok = fresh ? tg_life_open_incident(
			     kase, b->d->city, &it->msg, &place, &repeats, it->trace, now_us)
		   : note(b, it, all, kase, now_us, beside);
	change = ok ? tg_store_change(kase, b->d->city, now_us) : NULL;
	if (change)
		strcpy(case_id, kase->id);
	else
		*ret_rc = -TG_ENOMEM;
	b->counts[fresh ? TG_INTAKE_OPENED : TG_INTAKE_NOTED]++;
	tg_case_free(kase);
	return change;
}

static json_t *incident_json(struct intake_batch *b, const struct intake_item *it,
	const json_t *all, const json_t *known, int64_t now_us, int *ret_rc)
{
	char case_id[40] = "", beside[40] = "";
	bool fresh = false;
	json_t *change = change_of(b, it, all, known, now_us, case_id, beside, &fresh, ret_rc),
	       *made;

	if (*ret_rc)
		return NULL;
	made = json_pack("{s:s, s:I, s:s?, s:s?, s:O?, s:O?}", "incident_id", it->msg.incident_id,
		"revision", (json_int_t)it->msg.revision, "case_id", case_id[0] ? case_id : NULL,
		"beside", beside[0] ? beside : NULL, "from",
		json_object_get(it->doc, "first_event_at"), "to",
		json_object_get(it->doc, "last_event_at"));
#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
	if (change && fresh) {
		json_object_set_new(change, "silent", json_true());
		(void)!tg_buf_addf(&late, "%s%s", late.len ? "," : "{", case_id);
	}
#endif
	if (change)
		json_object_set_new(made, "change", change);
	else
		json_object_set_new(made, "tell", tell_json(it)), b->counts[TG_INTAKE_SKIPPED]++;
	if (change && (fresh || !strcmp(it->msg.state, "open")))
		json_object_set(made, "evidence", json_object_get(it->doc, "evidence"));
	return made;
}

static json_t *batch_json(struct intake_batch *b, const json_t *known, int *ret_rc)
{
	int64_t now_us = json_integer_value(json_object_get(known, "now_us"));
	const json_t *list_known = json_object_get(known, "incidents");
	json_t *list = json_array();

	for (size_t i = 0; i < b->count && !*ret_rc; i++) {
		const struct intake_item *it = b->items[i];
		const json_t *k;

		if (!it->doc || it->overtaken) {
			b->counts[it->doc ? TG_INTAKE_REPEATED : TG_INTAKE_REFUSED]++;
			continue;
		}
		k = find_known(list_known, it->msg.incident_id);
		if (!k || json_integer_value(json_object_get(k, "revision")) >= it->msg.revision) {
			b->counts[TG_INTAKE_REPEATED]++;
			continue;
		}
		json_array_append_new(list, incident_json(b, it, list_known, k, now_us, ret_rc));
	}
	return json_pack("{s:o, s:s, s:o}", "incidents", list, "consumer",
		b->d->conf->dispatch_group, "offsets", offsets_json(b));
}

/* --- the transaction --- */

#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
static const char sql_tell_late[] =
	"SELECT tongguan.case_tell(c, e, '{}') FROM tongguan.case_file c"
	" JOIN tongguan.case_entry e USING (case_id)"
	" WHERE case_id = ANY ($1::uuid[]) ORDER BY case_id, e.seq";

static void on_told_late(void *ctx, int rc, const PGresult *res)
{
	(void)res;
	batch_over(ctx, rc);
}

static bool tell_late(struct intake_batch *b)
{
	const char *params[1];

	if (!late.len || tg_buf_add_cstr(&late, "}"))
		return false;
	params[0] = tg_buf_cstr(&late);
	return !tg_pg_query(b->pg, sql_tell_late, params, 1, on_told_late, b);
}
#endif

static void on_commit(void *ctx, int rc, const PGresult *res)
{
	struct intake_batch *b = ctx;

	/* COMMIT of a transaction that has failed says ROLLBACK and is no error. */
	if (!b->rc && !rc && strcmp(PQcmdStatus((PGresult *)(uintptr_t)res), "COMMIT"))
		rc = -TG_EPG;
	/* One passage a case, as if each had been a transaction of its own. */
	for (int i = 0;
		!b->rc && !rc && i < b->counts[TG_INTAKE_OPENED] + b->counts[TG_INTAKE_NOTED]; i++)
		tg_fault_point("dispatch_after_commit");
#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
	if (!b->rc && !rc && tell_late(b))
		return;
#endif
	batch_over(b, b->rc ? b->rc : rc);
}

static void on_step(void *ctx, int rc, const PGresult *res)
{
	struct intake_batch *b = ctx;

	if (rc && !b->rc) {
		b->rc = rc;
		take_error(b, res);
	}
}

static int write_batch(struct intake_batch *b, const json_t *known)
{
	int rc = 0;
	json_t *doc = batch_json(b, known, &rc);
	char *text = doc && !rc ? json_dumps(doc, JSON_COMPACT) : NULL;
	const char *params[] = {text};

	json_decref(doc);
	if (!rc && !text)
		rc = -TG_ENOMEM;
	if (!rc)
		rc = tg_pg_query_ahead(b->pg, sql_apply, params, 1, on_step, b);
	free(text);
	if (!rc && tg_pg_query(b->pg, sql_commit, NULL, 0, on_commit, b))
		tg_pg_reset(b->pg); /* on_step hears of it; see on_locked */
	return rc;
}

static void on_locked(void *ctx, int rc, const PGresult *res)
{
	struct intake_batch *b = ctx;
	json_t *known = NULL;

	on_step(b, rc, res);
	if (!b->rc)
		b->rc = tg_json_parse(tg_pg_text(res, 0, 0), &known, NULL);
	if (!b->rc)
		b->rc = b->d->city ? write_batch(b, known) : -TG_ECLOSED;
	json_decref(known);
	if (b->rc)
		batch_over(b, b->rc);
}

static json_t *asked_one(const struct tg_incident_msg *msg)
{
	return msg->has_place
		       ? json_pack("{s:s, s:f, s:f, s:s*}", "incident_id", msg->incident_id, "lon",
				 msg->lon, "lat", msg->lat, "type_code", msg->case_type)
		       : json_pack("{s:s}", "incident_id", msg->incident_id);
}

static json_t *asked_json(const struct intake_batch *b)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->count; i++) {
		const struct intake_item *it = b->items[i];

		if (!it->doc || it->overtaken)
			continue;
		json_array_append_new(list, asked_one(&it->msg));
		/* Its case may be the one that this one's case goes into. */
		if (it->msg.merged_into && tg_store_is_uuid(tg_slice_cstr(it->msg.merged_into)))
			json_array_append_new(
				list, json_pack("{s:s}", "incident_id", it->msg.merged_into));
	}
	return list;
}

static void on_taken(void *ctx, int rc, struct tg_pg *pg)
{
	struct intake_batch *b = ctx;
	json_t *asked = asked_json(b);
	char *text = json_dumps(asked, JSON_COMPACT);
	const char *params[] = {text};

	b->pg = rc ? NULL : pg;
	if (!rc && !text)
		rc = -TG_ENOMEM;
	if (!rc)
		rc = tg_pg_query_ahead(pg, sql_begin, NULL, 0, on_step, b);
	if (!rc)
		rc = tg_pg_query(pg, sql_lock, params, 1, on_locked, b);
	free(text);
	json_decref(asked);
	if (rc)
		batch_over(b, rc);
}

/* Of two messages of one incident only the later revision needs storing. */
static void mark_overtaken(struct intake_batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct intake_item *a = b->items[i];

		a->overtaken = false;
		for (size_t j = 0; j < b->count && a->doc; j++) {
			const struct intake_item *o = b->items[j];

			if (j == i || !o->doc || strcasecmp(a->msg.incident_id, o->msg.incident_id))
				continue;
			if (o->msg.revision > a->msg.revision ||
				(o->msg.revision == a->msg.revision && j < i))
				a->overtaken = true;
		}
	}
}

void intake_batch_run(struct intake_batch *b, void (*done)(void *ctx), void *ctx)
{
	b->done = done;
	b->ctx = ctx;
	b->rc = 0;
	b->poison = false;
	memset(b->counts, 0, sizeof(b->counts));
#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
	tg_buf_reset(&late);
#endif
	mark_overtaken(b);
	if (tg_pg_pool_take(b->d->write, BATCH_WAIT_MS, on_taken, b)) {
		b->rc = -TG_EFULL;
		b->done(b->ctx);
	}
}
