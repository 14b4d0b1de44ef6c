/* In which hours a device is expected to speak, and which devices a pattern means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "correlate/registry.h"
#include "correlate/schedule.h"

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
		cmocka_unit_test(schedule__says_what_to_mend),
		cmocka_unit_test(schedule__goes_by_the_citys_clock),
		cmocka_unit_test(glob__matches_as_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
