/* What the pipeline*.c files share. Not for anybody else. */
#ifndef TG_INGEST_PIPELINE_IMPL_H
#define TG_INGEST_PIPELINE_IMPL_H

#include "ingest/city.h"
#include "ingest/forward.h"
#include "ingest/moves.h"
#include "ingest/pipeline.h"
#include "ingest/retention.h"
#include "ingest/sink.h"
#include "ingest/source.h"
#include "ingest/take.h"

#define PIPELINE_BATCHES   3 /* filling, in flight, being published */
#define PIPELINE_ASLEEP_US INT64_C(5000000)

struct tg_pipeline {
	uv_loop_t *loop;
	const struct tg_conf *conf;
	struct tg_source *source;
	struct tg_sink *sink;
	struct tg_forward *forward;
	struct tg_atlas_watch *city;
	struct tg_taker *taker;
	struct tg_retention *retention;
	bool floor_known;

	struct tg_batch *batches[PIPELINE_BATCHES];
	struct tg_batch *spare[PIPELINE_BATCHES];
	size_t spare_count;
	struct tg_batch *filling, *flight;
	bool storing;          /* the sink has a transaction of ours */
	struct tg_moves moves; /* of that transaction */
	bool taking;
	unsigned take_generation;
	struct tg_arena recall; /* a page of what the log no longer has */
	int64_t recall_mono_us; /* not before */

	uv_prepare_t flush;
	uv_timer_t tick, again, pace;
	int64_t tick_mono_us, stored_mono_us, begun_mono_us; /* of the last transaction with rows */
	unsigned ticks;

	bool stopping;
	int stop_ticks;
	int open; /* parts that still have to close */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* pipeline.c: what the parts call */
extern const struct tg_source_ops pipeline_source_ops; /* but on_closed */
extern const struct tg_sink_ops pipeline_sink_ops;
extern const struct tg_forward_ops pipeline_forward_ops;
extern const struct tg_retention_ops pipeline_retention_ops;
void pipeline_on_city(void *ctx);
void pipeline_give_back(struct tg_pipeline *p, struct tg_batch *batch);
/* Everything that may have become possible since. */
void pipeline_step(struct tg_pipeline *p);
void pipeline_try_take(struct tg_pipeline *p);
void pipeline_note_forwarded(struct tg_pipeline *p);
void pipeline_say_progress(struct tg_pipeline *p);

/* pipeline_gaps.c */
void pipeline_on_gap(void *ctx);
/* The next page of what is due and not in the log any more, when that can be asked now. */
void pipeline_recall(struct tg_pipeline *p);
void pipeline_recall_init(struct tg_pipeline *p);

/* pipeline_life.c */
void pipeline_part_closed(void *ctx);

#endif
