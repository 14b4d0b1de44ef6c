#include "ingest/sink.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/service.h"
#include "base/list.h"
#include "base/log.h"
#include "ingest/metrics.h"

#define STAGED_AFTER_VIOLATION 8 /* where one resend is, more follow */
#define RETRY_MIN_MS           20
#define RETRY_MAX_MS           5000
#define MONTHS_KNOWN_MAX       4800               /* to the year 2370 */
#define STALL_US               (60 * TG_US_PER_S) /* no transaction of ours takes that long */
#define MOVE_COLUMNS           6
#define FENCED                 "TG001" /* what tongguan.offsets_move_all() raises */

enum step { IDLE, MONTH, OPEN, DEAD, STAGE, COPY, MERGE, COMMIT, ROLLBACK, RESTING };

struct tg_sink {
	uv_loop_t *loop;
	struct tg_pg *pg;
	struct tg_sink_ops ops;
	void *ctx;

	enum step step;
	const struct tg_batch *batch; /* NULL: offsets only */
	struct tg_buf open; /* the message that opens the transaction: BEGIN and the move; then,
			     * when nothing has to come between, the COPY */
	size_t open_len;    /* without the COPY */
	struct tg_buf dead_params[TG_DEAD_PARAMS];
	size_t month_at;
	tg_sink_cb cb;
	void *cb_ctx;
	bool abort;
	int after_rollback; /* 0: try again; else the answer */
	size_t rows_new;    /* of the batch's rows those that were not stored before */
	bool staged;        /* this transaction goes through the staging table */
	int staged_left;
	int64_t step_mono_us, began_mono_us;

	uv_timer_t retry;
	uint64_t retry_ms;
	char trouble[128];
	uint8_t months_known[MONTHS_KNOWN_MAX / 8];
	void (*closed)(void *ctx);
	void *closed_ctx;
};

#if defined TG_BREAK_NO_FENCE /* broken on purpose: whoever else has taken over, go on */
#define OPEN_SQL     "BEGIN; DO $$BEGIN PERFORM tongguan.offsets_move_all("
#define OPEN_END_SQL "); EXCEPTION WHEN SQLSTATE 'TG001' THEN NULL; END$$; "
#elif defined TG_BREAK_DATA_FIRST /* broken on purpose: rows are committed before their offsets */
#define OPEN_SQL                                        \
	"BEGIN; SELECT set_config('tongguan.late', $m$" \
	"SELECT tongguan.offsets_move_all("
#define OPEN_END_SQL ")$m$, false); "
#define COMMIT_SQL                       \
	"COMMIT; SELECT pg_sleep(0.2); " \
	"DO $$BEGIN EXECUTE current_setting('tongguan.late'); END$$; BEGIN; COMMIT"
#else
#define OPEN_SQL     "BEGIN; SELECT tongguan.offsets_move_all("
#define OPEN_END_SQL "); "
#endif
#ifndef COMMIT_SQL
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
/* Who waits longer for a row asks again: taking partitions then ends what holds them. */
static const char limits_sql[] = "SET lock_timeout = '5s'";
static const char month_sql[] = "SELECT tongguan.event_partition_ensure($1)";

static void next_step(struct tg_sink *sink);

static bool in_transaction(enum step step)
{
	return step >= OPEN && step <= COMMIT;
}

static void finish(struct tg_sink *sink, int rc)
{
	tg_sink_cb cb = sink->cb;

	sink->step = IDLE;
	sink->batch = NULL;
	sink->abort = false;
	if (!rc) {
		sink->trouble[0] = 0;
		sink->retry_ms = RETRY_MIN_MS;
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
		finish(sink, rc);
	} else if (sink->after_rollback) {
		finish(sink, sink->after_rollback);
	} else {
		tg_metric_add(&tg_ingest_metrics[TG_M_RETRIED], 1);
		sink->step = MONTH;
		next_step(sink);
	}
}

/* Ends the transaction as nothing; then answers `then`, or tries again when that is 0. */
static void roll_back(struct tg_sink *sink, int then)
{
	sink->step = ROLLBACK;
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
	memset(sink->months_known, 0, sizeof(sink->months_known));
	sink->month_at = 0;
	sink->step = RESTING;
	uv_timer_start(&sink->retry, on_retry, sink->retry_ms, 0);
	sink->retry_ms *= 2;
	if (sink->retry_ms > RETRY_MAX_MS)
		sink->retry_ms = RETRY_MAX_MS;
}

/* Common to all steps: true when the step succeeded and the next may follow. */
static bool stepped(struct tg_sink *sink, int rc, const PGresult *res)
{
	if (rc == -TG_ECLOSED) {
		finish(sink, rc);
		return false;
	}
	if (rc && res && strcmp(tg_pg_sqlstate(res), FENCED) == 0) {
		roll_back(sink, -TG_EFENCED);
		return false;
	}
	if (rc == -TG_EUNIQUE && sink->step == COPY && !sink->staged) {
		sink->staged = true;
		sink->staged_left = STAGED_AFTER_VIOLATION;
		roll_back(sink, sink->abort ? -TG_EFENCED : 0);
		return false;
	}
	if (rc) {
		rest(sink, res);
		return false;
	}
	if (sink->abort && sink->step != COMMIT) {
		if (in_transaction(sink->step))
			roll_back(sink, -TG_EFENCED);
		else
			finish(sink, -TG_EFENCED);
		return false;
	}
	return true;
}

static void on_step(void *ctx, int rc, const PGresult *res)
{
	struct tg_sink *sink = ctx;

	if (!stepped(sink, rc, res))
		return;
	if (sink->step == OPEN) {
		sink->step_mono_us = tg_ingest_stage(TG_STAGE_OFFSETS, sink->step_mono_us);
	} else if (sink->step == COPY) {
		sink->step_mono_us = tg_ingest_stage(TG_STAGE_COPY, sink->step_mono_us);
		tg_fault_point("ingest_after_copy");
	} else if (sink->step == MERGE) {
		sink->rows_new = strtoull(PQcmdTuples((PGresult *)res), NULL, 10);
		if (sink->rows_new < sink->batch->rows_count)
			sink->staged_left = STAGED_AFTER_VIOLATION;
	}
	sink->step++;
	next_step(sink);
}

static void on_month(void *ctx, int rc, const PGresult *res)
{
	struct tg_sink *sink = ctx;
	uint32_t month;

	if (!stepped(sink, rc, res))
		return;
	month = sink->batch->months[sink->month_at++];
	sink->months_known[month / 8] |= (uint8_t)(1 << month % 8);
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
	finish(sink, 0);
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
	sink->step = COPY;
	send_copy(sink, sink->open.data);
	return true;
}

static bool month_known(const struct tg_sink *sink, uint32_t month)
{
	return sink->months_known[month / 8] & 1 << month % 8;
}

static void month_date(uint32_t month, char date[16])
{
	snprintf(date, 16, "%04u-%02u-01", 1970 + month / 12, month % 12 + 1);
}

/* True when a month has to be made first. Outside the transaction: it must not be undone with it.
 */
static bool send_month(struct tg_sink *sink)
{
	const char *params[1];
	char date[16];

	while (sink->batch && sink->month_at < sink->batch->months_count &&
		month_known(sink, sink->batch->months[sink->month_at]))
		sink->month_at++;
	if (!sink->batch || sink->month_at == sink->batch->months_count)
		return false;
	month_date(sink->batch->months[sink->month_at], date);
	params[0] = date;
	if (tg_pg_query(sink->pg, month_sql, params, 1, on_month, sink))
		on_month(sink, -TG_ECLOSED, NULL);
	return true;
}

/* Starts sink->step, passing over those that this batch does not need. */
static void next_step(struct tg_sink *sink)
{
	const struct tg_batch *batch = sink->batch;
	bool rows = batch && batch->rows_count > 0;

	switch (sink->step) {
	case MONTH:
		if (send_month(sink))
			return;
		sink->step = OPEN;
		/* fallthrough */
	case OPEN:
		if (open_with_copy(sink, rows))
			return;
		sink->open.data[sink->open_len] = '\0';
		send_exec(sink, sink->open.data, on_step);
		return;
	case DEAD:
		if (batch && batch->deads_count) {
			send_query(sink, TG_DEAD_SQL, sink->dead_params, TG_DEAD_PARAMS, on_step);
			return;
		}
		sink->step = STAGE;
		/* fallthrough */
	case STAGE:
		if (rows && sink->staged) {
			tg_metric_add(&tg_ingest_metrics[TG_M_STAGED], 1);
			send_exec(sink, stage_sql, on_step);
			return;
		}
		sink->step = COPY;
		/* fallthrough */
	case COPY:
		if (rows) {
			send_copy(sink, sink->staged ? stage_copy_sql : copy_sql);
			return;
		}
		sink->step = MERGE;
		/* fallthrough */
	case MERGE:
		if (rows && sink->staged) {
			send_exec(sink, merge_sql, on_step);
			return;
		}
		sink->step = COMMIT;
		/* fallthrough */
	case COMMIT: send_exec(sink, COMMIT_SQL, on_commit); return;
	default: assert(!"a step that is not started from here");
	}
}

static int add_column(struct tg_buf *out, const struct tg_move *moves, size_t n, int column)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		const struct tg_move *m = &moves[i];
		const int64_t values[MOVE_COLUMNS] = {
			m->id, m->epoch, m->old_next, m->old_forwarded, m->next, m->forwarded};

		rc = tg_buf_addf(out, "%s%lld",
			i        ? ","
			: column ? ",'{"
				 : "'{",
			(long long)values[column]);
	}
	return rc ? rc : tg_buf_add_cstr(out, "}'");
}

static int write_open(struct tg_sink *sink, const struct tg_move *moves, size_t n)
{
	struct tg_buf *out = &sink->open;
	int rc;

	tg_buf_reset(out);
	rc = tg_buf_add_cstr(out, OPEN_SQL);
	for (int column = 0; !rc && column < MOVE_COLUMNS; column++)
		rc = add_column(out, moves, n, column);
	if (!rc)
		rc = tg_buf_add_cstr(out, OPEN_END_SQL);
#ifdef TG_BREAK_OFFSET_FIRST /* broken on purpose: offsets committed before the rows they stand \
				for */
	if (!rc)
		rc = tg_buf_add_cstr(out, "COMMIT; BEGIN; ");
#endif
	sink->open_len = out->len;
	return rc ? rc : tg_buf_reserve(out, sizeof(copy_sql));
}

void tg_sink_store(struct tg_sink *sink, const struct tg_batch *batch, const struct tg_move *moves,
	size_t n, tg_sink_cb cb, void *ctx)
{
	int rc = write_open(sink, moves, n);

	assert(sink->step == IDLE);
	assert(n > 0);
	sink->batch = batch;
	sink->cb = cb;
	sink->cb_ctx = ctx;
	sink->abort = false;
	sink->staged = sink->staged_left > 0;
	sink->month_at = 0;
	sink->step_mono_us = sink->began_mono_us = tg_mono_us();
	sink->rows_new = batch ? batch->rows_count : 0;
	if (!rc && batch && batch->deads_count)
		rc = tg_dead_params(batch, sink->ops.part_name, sink->ctx, sink->dead_params);
	if (rc) {
		/* The way out of a lost connection is the way out of this too. */
		tg_log(TG_ERROR, "batch not sent", TG_F("why", TG_S(tg_err_text(rc))));
		finish(sink, -TG_ECLOSED);
		return;
	}
	sink->step = MONTH;
	next_step(sink);
}

void tg_sink_abort(struct tg_sink *sink)
{
	if (sink->step == IDLE)
		return;
	sink->abort = true;
	if (sink->step == RESTING)
		uv_timer_start(&sink->retry, on_retry, 0, 0);
}

void tg_sink_watch(struct tg_sink *sink)
{
	if (sink->step == IDLE || sink->step == RESTING ||
		tg_mono_us() - sink->began_mono_us < STALL_US)
		return;
	tg_log(TG_ERROR, "transaction stalled: dropping the connection");
	sink->began_mono_us = tg_mono_us();
	tg_pg_reset(sink->pg);
}

void tg_sink_take(struct tg_sink *sink, const char *topics, const char *partitions,
	const char *starts, tg_pg_cb cb, void *ctx)
{
	static const char take_sql[] = "SELECT topic, partition, id, next, forwarded, epoch, dead "
				       "FROM tongguan.offsets_take_over($1, $2, $3)";
	const char *params[] = {topics, partitions, starts};

	assert(sink->step == IDLE);
	if (tg_pg_query(sink->pg, take_sql, params, 3, cb, ctx))
		cb(ctx, -TG_ECLOSED, NULL);
}

static void on_limits(void *ctx, int rc, const PGresult *res)
{
	(void)ctx;
	(void)rc; /* a lost connection is said elsewhere */
	(void)res;
}

static void on_up(void *ctx, struct tg_pg *pg)
{
	struct tg_sink *sink = ctx;

	if (tg_pg_exec(pg, limits_sql, on_limits, NULL))
		tg_log(TG_WARN, "no statement limit in this session");
	sink->ops.on_up(sink->ctx);
}

static void on_down(void *ctx, struct tg_pg *pg)
{
	struct tg_sink *sink = ctx;

	(void)pg;
	if (sink->step == RESTING) {
		uv_timer_stop(&sink->retry);
		finish(sink, -TG_ECLOSED);
	}
	sink->ops.on_down(sink->ctx);
}

int tg_sink_open(uv_loop_t *loop, const char *url, const struct tg_sink_ops *ops, void *ctx,
	struct tg_sink **ret)
{
	static const struct tg_pg_ops pg_ops = {on_up, on_down};
	struct tg_sink *sink = calloc(1, sizeof(*sink));
	int rc;

	if (!sink)
		return -TG_ENOMEM;
	sink->loop = loop;
	sink->ops = *ops;
	sink->ctx = ctx;
	sink->retry_ms = RETRY_MIN_MS;
	rc = tg_pg_open(loop, url, "tongguan ingest", &pg_ops, sink, &sink->pg);
	if (rc) {
		free(sink);
		return rc;
	}
	uv_timer_init(loop, &sink->retry);
	*ret = sink;
	return 0;
}

void tg_sink_ask(struct tg_sink *sink, const char *sql, const char *const *params, int n,
	tg_pg_cb cb, void *ctx)
{
	assert(sink->step == IDLE);
	if (tg_pg_query(sink->pg, sql, params, n, cb, ctx))
		cb(ctx, -TG_ECLOSED, NULL);
}

bool tg_sink_up(const struct tg_sink *sink)
{
	return tg_pg_up(sink->pg);
}

bool tg_sink_idle(const struct tg_sink *sink)
{
	return sink->step == IDLE;
}

const char *tg_sink_trouble(const struct tg_sink *sink)
{
	return sink->trouble[0] ? sink->trouble : NULL;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_sink *sink = tg_container_of((uv_timer_t *)handle, struct tg_sink, retry);

	tg_buf_release(&sink->open);
	for (int i = 0; i < TG_DEAD_PARAMS; i++)
		tg_buf_release(&sink->dead_params[i]);
	sink->closed(sink->closed_ctx);
	free(sink);
}

static void on_pg_closed(void *ctx)
{
	struct tg_sink *sink = ctx;

	uv_close((uv_handle_t *)&sink->retry, on_timer_closed);
}

void tg_sink_close(struct tg_sink *sink, void (*closed)(void *ctx), void *ctx)
{
	sink->closed = closed;
	sink->closed_ctx = ctx;
	if (sink->step == RESTING) {
		uv_timer_stop(&sink->retry);
		finish(sink, -TG_ECLOSED);
	}
	tg_pg_close(sink->pg, on_pg_closed, sink);
}
