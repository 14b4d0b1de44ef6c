/* Working-time arithmetic: the fixtures, and its laws over random calendars and three years. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatch/worktime.h"

static struct tg_zone *shanghai, *boston;
static uint64_t seed;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static struct tg_calendar *calendar(const struct tg_zone *zone, const char *const *periods,
	size_t n, unsigned days, double hours_per_day)
{
	struct tg_period ps[TG_DAY_PERIODS_MAX];
	struct tg_calendar *cal;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(tg_period_parse(tg_slice_cstr(periods[i]), &ps[i]), 0);
	assert_int_equal(tg_calendar_new("test", zone, hours_per_day, &cal), 0);
	for (unsigned w = 1; w <= days; w++)
		assert_int_equal(tg_calendar_set_weekday(cal, w, ps, n), 0);
	return cal;
}

static int64_t at(
	const struct tg_zone *zone, int64_t y, unsigned m, unsigned d, int64_t h, int64_t min)
{
	return tg_zone_from_local(
		zone, tg_days_from_civil(y, m, d), h * TG_US_PER_H + min * TG_US_PER_MIN);
}

static int64_t amount(const char *text, const struct tg_calendar *cal)
{
	struct tg_limit limit;

	assert_int_equal(tg_limit_parse(tg_slice_cstr(text), &limit), 0);
	return tg_limit_amount_us(&limit, cal);
}

static void one_working_day_suspended_over_a_weekend(void **state)
{
	static const char *const office[] = {"08:00-12:00", "14:00-18:00"};
	struct tg_calendar *cal = calendar(shanghai, office, 2, 5, 8);
	int64_t start = at(shanghai, 2026, 11, 20, 16, 0); /* a Friday */
	struct tg_span pause = {
		at(shanghai, 2026, 11, 20, 17, 0), at(shanghai, 2026, 11, 23, 9, 0)};
	struct tg_deadline_q q = {.cal = cal,
		.start_us = start,
		.amount_us = amount("1wd", cal),
		.pauses = &pause,
		.pauses_count = 1};
	int64_t due = at(shanghai, 2026, 11, 23, 18, 0), left;

	(void)state;
	left = amount("1wd", cal) - tg_work_count(cal, start, pause.from_us);
	assert_int_equal(left, 7 * TG_US_PER_H);
	assert_int_equal(tg_work_add(cal, pause.to_us, left), due);
	assert_int_equal(tg_deadline(&q, NULL), due);
	tg_calendar_free(cal);
}

static void four_working_hours_run_into_the_next_morning(void **state)
{
	static const char *const day[] = {"08:00-18:00"};
	struct tg_calendar *cal = calendar(shanghai, day, 1, 5, 10);

	(void)state;
	assert_int_equal(tg_work_add(cal, at(shanghai, 2026, 11, 23, 17, 0), amount("4wh", cal)),
		at(shanghai, 2026, 11, 24, 11, 0));
	/* an hour before that is ten; four are the afternoon before, at five */
	assert_int_equal(tg_work_before(cal, at(shanghai, 2026, 11, 24, 11, 0), TG_US_PER_H),
		at(shanghai, 2026, 11, 24, 10, 0));
	assert_int_equal(tg_work_before(cal, at(shanghai, 2026, 11, 24, 11, 0), 4 * TG_US_PER_H),
		at(shanghai, 2026, 11, 23, 17, 0));
	tg_calendar_free(cal);
}

static void forty_eight_hours_leave_out_two_days_off(void **state)
{
	static const char *const shop[] = {"09:00-21:00"};
	struct tg_calendar *cal = calendar(shanghai, shop, 1, 7, 12);

	(void)state;
	assert_int_equal(tg_calendar_set_day(
				 cal, tg_days_from_civil(2016, 11, 13), TG_DAY_OFF, NULL, 0, "b"),
		0);
	assert_int_equal(tg_calendar_set_day(
				 cal, tg_days_from_civil(2016, 11, 11), TG_DAY_OFF, NULL, 0, "a"),
		0);
	assert_int_equal(tg_work_add(cal, at(shanghai, 2016, 11, 9, 23, 0), amount("48wh", cal)),
		at(shanghai, 2016, 11, 15, 21, 0));
	tg_calendar_free(cal);
}

static void a_result_at_a_periods_end_stays_there(void **state)
{
	static const char *const office[] = {"08:00-12:00", "14:00-18:00"};
	struct tg_calendar *cal = calendar(shanghai, office, 2, 5, 8);
	int64_t next;

	(void)state;
	assert_int_equal(tg_work_add(cal, at(shanghai, 2026, 11, 23, 8, 0), amount("1wd", cal)),
		at(shanghai, 2026, 11, 23, 18, 0));
	assert_int_equal(tg_work_add(cal, at(shanghai, 2026, 11, 23, 8, 0), amount("4wh", cal)),
		at(shanghai, 2026, 11, 23, 12, 0));
	assert_true(tg_work_open(cal, at(shanghai, 2026, 11, 23, 8, 0), &next));
	assert_false(tg_work_open(cal, at(shanghai, 2026, 11, 23, 12, 0), &next));
	assert_int_equal(next, at(shanghai, 2026, 11, 23, 14, 0));
	assert_false(tg_work_open(cal, at(shanghai, 2026, 11, 20, 18, 0), &next));
	assert_int_equal(next, at(shanghai, 2026, 11, 23, 8, 0));
	tg_calendar_free(cal);
}

static void make_up_and_half_days_take_the_usual_periods(void **state)
{
	static const char *const office[] = {"08:00-12:00", "14:00-18:00"};
	struct tg_calendar *cal = calendar(shanghai, office, 2, 5, 8);
	int64_t saturday = tg_days_from_civil(2026, 11, 21), monday = saturday + 2;

	(void)state;
	assert_int_equal(tg_calendar_set_day(cal, saturday, TG_DAY_WORK, NULL, 0, "make-up"), 0);
	assert_int_equal(tg_calendar_set_day(cal, monday, TG_DAY_HALF, NULL, 0, "half"), 0);
	assert_int_equal(tg_work_count(cal, at(shanghai, 2026, 11, 21, 0, 0),
				 at(shanghai, 2026, 11, 22, 0, 0)),
		8 * TG_US_PER_H);
	assert_int_equal(tg_work_count(cal, at(shanghai, 2026, 11, 23, 0, 0),
				 at(shanghai, 2026, 11, 24, 0, 0)),
		4 * TG_US_PER_H);
	tg_calendar_free(cal);
}

static void a_round_the_clock_day_has_the_zones_hours(void **state)
{
	static const char *const always[] = {"00:00-24:00"};
	struct tg_calendar *cal = calendar(boston, always, 1, 7, 24);

	(void)state;
	assert_int_equal(
		tg_work_count(cal, at(boston, 2015, 3, 8, 0, 0), at(boston, 2015, 3, 9, 0, 0)),
		23 * TG_US_PER_H);
	assert_int_equal(
		tg_work_count(cal, at(boston, 2015, 11, 1, 0, 0), at(boston, 2015, 11, 2, 0, 0)),
		25 * TG_US_PER_H);
	tg_calendar_free(cal);
}

static void a_calendar_without_work_has_no_deadline(void **state)
{
	struct tg_calendar *cal = calendar(shanghai, NULL, 0, 0, 8);

	(void)state;
	assert_true(tg_work_add(cal, 0, 1) == INT64_MAX);
	tg_calendar_free(cal);
}

static void limits_are_read_exactly(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {{"2h", 2 * TG_US_PER_H}, {"0.25h", 15 * TG_US_PER_MIN},
		{"7nd", 7 * TG_US_PER_DAY}, {"10min", 10 * TG_US_PER_MIN},
		{"0.1h", 6 * TG_US_PER_MIN}, {"1.5wd", 12 * TG_US_PER_H}, {"4wh", 4 * TG_US_PER_H},
		{"0.000001h", 3600}};
	static const char *const bad[] = {"", "h", "1", "-1h", "0h", "1 h", "1e3h", "1.h", ".5h",
		"1wd ", "1234567h", "1.0000001h", "1WD", "0.0min"};
	static const char *const office[] = {"08:00-12:00", "14:00-18:00"};
	struct tg_calendar *cal = calendar(shanghai, office, 2, 5, 8);
	struct tg_limit limit;
	struct tg_period p;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(amount(good[i].text, cal), good[i].us);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tg_limit_parse(tg_slice_cstr(bad[i]), &limit), -TG_EPARSE);
	assert_int_equal(tg_period_parse(TG_SLICE("08:00-08:00"), &p), -TG_EPARSE);
	assert_int_equal(tg_period_parse(TG_SLICE("08:00-24:01"), &p), -TG_EPARSE);
	assert_int_equal(tg_period_parse(TG_SLICE("8:00-12:00"), &p), -TG_EPARSE);
	assert_int_equal(tg_period_parse(TG_SLICE("00:00-24:00"), &p), 0);
	tg_calendar_free(cal);
}

/* --- why --- */

struct told {
	int64_t counted;
	int periods, skipped;
	char reasons[256];
};

static void on_period(void *ctx, int64_t from, int64_t to)
{
	struct told *told = ctx;

	told->counted += to - from;
	told->periods++;
}

static void on_skipped(void *ctx, int64_t day, const char *reason)
{
	struct told *told = ctx;

	(void)day;
	told->skipped++;
	strncat(told->reasons, reason, sizeof(told->reasons) - strlen(told->reasons) - 2);
	strcat(told->reasons, " ");
}

static void the_explanation_counts_what_the_deadline_took(void **state)
{
	static const char *const office[] = {"08:00-12:00", "14:00-18:00"};
	struct tg_calendar *cal = calendar(shanghai, office, 2, 5, 8);
	struct tg_span pause = {
		at(shanghai, 2026, 11, 24, 17, 0), at(shanghai, 2026, 11, 26, 9, 0)};
	struct tg_extension more = {at(shanghai, 2026, 11, 26, 10, 0), 2 * TG_US_PER_H, "2wh"};
	struct tg_deadline_q q = {.cal = cal,
		.start_us = at(shanghai, 2026, 11, 19, 16, 0),
		.amount_us = amount("2wd", cal),
		.pauses = &pause,
		.pauses_count = 1,
		.extensions = &more,
		.extensions_count = 1};
	struct told told = {0};
	struct tg_deadline_sink sink = {on_period, on_skipped, &told};
	int64_t due;

	(void)state;
	assert_int_equal(tg_calendar_set_day(cal, tg_days_from_civil(2026, 11, 20), TG_DAY_OFF,
				 NULL, 0, "holiday"),
		0);
	/* Thu 2 h, Mon 8 h, Tue 7 h of 18 h, suspended, Thu 1 h left */
	due = tg_deadline(&q, &sink);
	assert_int_equal(due, at(shanghai, 2026, 11, 26, 10, 0));
	assert_int_equal(told.counted, 18 * TG_US_PER_H);
	assert_int_equal(told.periods, 6);
	assert_string_equal(told.reasons, "holiday weekend weekend paused ");
	pause.to_us = INT64_MAX;
	assert_true(tg_deadline(&q, NULL) == INT64_MAX);
	tg_calendar_free(cal);
}

/* --- laws --- */

static struct tg_calendar *random_calendar(const struct tg_zone *zone, int64_t first_day)
{
	struct tg_calendar *cal;

	assert_int_equal(tg_calendar_new("random", zone, 8, &cal), 0);
	for (unsigned w = 1; w <= 7; w++) {
		struct tg_period ps[3];
		size_t n = w == 1 ? 1 + rnd(3) : rnd(4);
		int64_t t = 0;

		for (size_t i = 0; i < n; i++) {
			ps[i].from_us = t + (int64_t)rnd(5) * 30 * TG_US_PER_MIN;
			ps[i].to_us = ps[i].from_us + (int64_t)(1 + rnd(8)) * 25 * TG_US_PER_MIN;
			t = ps[i].to_us;
		}
		assert_true(t <= TG_US_PER_DAY);
		assert_int_equal(tg_calendar_set_weekday(cal, w, ps, n), 0);
	}
	for (int i = 0; i < 60; i++) {
		static const enum tg_day_kind kinds[] = {TG_DAY_OFF, TG_DAY_WORK, TG_DAY_HALF};

		assert_int_equal(tg_calendar_set_day(cal, first_day + (int64_t)rnd(3 * 366),
					 kinds[rnd(3)], NULL, 0, "x"),
			0);
	}
	return cal;
}

/* So much before: counts that much, is the earliest such instant, and undoes an addition. */
static void check_before(const struct tg_calendar *cal, int64_t t, int64_t tm, int64_t m)
{
	int64_t back = tg_work_before(cal, tm, m), early = tg_work_before(cal, t, m);

	assert_true(back <= t);
	assert_int_equal(tg_work_count(cal, back, tm), m);
	assert_int_equal(tg_work_count(cal, back, t), 0);
	if (early != INT64_MIN) {
		assert_int_equal(tg_work_count(cal, early, t), m);
		assert_int_equal(tg_work_count(cal, tg_work_add(cal, early, m), t), 0);
		if (m > 0 && cal)
			assert_true(tg_work_count(cal, early - 1, t) > m);
	}
}

static void check_laws(
	const struct tg_calendar *cal, int64_t t, int64_t m, int64_t n, int64_t later)
{
	int64_t tm = tg_work_add(cal, t, m), tmn = tg_work_add(cal, t, m + n), next;

	assert_int_equal(tg_work_count(cal, t, tm), m);
	assert_int_equal(tg_work_add(cal, tm, n), tmn);
	assert_true(tm >= t);
	assert_true(tmn >= tm);
	assert_true(tg_work_add(cal, t + later, m) >= tm);
	assert_int_equal(tg_work_count(cal, tm, t), -m);
	check_before(cal, t, tm, m);
	if (!tg_work_open(cal, t, &next) && m > 0)
		assert_int_equal(tg_work_add(cal, next, m), tm);
	if (m > 0)
		assert_true(tg_work_count(cal, t, tm - 1) < m); /* the earliest such instant */
}

static void laws_hold_over_three_years_of_random_calendars(void **state)
{
	int64_t first = tg_days_from_civil(2024, 1, 1);

	(void)state;
	for (int c = 0; c < 200; c++) {
		const struct tg_zone *zone = c % 2 ? boston : shanghai;
		struct tg_calendar *cal = random_calendar(zone, first);

		for (int i = 0; i < 100; i++) {
			int64_t t = first * TG_US_PER_DAY +
				    (int64_t)rnd(3 * 365 * UINT64_C(86400000000));

			check_laws(cal, t, (int64_t)rnd(UINT64_C(100) * 3600000000),
				(int64_t)rnd(UINT64_C(100) * 3600000000),
				(int64_t)rnd(UINT64_C(7) * 86400000000));
		}
		tg_calendar_free(cal);
	}
}

static void pausing_and_resuming_loses_and_gains_nothing(void **state)
{
	int64_t first = tg_days_from_civil(2024, 1, 1);

	(void)state;
	for (int c = 0; c < 2000; c++) {
		struct tg_calendar *cal = random_calendar(c % 2 ? boston : shanghai, first);
		int64_t t = first * TG_US_PER_DAY + (int64_t)rnd(300 * UINT64_C(86400000000));
		int64_t total = 1 + (int64_t)rnd(UINT64_C(60) * 3600000000), left = total, now = t;
		struct tg_span pauses[5];
		struct tg_extension more[2];
		size_t n = 0;
		struct tg_deadline_q q = {.cal = cal,
			.start_us = t,
			.amount_us = total,
			.pauses = pauses,
			.extensions = more};

		while (n < 5) {
			int64_t due = tg_work_add(cal, now, left);

			if (due - now < 2)
				break;
			/* granted while it runs: the deadline there is, and so much more */
			if (q.extensions_count < 2 && rnd(3) == 0) {
				int64_t us = 1 + (int64_t)rnd((uint64_t)total);

				more[q.extensions_count++] = (struct tg_extension){now, us, "x"};
				assert_int_equal(tg_work_add(cal, due, us),
					tg_work_add(cal, now, left + us));
				left += us;
				due = tg_work_add(cal, now, left);
			}
			pauses[n].from_us = now + (int64_t)rnd((uint64_t)(due - now));
			left -= tg_work_count(cal, now, pauses[n].from_us);
			now = pauses[n].to_us =
				pauses[n].from_us + 1 + (int64_t)rnd(UINT64_C(20) * 86400000000);
			n++;
		}
		q.pauses_count = n;
		assert_int_equal(tg_deadline(&q, NULL), tg_work_add(cal, now, left));
		tg_calendar_free(cal);
	}
}

static int setup(void **state)
{
	const char *given = getenv("TG_TEST_SEED");

	(void)state;
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)tg_now_us();
	seed |= 1;
	print_message("seed %llu (TG_TEST_SEED)\n", (unsigned long long)seed);
	return tg_zone_load("Asia/Shanghai", &shanghai) ||
	       tg_zone_load("America/New_York", &boston);
}

static int teardown(void **state)
{
	(void)state;
	tg_zone_free(shanghai);
	tg_zone_free(boston);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_working_day_suspended_over_a_weekend),
		cmocka_unit_test(four_working_hours_run_into_the_next_morning),
		cmocka_unit_test(forty_eight_hours_leave_out_two_days_off),
		cmocka_unit_test(a_result_at_a_periods_end_stays_there),
		cmocka_unit_test(make_up_and_half_days_take_the_usual_periods),
		cmocka_unit_test(a_round_the_clock_day_has_the_zones_hours),
		cmocka_unit_test(a_calendar_without_work_has_no_deadline),
		cmocka_unit_test(limits_are_read_exactly),
		cmocka_unit_test(the_explanation_counts_what_the_deadline_took),
		cmocka_unit_test(laws_hold_over_three_years_of_random_calendars),
		cmocka_unit_test(pausing_and_resuming_loses_and_gains_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
