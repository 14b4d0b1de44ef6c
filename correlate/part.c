/* One partition: its queue, and judging a batch of it while the one before has come home. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "correlate/metrics.h"
#include "correlate/role_impl.h"
#include "queries.h"

#define BACKOFF_MIN_MS 20
#define BACKOFF_MAX_MS 2000
#define ARENA_MAX      ((size_t)256 << 20)

int tg_part_open(struct tg_role *role, int32_t partition, struct tg_part **ret)
{
	struct tg_engine_shared shared = tg_role_shared(role, partition);
	struct tg_part *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -TG_ENOMEM;
	p->role = role;
	p->partition = partition;
	p->committed = p->next = -1;
	rc = tg_engine_new(&shared, &p->engine);
	if (!rc)
		rc = tg_watch_init(&p->watch);
	if (rc) {
		tg_engine_free(p->engine);
		free(p);
		return rc;
	}
	tg_arena_init(&p->arena, 64 << 10, ARENA_MAX);
	uv_timer_init(role->loop, &p->timer);
	p->timer.data = p;
	p->refs = 1;
	role->parts_alive++;
	*ret = p;
	return 0;
}

static void part_free(struct tg_part *p)
{
	struct tg_role *role = p->role;

	for (size_t i = 0; i < p->pieces_cap; i++)
		tg_buf_release(&p->pieces[i]);
	free(p->pieces);
	free(p->piece_us);
	tg_findings_release(&p->found);
	tg_buf_release(&p->clears);
	tg_buf_release(&p->unruled);
	tg_buf_release(&p->retire);
	tg_buf_release(&p->recall_types);
	tg_buf_release(&p->batch);
	tg_buf_release(&p->marks);
	tg_buf_release(&p->segment);
	tg_arena_release(&p->arena);
	free(p->queue);
	free(p);
	role->parts_alive--;
	tg_role_part_gone(role);
}

void tg_part_hold(struct tg_part *p)
{
	p->refs++;
}

bool tg_part_release(struct tg_part *p)
{
	bool alive = !p->dead;

	if (--p->refs == 0)
		part_free(p);
	return alive;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_part *p = handle->data;

	(void)!tg_part_release(p);
}

static struct tg_record *queue_pop(struct tg_part *p)
{
	struct tg_record *rec = p->queue[p->queue_head];

	p->queue_head = (p->queue_head + 1) % p->queue_cap;
	p->queue_len--;
	p->role->queued--;
	p->role->queued_bytes -= rec->value.len;
	return rec;
}

void tg_part_empty(struct tg_part *p)
{
	while (p->queue_len)
		tg_record_free(queue_pop(p));
}

void tg_part_close(struct tg_part *p)
{
	if (p->dead)
		return;
	p->dead = true;
	tg_part_empty(p);
	/* The windows are given back now, not when the last callback has come. */
	tg_engine_free(p->engine);
	p->engine = NULL;
	tg_watch_release(&p->watch);
	uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer)
{
	struct tg_part *p = timer->data;

	p->again(p);
}

void tg_part_retry(struct tg_part *p, void (*fn)(struct tg_part *p))
{
	p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (p->backoff_ms > BACKOFF_MAX_MS)
		p->backoff_ms = BACKOFF_MAX_MS;
	p->again = fn;
	uv_timer_start(&p->timer, on_timer, (uint64_t)p->backoff_ms, 0);
}

void tg_part_done_waiting(struct tg_part *p)
{
	p->backoff_ms = 0;
}

void tg_part_take(struct tg_part *p, struct tg_record *rec)
{
	if (p->queue_len == p->queue_cap) {
		size_t cap = p->queue_cap ? p->queue_cap * 2 : 256;
		struct tg_record **queue = malloc(cap * sizeof(struct tg_record *));

		if (!queue) {
			tg_record_free(rec);
			tg_role_fail(p->role, "out of memory");
			return;
		}
		for (size_t i = 0; i < p->queue_len; i++)
			queue[i] = p->queue[(p->queue_head + i) % p->queue_cap];
		free(p->queue);
		p->queue = queue;
		p->queue_cap = cap;
		p->queue_head = 0;
	}
	p->queue[(p->queue_head + p->queue_len++) % p->queue_cap] = rec;
	p->role->queued++;
	p->role->queued_bytes += rec->value.len;
	tg_part_run(p);
}

/* Which sources ingest reads: until each has been heard of there is no watermark, so that one read
 * later than the others does not come too late with all it has. */
static void on_sources(void *ctx, int rc, const PGresult *res)
{
	struct tg_part *p = ctx;

	if (!tg_part_release(p))
		return;
	for (int i = 0; !rc && i < PQntuples(res); i++)
		rc = tg_watermark_expect(tg_engine_watermark(p->engine), PQgetvalue(res, i, 0),
			(int32_t)tg_pg_i64(res, i, 1));
	p->state = TG_PART_IDLE;
	if (rc == -TG_ENOMEM) {
		tg_role_fail(p->role, "out of memory");
		return;
	}
	if (rc) {
		tg_part_retry(p, tg_part_run);
		return;
	}
	p->asked_sources = true;
	tg_part_done_waiting(p);
	tg_part_run(p);
}

static void ask_sources(struct tg_part *p)
{
	const char *params[] = {p->role->conf->kafka_topics};

	p->state = TG_PART_BUSY;
	tg_part_hold(p);
	if (tg_pg_query(p->role->pg, tg_sql_source_known, params, 1, on_sources, p))
		on_sources(p, -TG_ECLOSED, NULL);
}

enum judged { JUDGED, STRANGER, FAILED };

/* STRANGER: from a source not heard of before; the record stays at the head of the queue. */
static enum judged judge_head(struct tg_part *p)
{
	struct tg_record *rec = p->queue[p->queue_head];
	struct tg_role *role = p->role;
	struct tg_slice halo, trace = TG_SLICE("");
	tg_located_pb *loc;
	bool is_halo;
	int rc = 0;

	tg_arena_reset(&role->arena);
	loc = rec->value.data ? tg_located_decode(&role->arena, rec->value) : NULL;
	if (loc && !p->asked_sources &&
		!tg_watermark_knows(tg_engine_watermark(p->engine),
			loc->source_topic ? loc->source_topic : "", loc->source_partition))
		return STRANGER;
	p->asked_sources = false;
	is_halo = tg_record_header(rec, "halo", &halo);
	if (!tg_record_header(rec, "traceparent", &trace))
		trace = TG_SLICE("");
	if (!loc)
		role->counts.broken++;
	else if (rec->offset >= p->next)
		rc = tg_engine_push(p->engine, loc, is_halo, trace, &p->found);
	if (rec->offset >= p->next)
		p->next = rec->offset + 1;
	if (rec->stamp_us < p->oldest_us)
		p->oldest_us = rec->stamp_us;
	tg_record_free(queue_pop(p));
	return rc ? FAILED : JUDGED;
}

static void begin_batch(struct tg_part *p)
{
	tg_findings_reset(&p->found);
	tg_segment_reset(tg_engine_segment(p->engine));
	tg_buf_reset(&p->clears);
	tg_part_retire_begin(p);
	tg_arena_reset(&p->arena);
	p->messages_len = p->messages_sent = p->messages_pending = 0;
	p->pieces_len = p->pieces_sent = 0;
	p->oldest_us = INT64_MAX;
}

static void say_full(struct tg_role *role)
{
	if (role->counts.full == role->full_told)
		return;
	tg_log(TG_ERROR, "windows are full: events are not judged",
		TG_F("limit", TG_S("correlate.window_events_max")),
		TG_F("max", TG_I(role->budget.max)),
		TG_F("not_taken", TG_I(role->counts.full - role->full_told)));
	role->full_told = role->counts.full;
}

static void end_batch(struct tg_part *p)
{
	struct tg_role *role = p->role;
	int due = tg_watch_due(
		&p->watch, tg_watermark_us(tg_engine_watermark(p->engine)), &p->clears);
	int rc = tg_engine_end(p->engine, p->next, &p->found);

	tg_engine_expire(p->engine);
	if (!rc)
		rc = tg_engine_sweep(p->engine, tg_part_keep_piece, p);
	tg_correlate_note_counts(&role->counts);
	tg_metric_set(&tg_correlate_metrics[TG_CM_WINDOW_EVENTS], (double)role->budget.used);
	tg_role_flow(role);
	say_full(role);
	p->speaks = due > 0 || !tg_findings_empty(&p->found) || tg_part_retiring(p).len;
	if (due < 0 || rc || p->found.rc) {
		tg_role_fail(role, "out of memory");
		return;
	}
	tg_part_chain(p);
}

void tg_part_run(struct tg_part *p)
{
	int64_t until = tg_mono_us() + TG_BATCH_US_MAX;
	enum judged judged = JUDGED;
	size_t n = 0;

	if (p->state != TG_PART_IDLE)
		return;
	if (p->role->reloading) {
		tg_role_reload(p->role); /* waits for the others, or does it */
		return;
	}
	if (p->look_back) {
		tg_part_look_back(p);
		return;
	}
	if (p->queue_len == 0) {
		tg_role_part_idle(p->role);
		return;
	}
	p->state = TG_PART_BUSY;
	begin_batch(p);
	while (p->queue_len && n < TG_BATCH_RECORDS_MAX && judged == JUDGED &&
		((n & 63) != 63 || tg_mono_us() < until)) {
		judged = judge_head(p);
		n += judged == JUDGED;
	}
	if (judged == FAILED)
		tg_role_fail(p->role, "out of memory");
	else if (n == 0)
		ask_sources(p);
	else
		end_batch(p);
}

void tg_part_ready(struct tg_part *p)
{
	p->state = TG_PART_IDLE;
	tg_part_done_waiting(p);
	tg_role_claimed(p->role);
}
