/* A fast keyed hash for tables in memory: folded 64 × 64 → 128 bit products. It keeps outsiders
 * from aiming collisions only as long as they do not see the key, and is no checksum. */
#ifndef TG_BASE_HASH_H
#define TG_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Drawn at random by its owner. */
struct tg_hash_key {
	uint64_t a, b;
};

static inline uint64_t tg_hash_fold(uint64_t x, uint64_t y)
{
	unsigned __int128 product = (unsigned __int128)x * y;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t tg_hash_16(const uint8_t id[16], const struct tg_hash_key *key)
{
	uint64_t word[2];

	memcpy(word, id, sizeof(word));
	return tg_hash_fold(word[0] ^ key->a, word[1] ^ key->b);
}

static inline uint64_t tg_hash_bytes(
	const void *data, size_t len, uint64_t seed, const struct tg_hash_key *key)
{
	const char *p = data;
	uint64_t h = seed ^ len, word[2];

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(word, p, sizeof(word));
		h = tg_hash_fold(word[0] ^ key->a, word[1] ^ h);
	}
	word[0] = word[1] = 0;
	if (len)
		memcpy(word, p, len);
	return tg_hash_fold(tg_hash_fold(word[0] ^ key->a, word[1] ^ h) ^ key->b, key->a);
}

#endif
