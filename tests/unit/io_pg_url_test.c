/* The same database under another account: what libpq reads out of the text that we make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/io/pg.h"

static const char *option(const PQconninfoOption *options, const char *key)
{
	for (; options->keyword; options++)
		if (strcmp(options->keyword, key) == 0)
			return options->val ? options->val : "";
	return "?";
}

static const struct {
	const char *url, *user, *password, *host, *port, *dbname, *timeout;
} table[] = {
	{"postgresql://owner:secret@db:5433/city?connect_timeout=3", "tongguan_ingest", "p", "db",
		"5433", "city", "3"},
	{"host=/run/pg dbname='a b' user=owner password=x", "u", "it's \\ \"q\"", "/run/pg", "",
		"a b", ""},
	{"postgres://db/city", "we ird", "", "db", "", "city", ""},
	{"postgresql://%2Frun%2Fpg/city?user=owner", "u", "päss", "/run/pg", "", "city", ""},
};

static void pg_url_as__changes_the_account_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct tg_buf made = {0};
		PQconninfoOption *got;

		assert_int_equal(
			tg_pg_url_as(table[i].url, table[i].user, table[i].password, &made), 0);
		got = PQconninfoParse(tg_buf_cstr(&made), NULL);
		assert_non_null(got);
		assert_string_equal(option(got, "user"), table[i].user);
		assert_string_equal(option(got, "password"), table[i].password);
		assert_string_equal(option(got, "host"), table[i].host);
		assert_string_equal(option(got, "port"), table[i].port);
		assert_string_equal(option(got, "dbname"), table[i].dbname);
		assert_string_equal(option(got, "connect_timeout"), table[i].timeout);
		PQconninfoFree(got);
		tg_buf_release(&made);
	}
}

static void pg_url_as__says_when_it_is_no_address(void **state)
{
	struct tg_buf made = {0};

	(void)state;
	assert_int_equal(tg_pg_url_as("host=", "u", "p", &made), 0);
	tg_buf_reset(&made);
	assert_int_equal(tg_pg_url_as("postgresql://[::1/x", "u", "p", &made), -TG_EPARSE);
	assert_int_equal(made.len, 0);
	tg_buf_release(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pg_url_as__changes_the_account_and_nothing_else),
		cmocka_unit_test(pg_url_as__says_when_it_is_no_address),
	};

	return cmocka_run_group_tests_name("io_pg_url", tests, NULL, NULL);
}
