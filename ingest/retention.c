#include "ingest/retention.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/io/pg.h"
#include "base/list.h"
#include "base/log.h"
#include "ingest/metrics.h"

#define BUSY_MIN_MS    100 /* writers that waited behind us get so long to themselves … */
#define BUSY_SPREAD_MS 200 /* … and a little more, so that we do not meet the same batch again */
#define BUSY_TRIES_MAX 300 /* then a long report holds the table: at the next look */
#define REFUSED_MS     5000
#define SWEEP_ROWS     1000
#define SWEEP_SQL_ROWS "1000"

_Static_assert(SWEEP_ROWS == 1000, "the text says the same");

/* In this order; a turn ends after the last. Between two turns the last step alone is taken now and
 * then. */
enum step { FLOOR, AHEAD, DROP, SWEEP, SUMMARIZE, STEPS };

struct tg_retention {
	struct tg_pg *pg;
	struct tg_retention_ops ops;
	void *ctx;
	enum step step;
	bool asking, closing, dropped;
	int busy_tries;
	uint64_t every_ms, summarize_ms;
	uint64_t turn_at_ms; /* loop time */
	char ahead[24], span_days[24], keep_days[24], wait_ms[24];
	uv_timer_t timer;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static const char *const sql[STEPS] = {
	[FLOOR] = "SELECT CASE WHEN isfinite(floor_at) THEN (extract(epoch FROM floor_at) * "
		  "1000000)::bigint END FROM tongguan.retention",
	[AHEAD] = "SELECT tongguan.retention_ahead($1::integer, $2::integer)",
	[DROP] = "SELECT outcome, oldest, copied, needed FROM "
		 "tongguan.retention_drop($1::integer, $2::integer)",
	[SWEEP] = "SELECT tongguan.retention_sweep(" SWEEP_SQL_ROWS ")",
	[SUMMARIZE] = "SELECT tongguan.event_summarize()",
};

static void ask(struct tg_retention *r);

static void on_timer(uv_timer_t *timer)
{
	ask(tg_container_of(timer, struct tg_retention, timer));
}

static void sleep_then(struct tg_retention *r, enum step step, uint64_t ms)
{
	r->step = step;
	uv_timer_start(&r->timer, on_timer, ms, 0);
}

static void rest(struct tg_retention *r)
{
	uint64_t now = uv_now(r->timer.loop);

	if (now + r->summarize_ms < r->turn_at_ms)
		sleep_then(r, SUMMARIZE, r->summarize_ms);
	else
		sleep_then(r, FLOOR, r->turn_at_ms > now ? r->turn_at_ms - now : 0);
}

static enum step after_floor(struct tg_retention *r, const PGresult *res)
{
	bool never = tg_pg_null(res, 0, 0);
	int64_t floor_us = never ? INT64_MIN : tg_pg_i64(res, 0, 0);
	bool dropped = r->dropped;

	tg_metric_set(&tg_ingest_metrics[TG_M_FLOOR], never ? 0 : (double)floor_us / 1e6);
	r->ops.on_floor(r->ctx, floor_us);
	r->dropped = false;
	return dropped ? DROP : AHEAD;
}

static void say_dropped(const PGresult *res)
{
	tg_metric_add(&tg_ingest_metrics[TG_M_DROPPED], 1);
	tg_log(TG_INFO, "partition dropped", TG_F("table", TG_SL(tg_pg_text(res, 0, 1))));
}

/* True when the turn goes on at once. */
static bool after_drop(struct tg_retention *r, const PGresult *res, enum step *ret_next)
{
	struct tg_slice outcome = tg_pg_text(res, 0, 0);

	tg_metric_add(&tg_ingest_metrics[TG_M_EVIDENCE], tg_pg_f64(res, 0, 2));
	tg_metric_set(&tg_ingest_metrics[TG_M_NEEDED], tg_pg_f64(res, 0, 3));
	*ret_next = SWEEP;
	if (tg_slice_is(outcome, "dropped")) {
		say_dropped(res);
		r->dropped = true;
		r->busy_tries = 0;
		*ret_next = FLOOR;
	} else if (tg_slice_is(outcome, "busy")) {
		tg_metric_add(&tg_ingest_metrics[TG_M_DROP_BUSY], 1);
		if (++r->busy_tries < BUSY_TRIES_MAX) {
			sleep_then(r, DROP, BUSY_MIN_MS + randombytes_uniform(BUSY_SPREAD_MS));
			return false;
		}
		tg_log(TG_WARN, "partition not dropped: its table is always in use",
			TG_F("table", TG_SL(tg_pg_text(res, 0, 1))));
	} else if (tg_slice_is(outcome, "needed")) {
		tg_log(TG_WARN, "partition kept: incidents or cases still need its events",
			TG_F("table", TG_SL(tg_pg_text(res, 0, 1))),
			TG_F("events", TG_I(tg_pg_i64(res, 0, 3))));
	}
	r->busy_tries = 0;
	return true;
}

static void on_answer(void *ctx, int rc, const PGresult *res)
{
	struct tg_retention *r = ctx;
	enum step next = r->step + 1;

	r->asking = false;
	if (r->closing || rc == -TG_ECLOSED)
		return; /* on_up begins anew */
	if (rc) {
		tg_log(TG_WARN, "retention refused by the database",
			TG_F("why", TG_S(tg_pg_message(res))));
		sleep_then(r, FLOOR, r->every_ms < REFUSED_MS ? r->every_ms : REFUSED_MS);
		return;
	}
	if (r->step == FLOOR)
		next = after_floor(r, res);
	else if (r->step == AHEAD)
		tg_metric_set(&tg_ingest_metrics[TG_M_AHEAD], tg_pg_f64(res, 0, 0));
	else if (r->step == DROP && !after_drop(r, res, &next))
		return;
	if (r->step == SWEEP) {
		tg_metric_add(&tg_ingest_metrics[TG_M_SWEPT], tg_pg_f64(res, 0, 0));
		next = tg_pg_i64(res, 0, 0) == SWEEP_ROWS ? SWEEP : SUMMARIZE;
	} else if (r->step == SUMMARIZE) {
		tg_metric_add(&tg_ingest_metrics[TG_M_SUMMARIZED], tg_pg_f64(res, 0, 0));
	}
	r->step = next;
	if (next == STEPS)
		rest(r);
	else
		ask(r);
}

static void ask(struct tg_retention *r)
{
	const char *ahead[] = {r->ahead, r->span_days}, *drop[] = {r->keep_days, r->wait_ms};
	int n = r->step == AHEAD || r->step == DROP ? 2 : 0;

	if (r->asking || r->closing || !tg_pg_up(r->pg))
		return;
	r->asking = true;
	if (r->step == FLOOR)
		r->turn_at_ms = uv_now(r->timer.loop) + r->every_ms;
	if (tg_pg_query(r->pg, sql[r->step], r->step == AHEAD ? ahead : drop, n, on_answer, r))
		on_answer(r, -TG_ECLOSED, NULL);
}

static void on_up(void *ctx, struct tg_pg *pg)
{
	struct tg_retention *r = ctx;

	(void)pg;
	r->step = FLOOR;
	ask(r);
}

int tg_retention_open(uv_loop_t *loop, const struct tg_conf *conf,
	const struct tg_retention_ops *ops, void *ctx, struct tg_retention **ret)
{
	static const struct tg_pg_ops pg_ops = {on_up, NULL};
	struct tg_retention *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -TG_ENOMEM;
	r->ops = *ops;
	r->ctx = ctx;
	r->every_ms = (uint64_t)conf->ingest_retention_every_s * 1000;
	r->summarize_ms = (uint64_t)conf->ingest_summarize_every_s * 1000;
	snprintf(r->ahead, sizeof(r->ahead), "%lld", (long long)conf->ingest_partitions_ahead);
	snprintf(
		r->span_days, sizeof(r->span_days), "%lld", (long long)conf->ingest_partition_days);
	snprintf(
		r->keep_days, sizeof(r->keep_days), "%lld", (long long)conf->ingest_retention_days);
	snprintf(r->wait_ms, sizeof(r->wait_ms), "%lld", (long long)conf->ingest_retention_wait_ms);
	uv_timer_init(loop, &r->timer);
	rc = tg_pg_open(loop, conf->postgres_url, "tongguan ingest retention", &pg_ops, r, &r->pg);
	if (rc)
		return rc; /* the process ends */
	*ret = r;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_retention *r = tg_container_of((uv_timer_t *)handle, struct tg_retention, timer);

	r->closed(r->closed_ctx);
	free(r);
}

static void on_pg_closed(void *ctx)
{
	struct tg_retention *r = ctx;

	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

void tg_retention_close(struct tg_retention *r, void (*closed)(void *ctx), void *ctx)
{
	r->closing = true;
	r->closed = closed;
	r->closed_ctx = ctx;
	uv_timer_stop(&r->timer);
	tg_pg_close(r->pg, on_pg_closed, r);
}
