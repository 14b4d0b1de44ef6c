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
/* Where an event's uid and its name (source, event id) would stand. Asked for as soon as they are
 * known, so that the memory is at hand when it is added. */
struct tg_sighting {
	uint64_t uid, name;
};
struct tg_sighting tg_dedupe_look(
	const struct tg_dedupe *d, const tg_event_pb *ev, const uint8_t uid[16]);
/* False when that uid was seen before. *ret_reused: new, but the same source gave that event id
 * another time. */
bool tg_dedupe_add(struct tg_dedupe *d, const uint8_t uid[16], const struct tg_sighting *seen,
	bool *ret_reused);

#endif
