/* Bump allocator emptied once per batch. Memory from it is aligned to 16 bytes and lives until
 * tg_arena_reset(); blocks are kept for the next round, so a warm arena never calls malloc. */
#ifndef TG_BASE_ARENA_H
#define TG_BASE_ARENA_H

#include <stddef.h>

#include "base/buf.h"

struct tg_arena_block;

struct tg_arena {
	struct tg_arena_block *first, *now;
	size_t block_bytes; /* set by init */
	size_t used, max;   /* bytes handed out since reset; limit */
};

void tg_arena_init(struct tg_arena *arena, size_t block_bytes, size_t max);
void tg_arena_release(struct tg_arena *arena);
void tg_arena_reset(struct tg_arena *arena);
/* NULL when max would be passed or memory is out. n = 0 gives a valid pointer. */
void *tg_arena_alloc(struct tg_arena *arena, size_t n);
/* NUL-terminated copy; NULL as above. */
char *tg_arena_strdup(struct tg_arena *arena, const char *data, size_t len);

#endif
