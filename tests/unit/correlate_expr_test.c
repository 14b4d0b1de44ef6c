/* Expressions: a table of texts and what they are on one event; a table of wrong ones and where
 * they are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/expr.h"

static tg_located_pb loc;
static tg_event_pb ev;
static Tongguan__V1__Reading reading;
static Tongguan__V1__Attribute attribute;
static Tongguan__V1__Attribute *attributes[] = {&attribute};

static int make_event(void **state)
{
	(void)state;
	tongguan__v1__located_event__init(&loc);
	tongguan__v1__event__init(&ev);
	tongguan__v1__reading__init(&reading);
	tongguan__v1__attribute__init(&attribute);
	attribute.key = "floor";
	attribute.value = "3";
	reading.metric = "level_cm";
	reading.has_value = true;
	reading.value = 27.5;
	ev.source_id = "pump-7";
	ev.source_kind = TONGGUAN__V1__SOURCE_KIND__SENSOR;
	ev.type_code = "05101";
	ev.reading = &reading;
	ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_READING;
	ev.attributes = attributes;
	ev.n_attributes = 1;
	loc.event = &ev;
	loc.street = "310104";
	loc.has_lon = true;
	loc.lon = 121.4;
	return 0;
}

static const struct {
	const char *text;
	bool is;
} truths[] = {
	{"true", true},
	{"false", false},
	{"value > 27", true},
	{"value >= 27.5", true},
	{"value < 27.5", false},
	{"value == 27.5", true},
	{"value != 27.5", false},
	{"27 < value", true},
	{"metric == \"level_cm\"", true},
	{"metric == 'level_cm'", true},
	{"metric != \"level\"", true},
	{"metric < \"level_cm2\"", true},
	{"metric in [\"a\", \"level_cm\"]", true},
	{"metric not in [\"a\", \"level_cm\"]", false},
	{"metric in []", false},
	{"value in [1, 27.5, 3]", true},
	{"source_kind == \"sensor\"", true},
	{"source_id.startsWith(\"pump-\")", true},
	{"source_id.endsWith(\"-8\")", false},
	{"source_id.contains(\"mp\")", true},
	{"source_id.contains(\"\")", true},
	{"attributes[\"floor\"] == \"3\"", true},
	{"attributes[\"room\"] == \"\"", true},
	{"street == \"310104\" and district == \"\"", true},
	{"not value > 27", false},
	{"!(value > 27)", false},
	{"! ! true", true},
	{"true or false and false", true},
	{"(true or false) and false", false},
	{"false or false or true", true},
	{"false && true || true", true},
	{"true and true and false", false},
	{"value > 100 or metric == \"level_cm\" and value > 27", true},
	/* what is not there: text is empty, a number makes every comparison false */
	{"report.title == \"\"", true},
	{"speed_kmh < 5", false},
	{"speed_kmh >= 5", false},
	{"speed_kmh == speed_kmh", false},
	{"speed_kmh != speed_kmh", false},
	{"speed_kmh not in [5]", false},
	{"lat > -91", false},
	{"lon > -91", true},
	{"value > -1e3", true},
};

static void expr__table_of_truths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
		struct tg_expr *expr = NULL;
		struct tg_expr_error error = {0};

		if (tg_expr_compile(tg_slice_cstr(truths[i].text), &expr, &error))
			fail_msg("%s: %d: %s", truths[i].text, error.column, error.what);
		if (tg_expr_eval(expr, &loc) != truths[i].is)
			fail_msg(
				"%s should be %s", truths[i].text, truths[i].is ? "true" : "false");
		tg_expr_free(expr);
	}
	assert_true(tg_expr_eval(NULL, &loc));
}

static const struct {
	const char *text;
	int line, column;
	const char *what;
} wrongs[] = {
	{"", 1, 1, "the expression is empty"},
	{"value", 1, 6, "a comparison is missing: == != < <= > >= or in"},
	{"value = 3", 1, 7, "write == to compare"},
	{"value > \"3\"", 1, 9, "a number is compared with a text"},
	{"valeu > 3", 1, 1, "'valeu' is no field; known: type_code"},
	{"value > 3)", 1, 10, "the expression should end here"},
	{"(value > 3", 1, 11, "a ) is missing"},
	{"value >\n 3 and\n colour == 3", 3, 2, "'colour' is no field"},
	{"metric == \"abc", 1, 11, "this text is not closed"},
	{"metric == \"a\\q\"", 1, 14, "after a backslash"},
	{"value > 3e", 1, 9, "'3e' is no number"},
	{"value > 1e999", 1, 9, "'1e999' is no number"},
	{"value in 3", 1, 10, "`in` wants a list"},
	{"value in [\"a\"]", 1, 11, "a number is compared with a text"},
	{"value in [lat]", 1, 11, "a list holds numbers or texts, not fields"},
	{"value.contains(\"a\")", 1, 7, "a number has no such function"},
	{"metric.matches(\"a\")", 1, 8, "known here: contains, startsWith, endsWith"},
	{"source_kind == \"sensors\"", 1, 16, "source_kind is sensor, vehicle"},
	{"attributes.floor == \"3\"", 1, 11, "write attributes[\"key\"]"},
	{"report.contact == \"\"", 1, 1, "'report.contact' is no field"},
	{"value > 3 & value < 4", 1, 11, "a character that no expression has"},
	{"true true", 1, 6, "the expression should end here"},
};

static void expr__wrong_ones_are_pointed_at(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		struct tg_expr *expr = NULL;
		struct tg_expr_error error = {0};

		assert_int_equal(
			tg_expr_compile(tg_slice_cstr(wrongs[i].text), &expr, &error), -TG_EPARSE);
		if (error.line != wrongs[i].line || error.column != wrongs[i].column ||
			strncmp(error.what, wrongs[i].what, strlen(wrongs[i].what)) != 0)
			fail_msg("%s: got %d:%d: %s", wrongs[i].text, error.line, error.column,
				error.what);
	}
}

static void expr__depth_and_length_have_limits(void **state)
{
	struct tg_buf text = {0};
	struct tg_expr *expr = NULL;
	struct tg_expr_error error;
	(void)state;

	for (int i = 0; i < 1000; i++)
		assert_int_equal(tg_buf_add_cstr(&text, "("), 0);
	assert_int_equal(
		tg_expr_compile((struct tg_slice){text.data, text.len}, &expr, &error), -TG_EPARSE);
	tg_buf_reset(&text);
	for (int i = 0; i < 400; i++)
		assert_int_equal(tg_buf_add_cstr(&text, "true and "), 0);
	assert_int_equal(tg_buf_add_cstr(&text, "true"), 0);
	assert_int_equal(
		tg_expr_compile((struct tg_slice){text.data, text.len}, &expr, &error), -TG_EPARSE);
	assert_non_null(strstr(error.what, "too long"));
	tg_buf_release(&text);
}

/* Whatever the bytes, the compiler answers and the evaluator ends. */
static void expr__any_bytes_get_an_answer(void **state)
{
	static const char *const parts[] = {"value", ">", "3", "and", "or", "not", "(", ")", "[",
		"]", ",", "in", "\"a\"", ".", "metric", "==", "contains", "true", "attributes",
		"report", "title", " ", "-", "'"};
	uint32_t rng = 12345;
	(void)state;

	for (int round = 0; round < 20000; round++) {
		struct tg_buf text = {0};
		struct tg_expr *expr = NULL;
		struct tg_expr_error error;
		int rc = 0;

		for (int i = 0; i < 8 && !rc; i++) {
			rng = rng * 1664525 + 1013904223;
			rc = tg_buf_addf(&text, "%s ",
				parts[(rng >> 16) % (sizeof(parts) / sizeof(parts[0]))]);
		}
		assert_int_equal(rc, 0);
		if (tg_expr_compile((struct tg_slice){text.data, text.len}, &expr, &error) == 0)
			(void)tg_expr_eval(expr, &loc);
		tg_expr_free(expr);
		tg_buf_release(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(expr__table_of_truths, make_event),
		cmocka_unit_test(expr__wrong_ones_are_pointed_at),
		cmocka_unit_test(expr__depth_and_length_have_limits),
		cmocka_unit_test_setup(expr__any_bytes_get_an_answer, make_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
