/* What a partition's log no longer has and the tables do: rows of tongguan.event and of
 * tongguan.dead_letter as the records they came from, to be published like any that is read again.
 */
#ifndef TG_INGEST_RECALL_H
#define TG_INGEST_RECALL_H

#include "base/arena.h"
#include "base/io/kafka.h"
#include "base/io/pg.h"

/* One row of schema/queries/ingest_recall.sql. An event's value is its JSON form, contact masked; a
 * dead letter's is what was refused. ret lives in the arena; topic and partition are left to the
 * caller. -TG_EFULL: the arena is. -TG_EPARSE: no row of that statement. */
TG_MUST int tg_recall_record(
	struct tg_arena *arena, const PGresult *res, int row, struct tg_record *ret);

#endif
