#include "cmd_feed.h"

/* The title of a report shows what a text comes to; NULL when it comes to nothing. */
static char *title_of(struct feed_all *all, const char *template, const char *rows)
{
	char yaml[1024];

	snprintf(yaml, sizeof(yaml), FEED_BASE "report: {title: %s}\n", template);
	feed_all_make(all, yaml, rows, NULL);
	assert_int_equal(all->count, 1);
	return all->events[0]->report->title;
}

static void template__columns_braces_and_row_numbers(void **state)
{
	static const struct {
		const char *template, *want;
	} rows[] = {
		{"plain", "plain"},
		{"\"{a}\"", "one"},
		{"\"<{a}|{b c}>\"", "<one|two words>"},
		{"\"{{{a}}}\"", "{one}"},
		{"\"{{a}}\"", "{a}"},
		{"\"{{{{\"", "{{"},
		{"\"{@row}/{a}{a}\"", "1/oneone"},
		{"\"{empty}\"", NULL},
		{"\"x{empty}y\"", "xy"},
		{"\"{@metric}.\"", "."},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct feed_all all;
		char *got = title_of(
			&all, rows[i].template, "id,t,a,b c,empty\n7,1, one\t, two words ,  \n");

		if (rows[i].want)
			assert_string_equal(got ? got : "(absent)", rows[i].want);
		else
			assert_null(got);
		feed_all_release(&all);
	}
}

static void template__bytes_that_are_no_text_leave_the_row_out(void **state)
{
	static const char *const rows[] = {
		"id,t,a\n7,1,\xff\xfe\n",
		"id,t,a\n7,1,\xc3\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct feed_all all;

		feed_all_make(&all, FEED_BASE "report: {title: \"{a}\"}\n", rows[i], NULL);
		assert_int_equal(all.count, 0);
		assert_int_equal(all.tally.left_out, 1);
		assert_string_equal(all.tally.reasons[0].text, "a text is not UTF-8");
		feed_all_release(&all);
	}
}

static void lookup__map_table_default_and_none(void **state)
{
	struct feed_all all;

	(void)state;
	feed_file("t.csv", "name,value\nfrom a table,one\n\"a, b\",two\n");
	assert_string_equal(title_of(&all, "{value: \"{a}\", map: {one: first, Two: second}}",
				    "id,t,a\n7,1,Two\n"),
		"second");
	feed_all_release(&all);
	assert_string_equal(
		title_of(&all, "{value: \"{a}\", table: t.csv}", "id,t,a\n7,1,two\n"), "a, b");
	feed_all_release(&all);
	/* letter by letter, and the default is a template */
	assert_string_equal(
		title_of(&all, "{value: \"{a}\", map: {one: first}, default: \"no {a}\"}",
			"id,t,a\n7,1,ONE\n"),
		"no ONE");
	feed_all_release(&all);
	assert_null(title_of(
		&all, "{value: \"{a}\", map: {one: first}, default: \"\"}", "id,t,a\n7,1,x\n"));
	feed_all_release(&all);

	feed_all_make(&all, FEED_BASE "report: {title: {value: \"{a}\", table: t.csv}}\n",
		"id,t,a\n7,1,three\n8,1,one\n", NULL);
	assert_int_equal(all.count, 1);
	assert_string_equal(all.events[0]->report->title, "from a table");
	assert_int_equal(all.tally.rows, 2);
	assert_int_equal(all.tally.left_out, 1);
	assert_string_equal(all.tally.reasons[0].text, "a value stands in no table");
	feed_all_release(&all);
}

static void decimal__whole_text_or_nothing(void **state)
{
	static const struct {
		const char *text;
		double want;
	} good[] = {{"0", 0}, {"-7", -7}, {"+7.50", 7.5}, {".5", .5}, {"5.", 5}, {"1e3", 1000},
		{"2E-2", .02}, {"-0.000001", -0.000001}, {"007", 7}};
	static const char *const bad[] = {"", "-", ".", "1,5", "1 ", " 1", "0x10", "nan", "inf",
		"1e", "1e+", "1e999", "--1", "1.2.3", "NA", "1e3x"};
	double got = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(feed_decimal_parse(good[i].text, &got));
		assert_true(got == good[i].want);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(feed_decimal_parse(bad[i], &got));
}

static void number__scale_offset_and_what_means_missing(void **state)
{
	struct feed_all all;

	(void)state;
	feed_all_make(&all,
		FEED_BASE "readings:\n"
			  "  - {metric: c, unit: K, value: {value: \"{v}\", scale: 0.5, offset: "
			  "-10, missing: [NA, \"-9.9\"]}}\n",
		"id,t,v\n1,1,30\n2,2,NA\n3,3,-9.9\n4,4,\n5,5,-9.90\n6,6,warm\n7,7, 1e2 \n", NULL);
	assert_int_equal(all.tally.rows, 7);
	assert_int_equal(all.tally.taken, 3);
	assert_int_equal(all.tally.left_out, 4);
	assert_int_equal(all.tally.reasons[0].rows, 3);
	assert_int_equal(all.count, 3);
	assert_true(all.events[0]->reading->value == 5);
	assert_true(all.events[1]->reading->value == -9.9 * 0.5 - 10);
	assert_true(all.events[2]->reading->value == 40);
	assert_string_equal(all.tally.reasons[0].text, "there is no number");
	assert_string_equal(all.tally.reasons[1].text, "a value is no number");
	feed_all_release(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(template__columns_braces_and_row_numbers),
		cmocka_unit_test(template__bytes_that_are_no_text_leave_the_row_out),
		cmocka_unit_test(lookup__map_table_default_and_none),
		cmocka_unit_test(decimal__whole_text_or_nothing),
		cmocka_unit_test(number__scale_offset_and_what_means_missing),
	};

	return cmocka_run_group_tests_name("cmd_feed_value", tests, feed_dir_make, feed_dir_remove);
}
