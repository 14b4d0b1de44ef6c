/* Incidents → cases: consumes tongguan.incidents and opens at most one case per incident; what
 * becomes of the incident afterwards is noted in its case. Offsets move in the transaction that
 * stores what was read, so a repeated message finds its revision already seen. */
#ifndef TG_DISPATCH_INTAKE_H
#define TG_DISPATCH_INTAKE_H

#include "base/buf.h"

struct tg_dispatch;
struct tg_intake;

TG_MUST int tg_intake_open(struct tg_dispatch *d, struct tg_intake **ret);
bool tg_intake_connected(const struct tg_intake *in);
/* Finishes the batch in flight. */
void tg_intake_close(struct tg_intake *in, void (*closed)(void *ctx), void *ctx);

#endif
