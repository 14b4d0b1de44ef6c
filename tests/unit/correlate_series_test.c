/* The kinds that look at one source's words in order of time, against their definitions done the
 * slow way: the same incidents whatever the order within the tolerance, the repeats, the batches,
 * the restarts and what Redis has let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "correlate/book.h"
#include "correlate/engine.h"
#include "correlate/silence.h"

#define WORDS_MAX   4000
#define SOURCES     7
#define STORED_MAX  8192
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

static uint64_t rng_state;

static double rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (double)(rng_state >> 11) / 9007199254740992.0;
}

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
	rng_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
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

struct run {
	struct tg_window_budget budget;
	struct tg_engine_counts counts;
	struct tg_guard *guard;
	struct tg_engine *engine;
	struct tg_book book;
	struct tg_findings found;
	struct tg_buf stored[STORED_MAX];
	int64_t stored_us[STORED_MAX];
	size_t stored_len, trimmed, sweeps;
};

static struct tg_engine_shared shared_of(struct run *r, struct world *w)
{
	return (struct tg_engine_shared){&w->set, r->guard, &r->budget, &r->counts, w->registry, 3};
}

static void run_open(struct run *r, struct world *w)
{
	struct tg_engine_shared shared;

	memset(r, 0, sizeof(*r));
	r->budget.max = 1000000;
	assert_int_equal(tg_guard_new(&w->set, &r->guard), 0);
	shared = shared_of(r, w);
	assert_int_equal(tg_engine_new(&shared, &r->engine), 0);
	assert_int_equal(tg_book_init(&r->book), 0);
}

static void run_close(struct run *r)
{
	tg_engine_free(r->engine);
	tg_guard_free(r->guard);
	assert_int_equal(r->budget.used, 0);
	tg_book_release(&r->book);
	tg_findings_release(&r->found);
	for (size_t i = 0; i < r->stored_len; i++)
		tg_buf_release(&r->stored[i]);
}

static void push(struct run *r, const struct heard *h)
{
	tg_located_pb loc = TONGGUAN__V1__LOCATED_EVENT__INIT;
	tg_event_pb ev = TONGGUAN__V1__EVENT__INIT;
	Tongguan__V1__Reading reading = TONGGUAN__V1__READING__INIT;

	reading.metric = "m";
	reading.has_value = true;
	reading.value = h->value;
	ev.source_id = (char *)(uintptr_t)source_name(h->source);
	ev.event_id = "e";
	ev.occurred_at_us = h->event_us;
	ev.reading = &reading;
	ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_READING;
	loc.event = &ev;
	loc.uid.data = (uint8_t *)(uintptr_t)h->uid;
	loc.uid.len = 16;
	loc.has_lon = loc.has_lat = true;
	loc.grid_cell = "cell";
	loc.source_topic = "t";
	assert_int_equal(tg_engine_push(r->engine, &loc, false, TG_SLICE(""), &r->found), 0);
}

static int keep_piece(void *ctx, const struct tg_segment *segment)
{
	struct run *r = ctx;

	assert_true(r->stored_len < STORED_MAX);
	r->stored_us[r->stored_len] = segment->newest_us;
	assert_int_equal(
		tg_segment_pack(segment, 1, (uint32_t)r->stored_len, &r->stored[r->stored_len]), 0);
	r->stored_len++;
	return 0;
}

static int keep_sweep(void *ctx, const struct tg_segment *segment)
{
	((struct run *)ctx)->sweeps++;
	return keep_piece(ctx, segment);
}

static void drop_stored(struct run *r, int64_t before_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->stored_len; i++) {
		if (r->stored_us[i] < before_us) {
			tg_buf_release(&r->stored[i]);
			r->trimmed++;
			continue;
		}
		r->stored_us[kept] = r->stored_us[i];
		r->stored[kept++] = r->stored[i];
	}
	memset(r->stored + kept, 0, (r->stored_len - kept) * sizeof(r->stored[0]));
	r->stored_len = kept;
}

/* As the role ends a batch; Redis keeps segments by their newest time. */
static void batch_end(struct run *r)
{
	struct tg_segment *s = tg_engine_segment(r->engine);
	int64_t keep_us;

	assert_int_equal(tg_engine_end(r->engine, 0, &r->found), 0);
	if (!tg_segment_empty(s))
		assert_int_equal(keep_piece(r, s), 0);
	tg_segment_reset(s);
	assert_int_equal(tg_book_apply(&r->book, &r->found), 0);
	tg_findings_reset(&r->found);
	tg_engine_expire(r->engine);
	assert_int_equal(tg_engine_sweep(r->engine, keep_sweep, r), 0);
	keep_us = tg_engine_keep_from_us(r->engine);
	if (keep_us != INT64_MAX)
		drop_stored(r, keep_us);
}

static void restart(struct run *r, struct world *w)
{
	struct tg_engine_shared shared = shared_of(r, w);
	struct tg_watermark *old = tg_engine_watermark(r->engine);
	struct tg_engine *fresh;
	struct tg_buf marks = {0};

	assert_int_equal(tg_engine_new(&shared, &fresh), 0);
	assert_int_equal(tg_watermark_encode(old, &marks), 0);
	assert_int_equal(tg_watermark_decode(tg_engine_watermark(fresh),
				 (struct tg_slice){marks.data, marks.len}),
		0);
	tg_buf_release(&marks);
	/* in any order: newest first, then the rest */
	for (size_t i = r->stored_len; i-- > 0;)
		assert_int_equal(tg_engine_restore(fresh,
					 (struct tg_slice){r->stored[i].data, r->stored[i].len}),
			0);
	assert_int_equal(tg_engine_restored(fresh), 0);
	tg_engine_free(r->engine);
	r->engine = fresh;
}

static void progress(struct run *r, int64_t us)
{
	tg_located_pb loc = TONGGUAN__V1__LOCATED_EVENT__INIT;

	loc.source_topic = "t";
	loc.has_progress_us = true;
	loc.progress_us = us;
	assert_int_equal(tg_engine_push(r->engine, &loc, false, TG_SLICE(""), &r->found), 0);
}

static size_t index_of(const struct world *w, const uint8_t uid[16])
{
	for (size_t i = 0; i < w->n; i++)
		if (memcmp(w->words[i].uid, uid, 16) == 0)
			return i;
	fail_msg("a member that was never sent");
	return 0;
}

static size_t check(const struct world *w, struct run *r)
{
	static size_t want[WORDS_MAX], got[WORDS_MAX];
	size_t members = 0;

	brute(w, want);
	assert_int_equal(tg_book_finish(&r->book, &w->set), 0);
	for (size_t i = 0; i < w->n; i++)
		got[i] = w->n;
	for (size_t k = 0; k < r->book.len; k++) {
		const struct tg_entry *e = r->book.entries[k];
		size_t least = w->n;

		for (size_t m = 0; m < e->len; m++) {
			size_t i = index_of(w, e->members[m].uid);

			least = i < least ? i : least;
		}
		if (!e->cleared)
			least += 1 << 20;
		for (size_t m = 0; m < e->len; m++)
			got[index_of(w, e->members[m].uid)] = least;
	}
	for (size_t i = 0; i < w->n; i++) {
		assert_int_equal(got[i], want[i]);
		members += want[i] != w->n;
	}
	return members;
}

enum how { PLAIN, TWICE, RESTARTS };

static size_t try_world(struct world *w, enum how how)
{
	static struct run r;
	size_t members, sweeps;

	run_open(&r, w);
	for (size_t i = 0; i < w->n; i++) {
		push(&r, &w->words[i]);
		if (how == TWICE && i > 20)
			push(&r, &w->words[i - (size_t)(rnd() * 20)]);
		if (rnd() < 0.2)
			batch_end(&r);
		if (how == RESTARTS && rnd() < 0.02) {
			batch_end(&r);
			restart(&r, w);
		}
	}
	batch_end(&r);
	progress(&r, w->until_us);
	batch_end(&r);
	members = check(w, &r);
	if (how != TWICE) /* a repeat may come too late, the word itself never does */
		assert_int_equal(r.counts.late, 0);
	sweeps = r.sweeps;
	assert_true(sweeps > 3 && r.trimmed > 20);
	run_close(&r);
	tg_registry_free(w->registry);
	return members;
}

static void try_worlds(uint64_t from, bool silence, bool schedule, enum how how)
{
	static struct world w;
	size_t members = 0;

	for (uint64_t seed = from; seed < from + 14; seed++) {
		make_world(&w, seed, WORDS_MAX);
		if (silence)
			make_silence(&w, schedule);
		else
			make_threshold(&w);
		members += try_world(&w, how);
	}
	assert_true(members > 100); /* a comparison of nothing with nothing proves nothing */
}

static void threshold__any_order_gives_what_order_would(void **state)
{
	(void)state;
	try_worlds(1, false, false, PLAIN);
}

static void threshold__repeats_change_nothing(void **state)
{
	(void)state;
	try_worlds(100, false, false, TWICE);
}

static void threshold__a_restart_from_what_redis_keeps_goes_on(void **state)
{
	(void)state;
	try_worlds(200, false, false, RESTARTS);
}

static void silence__any_order_gives_what_order_would(void **state)
{
	(void)state;
	try_worlds(300, true, false, PLAIN);
}

static void silence__repeats_change_nothing(void **state)
{
	(void)state;
	try_worlds(400, true, false, TWICE);
}

static void silence__a_restart_from_what_redis_keeps_goes_on(void **state)
{
	(void)state;
	try_worlds(500, true, false, RESTARTS);
}

static void silence__counts_only_the_time_of_its_schedule(void **state)
{
	(void)state;
	try_worlds(600, true, true, RESTARTS);
}

static void engine__a_snapshot_restores_series_too(void **state)
{
	static struct world w;
	static struct run r;
	(void)state;

	for (uint64_t seed = 700; seed < 708; seed++) {
		make_world(&w, seed, 1500);
		if (seed % 2)
			make_threshold(&w);
		else
			make_silence(&w, false);
		run_open(&r, &w);
		for (size_t i = 0; i < w.n; i++) {
			push(&r, &w.words[i]);
			if (i % 40 != 39)
				continue;
			batch_end(&r);
			drop_stored(&r, INT64_MAX);
			assert_int_equal(tg_engine_snapshot(r.engine, 64, keep_piece, &r), 0);
			restart(&r, &w);
		}
		progress(&r, w.until_us);
		batch_end(&r);
		(void)check(&w, &r);
		run_close(&r);
		tg_registry_free(w.registry);
	}
}

/* The same rules read again, and others: what did not change is kept. */
static void engine__a_reload_keeps_what_did_not_change(void **state)
{
	static struct world w;
	static struct run r;
	struct tg_rule twin, other = {.id = "single", .kind = TG_RULE_SINGLE, .all_types = true};
	struct tg_rule *two[] = {&other, &twin};
	struct tg_ruleset next = {.rules = two, .len = 2, .lateness_max_us = LATENESS_US};
	struct tg_guard *guard;
	struct tg_engine_shared shared;
	(void)state;

	make_world(&w, 900, 2000);
	make_threshold(&w);
	run_open(&r, &w);
	for (size_t i = 0; i < w.n; i++) {
		push(&r, &w.words[i]);
		if (i % 20 == 19)
			batch_end(&r);
		if (i != w.n / 2)
			continue;
		batch_end(&r);
		twin = w.rule;
		assert_int_equal(tg_guard_new(&next, &guard), 0);
		shared = (struct tg_engine_shared){&next, guard, &r.budget, &r.counts, NULL, 3};
		assert_int_equal(tg_engine_reload(r.engine, &shared, &w.set), 0);
		for (size_t k = 0; k < r.book.spans_len; k++)
			r.book.spans[k].rule = 1; /* its place in the set */
	}
	progress(&r, w.until_us);
	batch_end(&r);
	for (size_t k = 0; k < r.book.spans_len; k++)
		r.book.spans[k].rule = 0;
	assert_true(check(&w, &r) > 10);
	tg_guard_free(r.guard);
	r.guard = guard;
	run_close(&r);
}

/* ---- schedules and patterns ---- */

static void schedule__says_what_to_mend(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {{"08:00-18:00", true}, {"1-5 08:00-12:00,14:00-18:00; 6 09:00-12:00", true},
		{"1,3,5 00:00-24:00", true}, {"7 00:00-06:00", true}, {"", false}, {"1-5", false},
		{"8 08:00-09:00", false}, {"5-1 08:00-09:00", false}, {"18:00-08:00", false},
		{"08:00-18:00;", false}, {"08:00-12:00,11:00-13:00", false},
		{"1 08:00-12:00; 1-2 09:00-10:00", false}, {"08:60-09:00", false},
		{"24:01-24:02", false}, {"1-5 08:00", false}, {"1-5 8:00-9:00 x", false}};
	struct tg_schedule s;
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why = NULL;
		int rc = tg_schedule_parse(tg_slice_cstr(cases[i].text), &s, &why);

		if ((rc == 0) != cases[i].good)
			fail_msg("\"%s\": %d", cases[i].text, rc);
		assert_true(rc == 0 || why);
	}
}

static void schedule__goes_by_the_citys_clock(void **state)
{
	struct tg_schedule s;
	struct tg_zone *zone;
	const char *why;
	int64_t from, want;
	(void)state;

	assert_int_equal(tg_schedule_parse(TG_SLICE("1-5 08:00-12:00,14:00-18:00"), &s, &why), 0);
	assert_int_equal(tg_zone_load("America/New_York", &zone), 0);
	/* Friday 17:30 and one hour more of it: half an hour on Friday, half on Monday, over the
	 * night in which clocks go forward. */
	assert_int_equal(tg_rfc3339_parse(TG_SLICE("2024-03-08T17:30:00-05:00"), &from), 0);
	assert_int_equal(tg_rfc3339_parse(TG_SLICE("2024-03-11T08:30:00-04:00"), &want), 0);
	assert_true(tg_schedule_after(&s, zone, from, TG_US_PER_H) == want);
	assert_int_equal(tg_rfc3339_parse(TG_SLICE("2024-03-08T18:00:00-05:00"), &want), 0);
	assert_true(tg_schedule_after(&s, zone, from, TG_US_PER_H / 2) == want);
	assert_true(tg_schedule_after(NULL, zone, from, 5) == from + 5);
	tg_zone_free(zone);
}

static void glob__matches_as_written(void **state)
{
	static const struct {
		const char *glob, *text;
		bool yes;
	} cases[] = {{"*", "", true}, {"*", "x", true}, {"xh-*-1", "xh-bin-003-1", true},
		{"xh-*-1", "xh-bin-003-2", false}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false}, {"", "a", false},
		{"a**", "a", true}};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tg_glob_match(cases[i].glob, cases[i].text) != cases[i].yes)
			fail_msg("%s ~ %s", cases[i].glob, cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threshold__any_order_gives_what_order_would),
		cmocka_unit_test(threshold__repeats_change_nothing),
		cmocka_unit_test(threshold__a_restart_from_what_redis_keeps_goes_on),
		cmocka_unit_test(silence__any_order_gives_what_order_would),
		cmocka_unit_test(silence__repeats_change_nothing),
		cmocka_unit_test(silence__a_restart_from_what_redis_keeps_goes_on),
		cmocka_unit_test(silence__counts_only_the_time_of_its_schedule),
		cmocka_unit_test(engine__a_snapshot_restores_series_too),
		cmocka_unit_test(engine__a_reload_keeps_what_did_not_change),
		cmocka_unit_test(schedule__says_what_to_mend),
		cmocka_unit_test(schedule__goes_by_the_citys_clock),
		cmocka_unit_test(glob__matches_as_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
