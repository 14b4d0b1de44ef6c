/* Open-addressing hash map from a byte-string key to a pointer, with a capacity limit.
 *
 * Keys are hashed with SipHash under a key drawn at start-up, so outsiders cannot aim collisions.
 * The map copies keys; values are the caller's. Iteration order is unspecified. */
#ifndef TG_BASE_MAP_H
#define TG_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct tg_map;

TG_MUST int tg_map_new(size_t max, struct tg_map **ret); /* max entries; 0 = no limit */
void tg_map_free(struct tg_map *map);                    /* NULL is fine; values are not touched */
size_t tg_map_count(const struct tg_map *map);
void *tg_map_get(const struct tg_map *map, struct tg_slice key); /* NULL when absent */
/* Inserts or replaces. value must not be NULL. -TG_EFULL at max, -TG_ENOMEM. */
TG_MUST int tg_map_put(struct tg_map *map, struct tg_slice key, void *value);
void *tg_map_remove(struct tg_map *map, struct tg_slice key); /* the old value or NULL */
/* *pos starts at 0; NULL at the end. Removing the entry just returned is allowed. */
void *tg_map_next(const struct tg_map *map, size_t *pos, struct tg_slice *ret_key);
void tg_map_clear(struct tg_map *map);

/* A fixed-size set of 16-byte ids that remembers the most recent ones: adding past capacity forgets
 * the oldest half. For "have I stored this uid lately"; a false "no" is allowed, a false "yes"
 * never. */
struct tg_idset;
TG_MUST int tg_idset_new(size_t capacity, struct tg_idset **ret);
void tg_idset_free(struct tg_idset *set);
void tg_idset_clear(struct tg_idset *set);
bool tg_idset_has(const struct tg_idset *set, const uint8_t id[16]);
bool tg_idset_add(struct tg_idset *set, const uint8_t id[16]); /* true if it was new */
/* For who knows an id a little before it is added: the memory that adding will touch is fetched
 * meanwhile. The hash is that of the id, for tg_idset_add_hashed(). */
uint64_t tg_idset_prefetch(const struct tg_idset *set, const uint8_t id[16]);
bool tg_idset_add_hashed(struct tg_idset *set, const uint8_t id[16], uint64_t hash);

#endif
