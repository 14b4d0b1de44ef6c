/* After the commit: what a batch holds goes to its topics, and when Kafka has acknowledged all of
 * it the offsets may be called forwarded. Batches go out in order, a slice a turn of the loop, so
 * that a COPY is fed meanwhile. */
#ifndef TG_INGEST_FORWARD_H
#define TG_INGEST_FORWARD_H

#include <uv.h>

#include "base/conf.h"
#include "ingest/batch.h"

struct tg_forward;

struct tg_forward_ops {
	/* All messages of the batch were handed over (in order; delivery is still open). The batch
	 * is yours again. */
	void (*on_sent)(void *ctx, struct tg_batch *batch);
	/* Everything up to these offsets has been delivered. spans of the same generation's
	 * partitions. */
	void (*on_delivered)(void *ctx, unsigned generation, const struct tg_span *spans, size_t n);
	/* Something of that generation was refused and must be published again. */
	void (*on_undelivered)(void *ctx, unsigned generation);
};

TG_MUST int tg_forward_open(uv_loop_t *loop, const struct tg_conf *conf,
	const struct tg_forward_ops *ops, void *ctx, struct tg_forward **ret);
/* Blocking, at start-up: how many partitions events.located has; negative when it cannot be told.
 */
int tg_forward_partitions(struct tg_forward *fw);
void tg_forward_send(struct tg_forward *fw, struct tg_batch *batch);
#ifdef TG_BREAK_FORWARD_BEFORE_COMMIT
void tg_forward_early(struct tg_forward *fw, const struct tg_batch *batch);
#endif
/* Batches not yet handed over are given back by on_sent without being sent: their assignment is
 * gone. */
void tg_forward_drop(struct tg_forward *fw);
/* Now and then, for what the producer refused for a reason that passes without a delivery. */
void tg_forward_nudge(struct tg_forward *fw);
bool tg_forward_idle(const struct tg_forward *fw); /* nothing queued, nothing in flight */
/* One progress record to every partition of events.located: source partition has nothing older than
 * progress_us. After all that was handed over before. -TG_EFULL: not sent, or not to all. */
TG_MUST int tg_forward_progress(
	struct tg_forward *fw, const char *topic, int32_t partition, int64_t progress_us);
/* Waits a little for what is in flight. */
void tg_forward_close(struct tg_forward *fw, void (*closed)(void *ctx), void *ctx);

#endif
