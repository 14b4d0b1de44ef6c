/* Which clocks a case has in each state, and when the levels of its ladder come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_life.h"

static void the_ladder_follows_the_working_clock(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_assigned);
	json_t *change = tg_store_change(kase, city, now), *clock, *level;
	size_t i, j, seen = 0;
	/* half, four fifths and all of eight hours from Monday 09:00; then a day
	 * of the department, and two */
	static const int64_t hours[] = {6, 8, 24, 48, 72};

	(void)state;
	assert_non_null(change);
	json_array_foreach (json_object_get(change, "clocks"), i, clock) {
		json_array_foreach (json_object_get(clock, "levels"), j, level) {
			int64_t at, want = MONDAY_9 + hours[j] * TG_US_PER_H;

			/* four fifths: 6.4 h: 12:00, 14:00 … 17:24 */
			if (j == 1)
				want = MONDAY_9 + 8 * TG_US_PER_H + 24 * TG_US_PER_MIN;
			assert_int_equal(
				tg_rfc3339_parse(tg_slice_cstr(json_string_value(
							 json_object_get(level, "fire_at"))),
					&at),
				0);
			assert_int_equal(at, want);
			assert_int_equal(json_integer_value(json_object_get(level, "level")), j);
			seen++;
		}
	}
	assert_int_equal(seen, 5);
	json_decref(change);
	tg_case_free(kase);
}

static json_t *handling_levels(struct tg_case *kase)
{
	json_t *change = tg_store_change(kase, city, now), *clock, *found = NULL;
	size_t i;

	assert_non_null(change);
	json_array_foreach (json_object_get(change, "clocks"), i, clock)
		if (!strcmp(json_string_value(json_object_get(clock, "kind")), "handle"))
			found = json_incref(json_object_get(clock, "levels"));
	json_decref(change);
	assert_non_null(found);
	return found;
}

static void what_comes_back_for_the_third_time_is_at_the_top_at_once(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_review);
	int64_t at = 0;

	(void)state;
	for (int n = 1; n <= 3; n++) {
		json_t *levels, *top;

		now += TG_US_PER_H;
		DONE(act(kase, TG_ROLE_OPERATOR, "rework", "{\"reason\":\"again\"}"));
		levels = handling_levels(kase);
		assert_int_equal(json_array_size(levels), 5);
		top = json_array_get(levels, 4);
		assert_int_equal(json_integer_value(json_object_get(top, "supervise")), 3);
		assert_int_equal(tg_rfc3339_parse(tg_slice_cstr(json_string_value(
							  json_object_get(top, "fire_at"))),
					 &at),
			0);
		assert_true(n < 3 ? at > now + 48 * TG_US_PER_H : at == now);
		json_decref(levels);
		DONE(act_task(kase, 0, "complete", "{\"result\":\"r\"}"));
	}
	now = MONDAY_9;
	tg_case_free(kase);
}

/* Which clocks run, and which wait, in each state; the handling clock runs before anybody signs. */
static void every_stage_has_its_clock(void **state)
{
	static const struct {
		enum tg_case_state state;
		const char *running, *paused;
	} stages[] = {
		{TG_CASE_new, "accept total ", ""},
		{TG_CASE_verifying, "total verify ", "accept "},
		{TG_CASE_to_file, "file total ", ""},
		{TG_CASE_to_dispatch, "dispatch total ", ""},
		{TG_CASE_assigned, "handle sign total ", ""},
		{TG_CASE_handling, "handle total ", ""},
		{TG_CASE_review, "check total ", ""},
		{TG_CASE_checking, "check total ", ""},
		{TG_CASE_to_close, "close total ", ""},
		{TG_CASE_closed, "", ""},
		{TG_CASE_refused, "", ""},
		{TG_CASE_not_filed, "", ""},
		{TG_CASE_void, "", ""},
		{TG_CASE_merged, "", ""},
	};
	static const char *const kinds[] = {"accept", "check", "close", "dispatch", "file",
		"handle", "reply", "sign", "total", "verify"};

	(void)state;
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		struct tg_case *kase = in_state(stages[i].state);
		char said[2][100] = {"", ""};

		for (size_t n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++)
			for (size_t k = 0; k < kase->clocks_count; k++) {
				const struct tg_clock *c = &kase->clocks[k];

				if (c->state == TG_CLOCK_STOPPED ||
					strcmp(kinds[n], tg_clock_kind_name((int)c->kind)))
					continue;
				strcat(said[c->state == TG_CLOCK_PAUSED], kinds[n]);
				strcat(said[c->state == TG_CLOCK_PAUSED], " ");
			}
		assert_string_equal(said[0], stages[i].running);
		assert_string_equal(said[1], stages[i].paused);
		tg_case_free(kase);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ladder_follows_the_working_clock),
		cmocka_unit_test(what_comes_back_for_the_third_time_is_at_the_top_at_once),
		cmocka_unit_test(every_stage_has_its_clock),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
