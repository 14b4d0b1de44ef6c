/* One record into the batch: its row or its dead letter, and what is to be published of it. */
#ifndef TG_INGEST_TAKE_H
#define TG_INGEST_TAKE_H

#include "base/conf.h"
#include "ingest/batch.h"
#include "ingest/source.h"

struct tg_taker;

TG_MUST int tg_taker_new(
	const struct tg_conf *conf, int32_t located_partitions, struct tg_taker **ret);
void tg_taker_free(struct tg_taker *taker);
/* What happened before that instant is not stored any more: it is counted and skipped. */
void tg_taker_floor(struct tg_taker *taker, int64_t floor_us);
/* A batch was dropped: what it held is not stored. */
void tg_taker_forget(struct tg_taker *taker);

/* rec stays yours. Negative only when the world failed (memory): the batch may then hold a part of
 * it and must be dropped. */
TG_MUST int tg_take(struct tg_taker *taker, const struct tg_atlas *city, struct tg_batch *batch,
	const struct tg_part *part, size_t part_index, const struct tg_record *rec);

#endif
