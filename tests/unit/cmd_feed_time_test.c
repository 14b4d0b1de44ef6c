#include "cmd_feed.h"

static struct tg_zone *new_york, *shanghai;

static int load_zones(void **state)
{
	(void)state;
	return tg_zone_load("America/New_York", &new_york) ||
	       tg_zone_load("Asia/Shanghai", &shanghai);
}

static int free_zones(void **state)
{
	(void)state;
	tg_zone_free(new_york);
	tg_zone_free(shanghai);
	return 0;
}

static void check(const struct feed_time *time, const char *text, const char *want)
{
	char got[TG_RFC3339_MAX];
	int64_t us = 0;
	const char *wrong = feed_time_parse(time, text, &us);

	if (!want) {
		if (!wrong)
			fail_msg("'%s' was taken", text);
		return;
	}
	if (wrong)
		fail_msg("'%s': %s", text, wrong);
	tg_rfc3339_utc(us, got);
	assert_string_equal(got, want);
}

static void iso__forms_that_are_taken_and_refused(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"2015-03-16T00:54:08", "2015-03-16T04:54:08Z"},
		{"2015-03-16 00:54:08", "2015-03-16T04:54:08Z"},
		{"2015-03-16 00:54", "2015-03-16T04:54:00Z"},
		{"2015-03-16T00:54:08.25", "2015-03-16T04:54:08.250000Z"},
		{"2015-03-16T00:54:08.123456789", "2015-03-16T04:54:08.123456Z"},
		{"2015-03-16T00:54:08Z", "2015-03-16T00:54:08Z"},
		{"2015-03-16T00:54+08:00", "2015-03-15T16:54:00Z"},
		{"2015-03-16T00:54:08.5 -0530", "2015-03-16T06:24:08.500000Z"},
		{"2015-03-16T00:54:08-05", "2015-03-16T05:54:08Z"},
		{"2016-02-29T00:00:00", "2016-02-29T05:00:00Z"},
		{"2015-02-29T00:00:00", NULL},
		{"2015-13-01T00:00:00", NULL},
		{"2015-03-16", NULL},
		{"2015-03-16T24:00", NULL},
		{"2015-03-16T00:60", NULL},
		{"2015-03-16T00:54:", NULL},
		{"2015-03-16T00:54:08.", NULL},
		{"2015-03-16T00:54:08x", NULL},
		{"2015-03-16T00:54:08+25:00", NULL},
		{"15-03-16T00:54:08", NULL},
		{"", NULL},
	};
	const struct feed_time time = {.format = FEED_ISO, .zone = new_york};
	const struct feed_time no_zone = {.format = FEED_ISO};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(&time, rows[i].text, rows[i].want);
	check(&no_zone, "2015-03-16T00:54:08", NULL);
	check(&no_zone, "2015-03-16T00:54:08Z", "2015-03-16T00:54:08Z");
}

static void zone__the_first_of_two_hours_and_past_the_gap_of_none(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"2015-03-08T01:59:59", "2015-03-08T06:59:59Z"},
		{"2015-03-08T02:00:00", "2015-03-08T07:00:00Z"}, /* 03:00 summer time */
		{"2015-03-08T02:30:00", "2015-03-08T07:30:00Z"},
		{"2015-03-08T02:59:59.999999", "2015-03-08T07:59:59.999999Z"},
		{"2015-03-08T03:00:00", "2015-03-08T07:00:00Z"},
		{"2015-11-01T00:59:59", "2015-11-01T04:59:59Z"},
		{"2015-11-01T01:00:00", "2015-11-01T05:00:00Z"},
		{"2015-11-01T01:59:59", "2015-11-01T05:59:59Z"},
		{"2015-11-01T02:00:00", "2015-11-01T07:00:00Z"},
	};
	const struct feed_time iso = {.format = FEED_ISO, .zone = new_york};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(&iso, rows[i].text, rows[i].want);
}

static void epoch__whole_and_broken_numbers(void **state)
{
	const struct feed_time s = {.format = FEED_EPOCH_S}, ms = {.format = FEED_EPOCH_MS},
			       us = {.format = FEED_EPOCH_US};

	(void)state;
	check(&s, "1700000000", "2023-11-14T22:13:20Z");
	check(&s, "1700000000.25", "2023-11-14T22:13:20.250000Z");
	check(&s, "-1.5", "1969-12-31T23:59:58.500000Z");
	check(&ms, "1700000000125", "2023-11-14T22:13:20.125000Z");
	check(&ms, "1700000000125.5", "2023-11-14T22:13:20.125500Z");
	check(&us, "1700000000000001", "2023-11-14T22:13:20.000001Z");
	check(&s, "1.7e9", NULL);
	check(&s, "", NULL);
	check(&s, "12x", NULL);
	check(&s, " 12", NULL);
	check(&s, "--1", NULL);
	check(&s, "99999999999999999999", NULL);
	check(&s, "9223372036854775807", NULL);
}

static void pattern__as_of_strptime_with_the_whole_text(void **state)
{
	const struct feed_time day_first = {
		.format = FEED_PATTERN, .pattern = "%d/%m/%Y %H:%M", .zone = shanghai};
	const struct feed_time offset = {
		.format = FEED_PATTERN, .pattern = "%Y%m%d%H%M%S%z", .pattern_offset = true};
	const struct feed_time hours = {
		.format = FEED_PATTERN, .pattern = "%H:%M", .zone = shanghai};

	(void)state;
	check(&day_first, "16/03/2015 08:30", "2015-03-16T00:30:00Z");
	check(&day_first, "30/02/2015 08:30", NULL);
	check(&day_first, "16/03/2015 08:30:00", NULL);
	check(&day_first, "2015-03-16", NULL);
	check(&offset, "20150316083000+0200", "2015-03-16T06:30:00Z");
	check(&offset, "20150316083000", NULL);
	check(&hours, "08:30", NULL); /* no date */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iso__forms_that_are_taken_and_refused),
		cmocka_unit_test(zone__the_first_of_two_hours_and_past_the_gap_of_none),
		cmocka_unit_test(epoch__whole_and_broken_numbers),
		cmocka_unit_test(pattern__as_of_strptime_with_the_whole_text),
	};

	return cmocka_run_group_tests_name("cmd_feed_time", tests, load_zones, free_zones);
}
