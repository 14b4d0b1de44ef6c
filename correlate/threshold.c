#include "correlate/threshold.h"

#include <stdlib.h>

uint8_t tg_threshold_flags(const struct tg_rule *rule, const struct tg_limits *limits, double value)
{
	bool beyond = false, past;

	if (rule->device_limits && !limits)
		return TG_WORD_PAST;
	if (rule->device_limits)
		beyond = (limits->has_above && value > limits->above) ||
			 (limits->has_below && value < limits->below);
	else
		beyond = rule->above ? value > rule->limit : value < rule->limit;
	past = !beyond;
	if (rule->has_clear)
		past = past && (rule->above ? value < rule->clear : value > rule->clear);
	return (uint8_t)((beyond ? TG_WORD_BEYOND : 0) | (past ? TG_WORD_PAST : 0));
}

static bool beyond(const struct tg_series *s, uint32_t at)
{
	return (s->words[at].flags & TG_WORD_BEYOND) != 0;
}

static uint64_t print_of(const struct tg_series *s, const struct tg_span *span)
{
	uint64_t print = UINT64_C(0xcbf29ce484222325);

	for (uint32_t i = span->first; i <= span->last; i++) {
		if (i != span->first && i != span->last && !(span->whole && beyond(s, i)))
			continue;
		for (int b = 0; b < 16; b++)
			print = (print ^ s->words[i].uid[b]) * UINT64_C(0x100000001b3);
	}
	return print;
}

/* The first of the k beyond the limit that end at `last`. */
static uint32_t first_of(const struct tg_rule *rule, const struct tg_series *s, uint32_t last)
{
	uint32_t at = last;

	for (int64_t left = rule->k; left > 0; at--)
		if (beyond(s, at) && --left == 0)
			break;
	return at;
}

static int raise_span(const struct tg_rule *rule, struct tg_series *s, const struct tg_track *t)
{
	struct tg_span *span = tg_spans_add(&s->spans);

	if (!span)
		return -TG_ENOMEM;
	span->raised_us = t->raised_us;
	span->cleared_us = TG_SPAN_OPEN;
	span->last = t->at;
	span->first = rule->for_us ? t->run - 1 : first_of(rule, s, t->at);
	span->whole = !rule->for_us;
	span->print = print_of(s, span);
	return 0;
}

static bool passes(const struct tg_rule *rule, const struct tg_series *s, struct tg_track *t)
{
	uint32_t i = t->at;
	bool is = beyond(s, i);

	if (rule->for_us) {
		if (!is)
			t->run = 0;
		else if (!t->run)
			t->run = i + 1;
		return is && s->words[i].event_us - s->words[t->run - 1].event_us >= rule->for_us;
	}
	if ((int64_t)i - rule->n >= (int64_t)t->ring && beyond(s, i - (uint32_t)rule->n))
		t->count--;
	t->count += is;
	return is && t->count >= rule->k;
}

/* Walks on to `until`; spans are raised and cleared only where told to. */
static int walk(const struct tg_rule *rule, struct tg_series *s, struct tg_track *t, uint32_t until,
	bool spans)
{
	int rc = 0;

	for (; t->at < until && !rc; t->at++) {
		const struct tg_word *w = &s->words[t->at];

		if (!t->raised) {
			if (!passes(rule, s, t))
				continue;
			t->raised = true;
			t->raised_us = w->event_us;
			rc = spans ? raise_span(rule, s, t) : 0;
		} else if (w->flags & TG_WORD_PAST) {
			if (spans) {
				struct tg_span *span = &s->spans.items[s->spans.len - 1];

				span->cleared_us = w->event_us;
				span->cleared_value = w->value;
				span->told = false;
			}
			t->raised = false;
			t->ring = t->at + 1;
			t->run = 0;
			t->count = 0;
		}
	}
	return rc;
}

static bool same(const struct tg_span *a, const struct tg_span *b)
{
	return a->raised_us == b->raised_us && a->cleared_us == b->cleared_us &&
	       a->print == b->print;
}

/* What was told and is still so stays told; what is no longer so is noticed. */
static void compare(struct tg_series *s, const struct tg_spans *before)
{
	for (uint32_t i = 0; i < before->len; i++) {
		bool found = !before->items[i].told;

		for (uint32_t k = 0; k < s->spans.len && !found; k++) {
			found = same(&s->spans.items[k], &before->items[i]);
			s->spans.items[k].told |= found;
		}
		s->gone |= !found;
	}
}

int tg_threshold_judge(const struct tg_rule *rule, struct tg_series *s)
{
	struct tg_spans before = s->spans;
	struct tg_span *span;
	int rc;

	if (!s->stale)
		return walk(rule, s, &s->head, s->len, true);
	s->stale = false;
	s->spans = (struct tg_spans){0};
	s->head = s->base;
	if (s->base.raised) {
		span = tg_spans_add(&s->spans);
		if (!span) {
			s->spans = before;
			return -TG_ENOMEM;
		}
		span->raised_us = s->base.raised_us;
		span->cleared_us = TG_SPAN_OPEN;
		span->continued = true;
	}
	rc = walk(rule, s, &s->head, s->len, true);
	compare(s, &before);
	free(before.items);
	return rc;
}

uint32_t tg_threshold_needed(const struct tg_rule *rule, const struct tg_series *s)
{
	const struct tg_track *t = &s->base;
	uint32_t from = t->at;

	if (t->raised)
		return from;
	if (rule->for_us)
		return t->run ? t->run - 1 : from;
	from = t->ring;
	if ((int64_t)from < (int64_t)t->at - rule->n)
		from = t->at - (uint32_t)rule->n;
	while (from < t->at && !beyond(s, from))
		from++;
	return from;
}

static void shift(struct tg_track *t, uint32_t by)
{
	t->at -= by;
	t->ring = t->ring > by ? t->ring - by : 0;
	t->run = t->run > by ? t->run - by : 0;
}

/* What is settled to its end is history; what still stands goes on without its members. */
static void settle_spans(struct tg_series *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->spans.len; i++) {
		struct tg_span *span = &s->spans.items[i];

		if (span->cleared_us < s->base_us)
			continue;
		if (span->raised_us < s->base_us) {
			span->continued = true;
			span->print = 0;
		}
		s->spans.items[kept++] = *span;
	}
	s->spans.len = kept;
}

uint32_t tg_threshold_settle(const struct tg_rule *rule, struct tg_series *s, int64_t horizon_us)
{
	uint32_t needed;

	if (horizon_us <= s->base_us)
		return 0;
	s->base_us = horizon_us;
	(void)!walk(rule, s, &s->base, tg_series_at(s, horizon_us), false);
	settle_spans(s);
	needed = tg_threshold_needed(rule, s);
	/* Moving what stays costs as much as it is long: only when half of it goes. */
	if (needed * 2 < s->len || needed == 0)
		return 0;
	tg_series_cut(s, 0, needed);
	shift(&s->base, needed);
	shift(&s->head, needed);
	for (uint32_t i = 0; i < s->spans.len; i++) {
		s->spans.items[i].first -= needed;
		s->spans.items[i].last -= needed;
	}
	return needed;
}

void tg_threshold_recount(const struct tg_rule *rule, struct tg_series *s)
{
	struct tg_track *t = &s->base;

	t->ring = t->run = 0;
	t->count = 0;
	if (t->raised)
		return;
	if (rule->for_us && t->at)
		t->run = 1;
	for (uint32_t i = 0; i < t->at; i++)
		t->count += beyond(s, i);
}
