#include <stdlib.h>
#include <string.h>

#include "correlate/book.h"

#define KEY_LEN (sizeof(uint32_t) + 16)

int tg_book_init(struct tg_book *book)
{
	*book = (struct tg_book){0};
	return tg_map_new(0, &book->by_event);
}

static void span_free(struct tg_book_span *s)
{
	free(s->source);
	free(s->area);
	free(s->members);
}

void tg_book_release(struct tg_book *book)
{
	for (size_t i = 0; i < book->spans_len; i++)
		span_free(&book->spans[i]);
	free(book->spans);
	for (size_t i = 0; i < book->len; i++) {
		free(book->entries[i]->members);
		free(book->entries[i]);
	}
	free(book->entries);
	tg_map_free(book->by_event);
	*book = (struct tg_book){0};
}

static struct tg_slice key_of(uint32_t rule, const uint8_t uid[16], char out[KEY_LEN])
{
	memcpy(out, &rule, sizeof(rule));
	memcpy(out + sizeof(rule), uid, 16);
	return (struct tg_slice){out, KEY_LEN};
}

static struct tg_entry *raise_entry(struct tg_book *book, uint32_t rule)
{
	struct tg_entry *e = calloc(1, sizeof(*e));

	if (e && book->len == book->cap) {
		size_t cap = book->cap ? book->cap * 2 : 64;
		struct tg_entry **entries = realloc(book->entries, cap * sizeof(struct tg_entry *));

		if (!entries) {
			free(e);
			return NULL;
		}
		book->entries = entries;
		book->cap = cap;
	}
	if (!e)
		return NULL;
	*e = (struct tg_entry){.rule = rule, .first_us = INT64_MAX, .last_us = INT64_MIN};
	book->entries[book->len++] = e;
	return e;
}

static int add_member(struct tg_book *book, struct tg_entry *e, const struct tg_seen *seen)
{
	char key[KEY_LEN];

	if (e->len == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 8;
		struct tg_seen *members = realloc(e->members, cap * sizeof(*members));

		if (!members)
			return -TG_ENOMEM;
		e->members = members;
		e->cap = cap;
	}
	e->members[e->len++] = *seen;
	if (seen->event_us < e->first_us)
		e->first_us = seen->event_us;
	if (seen->event_us > e->last_us) {
		e->last_us = seen->event_us;
		e->cleared = false;
	}
	return tg_map_put(book->by_event, key_of(e->rule, seen->uid, key), e);
}

static int merge(struct tg_book *book, struct tg_entry *kept, struct tg_entry *gone)
{
	int rc = 0;

	for (size_t i = 0; i < gone->len && !rc; i++)
		rc = add_member(book, kept, &gone->members[i]);
	gone->merged = true;
	gone->len = 0;
	return rc;
}

static struct tg_entry *entry_of(const struct tg_book *book, uint32_t rule, const uint8_t uid[16])
{
	char key[KEY_LEN];

	return tg_map_get(book->by_event, key_of(rule, uid, key));
}

static int apply_member(
	struct tg_book *book, struct tg_entry **e, uint32_t rule, const struct tg_seen *seen)
{
	struct tg_entry *known = entry_of(book, rule, seen->uid);

	if (!known)
		return add_member(book, *e, seen);
	for (size_t i = 0; i < known->len && seen->core; i++)
		if (memcmp(known->members[i].uid, seen->uid, 16) == 0)
			known->members[i].core = true;
	if (known == *e)
		return 0;
	if (known->first_us < (*e)->first_us) {
		struct tg_entry *swap = *e;

		*e = known;
		known = swap;
	}
	return merge(book, *e, known);
}

static int apply_group(struct tg_book *book, const struct tg_findings *f, uint32_t head)
{
	uint32_t rule = f->nodes[head].rule;
	struct tg_entry *e = NULL;
	int rc = 0;

	for (uint32_t at = head; at != TG_SEQ_NONE && !e; at = f->nodes[at].next)
		e = entry_of(book, rule, f->nodes[at].seen.uid);
	if (!e)
		e = raise_entry(book, rule);
	if (!e)
		return -TG_ENOMEM;
	for (uint32_t at = head; at != TG_SEQ_NONE && !rc; at = f->nodes[at].next)
		rc = apply_member(book, &e, rule, &f->nodes[at].seen);
	return rc;
}

static struct tg_book_span *add_span(struct tg_book *book, const struct tg_story *story)
{
	struct tg_book_span *s;

	if (book->spans_len == book->spans_cap) {
		size_t cap = book->spans_cap ? book->spans_cap * 2 : 16;
		struct tg_book_span *spans = realloc(book->spans, cap * sizeof(*spans));

		if (!spans)
			return NULL;
		book->spans = spans;
		book->spans_cap = cap;
	}
	s = &book->spans[book->spans_len++];
	*s = (struct tg_book_span){
		.rule = story->rule, .source = strdup(story->source), .area = strdup(story->area)};
	return s->source && s->area ? s : NULL;
}

static int set_members(
	struct tg_book_span *s, const struct tg_findings *f, const struct tg_told_span *told)
{
	free(s->members);
	s->len = 0;
	s->members = calloc(told->words_len + 1, sizeof(*s->members));
	if (!s->members)
		return -TG_ENOMEM;
	for (uint32_t i = 0; i < told->words_len; i++) {
		const struct tg_word *w = &f->words[told->words + i];
		struct tg_seen *m = &s->members[s->len++];

		*m = (struct tg_seen){.event_us = w->event_us,
			.at = w->at,
			.cell = w->cell,
			.type = w->type,
			.core = i + 1 == told->words_len};
		memcpy(m->uid, w->uid, sizeof(m->uid));
	}
	return 0;
}

static struct tg_book_span *find_span(
	struct tg_book *book, const struct tg_story *story, int64_t raised_us)
{
	for (size_t i = 0; i < book->spans_len; i++) {
		struct tg_book_span *s = &book->spans[i];

		if (s->rule == story->rule && s->raised_us == raised_us &&
			strcmp(s->source, story->source) == 0)
			return s;
	}
	return NULL;
}

static bool is_told(const struct tg_findings *f, const struct tg_story *story, int64_t raised_us)
{
	for (uint32_t i = 0; i < story->spans_len; i++)
		if (f->spans[story->spans + i].raised_us == raised_us)
			return true;
	return false;
}

/* From the story's time on its spans are these and no others. */
static int apply_story(
	struct tg_book *book, const struct tg_findings *f, const struct tg_story *story)
{
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0; i < book->spans_len; i++) {
		struct tg_book_span *s = &book->spans[i];

		if (s->rule == story->rule && strcmp(s->source, story->source) == 0 &&
			s->raised_us >= story->from_us && !is_told(f, story, s->raised_us))
			span_free(s);
		else
			book->spans[kept++] = *s;
	}
	book->spans_len = kept;
	for (uint32_t i = 0; i < story->spans_len && !rc; i++) {
		const struct tg_told_span *told = &f->spans[story->spans + i];
		struct tg_book_span *s = find_span(book, story, told->raised_us);

		if (!s && told->continued)
			continue;
		if (!s)
			s = add_span(book, story);
		if (!s)
			return -TG_ENOMEM;
		s->raised_us = told->raised_us;
		s->cleared_us = told->cleared_us;
		if (!told->continued)
			rc = set_members(s, f, told);
	}
	return rc;
}

static int by_area_and_time(const void *a, const void *b)
{
	const struct tg_book_span *x = a, *y = b;
	int areas = strcmp(x->area, y->area);

	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	if (areas)
		return areas;
	return (x->raised_us > y->raised_us) - (x->raised_us < y->raised_us);
}

/* ends: of the incident so far. */
static bool goes_on(const struct tg_book_span *before, int64_t ends, const struct tg_book_span *s,
	int64_t cooldown_us)
{
	if (before->rule != s->rule || strcmp(before->area, s->area) != 0)
		return false;
	return s->raised_us < ends || (cooldown_us && s->raised_us - ends <= cooldown_us);
}

int tg_book_finish(struct tg_book *book, const struct tg_ruleset *rules)
{
	struct tg_entry *e = NULL;
	int64_t ends = 0;
	int rc = 0;

	if (book->spans_len)
		qsort(book->spans, book->spans_len, sizeof(*book->spans), by_area_and_time);
	for (size_t i = 0; i < book->spans_len && !rc; i++) {
		const struct tg_book_span *s = &book->spans[i];

		if (!e || !goes_on(&s[-1], ends, s, rules->rules[s->rule]->cooldown_us)) {
			e = raise_entry(book, s->rule);
			ends = INT64_MIN;
		}
		if (!e)
			return -TG_ENOMEM;
		for (size_t m = 0; m < s->len && !rc; m++)
			rc = add_member(book, e, &s->members[m]);
		if (s->cleared_us > ends)
			ends = s->cleared_us;
		e->cleared = ends != TG_SPAN_OPEN;
	}
	return rc;
}

int tg_book_apply(struct tg_book *book, struct tg_findings *f)
{
	uint32_t *heads = calloc(f->len + 1, sizeof(*heads));
	size_t n = heads ? tg_findings_groups(f, heads) : 0;
	int rc = heads ? f->rc : -TG_ENOMEM;

	for (size_t i = 0; i < f->singles_len && !rc; i++) {
		const struct tg_single *s = &f->singles[i];
		struct tg_entry *e;

		if (entry_of(book, s->rule, s->seen.uid))
			continue;
		e = raise_entry(book, s->rule);
		rc = e ? add_member(book, e, &s->seen) : -TG_ENOMEM;
	}
	for (size_t i = 0; i < n && !rc; i++)
		rc = apply_group(book, f, heads[i]);
	for (size_t i = 0; i < f->stories_len && !rc; i++)
		rc = apply_story(book, f, &f->stories[i]);
	free(heads);
	return rc;
}

void tg_book_clear(struct tg_book *book, uint32_t rule, int64_t window_us, int64_t before_us)
{
	for (size_t i = 0; i < book->len; i++) {
		struct tg_entry *e = book->entries[i];

		if (e->rule == rule && !e->merged && before_us != INT64_MIN &&
			e->last_us + window_us < before_us)
			e->cleared = true;
	}
}
