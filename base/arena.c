#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define poison(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define poison(p, n)   ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN 16

struct tg_arena_block {
	struct tg_arena_block *next;
	size_t used, cap;
	alignas(ALIGN) char data[];
};

void tg_arena_init(struct tg_arena *arena, size_t block_bytes, size_t max)
{
	assert(block_bytes > 0);
	assert(max > 0);
	*arena = (struct tg_arena){.block_bytes = block_bytes, .max = max};
}

void tg_arena_release(struct tg_arena *arena)
{
	struct tg_arena_block *b = arena->first;

	while (b) {
		struct tg_arena_block *next = b->next;

		unpoison(b->data, b->cap);
		free(b);
		b = next;
	}
	arena->first = arena->now = NULL;
	arena->used = 0;
}

void tg_arena_reset(struct tg_arena *arena)
{
	for (struct tg_arena_block *b = arena->first; b; b = b->next) {
		b->used = 0;
		poison(b->data, b->cap); /* use after reset is found where it happens */
	}
	arena->now = arena->first;
	arena->used = 0;
}

/* A block with n free bytes becomes the current one: the next kept block when it is large enough,
 * else a new one put before it. */
static struct tg_arena_block *arena_block(struct tg_arena *arena, size_t n)
{
	struct tg_arena_block *now = arena->now, *b;
	size_t cap = n > arena->block_bytes ? n : arena->block_bytes;

	if (now && now->next && now->next->cap >= n) {
		arena->now = now->next;
		return arena->now;
	}
	if (cap > SIZE_MAX - sizeof(*b))
		return NULL;
	b = malloc(sizeof(*b) + cap);
	if (!b)
		return NULL;
	b->used = 0;
	b->cap = cap;
	b->next = now ? now->next : arena->first;
	if (now)
		now->next = b;
	else
		arena->first = b;
	arena->now = b;
	poison(b->data, b->cap);
	return b;
}

void *tg_arena_alloc(struct tg_arena *arena, size_t n)
{
	struct tg_arena_block *b = arena->now;
	size_t bytes;
	void *p;

	if (n > SIZE_MAX - ALIGN)
		return NULL;
	bytes = n ? (n + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
	if (bytes > arena->max - arena->used)
		return NULL;
	if (!b || b->cap - b->used < bytes)
		b = arena_block(arena, bytes);
	if (!b)
		return NULL;
	p = b->data + b->used;
	b->used += bytes;
	arena->used += bytes;
	unpoison(p, n);
	return p;
}

char *tg_arena_strdup(struct tg_arena *arena, const char *data, size_t len)
{
	char *p = len < SIZE_MAX ? tg_arena_alloc(arena, len + 1) : NULL;

	if (!p)
		return NULL;
	if (len)
		memcpy(p, data, len);
	p[len] = '\0';
	return p;
}
