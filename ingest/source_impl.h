/* What the source*.c files share. Not for anybody else. */
#ifndef TG_INGEST_SOURCE_IMPL_H
#define TG_INGEST_SOURCE_IMPL_H

#include "ingest/source.h"

#define SOURCE_PARAMS 3 /* of tongguan.offsets_take() */

enum source_state { SOURCE_NONE, SOURCE_LOOKING, SOURCE_WANTS_TAKE, SOURCE_GAPS, SOURCE_RUNNING };

struct tg_source {
	struct tg_consumer *consumer;
	struct tg_source_ops ops;
	void *ctx;
	char *topics_text;
	enum source_state state;
	bool joined, paused, closing;
	unsigned generation;
	struct tg_part *parts;
	size_t count, last;
	size_t looking; /* answers still open */
	bool look_failed;
	uv_timer_t again;
	struct tg_buf params[SOURCE_PARAMS];
};

/* The partition's index; count when it is not ours. */
size_t source_find(struct tg_source *s, const char *topic, int32_t partition);

/* source_take.c: one row of the answer of tongguan.offsets_take(). */
TG_MUST int source_read_row(struct tg_source *s, const PGresult *res, int row);

#endif
