/* The pipeline's life: opening, the tick, whether it is ready, and an orderly end. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "ingest/pipeline_impl.h"

#define TICK_MS         50
#define REPORT_EVERY    100 /* ticks */
#define IDLE_FORWARD_US 100000
#define STOP_WAIT_TICKS 100 /* 5 s: in all less than the service's own limit */

static void close_parts(struct tg_pipeline *p);

static void run(struct tg_pipeline *p, int64_t mono_us)
{
	pipeline_step(p);
	tg_sink_watch(p->sink);
	tg_forward_nudge(p->forward);
	if (mono_us - p->stored_mono_us >= IDLE_FORWARD_US)
		pipeline_note_forwarded(p);
	pipeline_say_progress(p);
	if (p->ticks++ % REPORT_EVERY == 0)
		tg_source_report(p->source);
}

static void stop_step(struct tg_pipeline *p)
{
	bool quiet = !p->storing && !p->taking && tg_forward_idle(p->forward);

	tg_forward_nudge(p->forward);
	if (quiet)
		pipeline_note_forwarded(p);
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
	if (asleep_us > PIPELINE_ASLEEP_US && tg_source_running(p->source)) {
		tg_log(TG_WARN, "slept, joining again", TG_F("ms", TG_I(asleep_us / 1000)));
		tg_source_rejoin(p->source);
	}
	run(p, mono_us);
}

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
	if (missing && tg_buf_add_cstr(why, missing))
		return false; /* that it is not ready is said even when memory does not allow why */
	return !missing;
}

static int open_parts(struct tg_pipeline *p, const struct tg_conf *conf)
{
	int rc = 0, partitions;

	for (int i = 0; !rc && i < PIPELINE_BATCHES; i++) {
		rc = tg_batch_new((size_t)conf->ingest_batch_rows, (size_t)conf->ingest_batch_bytes,
			&p->batches[i]);
		if (!rc)
			pipeline_give_back(p, p->batches[i]);
	}
	if (!rc)
		rc = tg_forward_open(p->loop, conf, &pipeline_forward_ops, p, &p->forward);
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
		rc = tg_sink_open(p->loop, conf, &pipeline_sink_ops, p, &p->sink);
	if (!rc)
		rc = tg_atlas_watch_open(
			p->loop, conf->postgres_url, pipeline_on_city, p, &p->city);
	if (!rc)
		rc = tg_retention_open(p->loop, conf, &pipeline_retention_ops, p, &p->retention);
	return rc;
}

int tg_pipeline_open(uv_loop_t *loop, const struct tg_conf *conf, struct tg_pipeline **ret)
{
	const struct tg_source_conf source = {
		conf->kafka_brokers, conf->ingest_group, conf->kafka_topics, conf->ingest_listen};
	struct tg_pipeline *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -TG_ENOMEM;
	p->loop = loop;
	p->conf = conf;
	p->tick_mono_us = tg_mono_us();
	pipeline_recall_init(p);
	rc = open_parts(p, conf);
	if (!rc)
		rc = tg_source_open(loop, &source, &pipeline_source_ops, p, &p->source);
	if (rc)
		return rc; /* the process ends: what was opened ends with it */
	uv_prepare_init(loop, &p->flush);
	uv_timer_init(loop, &p->again);
	uv_timer_init(loop, &p->pace);
	uv_timer_init(loop, &p->tick);
	uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
	*ret = p;
	return 0;
}

void pipeline_part_closed(void *ctx)
{
	struct tg_pipeline *p = ctx;

	if (--p->open)
		return;
	for (int i = 0; i < PIPELINE_BATCHES; i++)
		tg_batch_free(p->batches[i]);
	tg_arena_release(&p->recall);
	tg_taker_free(p->taker);
	tg_moves_release(&p->moves);
	p->closed(p->closed_ctx);
	free(p);
}

static void on_handle_closed(uv_handle_t *handle)
{
	pipeline_part_closed(handle->data);
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
	p->open = 9;
	close_handle(p, (uv_handle_t *)&p->flush);
	close_handle(p, (uv_handle_t *)&p->tick);
	close_handle(p, (uv_handle_t *)&p->again);
	close_handle(p, (uv_handle_t *)&p->pace);
	tg_source_close(p->source);
	tg_retention_close(p->retention, pipeline_part_closed, p);
	tg_sink_close(p->sink, pipeline_part_closed, p);
	tg_forward_close(p->forward, pipeline_part_closed, p);
	tg_atlas_watch_close(p->city, pipeline_part_closed, p);
}

void tg_pipeline_close(struct tg_pipeline *p, void (*closed)(void *ctx), void *ctx)
{
	p->closed = closed;
	p->closed_ctx = ctx;
	p->stopping = true;
	/* What was read and not yet sent is read again by whoever comes next. */
	tg_source_pause(p->source);
	if (p->filling)
		pipeline_give_back(p, p->filling);
	p->filling = NULL;
}
