/* The kinds that look at one source's words in order of time, against their definitions done the
 * slow way: the same incidents whatever the order within the tolerance, the repeats, the batches,
 * the restarts and what Redis has let go. */
#include "tests/unit/correlate_series_slow.h"

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

	run_open(&r, &w->set, w->registry, 3);
	for (size_t i = 0; i < w->n; i++) {
		push(&r, &w->words[i]);
		if (how == TWICE && i > 20)
			push(&r, &w->words[i - (size_t)(rnd() * 20)]);
		if (rnd() < 0.2)
			run_batch_end(&r);
		if (how == RESTARTS && rnd() < 0.02) {
			run_batch_end(&r);
			run_restart(&r);
		}
	}
	run_batch_end(&r);
	progress(&r, w->until_us);
	run_batch_end(&r);
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
		run_open(&r, &w.set, w.registry, 3);
		for (size_t i = 0; i < w.n; i++) {
			push(&r, &w.words[i]);
			if (i % 40 != 39)
				continue;
			run_batch_end(&r);
			run_drop_stored(&r, INT64_MAX);
			assert_int_equal(tg_engine_snapshot(r.engine, 64, run_keep_piece, &r), 0);
			run_restart(&r);
		}
		progress(&r, w.until_us);
		run_batch_end(&r);
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
	run_open(&r, &w.set, w.registry, 3);
	for (size_t i = 0; i < w.n; i++) {
		push(&r, &w.words[i]);
		if (i % 20 == 19)
			run_batch_end(&r);
		if (i != w.n / 2)
			continue;
		run_batch_end(&r);
		twin = w.rule;
		assert_int_equal(tg_guard_new(&next, &guard), 0);
		shared = (struct tg_engine_shared){&next, guard, &r.budget, &r.counts, NULL, 3};
		assert_int_equal(tg_engine_reload(r.engine, &shared, &w.set), 0);
		for (size_t k = 0; k < r.book.spans_len; k++)
			r.book.spans[k].rule = 1; /* its place in the set */
	}
	progress(&r, w.until_us);
	run_batch_end(&r);
	for (size_t k = 0; k < r.book.spans_len; k++)
		r.book.spans[k].rule = 0;
	assert_true(check(&w, &r) > 10);
	tg_guard_free(r.guard);
	r.guard = guard;
	run_close(&r);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
