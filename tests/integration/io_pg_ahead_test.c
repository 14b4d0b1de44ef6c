/* tg_pg_query_ahead(): two statements in one round trip, against a real PostgreSQL. */
#include "tests/integration/io_pg_rig.h"

#include <string.h>

#include "base/log.h"

static void ahead(struct rig *rig, const char *sql, struct answer *a)
{
	assert_int_equal(tg_pg_query_ahead(rig->pg, sql, NULL, 0, on_answer, a), 0);
}

static void query(struct rig *rig, const char *sql, struct answer *a)
{
	assert_int_equal(tg_pg_query(rig->pg, sql, NULL, 0, on_answer, a), 0);
}

static void ahead__answers_come_each_to_its_own_in_order(void **state)
{
	static const char *const sql[] = {"SELECT 1", "SELECT 2", "SELECT 3"};
	struct rig *rig = *state;

	IO_NEED(rig->url);
	for (int turn = 0; turn < 3; turn++) { /* the second time they are prepared already */
		struct answer a[3] = {0};

		orders = 0;
		ahead(rig, sql[0], &a[0]);
		ahead(rig, sql[1], &a[1]);
		query(rig, sql[2], &a[2]);
		IO_WAIT(&rig->loop, a[2].done);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(a[i].rc, 0);
			assert_int_equal(a[i].calls, 1);
			assert_int_equal(a[i].order, i + 1);
			assert_int_equal(a[i].text[0], '1' + i);
		}
	}
	assert_int_equal(tg_pg_pending(rig->pg), 0);
}

/* {statement ahead, the one behind it, its SQLSTATE} */
static void ahead__one_that_fails_takes_the_next_with_it_and_no_more(void **state)
{
	static const char *const cases[][3] = {
		{"SELECT 1 / 0", "INSERT INTO t VALUES (1)", "22012"},
		{"SELEC 1", "INSERT INTO t VALUES (2)", "42601"},
		{"SELECT 1 / 0", "INSERT INTO t VALUES (1)", "22012"}, /* prepared already */
	};
	struct rig *rig = *state;

	IO_NEED(rig->url);
	exec_in(rig, "CREATE TEMP TABLE t (k int)");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer first = {0}, second = {0}, after = {0};

		ahead(rig, cases[i][0], &first);
		query(rig, cases[i][1], &second);
		query(rig, "SELECT count(*) FROM t", &after);
		IO_WAIT(&rig->loop, after.done);
		assert_int_equal(first.rc, -TG_EPG);
		assert_string_equal(first.state, cases[i][2]);
		assert_int_equal(second.rc, -TG_EPG);
		assert_int_equal(second.calls, 1);
		assert_int_equal(after.rc, 0);
		assert_string_equal(after.text, "0");
	}
}

static void ahead__a_failing_end_leaves_what_came_before_answered(void **state)
{
	struct rig *rig = *state;
	struct answer first = {0}, second = {0}, after = {0};

	IO_NEED(rig->url);
	ahead(rig, "SELECT 'fine'", &first);
	query(rig, "SELECT 1 / 0", &second);
	query(rig, "SELECT 'after'", &after);
	IO_WAIT(&rig->loop, after.done);
	assert_string_equal(first.text, "fine");
	assert_string_equal(second.state, "22012");
	assert_string_equal(after.text, "after");
}

/* Nothing to share a round trip with: it is a query like any other. */
static void ahead__alone_or_before_plain_text_it_is_a_query(void **state)
{
	struct rig *rig = *state;
	struct answer alone = {0}, before = {0}, plain = {0};

	IO_NEED(rig->url);
	ahead(rig, "SELECT 'alone'", &alone);
	IO_WAIT(&rig->loop, alone.done);
	assert_string_equal(alone.text, "alone");
	ahead(rig, "SELECT 'before'", &before);
	assert_int_equal(tg_pg_exec(rig->pg, "SELECT 'plain'", on_answer, &plain), 0);
	IO_WAIT(&rig->loop, plain.done);
	assert_string_equal(before.text, "before");
	assert_string_equal(plain.text, "plain");
}

static void ahead__more_than_fit_the_pipe_are_all_answered(void **state)
{
	enum { PAIRS = 500 };
	static struct answer a[2 * PAIRS];
	struct rig *rig = *state;

	IO_NEED(rig->url);
	memset(a, 0, sizeof(a));
	orders = 0;
	for (int i = 0; i < PAIRS; i++) {
		ahead(rig, i % 7 == 3 ? "SELECT 1 / 0" : "SELECT 'a'", &a[2 * i]);
		query(rig, "SELECT 'b'", &a[2 * i + 1]);
	}
	IO_WAIT(&rig->loop, a[2 * PAIRS - 1].done);
	for (int i = 0; i < 2 * PAIRS; i++) {
		assert_int_equal(a[i].order, i + 1);
		/* Where the pipe was full each went by itself. */
		if (i / 2 % 7 != 3)
			assert_string_equal(a[i].text, i % 2 ? "b" : "a");
		else if (i % 2 == 0)
			assert_string_equal(a[i].state, "22012");
	}
}

static void ahead__a_transaction_is_two_round_trips(void **state)
{
	struct rig *rig = *state;
	struct answer begin = {0}, write = {0}, commit = {0}, count = {0};

	IO_NEED(rig->url);
	exec_in(rig, "CREATE TEMP TABLE u (k int PRIMARY KEY)");
	for (int i = 0; i < 2; i++) { /* the second time the row is there already */
		memset(&commit, 0, sizeof(commit));
		ahead(rig, "BEGIN", &begin);
		query(rig, "SELECT 1", &write);
		IO_WAIT(&rig->loop, write.done);
		assert_int_equal(begin.rc, 0);
		write.done = false;
		ahead(rig, "INSERT INTO u VALUES (1)", &write);
		query(rig, "COMMIT", &commit);
		IO_WAIT(&rig->loop, commit.done);
		assert_int_equal(write.rc, i == 0 ? 0 : -TG_EUNIQUE);
		assert_int_equal(commit.rc, i == 0 ? 0 : -TG_EPG);
	}
	query(rig, "ROLLBACK", &commit);
	query(rig, "SELECT count(*) FROM u", &count);
	IO_WAIT(&rig->loop, count.done);
	assert_string_equal(count.text, "1");
}

static void ahead__a_broken_session_answers_both(void **state)
{
	struct rig *rig = *state;
	struct answer first = {0}, second = {0}, after = {0};

	IO_NEED(rig->url);
	ahead(rig, "SELECT pg_sleep(30)", &first);
	query(rig, "SELECT 1", &second);
	for (int i = 0; i < 20; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	kill_session(rig);
	IO_WAIT(&rig->loop, second.done);
	assert_int_equal(first.rc, -TG_ECLOSED);
	assert_int_equal(second.rc, -TG_ECLOSED);
	query(rig, "SELECT 'again'", &after);
	IO_WAIT(&rig->loop, after.done);
	assert_string_equal(after.text, "again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			ahead__answers_come_each_to_its_own_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			ahead__one_that_fails_takes_the_next_with_it_and_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(
			ahead__a_failing_end_leaves_what_came_before_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(
			ahead__alone_or_before_plain_text_it_is_a_query, setup, teardown),
		cmocka_unit_test_setup_teardown(
			ahead__more_than_fit_the_pipe_are_all_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(
			ahead__a_transaction_is_two_round_trips, setup, teardown),
		cmocka_unit_test_setup_teardown(
			ahead__a_broken_session_answers_both, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	tg_log_init("io_test", TG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
