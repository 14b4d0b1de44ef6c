/* Two cursors over the committed order: `last`, up to which this process has told its subscribers,
 * and, while it holds the lease, `sent`, up to which Kafka has been given the messages. A new
 * leader begins where the old one's acknowledgements ended, so a message may come twice, never not
 * at all. */
#include "dispatch/outbox.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "dispatch/anchor.h"
#include "dispatch/dispatch.h"
#include "dispatch/metrics.h"

#define OUTBOX_TICK_MS     20 /* between the beginnings of two turns: many transitions, one turn */
#define OUTBOX_LINGER_MS   5  /* the messages of a turn go in one request */
#define OUTBOX_RETRY_MS    500
#define OUTBOX_SAVE_MS     1000
#define OUTBOX_ROWS_MAX    500
#define OUTBOX_FLIGHT_MAX  4096
#define OUTBOX_SUBSCRIBERS 8
#define OUTBOX_KEEP        "72 hours"
#define OUTBOX_TOPIC       "tongguan.case.events"

static const char sql_begin_at[] = "SELECT last_pos FROM tongguan.outbox_lease";
static const char sql_turn[] = "SELECT epoch, published, pos, kind, case_id, doc FROM "
			       "tongguan.outbox_turn($1, $2::bigint, 500)";
static const char sql_again[] =
	"SELECT 0, 0, o.pos, o.kind, coalesce(o.case_id::text, o.doc ->> 'incident_id'),"
	" (o.doc || jsonb_build_object('pos', o.pos))::text FROM tongguan.outbox o"
	" WHERE o.pos > $1::bigint AND o.pos <= $2::bigint ORDER BY o.pos LIMIT 500";
static const char sql_published[] =
	"SELECT tongguan.outbox_published($1, $2::bigint, $3::bigint, $4::interval)";
static const char sql_let_go[] =
	"UPDATE tongguan.outbox_lease SET expires_at = '-infinity' WHERE holder = $1";

enum { ROW_EPOCH, ROW_PUBLISHED, ROW_POS, ROW_KIND, ROW_KEY, ROW_DOC };

struct subscriber {
	tg_outbox_on_row on_row;
	void *ctx;
};

/* A message that Kafka has and has not acknowledged; a ring by number. */
struct flight {
	int64_t pos;
	bool done;
};

struct tg_outbox {
	struct tg_dispatch *d;
	struct tg_pg *pg;
	struct tg_producer *producer;
	struct tg_anchor *anchor;
	uv_timer_t timer;
	char me[128];
	struct subscriber subscribers[OUTBOX_SUBSCRIBERS];
	size_t subscribers_count;
	bool started; /* last is known */
	bool busy;
	bool again;        /* somebody has woken us meanwhile */
	bool full;         /* there were as many as a turn takes */
	uint64_t began_ms; /* the turn under way, or the last if it found rows */
	int64_t last;
	int64_t epoch; /* 0: somebody else leads */
	int64_t sent, published, saved;
	uint64_t saved_at_ms;
	struct flight flights[OUTBOX_FLIGHT_MAX];
	uint64_t first, next; /* numbers of the oldest and of the next message */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void turn(struct tg_outbox *ob);

static void on_timer(uv_timer_t *timer)
{
	turn(timer->data);
}

static void set_timer(struct tg_outbox *ob, uint64_t in_ms)
{
	if (!ob->closed)
		uv_timer_start(&ob->timer, on_timer, in_ms, 0);
}

/* After a rest at once, else a tick after the last one began. */
static void turn_soon(struct tg_outbox *ob)
{
	uint64_t since_ms = uv_now(ob->d->loop) - ob->began_ms;

	set_timer(ob, since_ms < OUTBOX_TICK_MS ? OUTBOX_TICK_MS - since_ms : 0);
}

/* --- Kafka --- */

static void on_delivery(void *ctx, void *tag, int rc)
{
	struct tg_outbox *ob = ctx;
	uint64_t number = (uint64_t)(uintptr_t)tag;

	if (number & TG_ANCHOR_TAG) {
		tg_anchor_delivered(ob->anchor, number, rc);
		return;
	}
	if (number < ob->first)
		return; /* sent under a lease that is gone */
	if (rc)
		tg_log(TG_ERROR, "Kafka refused a case event for good",
			TG_F("why", TG_S(tg_err_text(rc))),
			TG_F("pos", TG_I(ob->flights[number % OUTBOX_FLIGHT_MAX].pos)));
	ob->flights[number % OUTBOX_FLIGHT_MAX].done = true;
	while (ob->first < ob->next && ob->flights[ob->first % OUTBOX_FLIGHT_MAX].done) {
		ob->published = ob->flights[ob->first % OUTBOX_FLIGHT_MAX].pos;
		ob->first++;
	}
	tg_metric_add(&tg_dispatch_metrics[TG_M_PUBLISHED], 1);
}

/* False: not now; the row is read again. */
static bool send_row(struct tg_outbox *ob, const PGresult *res, int row)
{
	static const struct tg_header headers[] = {{"content-type", {"application/json", 16}}};
	int64_t pos = tg_pg_i64(res, row, ROW_POS);

	if (ob->next - ob->first == OUTBOX_FLIGHT_MAX)
		return false;
	ob->flights[ob->next % OUTBOX_FLIGHT_MAX] = (struct flight){pos, false};
	if (tg_producer_send(ob->producer, OUTBOX_TOPIC, -1, tg_pg_text(res, row, ROW_KEY),
		    tg_pg_text(res, row, ROW_DOC), headers, 1, (void *)(uintptr_t)ob->next))
		return false;
	ob->next++;
	ob->sent = pos;
	return true;
}

static void on_saved(void *ctx, int rc, const PGresult *res)
{
	(void)ctx, (void)rc, (void)res; /* it is said again in a second */
}

static void save_published(struct tg_outbox *ob)
{
	char epoch[24], pos[24];
	const char *params[] = {ob->me, epoch, pos, OUTBOX_KEEP};
	uint64_t now_ms = uv_now(ob->d->loop);

	if (!ob->epoch || ob->published == ob->saved || now_ms < ob->saved_at_ms + OUTBOX_SAVE_MS)
		return;
	snprintf(epoch, sizeof(epoch), "%lld", (long long)ob->epoch);
	snprintf(pos, sizeof(pos), "%lld", (long long)ob->published);
	if (tg_pg_query(ob->pg, sql_published, params, 4, on_saved, ob))
		return;
	ob->saved = ob->published;
	ob->saved_at_ms = now_ms;
}

/* --- reading --- */

static void take_epoch(struct tg_outbox *ob, int64_t epoch, int64_t published)
{
	if (epoch == ob->epoch)
		return;
	ob->epoch = epoch;
	tg_metric_set(&tg_dispatch_metrics[TG_M_LEADER], epoch > 0);
	tg_anchor_lead(ob->anchor, epoch);
	if (!epoch) {
		tg_log(TG_INFO, "another dispatcher publishes");
		return;
	}
	tg_log(TG_INFO, "publishing case events", TG_F("epoch", TG_I(epoch)),
		TG_F("from_pos", TG_I(published)));
	ob->sent = ob->published = ob->saved = published;
	ob->first = ob->next; /* what is still in flight counts for nobody */
}

static void tell(struct tg_outbox *ob, const PGresult *res, int row)
{
	const struct tg_outbox_row r = {tg_pg_i64(res, row, ROW_POS),
		tg_pg_text(res, row, ROW_KIND), tg_pg_text(res, row, ROW_DOC)};

	for (size_t i = 0; i < ob->subscribers_count; i++)
		ob->subscribers[i].on_row(ob->subscribers[i].ctx, &r);
	ob->last = r.pos;
}

static void shut(struct tg_outbox *ob);

static void turn_over(struct tg_outbox *ob, uint64_t next_ms)
{
	ob->busy = false;
	if (ob->closed) {
		shut(ob);
		return;
	}
	if (ob->full)
		set_timer(ob, 0);
	else if (ob->again)
		turn_soon(ob);
	else
		set_timer(ob, next_ms);
	ob->again = ob->full = false;
}

/* Rows between `sent` and `last`: after a takeover, or when the producer was full. */
static void on_again(void *ctx, int rc, const PGresult *res)
{
	struct tg_outbox *ob = ctx;
	int n = rc ? 0 : PQntuples(res), row = 0;

	while (row < n && send_row(ob, res, row))
		row++;
	/* Forgotten rows leave a gap at the front: nothing there is nothing to send. */
	if (!rc && row == n && n < OUTBOX_ROWS_MAX)
		ob->sent = ob->sent > ob->last ? ob->sent : ob->last;
	turn_over(ob, rc ? OUTBOX_RETRY_MS : OUTBOX_TICK_MS);
}

static bool send_again(struct tg_outbox *ob)
{
	char from[24], to[24];
	const char *params[] = {from, to};

	if (!ob->epoch || ob->sent >= ob->last)
		return false;
	snprintf(from, sizeof(from), "%lld", (long long)ob->sent);
	snprintf(to, sizeof(to), "%lld", (long long)ob->last);
	return !tg_pg_query(ob->pg, sql_again, params, 2, on_again, ob);
}

static void on_turn(void *ctx, int rc, const PGresult *res)
{
	struct tg_outbox *ob = ctx;
	int n = rc ? 0 : PQntuples(res);
	bool in_step;

	if (rc) {
		if (res)
			tg_log(TG_ERROR, "the outbox cannot be read",
				TG_F("error", TG_S(tg_pg_message(res))));
		turn_over(ob, OUTBOX_RETRY_MS);
		return;
	}
	take_epoch(ob, tg_pg_i64(res, 0, ROW_EPOCH), tg_pg_i64(res, 0, ROW_PUBLISHED));
	in_step = ob->epoch && ob->sent == ob->last;
	if (tg_pg_null(res, 0, ROW_POS)) {
		n = 0;
		ob->began_ms = 0; /* a look that finds nothing is rest */
	}
	for (int row = 0; row < n; row++) {
		tell(ob, res, row);
		in_step = in_step && send_row(ob, res, row);
	}
	tg_metric_set(&tg_dispatch_metrics[TG_M_POS], (double)ob->last);
	save_published(ob);
	ob->full = n == OUTBOX_ROWS_MAX;
	if (!send_again(ob))
		turn_over(ob, OUTBOX_TICK_MS);
}

static void on_begin_at(void *ctx, int rc, const PGresult *res)
{
	struct tg_outbox *ob = ctx;

	if (!rc && PQntuples(res) == 1) {
		ob->last = tg_pg_i64(res, 0, 0);
		ob->started = true;
	}
	turn_over(ob, ob->started ? 0 : OUTBOX_RETRY_MS);
}

static void turn(struct tg_outbox *ob)
{
	char after[24];
	const char *params[] = {ob->me, after};
	int rc;

	ob->busy = true;
	ob->began_ms = uv_now(ob->d->loop);
	snprintf(after, sizeof(after), "%lld", (long long)ob->last);
	rc = ob->started ? tg_pg_query(ob->pg, sql_turn, params, 2, on_turn, ob)
			 : tg_pg_query(ob->pg, sql_begin_at, NULL, 0, on_begin_at, ob);
	if (rc)
		turn_over(ob, OUTBOX_RETRY_MS);
}

/* --- life --- */

int tg_outbox_open(struct tg_dispatch *d, struct tg_outbox **ret)
{
	struct tg_outbox *ob = calloc(1, sizeof(*ob));
	char host[64] = "";
	int rc;

	if (!ob)
		return -TG_ENOMEM;
	ob->d = d;
	gethostname(host, sizeof(host) - 1);
	snprintf(ob->me, sizeof(ob->me), "%s:%d:%08x", host, (int)getpid(), randombytes_random());
	rc = tg_pg_open(
		d->loop, d->conf->postgres_url, "tongguan dispatch outbox", NULL, NULL, &ob->pg);
	if (rc) {
		free(ob);
		return rc;
	}
	rc = tg_producer_open(d->loop, d->conf->kafka_brokers, "tongguan-dispatch-outbox",
		OUTBOX_LINGER_MS, on_delivery, ob, &ob->producer);
	if (!rc)
		rc = tg_anchor_open(d, ob->me, ob->producer, &ob->anchor);
	if (rc) {
		tg_pg_close(ob->pg, free, ob);
		return rc;
	}
	uv_timer_init(d->loop, &ob->timer);
	ob->timer.data = ob;
	set_timer(ob, 0);
	*ret = ob;
	return 0;
}

void tg_outbox_subscribe(struct tg_outbox *ob, tg_outbox_on_row on_row, void *ctx)
{
	if (ob->subscribers_count < OUTBOX_SUBSCRIBERS)
		ob->subscribers[ob->subscribers_count++] = (struct subscriber){on_row, ctx};
}

void tg_outbox_wake(struct tg_outbox *ob)
{
	if (!ob || ob->closed)
		return;
	if (ob->busy)
		ob->again = true;
	else
		turn_soon(ob);
}

int64_t tg_outbox_last(const struct tg_outbox *ob)
{
	return ob->last;
}

static void on_all_closed(struct tg_outbox *ob)
{
	void (*closed)(void *ctx) = ob->closed;
	void *ctx = ob->closed_ctx;

	tg_anchor_free(ob->anchor);
	free(ob);
	closed(ctx);
}

static void on_timer_closed(uv_handle_t *handle)
{
	on_all_closed(handle->data);
}

static void on_pg_closed(void *ctx)
{
	struct tg_outbox *ob = ctx;

	uv_close((uv_handle_t *)&ob->timer, on_timer_closed);
}

static void on_let_go(void *ctx, int rc, const PGresult *res)
{
	struct tg_outbox *ob = ctx;

	(void)rc, (void)res; /* not told, the lease runs out in 3 s */
	tg_pg_close(ob->pg, on_pg_closed, ob);
}

static void on_anchor_closed(void *ctx)
{
	struct tg_outbox *ob = ctx;
	const char *params[] = {ob->me};

	tg_producer_close(ob->producer); /* its last acknowledgements come here */
	ob->saved_at_ms = 0;
	save_published(ob);
	if (!tg_pg_up(ob->pg) || tg_pg_query(ob->pg, sql_let_go, params, 1, on_let_go, ob))
		tg_pg_close(ob->pg, on_pg_closed, ob);
}

static void shut(struct tg_outbox *ob)
{
	uv_timer_stop(&ob->timer);
	tg_anchor_close(ob->anchor, on_anchor_closed, ob);
}

void tg_outbox_close(struct tg_outbox *ob, void (*closed)(void *ctx), void *ctx)
{
	ob->closed = closed;
	ob->closed_ctx = ctx;
	if (!ob->busy)
		shut(ob);
}
