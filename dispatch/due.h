/* Clocks that run out. The levels still to fire lie in the database; this only wakes up: at the
 * nearest known instant, and at least once a second, since another dispatcher may have written an
 * earlier one. Any number of dispatchers may run. */
#ifndef TG_DISPATCH_DUE_H
#define TG_DISPATCH_DUE_H

#include "base/buf.h"

struct tg_dispatch;
struct tg_due;

TG_MUST int tg_due_open(struct tg_dispatch *d, struct tg_due **ret);
/* This process has committed clocks: look again. NULL is fine. */
void tg_due_wake(struct tg_due *due);
void tg_due_close(struct tg_due *due, void (*closed)(void *ctx), void *ctx);

#endif
