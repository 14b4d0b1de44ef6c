#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "base/clock.h"

static void civil__agrees_with_the_c_library_on_every_day_of_eight_centuries(void **state)
{
	(void)state;
	for (int64_t day = -146097; day < 146097; day++) {
		time_t t = (time_t)(day * 86400);
		struct tm tm;
		int64_t year;
		unsigned month, dom;

		assert_non_null(gmtime_r(&t, &tm));
		tg_civil_from_days(day, &year, &month, &dom);
		assert_int_equal(year, tm.tm_year + 1900);
		assert_int_equal(month, tm.tm_mon + 1);
		assert_int_equal(dom, tm.tm_mday);
		assert_int_equal(tg_weekday(day), tm.tm_wday ? tm.tm_wday : 7);
		assert_int_equal(tg_days_from_civil(year, month, dom), day);
	}
}

static void rfc3339_parse__reads_these_instants(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2000-01-01T00:00:00Z", TG_PG_EPOCH_US},
		{"2026-11-22T10:27:16.123456Z", INT64_C(1795343236123456)},
		{"2026-11-22T18:27:16.123456+08:00", INT64_C(1795343236123456)},
		{"2026-11-22t10:27:16.1z", INT64_C(1795343236100000)},
		{"2026-11-22T10:27:16.123456789-00:00", INT64_C(1795343236123456)},
		{"1969-12-31T23:59:59.5Z", -500000},
		{"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
		{"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
		{"2017-01-01T07:59:60.25+08:00", INT64_C(1483228800250000)},
		{"0000-01-01T00:00:00Z", INT64_C(-62167219200000000)},
		{"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t us = -1;

		assert_int_equal(tg_rfc3339_parse(tg_slice_cstr(rows[i].text), &us), 0);
		assert_int_equal(us, rows[i].us);
	}
}

static void rfc3339_parse__refuses_these_texts(void **state)
{
	static const char *const rows[] = {"", "2026", "2026-11-22", "2026-11-22T10:27:16",
		"2026-11-22 10:27:16Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
		"2026-11-00T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T10:60:16Z",
		"2026-11-22T10:27:60Z", "2026-11-22T10:27:61Z", "2026-11-22T10:27:16.Z",
		"2026-11-22T10:27:16.1234567890Z", "2026-11-22T10:27:16+8:00",
		"2026-11-22T10:27:16+0800", "2026-11-22T10:27:16+24:00",
		"2026-11-22T10:27:16+08:60", "2026-11-22T10:27:16ZZ", " 2026-11-22T10:27:16Z",
		"2026-11-22T10:27:16,5Z", "+026-11-22T10:27:16Z", "2026-11-22T10:27:16+08:00 "};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t us = 42;

		assert_int_equal(tg_rfc3339_parse(tg_slice_cstr(rows[i]), &us), -TG_EPARSE);
		assert_int_equal(us, 42);
	}
}

static void rfc3339_utc__writes_the_fraction_only_when_there_is_one(void **state)
{
	static const struct {
		int64_t us;
		const char *want;
	} rows[] = {{0, "1970-01-01T00:00:00Z"}, {-1, "1969-12-31T23:59:59.999999Z"},
		{INT64_C(1795343236123456), "2026-11-22T10:27:16.123456Z"},
		{INT64_C(1795343236100000), "2026-11-22T10:27:16.100000Z"}};
	char text[TG_RFC3339_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t back;

		tg_rfc3339_utc(rows[i].us, text);
		assert_string_equal(text, rows[i].want);
		assert_int_equal(tg_rfc3339_parse(tg_slice_cstr(text), &back), 0);
		assert_int_equal(back, rows[i].us);
	}
	tg_rfc3339_utc(INT64_MAX, text); /* out of every calendar, yet within its bytes */
	tg_rfc3339_utc(INT64_MIN, text);
}

static void clock_set_for_test__stops_both_clocks_until_set_to_zero(void **state)
{
	int64_t real = tg_now_us();

	(void)state;
	tg_clock_set_for_test(12345);
	assert_int_equal(tg_now_us(), 12345);
	assert_int_equal(tg_mono_us(), 12345);
	tg_clock_set_for_test(0);
	assert_true(tg_now_us() >= real);
	assert_true(tg_mono_us() != 12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(civil__agrees_with_the_c_library_on_every_day_of_eight_centuries),
		cmocka_unit_test(rfc3339_parse__reads_these_instants),
		cmocka_unit_test(rfc3339_parse__refuses_these_texts),
		cmocka_unit_test(rfc3339_utc__writes_the_fraction_only_when_there_is_one),
		cmocka_unit_test(clock_set_for_test__stops_both_clocks_until_set_to_zero),
	};

	return cmocka_run_group_tests_name("base_clock", tests, NULL, NULL);
}
