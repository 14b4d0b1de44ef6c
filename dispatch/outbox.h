/* Committed order: one leased publisher numbers committed outbox rows as pos and sends them to
 * tongguan.case.events; every dispatcher's live stream tails pos > last. Polls every 20 ms. Woken
 * in-process it turns at once after a rest, else 20 ms after the last turn began. */
#ifndef TG_DISPATCH_OUTBOX_H
#define TG_DISPATCH_OUTBOX_H

#include <stdint.h>

#include "base/buf.h"

struct tg_dispatch;
struct tg_outbox;

struct tg_outbox_row {
	int64_t pos;
	struct tg_slice kind; /* case, task, incident */
	struct tg_slice json; /* the message of case.events: object id, version, state, action,
				 actor, at, seq, pos … */
};

/* Called on the loop for every row in order of pos, once per dispatcher process. */
typedef void (*tg_outbox_on_row)(void *ctx, const struct tg_outbox_row *row);

TG_MUST int tg_outbox_open(struct tg_dispatch *d, struct tg_outbox **ret);
void tg_outbox_subscribe(struct tg_outbox *ob, tg_outbox_on_row on_row, void *ctx);
void tg_outbox_wake(struct tg_outbox *ob); /* a transaction of this process has committed rows */
int64_t tg_outbox_last(const struct tg_outbox *ob); /* highest pos tailed so far */
void tg_outbox_close(struct tg_outbox *ob, void (*closed)(void *ctx), void *ctx);

#endif
