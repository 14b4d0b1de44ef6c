#include "ingest/dedupe.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"

#define UIDS_MAX  65536
#define NAMES_MAX 65536 /* a power of two: slot = hash modulo */

struct tg_dedupe {
	struct tg_idset *uids;
	struct tg_hash_key key;
	uint32_t names[NAMES_MAX]; /* of (source, event id): the last one that fell on the slot */
};

int tg_dedupe_new(struct tg_dedupe **ret)
{
	struct tg_dedupe *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return -TG_ENOMEM;
	rc = tg_idset_new(UIDS_MAX, &d->uids);
	if (rc) {
		free(d);
		return rc;
	}
	randombytes_buf(&d->key, sizeof(d->key));
	*ret = d;
	return 0;
}

void tg_dedupe_free(struct tg_dedupe *d)
{
	if (!d)
		return;
	tg_idset_free(d->uids);
	free(d);
}

void tg_dedupe_forget(struct tg_dedupe *d)
{
	tg_idset_clear(d->uids);
	memset(d->names, 0, sizeof(d->names));
}

struct tg_sighting tg_dedupe_look(
	const struct tg_dedupe *d, const tg_event_pb *ev, const uint8_t uid[16])
{
	struct tg_sighting seen = {.uid = tg_idset_prefetch(d->uids, uid)};

	seen.name = tg_hash_bytes(ev->source_id, strlen(ev->source_id), 0, &d->key);
	seen.name = tg_hash_bytes(ev->event_id, strlen(ev->event_id), seen.name, &d->key);
	__builtin_prefetch(&d->names[seen.name % NAMES_MAX], 1);
	return seen;
}

bool tg_dedupe_add(struct tg_dedupe *d, const uint8_t uid[16], const struct tg_sighting *seen,
	bool *ret_reused)
{
	uint32_t tag = (uint32_t)(seen->name >> 32) | 1, *slot = &d->names[seen->name % NAMES_MAX];

	*ret_reused = false;
	if (!tg_idset_add_hashed(d->uids, uid, seen->uid))
		return false;
	*ret_reused = *slot == tag;
	*slot = tag;
	return true;
}
