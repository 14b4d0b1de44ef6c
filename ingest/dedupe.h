/* What was stored lately, so that a resend costs no unique violation. A hint: the table's unique
 * index decides. */
#ifndef TG_INGEST_DEDUPE_H
#define TG_INGEST_DEDUPE_H

#include "proto/codec.h"

struct tg_dedupe;

TG_MUST int tg_dedupe_new(struct tg_dedupe **ret);
void tg_dedupe_free(struct tg_dedupe *d);
/* Call when a batch was dropped: what it held is not stored. */
void tg_dedupe_forget(struct tg_dedupe *d);
/* False when that uid was seen before. *ret_reused: new, but the same source gave that event id
 * another time. */
bool tg_dedupe_add(
	struct tg_dedupe *d, const tg_event_pb *ev, const uint8_t uid[16], bool *ret_reused);

#endif
