#include "ingest/pipeline.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "ingest/city.h"
#include "ingest/forward.h"
#include "ingest/metrics.h"
#include "ingest/progress.h"
#include "ingest/sink.h"
#include "ingest/source.h"
#include "ingest/take.h"

#define BATCHES         3 /* filling, in flight, being published */
#define TICK_MS         50
#define REPORT_EVERY    100 /* ticks */
#define ASLEEP_US       (5 * TG_US_PER_S)
#define IDLE_FORWARD_US 100000
#define STOP_WAIT_TICKS 100 /* 5 s: in all less than the service's own limit */
#define AGAIN_MS        1000

struct tg_pipeline {
	uv_loop_t *loop;
	const struct tg_conf *conf;
	struct tg_source *source;
	struct tg_sink *sink;
	struct tg_forward *forward;
	struct tg_atlas_watch *city;
	struct tg_taker *taker;

	struct tg_batch *batches[BATCHES];
	struct tg_batch *spare[BATCHES];
	size_t spare_count;
	struct tg_batch *filling, *flight;
	bool storing;          /* the sink has a transaction of ours */
	struct tg_move *moves; /* of that transaction, one a partition */
	size_t *moves_part;
	size_t moves_count, moves_cap;
	unsigned moves_generation;
	bool taking;
	unsigned take_generation;

	uv_prepare_t flush;
	uv_timer_t tick, again;
	int64_t tick_mono_us, stored_mono_us;
	unsigned ticks;
	uint32_t month_made;

	bool stopping;
	int stop_ticks;
	int open; /* parts that still have to close */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void flush(struct tg_pipeline *p);
static void close_parts(struct tg_pipeline *p);

/* ---- batches ---- */

static void give_back(struct tg_pipeline *p, struct tg_batch *batch)
{
	assert(p->spare_count < BATCHES);
	p->spare[p->spare_count++] = batch;
}

/* Nothing may arrive that no batch can take. */
static void steer(struct tg_pipeline *p)
{
	if (!tg_source_running(p->source))
		return;
	if (p->filling && !tg_batch_full(p->filling) && tg_sink_up(p->sink) && !p->stopping)
		tg_source_resume(p->source);
	else
		tg_source_pause(p->source);
}

static void begin_filling(struct tg_pipeline *p)
{
	if (!p->filling && p->spare_count && !p->stopping && tg_source_running(p->source)) {
		p->filling = p->spare[--p->spare_count];
		if (tg_batch_reset(p->filling, tg_source_generation(p->source),
			    tg_source_count(p->source))) {
			tg_log(TG_ERROR, "no batch: out of memory");
			give_back(p, p->filling);
			p->filling = NULL;
		}
	}
	steer(p);
}

static const char *part_name(void *ctx, size_t i, int32_t *ret_partition)
{
	struct tg_pipeline *p = ctx;
	const struct tg_part *part = tg_source_part(p->source, i);

	*ret_partition = part->partition;
	return part->topic;
}

/* ---- offsets ---- */

static int reserve_moves(struct tg_pipeline *p)
{
	size_t n = tg_source_count(p->source);
	struct tg_move *moves;
	size_t *parts;

	if (n <= p->moves_cap)
		return 0;
	moves = reallocarray(p->moves, n, sizeof(*moves));
	if (moves)
		p->moves = moves;
	parts = reallocarray(p->moves_part, n, sizeof(*parts));
	if (parts)
		p->moves_part = parts;
	if (!moves || !parts)
		return -TG_ENOMEM;
	p->moves_cap = n;
	return 0;
}

/* Which rows this transaction moves: those the batch carries on, and those published further since
 * the last one. */
static size_t plan_moves(struct tg_pipeline *p, const struct tg_batch *batch)
{
	size_t n = 0;

	if (reserve_moves(p))
		return 0;
	for (size_t i = 0; i < tg_source_count(p->source); i++) {
		const struct tg_part *part = tg_source_part(p->source, i);
		struct tg_move m = {part->id, part->epoch, part->next, part->forwarded, part->next,
			part->forwarded};

		if (batch && batch->spans[i].next > m.next)
			m.next = batch->spans[i].next;
		if (part->done_pos > m.forwarded)
			m.forwarded = part->done_pos < m.next ? part->done_pos : m.next;
		if (m.next == m.old_next && m.forwarded == m.old_forwarded)
			continue;
		p->moves_part[n] = i;
		p->moves[n++] = m;
	}
	p->moves_count = n;
	p->moves_generation = tg_source_generation(p->source);
	return n;
}

static void moved(struct tg_pipeline *p)
{
	for (size_t i = 0; i < p->moves_count; i++) {
		struct tg_part *part = tg_source_part(p->source, p->moves_part[i]);

		part->next = p->moves[i].next;
		part->forwarded = p->moves[i].forwarded;
	}
}

/* ---- storing ---- */

static void try_take(struct tg_pipeline *p);

static void publish(struct tg_pipeline *p, struct tg_batch *batch)
{
	tg_forward_send(p->forward, batch);
	begin_filling(p);
}

static void stored_well(struct tg_pipeline *p, struct tg_batch *batch)
{
	moved(p);
	p->stored_mono_us = tg_mono_us();
	if (!batch)
		return;
	tg_metric_add(&tg_ingest_metrics[TG_M_BATCHES], 1);
	tg_metric_add(&tg_ingest_metrics[TG_M_ROWS], (double)batch->rows_count);
	tg_metric_observe(&tg_ingest_metrics[TG_M_BATCH_ROWS], (double)batch->rows_count);
	publish(p, batch);
}

static void on_stored(void *ctx, int rc)
{
	struct tg_pipeline *p = ctx;
	struct tg_batch *batch = p->flight;
	bool ours;

	p->flight = NULL;
	p->storing = false;
	if (p->open)
		return;
	ours = p->moves_generation == tg_source_generation(p->source);
	if (!rc && ours) {
		stored_well(p, batch);
	} else if (batch) {
		/* Stored or not, whoever takes the partitions next reads the truth and publishes.
		 */
		give_back(p, batch);
	}
	if (rc == -TG_EFENCED && ours) {
		tg_metric_add(&tg_ingest_metrics[TG_M_FENCED], 1);
		tg_log(TG_WARN, "fenced: another owner has taken over");
		tg_source_rejoin(p->source);
	} else if (rc && ours) {
		tg_source_retake(p->source);
	}
	try_take(p);
	flush(p);
}

/* The moment a transaction ends the next begins, with whatever has come meanwhile. */
static void flush(struct tg_pipeline *p)
{
	struct tg_batch *batch = p->filling;

	if (!batch || tg_batch_empty(batch) || p->storing || p->taking || !tg_sink_up(p->sink))
		return;
	p->filling = NULL;
	tg_ingest_stage(TG_STAGE_WAIT, batch->first_mono_us);
	if (plan_moves(p, batch) == 0) {
		publish(p, batch); /* all of it was stored before */
		return;
	}
	p->flight = batch;
	p->storing = true;
	begin_filling(p);
	tg_sink_store(p->sink, batch, p->moves, p->moves_count, on_stored, p);
}

/* What was published moves in a transaction of its own when no batch comes along to carry it. */
static void note_forwarded(struct tg_pipeline *p)
{
	if (p->storing || p->taking || !tg_source_running(p->source) || !tg_sink_up(p->sink))
		return;
	if (p->filling && !tg_batch_empty(p->filling))
		return;
	if (!plan_moves(p, NULL))
		return;
	p->storing = true;
	tg_sink_store(p->sink, NULL, p->moves, p->moves_count, on_stored, p);
}

static void on_flush(uv_prepare_t *prepare)
{
	struct tg_pipeline *p = tg_container_of(prepare, struct tg_pipeline, flush);

	uv_prepare_stop(prepare);
	flush(p);
}

/* ---- the source's events ---- */

static void on_taken(void *ctx, int rc, const PGresult *res)
{
	struct tg_pipeline *p = ctx;

	p->taking = false;
	if (p->open)
		return;
	tg_source_taken(p->source, p->take_generation, rc, res);
	try_take(p);
}

static void try_take(struct tg_pipeline *p)
{
	const char *topics, *partitions, *starts;

	if (p->taking || p->storing || p->stopping || !tg_source_wants_take(p->source) ||
		!tg_sink_up(p->sink) || !tg_atlas_watch_now(p->city))
		return;
	if (tg_source_take_params(p->source, &topics, &partitions, &starts))
		return; /* out of memory: the next tick tries again */
	p->taking = true;
	p->take_generation = tg_source_generation(p->source);
	tg_sink_take(p->sink, topics, partitions, starts, on_taken, p);
}

static void on_want_take(void *ctx)
{
	try_take(ctx);
}

static void on_lost(void *ctx)
{
	struct tg_pipeline *p = ctx;

	if (p->filling)
		give_back(p, p->filling);
	p->filling = NULL;
	if (p->storing)
		tg_sink_abort(p->sink);
	tg_forward_drop(p->forward);
	tg_taker_forget(p->taker);
}

static void on_running(void *ctx)
{
	begin_filling(ctx);
}

static void on_record(void *ctx, size_t i, struct tg_record *rec)
{
	struct tg_pipeline *p = ctx;
	int rc;

	assert(p->filling || p->stopping);
	if (!p->filling) {
		tg_record_free(rec); /* read again by whoever comes next */
		return;
	}
	if (tg_batch_empty(p->filling))
		uv_prepare_start(&p->flush, on_flush);
	rc = tg_take(p->taker, tg_atlas_watch_now(p->city), p->filling,
		tg_source_part(p->source, i), i, rec);
	tg_record_free(rec);
	if (rc) {
		tg_log(TG_ERROR, "record not taken, reading again",
			TG_F("why", TG_S(tg_err_text(rc))));
		tg_source_retake(p->source);
	} else if (tg_batch_full(p->filling)) {
		steer(p);
	}
}

/* After a sleep nothing may be said: the partitions may be another's by now. The next tick sees to
 * that. */
static void say_progress(struct tg_pipeline *p)
{
	if (tg_source_running(p->source) && !p->stopping &&
		tg_mono_us() - p->tick_mono_us < ASLEEP_US)
		tg_progress_tick(p->source, p->forward, !tg_source_paused(p->source));
}

static void on_end(void *ctx, size_t i)
{
	(void)i;
	say_progress(ctx);
}

/* ---- the sink's and forward's events ---- */

static void on_sink_up(void *ctx)
{
	struct tg_pipeline *p = ctx;

	if (p->open)
		return;
	try_take(p);
	steer(p);
	flush(p);
}

/* A transaction under way has been answered, and with it the partitions given up. When none was,
 * what is in memory stays true: compare-and-set tells if it should not be. */
static void on_sink_down(void *ctx)
{
	struct tg_pipeline *p = ctx;

	if (!p->open)
		steer(p);
}

static void on_sent(void *ctx, struct tg_batch *batch)
{
	struct tg_pipeline *p = ctx;

	if (batch->generation == tg_source_generation(p->source) && tg_source_running(p->source)) {
		for (size_t i = 0; i < batch->spans_count; i++) {
			struct tg_part *part = tg_source_part(p->source, i);
			const struct tg_span *span = &batch->spans[i];

			if (span->next > part->sent_pos)
				part->sent_pos = span->next;
			if (span->high_us > part->high_us)
				part->high_us = span->high_us;
		}
	}
	give_back(p, batch);
	begin_filling(p);
	say_progress(p);
}

static void on_delivered(void *ctx, unsigned generation, const struct tg_span *spans, size_t n)
{
	struct tg_pipeline *p = ctx;

	if (generation != tg_source_generation(p->source))
		return;
	for (size_t i = 0; i < n; i++) {
		struct tg_part *part = tg_source_part(p->source, i);

		if (spans[i].next > part->done_pos)
			part->done_pos = spans[i].next;
	}
}

static void on_again(uv_timer_t *timer)
{
	struct tg_pipeline *p = tg_container_of(timer, struct tg_pipeline, again);

	if (!p->stopping)
		tg_source_retake(p->source);
}

static void on_undelivered(void *ctx, unsigned generation)
{
	struct tg_pipeline *p = ctx;

	if (generation == tg_source_generation(p->source) &&
		!uv_is_active((uv_handle_t *)&p->again))
		uv_timer_start(&p->again, on_again, AGAIN_MS, 0);
}

static void on_city(void *ctx)
{
	try_take(ctx);
}

/* ---- time ---- */

/* The tables of this month and the next are there before an event asks for them. */
static void make_months(struct tg_pipeline *p)
{
	uint32_t month = tg_month_of(tg_now_us());

	if (p->month_made == month || p->storing || p->taking || !tg_sink_up(p->sink))
		return;
	tg_sink_prepare(p->sink, month);
	tg_sink_prepare(p->sink, month + 1);
	p->month_made = month;
}

static void run(struct tg_pipeline *p, int64_t mono_us)
{
	try_take(p);
	begin_filling(p);
	flush(p);
	make_months(p);
	tg_forward_nudge(p->forward);
	if (mono_us - p->stored_mono_us >= IDLE_FORWARD_US)
		note_forwarded(p);
	say_progress(p);
	if (p->ticks++ % REPORT_EVERY == 0)
		tg_source_report(p->source);
}

static void stop_step(struct tg_pipeline *p)
{
	bool quiet = !p->storing && !p->taking && tg_forward_idle(p->forward);

	tg_forward_nudge(p->forward);
	if (quiet)
		note_forwarded(p);
	if ((quiet && !p->storing) || ++p->stop_ticks >= STOP_WAIT_TICKS)
		close_parts(p);
}

static void on_tick(uv_timer_t *timer)
{
	struct tg_pipeline *p = tg_container_of(timer, struct tg_pipeline, tick);
	int64_t mono_us = tg_mono_us(), asleep_us = mono_us - p->tick_mono_us;

	p->tick_mono_us = mono_us;
	if (p->stopping) {
		stop_step(p);
		return;
	}
	/* Stopped and woken, or starved. */
	if (asleep_us > ASLEEP_US && tg_source_running(p->source)) {
		tg_log(TG_WARN, "slept, joining again", TG_F("ms", TG_I(asleep_us / 1000)));
		tg_source_rejoin(p->source);
	}
	run(p, mono_us);
}

/* ---- life ---- */

bool tg_pipeline_ready(struct tg_pipeline *p, struct tg_buf *why)
{
	const char *missing = NULL;

	if (!tg_sink_up(p->sink))
		missing = "PostgreSQL cannot be reached";
	else if (tg_sink_trouble(p->sink))
		missing = tg_sink_trouble(p->sink);
	else if (!tg_atlas_watch_now(p->city))
		missing = "no city is loaded: tongguan city load DIR";
	else if (!tg_source_joined(p->source))
		missing = "waiting for the consumer group";
	for (size_t i = 0; !missing && i < tg_source_count(p->source); i++) {
		if (tg_source_part(p->source, i)->out_of_range)
			missing = "a topic's log ends before what is stored";
	}
	if (missing && tg_buf_add_cstr(why, missing))
		return false; /* that it is not ready is said even when memory does not allow why */
	return !missing;
}

static int open_parts(struct tg_pipeline *p, const struct tg_conf *conf)
{
	static const struct tg_sink_ops sink_ops = {on_sink_up, on_sink_down, part_name};
	static const struct tg_forward_ops forward_ops = {on_sent, on_delivered, on_undelivered};
	int rc = 0, partitions;

	for (int i = 0; !rc && i < BATCHES; i++) {
		rc = tg_batch_new((size_t)conf->ingest_batch_rows, (size_t)conf->ingest_batch_bytes,
			&p->batches[i]);
		if (!rc)
			give_back(p, p->batches[i]);
	}
	if (!rc)
		rc = tg_forward_open(p->loop, conf->kafka_brokers, &forward_ops, p, &p->forward);
	if (rc)
		return rc;
	partitions = tg_forward_partitions(p->forward);
	if (partitions <= 0) {
		tg_log(TG_ERROR,
			"topic tongguan.events.located not found: tongguan migrate --topics",
			TG_F("why", TG_S(tg_err_text(partitions))));
		return partitions ? partitions : -TG_ENOENT;
	}
	rc = tg_taker_new(conf, partitions, &p->taker);
	if (!rc)
		rc = tg_sink_open(p->loop, conf->postgres_url, &sink_ops, p, &p->sink);
	if (!rc)
		rc = tg_atlas_watch_open(p->loop, conf->postgres_url, on_city, p, &p->city);
	return rc;
}

static void on_source_closed(void *ctx);

int tg_pipeline_open(uv_loop_t *loop, const struct tg_conf *conf, struct tg_pipeline **ret)
{
	static const struct tg_source_ops source_ops = {
		on_want_take, on_lost, on_running, on_record, on_end, on_source_closed};
	const struct tg_source_conf source = {
		conf->kafka_brokers, conf->ingest_group, conf->kafka_topics};
	struct tg_pipeline *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -TG_ENOMEM;
	p->loop = loop;
	p->conf = conf;
	p->tick_mono_us = tg_mono_us();
	rc = open_parts(p, conf);
	if (!rc)
		rc = tg_source_open(loop, &source, &source_ops, p, &p->source);
	if (rc)
		return rc; /* the process ends: what was opened ends with it */
	uv_prepare_init(loop, &p->flush);
	uv_timer_init(loop, &p->again);
	uv_timer_init(loop, &p->tick);
	uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
	*ret = p;
	return 0;
}

static void part_closed(struct tg_pipeline *p)
{
	if (--p->open)
		return;
	for (int i = 0; i < BATCHES; i++)
		tg_batch_free(p->batches[i]);
	tg_taker_free(p->taker);
	free(p->moves);
	free(p->moves_part);
	p->closed(p->closed_ctx);
	free(p);
}

static void on_part_closed(void *ctx)
{
	part_closed(ctx);
}

static void on_source_closed(void *ctx)
{
	part_closed(ctx);
}

static void on_handle_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

static void close_handle(struct tg_pipeline *p, uv_handle_t *handle)
{
	handle->data = p;
	uv_close(handle, on_handle_closed);
}

static void close_parts(struct tg_pipeline *p)
{
	if (p->open)
		return;
	p->open = 7;
	close_handle(p, (uv_handle_t *)&p->flush);
	close_handle(p, (uv_handle_t *)&p->tick);
	close_handle(p, (uv_handle_t *)&p->again);
	tg_source_close(p->source);
	tg_sink_close(p->sink, on_part_closed, p);
	tg_forward_close(p->forward, on_part_closed, p);
	tg_atlas_watch_close(p->city, on_part_closed, p);
}

void tg_pipeline_close(struct tg_pipeline *p, void (*closed)(void *ctx), void *ctx)
{
	p->closed = closed;
	p->closed_ctx = ctx;
	p->stopping = true;
	/* What was read and not yet sent is read again by whoever comes next. */
	tg_source_pause(p->source);
	if (p->filling)
		give_back(p, p->filling);
	p->filling = NULL;
}
