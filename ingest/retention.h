/* How long events are kept: drops partitions that are old enough, makes those that come, and knows
 * the floor below which nothing is stored any more. And has what was stored summarised by time.
 *
 * Any number of processes may run it: the database lets one at a time drop. It works on a
 * connection of its own, so storing never waits for it; dropping wants a lock on all events and
 * waits for it at most ingest.retention_wait_ms at a time, since writers wait behind it. */
#ifndef TG_INGEST_RETENTION_H
#define TG_INGEST_RETENTION_H

#include <uv.h>

#include "base/conf.h"

struct tg_retention;

struct tg_retention_ops {
	/* The floor is known, for the first time or anew: µs since 1970, INT64_MIN while no
	 * partition was ever dropped. Nothing must be stored before the first call. */
	void (*on_floor)(void *ctx, int64_t floor_us);
};

TG_MUST int tg_retention_open(uv_loop_t *loop, const struct tg_conf *conf,
	const struct tg_retention_ops *ops, void *ctx, struct tg_retention **ret);
void tg_retention_close(struct tg_retention *r, void (*closed)(void *ctx), void *ctx);

#endif
