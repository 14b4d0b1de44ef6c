/* GET /stream: every change as it is committed, by Server-Sent Events. A listener that comes back
 * with the last position it has seen gets what it missed from the ring, or from the table if it was
 * away for long; when that no longer helps it gets one `resync` and is to read the lists again. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "dispatch/api.h"
#include "dispatch/api_ring.h"
#include "dispatch/dispatch.h"
#include "dispatch/outbox.h"
#include "queries.h"

#define VITALS_MS     5000
#define RECHECK_TICKS 6 /* every 30 s: does the token still stand for somebody? */
#define FRAME_BYTES   512
#define CATCH_UP_ROWS 500
#define CATCH_UP_TEXT "500"
#define LISTENERS_MAX 10000
#define REST          3

struct tg_live {
	struct tg_api *api;
	struct tg_ring ring;
	struct tg_list listeners;
	size_t count;
	uv_timer_t timer;
	uv_timer_t flush;    /* when the outbox has told all it has */
	struct tg_buf batch; /* the frames of one flush */
	int64_t flush_ended_us, flush_took_us;
	int64_t flushed; /* listeners that wait for nothing have all up to here */
	unsigned ticks;
	unsigned asking; /* queries under way that are not a listener's own */
	bool closing;
	int timers_closed;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

struct listener {
	struct tg_list link;
	struct tg_live *live;
	struct tg_stream *stream; /* NULL: gone */
	char department[32];
	uint8_t hash[TG_TOKEN_HASH_BYTES];
	int64_t sent;         /* everything up to here was sent, or was not for this listener */
	int64_t may_catch_up; /* rows from the table before we give up */
	bool fresh;           /* asked for nothing that was before */
	bool behind;          /* reading the table; live rows wait in the ring */
	unsigned busy;        /* somebody up the stack, or a query, still holds this listener */
};

static void catch_up(struct listener *l);
static void finish_from_ring(struct listener *l);
static void on_flush(uv_timer_t *timer);

static void live_maybe_closed(struct tg_live *live)
{
	if (live->closing && live->timers_closed == 2 && live->asking == 0 && live->count == 0)
		live->closed(live->closed_ctx);
}

static void release(struct listener *l)
{
	struct tg_live *live = l->live;

	if (l->stream || l->busy)
		return;
	tg_list_remove(&l->link);
	live->count--;
	free(l);
	live_maybe_closed(live);
}

static void on_gone(void *ctx, struct tg_stream *stream)
{
	struct listener *l = ctx;

	(void)stream;
	l->stream = NULL;
	release(l);
}

static void send_text(struct listener *l, const char *text)
{
	if (l->stream)
		tg_stream_send(l->stream, tg_slice_cstr(text));
}

static void send_frame(struct listener *l, const struct tg_frame *frame)
{
	if (l->stream && tg_frame_visible(frame, l->department))
		tg_stream_send(l->stream, (struct tg_slice){frame->bytes, frame->len});
	l->sent = frame->pos;
}

/* ---- live rows
 * --------------------------------------------------------------------------------------------------
 */

/* Writing to many takes its time: it rests REST times as long before the next, so that requests get
 * theirs, and what comes meanwhile goes with it. */
static uint64_t rest_ms(const struct tg_live *live)
{
	int64_t since_us = tg_mono_us() - live->flush_ended_us;
	int64_t rest_us = live->flush_took_us * REST - since_us;

	return rest_us > 0 ? (uint64_t)((rest_us + 999) / 1000) : 0;
}

/* What a turn of the outbox brought goes to each listener in one write. */
static void on_row(void *ctx, const struct tg_outbox_row *row)
{
	struct tg_live *live = ctx;
	struct tg_frame frame;
	int rc;

	if (live->closing)
		return;
	rc = tg_frame_make(row->pos, row->kind, row->json, &frame);
	if (rc) {
		tg_log(TG_ERROR, "change not shown", TG_F("pos", TG_I(row->pos)),
			TG_F("error", TG_S(tg_err_name(rc))));
		return;
	}
	tg_ring_push(&live->ring, &frame);
	if (!uv_is_active((uv_handle_t *)&live->flush))
		uv_timer_start(&live->flush, on_flush, rest_ms(live), 0);
}

/* All frames after `flushed`, as who sees everything gets them; *ret_last is the last one's. */
static int gather(struct tg_live *live, int64_t *ret_last)
{
	const struct tg_frame *frame;
	int rc = 0;

	tg_buf_reset(&live->batch);
	*ret_last = live->flushed;
	for (size_t i = 0; !rc && (frame = tg_ring_after(&live->ring, live->flushed, i)); i++) {
		rc = tg_buf_add(&live->batch, frame->bytes, frame->len);
		*ret_last = frame->pos;
	}
	return rc;
}

static void deliver(struct listener *l, int64_t last)
{
	struct tg_live *live = l->live;

	if (l->behind || l->sent >= last)
		return;
	if (l->sent == live->flushed && !l->department[0]) {
		if (l->stream)
			tg_stream_send(
				l->stream, (struct tg_slice){live->batch.data, live->batch.len});
		l->sent = last;
	} else if (tg_ring_covers(&live->ring, l->sent)) {
		finish_from_ring(l);
	} else {
		catch_up(l); /* positions have no gaps: this process began to listen later than it
				thought */
	}
}

static void on_flush(uv_timer_t *timer)
{
	struct tg_live *live = timer->data;
	int64_t last, began_us = tg_mono_us();

	if (gather(live, &last)) {
		tg_log(TG_ERROR, "changes not shown at once", TG_F("last", TG_I(last)));
		live->flushed = -1; /* one by one, from the ring */
	}
	tg_list_foreach_safe (item, next, &live->listeners) {
		struct listener *l = tg_container_of(item, struct listener, link);

		l->busy++;
		deliver(l, last);
		l->busy--;
		release(l);
	}
	live->flushed = last;
	tg_buf_reset(&live->batch);
	live->flush_ended_us = tg_mono_us();
	live->flush_took_us = live->flush_ended_us - began_us;
}

/* ---- catching up
 * ------------------------------------------------------------------------------------------------
 */

/* From the ring, which holds all that is missing. */
static void finish_from_ring(struct listener *l)
{
	const struct tg_frame *frame;
	int64_t from = l->sent;

	l->behind = false;
	for (size_t i = 0; (frame = tg_ring_after(&l->live->ring, from, i)) && l->stream; i++)
		send_frame(l, frame);
}

static void resync(struct listener *l, int64_t pos)
{
	char text[128];

	snprintf(text, sizeof(text), "id: %lld\nevent: resync\ndata: {\"last_pos\":%lld}\n\n",
		(long long)pos, (long long)pos);
	l->sent = pos;
	l->behind = false;
	send_text(l, text);
}

/* Nothing is missing, or the ring has it. While the first position is not known yet nothing is
 * sure: on_row sees a gap. */
static bool ring_is_enough(const struct listener *l)
{
	return l->sent >= tg_outbox_last(l->live->api->d->outbox) ||
	       tg_ring_covers(&l->live->ring, l->sent);
}

/* An id without data: the client knows where it stands, though nothing has happened yet. */
static void begin_now(struct listener *l, int64_t pos)
{
	char text[64];

	snprintf(text, sizeof(text), "id: %lld\n\n", (long long)pos);
	l->sent = pos;
	l->behind = false;
	send_text(l, text);
}

static void on_missed(void *ctx, int rc, const PGresult *res)
{
	struct listener *l = ctx;
	struct tg_frame frame;
	int n = rc ? 0 : PQntuples(res);

	for (int i = 0; i < n && l->stream; i++) {
		l->sent = tg_pg_i64(res, i, 0);
		if (tg_frame_make(l->sent, tg_pg_text(res, i, 1), tg_pg_text(res, i, 2), &frame))
			continue; /* said when it was live */
		send_frame(l, &frame);
		tg_frame_release(&frame);
	}
	l->may_catch_up -= n;
	if (rc && l->stream)
		tg_stream_close(l->stream); /* it comes back with what it has */
	else if (l->stream && l->may_catch_up <= 0)
		resync(l, tg_outbox_last(l->live->api->d->outbox));
	else if (l->stream && !ring_is_enough(l))
		catch_up(l);
	else if (l->stream)
		finish_from_ring(l);
	l->busy--;
	release(l);
}

/* Holds the listener until the answer is there. */
static void catch_up(struct listener *l)
{
	char since[24];
	const char *params[] = {since, CATCH_UP_TEXT};

	l->behind = true;
	snprintf(since, sizeof(since), "%lld", (long long)l->sent);
	l->busy++;
	if (tg_pg_query(l->live->api->d->read, tg_sql_stream_since, params, 2, on_missed, l) == 0)
		return;
	if (l->stream)
		tg_stream_close(l->stream);
	l->busy--;
}

/* Columns: first position kept, last one given out. */
static void on_range(void *ctx, int rc, const PGresult *res)
{
	struct listener *l = ctx;

	if (rc && l->stream) {
		tg_stream_close(l->stream);
	} else if (l->stream) {
		int64_t first = tg_pg_i64(res, 0, 0), last = tg_pg_i64(res, 0, 1);
		bool unknown = l->sent > last || l->sent < 0;
		bool forgotten = l->sent < last && (tg_pg_null(res, 0, 0) || l->sent < first - 1);

		if (l->fresh)
			begin_now(l, last);
		else if (unknown || forgotten || last - l->sent > l->may_catch_up)
			resync(l, last);
		else if (ring_is_enough(l))
			finish_from_ring(l);
		else
			catch_up(l);
	}
	l->busy--;
	release(l);
}

/* ---- a listener comes
 * ------------------------------------------------------------------------------------------- */

/* Where to begin: true with the position asked for, -1 for one that cannot be ours. */
static bool asked_since(const struct tg_rq *rq, int64_t *ret)
{
	struct tg_slice text;

	if (!tg_req_header(rq->req, "last-event-id", &text) &&
		!tg_req_query(rq->req, "since", &text))
		return false;
	if (text.len == 0)
		return false;
	if (tg_number_parse(text, 0, INT64_MAX, ret))
		*ret = -1;
	return true;
}

static void ask_range(struct listener *l)
{
	l->behind = true;
	l->busy++;
	if (tg_pg_query(l->live->api->d->read, tg_sql_stream_range, NULL, 0, on_range, l) == 0)
		return;
	l->busy--;
	if (l->stream)
		tg_stream_close(l->stream);
}

static void begin(struct listener *l)
{
	int64_t last = tg_outbox_last(l->live->api->d->outbox);

	l->busy++;
	send_text(l, "retry: 1000\n\n");
	if (last == 0 || (!l->fresh && (l->sent < 0 || l->sent > last)))
		ask_range(l); /* we have not begun to tail, or another dispatcher is ahead of us */
	else if (l->fresh)
		begin_now(l, last);
	else if (last - l->sent > l->may_catch_up)
		resync(l, last);
	else if (ring_is_enough(l))
		finish_from_ring(l);
	else
		ask_range(l);
	l->busy--;
	release(l);
}

void tg_api_stream(struct tg_rq *rq)
{
	static const char *const known[] = {"since", NULL};
	struct tg_live *live = rq->api->live;
	size_t queue_max = (size_t)rq->d->conf->dispatch_stream_queue_max;
	struct listener *l;

	if (!tg_rq_known_query(rq, known))
		return;
	l = live->closing || live->count >= LISTENERS_MAX ? NULL : calloc(1, sizeof(*l));
	if (!l) {
		tg_rq_retry(rq, 503, 5 * TG_US_PER_S, "too many listen already");
		return;
	}
	l->live = live;
	snprintf(l->department, sizeof(l->department), "%s", tg_rq_department(rq));
	memcpy(l->hash, rq->cred.hash, sizeof(l->hash));
	/* What is sent at once waits in the queue: no more than fits, or a reader that is not slow
	 * would be cut off. */
	l->may_catch_up = (int64_t)(queue_max / FRAME_BYTES);
	l->fresh = !asked_since(rq, &l->sent);
	tg_rq_safe_headers(rq);
	tg_list_push(&live->listeners, &l->link);
	live->count++;
	if (tg_stream_open(rq->req, queue_max, on_gone, l, &l->stream)) {
		l->stream = NULL;
		release(l);
		tg_reply(rq->req, 200, "text/event-stream",
			(struct tg_slice){0}); /* HEAD, or nobody reads it */
	} else {
		begin(l);
	}
}

/* ---- every five seconds
 * ----------------------------------------------------------------------------------------- */

static void vitals_text(
	const struct tg_live *live, const PGresult *res, const char *department, char out[256])
{
	char at[TG_RFC3339_MAX];
	int64_t open = 0, overdue = 0;

	for (int i = 0; i < PQntuples(res); i++)
		if (department[0] ? tg_slice_is(tg_pg_text(res, i, 0), department)
				  : tg_pg_null(res, i, 0)) {
			open = tg_pg_i64(res, i, 1);
			overdue = tg_pg_i64(res, i, 2);
		}
	tg_rfc3339_utc(tg_now_us(), at);
	snprintf(out, 256,
		"event: vitals\ndata: "
		"{\"at\":\"%s\",\"open_cases\":%lld,\"overdue\":%lld,\"last_pos\":%lld}\n\n",
		at, (long long)open, (long long)overdue,
		(long long)tg_outbox_last(live->api->d->outbox));
}

static void on_vitals(void *ctx, int rc, const PGresult *res)
{
	struct tg_live *live = ctx;
	char all[256] = ": heartbeat\n\n", own[256];

	live->asking--;
	if (!rc)
		vitals_text(live, res, "", all);
	tg_list_foreach_safe (item, next, &live->listeners) {
		struct listener *l = tg_container_of(item, struct listener, link);
		bool mine = !rc && l->department[0];

		if (mine)
			vitals_text(live, res, l->department, own);
		l->busy++;
		send_text(l, mine ? own : all);
		l->busy--;
		release(l);
	}
	live_maybe_closed(live);
}

static void on_alive(void *ctx, int rc, const PGresult *res)
{
	struct tg_live *live = ctx;
	struct tg_map *alive = NULL;
	char hash[2 * TG_TOKEN_HASH_BYTES + 3];

	live->asking--;
	if (!rc && tg_map_new(0, &alive) == 0) {
		for (int i = 0; i < PQntuples(res) && !rc; i++)
			rc = tg_map_put(alive, tg_pg_text(res, i, 0), live);
		tg_list_foreach_safe (item, next, &live->listeners) {
			struct listener *l = tg_container_of(item, struct listener, link);

			tg_token_hash_text(l->hash, hash);
			if (!rc && l->stream && !tg_map_get(alive, tg_slice_cstr(hash)))
				tg_stream_close(l->stream);
		}
	}
	tg_map_free(alive);
	live_maybe_closed(live);
}

static void recheck(struct tg_live *live)
{
	struct tg_buf list = {0};
	char hash[2 * TG_TOKEN_HASH_BYTES + 3];
	const char *params[1];
	int rc = tg_buf_add_cstr(&list, "{");

	tg_list_foreach (item, &live->listeners) {
		const struct listener *l = tg_container_of(item, struct listener, link);

		tg_token_hash_text(l->hash, hash);
		if (!rc)
			rc = tg_buf_addf(&list, "%s\"\\%s\"", list.len > 1 ? "," : "", hash);
	}
	if (!rc)
		rc = tg_buf_add_cstr(&list, "}");
	params[0] = rc ? NULL : tg_buf_cstr(&list);
	if (params[0] &&
		tg_pg_query(live->api->d->read, tg_sql_auth_alive, params, 1, on_alive, live) == 0)
		live->asking++;
	tg_buf_release(&list);
}

static void on_timer(uv_timer_t *timer)
{
	struct tg_live *live = timer->data;

	/* One question at a time: a slow database gets no more of them. */
	if (live->count == 0 || live->asking > 0)
		return;
	if (tg_pg_query(live->api->d->read, tg_sql_vitals, NULL, 0, on_vitals, live) == 0)
		live->asking++;
	if (++live->ticks % RECHECK_TICKS == 0)
		recheck(live);
}

/* ---- the whole
 * --------------------------------------------------------------------------------------------------
 */

int tg_live_open(struct tg_api *api, struct tg_live **ret)
{
	struct tg_live *live = calloc(1, sizeof(*live));

	if (!live)
		return -TG_ENOMEM;
	live->api = api;
	tg_list_init(&live->listeners);
	uv_timer_init(api->d->loop, &live->timer);
	live->timer.data = live;
	uv_timer_init(api->d->loop, &live->flush);
	live->flush.data = live;
	uv_timer_start(&live->timer, on_timer, VITALS_MS, VITALS_MS);
	tg_outbox_subscribe(api->d->outbox, on_row, live);
	*ret = live;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_live *live = handle->data;

	live->timers_closed++;
	live_maybe_closed(live);
}

void tg_live_close(struct tg_live *live, void (*closed)(void *ctx), void *ctx)
{
	live->closed = closed;
	live->closed_ctx = ctx;
	live->closing = true;
	tg_list_foreach_safe (item, next, &live->listeners) {
		struct listener *l = tg_container_of(item, struct listener, link);

		if (l->stream)
			tg_stream_close(l->stream);
	}
	uv_close((uv_handle_t *)&live->timer, on_timer_closed);
	uv_close((uv_handle_t *)&live->flush, on_timer_closed);
}

void tg_live_free(struct tg_live *live)
{
	if (!live)
		return;
	tg_ring_release(&live->ring);
	tg_buf_release(&live->batch);
	free(live);
}
