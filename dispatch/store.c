#include "dispatch/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/service.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "dispatch/due.h"
#include "dispatch/outbox.h"

#define STORE_WAIT_MS   5000
#define NUMBER_TEXT_MAX 40
#define HASH_TEXT_MAX   (2 + 64 + 1)

static const char sql_begin[] = "BEGIN";
static const char sql_lock[] = "SELECT tongguan.case_lock($1::uuid, $2::boolean, $3, $4, "
			       "$5::bytea, $6::float8, $7::float8, $8::uuid)";
static const char sql_act[] = "SELECT tongguan.case_act($1::jsonb, $2, $3, $4::bytea)";
static const char sql_keep[] = "SELECT tongguan.idempotency_keep($1, $2, $3::bytea, $4::jsonb)";
static const char sql_commit[] = "COMMIT";

struct tg_store_tx {
	struct tg_dispatch *d;
	struct tg_pg *pg;
	char id[40], other[40];
	bool has_id, on_task, has_place;
	double lon, lat;
	char *scope, *key;
	char hash[HASH_TEXT_MAX];
	tg_store_locked_cb on_locked;
	tg_store_done_cb on_done;
	void *ctx;
	int64_t now_us;
	int rc;
	bool uncommitted; /* COMMIT could not be queued: the write's answer is the last */
	struct tg_buf doc;
	char case_id[40];
	size_t entries;
};

static void tx_free(struct tg_store_tx *tx)
{
	if (tx->pg)
		tg_pg_pool_give(tx->d->write, tx->pg);
	free(tx->scope);
	free(tx->key);
	tg_buf_release(&tx->doc);
	free(tx);
}

static char *dup_slice(struct tg_slice s)
{
	return strndup(s.data ? s.data : "", s.len);
}

/* --- lock --- */

static void fail_lock(struct tg_store_tx *tx, int rc)
{
	tg_store_locked_cb cb = tx->on_locked;
	void *ctx = tx->ctx;

	tx_free(tx);
	cb(ctx, rc, NULL, NULL);
}

static int read_other(const json_t *doc, struct tg_other *ret)
{
	const char *id = json_string_value(json_object_get(doc, "case_id"));
	const char *state = json_string_value(json_object_get(doc, "state"));

	if (!json_is_object(doc))
		return 0;
	if (!id || strlen(id) >= sizeof(ret->id) || !state ||
		!tg_case_state_parse(tg_slice_cstr(state), &ret->state))
		return -TG_EPARSE;
	strcpy(ret->id, id);
	ret->case_no = json_string_value(json_object_get(doc, "case_no"));
	ret->type_code = json_string_value(json_object_get(doc, "type_code"));
	ret->has_place = json_is_number(json_object_get(doc, "lon"));
	ret->lon = json_number_value(json_object_get(doc, "lon"));
	ret->lat = json_number_value(json_object_get(doc, "lat"));
	return 0;
}

static int read_case(struct tg_store_tx *tx, const json_t *doc, struct tg_locked *locked)
{
	const json_t *place = json_object_get(doc, "place"), *kase = json_object_get(doc, "case");
	int rc;

	locked->what = TG_LOCKED_CASE;
	locked->now_us = json_integer_value(json_object_get(doc, "now_us"));
	locked->place.grid_cell = json_string_value(json_object_get(place, "grid_cell"));
	locked->place.street = json_string_value(json_object_get(place, "street"));
	locked->place.district = json_string_value(json_object_get(place, "district"));
	rc = read_other(json_object_get(doc, "other"), &locked->other);
	if (rc)
		return rc;
	if (!json_is_object(kase))
		return tx->has_id ? -TG_EPARSE : 0;
	rc = tg_case_from_doc(kase, &locked->kase);
	if (rc || !tx->on_task)
		return rc;
	for (size_t i = 0; i < locked->kase->tasks_count; i++)
		if (!strcasecmp(locked->kase->tasks[i].id, tx->id))
			locked->task = (int)i;
	return 0;
}

static int read_locked(struct tg_store_tx *tx, const json_t *doc, struct tg_locked *locked)
{
	const char *what = json_string_value(json_object_get(doc, "what"));

	if (!what)
		return -TG_EPARSE;
	if (!strcmp(what, "case"))
		return read_case(tx, doc, locked);
	if (!strcmp(what, "nothing"))
		locked->what = TG_LOCKED_NOTHING;
	else if (!strcmp(what, "reused"))
		locked->what = TG_LOCKED_REUSED;
	else
		locked->what = TG_LOCKED_REPLAY;
	locked->answer = json_object_get(doc, "answer");
	return 0;
}

static void on_lock(void *ctx, int rc, const PGresult *res)
{
	struct tg_store_tx *tx = ctx;
	struct tg_locked locked = {.task = -1};
	json_t *doc = NULL;

	if (!rc)
		rc = tg_json_parse(tg_pg_text(res, 0, 0), &doc, NULL);
	else if (res)
		tg_log(TG_WARN, "a case could not be locked",
			TG_F("error", TG_S(tg_pg_message(res))));
	if (!rc)
		rc = read_locked(tx, doc, &locked);
	if (rc) {
		json_decref(doc);
		fail_lock(tx, rc);
		return;
	}
	tx->on_locked(tx->ctx, 0, &locked, tx);
	json_decref(doc);
}

static void on_begin(void *ctx, int rc, const PGresult *res)
{
	(void)ctx, (void)rc, (void)res; /* what went wrong shows in the lock's answer */
}

static void on_taken(void *ctx, int rc, struct tg_pg *pg)
{
	struct tg_store_tx *tx = ctx;
	char lon[NUMBER_TEXT_MAX], lat[NUMBER_TEXT_MAX];
	const char *params[] = {tx->has_id ? tx->id : NULL, tx->on_task ? "t" : "f", tx->scope,
		tx->key, tx->hash, tx->has_place ? lon : NULL, tx->has_place ? lat : NULL,
		tx->other[0] ? tx->other : NULL};

	if (rc) {
		fail_lock(tx, rc);
		return;
	}
	tx->pg = pg;
	snprintf(lon, sizeof(lon), "%.17g", tx->lon);
	snprintf(lat, sizeof(lat), "%.17g", tx->lat);
	rc = tg_pg_query_ahead(pg, sql_begin, NULL, 0, on_begin, NULL);
	if (!rc)
		rc = tg_pg_query(pg, sql_lock, params, 8, on_lock, tx);
	if (rc)
		fail_lock(tx, rc);
}

int tg_store_lock(struct tg_dispatch *d, const char *id, bool on_task,
	const struct tg_store_key *key, const double *lon_lat, const char *other,
	tg_store_locked_cb cb, void *ctx)
{
	struct tg_store_tx *tx = calloc(1, sizeof(*tx));
	int rc;

	if (!tx)
		return -TG_ENOMEM;
	tx->d = d;
	tx->on_task = on_task;
	tx->on_locked = cb;
	tx->ctx = ctx;
	if (id) {
		assert(strlen(id) < sizeof(tx->id));
		strcpy(tx->id, id);
		tx->has_id = true;
	}
	if (lon_lat) {
		tx->has_place = true;
		tx->lon = lon_lat[0];
		tx->lat = lon_lat[1];
	}
	if (other) {
		assert(strlen(other) < sizeof(tx->other));
		strcpy(tx->other, other);
	}
	tx->scope = dup_slice(key->scope);
	tx->key = dup_slice(key->key);
	strcpy(tx->hash, "\\x");
	if (key->key.len)
		tg_hex(key->body_sha256, 32, tx->hash + 2);
	rc = tx->scope && tx->key ? tg_pg_pool_take(d->write, STORE_WAIT_MS, on_taken, tx)
				  : -TG_ENOMEM;
	if (rc)
		tx_free(tx);
	return rc;
}

/* --- apply --- */

#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
static const char sql_tell_late[] =
	"SELECT tongguan.case_tell(c, e, '{}') FROM tongguan.case_file c"
	" JOIN tongguan.case_entry e USING (case_id)"
	" WHERE case_id = $1::uuid AND e.seq > c.log_seq - $2::bigint ORDER BY e.seq";
#endif

static void finish(struct tg_store_tx *tx)
{
	if (!tx->rc) {
		tg_outbox_wake(tx->d->outbox);
		tg_due_wake(tx->d->due);
	}
	tg_pg_pool_give(tx->d->write, tx->pg);
	tx->pg = NULL;
	tx->on_done(tx->ctx, tx->rc, (struct tg_slice){tx->doc.data, tx->doc.len}, tx->now_us);
	tx_free(tx);
}

#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
static void on_told_late(void *ctx, int rc, const PGresult *res)
{
	(void)rc, (void)res;
	finish(ctx);
}
#endif

static void on_commit(void *ctx, int rc, const PGresult *res)
{
	struct tg_store_tx *tx = ctx;

	if (!tx->rc)
		tx->rc = rc;
	/* COMMIT of a transaction that has failed says ROLLBACK and is no error. */
	if (!tx->rc && strcmp(PQcmdStatus((PGresult *)(uintptr_t)res), "COMMIT"))
		tx->rc = -TG_EPG;
	if (!tx->rc)
		tg_fault_point("dispatch_after_commit");
#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
	if (!tx->rc) {
		char entries[24];
		const char *params[] = {tx->case_id, entries};

		snprintf(entries, sizeof(entries), "%zu", tx->entries);
		if (!tg_pg_query(tx->pg, sql_tell_late, params, 2, on_told_late, tx))
			return;
	}
#endif
	finish(tx);
}

static void on_act(void *ctx, int rc, const PGresult *res)
{
	struct tg_store_tx *tx = ctx;

	tx->rc = rc;
	if (rc && res)
		tg_log(TG_ERROR, "a transition could not be written",
			TG_F("error", TG_S(tg_pg_message(res))),
			TG_F("sqlstate", TG_S(tg_pg_sqlstate(res))),
			TG_F("case_id", TG_S(tx->case_id)));
	if (!rc)
		tx->rc = tg_buf_add_slice(&tx->doc, tg_pg_text(res, 0, 0));
	if (tx->uncommitted) {
		tx->rc = -TG_ENOMEM;
		finish(tx);
	}
}

void tg_store_apply(struct tg_store_tx *tx, struct tg_case *kase, int64_t now_us,
	tg_store_done_cb cb, void *ctx)
{
	json_t *change = tg_store_change(kase, tx->d->city, now_us);
	const char *params[] = {NULL, tx->scope, tx->key, tx->hash};
	char *text;

	tx->on_done = cb;
	tx->ctx = ctx;
	tx->now_us = now_us;
	tx->entries = kase->log_count;
	strcpy(tx->case_id, kase->id);
#ifdef TG_BREAK_OUTBOX_AFTER_COMMIT
	json_object_set_new(change, "silent", json_true());
#endif
	text = change ? json_dumps(change, JSON_COMPACT) : NULL;
	params[0] = text;
	json_decref(change);
	tx->rc = text ? tg_pg_query_ahead(tx->pg, sql_act, params, 4, on_act, tx) : -TG_ENOMEM;
	free(text);
	if (tx->rc)
		finish(tx);
	else
		tx->uncommitted = tg_pg_query(tx->pg, sql_commit, NULL, 0, on_commit, tx) != 0;
}

/* --- refuse --- */

static void on_refused(void *ctx, int rc, const PGresult *res)
{
	(void)rc, (void)res; /* a lost refusal is only decided again */
	tx_free(ctx);
}

void tg_store_refuse(struct tg_store_tx *tx, json_t *answer)
{
	char *text = answer && tx->key[0] ? json_dumps(answer, JSON_COMPACT) : NULL;
	const char *params[] = {tx->scope, tx->key, tx->hash, text};
	int rc = -TG_ENOENT;

	json_decref(answer);
	if (text && !tg_pg_query_ahead(tx->pg, sql_keep, params, 4, on_begin, NULL))
		rc = tg_pg_query(tx->pg, sql_commit, NULL, 0, on_refused, tx);
	free(text);
	if (rc)
		tx_free(tx); /* giving the connection back rolls back */
}
