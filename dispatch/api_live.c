/* GET /stream: every change as it is committed, by Server-Sent Events. A listener that comes back
 * with the last position it has seen gets what it missed from the ring, or from the table if it was
 * away for long; when that no longer helps it gets one `resync` and is to read the lists again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/api_live_impl.h"
#include "dispatch/dispatch.h"
#include "dispatch/outbox.h"

#define VITALS_MS     5000
#define FRAME_BYTES   512
#define LISTENERS_MAX 10000
#define REST          3

static void on_flush(uv_timer_t *timer);

void live_maybe_closed(struct tg_live *live)
{
	if (live->closing && live->timers_closed == 2 && live->asking == 0 && live->count == 0)
		live->closed(live->closed_ctx);
}

void live_release(struct listener *l)
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
	live_release(l);
}

void live_send(struct listener *l, const char *text)
{
	if (l->stream)
		tg_stream_send(l->stream, tg_slice_cstr(text));
}

void live_send_frame(struct listener *l, const struct tg_frame *frame)
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
		live_finish_from_ring(l);
	} else {
		live_catch_up(l); /* positions have no gaps: this process began to listen later than
				it thought */
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
		live_release(l);
	}
	live->flushed = last;
	tg_buf_reset(&live->batch);
	live->flush_ended_us = tg_mono_us();
	live->flush_took_us = live->flush_ended_us - began_us;
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

static void begin(struct listener *l)
{
	int64_t last = tg_outbox_last(l->live->api->d->outbox);

	l->busy++;
	live_send(l, "retry: 1000\n\n");
	if (last == 0 || (!l->fresh && (l->sent < 0 || l->sent > last)))
		live_ask_range(
			l); /* we have not begun to tail, or another dispatcher is ahead of us */
	else if (l->fresh)
		live_begin_now(l, last);
	else if (last - l->sent > l->may_catch_up)
		live_resync(l, last);
	else if (live_ring_is_enough(l))
		live_finish_from_ring(l);
	else
		live_ask_range(l);
	l->busy--;
	live_release(l);
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
		live_release(l);
		tg_reply(rq->req, 200, "text/event-stream",
			(struct tg_slice){0}); /* HEAD, or nobody reads it */
	} else {
		begin(l);
	}
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
	uv_timer_start(&live->timer, live_on_vitals_timer, VITALS_MS, VITALS_MS);
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
