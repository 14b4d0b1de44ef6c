#include "ingest/dedupe.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"

#define UIDS_MAX  131072
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

static uint64_t name_hash(const struct tg_dedupe *d, const tg_event_pb *ev)
{
	uint64_t h = tg_hash_bytes(ev->source_id, strlen(ev->source_id), 0, &d->key);

	return tg_hash_bytes(ev->event_id, strlen(ev->event_id), h, &d->key);
}

bool tg_dedupe_add(
	struct tg_dedupe *d, const tg_event_pb *ev, const uint8_t uid[16], bool *ret_reused)
{
	uint64_t name;
	uint32_t tag, *slot;

	*ret_reused = false;
	if (!tg_idset_add(d->uids, uid))
		return false;
	name = name_hash(d, ev);
	tag = (uint32_t)(name >> 32) | 1;
	slot = &d->names[name % NAMES_MAX];
	*ret_reused = *slot == tag;
	*slot = tag;
	return true;
}
