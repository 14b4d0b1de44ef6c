/* The flow: who may fill, what is stored, what is published, and what happens when partitions come
 * and go. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "ingest/metrics.h"
#include "ingest/pipeline_impl.h"
#include "ingest/progress.h"

#define AGAIN_MS 1000

static void flush(struct tg_pipeline *p);

/* ---- batches ---- */

void pipeline_give_back(struct tg_pipeline *p, struct tg_batch *batch)
{
	assert(p->spare_count < PIPELINE_BATCHES);
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
			pipeline_give_back(p, p->filling);
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

/* ---- storing ---- */

static void publish(struct tg_pipeline *p, struct tg_batch *batch)
{
	tg_forward_send(p->forward, batch);
	begin_filling(p);
}

static void stored_well(struct tg_pipeline *p, struct tg_batch *batch)
{
	tg_moves_apply(&p->moves, p->source);
	p->stored_mono_us = tg_mono_us();
	if (!batch)
		return;
	tg_metric_add(&tg_ingest_metrics[TG_M_BATCHES], 1);
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
	ours = p->moves.generation == tg_source_generation(p->source);
	if (!rc && ours) {
		stored_well(p, batch);
	} else if (batch) {
		/* Stored or not, whoever takes the partitions next reads the truth and publishes.
		 */
		pipeline_give_back(p, batch);
	}
	if (rc == -TG_EFENCED && ours) {
		tg_metric_add(&tg_ingest_metrics[TG_M_FENCED], 1);
		tg_log(TG_WARN, "fenced: another owner has taken over");
		tg_source_rejoin(p->source);
	} else if (rc && ours) {
		tg_source_retake(p->source);
	}
	pipeline_try_take(p);
	flush(p);
}

static void on_pace(uv_timer_t *timer)
{
	flush(tg_container_of(timer, struct tg_pipeline, pace));
}

/* True when the last transaction began a moment ago: what else comes within the pace goes along,
 * since each transaction costs all who take part in it far more than a row more does. */
static bool keeps_pace(struct tg_pipeline *p)
{
	int64_t left_us = p->begun_mono_us + p->conf->ingest_pace_ms * 1000 - tg_mono_us();

	if (left_us <= 0)
		return false;
	uv_timer_start(&p->pace, on_pace, (uint64_t)(left_us + 999) / 1000, 0);
	return true;
}

/* The moment a transaction ends the next begins, with whatever has come meanwhile; after a rest,
 * the moment that something comes. */
static void flush(struct tg_pipeline *p)
{
	struct tg_batch *batch = p->filling;

	if (!batch || tg_batch_empty(batch) || p->storing || p->taking || !tg_sink_up(p->sink))
		return;
	if (!tg_batch_full(batch) && keeps_pace(p))
		return;
	p->begun_mono_us = tg_mono_us();
	p->filling = NULL;
	tg_ingest_stage(TG_STAGE_WAIT, batch->first_mono_us);
	if (tg_moves_plan(&p->moves, p->source, batch) == 0) {
		publish(p, batch); /* all of it was stored before */
		return;
	}
#ifdef TG_BREAK_FORWARD_BEFORE_COMMIT
	tg_forward_early(p->forward, batch);
#endif
	p->flight = batch;
	p->storing = true;
	begin_filling(p);
	tg_sink_store(p->sink, batch, p->moves.items, p->moves.count, on_stored, p);
}

/* What was published moves in a transaction of its own when no batch comes along to carry it. */
void pipeline_note_forwarded(struct tg_pipeline *p)
{
	if (p->storing || p->taking || !tg_source_running(p->source) || !tg_sink_up(p->sink))
		return;
	if (p->filling && !tg_batch_empty(p->filling))
		return;
	if (!tg_moves_plan(&p->moves, p->source, NULL))
		return;
	p->storing = true;
	tg_sink_store(p->sink, NULL, p->moves.items, p->moves.count, on_stored, p);
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
	pipeline_try_take(p);
}

void pipeline_try_take(struct tg_pipeline *p)
{
	const char *topics, *partitions, *starts;

	if (p->taking || p->storing || p->stopping || !tg_source_wants_take(p->source) ||
		!tg_sink_up(p->sink) || !tg_atlas_watch_now(p->city) || !p->floor_known)
		return;
	if (tg_source_take_params(p->source, &topics, &partitions, &starts))
		return; /* out of memory: the next tick tries again */
	p->taking = true;
	p->take_generation = tg_source_generation(p->source);
	tg_sink_take(p->sink, topics, partitions, starts, on_taken, p);
}

static void on_want_take(void *ctx)
{
	pipeline_try_take(ctx);
}

static void on_lost(void *ctx)
{
	struct tg_pipeline *p = ctx;

	if (p->filling)
		pipeline_give_back(p, p->filling);
	p->filling = NULL;
	if (p->storing)
		tg_sink_abort(p->sink);
	tg_forward_drop(p->forward);
	tg_taker_forget(p->taker);
}

static void on_running(void *ctx)
{
	struct tg_pipeline *p = ctx;

	if (tg_moves_reserve(&p->moves, tg_source_count(p->source))) {
		tg_log(TG_ERROR, "partitions given up: out of memory");
		tg_source_retake(p->source);
		return;
	}
	begin_filling(p);
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
		uv_prepare_start(&p->flush, on_flush);
	}
}

/* After a sleep nothing may be said: the partitions may be another's by now. The next tick sees to
 * that. */
void pipeline_say_progress(struct tg_pipeline *p)
{
	if (tg_source_running(p->source) && !p->stopping &&
		tg_mono_us() - p->tick_mono_us < PIPELINE_ASLEEP_US)
		tg_progress_tick(p->source, p->forward, !tg_source_paused(p->source));
}

static void on_end(void *ctx, size_t i)
{
	(void)i;
	pipeline_say_progress(ctx);
}

/* ---- the sink's and forward's events ---- */

static void on_sink_up(void *ctx)
{
	struct tg_pipeline *p = ctx;

	if (p->open)
		return;
	pipeline_try_take(p);
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
	pipeline_give_back(p, batch);
	begin_filling(p);
	pipeline_say_progress(p);
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

static void on_floor(void *ctx, int64_t floor_us)
{
	struct tg_pipeline *p = ctx;

	tg_taker_floor(p->taker, floor_us);
	p->floor_known = true;
	pipeline_try_take(p);
}

void pipeline_on_city(void *ctx)
{
	pipeline_try_take(ctx);
}

void pipeline_step(struct tg_pipeline *p)
{
	pipeline_try_take(p);
	pipeline_recall(p);
	begin_filling(p);
	flush(p);
}

const struct tg_source_ops pipeline_source_ops = {on_want_take, on_lost, pipeline_on_gap,
	on_running, on_record, on_end, pipeline_part_closed};
const struct tg_sink_ops pipeline_sink_ops = {on_sink_up, on_sink_down, part_name};
const struct tg_retention_ops pipeline_retention_ops = {on_floor};
const struct tg_forward_ops pipeline_forward_ops = {on_sent, on_delivered, on_undelivered};
