/* The cluster kind against a brute force over all pairs: same incidents whatever the order, the
 * repeats, the batches and the restarts. */
#include "base/clock.h"
#include "tests/unit/correlate_run.h"

#define EVENTS_MAX 1200
#define EPOCH_US   INT64_C(1700000000000000)

struct world {
	struct tg_seen events[EVENTS_MAX];
	char reporters[EVENTS_MAX][8];
	size_t n;
	struct tg_rule rule;
	struct tg_rule *rules[1];
	struct tg_ruleset set;
	uint32_t types[1];
};

static size_t members_checked; /* a comparison of nothing with nothing proves nothing */

static void make_world(
	struct world *w, uint64_t seed, size_t n, double lon, double lat, double halo_share)
{
	memset(w, 0, sizeof(*w));
	rnd_seed(seed);
	w->n = n;
	for (size_t i = 0; i < n; i++) {
		struct tg_seen *s = &w->events[i];

		for (int b = 0; b < 16; b++)
			s->uid[b] = (uint8_t)(rnd() * 256);
		/* Half of all lie on a coarse lattice, so that equal places, equal times and exact
		 * borders occur. */
		s->at.lon = lon + (rnd() < 0.5 ? 0.001 * (double)(int)(rnd() * 8) : rnd() * 0.008);
		s->at.lat = lat + (rnd() < 0.5 ? 0.001 * (double)(int)(rnd() * 8) : rnd() * 0.008);
		if (s->at.lon > 180)
			s->at.lon -= 360;
		s->event_us = EPOCH_US + (rnd() < 0.5 ? (int64_t)(rnd() * 200) * 60 * TG_US_PER_S
						      : (int64_t)(rnd() * 12000 * 1e6));
		s->halo = rnd() < halo_share;
		snprintf(w->reporters[i], sizeof(w->reporters[i]), "r%d", (int)(rnd() * 6));
	}
	w->rule = (struct tg_rule){.id = "r",
		.version = 1,
		.kind = TG_RULE_CLUSTER,
		.domain = "minsheng",
		.severity = 3,
		.types = w->types,
		.types_len = 1,
		.min_events = 3 + (int64_t)(rnd() * 3),
		.min_reporters = 1 + (int64_t)(rnd() * 3),
		.radius_m = 60 + rnd() * 200,
		.window_us = (int64_t)(300 + rnd() * 1800) * TG_US_PER_S,
		.lateness_us = 86400 * TG_US_PER_S,
		.print = 7};
	w->types[0] = 5101;
	w->rules[0] = &w->rule;
	w->set = (struct tg_ruleset){
		.rules = w->rules, .len = 1, .lateness_max_us = w->rule.lateness_us};
}

/* ---- brute force
 * -------------------------------------------------------------------------------------------------
 */

static bool near(const struct world *w, size_t a, size_t b)
{
	return tg_geo_distance_m(w->events[a].at, w->events[b].at) <= w->rule.radius_m;
}

static bool brute_core(const struct world *w, size_t c)
{
	int64_t count = 0, distinct = 0;
	const char *seen[64];

	if (w->events[c].halo)
		return false;
	for (size_t i = 0; i < w->n; i++) {
		int64_t ago = w->events[c].event_us - w->events[i].event_us;
		bool known = false;

		if (ago < 0 || ago > w->rule.window_us || !near(w, c, i))
			continue;
		count++;
		for (int64_t k = 0; k < distinct; k++)
			known = known || strcmp(seen[k], w->reporters[i]) == 0;
		if (!known && distinct < 64)
			seen[distinct++] = w->reporters[i];
	}
	return count >= w->rule.min_events && distinct >= w->rule.min_reporters;
}

static size_t root(size_t *parent, size_t i)
{
	while (parent[i] != i)
		i = parent[i] = parent[parent[i]];
	return i;
}

/* labels[i]: the least index of its incident, or n. */
static void brute(const struct world *w, size_t *labels, bool *cores)
{
	static size_t parent[EVENTS_MAX];
	static bool member[EVENTS_MAX];
	static size_t least[EVENTS_MAX];

	for (size_t i = 0; i < w->n; i++) {
		parent[i] = i;
		member[i] = false;
		least[i] = w->n;
	}
	for (size_t c = 0; c < w->n; c++) {
		cores[c] = brute_core(w, c);
		for (size_t i = 0; cores[c] && i < w->n; i++) {
			int64_t apart = llabs(w->events[c].event_us - w->events[i].event_us);

			if (apart > w->rule.window_us || !near(w, c, i))
				continue;
			member[i] = true;
			parent[root(parent, i)] = root(parent, c);
		}
	}
	for (size_t i = w->n; i-- > 0;)
		if (member[i])
			least[root(parent, i)] = i;
	for (size_t i = 0; i < w->n; i++)
		labels[i] = member[i] ? least[root(parent, i)] : w->n;
}

/* ---- the engine
 * --------------------------------------------------------------------------------------------------
 */

static void push(struct run *r, struct world *w, size_t i)
{
	tg_located_pb loc = TONGGUAN__V1__LOCATED_EVENT__INIT;
	tg_event_pb ev = TONGGUAN__V1__EVENT__INIT;
	Tongguan__V1__Report report = TONGGUAN__V1__REPORT__INIT;

	report.reporter_id = w->reporters[i];
	ev.source_id = "s";
	ev.event_id = "e";
	ev.type_code = "05101";
	ev.occurred_at_us = w->events[i].event_us;
	ev.report = &report;
	ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
	loc.event = &ev;
	loc.uid.data = w->events[i].uid;
	loc.uid.len = 16;
	loc.has_lon = loc.has_lat = true;
	loc.lon = w->events[i].at.lon;
	loc.lat = w->events[i].at.lat;
	loc.grid_cell = "cell";
	loc.source_topic = "t";
	assert_int_equal(
		tg_engine_push(r->engine, &loc, w->events[i].halo, TG_SLICE(""), &r->found), 0);
}

static size_t index_of(const struct world *w, const uint8_t uid[16])
{
	for (size_t i = 0; i < w->n; i++)
		if (memcmp(w->events[i].uid, uid, 16) == 0)
			return i;
	fail_msg("a member that was never sent");
	return 0;
}

static void check(const struct world *w, const struct run *r)
{
	static size_t want[EVENTS_MAX], got[EVENTS_MAX];
	static bool want_core[EVENTS_MAX], got_core[EVENTS_MAX];

	brute(w, want, want_core);
	for (size_t i = 0; i < w->n; i++) {
		got[i] = w->n;
		got_core[i] = false;
	}
	for (size_t k = 0; k < r->book.len; k++) {
		const struct tg_entry *e = r->book.entries[k];
		size_t least = w->n;

		for (size_t m = 0; m < e->len; m++) {
			size_t i = index_of(w, e->members[m].uid);

			got_core[i] = e->members[m].core;
			least = i < least ? i : least;
		}
		for (size_t m = 0; m < e->len; m++)
			got[index_of(w, e->members[m].uid)] = least;
	}
	for (size_t i = 0; i < w->n; i++) {
		assert_int_equal(got[i], want[i]);
		assert_int_equal(got_core[i], want_core[i]);
		members_checked += want[i] < w->n;
	}
}

static void shuffle(size_t *order, size_t n)
{
	for (size_t i = n; i-- > 1;) {
		size_t k = (size_t)(rnd() * (double)(i + 1)), keep = order[i];

		order[i] = order[k];
		order[k] = keep;
	}
}

/* ---- tests
 * -------------------------------------------------------------------------------------------------------
 */

static void try_world(
	uint64_t seed, double lon, double lat, double halo_share, bool twice, bool restarts)
{
	static struct world w;
	static struct run r;
	static size_t order[EVENTS_MAX * 2];
	size_t n;

	make_world(&w, seed, 200 + (size_t)(seed * 37 % 400), lon, lat, halo_share);
	n = w.n * (twice ? 2 : 1);
	for (size_t i = 0; i < n; i++)
		order[i] = i % w.n;
	shuffle(order, n);
	run_open(&r, &w.set, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		push(&r, &w, order[i]);
		if (rnd() < 0.3)
			run_batch_end(&r);
		if (restarts && rnd() < 0.02) {
			run_batch_end(&r);
			run_restart(&r);
		}
	}
	run_batch_end(&r);
	check(&w, &r);
	run_close(&r);
}

static void cluster__any_order_gives_the_brute_force_incidents(void **state)
{
	(void)state;
	members_checked = 0;
	for (uint64_t seed = 1; seed <= 25; seed++)
		try_world(seed, -71.07, 42.35, 0, false, false);
	assert_true(members_checked > 500);
}

static void cluster__repeats_change_nothing(void **state)
{
	(void)state;
	members_checked = 0;
	for (uint64_t seed = 100; seed <= 110; seed++)
		try_world(seed, -71.07, 42.35, 0, true, false);
	assert_true(members_checked > 500);
}

static void cluster__a_restart_from_segments_continues_exactly(void **state)
{
	(void)state;
	members_checked = 0;
	for (uint64_t seed = 200; seed <= 220; seed++)
		try_world(seed, 121.43, 31.18, 0.1, true, true);
	assert_true(members_checked > 500);
}

static void cluster__neighbours_copies_count_but_are_no_cores(void **state)
{
	(void)state;
	members_checked = 0;
	for (uint64_t seed = 300; seed <= 310; seed++)
		try_world(seed, -71.07, 42.35, 0.4, false, false);
	assert_true(members_checked > 500);
}

static void cluster__works_at_the_date_line_and_in_the_far_north(void **state)
{
	(void)state;
	members_checked = 0;
	for (uint64_t seed = 400; seed <= 405; seed++) {
		try_world(seed, 179.99, 10, 0, false, false);
		try_world(seed, 20, 78.2, 0, false, false);
		try_world(seed, -179.999, -0.01, 0, false, false);
		try_world(seed, 30, 89.97, 0, false, false);
	}
	assert_true(members_checked > 500);
}

/* Two partitions see one world, each its own half and the other's as copies: together they find the
 * brute force. */
static void cluster__two_partitions_together_find_the_whole(void **state)
{
	static struct world w, half;
	static struct run runs[2];
	(void)state;

	for (uint64_t seed = 500; seed <= 510; seed++) {
		make_world(&w, seed, 300, -71.07, 42.35, 0);
		run_open(&runs[0], &w.set, NULL, 0);
		run_open(&runs[1], &w.set, NULL, 0);
		for (int side = 0; side < 2; side++) {
			half = w;
			for (size_t i = 0; i < w.n; i++)
				half.events[i].halo = (w.events[i].at.lon < -71.066) == (side == 0);
			for (size_t i = 0; i < w.n; i++) {
				push(&runs[side], &half, i);
				if (i % 7 == 0) {
					/* one book for both, as there is one database */
					assert_int_equal(
						tg_book_apply(&runs[0].book, &runs[side].found), 0);
					tg_findings_reset(&runs[side].found);
				}
			}
			assert_int_equal(tg_book_apply(&runs[0].book, &runs[side].found), 0);
			tg_findings_reset(&runs[side].found);
		}
		check(&w, &runs[0]);
		run_close(&runs[0]);
		run_close(&runs[1]);
	}
}

/* Live, in order with a little disorder and a short tolerance, so that windows do expire: a run
 * that is restarted all the time says the same as one that is not. */
static void engine__restarts_and_expiry_change_nothing(void **state)
{
	static struct world w;
	static struct run live, restarted;
	static size_t order[EVENTS_MAX];
	(void)state;

	for (uint64_t seed = 600; seed <= 612; seed++) {
		make_world(&w, seed, 900, -71.07, 42.35, 0.1);
		w.rule.lateness_us = 120 * TG_US_PER_S;
		w.rule.window_us = 400 * TG_US_PER_S;
		for (size_t i = 0; i < w.n; i++)
			order[i] = i;
		/* by time, then disordered by up to some places */
		for (size_t i = 1; i < w.n; i++)
			for (size_t k = i; k > 0 && w.events[order[k - 1]].event_us >
							    w.events[order[k]].event_us;
				k--) {
				size_t keep = order[k];

				order[k] = order[k - 1];
				order[k - 1] = keep;
			}
		for (size_t i = 0; i + 8 < w.n; i += 8)
			shuffle(order + i, 8);
		run_open(&live, &w.set, NULL, 0);
		run_open(&restarted, &w.set, NULL, 0);
		for (size_t i = 0; i < w.n; i++) {
			push(&live, &w, order[i]);
			push(&restarted, &w, order[i]);
			run_batch_end(&live);
			run_batch_end(&restarted);
			if (i % 11 == 0)
				run_restart(&restarted);
		}
		assert_true(live.counts.late > 0);
		assert_int_equal(live.counts.late, restarted.counts.late);
		assert_true(tg_engine_window_events(live.engine) < w.n);
		assert_int_equal(live.book.len, restarted.book.len);
		for (size_t k = 0; k < live.book.len; k++) {
			const struct tg_entry *a = live.book.entries[k],
					      *b = restarted.book.entries[k];

			assert_int_equal(a->len, b->len);
			assert_int_equal(a->merged, b->merged);
			for (size_t m = 0; m < a->len; m++) {
				bool found = false;

				for (size_t x = 0; x < b->len; x++)
					found = found ||
						(memcmp(a->members[m].uid, b->members[x].uid, 16) ==
								0 &&
							a->members[m].core == b->members[x].core);
				assert_true(found);
			}
		}
		run_close(&live);
		run_close(&restarted);
	}
}

static void engine__a_snapshot_restores_what_it_was_taken_of(void **state)
{
	static struct world w;
	static struct run r;
	(void)state;

	make_world(&w, 700, 500, -71.07, 42.35, 0.1);
	run_open(&r, &w.set, NULL, 0);
	for (size_t i = 0; i < w.n; i++) {
		push(&r, &w, i);
		if (i % 50 == 49) {
			run_batch_end(&r);
			run_drop_stored(&r, INT64_MAX);
			assert_int_equal(tg_engine_snapshot(r.engine, 64, run_keep_piece, &r), 0);
			run_restart(&r);
		}
	}
	run_batch_end(&r);
	check(&w, &r);
	run_close(&r);
}

static void segment__broken_bytes_are_refused(void **state)
{
	static struct world w;
	static struct run r;
	(void)state;

	make_world(&w, 800, 20, -71.07, 42.35, 0);
	run_open(&r, &w.set, NULL, 0);
	for (size_t i = 0; i < w.n; i++)
		push(&r, &w, i);
	run_batch_end(&r);
	for (size_t len = 0; len < r.stored[0].len; len++)
		assert_int_equal(
			tg_engine_restore(r.engine, (struct tg_slice){r.stored[0].data, len}),
			-TG_EPARSE);
	run_close(&r);
}

static void watermark__is_the_least_of_all_sources(void **state)
{
	struct tg_watermark m = {0}, back = {0};
	struct tg_buf bytes = {0};
	(void)state;

	assert_true(tg_watermark_us(&m) == TG_WATERMARK_NONE);
	assert_int_equal(tg_watermark_expect(&m, "a", 0), 0);
	assert_int_equal(tg_watermark_expect(&m, "a", 1), 0);
	assert_int_equal(tg_watermark_note(&m, "a", 0, 100), 0);
	assert_true(tg_watermark_us(&m) == TG_WATERMARK_NONE); /* a 1 has not been heard of */
	assert_int_equal(tg_watermark_note(&m, "a", 1, 40), 0);
	assert_int_equal(tg_watermark_us(&m), 40);
	assert_int_equal(tg_watermark_note(&m, "a", 1, 30), 0); /* never back */
	assert_int_equal(tg_watermark_us(&m), 40);
	assert_int_equal(
		tg_watermark_note(&m, "b", 0, 10), 0); /* turned up late: starts where time is */
	assert_int_equal(tg_watermark_us(&m), 40);
	assert_int_equal(tg_watermark_note(&m, "a", 1, 400), 0);
	assert_int_equal(tg_watermark_us(&m), 40);
	assert_int_equal(tg_watermark_note(&m, "b", 0, 90), 0);
	assert_int_equal(tg_watermark_us(&m), 90);
	assert_int_equal(tg_watermark_encode(&m, &bytes), 0);
	assert_int_equal(tg_watermark_decode(&back, (struct tg_slice){bytes.data, bytes.len}), 0);
	assert_int_equal(tg_watermark_us(&back), 90);
	assert_true(tg_watermark_knows(&back, "b", 0));
	assert_false(tg_watermark_knows(&back, "b", 1));
	assert_int_equal(tg_watermark_decode(&back, (struct tg_slice){bytes.data, bytes.len - 1}),
		-TG_EPARSE);
	tg_watermark_release(&m);
	tg_watermark_release(&back);
	tg_buf_release(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cluster__any_order_gives_the_brute_force_incidents),
		cmocka_unit_test(cluster__repeats_change_nothing),
		cmocka_unit_test(cluster__a_restart_from_segments_continues_exactly),
		cmocka_unit_test(cluster__neighbours_copies_count_but_are_no_cores),
		cmocka_unit_test(cluster__works_at_the_date_line_and_in_the_far_north),
		cmocka_unit_test(cluster__two_partitions_together_find_the_whole),
		cmocka_unit_test(engine__restarts_and_expiry_change_nothing),
		cmocka_unit_test(engine__a_snapshot_restores_what_it_was_taken_of),
		cmocka_unit_test(segment__broken_bytes_are_refused),
		cmocka_unit_test(watermark__is_the_least_of_all_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
