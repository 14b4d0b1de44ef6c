/* Anchors: while this process publishes, the newest entry of every case with news goes into one
 * hash, every dispatch.anchor_s seconds, into a table and into tongguan.audit.anchors. What is
 * hashed is in docs/interfaces.md; it is computed in the database (schema/0020_anchors.sql). */
#ifndef TG_DISPATCH_ANCHOR_H
#define TG_DISPATCH_ANCHOR_H

#include <stdint.h>

#include "base/buf.h"

struct tg_anchor;
struct tg_dispatch;
struct tg_producer;

/* me: the holder's name, and the producer; both are the outbox's and outlive this. */
TG_MUST int tg_anchor_open(struct tg_dispatch *d, const char *me, struct tg_producer *producer,
	struct tg_anchor **ret);
/* Which lease we hold; 0: none. */
void tg_anchor_lead(struct tg_anchor *a, int64_t epoch);
/* The tags of our messages, so that they can share a producer. */
#define TG_ANCHOR_TAG (UINT64_C(1) << 63)
void tg_anchor_delivered(struct tg_anchor *a, uint64_t tag, int rc);
/* Asks no more; closed when nothing is under way. Then tg_anchor_free(), once the producer is
 * closed. */
void tg_anchor_close(struct tg_anchor *a, void (*closed)(void *ctx), void *ctx);
void tg_anchor_free(struct tg_anchor *a);

#endif
