/* The database side: one transaction at a time stores a batch and moves its offsets by
 * compare-and-set.
 *
 * A refusal by the server is rolled back and tried again after a pause, for as long as it takes. A
 * unique violation sends the batch, and the next ones, through a staging table. A connection that
 * breaks leaves open whether the COMMIT took effect: the answer is -TG_ECLOSED and the caller takes
 * its partitions anew, which reads the truth. */
#ifndef TG_INGEST_SINK_H
#define TG_INGEST_SINK_H

#include <uv.h>

#include "base/conf.h"
#include "base/io/pg.h"
#include "ingest/deadletter.h"

/* One row of tongguan.source_offset, from what it must be to what it becomes. */
struct tg_move {
	int32_t id;
	int64_t epoch, old_next, old_forwarded, next, forwarded;
};

struct tg_sink;

struct tg_sink_ops {
	void (*on_up)(void *ctx);   /* connected, idle */
	void (*on_down)(void *ctx); /* every callback has been answered */
	tg_part_name part_name;
};

TG_MUST int tg_sink_open(uv_loop_t *loop, const struct tg_conf *conf, const struct tg_sink_ops *ops,
	void *ctx, struct tg_sink **ret);
bool tg_sink_up(const struct tg_sink *sink);
bool tg_sink_idle(const struct tg_sink *sink); /* no transaction under way */
const char *tg_sink_trouble(
	const struct tg_sink *sink); /* what is being retried now; NULL: nothing */

/* 0 stored. -TG_EFENCED: another owner has the partitions, or tg_sink_abort(). -TG_ECLOSED:
 * unknown. */
typedef void (*tg_sink_cb)(void *ctx, int rc);
/* The sink must be idle. batch stays yours, unchanged until cb; moves are copied. batch NULL: only
 * the offsets. */
void tg_sink_store(struct tg_sink *sink, const struct tg_batch *batch, const struct tg_move *moves,
	size_t n, tg_sink_cb cb, void *ctx);
/* What is not yet committing is rolled back. */
void tg_sink_abort(struct tg_sink *sink);

/* Now and then: a server that holds a transaction up without end is given up and asked anew. */
void tg_sink_watch(struct tg_sink *sink);

/* Take partitions: rows topic, partition, id, next, forwarded, epoch, dead. The sink must be idle.
 */
void tg_sink_take(struct tg_sink *sink, const char *topics, const char *partitions,
	const char *starts, tg_pg_cb cb, void *ctx);
/* One statement with an answer, outside any transaction of ours. The sink must be idle. */
void tg_sink_ask(struct tg_sink *sink, const char *sql, const char *const *params, int n,
	tg_pg_cb cb, void *ctx);
void tg_sink_close(struct tg_sink *sink, void (*closed)(void *ctx), void *ctx);

#endif
