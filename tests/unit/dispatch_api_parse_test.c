#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "dispatch/api_parse.h"
#include "dispatch/secret.h"

static const struct tg_slice none = {"", 0};

static void cursor__reads_back_what_it_wrote(void **state)
{
	static const struct tg_cursor cursors[] = {
		{'n', 0, "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"},
		{'d', INT64_MAX, "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"},
		{'l', 42, ""},
		{'e', -1, "x"},
		{'e', INT64_MIN, "ffffffff-ffff-ffff-ffff-ffffffffffff"},
	};
	char text[TG_CURSOR_TEXT_MAX];
	struct tg_cursor back;

	(void)state;
	for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
		tg_cursor_write(&cursors[i], text);
		assert_int_equal(tg_cursor_read(tg_slice_cstr(text), cursors[i].order, &back), 0);
		assert_int_equal(back.key, cursors[i].key);
		assert_string_equal(back.id, cursors[i].id);
		assert_null(strpbrk(text, "+/= &?#"));
	}
}

static void cursor__another_lists_cursor_is_refused(void **state)
{
	const struct tg_cursor c = {'n', 7, "x"};
	char text[TG_CURSOR_TEXT_MAX];
	struct tg_cursor back;

	(void)state;
	tg_cursor_write(&c, text);
	assert_int_equal(tg_cursor_read(tg_slice_cstr(text), 'd', &back), -TG_EPARSE);
}

static void cursor__rubbish_is_refused(void **state)
{
	/* the last ones: "an7", "an:x", "anx:y", "bn1:x", "an1:" and 41 characters, "an1:\0" in
	 * base64url */
	static const char *const rubbish[] = {"", "!", "AAAA", "0", "YW43", "YW46eA", "YW54Onk",
		"Ym4xOng", "YW4xOmFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh",
		"YW4xOgA", "YW45OTk5OTk5OTk5OTk5OTk5OTk5OTp4"};
	struct tg_cursor back;
	char long_one[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++)
		assert_int_equal(tg_cursor_read(tg_slice_cstr(rubbish[i]), 'n', &back), -TG_EPARSE);
	memset(long_one, 'A', sizeof(long_one));
	assert_int_equal(tg_cursor_read((struct tg_slice){long_one, sizeof(long_one)}, 'n', &back),
		-TG_EPARSE);
}

static void bbox__four_ordered_degrees(void **state)
{
	struct tg_bbox b;

	(void)state;
	assert_int_equal(tg_bbox_parse(TG_SLICE("-71.2,42.2,-70.9,42.4"), &b), 0);
	assert_true(b.west == -71.2);
	assert_true(b.south == 42.2);
	assert_true(b.east == -70.9);
	assert_true(b.north == 42.4);
	assert_int_equal(tg_bbox_parse(TG_SLICE("1,2,1,2"), &b), 0);
}

static void bbox__anything_else_is_refused(void **state)
{
	static const char *const bad[] = {"", "1", "1,2,3", "1,2,3,4,5", "1,2,3,", "2,0,1,1",
		"0,2,1,1", "-181,0,0,1", "0,-91,1,1", "0,0,181,1", "0,0,1,91", "nan,0,1,1",
		"inf,0,1,1", "0x1,0,1,1", " 0,0,1,1", "0,0,1,1 ", "0;0;1;1", "1e999,0,1,1"};
	struct tg_bbox b;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (tg_bbox_parse(tg_slice_cstr(bad[i]), &b) != -TG_EPARSE)
			fail_msg("taken: '%s'", bad[i]);
	assert_int_equal(tg_bbox_parse((struct tg_slice){"0,0,1,1\0", 8}, &b), -TG_EPARSE);
}

static void number__only_a_whole_number_in_range(void **state)
{
	static const char *const bad[] = {"", "-", "+1", "1.0", "1e3", " 1", "1 ", "0x1", "201",
		"0", "-5", "99999999999999999999"};
	int64_t n;

	(void)state;
	assert_int_equal(tg_number_parse(TG_SLICE("200"), 1, 200, &n), 0);
	assert_int_equal(n, 200);
	assert_int_equal(tg_number_parse(TG_SLICE("-3"), -5, 5, &n), 0);
	assert_int_equal(n, -3);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (tg_number_parse(tg_slice_cstr(bad[i]), 1, 200, &n) != -TG_EPARSE)
			fail_msg("taken: '%s'", bad[i]);
}

static void flag__true_or_false(void **state)
{
	bool flag = false;

	(void)state;
	assert_int_equal(tg_flag_parse(TG_SLICE("true"), &flag), 0);
	assert_true(flag);
	assert_int_equal(tg_flag_parse(TG_SLICE("false"), &flag), 0);
	assert_false(flag);
	assert_int_equal(tg_flag_parse(TG_SLICE("1"), &flag), -TG_EPARSE);
	assert_int_equal(tg_flag_parse(none, &flag), -TG_EPARSE);
}

static void uuid__only_its_own_form(void **state)
{
	(void)state;
	assert_true(tg_is_uuid(TG_SLICE("0190a1b2-c3d4-7e5f-8A9B-0c1d2e3f4a5b")));
	assert_false(tg_is_uuid(TG_SLICE("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5")));
	assert_false(tg_is_uuid(TG_SLICE("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g")));
	assert_false(tg_is_uuid(TG_SLICE("0190a1b2ac3d4-7e5f-8a9b-0c1d2e3f4a5b")));
	assert_false(tg_is_uuid((struct tg_slice){"0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5\0", 36}));
	assert_false(tg_is_uuid(none));
}

static void names__become_an_array_or_are_refused(void **state)
{
	static const char *const list[] = {"new", "closed", NULL};
	char out[32];

	(void)state;
	assert_int_equal(tg_names_array(TG_SLICE("new"), list, out, sizeof(out)), 0);
	assert_string_equal(out, "{new}");
	assert_int_equal(tg_names_array(TG_SLICE("closed,new"), list, out, sizeof(out)), 0);
	assert_string_equal(out, "{closed,new}");
	assert_int_equal(tg_names_array(TG_SLICE("closed,"), list, out, sizeof(out)), -TG_EPARSE);
	assert_int_equal(tg_names_array(TG_SLICE("New"), list, out, sizeof(out)), -TG_EPARSE);
	assert_int_equal(tg_names_array(TG_SLICE("new}"), list, out, sizeof(out)), -TG_EPARSE);
	assert_int_equal(tg_names_array(none, list, out, sizeof(out)), -TG_EPARSE);
	assert_int_equal(tg_names_array(TG_SLICE("closed,new"), list, out, 12), -TG_EFULL);
}

static void like__what_has_a_meaning_is_made_literal(void **state)
{
	char out[32];

	(void)state;
	assert_int_equal(tg_like_pattern(TG_SLICE("50%_a\\b"), out, sizeof(out)), 0);
	assert_string_equal(out, "%50\\%\\_a\\\\b%");
	assert_int_equal(
		tg_like_pattern(TG_SLICE("0123456789012345"), out, sizeof(out)), -TG_EFULL);
}

static void words__are_counted_in_characters(void **state)
{
	(void)state;
	assert_false(tg_has_two_characters(""));
	assert_false(tg_has_two_characters("a"));
	assert_false(tg_has_two_characters("井"));
	assert_true(tg_has_two_characters("井盖"));
	assert_true(tg_has_two_characters("ab"));
}

static void token__its_prefix_says_its_kind(void **state)
{
	char session[TG_TOKEN_SIZE], lasting[TG_TOKEN_SIZE];

	(void)state;
	assert_int_equal(tg_secret_init(), 0);
	tg_token_make(true, session);
	tg_token_make(false, lasting);
	assert_int_equal(tg_token_kind(tg_slice_cstr(session)), TG_TOKEN_SESSION);
	assert_int_equal(tg_token_kind(tg_slice_cstr(lasting)), TG_TOKEN_LASTING);
	session[2] = 'x';
	assert_int_equal(tg_token_kind(tg_slice_cstr(session)), TG_TOKEN_NONE);
	lasting[10] = '\'';
	assert_int_equal(tg_token_kind(tg_slice_cstr(lasting)), TG_TOKEN_NONE);
	assert_int_equal(tg_token_kind(TG_SLICE("tgt_")), TG_TOKEN_NONE);
	assert_int_equal(tg_token_kind(none), TG_TOKEN_NONE);
}

static void bearer__the_scheme_in_any_case(void **state)
{
	struct tg_slice token;

	(void)state;
	assert_true(tg_bearer_parse(TG_SLICE("Bearer abc"), &token));
	assert_true(tg_slice_is(token, "abc"));
	assert_true(tg_bearer_parse(TG_SLICE("bEARER   abc"), &token));
	assert_true(tg_slice_is(token, "abc"));
	assert_false(tg_bearer_parse(TG_SLICE("Bearer "), &token));
	assert_false(tg_bearer_parse(TG_SLICE("Bearer"), &token));
	assert_false(tg_bearer_parse(TG_SLICE("Basic abc"), &token));
	assert_false(tg_bearer_parse(none, &token));
}

static void accept__by_name_and_not_by_weight_zero(void **state)
{
	(void)state;
	assert_true(tg_accepts(TG_SLICE("application/geo+json"), "application/geo+json"));
	assert_true(tg_accepts(
		TG_SLICE("text/html, Application/Geo+JSON;q=0.9"), "application/geo+json"));
	assert_false(tg_accepts(TG_SLICE("*/*"), "application/geo+json"));
	assert_false(tg_accepts(TG_SLICE("application/geo+json;q=0"), "application/geo+json"));
	assert_false(tg_accepts(TG_SLICE("application/geo+json; q=0.00"), "application/geo+json"));
	assert_true(tg_accepts(TG_SLICE("gzip, br"), "gzip"));
	assert_false(tg_accepts(none, "gzip"));
	assert_false(tg_accepts(TG_SLICE(",,;"), "gzip"));
}

static void media__whatever_its_parameters(void **state)
{
	(void)state;
	assert_true(tg_media_is(TG_SLICE("application/json"), "application/json"));
	assert_true(tg_media_is(TG_SLICE("Application/JSON ; charset=utf-8"), "application/json"));
	assert_false(tg_media_is(TG_SLICE("application/jsonp"), "application/json"));
	assert_false(tg_media_is(none, "application/json"));
}

static void etag__one_of_several_weak_or_any(void **state)
{
	(void)state;
	assert_true(tg_etag_matches(TG_SLICE("\"a\""), "\"a\""));
	assert_true(tg_etag_matches(TG_SLICE("\"b\", W/\"a\""), "\"a\""));
	assert_true(tg_etag_matches(TG_SLICE("*"), "\"a\""));
	assert_false(tg_etag_matches(TG_SLICE("\"ab\""), "\"a\""));
	assert_false(tg_etag_matches(none, "\"a\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cursor__reads_back_what_it_wrote),
		cmocka_unit_test(cursor__another_lists_cursor_is_refused),
		cmocka_unit_test(cursor__rubbish_is_refused),
		cmocka_unit_test(bbox__four_ordered_degrees),
		cmocka_unit_test(bbox__anything_else_is_refused),
		cmocka_unit_test(number__only_a_whole_number_in_range),
		cmocka_unit_test(flag__true_or_false),
		cmocka_unit_test(uuid__only_its_own_form),
		cmocka_unit_test(names__become_an_array_or_are_refused),
		cmocka_unit_test(like__what_has_a_meaning_is_made_literal),
		cmocka_unit_test(words__are_counted_in_characters),
		cmocka_unit_test(token__its_prefix_says_its_kind),
		cmocka_unit_test(bearer__the_scheme_in_any_case),
		cmocka_unit_test(accept__by_name_and_not_by_weight_zero),
		cmocka_unit_test(media__whatever_its_parameters),
		cmocka_unit_test(etag__one_of_several_weak_or_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
