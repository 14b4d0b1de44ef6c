/* Which rows of tongguan.source_offset a transaction moves, and from what to what. */
#ifndef TG_INGEST_MOVES_H
#define TG_INGEST_MOVES_H

#include "ingest/batch.h"
#include "ingest/sink.h"
#include "ingest/source.h"

struct tg_moves {
	struct tg_move *items;
	size_t *parts; /* of each item: its index in the source */
	size_t count, cap;
	unsigned generation;
};

/* Once an assignment: room for so many partitions. */
TG_MUST int tg_moves_reserve(struct tg_moves *moves, size_t partitions);
/* Rows that the batch (NULL: none) carries on, and those published further since the last
 * transaction. Returns how many. */
size_t tg_moves_plan(
	struct tg_moves *moves, struct tg_source *source, const struct tg_batch *batch);
/* After the commit: the source knows what the database holds. */
void tg_moves_apply(const struct tg_moves *moves, struct tg_source *source);
void tg_moves_release(struct tg_moves *moves);

#endif
