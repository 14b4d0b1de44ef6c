/* Every SQL call of a transition: lock and read one case, apply what was decided, commit. The
 * statements are functions of schema/0004_cases.sql; this file is the only one that writes cases.
 *
 * For reading (the HTTP files use tg_pg_query with these):
 *   tongguan.case_shown(row)   → jsonb: for tg_view_case() and tg_view_task()
 *   tongguan.case_row_doc(row) → jsonb, less of it: what tg_case_from_doc() reads
 *   tongguan.case_clocks(uuid) → jsonb array of all clocks: for tg_deadline_write_stored()
 *   tongguan.cases, tongguan.tasks, tongguan.case_log: views of the contract (cases also: lon, lat,
 * lead_department, supervise_level, return_count, extension_count, departments text[]); keyset
 * order newest: (reported_at, case_id), due: (due_at, case_id). case_id and task_id are uuids made
 * in time order. tongguan.case_evidence (case_id, event_uid, occurred_at, source_id, source_kind,
 * type_code, lon, lat, doc jsonb) tongguan.now_us() → bigint: the database's clock for now_us. */
#ifndef TG_DISPATCH_STORE_H
#define TG_DISPATCH_STORE_H

#include <stdint.h>

#include "base/io/pg.h"
#include "base/json.h"
#include "dispatch/life.h"

struct tg_dispatch;
struct tg_store_tx; /* one transaction on one connection of the pool */

struct tg_store_key {
	struct tg_slice scope, key; /* key empty: none */
	const uint8_t *body_sha256;
};

enum tg_locked_what { TG_LOCKED_CASE, TG_LOCKED_NOTHING, TG_LOCKED_REPLAY, TG_LOCKED_REUSED };

/* Lives during the callback, but the case, which the receiver frees. */
struct tg_locked {
	enum tg_locked_what what;
	struct tg_case *kase; /* TG_LOCKED_CASE: NULL for a case to be made */
	int task;             /* index of the task asked for, else -1 */
	const json_t *answer; /* TG_LOCKED_REPLAY: what was kept: {doc, now_us} or {refusal} */
	int64_t now_us;       /* the database's clock, never before the case's last entry */
	struct tg_place place;
	struct tg_other other; /* id "" when none was asked for, or there is none */
};

/* rc as tg_pg gives it; unless it is 0 locked and tx are NULL and the transaction is gone. Else
 * tg_store_apply() or tg_store_refuse() must follow, at once or later. */
typedef void (*tg_store_locked_cb)(
	void *ctx, int rc, const struct tg_locked *locked, struct tg_store_tx *tx);
/* doc: the case's document after the change. rc != 0: whether it happened is unknown. */
typedef void (*tg_store_done_cb)(void *ctx, int rc, struct tg_slice doc, int64_t now_us);

/* Takes a connection, begins, locks. id names a case or (on_task) one of its tasks, NULL: a case to
 * be made. lon_lat NULL: no place to look up. other NULL: no case to be locked beside it.
 * -TG_EFULL: too many are waiting, -TG_ENOMEM (cb not called). */
TG_MUST int tg_store_lock(struct tg_dispatch *d, const char *id, bool on_task,
	const struct tg_store_key *key, const double *lon_lat, const char *other,
	tg_store_locked_cb cb, void *ctx);
/* Writes the case's changes and the key's answer, commits, wakes the outbox and the clocks. */
void tg_store_apply(struct tg_store_tx *tx, struct tg_case *kase, int64_t now_us,
	tg_store_done_cb cb, void *ctx);
/* Keeps answer under the key (when both are there) and ends the transaction without a change. The
 * answer's reference is taken. */
void tg_store_refuse(struct tg_store_tx *tx, json_t *answer);

/* The change document that tongguan.case_apply(jsonb) takes; intake sends several at once. Gives
 * ids to what is new. New reference; NULL when memory is out. */
json_t *tg_store_change(struct tg_case *kase, const struct tg_city *city, int64_t now_us);
/* A uuid in time order (version 7). out needs 37 bytes. */
void tg_store_new_id(int64_t now_us, char out[40]);
bool tg_store_is_uuid(struct tg_slice text);

#endif
