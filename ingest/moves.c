#include "ingest/moves.h"

#include <assert.h>
#include <stdlib.h>

int tg_moves_reserve(struct tg_moves *moves, size_t n)
{
	struct tg_move *items;
	size_t *parts;

	if (n <= moves->cap)
		return 0;
	items = reallocarray(moves->items, n, sizeof(*items));
	if (items)
		moves->items = items;
	parts = reallocarray(moves->parts, n, sizeof(*parts));
	if (parts)
		moves->parts = parts;
	if (!items || !parts)
		return -TG_ENOMEM;
	moves->cap = n;
	return 0;
}

static struct tg_move plan(const struct tg_part *part, const struct tg_span *span)
{
	struct tg_move m = {
		part->id, part->epoch, part->next, part->forwarded, part->next, part->forwarded};

	if (span && span->next > m.next)
		m.next = span->next;
	if (part->done_pos > m.forwarded)
		m.forwarded = part->done_pos < m.next ? part->done_pos : m.next;
	return m;
}

size_t tg_moves_plan(struct tg_moves *moves, struct tg_source *source, const struct tg_batch *batch)
{
	moves->count = 0;
	moves->generation = tg_source_generation(source);
	assert(moves->cap >= tg_source_count(source));
	for (size_t i = 0; i < tg_source_count(source); i++) {
		struct tg_move m = plan(tg_source_part(source, i), batch ? &batch->spans[i] : NULL);

		if (m.next == m.old_next && m.forwarded == m.old_forwarded)
			continue;
		moves->parts[moves->count] = i;
		moves->items[moves->count++] = m;
	}
	return moves->count;
}

void tg_moves_apply(const struct tg_moves *moves, struct tg_source *source)
{
	for (size_t i = 0; i < moves->count; i++) {
		struct tg_part *part = tg_source_part(source, moves->parts[i]);

		part->next = moves->items[i].next;
		part->forwarded = moves->items[i].forwarded;
	}
}

void tg_moves_release(struct tg_moves *moves)
{
	free(moves->items);
	free(moves->parts);
	*moves = (struct tg_moves){0};
}
