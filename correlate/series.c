#include "correlate/series.h"

#include <stdlib.h>
#include <string.h>

void tg_series_release(struct tg_series *s)
{
	free(s->words);
	free(s->spans.items);
}

int tg_word_order(const struct tg_word *a, const struct tg_word *b)
{
	if (a->event_us != b->event_us)
		return a->event_us < b->event_us ? -1 : 1;
	return memcmp(a->uid, b->uid, sizeof(a->uid));
}

uint32_t tg_series_at(const struct tg_series *s, int64_t event_us)
{
	uint32_t low = 0, high = s->len;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (s->words[mid].event_us < event_us)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool grow(struct tg_series *s)
{
	uint32_t cap = s->cap ? s->cap * 2 : 4;
	struct tg_word *words = realloc(s->words, cap * sizeof(*words));

	if (!words)
		return false;
	s->words = words;
	s->cap = cap;
	return true;
}

enum tg_put tg_series_put(struct tg_series *s, const struct tg_word *word, uint32_t *ret_at)
{
	uint32_t at = s->len;

	if (word->event_us < s->base_us)
		return TG_PUT_SETTLED;
	if (at && tg_word_order(&s->words[at - 1], word) >= 0) {
		at = tg_series_at(s, word->event_us);
		while (at < s->len && tg_word_order(&s->words[at], word) < 0)
			at++;
		if (at < s->len && tg_word_order(&s->words[at], word) == 0)
			return TG_PUT_REPEAT;
	}
	if (s->len == s->cap && !grow(s))
		return TG_PUT_NO_MEMORY;
	memmove(s->words + at + 1, s->words + at, (s->len - at) * sizeof(*s->words));
	s->words[at] = *word;
	s->len++;
	*ret_at = at;
	return TG_PUT_TAKEN;
}

void tg_series_cut(struct tg_series *s, uint32_t from, uint32_t to)
{
	if (from == to)
		return;
	memmove(s->words + from, s->words + to, (s->len - to) * sizeof(*s->words));
	s->len -= to - from;
}

struct tg_span *tg_spans_add(struct tg_spans *spans)
{
	if (spans->len == spans->cap) {
		uint32_t cap = spans->cap ? spans->cap * 2 : 2;
		struct tg_span *items = realloc(spans->items, cap * sizeof(*items));

		if (!items)
			return NULL;
		spans->items = items;
		spans->cap = cap;
	}
	spans->items[spans->len] = (struct tg_span){0};
	return &spans->items[spans->len++];
}
