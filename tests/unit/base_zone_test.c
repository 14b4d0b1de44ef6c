#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static int64_t us_of(const char *text)
{
	int64_t us;

	assert_int_equal(tg_rfc3339_parse(tg_slice_cstr(text), &us), 0);
	return us;
}

static void zone__local_time_at_these_instants(void **state)
{
	static const struct {
		const char *zone, *utc, *local;
	} rows[] = {
		{"America/New_York", "2026-03-08T06:59:59Z", "2026-03-08T01:59:59-05:00"},
		{"America/New_York", "2026-03-08T07:00:00Z", "2026-03-08T03:00:00-04:00"},
		{"America/New_York", "2026-11-01T05:59:59Z", "2026-11-01T01:59:59-04:00"},
		{"America/New_York", "2026-11-01T06:00:00Z", "2026-11-01T01:00:00-05:00"},
		{"America/New_York", "2060-07-04T12:00:00Z", "2060-07-04T08:00:00-04:00"},
		{"America/New_York", "2060-12-04T12:00:00Z", "2060-12-04T07:00:00-05:00"},
		{"Asia/Shanghai", "2026-07-01T00:00:00Z", "2026-07-01T08:00:00+08:00"},
		{"Asia/Shanghai", "1940-07-01T00:00:00Z", "1940-07-01T09:00:00+09:00"},
		{"Asia/Shanghai", "1941-01-01T00:00:00Z", "1941-01-01T08:00:00+08:00"},
		{"Asia/Shanghai", "1986-05-03T17:59:59Z", "1986-05-04T01:59:59+08:00"},
		{"Asia/Shanghai", "1986-05-03T18:00:00Z", "1986-05-04T03:00:00+09:00"},
		{"Asia/Shanghai", "1991-09-14T16:59:59Z", "1991-09-15T01:59:59+09:00"},
		{"Asia/Shanghai", "1991-09-14T17:00:00Z", "1991-09-15T01:00:00+08:00"},
		{"Australia/Sydney", "2050-01-15T00:00:00Z", "2050-01-15T11:00:00+11:00"},
		{"Australia/Sydney", "2050-07-15T00:00:00Z", "2050-07-15T10:00:00+10:00"},
		{"Europe/Dublin", "2050-07-15T00:00:00Z", "2050-07-15T01:00:00+01:00"},
		{"Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T05:30:00+05:30"},
		{"UTC", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500000+00:00"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[TG_RFC3339_MAX];
		struct tg_zone *zone;

		assert_int_equal(tg_zone_load(rows[i].zone, &zone), 0);
		assert_string_equal(tg_zone_name(zone), rows[i].zone);
		tg_rfc3339_local(zone, us_of(rows[i].utc), text);
		assert_string_equal(text, rows[i].local);
		assert_int_equal(us_of(text), us_of(rows[i].utc));
		tg_zone_free(zone);
	}
}

/* The C library reads the same files by its own code; its times end at 2^31 for nobody any more. */
static void zone__agrees_with_the_c_library_over_two_centuries(void **state)
{
	static const char *const names[] = {"America/New_York", "Asia/Shanghai", "Europe/London",
		"Australia/Lord_Howe", "America/Nuuk", "Pacific/Apia", "Africa/Casablanca",
		"Asia/Gaza", "America/Santiago", "Europe/Dublin"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct tg_zone *zone;

		assert_int_equal(tg_zone_load(names[i], &zone), 0);
		setenv("TZ", names[i], 1);
		tzset();
		for (int64_t s = -3000000000; s < 4000000000; s += 17 * 3600 + 61) {
			time_t t = (time_t)s;
			struct tm tm;

			assert_non_null(localtime_r(&t, &tm));
			if (tg_zone_offset_s(zone, s * TG_US_PER_S) != tm.tm_gmtoff)
				print_message("%s at %lld\n", names[i], (long long)s);
			assert_int_equal(tg_zone_offset_s(zone, s * TG_US_PER_S), tm.tm_gmtoff);
		}
		tg_zone_free(zone);
	}
	unsetenv("TZ");
	tzset();
}

static void zone_from_local__takes_the_first_of_two_and_the_jump_of_none(void **state)
{
	static const struct {
		const char *zone, *local, *utc; /* local is written as if it were UTC */
	} rows[] = {
		{"America/New_York", "2026-03-08T01:59:59Z", "2026-03-08T06:59:59Z"},
		{"America/New_York", "2026-03-08T02:00:00Z", "2026-03-08T07:00:00Z"},
		{"America/New_York", "2026-03-08T02:30:00Z", "2026-03-08T07:00:00Z"},
		{"America/New_York", "2026-03-08T03:00:00Z", "2026-03-08T07:00:00Z"},
		{"America/New_York", "2026-11-01T00:59:59Z", "2026-11-01T04:59:59Z"},
		{"America/New_York", "2026-11-01T01:00:00Z", "2026-11-01T05:00:00Z"},
		{"America/New_York", "2026-11-01T01:59:59Z", "2026-11-01T05:59:59Z"},
		{"America/New_York", "2026-11-01T02:00:00Z", "2026-11-01T07:00:00Z"},
		{"America/New_York", "2070-03-09T02:30:00Z", "2070-03-09T07:00:00Z"},
		{"Asia/Shanghai", "1986-05-04T02:30:00Z", "1986-05-03T18:00:00Z"},
		{"Asia/Shanghai", "1991-09-15T01:30:00Z", "1991-09-14T16:30:00Z"},
		{"Asia/Shanghai", "2026-10-01T08:00:00Z", "2026-10-01T00:00:00Z"},
		/* Samoa left out the whole of 30 December 2011. */
		{"Pacific/Apia", "2011-12-29T23:59:59Z", "2011-12-30T09:59:59Z"},
		{"Pacific/Apia", "2011-12-30T12:00:00Z", "2011-12-30T10:00:00Z"},
		{"Pacific/Apia", "2011-12-31T00:00:00Z", "2011-12-30T10:00:00Z"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t local = us_of(rows[i].local), days = local / TG_US_PER_DAY;
		struct tg_zone *zone;

		assert_int_equal(tg_zone_load(rows[i].zone, &zone), 0);
		assert_int_equal(
			tg_zone_from_local(zone, days, local % TG_US_PER_DAY), us_of(rows[i].utc));
		/* a day further back with a day's microseconds more is the same wall time */
		assert_int_equal(
			tg_zone_from_local(zone, days - 1, local % TG_US_PER_DAY + TG_US_PER_DAY),
			us_of(rows[i].utc));
		tg_zone_free(zone);
	}
}

static void zone_to_local__is_undone_by_from_local_except_in_the_second_hour(void **state)
{
	struct tg_zone *zone;

	(void)state;
	assert_int_equal(tg_zone_load("America/New_York", &zone), 0);
	for (int64_t s = -2000000000; s < 3000000000; s += 50021) {
		int64_t us = s * TG_US_PER_S + 7, days, day_us, back;

		tg_zone_to_local(zone, us, &days, &day_us);
		assert_in_range(day_us, 0, TG_US_PER_DAY - 1);
		back = tg_zone_from_local(zone, days, day_us);
		assert_true(back == us || back == us - TG_US_PER_H);
	}
	tg_zone_free(zone);
}

static void zone_load__refuses_what_is_no_zone_name(void **state)
{
	static const char *const names[] = {"", "Nowhere/City", "/etc/passwd",
		"../../../etc/passwd", "America/../UTC", "America", "zone.tab", "UTC\n"};
	struct tg_zone *zone = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(tg_zone_load(names[i], &zone), -TG_ENOENT);
	assert_null(zone);
}

/* A slim file in $TZDIR: no transitions at all, only the footer rule. */
static void write_zone(const char *dir, const char *name, const char *rule, size_t cut)
{
	char file[256] = {0}, path[128];
	size_t at = 0, n = strlen(rule);
	FILE *f;

	for (int version = 0; version < 2; version++) {
		memcpy(file + at, "TZif2", 5);
		file[at + 39] = 1; /* typecnt */
		file[at + 43] = 4; /* charcnt */
		at += 44 + 6 + 4;
	}
	file[at++] = '\n';
	memcpy(file + at, rule, n);
	at += n;
	file[at++] = '\n';
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(file, 1, at - cut, f), at - cut);
	fclose(f);
}

static void zone_load__lives_by_the_footer_of_a_slim_file(void **state)
{
	static const struct {
		const char *rule, *utc, *local;
	} rows[] = {
		{"EST5EDT,M3.2.0,M11.1.0", "2026-07-01T00:00:00Z", "2026-06-30T20:00:00-04:00"},
		{"EST5EDT,M3.2.0,M11.1.0", "1800-01-01T00:00:00Z", "1799-12-31T19:00:00-05:00"},
		{"<+0330>-3:30", "2026-01-01T00:00:00Z", "2026-01-01T03:30:00+03:30"},
		{"AAA3BBB,J60/0,J300", "2024-03-01T02:59:59Z", "2024-02-29T23:59:59-03:00"},
		{"AAA3BBB,J60/0,J300", "2024-03-01T03:00:00Z", "2024-03-01T01:00:00-02:00"},
		{"AAA3BBB,59/0,300", "2024-02-29T03:00:00Z", "2024-02-29T01:00:00-02:00"},
		{"XXX3EDT4,0/0,J365/23", "2026-12-31T23:30:00Z", "2026-12-31T19:30:00-04:00"},
		{"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z",
			"2026-03-29T00:00:00-01:00"},
	};
	char dir[] = "/tmp/tg-zone-XXXXXX", path[64];
	struct tg_zone *zone;

	(void)state;
	assert_non_null(mkdtemp(dir));
	setenv("TZDIR", dir, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[TG_RFC3339_MAX];

		write_zone(dir, "Z", rows[i].rule, 0);
		assert_int_equal(tg_zone_load("Z", &zone), 0);
		tg_rfc3339_local(zone, us_of(rows[i].utc), text);
		assert_string_equal(text, rows[i].local);
		tg_zone_free(zone);
	}
	write_zone(dir, "Z", "EST5EDT,M3.2.0,M11.1.0", 1);
	assert_int_equal(tg_zone_load("Z", &zone), -TG_EPARSE);
	for (size_t cut = 20; cut < 130; cut += 3) {
		write_zone(dir, "Z", "EST5EDT,M3.2.0,M11.1.0", cut);
		assert_int_equal(tg_zone_load("Z", &zone), -TG_EPARSE);
	}
	write_zone(dir, "Z", "EST5EDT,M13.2.0,M11.1.0", 0);
	assert_int_equal(tg_zone_load("Z", &zone), -TG_EPARSE);
	snprintf(path, sizeof(path), "%s/Z", dir);
	unlink(path);
	rmdir(dir);
	unsetenv("TZDIR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zone__local_time_at_these_instants),
		cmocka_unit_test(zone__agrees_with_the_c_library_over_two_centuries),
		cmocka_unit_test(zone_from_local__takes_the_first_of_two_and_the_jump_of_none),
		cmocka_unit_test(zone_to_local__is_undone_by_from_local_except_in_the_second_hour),
		cmocka_unit_test(zone_load__refuses_what_is_no_zone_name),
		cmocka_unit_test(zone_load__lives_by_the_footer_of_a_slim_file),
	};

	return cmocka_run_group_tests_name("base_zone", tests, NULL, NULL);
}
