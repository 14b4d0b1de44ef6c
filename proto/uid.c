#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "proto/codec.h"

#define UID_TIME_BYTES 6
#define UID_HASH_BYTES 10

static size_t put(uint8_t *out, const char *text)
{
	size_t n = strlen(text);

	assert(n <= TG_EVENT_ID_MAX);
	memcpy(out, text, n);
	out[n] = 0;
	return n + 1;
}

static void put_be(uint8_t *out, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

void tg_event_uid(const tg_event_pb *ev, uint8_t ret_uid[16])
{
	uint8_t text[2 * (TG_EVENT_ID_MAX + 1) + 8], hash[16];
	size_t n = 0;

	assert(ev->occurred_at_us >= 0);
	n += put(text, ev->source_id);
	n += put(text + n, ev->event_id);
	put_be(text + n, (uint64_t)ev->occurred_at_us, 8);
	n += 8;
	crypto_generichash(hash, sizeof(hash), text, n, NULL, 0);
	/* Time first: neighbours in time are neighbours in the index, which keeps its hot pages
	 * few. */
	put_be(ret_uid, (uint64_t)ev->occurred_at_us / 1000, UID_TIME_BYTES);
	memcpy(ret_uid + UID_TIME_BYTES, hash, UID_HASH_BYTES);
}
