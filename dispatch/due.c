#include "dispatch/due.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "dispatch/act.h"
#include "dispatch/dispatch.h"
#include "dispatch/metrics.h"
#include "dispatch/outbox.h"
#include "queries.h"

#define DUE_POLL_MS      1000 /* at least this often: others write clocks too */
#define DUE_AFTER_ACT_MS 200  /* many transitions, one look */
#define DUE_RETRY_MS     500
#define DUE_ROWS_MAX     200
#define DUE_ACTS_MAX     20 /* of either kind a turn */
#define TG_STRING(x)     TG_STRING_(x)
#define TG_STRING_(x)    #x

struct tg_due {
	struct tg_dispatch *d;
	uv_timer_t timer;
	struct tg_pg *pg; /* its own: levels fire on time while requests wait for a connection */
	bool busy;
	size_t acting;         /* acts under way; turns go on meanwhile */
	bool more;             /* there were as many as a turn takes */
	uint64_t act_after_ms; /* loop time: not before, since one was not possible */
	uint64_t at_ms;        /* loop time the timer is set for */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void on_timer(uv_timer_t *timer);

static void set_timer(struct tg_due *due, uint64_t in_ms)
{
	if (due->closed)
		return;
	due->at_ms = uv_now(due->d->loop) + in_ms;
	uv_timer_start(&due->timer, on_timer, in_ms, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_due *due = handle->data;
	void (*closed)(void *ctx) = due->closed;
	void *ctx = due->closed_ctx;

	free(due);
	closed(ctx);
}

static void on_pg_closed(void *ctx)
{
	struct tg_due *due = ctx;

	uv_close((uv_handle_t *)&due->timer, on_timer_closed);
}

static void shut(struct tg_due *due)
{
	tg_pg_close(due->pg, on_pg_closed, due);
}

static void shut_when_idle(struct tg_due *due)
{
	if (due->closed && !due->busy && !due->acting)
		shut(due);
}

static void turn_over(struct tg_due *due, uint64_t next_ms)
{
	due->busy = false;
	set_timer(due, next_ms);
	shut_when_idle(due);
}

static uint64_t until_next(const PGresult *res)
{
	int64_t us = tg_pg_null(res, 0, 2) ? INT64_MAX : tg_pg_i64(res, 0, 2);

	/* Rounded up, so that it is due by the database's clock when we come. */
	return us >= DUE_POLL_MS * INT64_C(1000) ? DUE_POLL_MS : (uint64_t)us / 1000 + 1;
}

static void on_acted(void *ctx, const struct tg_act_result *res)
{
	struct tg_due *due = ctx;

	/* Not allowed, not found: somebody was faster. */
	if (res->status == TG_ACT_UNAVAILABLE || res->status == TG_ACT_INVALID) {
		tg_log(TG_WARN, "what the system does by itself was not possible",
			TG_F("why", TG_S(res->detail ? res->detail : "")));
		due->act_after_ms = uv_now(due->d->loop) + DUE_RETRY_MS;
	}
	if (--due->acting > 0)
		return;
	if (due->more && !due->busy)
		set_timer(due, 0);
	shut_when_idle(due);
}

static void act_on_each(struct tg_due *due, const json_t *ids, const char *action, bool on_task)
{
	const json_t *id;
	size_t i;

	json_array_foreach (ids, i, id)
		tg_act_by_system(due->d, action, on_task, json_string_value(id), on_acted, due);
}

/* What is suspended until now goes on, who owes an answer is reminded, one transition each. They
 * wait for a connection like requests do, and no level waits for them. */
static void act(struct tg_due *due, const PGresult *res)
{
	json_t *tasks = NULL, *cases = NULL;

	if (due->acting || due->closed || uv_now(due->d->loop) < due->act_after_ms)
		return;
	if (!tg_json_parse(tg_pg_text(res, 0, 3), &tasks, NULL) &&
		!tg_json_parse(tg_pg_text(res, 0, 4), &cases, NULL)) {
		due->acting = json_array_size(tasks) + json_array_size(cases);
		due->more = json_array_size(tasks) + json_array_size(cases) >= DUE_ACTS_MAX;
		act_on_each(due, tasks, "resume", true);
		act_on_each(due, cases, "remind", false);
	}
	json_decref(tasks);
	json_decref(cases);
}

static void on_escalated(void *ctx, int rc, const PGresult *res)
{
	struct tg_due *due = ctx;
	int64_t fired;
	uint64_t next_ms;

	if (rc) {
		if (res)
			tg_log(TG_ERROR, "escalation failed",
				TG_F("error", TG_S(tg_pg_message(res))));
		turn_over(due, DUE_RETRY_MS);
		return;
	}
	fired = tg_pg_i64(res, 0, 0);
	if (fired) {
		tg_metric_add(&tg_dispatch_metrics[TG_M_ESCALATIONS], (double)fired);
		tg_metric_observe(&tg_dispatch_metrics[TG_M_ESCALATION_LATE_S],
			(double)tg_pg_i64(res, 0, 1) / 1e6);
		tg_outbox_wake(due->d->outbox);
	}
	/* Something due that was not fired belongs to a case in work: soon again, but not at once.
	 */
	next_ms = fired == DUE_ROWS_MAX  ? 0
		  : fired                ? until_next(res)
		  : until_next(res) < 20 ? 20
					 : until_next(res);
	act(due, res);
	turn_over(due, next_ms);
}

static void on_timer(uv_timer_t *timer)
{
	struct tg_due *due = timer->data;
	const char *params[] = {TG_STRING(DUE_ROWS_MAX), TG_STRING(DUE_ACTS_MAX),
		due->acting ? "0" : TG_STRING(DUE_ACTS_MAX)};

	due->busy = true;
	if (tg_pg_query(due->pg, tg_sql_due_turn, params, 3, on_escalated, due))
		turn_over(due, DUE_RETRY_MS);
}

int tg_due_open(struct tg_dispatch *d, struct tg_due **ret)
{
	struct tg_due *due = calloc(1, sizeof(*due));
	int rc;

	if (!due)
		return -TG_ENOMEM;
	due->d = d;
	rc = tg_pg_open(
		d->loop, d->conf->postgres_url, "tongguan dispatch clocks", NULL, NULL, &due->pg);
	if (rc) {
		free(due);
		return rc;
	}
	uv_timer_init(d->loop, &due->timer);
	due->timer.data = due;
	set_timer(due, 0);
	*ret = due;
	return 0;
}

void tg_due_wake(struct tg_due *due)
{
	if (due && !due->busy && !due->closed &&
		due->at_ms > uv_now(due->d->loop) + DUE_AFTER_ACT_MS)
		set_timer(due, DUE_AFTER_ACT_MS);
}

void tg_due_close(struct tg_due *due, void (*closed)(void *ctx), void *ctx)
{
	due->closed = closed;
	due->closed_ctx = ctx;
	uv_timer_stop(&due->timer);
	shut_when_idle(due);
}
