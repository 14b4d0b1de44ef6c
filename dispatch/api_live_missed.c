/* What a listener has missed: from the ring, from the table, or a word that it is to read the lists
 * again. */
#include <stdio.h>

#include "base/log.h"
#include "dispatch/api_live_impl.h"
#include "dispatch/dispatch.h"
#include "dispatch/outbox.h"
#include "queries.h"

#define CATCH_UP_TEXT "500"

/* From the ring, which holds all that is missing. */
void live_finish_from_ring(struct listener *l)
{
	const struct tg_frame *frame;
	int64_t from = l->sent;

	l->behind = false;
	for (size_t i = 0; (frame = tg_ring_after(&l->live->ring, from, i)) && l->stream; i++)
		live_send_frame(l, frame);
}

void live_resync(struct listener *l, int64_t pos)
{
	char text[128];

	snprintf(text, sizeof(text), "id: %lld\nevent: resync\ndata: {\"last_pos\":%lld}\n\n",
		(long long)pos, (long long)pos);
	l->sent = pos;
	l->behind = false;
	live_send(l, text);
}

/* Nothing is missing, or the ring has it. While the first position is not known yet nothing is
 * sure: on_row sees a gap. */
bool live_ring_is_enough(const struct listener *l)
{
	return l->sent >= tg_outbox_last(l->live->api->d->outbox) ||
	       tg_ring_covers(&l->live->ring, l->sent);
}

/* An id without data: the client knows where it stands, though nothing has happened yet. */
void live_begin_now(struct listener *l, int64_t pos)
{
	char text[64];

	snprintf(text, sizeof(text), "id: %lld\n\n", (long long)pos);
	l->sent = pos;
	l->behind = false;
	live_send(l, text);
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
		live_send_frame(l, &frame);
		tg_frame_release(&frame);
	}
	l->may_catch_up -= n;
	if (rc && l->stream)
		tg_stream_close(l->stream); /* it comes back with what it has */
	else if (l->stream && l->may_catch_up <= 0)
		live_resync(l, tg_outbox_last(l->live->api->d->outbox));
	else if (l->stream && !live_ring_is_enough(l))
		live_catch_up(l);
	else if (l->stream)
		live_finish_from_ring(l);
	l->busy--;
	live_release(l);
}

/* Holds the listener until the answer is there. */
void live_catch_up(struct listener *l)
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
			live_begin_now(l, last);
		else if (unknown || forgotten || last - l->sent > l->may_catch_up)
			live_resync(l, last);
		else if (live_ring_is_enough(l))
			live_finish_from_ring(l);
		else
			live_catch_up(l);
	}
	l->busy--;
	live_release(l);
}

void live_ask_range(struct listener *l)
{
	l->behind = true;
	l->busy++;
	if (tg_pg_query(l->live->api->d->read, tg_sql_stream_range, NULL, 0, on_range, l) == 0)
		return;
	l->busy--;
	if (l->stream)
		tg_stream_close(l->stream);
}
