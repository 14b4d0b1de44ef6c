#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/ratelimit.h"
#include "dispatch/secret.h"

#define START INT64_C(1000000)

static void bucket__gives_its_burst_then_its_rate(void **state)
{
	struct tg_bucket b = {0};
	int64_t wait = 0;

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(tg_bucket_take(&b, 2, 5, START, &wait));
	assert_false(tg_bucket_take(&b, 2, 5, START, &wait));
	assert_int_equal(wait, TG_US_PER_S / 2);
	assert_false(tg_bucket_take(&b, 2, 5, START + wait - 1000, &wait));
	assert_true(tg_bucket_take(&b, 2, 5, START + TG_US_PER_S / 2, &wait));
	assert_false(tg_bucket_take(&b, 2, 5, START + TG_US_PER_S / 2, &wait));
}

static void bucket__never_holds_more_than_its_burst(void **state)
{
	struct tg_bucket b = {0};
	int64_t wait = 0, later = START + 3600 * TG_US_PER_S;

	(void)state;
	assert_true(tg_bucket_take(&b, 100, 3, START, &wait));
	for (int i = 0; i < 3; i++)
		assert_true(tg_bucket_take(&b, 100, 3, later, &wait));
	assert_false(tg_bucket_take(&b, 100, 3, later, &wait));
}

static void limit__zero_is_no_limit(void **state)
{
	struct tg_ratelimit *rl;
	int64_t wait;

	(void)state;
	assert_int_equal(tg_ratelimit_new(0, 0, 2, &rl), 0);
	for (int i = 0; i < 1000; i++)
		assert_true(tg_ratelimit_take(rl, TG_SLICE("a"), START, &wait));
	tg_ratelimit_free(rl);
}

static void limit__keys_do_not_share(void **state)
{
	struct tg_ratelimit *rl;
	int64_t wait;

	(void)state;
	assert_int_equal(tg_ratelimit_new(1, 1, 10, &rl), 0);
	assert_true(tg_ratelimit_take(rl, TG_SLICE("a"), START, &wait));
	assert_true(tg_ratelimit_has(rl, TG_SLICE("b"), START, &wait));
	assert_false(tg_ratelimit_has(rl, TG_SLICE("a"), START, &wait));
	assert_true(tg_ratelimit_take(rl, TG_SLICE("b"), START, &wait));
	tg_ratelimit_free(rl);
}

static void limit__inventing_keys_buys_nothing_and_full_buckets_are_forgotten(void **state)
{
	struct tg_ratelimit *rl;
	char key[16];
	int64_t wait;

	(void)state;
	assert_int_equal(tg_ratelimit_new(1, 2, 4, &rl), 0);
	for (int i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_true(tg_ratelimit_take(rl, tg_slice_cstr(key), START, &wait));
	}
	assert_false(tg_ratelimit_take(rl, TG_SLICE("k4"), START, &wait));
	assert_int_equal(wait, TG_US_PER_S);
	assert_true(tg_ratelimit_take(rl, TG_SLICE("k4"), START + 2 * TG_US_PER_S, &wait));
	tg_ratelimit_free(rl);
}

static void secret__a_csrf_value_belongs_to_one_token(void **state)
{
	char a[TG_TOKEN_SIZE], b[TG_TOKEN_SIZE], csrf_a[TG_CSRF_SIZE], csrf_b[TG_CSRF_SIZE];

	(void)state;
	assert_int_equal(tg_secret_init(), 0);
	tg_token_make(true, a);
	tg_token_make(true, b);
	tg_token_csrf(tg_slice_cstr(a), csrf_a);
	tg_token_csrf(tg_slice_cstr(b), csrf_b);
	assert_string_not_equal(csrf_a, csrf_b);
	assert_true(tg_csrf_equal(tg_slice_cstr(csrf_a), csrf_a));
	assert_false(tg_csrf_equal(tg_slice_cstr(csrf_b), csrf_a));
	assert_false(tg_csrf_equal((struct tg_slice){csrf_a, 31}, csrf_a));
	assert_false(tg_csrf_equal((struct tg_slice){"", 0}, csrf_a));
}

static void secret__a_password_is_argon2id_with_19_mib_and_3_passes(void **state)
{
	char hash[TG_PASSWORD_HASH_MAX];

	(void)state;
	assert_int_equal(tg_password_hash(TG_SLICE("correct horse"), hash), 0);
	assert_int_equal(strncmp(hash, "$argon2id$v=19$m=19456,t=3,p=1$", 31), 0);
	assert_true(tg_password_verify(TG_SLICE("correct horse"), hash));
	assert_false(tg_password_verify(TG_SLICE("correct horsf"), hash));
	assert_false(tg_password_verify(TG_SLICE(""), hash));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bucket__gives_its_burst_then_its_rate),
		cmocka_unit_test(bucket__never_holds_more_than_its_burst),
		cmocka_unit_test(limit__zero_is_no_limit),
		cmocka_unit_test(limit__keys_do_not_share),
		cmocka_unit_test(limit__inventing_keys_buys_nothing_and_full_buckets_are_forgotten),
		cmocka_unit_test(secret__a_csrf_value_belongs_to_one_token),
		cmocka_unit_test(secret__a_password_is_argon2id_with_19_mib_and_3_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
