#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static void jw__writes_every_kind_of_value(void **state)
{
	struct tg_buf out = {0};
	struct tg_jw w;

	(void)state;
	tg_jw_begin(&w, &out);
	tg_jw_object(&w, NULL);
	tg_jw_str(&w, "s", "a\"b\\c\n\t\x01\x7f统");
	tg_jw_str(&w, "none", NULL);
	tg_jw_int(&w, "min", INT64_MIN);
	tg_jw_int(&w, "max", INT64_MAX);
	tg_jw_dbl(&w, "d", 0.1);
	tg_jw_dbl(&w, "nan", NAN);
	tg_jw_dbl(&w, "inf", -INFINITY);
	tg_jw_bool(&w, "t", true);
	tg_jw_time(&w, "at", 500000);
	tg_jw_time(&w, "never", INT64_MIN);
	tg_jw_array(&w, "list");
	tg_jw_int(&w, NULL, 0);
	tg_jw_object(&w, NULL);
	tg_jw_object_end(&w);
	tg_jw_array(&w, NULL);
	tg_jw_array_end(&w);
	tg_jw_slice(&w, NULL, TG_SLICE("a\0b"));
	tg_jw_raw(&w, NULL, TG_SLICE("{\"x\":1}"));
	tg_jw_array_end(&w);
	tg_jw_bool(&w, "f", false);
	tg_jw_object_end(&w);
	assert_int_equal(tg_jw_end(&w), 0);
	assert_string_equal(tg_buf_cstr(&out),
		"{\"s\":\"a\\\"b\\\\c\\n\\t\\u0001\\u007f统\",\"none\":null,"
		"\"min\":-9223372036854775808,\"max\":9223372036854775807,\"d\":0.1,"
		"\"nan\":null,\"inf\":null,\"t\":true,\"at\":\"1970-01-01T00:00:00.500000Z\","
		"\"never\":null,\"list\":[0,{},[],\"a\\u0000b\",{\"x\":1}],\"f\":false}");
	tg_buf_release(&out);
}

static void jw__output_is_valid_json_for_any_bytes(void **state)
{
	(void)state;
	srand(5);
	for (int i = 0; i < 5000; i++) {
		char bytes[24];
		size_t len = (size_t)rand() % sizeof(bytes);
		struct tg_buf out = {0};
		struct tg_jw w;
		json_t *root;

		for (size_t k = 0; k < len; k++)
			bytes[k] = (char)(rand() % 255 + 1); /* the reader refuses NUL */
		tg_jw_begin(&w, &out);
		tg_jw_array(&w, NULL);
		tg_jw_slice(&w, NULL, (struct tg_slice){bytes, len});
		tg_jw_array_end(&w);
		assert_int_equal(tg_jw_end(&w), 0);
		assert_int_equal(
			tg_json_parse((struct tg_slice){out.data, out.len}, &root, NULL), 0);
		if (tg_utf8_valid((struct tg_slice){bytes, len})) {
			assert_int_equal(json_string_length(json_array_get(root, 0)), len);
			assert_memory_equal(json_string_value(json_array_get(root, 0)), bytes, len);
		}
		json_decref(root);
		tg_buf_release(&out);
	}
}

static void jw__remembers_the_first_error(void **state)
{
	struct tg_buf out = {.max = 10};
	struct tg_jw w;

	(void)state;
	tg_jw_begin(&w, &out);
	tg_jw_array(&w, NULL);
	tg_jw_str(&w, NULL, "twelve bytes");
	tg_jw_int(&w, NULL, 1);
	tg_jw_array_end(&w);
	assert_int_equal(tg_jw_end(&w), -TG_EFULL);
	tg_buf_release(&out);
}

static void json_parse__refuses_these_and_says_where(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"{\"a\":1,\n \"a\":2}", "line 2, column 4: duplicate object key"},
		{"{\"a\":}", "line 1, column 6"},
		{"", "line 1, column 0"},
		{"[1,2", "line 1, column 4"},
		{"[1] 2", "line 1"},
		{"\"secret\"", "line 1"},
		{"[\"\\u0000\"]", "line 1"},
		{"[\"\xf0\x80\"]", "line 1"},
		{"[1e999]", "line 1"},
		{"[99999999999999999999]", "line 1"},
		{"[NaN]", "line 1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_buf why = {0};
		json_t *root = NULL;

		assert_int_equal(
			tg_json_parse(tg_slice_cstr(rows[i].text), &root, &why), -TG_EPARSE);
		assert_null(root);
		if (!strstr(tg_buf_cstr(&why), rows[i].why))
			fail_msg("%s: %s", rows[i].text, tg_buf_cstr(&why));
		assert_null(strstr(tg_buf_cstr(&why), "secret"));
		tg_buf_release(&why);
	}
}

static void json_parse__takes_32_levels_and_no_more(void **state)
{
	char text[128] = "";
	struct tg_buf why = {0};
	json_t *root;

	(void)state;
	for (int depth = 32; depth <= 33; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		text[2 * depth] = '\0';
		assert_int_equal(tg_json_parse(tg_slice_cstr(text), &root, &why),
			depth == 32 ? 0 : -TG_EPARSE);
		if (depth == 32)
			json_decref(root);
	}
	assert_string_equal(tg_buf_cstr(&why), "line 1, column 33: nested deeper than 32");
	assert_int_equal(tg_json_parse(TG_SLICE("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]"),
				 &root, NULL),
		0);
	json_decref(root);
	tg_buf_release(&why);
}

static void json_getters__tell_absent_from_wrong(void **state)
{
	json_t *root;
	const char *s = "kept";
	int64_t i = 7;
	double d = 7;
	bool b = false, wrong = false;

	(void)state;
	assert_int_equal(tg_json_parse(TG_SLICE("{\"s\":\"x\",\"i\":9007199254740993,\"d\":1.5,"
						"\"b\":true,\"n\":null}"),
				 &root, NULL),
		0);
	assert_true(tg_json_str(root, "s", &s, &wrong));
	assert_string_equal(s, "x");
	assert_true(tg_json_int(root, "i", &i, &wrong));
	assert_true(i == INT64_C(9007199254740993));
	assert_true(tg_json_dbl(root, "d", &d, &wrong));
	assert_true(d == 1.5);
	assert_true(tg_json_dbl(root, "i", &d, &wrong));
	assert_true(tg_json_bool(root, "b", &b, &wrong));
	assert_true(b);
	assert_false(tg_json_str(root, "n", &s, &wrong));
	assert_false(tg_json_str(root, "absent", &s, &wrong));
	assert_false(wrong);
	assert_false(tg_json_int(root, "d", &i, &wrong));
	assert_true(wrong);
	assert_false(tg_json_str(root, "absent", &s, &wrong));
	assert_true(wrong); /* gathers */
	assert_false(tg_json_bool(root, "s", &b, NULL));
	assert_false(tg_json_str(NULL, "s", &s, NULL));
	assert_string_equal(s, "x");
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jw__writes_every_kind_of_value),
		cmocka_unit_test(jw__output_is_valid_json_for_any_bytes),
		cmocka_unit_test(jw__remembers_the_first_error),
		cmocka_unit_test(json_parse__refuses_these_and_says_where),
		cmocka_unit_test(json_parse__takes_32_levels_and_no_more),
		cmocka_unit_test(json_getters__tell_absent_from_wrong),
	};

	return cmocka_run_group_tests_name("base_json", tests, NULL, NULL);
}
