#include "dispatch/anchor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "dispatch/dispatch.h"
#include "dispatch/metrics.h"

#define ANCHOR_TOPIC   "tongguan.audit.anchors"
#define ANCHOR_WAIT_MS 5000 /* for a connection; else the next turn takes it along */

static const char sql_turn[] =
	"SELECT number, doc FROM tongguan.audit_anchor_turn($1, $2::bigint, $3::bigint)";

struct tg_anchor {
	struct tg_dispatch *d;
	const char *me;
	struct tg_producer *producer;
	uv_timer_t timer;
	struct tg_pg *pg; /* taken from the pool for one turn */
	int64_t epoch;
	int64_t sent, acknowledged; /* numbers, under this lease */
	bool busy;                  /* a connection or an answer is awaited */
	bool timer_closed;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void maybe_closed(struct tg_anchor *a)
{
	if (a->closed && !a->busy && a->timer_closed)
		a->closed(a->closed_ctx);
}

/* False: not now; it comes again with the next turn. */
static bool send_anchor(struct tg_anchor *a, const PGresult *res, int row)
{
	static const struct tg_header headers[] = {{"content-type", {"application/json", 16}}};
	int64_t number = tg_pg_i64(res, row, 0);

	if (number <= a->sent)
		return true;
	if (tg_producer_send(a->producer, ANCHOR_TOPIC, 0, TG_SLICE("anchor"),
		    tg_pg_text(res, row, 1), headers, 1,
		    (void *)(uintptr_t)(TG_ANCHOR_TAG | (uint64_t)number)))
		return false;
	a->sent = number;
	tg_metric_set(&tg_dispatch_metrics[TG_M_ANCHOR], (double)number);
	return true;
}

static void on_turn(void *ctx, int rc, const PGresult *res)
{
	struct tg_anchor *a = ctx;
	int n = rc || !a->epoch || a->closed ? 0 : PQntuples(res), row = 0;

	while (row < n && send_anchor(a, res, row))
		row++;
	if (rc && rc != -TG_EUNIQUE && res)
		tg_log(TG_ERROR, "no anchor was written", TG_F("why", TG_S(tg_pg_message(res))));
	tg_pg_pool_give(a->d->write, a->pg);
	a->busy = false;
	maybe_closed(a);
}

static void on_taken(void *ctx, int rc, struct tg_pg *pg)
{
	struct tg_anchor *a = ctx;
	char epoch[24], acknowledged[24];
	const char *params[] = {a->me, epoch, acknowledged};

	a->pg = pg;
	snprintf(epoch, sizeof(epoch), "%" PRId64, a->epoch);
	snprintf(acknowledged, sizeof(acknowledged), "%" PRId64, a->acknowledged);
	if (!rc && !a->closed && !tg_pg_query(pg, sql_turn, params, 3, on_turn, a))
		return;
	if (!rc)
		tg_pg_pool_give(a->d->write, pg);
	a->busy = false;
	maybe_closed(a);
}

static void turn(struct tg_anchor *a)
{
	if (a->busy || a->closed || !a->epoch)
		return;
	a->busy = tg_pg_pool_take(a->d->write, ANCHOR_WAIT_MS, on_taken, a) == 0;
}

static void on_timer(uv_timer_t *timer)
{
	turn(timer->data);
}

void tg_anchor_lead(struct tg_anchor *a, int64_t epoch)
{
	if (epoch == a->epoch)
		return;
	a->epoch = epoch;
	a->sent = a->acknowledged = 0; /* what the one before us did not finish is sent again */
	turn(a);
}

void tg_anchor_delivered(struct tg_anchor *a, uint64_t tag, int rc)
{
	int64_t number = (int64_t)(tag & ~TG_ANCHOR_TAG);

	if (rc) { /* given up, with all that follow: they are sent again */
		tg_log(TG_ERROR, "Kafka refused an anchor", TG_F("number", TG_I(number)),
			TG_F("why", TG_S(tg_err_text(rc))));
		a->sent = a->acknowledged;
		return;
	}
	if (number <= a->sent && number > a->acknowledged) {
		a->acknowledged = number;
		tg_metric_add(&tg_dispatch_metrics[TG_M_ANCHORS], 1);
	}
}

int tg_anchor_open(
	struct tg_dispatch *d, const char *me, struct tg_producer *producer, struct tg_anchor **ret)
{
	struct tg_anchor *a = calloc(1, sizeof(*a));
	uint64_t every_ms = (uint64_t)d->conf->dispatch_anchor_s * 1000;

	if (!a)
		return -TG_ENOMEM;
	a->d = d;
	a->me = me;
	a->producer = producer;
	uv_timer_init(d->loop, &a->timer);
	a->timer.data = a;
	uv_timer_start(&a->timer, on_timer, every_ms, every_ms);
	*ret = a;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_anchor *a = handle->data;

	a->timer_closed = true;
	maybe_closed(a);
}

void tg_anchor_close(struct tg_anchor *a, void (*closed)(void *ctx), void *ctx)
{
	a->closed = closed;
	a->closed_ctx = ctx;
	uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

void tg_anchor_free(struct tg_anchor *a)
{
	free(a);
}
