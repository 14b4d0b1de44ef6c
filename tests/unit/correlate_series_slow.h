/* What one source's words mean by the definitions of threshold and silence, done the slow way: a
 * world of words drawn from a seed, a rule, and which words belong to which incident. */
#ifndef TG_TESTS_CORRELATE_SERIES_SLOW_H
#define TG_TESTS_CORRELATE_SERIES_SLOW_H

#include "base/clock.h"
#include "tests/unit/correlate_run.h"

#include "correlate/silence.h"

#define WORDS_MAX   4000
#define SOURCES     7
#define EPOCH_US    INT64_C(1704067200000000) /* 2024-01-01T00:00:00Z, a Monday */
#define LATENESS_US (INT64_C(300) * TG_US_PER_S)

struct heard {
	uint8_t uid[16];
	int64_t event_us, arrives_us;
	int source;
	double value;
};

struct world {
	struct heard words[WORDS_MAX]; /* by arrival */
	size_t n;
	int64_t until_us;
	struct tg_rule rule;
	struct tg_schedule schedule;
	struct tg_rule *rules[1];
	struct tg_ruleset set;
	struct tg_registry *registry;
};

static int by_arrival(const void *a, const void *b)
{
	const struct heard *x = a, *y = b;

	if (x->arrives_us != y->arrives_us)
		return x->arrives_us < y->arrives_us ? -1 : 1;
	return memcmp(x->uid, y->uid, 16);
}

static const char *source_name(int source)
{
	static const char *const names[SOURCES] = {"a", "b", "c", "d", "e", "f", "g"};

	return names[source];
}

/* Values wander, so that they stay beyond a limit for a while; some sources fall silent for hours.
 */
static void make_world(struct world *w, uint64_t seed, size_t n)
{
	double level[SOURCES] = {0};
	int64_t now_us = EPOCH_US, mute_until[SOURCES] = {0};

	memset(w, 0, sizeof(*w));
	rnd_seed(seed);
	for (size_t i = 0; i < n; i++) {
		struct heard *h = &w->words[w->n];
		int source = (int)(rnd() * SOURCES);

		now_us += rnd() < 0.3 ? 0 : (int64_t)(rnd() * 60) * TG_US_PER_S;
		if (rnd() < 0.01)
			mute_until[source] = now_us + (int64_t)(rnd() * 5 * 3600) * TG_US_PER_S;
		if (now_us < mute_until[source])
			continue;
		level[source] = level[source] * 0.8 + (rnd() - 0.5) * 4;
		for (int b = 0; b < 16; b++)
			h->uid[b] = (uint8_t)(rnd() * 256);
		h->source = source;
		h->event_us = now_us;
		h->arrives_us = now_us + (int64_t)(rnd() * (double)LATENESS_US * 0.99);
		h->value = (double)(int)(level[source] * 2) / 2; /* equal to limits at times */
		w->n++;
	}
	w->until_us = now_us + 10 * TG_US_PER_H;
	qsort(w->words, w->n, sizeof(w->words[0]), by_arrival);
	w->rule = (struct tg_rule){.id = "r",
		.version = 1,
		.domain = "minsheng",
		.severity = 3,
		.lateness_us = LATENESS_US,
		.print = 7,
		.whole_print = 7,
		.cooldown_us = rnd() < 0.5 ? 0 : (int64_t)(rnd() * 3600) * TG_US_PER_S};
	w->rules[0] = &w->rule;
	w->set = (struct tg_ruleset){.rules = w->rules, .len = 1, .lateness_max_us = LATENESS_US};
}

static void make_threshold(struct world *w)
{
	w->rule.kind = TG_RULE_THRESHOLD;
	w->rule.metric = "m";
	w->rule.has_limit = w->rule.has_clear = true;
	w->rule.above = rnd() < 0.5;
	w->rule.limit = w->rule.above ? 1 : -1;
	w->rule.clear = rnd() < 0.5 ? w->rule.limit : w->rule.limit / 2;
	if (rnd() < 0.4) {
		w->rule.for_us = (int64_t)(rnd() * 900 + 1) * TG_US_PER_S;
	} else {
		w->rule.n = 1 + (int64_t)(rnd() * 6);
		w->rule.k = 1 + (int64_t)(rnd() * (double)w->rule.n);
	}
}

static void make_silence(struct world *w, bool schedule)
{
	const char *why;

	w->rule.kind = TG_RULE_SILENCE;
	w->rule.devices = "*";
	w->rule.after_us = (int64_t)(300 + rnd() * 3000) * TG_US_PER_S;
	w->rule.fold_by = rnd() < 0.5 ? "street" : NULL;
	if (schedule) {
		assert_int_equal(
			tg_schedule_parse(TG_SLICE("1-5 08:00-12:00,14:30-24:00; 7 00:00-06:00"),
				&w->schedule, &why),
			0);
		w->rule.schedule = &w->schedule;
	}
	assert_int_equal(tg_registry_new(&w->registry), 0);
	for (int i = 0; i < SOURCES; i++) /* f is nobody's, g comes to another partition */
		if (i != 5)
			assert_int_equal(tg_registry_add(w->registry, tg_slice_cstr(source_name(i)),
						 i % 2 ? TG_SLICE("odd") : TG_SLICE("even"),
						 TG_SLICE(""), i == 6 ? 4 : 3, TG_SLICE("{}")),
				0);
	assert_int_equal(tg_registry_bind(w->registry, &w->set), 0);
}

/* ---- the slow way ---- */

struct slow_span {
	int64_t raised_us, cleared_us;
	char area[8];
	struct heard *members[WORDS_MAX];
	size_t len;
};

static struct slow_span slow[WORDS_MAX];
static size_t slow_len;

static int by_time(const void *a, const void *b)
{
	const struct heard *const *x = a, *const *y = b;

	if ((*x)->event_us != (*y)->event_us)
		return (*x)->event_us < (*y)->event_us ? -1 : 1;
	return memcmp((*x)->uid, (*y)->uid, 16);
}

static struct slow_span *slow_new(const char *area, int64_t raised_us)
{
	struct slow_span *s = &slow[slow_len++];

	s->raised_us = raised_us;
	s->cleared_us = TG_SPAN_OPEN;
	s->len = 0;
	snprintf(s->area, sizeof(s->area), "%s", area);
	return s;
}

static bool slow_beyond(const struct tg_rule *r, double v)
{
	return r->above ? v > r->limit : v < r->limit;
}

static bool slow_past(const struct tg_rule *r, double v)
{
	return r->above ? v < r->clear : v > r->clear;
}

static void slow_threshold(
	const struct tg_rule *r, struct heard **words, size_t n, const char *source)
{
	struct slow_span *open = NULL;
	size_t since = 0;

	for (size_t i = 0; i < n; i++) {
		size_t count = 0, first = i;

		if (open) {
			if (!slow_past(r, words[i]->value))
				continue;
			open->cleared_us = words[i]->event_us;
			open = NULL;
			since = i + 1;
			continue;
		}
		if (!slow_beyond(r, words[i]->value))
			continue;
		if (r->for_us) {
			while (first > since && slow_beyond(r, words[first - 1]->value))
				first--;
			if (words[i]->event_us - words[first]->event_us < r->for_us)
				continue;
			open = slow_new(source, words[i]->event_us);
			open->members[open->len++] = words[first];
			if (first != i)
				open->members[open->len++] = words[i];
			continue;
		}
		for (size_t k = i + 1; k-- > since && i - k < (size_t)r->n;)
			count += slow_beyond(r, words[k]->value);
		if ((int64_t)count < r->k)
			continue;
		open = slow_new(source, words[i]->event_us);
		for (size_t k = i + 1; k-- > since && open->len < (size_t)r->k;)
			if (slow_beyond(r, words[k]->value))
				open->members[open->len++] = words[k];
	}
}

/* Minute by minute where there is a schedule; UTC. */
static bool slow_expected(const struct tg_rule *r, int64_t us)
{
	int64_t days = us / TG_US_PER_DAY, into = us % TG_US_PER_DAY;
	unsigned day = tg_weekday(days);
	int64_t h = TG_US_PER_H;

	if (!r->schedule)
		return true;
	if (day <= 5)
		return (into >= 8 * h && into < 12 * h) || into >= 14 * h + h / 2;
	return day == 7 && into < 6 * h;
}

static int64_t slow_due(const struct tg_rule *r, int64_t from_us)
{
	int64_t left = r->after_us, at = from_us;

	while (r->schedule && left > 0) {
		int64_t next = (at / TG_US_PER_MIN + 1) * TG_US_PER_MIN, step = next - at;

		if (slow_expected(r, at)) {
			if (left <= step)
				return at + left;
			left -= step;
		}
		at = next;
	}
	return from_us + r->after_us;
}

static void slow_silence(const struct world *w, struct heard **words, size_t n, const char *source)
{
	const struct tg_device *d = tg_registry_find(w->registry, source);

	if (!d || d->partition != 3)
		return;
	for (size_t i = 0; i < n; i++) {
		int64_t due = slow_due(&w->rule, words[i]->event_us);
		int64_t next = i + 1 < n ? words[i + 1]->event_us : INT64_MAX;
		struct slow_span *s;

		if (next <= due || w->until_us - LATENESS_US <= due)
			continue;
		s = slow_new(w->rule.fold_by ? d->street : source, due);
		s->cleared_us = next;
		s->members[s->len++] = words[i];
	}
}

static int by_area(const void *a, const void *b)
{
	const struct slow_span *const *x = a, *const *y = b;
	int areas = strcmp((*x)->area, (*y)->area);

	return areas ? areas
		     : ((*x)->raised_us > (*y)->raised_us) - ((*x)->raised_us < (*y)->raised_us);
}

/* label[i] of word i: the least index of its incident, or n; with 1 << 20 added when it is open. */
static void brute(const struct world *w, size_t *labels)
{
	static struct heard *words[WORDS_MAX];
	static struct slow_span *order[WORDS_MAX];

	slow_len = 0;
	for (int source = 0; source < SOURCES; source++) {
		size_t n = 0;

		for (size_t i = 0; i < w->n; i++)
			if (w->words[i].source == source)
				words[n++] = (struct heard *)(uintptr_t)&w->words[i];
		qsort(words, n, sizeof(words[0]), by_time);
		if (w->rule.kind == TG_RULE_THRESHOLD)
			slow_threshold(&w->rule, words, n, source_name(source));
		else
			slow_silence(w, words, n, source_name(source));
	}
	for (size_t i = 0; i < slow_len; i++)
		order[i] = &slow[i];
	qsort(order, slow_len, sizeof(order[0]), by_area);
	for (size_t i = 0; i < w->n; i++)
		labels[i] = w->n;
	for (size_t from = 0, to; from < slow_len; from = to) {
		int64_t ends = order[from]->cleared_us;
		size_t least = w->n;

		for (to = from + 1; to < slow_len; to++) {
			if (strcmp(order[to]->area, order[from]->area) != 0)
				break;
			if (order[to]->raised_us >= ends &&
				!(w->rule.cooldown_us &&
					order[to]->raised_us - ends <= w->rule.cooldown_us))
				break;
			if (order[to]->cleared_us > ends)
				ends = order[to]->cleared_us;
		}
		for (size_t i = from; i < to; i++)
			for (size_t m = 0; m < order[i]->len; m++)
				if ((size_t)(order[i]->members[m] - w->words) < least)
					least = (size_t)(order[i]->members[m] - w->words);
		if (ends == TG_SPAN_OPEN)
			least += 1 << 20;
		for (size_t i = from; i < to; i++)
			for (size_t m = 0; m < order[i]->len; m++)
				labels[order[i]->members[m] - w->words] = least;
	}
}

/* ---- the engine ---- */

#endif
