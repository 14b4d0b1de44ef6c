/* A window beside a list that is looked through from end to end: at the equator, where bands share
 * their figures and where they change, at the poles and over the antimeridian. */
#include <math.h>

#include "tests/unit/correlate_run.h"

#define EVENTS 3000

struct listed {
	struct tg_seen seen[EVENTS];
	uint32_t seqs[EVENTS];
	size_t first, len;
};

static struct tg_lonlat near(struct tg_lonlat centre, double spread_deg)
{
	double narrow = fmax(cos(centre.lat * (M_PI / 180)), 0.01);
	struct tg_lonlat at = {centre.lon + (rnd() - 0.5) * spread_deg / narrow,
		centre.lat + (rnd() - 0.5) * spread_deg};

	if (fabs(at.lat) > 90) /* over the pole */
		at = (struct tg_lonlat){at.lon + 180, copysign(180 - fabs(at.lat), at.lat)};
	while (at.lon > 180)
		at.lon -= 360;
	while (at.lon < -180)
		at.lon += 360;
	return at;
}

static struct tg_seen event(size_t i, struct tg_lonlat at)
{
	struct tg_seen s = {.event_us = (int64_t)i * 1000, .at = at, .group = TG_GROUP_NONE};

	for (size_t b = 0; b < sizeof(s.uid); b++)
		s.uid[b] = (uint8_t)(rnd() * 256);
	return s;
}

/* Every held event is among the hits exactly if it is near enough and in time. */
static size_t compare(struct tg_window *w, const struct listed *l, struct tg_lonlat at,
	double radius_m, int64_t from_us, int64_t to_us, struct tg_hits *hits)
{
	size_t want = 0;

	assert_int_equal(tg_window_query(w, at, from_us, to_us, hits), 0);
	for (size_t i = l->first; i < l->len; i++)
		want += l->seen[i].event_us >= from_us && l->seen[i].event_us <= to_us &&
			tg_geo_distance_m(l->seen[i].at, at) <= radius_m;
	assert_int_equal(hits->len, want);
	for (size_t i = 0; i < hits->len; i++) {
		const struct tg_seen *s = tg_window_at(w, hits->seqs[i]);

		assert_true(tg_geo_distance_m(s->at, at) <= radius_m);
		assert_true(s->event_us >= from_us && s->event_us <= to_us);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(hits->seqs[k], hits->seqs[i]);
	}
	return want;
}

static void expire(struct tg_window *w, struct listed *l, int64_t before_us)
{
	tg_window_expire(w, before_us);
	while (l->first < l->len && l->seen[l->first].event_us < before_us)
		l->first++;
	assert_int_equal(tg_window_count(w), l->len - l->first);
}

static size_t walk(struct tg_lonlat centre, double radius_m)
{
	struct tg_window_budget budget = {0, EVENTS};
	static struct listed l;
	struct tg_hits hits = {0};
	struct tg_window *w;
	double spread_deg = radius_m / 111000 * 20;
	size_t found = 0;

	l.first = l.len = 0;
	assert_int_equal(tg_window_new(radius_m, &budget, &w), 0);
	while (l.len < EVENTS) {
		struct tg_seen *s = &l.seen[l.len];

		*s = event(l.len, near(centre, spread_deg));
		assert_int_equal(tg_window_find(w, s->uid), TG_SEQ_NONE);
		assert_int_equal(tg_window_append(w, s, &l.seqs[l.len]), 0);
		l.len++;
		if (l.len % 10 == 0)
			found += compare(w, &l, near(centre, spread_deg), radius_m,
				s->event_us - 900000, s->event_us - 1000, &hits);
		if (l.len % 97 == 0)
			expire(w, &l, s->event_us - 1200000);
	}
	for (size_t i = 0; i < l.len; i++) {
		uint32_t seq = tg_window_find(w, l.seen[i].uid);

		assert_int_equal(seq == TG_SEQ_NONE, i < l.first);
		if (seq != TG_SEQ_NONE)
			assert_memory_equal(tg_window_at(w, seq)->uid, l.seen[i].uid, 16);
	}
	tg_window_free(w);
	tg_hits_release(&hits);
	assert_int_equal(budget.used, 0);
	return found;
}

static void window__finds_what_a_look_through_all_finds(void **state)
{
	static const struct tg_lonlat places[] = {{121.43, 31.18}, {-71.06, 42.36}, {0, 0},
		{13.1, -0.25}, {180, 12}, {-180, -60}, {179.9999, 66.5}, {20, 89.9}, {-100, -89.99},
		{45, 90}, {0, -90}, {-30, 42.25}, {10, 60.5}};
	static const double radii_m[] = {3, 40, 250, 5000, 60000};

	(void)state;
	rnd_seed(41);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		for (size_t k = 0; k < sizeof(radii_m) / sizeof(radii_m[0]); k++)
			assert_true(walk(places[i], radii_m[k]) > 300);
}

static void window__is_full_at_its_budget_and_unchanged_then(void **state)
{
	struct tg_window_budget budget = {0, 5};
	struct tg_window *w;
	struct tg_seen s;
	uint32_t seq;

	(void)state;
	rnd_seed(42);
	assert_int_equal(tg_window_new(50, &budget, &w), 0);
	for (size_t i = 0; i < 5; i++) {
		s = event(i, (struct tg_lonlat){121.43, 31.18});
		assert_int_equal(tg_window_append(w, &s, &seq), 0);
	}
	s = event(5, (struct tg_lonlat){121.43, 31.18});
	assert_int_equal(tg_window_append(w, &s, &seq), -TG_EFULL);
	assert_int_equal(tg_window_count(w), 5);
	assert_int_equal(tg_window_find(w, s.uid), TG_SEQ_NONE);
	tg_window_expire(w, 1000);
	assert_int_equal(tg_window_append(w, &s, &seq), 0);
	tg_window_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window__finds_what_a_look_through_all_finds),
		cmocka_unit_test(window__is_full_at_its_budget_and_unchanged_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
