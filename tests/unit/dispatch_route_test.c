/* Who is asked first for a case, and why; what a case may repeat. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatch/repeat.h"
#include "dispatch/route.h"
#include "tests/unit/dispatch_city.h"

static struct tg_city *city;
/* Monday 23 November 2026, 09:00 in Shanghai. */
#define MONDAY_9 (INT64_C(1795395600) * TG_US_PER_S)

static struct tg_case *case_of(const char *type, const char *street)
{
	struct tg_case *kase = tg_case_new();

	kase->type_code = type;
	kase->street = street;
	return kase;
}

/* "CODE:role:score reason reason", best first, those without a reason left out. */
static void ranked(const struct tg_case *kase, char *out, size_t size)
{
	struct tg_candidate *list;
	size_t n, at = 0;

	assert_int_equal(tg_route_rank(city, kase, MONDAY_9, &list, &n), 0);
	out[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (!list[i].reasons)
			continue;
		at += (size_t)snprintf(out + at, size - at, "%s%s:%s:%d", i ? ", " : "",
			list[i].dept->code, list[i].lead ? "lead" : "assist", list[i].score);
		for (int r = 0; r < TG_ROUTE_REASON_COUNT; r++)
			if (list[i].reasons & 1u << r)
				at += (size_t)snprintf(
					out + at, size - at, " %s", tg_route_reason_code(r));
	}
	free(list);
}

static void the_catalogue_the_condition_and_the_place_each_say_whom(void **state)
{
	static const struct {
		const char *type, *street;
		int64_t condition;
		const char *wanted;
	} table[] = {
		{"01001", NULL, 1, "JGW:lead:80 catalogue, CGJ:assist:40 assist"},
		/* its second condition is for the police */
		{"01001", NULL, 2,
			"GAF:lead:100 condition, JGW:lead:80 catalogue, CGJ:assist:40 assist"},
		/* the unit of the lead that serves the street comes before the lead itself */
		{"01001", "S1", 1,
			"JGW1:lead:95 unit catalogue, JGW:lead:80 catalogue, CGJ:assist:40 assist"},
		{"09001", "S1", 1, "CGJ:lead:80 catalogue, JGW1:assist:20 place"},
		{NULL, NULL, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct tg_case *kase = case_of(table[i].type, table[i].street);
		char got[400];

		kase->condition = table[i].condition;
		ranked(kase, got, sizeof(got));
		assert_string_equal(got, table[i].wanted);
		tg_case_free(kase);
	}
}

static void who_has_returned_it_is_asked_last_of_all_and_leads_no_more(void **state)
{
	struct tg_case *kase = case_of("01001", NULL);
	struct tg_candidate *list;
	char got[400];
	size_t n;

	(void)state;
	kase->condition = 1;
	kase->tasks_count = 2;
	strcpy(kase->tasks[0].department, "JGW");
	kase->tasks[0].state = TG_TASK_returned;
	strcpy(kase->tasks[1].department, "CGJ");
	kase->tasks[1].state = TG_TASK_signed;
	ranked(kase, got, sizeof(got));
	assert_string_equal(
		got, "CGJ:assist:35 assist working, JGW:assist:-920 catalogue returned");
	assert_int_equal(tg_route_rank(city, kase, MONDAY_9, &list, &n), 0);
	assert_string_equal(list[n - 1].dept->code, "JGW");
	free(list);
	tg_case_free(kase);
}

static void the_deadline_is_by_each_departments_own_calendar(void **state)
{
	struct tg_case *kase = case_of("09001", NULL);
	struct tg_candidate *list;
	size_t n;

	(void)state;
	assert_int_equal(tg_route_rank(city, kase, MONDAY_9, &list, &n), 0);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++) {
		/* one working day: till Tuesday 09:00 in an office, 24 h for the police */
		assert_int_equal(list[i].due_us, MONDAY_9 + 24 * TG_US_PER_H);
		assert_string_equal(list[i].limit, "1wd");
		assert_int_equal(list[i].on_duty, -1);
	}
	/* after the suggested ones by name: yd, then … */
	assert_string_equal(list[0].dept->code, "CGJ");
	assert_string_equal(list[1].dept->pinyin, "ga");
	assert_string_equal(list[2].dept->pinyin, "jg");
	assert_string_equal(list[3].dept->pinyin, "yd");
	free(list);
	tg_case_free(kase);
}

/* --- repetitions --- */

#define NOON (INT64_C(1700000000) * TG_US_PER_S)

static struct tg_report report(double metres, double hours_ago, const char *type, const char *text)
{
	return (struct tg_report){.type_code = type,
		.lasting = TG_LASTING_MIXED,
		.lon = 121.4,
		.lat = 31.2 + metres / 111195.0,
		.reported_us = NOON - (int64_t)(hours_ago * (double)TG_US_PER_H),
		.closed_us = INT64_MIN,
		.text = text};
}

static struct tg_repeat *scored(const struct tg_report *fresh, const struct tg_report *old,
	size_t n, const struct tg_slice *texts, size_t texts_count)
{
	static struct tg_repeat out[8];
	struct tg_repeat_words *words;

	assert_int_equal(tg_repeat_words_new(texts, texts_count, &words), 0);
	tg_repeat_score(fresh, old, n, fresh->reported_us, words, out);
	tg_repeat_words_free(words);
	return out;
}

/* Worked out by hand from the published formula. */
static void a_score_is_the_sum_of_its_terms(void **state)
{
	struct tg_report fresh = report(0, 0, "09001", "illegal stall"),
			 old = report(100, 3, "09001", "noise");
	struct tg_repeat *r = scored(&fresh, &old, 1, NULL, 0);
	double want = -5.13 - 1.39 * log(1 + 100 / 8.0) + (-0.23 + 0.12) * log(1 + 18) + 0.43 +
		      2.35 + 0.94 + 0.54 + 0.67 - 0.73 * log(2);

	(void)state;
	assert_true(fabs(r->score - want) < 0.01);
	assert_true(fabs(r->distance_m - 100) < 0.2);
	assert_int_equal(r->age_us, 3 * TG_US_PER_H);
	assert_true(r->same_type && r->open && !r->same_place);
}

static void nearer_of_the_same_type_and_with_the_same_words_comes_first(void **state)
{
	static const struct tg_slice seen[] = {TG_SLICE("路灯 不亮"), TG_SLICE("路灯 损坏"),
		TG_SLICE("a lamp is out"), TG_SLICE("井盖 缺失")};
	struct tg_report fresh = report(0, 0, "09001", "井盖缺失 near the school"),
			 old[] = {report(60, 5, "09001", "路灯"),
				 report(20, 5, "09001", "school: 井盖缺失了"),
				 report(20, 5, "01001", "路灯"), report(20, 5, "09001", "路灯")};
	struct tg_repeat *r;

	(void)state;
	old[3].closed_us = NOON - 240 * TG_US_PER_H;
	r = scored(&fresh, old, 4, seen, 4);
	assert_true(r[1].score > r[0].score);
	assert_true(r[1].score > r[2].score);
	assert_true(r[1].score > r[3].score);
	assert_true(r[1].score > TG_REPEAT_LINE);
	assert_true(r[3].score < TG_REPEAT_LINE);
	assert_int_equal(r[1].shared_count, 3);
	/* words nobody has written before are the rarest */
	assert_string_equal(r[1].shared[0], "盖缺");
	assert_int_equal(r[0].shared_count, 0);
}

static void far_and_old_or_of_another_kind_is_not_suggested(void **state)
{
	struct tg_report fresh = report(0, 0, "09001", "x"),
			 old[] = {report(140, 24 * 50, "01001", "y"),
				 report(140, 24 * 50, NULL, NULL)};
	struct tg_repeat *r = scored(&fresh, old, 2, NULL, 0);

	(void)state;
	assert_true(r[0].score < TG_REPEAT_LINE);
	assert_true(r[1].score < TG_REPEAT_LINE);
	assert_false(r[1].same_type);
}

static int setup(void **state)
{
	(void)state;
	city = test_city();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tg_city_free(city);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_catalogue_the_condition_and_the_place_each_say_whom),
		cmocka_unit_test(who_has_returned_it_is_asked_last_of_all_and_leads_no_more),
		cmocka_unit_test(the_deadline_is_by_each_departments_own_calendar),
		cmocka_unit_test(a_score_is_the_sum_of_its_terms),
		cmocka_unit_test(nearer_of_the_same_type_and_with_the_same_words_comes_first),
		cmocka_unit_test(far_and_old_or_of_another_kind_is_not_suggested),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
