#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_MIN 16

/* Linear probing. A removed entry leaves a tombstone (key set, value NULL), so that removing during
 * a walk moves nothing; tombstones go when the table is next laid out. */
struct entry {
	char *key;
	size_t key_len;
	uint64_t hash;
	void *value;
};

struct tg_map {
	struct entry *slots;
	size_t slots_count; /* a power of two */
	size_t count, dead, max;
};

static char tombstone[1];
static uint8_t hash_key[crypto_shorthash_KEYBYTES];

static void draw_hash_key(void)
{
	int rc = sodium_init();

	assert(rc >= 0);
	(void)rc;
	randombytes_buf(hash_key, sizeof(hash_key));
}

static uint64_t hash_of(const void *data, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t h;

	_Static_assert(crypto_shorthash_BYTES == sizeof(h), "SipHash gives 64 bits");
	pthread_once(&once, draw_hash_key);
	crypto_shorthash((uint8_t *)&h, data, len, hash_key);
	return h;
}

int tg_map_new(size_t max, struct tg_map **ret)
{
	struct tg_map *map = calloc(1, sizeof(*map));

	if (!map)
		return -TG_ENOMEM;
	map->slots = calloc(SLOTS_MIN, sizeof(*map->slots));
	if (!map->slots) {
		free(map);
		return -TG_ENOMEM;
	}
	map->slots_count = SLOTS_MIN;
	map->max = max;
	*ret = map;
	return 0;
}

static void entry_drop(struct entry *e)
{
	if (e->key != tombstone)
		free(e->key);
}

void tg_map_clear(struct tg_map *map)
{
	for (size_t i = 0; i < map->slots_count; i++)
		entry_drop(&map->slots[i]);
	memset(map->slots, 0, map->slots_count * sizeof(*map->slots));
	map->count = map->dead = 0;
}

void tg_map_free(struct tg_map *map)
{
	if (!map)
		return;
	tg_map_clear(map);
	free(map->slots);
	free(map);
}

size_t tg_map_count(const struct tg_map *map)
{
	return map->count;
}

/* The key's slot, or the empty one where it is missing. There is always an empty one. */
static struct entry *map_find(const struct tg_map *map, struct tg_slice key, uint64_t hash)
{
	size_t mask = map->slots_count - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct entry *e = &map->slots[i];

		if (!e->key)
			return e;
		if (e->value && e->hash == hash &&
			tg_slice_eq((struct tg_slice){e->key, e->key_len}, key))
			return e;
	}
}

void *tg_map_get(const struct tg_map *map, struct tg_slice key)
{
	return map_find(map, key, hash_of(key.data, key.len))->value;
}

/* Lays the live entries out anew, with room to double. */
static int map_rehash(struct tg_map *map)
{
	size_t old_count = map->slots_count, n = SLOTS_MIN;
	struct entry *old = map->slots, *slots;

	while (n < map->count * 3)
		n *= 2;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -TG_ENOMEM;
	for (size_t i = 0; i < old_count; i++) {
		size_t at = old[i].hash & (n - 1);

		if (!old[i].value)
			continue;
		while (slots[at].key)
			at = (at + 1) & (n - 1);
		slots[at] = old[i];
	}
	free(old);
	map->slots = slots;
	map->slots_count = n;
	map->dead = 0;
	return 0;
}

int tg_map_put(struct tg_map *map, struct tg_slice key, void *value)
{
	uint64_t hash = hash_of(key.data, key.len);
	struct entry *e = map_find(map, key, hash);
	char *copy;

	assert(value);
	if (e->key) {
		e->value = value;
		return 0;
	}
	if (map->max && map->count >= map->max)
		return -TG_EFULL;
	if ((map->count + map->dead + 1) * 4 > map->slots_count * 3) {
		int rc = map_rehash(map);

		if (rc)
			return rc;
		e = map_find(map, key, hash);
	}
	copy = malloc(key.len ? key.len : 1);
	if (!copy)
		return -TG_ENOMEM;
	if (key.len)
		memcpy(copy, key.data, key.len);
	e->key = copy;
	e->key_len = key.len;
	e->hash = hash;
	e->value = value;
	map->count++;
	return 0;
}

void *tg_map_remove(struct tg_map *map, struct tg_slice key)
{
	struct entry *e = map_find(map, key, hash_of(key.data, key.len));
	void *value = e->value;

	if (!value)
		return NULL;
	free(e->key);
	*e = (struct entry){.key = tombstone};
	map->count--;
	map->dead++;
	return value;
}

void *tg_map_next(const struct tg_map *map, size_t *pos, struct tg_slice *ret_key)
{
	while (*pos < map->slots_count) {
		const struct entry *e = &map->slots[(*pos)++];

		if (!e->value)
			continue;
		if (ret_key)
			*ret_key = (struct tg_slice){e->key, e->key_len};
		return e->value;
	}
	return NULL;
}

#define ID_BYTES 16

/* Two tables of half the capacity: when the young one is full the old one is forgotten and they
 * change places. A slot's tag is 32 bits of the id's hash, 0 where it is free: almost every
 * question is answered by a tag alone, which keeps the memory it touches small. */
struct idtable {
	uint32_t *tags;
	uint8_t (*ids)[ID_BYTES];
	size_t count;
};

struct tg_idset {
	struct idtable young, old;
	size_t half, slots; /* slots: a power of two, at least twice half */
	struct tg_hash_key key;
};

static int idtable_init(struct idtable *t, size_t slots)
{
	t->tags = calloc(slots, sizeof(*t->tags));
	t->ids = calloc(slots, sizeof(*t->ids));
	return t->tags && t->ids ? 0 : -TG_ENOMEM;
}

static void idtable_release(struct idtable *t)
{
	free(t->tags);
	free(t->ids);
}

int tg_idset_new(size_t capacity, struct tg_idset **ret)
{
	struct tg_idset *set = calloc(1, sizeof(*set));

	if (!set)
		return -TG_ENOMEM;
	set->half = capacity < 2 ? 1 : capacity / 2;
	set->slots = SLOTS_MIN;
	while (set->slots < set->half * 2)
		set->slots *= 2;
	if (idtable_init(&set->young, set->slots) || idtable_init(&set->old, set->slots)) {
		tg_idset_free(set);
		return -TG_ENOMEM;
	}
	randombytes_buf(&set->key, sizeof(set->key));
	*ret = set;
	return 0;
}

void tg_idset_free(struct tg_idset *set)
{
	if (!set)
		return;
	idtable_release(&set->young);
	idtable_release(&set->old);
	free(set);
}

static void idtable_clear(struct idtable *t, size_t slots)
{
	memset(t->tags, 0, slots * sizeof(*t->tags));
	t->count = 0;
}

void tg_idset_clear(struct tg_idset *set)
{
	idtable_clear(&set->young, set->slots);
	idtable_clear(&set->old, set->slots);
}

static uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1;
}

/* The id's slot, or the free one where it is missing. */
static size_t idtable_find(
	const struct idtable *t, size_t slots, const uint8_t id[ID_BYTES], uint64_t hash)
{
	const uint32_t tag = tag_of(hash);
	size_t i = hash & (slots - 1);

	while (t->tags[i] && (t->tags[i] != tag || memcmp(t->ids[i], id, ID_BYTES) != 0))
		i = (i + 1) & (slots - 1);
	return i;
}

static bool idtable_has(
	const struct idtable *t, size_t slots, const uint8_t id[ID_BYTES], uint64_t hash)
{
	return t->tags[idtable_find(t, slots, id, hash)] != 0;
}

bool tg_idset_has(const struct tg_idset *set, const uint8_t id[16])
{
	uint64_t hash = tg_hash_16(id, &set->key);

	return idtable_has(&set->young, set->slots, id, hash) ||
	       idtable_has(&set->old, set->slots, id, hash);
}

uint64_t tg_idset_prefetch(const struct tg_idset *set, const uint8_t id[16])
{
	uint64_t hash = tg_hash_16(id, &set->key);
	size_t at = hash & (set->slots - 1);

	__builtin_prefetch(&set->young.tags[at], 1);
	__builtin_prefetch(&set->young.ids[at], 1);
	__builtin_prefetch(&set->old.tags[at]);
	return hash;
}

bool tg_idset_add(struct tg_idset *set, const uint8_t id[16])
{
	return tg_idset_add_hashed(set, id, tg_hash_16(id, &set->key));
}

bool tg_idset_add_hashed(struct tg_idset *set, const uint8_t id[16], uint64_t hash)
{
	size_t at = idtable_find(&set->young, set->slots, id, hash);

	if (set->young.tags[at] || idtable_has(&set->old, set->slots, id, hash))
		return false;
	if (set->young.count == set->half) {
		struct idtable t = set->old;

		idtable_clear(&t, set->slots);
		set->old = set->young;
		set->young = t;
		at = idtable_find(&set->young, set->slots, id, hash);
	}
	set->young.tags[at] = tag_of(hash);
	memcpy(set->young.ids[at], id, ID_BYTES);
	set->young.count++;
	return true;
}
