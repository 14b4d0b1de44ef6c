/* The transaction, step by step. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/service.h"
#include "base/list.h"
#include "base/log.h"
#include "ingest/metrics.h"
#include "ingest/sink_impl.h"

#define STAGED_AFTER_VIOLATION 8 /* where one resend is, more follow */
#define RETRY_MAX_MS           5000
#define FENCED                 "TG001" /* what tongguan.offsets_move_all() raises */

#ifdef TG_BREAK_DATA_FIRST /* broken on purpose: the offsets follow in a transaction of their own \
			    */
#define COMMIT_SQL                       \
	"COMMIT; SELECT pg_sleep(0.2); " \
	"DO $$BEGIN EXECUTE current_setting('tongguan.late'); END$$; BEGIN; COMMIT"
#else
#define COMMIT_SQL "COMMIT"
#endif

static const char copy_sql[] =
	"COPY tongguan.event (" TG_ROW_COLUMNS ") FROM STDIN (FORMAT binary)";
static const char stage_sql[] =
	"CREATE TEMP TABLE IF NOT EXISTS event_stage (LIKE tongguan.event) ON COMMIT DELETE ROWS";
static const char stage_copy_sql[] =
	"COPY pg_temp.event_stage (" TG_ROW_COLUMNS ") FROM STDIN (FORMAT binary)";
/* In one order, so that two that store the same resends wait for each other instead of locking
 * crosswise. */
static const char merge_sql[] =
	"INSERT INTO tongguan.event (" TG_ROW_COLUMNS ") SELECT " TG_ROW_COLUMNS
	" FROM pg_temp.event_stage ORDER BY uid ON CONFLICT DO NOTHING";
static const char table_sql[] =
	"SELECT from_day - date 'epoch', to_day - date 'epoch' FROM "
	"tongguan.event_partition_ensure(date 'epoch' + $1::integer, $2::integer)";

static void next_step(struct tg_sink *sink);

static bool in_transaction(enum sink_step step)
{
	return step >= SINK_OPEN && step <= SINK_COMMIT;
}

void sink_finish(struct tg_sink *sink, int rc)
{
	tg_sink_cb cb = sink->cb;

	sink->step = SINK_IDLE;
	sink->batch = NULL;
	sink->abort = false;
	if (!rc) {
		sink->trouble[0] = 0;
		sink->retry_ms = SINK_RETRY_MIN_MS;
	}
	cb(sink->cb_ctx, rc);
}

static void send_query(
	struct tg_sink *sink, const char *sql, struct tg_buf *params, int n, tg_pg_cb cb)
{
	const char *texts[TG_PG_PARAMS_MAX];

	for (int i = 0; i < n; i++)
		texts[i] = params[i].data;
	if (tg_pg_query(sink->pg, sql, texts, n, cb, sink))
		cb(sink, -TG_ECLOSED, NULL);
}

static void send_exec(struct tg_sink *sink, const char *sql, tg_pg_cb cb)
{
	if (tg_pg_exec(sink->pg, sql, cb, sink))
		cb(sink, -TG_ECLOSED, NULL);
}

static void on_rollback(void *ctx, int rc, const PGresult *res)
{
	struct tg_sink *sink = ctx;

	(void)res;
	if (rc == -TG_ECLOSED) {
		sink_finish(sink, rc);
	} else if (sink->after_rollback) {
		sink_finish(sink, sink->after_rollback);
	} else {
		tg_metric_add(&tg_ingest_metrics[TG_M_RETRIED], 1);
		sink->step = SINK_TABLE;
		next_step(sink);
	}
}

/* Ends the transaction as nothing; then answers `then`, or tries again when that is 0. */
static void roll_back(struct tg_sink *sink, int then)
{
	sink->step = SINK_ROLLBACK;
	sink->after_rollback = then;
	if (tg_pg_exec(sink->pg, "ROLLBACK", on_rollback, sink))
		on_rollback(sink, -TG_ECLOSED, NULL);
}

static void on_retry(uv_timer_t *timer)
{
	struct tg_sink *sink = tg_container_of(timer, struct tg_sink, retry);

	roll_back(sink, sink->abort ? -TG_EFENCED : 0);
}

/* The server refused: what, is said once a pause; after the pause all of it is tried again. */
static void rest(struct tg_sink *sink, const PGresult *res)
{
	const char *state = tg_pg_sqlstate(res), *message = tg_pg_message(res);

	snprintf(sink->trouble, sizeof(sink->trouble), "%s %.*s", state,
		(int)strcspn(message, "\n"), message);
	tg_log(TG_WARN, "transaction refused, trying again", TG_F("sqlstate", TG_S(state)),
		TG_F("why", TG_S(sink->trouble)), TG_F("pause_ms", TG_I(sink->retry_ms)));
	/* A table that somebody dropped is made again. */
	memset(sink->days_known, 0, sizeof(sink->days_known));
	sink->day_at = 0;
	sink->step = SINK_RESTING;
	uv_timer_start(&sink->retry, on_retry, sink->retry_ms, 0);
	sink->retry_ms *= 2;
	if (sink->retry_ms > RETRY_MAX_MS)
		sink->retry_ms = RETRY_MAX_MS;
}

/* Common to all steps: true when the step succeeded and the next may follow. */
static bool stepped(struct tg_sink *sink, int rc, const PGresult *res)
{
	if (rc == -TG_ECLOSED) {
		sink_finish(sink, rc);
		return false;
	}
	if (rc && res && strcmp(tg_pg_sqlstate(res), FENCED) == 0) {
		roll_back(sink, -TG_EFENCED);
		return false;
	}
	if (rc == -TG_EUNIQUE && sink->step == SINK_COPY && !sink->staged) {
		sink->staged = true;
		sink->staged_left = STAGED_AFTER_VIOLATION;
		roll_back(sink, sink->abort ? -TG_EFENCED : 0);
		return false;
	}
	if (rc) {
		rest(sink, res);
		return false;
	}
	if (sink->abort && sink->step != SINK_COMMIT) {
		if (in_transaction(sink->step))
			roll_back(sink, -TG_EFENCED);
		else
			sink_finish(sink, -TG_EFENCED);
		return false;
	}
	return true;
}

static void on_step(void *ctx, int rc, const PGresult *res)
{
	struct tg_sink *sink = ctx;

	if (!stepped(sink, rc, res))
		return;
	if (sink->step == SINK_OPEN) {
		sink->step_mono_us = tg_ingest_stage(TG_STAGE_OFFSETS, sink->step_mono_us);
	} else if (sink->step == SINK_COPY) {
		sink->step_mono_us = tg_ingest_stage(TG_STAGE_COPY, sink->step_mono_us);
		tg_fault_point("ingest_after_copy");
	} else if (sink->step == SINK_MERGE) {
		sink->rows_new = strtoull(PQcmdTuples((PGresult *)res), NULL, 10);
		if (sink->rows_new < sink->batch->rows_count)
			sink->staged_left = STAGED_AFTER_VIOLATION;
	}
	sink->step++;
	next_step(sink);
}

static void on_table(void *ctx, int rc, const PGresult *res)
{
	struct tg_sink *sink = ctx;
	int64_t from, to;

	if (!stepped(sink, rc, res))
		return;
	from = tg_pg_i64(res, 0, 0);
	to = tg_pg_i64(res, 0, 1);
	for (int64_t day = from < 0 ? 0 : from; day < to && day < SINK_DAYS_KNOWN_MAX; day++)
		sink->days_known[day / 8] |= (uint8_t)(1 << day % 8);
	sink->day_at++;
	next_step(sink);
}

static void count_rows(const struct tg_sink *sink)
{
	if (!sink->batch)
		return;
	tg_metric_add(&tg_ingest_metrics[TG_M_ROWS], (double)sink->rows_new);
	tg_metric_add(&tg_ingest_metrics[TG_M_DUPLICATES],
		(double)(sink->batch->rows_count - sink->rows_new));
}

static void on_commit(void *ctx, int rc, const PGresult *res)
{
	struct tg_sink *sink = ctx;

	if (!stepped(sink, rc, res))
		return;
	/* COMMIT of a transaction that failed before says ROLLBACK and no error. */
	if (strcmp(PQcmdStatus((PGresult *)res), "COMMIT") != 0) {
		rest(sink, res);
		return;
	}
	tg_ingest_stage(TG_STAGE_COMMIT, sink->step_mono_us);
	tg_fault_point("ingest_after_commit");
	count_rows(sink);
	if (sink->staged_left > 0 && sink->batch && sink->batch->rows_count)
		sink->staged_left--;
	sink_finish(sink, 0);
}

static void send_copy(struct tg_sink *sink, const char *sql)
{
	if (tg_pg_copy(sink->pg, sql, &sink->batch->rows, on_step, sink))
		on_step(sink, -TG_ECLOSED, NULL);
}

/* Nothing between the move and the rows: both go out in one message, which is the way of almost
 * every batch. */
static bool open_with_copy(struct tg_sink *sink, bool rows)
{
	if (!rows || sink->staged || sink->batch->deads_count)
		return false;
	memcpy(sink->open.data + sink->open_len, copy_sql, sizeof(copy_sql));
	sink->step = SINK_COPY;
	send_copy(sink, sink->open.data);
	return true;
}

static bool day_known(const struct tg_sink *sink, uint32_t day)
{
	return day < SINK_DAYS_KNOWN_MAX && sink->days_known[day / 8] & 1 << day % 8;
}

/* True when a partition has to be made first. Outside the transaction: it must not be undone with
 * it. */
static bool send_table(struct tg_sink *sink)
{
	const char *params[2];
	char day[16];

	while (sink->batch && sink->day_at < sink->batch->days_count &&
		day_known(sink, sink->batch->days[sink->day_at]))
		sink->day_at++;
	if (!sink->batch || sink->day_at == sink->batch->days_count)
		return false;
	snprintf(day, sizeof(day), "%u", sink->batch->days[sink->day_at]);
	params[0] = day;
	params[1] = sink->partition_days;
	if (tg_pg_query(sink->pg, table_sql, params, 2, on_table, sink))
		on_table(sink, -TG_ECLOSED, NULL);
	return true;
}

/* Starts sink->step, passing over those that this batch does not need. */
static void next_step(struct tg_sink *sink)
{
	const struct tg_batch *batch = sink->batch;
	bool rows = batch && batch->rows_count > 0;

	switch (sink->step) {
	case SINK_TABLE:
		if (send_table(sink))
			return;
		sink->step = SINK_OPEN;
		/* fallthrough */
	case SINK_OPEN:
		if (open_with_copy(sink, rows))
			return;
		sink->open.data[sink->open_len] = '\0';
		send_exec(sink, sink->open.data, on_step);
		return;
	case SINK_DEAD:
		if (batch && batch->deads_count) {
			send_query(sink, TG_DEAD_SQL, sink->dead_params, TG_DEAD_PARAMS, on_step);
			return;
		}
		sink->step = SINK_STAGE;
		/* fallthrough */
	case SINK_STAGE:
		if (rows && sink->staged) {
			tg_metric_add(&tg_ingest_metrics[TG_M_STAGED], 1);
			send_exec(sink, stage_sql, on_step);
			return;
		}
		sink->step = SINK_COPY;
		/* fallthrough */
	case SINK_COPY:
		if (rows) {
			send_copy(sink, sink->staged ? stage_copy_sql : copy_sql);
			return;
		}
		sink->step = SINK_MERGE;
		/* fallthrough */
	case SINK_MERGE:
		if (rows && sink->staged) {
			send_exec(sink, merge_sql, on_step);
			return;
		}
		sink->step = SINK_COMMIT;
		/* fallthrough */
	case SINK_COMMIT: send_exec(sink, COMMIT_SQL, on_commit); return;
	default: assert(!"a step that is not started from here");
	}
}

void tg_sink_store(struct tg_sink *sink, const struct tg_batch *batch, const struct tg_move *moves,
	size_t n, tg_sink_cb cb, void *ctx)
{
	int rc = sink_open_text(&sink->open, moves, n);

	assert(sink->step == SINK_IDLE);
	assert(n > 0);
	sink->open_len = sink->open.len;
	if (!rc)
		rc = tg_buf_reserve(&sink->open, sizeof(copy_sql));
	sink->batch = batch;
	sink->cb = cb;
	sink->cb_ctx = ctx;
	sink->abort = false;
	sink->staged = sink->staged_left > 0;
	sink->day_at = 0;
	sink->step_mono_us = sink->began_mono_us = tg_mono_us();
	sink->rows_new = batch ? batch->rows_count : 0;
	if (!rc && batch && batch->deads_count)
		rc = tg_dead_params(batch, sink->ops.part_name, sink->ctx, sink->dead_params);
	if (rc) {
		/* The way out of a lost connection is the way out of this too. */
		tg_log(TG_ERROR, "batch not sent", TG_F("why", TG_S(tg_err_text(rc))));
		sink_finish(sink, -TG_ECLOSED);
		return;
	}
	sink->step = SINK_TABLE;
	next_step(sink);
}

void tg_sink_abort(struct tg_sink *sink)
{
	if (sink->step == SINK_IDLE)
		return;
	sink->abort = true;
	if (sink->step == SINK_RESTING)
		uv_timer_start(&sink->retry, on_retry, 0, 0);
}
