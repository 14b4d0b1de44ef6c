#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

static void err__every_code_has_its_name_and_retry_flag(void **state)
{
	(void)state;
	assert_string_equal(tg_err_name(0), "OK");
	assert_string_equal(tg_err_name(-TG_EFULL), "EFULL");
	assert_string_equal(tg_err_text(-TG_ENOENT), "not found");
	assert_true(tg_err_retry(-TG_EPG));
	assert_false(tg_err_retry(-TG_ECONF));
}

static void err__a_stranger_reads_as_unknown(void **state)
{
	static const int strangers[] = {1, -TG_ERR_COUNT, -100000, 2147483647, -2147483647 - 1};

	(void)state;
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		assert_string_equal(tg_err_name(strangers[i]), "unknown");
		assert_false(tg_err_retry(strangers[i]));
	}
}

static void slice__null_text_is_empty(void **state)
{
	(void)state;
	assert_true(tg_slice_eq(tg_slice_cstr(NULL), TG_SLICE("")));
	assert_true(tg_slice_is(TG_SLICE("abc"), "abc"));
	assert_false(tg_slice_is(TG_SLICE("abc"), "abd"));
	assert_false(tg_slice_is(TG_SLICE("abc"), "ab"));
}

static void buf_add__past_max_leaves_the_buffer_unchanged(void **state)
{
	struct tg_buf buf = {.max = 5};

	(void)state;
	assert_int_equal(tg_buf_add_cstr(&buf, "abc"), 0);
	assert_int_equal(tg_buf_add_cstr(&buf, "def"), -TG_EFULL);
	assert_int_equal(tg_buf_addf(&buf, "%d", 123), -TG_EFULL);
	assert_int_equal(tg_buf_put_u32(&buf, 1), -TG_EFULL);
	assert_string_equal(tg_buf_cstr(&buf), "abc");
	assert_int_equal(tg_buf_add_cstr(&buf, "de"), 0);
	assert_string_equal(tg_buf_cstr(&buf), "abcde"); /* the NUL does not count */
	tg_buf_release(&buf);
	assert_int_equal(buf.max, 5);
	assert_null(buf.data);
}

static void buf_add__grows_from_nothing_and_keeps_every_byte(void **state)
{
	struct tg_buf buf = {0};

	(void)state;
	assert_string_equal(tg_buf_cstr(&buf), "");
	for (int i = 0; i < 10000; i++)
		assert_int_equal(tg_buf_put_u8(&buf, (uint8_t)i), 0);
	assert_int_equal(buf.len, 10000);
	for (int i = 0; i < 10000; i++)
		assert_int_equal((uint8_t)buf.data[i], (uint8_t)i);
	tg_buf_reset(&buf);
	assert_int_equal(tg_buf_add(&buf, NULL, 0), 0);
	assert_int_equal(buf.len, 0);
	tg_buf_release(&buf);
}

static void buf_put__writes_the_big_end_first(void **state)
{
	static const uint8_t want[] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0};
	struct tg_buf buf = {0};

	(void)state;
	assert_int_equal(tg_buf_put_u8(&buf, 1), 0);
	assert_int_equal(tg_buf_put_u16(&buf, 0x0203), 0);
	assert_int_equal(tg_buf_put_u32(&buf, 0x04050607), 0);
	assert_int_equal(tg_buf_put_u64(&buf, 0x08090a0b0c0d0e0f), 0);
	assert_int_equal(tg_buf_put_f64(&buf, 1.5), 0);
	assert_int_equal(buf.len, sizeof(want));
	assert_memory_equal(buf.data, want, sizeof(want));
	tg_buf_release(&buf);
}

static void buf_add_dbl__gives_the_shortest_text_that_reads_back(void **state)
{
	static const struct {
		double v;
		const char *want;
	} rows[] = {{0.1, "0.1"}, {1, "1"}, {-2.5, "-2.5"}, {1.0 / 3, "0.3333333333333333"},
		{0.1 + 0.2, "0.30000000000000004"}, {1e300, "1e+300"}, {__builtin_nan(""), "NaN"},
		{__builtin_inf(), "+Inf"}, {-__builtin_inf(), "-Inf"},
		{5e-324, "4.94065645841247e-324"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_buf buf = {0};

		assert_int_equal(tg_buf_add_dbl(&buf, rows[i].v), 0);
		assert_string_equal(tg_buf_cstr(&buf), rows[i].want);
		tg_buf_release(&buf);
	}
}

static void buf_read_file__reads_to_the_limit_and_not_a_byte_further(void **state)
{
	char path[] = "/tmp/tg-buf-XXXXXX";
	int fd = mkstemp(path);
	struct tg_buf buf = {.max = 8};

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "12345678", 8), 8);
	assert_int_equal(tg_buf_read_file(&buf, path), 0);
	assert_string_equal(tg_buf_cstr(&buf), "12345678");
	assert_int_equal(tg_buf_read_file(&buf, path), -TG_EFULL);
	assert_int_equal(buf.len, 8);
	tg_buf_reset(&buf);
	assert_int_equal(write(fd, "9", 1), 1);
	assert_int_equal(tg_buf_read_file(&buf, path), -TG_EFULL);
	assert_int_equal(buf.len, 0);
	close(fd);
	unlink(path);
	assert_int_equal(tg_buf_read_file(&buf, path), -TG_ENOENT);
	assert_int_equal(tg_buf_read_file(&buf, "/tmp"), -TG_ESYS);
	tg_buf_release(&buf);
}

static void utf8__refuses_what_the_standard_calls_ill_formed(void **state)
{
	static const struct {
		struct tg_slice text;
		bool valid;
	} rows[] = {{TG_SLICE(""), true}, {TG_SLICE("a\0b"), true}, {TG_SLICE("统管"), true},
		{TG_SLICE("\xf0\x9f\x98\x80"), true}, {TG_SLICE("\xf4\x8f\xbf\xbf"), true},
		{TG_SLICE("\xed\x9f\xbf\xee\x80\x80"), true}, {TG_SLICE("\xf0\x80"), false},
		{TG_SLICE("\xc0\x80"), false}, {TG_SLICE("\xe0\x9f\xbf"), false},
		{TG_SLICE("\xed\xa0\x80"), false}, {TG_SLICE("\xf4\x90\x80\x80"), false},
		{TG_SLICE("\xf5\x80\x80\x80"), false}, {TG_SLICE("\x80"), false},
		{TG_SLICE("a\xe7\xbb"), false}, {TG_SLICE("\xff"), false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(tg_utf8_valid(rows[i].text), rows[i].valid);
}

static void unhex__takes_only_exactly_the_wanted_digits(void **state)
{
	uint8_t bytes[3] = {9, 9, 9};
	char text[7];

	(void)state;
	assert_int_equal(tg_unhex(TG_SLICE("00aBff"), bytes, 3), 0);
	tg_hex(bytes, 3, text);
	assert_string_equal(text, "00abff");
	assert_int_equal(tg_unhex(TG_SLICE("00ab"), bytes, 3), -TG_EPARSE);
	assert_int_equal(tg_unhex(TG_SLICE("00abfg"), bytes, 3), -TG_EPARSE);
	assert_int_equal(bytes[2], 0xff); /* untouched by the failures */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err__every_code_has_its_name_and_retry_flag),
		cmocka_unit_test(err__a_stranger_reads_as_unknown),
		cmocka_unit_test(slice__null_text_is_empty),
		cmocka_unit_test(buf_add__past_max_leaves_the_buffer_unchanged),
		cmocka_unit_test(buf_add__grows_from_nothing_and_keeps_every_byte),
		cmocka_unit_test(buf_put__writes_the_big_end_first),
		cmocka_unit_test(buf_add_dbl__gives_the_shortest_text_that_reads_back),
		cmocka_unit_test(buf_read_file__reads_to_the_limit_and_not_a_byte_further),
		cmocka_unit_test(utf8__refuses_what_the_standard_calls_ill_formed),
		cmocka_unit_test(unhex__takes_only_exactly_the_wanted_digits),
	};

	return cmocka_run_group_tests_name("base_buf", tests, NULL, NULL);
}
