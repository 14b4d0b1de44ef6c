/* base/io/pg against a real PostgreSQL: TONGGUAN_POSTGRES_URL. */
#include "tests/integration/io_pg_rig.h"

#include <string.h>

#include "base/log.h"

static void query__parameters_and_null_come_back(void **state)
{
	struct rig *rig = *state;
	const char *params[] = {"it's \\ \xe4\xba\xba", NULL};
	struct answer a = {0};

	IO_NEED(rig->url);
	for (int i = 0; i < 3; i++) { /* the second time it is prepared already */
		a.done = false;
		assert_int_equal(tg_pg_query(rig->pg, "SELECT $1::text || coalesce($2::text, '-')",
					 params, 2, on_answer, &a),
			0);
		assert_false(a.done);
		IO_WAIT(&rig->loop, a.done);
		assert_int_equal(a.rc, 0);
		assert_string_equal(a.text, "it's \\ \xe4\xba\xba-");
	}
}

static void query__many_at_once_are_answered_in_order(void **state)
{
	enum { N = 2000 };
	struct rig *rig = *state;
	static struct answer a[N];

	IO_NEED(rig->url);
	memset(a, 0, sizeof(a));
	orders = 0;
	for (int i = 0; i < N; i++) {
		char text[16];
		const char *params[] = {text};

		snprintf(text, sizeof(text), "%d", i);
		/* Plain, prepared and failing ones mixed: the mode changes under way. */
		if (i % 97 == 5)
			assert_int_equal(
				tg_pg_exec(rig->pg, "SELECT 1; SELECT 'last'", on_answer, &a[i]),
				0);
		else if (i % 31 == 3)
			assert_int_equal(tg_pg_query(rig->pg, "SELECT 1 / ($1::int - $1::int)",
						 params, 1, on_answer, &a[i]),
				0);
		else
			assert_int_equal(tg_pg_query(rig->pg, "SELECT $1::int + 1", params, 1,
						 on_answer, &a[i]),
				0);
	}
	IO_WAIT(&rig->loop, a[N - 1].done);
	for (int i = 0; i < N; i++) {
		char want[16];

		snprintf(want, sizeof(want), "%d", i + 1);
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].order, i + 1);
		if (i % 97 == 5) {
			assert_string_equal(a[i].text, "last");
		} else if (i % 31 == 3) {
			assert_int_equal(a[i].rc, -TG_EPG);
			assert_string_equal(a[i].state, "22012");
		} else {
			assert_string_equal(a[i].text, want);
		}
	}
	assert_int_equal(tg_pg_pending(rig->pg), 0);
}

static void query__errors_are_named_and_leave_the_connection(void **state)
{
	struct rig *rig = *state;
	struct answer bad = {0}, twice = {0}, good = {0}, again = {0};

	IO_NEED(rig->url);
	assert_int_equal(tg_pg_query(rig->pg, "SELEC 1", NULL, 0, on_answer, &bad), 0);
	assert_int_equal(
		tg_pg_exec(rig->pg,
			"CREATE TEMP TABLE u (k int PRIMARY KEY); INSERT INTO u VALUES (1)",
			on_answer, &good),
		0);
	assert_int_equal(
		tg_pg_query(rig->pg, "INSERT INTO u VALUES (1)", NULL, 0, on_answer, &twice), 0);
	assert_int_equal(tg_pg_query(rig->pg, "SELECT 5", NULL, 0, on_answer, &again), 0);
	IO_WAIT(&rig->loop, again.done);
	assert_int_equal(bad.rc, -TG_EPG);
	assert_string_equal(bad.state, "42601");
	assert_int_equal(good.rc, 0);
	assert_int_equal(twice.rc, -TG_EUNIQUE);
	assert_string_equal(again.text, "5");
	assert_true(tg_pg_up(rig->pg));
}

static void query__dropped_statements_are_prepared_again(void **state)
{
	static const char sql[] = "SELECT 7";
	struct rig *rig = *state;
	struct answer a[4] = {0};

	IO_NEED(rig->url);
	assert_int_equal(tg_pg_query(rig->pg, sql, NULL, 0, on_answer, &a[0]), 0);
	assert_int_equal(tg_pg_exec(rig->pg, "DEALLOCATE ALL", on_answer, &a[1]), 0);
	assert_int_equal(tg_pg_query(rig->pg, sql, NULL, 0, on_answer, &a[2]), 0);
	IO_WAIT(&rig->loop, a[2].done);
	assert_string_equal(a[2].state, "26000");
	assert_int_equal(tg_pg_query(rig->pg, sql, NULL, 0, on_answer, &a[3]), 0);
	IO_WAIT(&rig->loop, a[3].done);
	assert_string_equal(a[3].text, "7");
}

/* A callback that asks the next question: order must hold, nothing may re-enter. */
struct chain {
	struct rig *rig;
	int left;
	bool inside, reentered, done;
	struct answer side;
};

static void on_link(void *ctx, int rc, const PGresult *res)
{
	struct chain *chain = ctx;

	assert_int_equal(rc, 0);
	assert_non_null(res);
	chain->reentered |= chain->inside;
	chain->inside = true;
	if (--chain->left > 0) {
		assert_int_equal(
			tg_pg_query(chain->rig->pg, "SELECT 1", NULL, 0, on_link, chain), 0);
		if (chain->left % 7 == 0)
			assert_int_equal(tg_pg_exec(chain->rig->pg, "SELECT 2", NULL, NULL), 0);
	} else {
		chain->done = true;
	}
	chain->inside = false;
}

static void query__a_callback_may_ask_again(void **state)
{
	struct rig *rig = *state;
	struct chain chain = {.rig = rig, .left = 300};

	IO_NEED(rig->url);
	on_link(&chain, 0, (const PGresult *)&chain);
	IO_WAIT(&rig->loop, chain.done);
	assert_false(chain.reentered);
}

static void copy__fifty_megabytes_arrive_whole(void **state)
{
	struct rig *rig = *state;
	struct tg_buf rows = {0};
	struct answer copied = {0}, counted = {0}, before = {0};
	char want[64];
	int n = 0;

	IO_NEED(rig->url);
	while (rows.len < (50u << 20)) {
		assert_int_equal(tg_buf_addf(&rows, "%d\t%0100d\n", n, n), 0);
		n++;
	}
	exec_in(rig, "CREATE TEMP TABLE c (k int, v text)");
	assert_int_equal(tg_pg_query(rig->pg, "SELECT 'before'", NULL, 0, on_answer, &before), 0);
	assert_int_equal(tg_pg_copy(rig->pg, "COPY c FROM STDIN", &rows, on_answer, &copied), 0);
	assert_int_equal(tg_pg_query(rig->pg, "SELECT count(*) || ' ' || sum(k::bigint) FROM c",
				 NULL, 0, on_answer, &counted),
		0);
	IO_WAIT(&rig->loop, counted.done);
	assert_string_equal(before.text, "before");
	assert_int_equal(copied.rc, 0);
	snprintf(want, sizeof(want), "%d %lld", n, (long long)n * (n - 1) / 2);
	assert_string_equal(counted.text, want);
	tg_buf_release(&rows);
}

static void copy__bad_rows_are_refused_and_the_connection_goes_on(void **state)
{
	struct rig *rig = *state;
	struct tg_buf rows = {0};
	struct answer copied = {0}, missing = {0}, empty = {0}, after = {0}, wrong = {0};

	IO_NEED(rig->url);
	assert_int_equal(tg_buf_add_cstr(&rows, "1\nx\n"), 0);
	for (int i = 0; i < 2000000; i++)
		assert_int_equal(tg_buf_add_cstr(&rows, "2\n"), 0);
	exec_in(rig, "CREATE TEMP TABLE d (k int)");
	assert_int_equal(tg_pg_copy(rig->pg, "COPY d FROM STDIN", &rows, on_answer, &copied), 0);
	assert_int_equal(
		tg_pg_copy(rig->pg, "COPY nowhere FROM STDIN", &rows, on_answer, &missing), 0);
	assert_int_equal(tg_pg_exec(rig->pg, "COPY d FROM STDIN", on_answer, &wrong), 0);
	struct tg_buf none = {0};
	assert_int_equal(tg_pg_copy(rig->pg, "COPY d FROM STDIN", &none, on_answer, &empty), 0);
	assert_int_equal(
		tg_pg_query(rig->pg, "SELECT count(*) FROM d", NULL, 0, on_answer, &after), 0);
	IO_WAIT(&rig->loop, after.done);
	assert_int_equal(copied.rc, -TG_EPG);
	assert_string_equal(copied.state, "22P02");
	assert_int_equal(missing.rc, -TG_EPG);
	assert_string_equal(missing.state, "42P01");
	assert_int_equal(wrong.rc, -TG_EPG);
	assert_int_equal(empty.rc, 0);
	assert_string_equal(after.text, "0");
	tg_buf_release(&rows);
}

static void broken__all_pending_are_told_then_it_reconnects(void **state)
{
	struct rig *rig = *state;
	struct answer a[5] = {0}, after = {0};

	IO_NEED(rig->url);
	assert_int_equal(tg_pg_query(rig->pg, "SELECT pg_sleep(30)", NULL, 0, on_answer, &a[0]), 0);
	assert_int_equal(tg_pg_query(rig->pg, "SELECT 1", NULL, 0, on_answer, &a[1]), 0);
	assert_int_equal(tg_pg_exec(rig->pg, "SELECT 2", on_answer, &a[2]), 0);
	assert_int_equal(tg_pg_query(rig->pg, "SELECT 1", NULL, 0, on_answer, &a[3]), 0);
	for (int i = 0; i < 20; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	kill_session(rig);
	IO_WAIT(&rig->loop, rig->down);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].rc, -TG_ECLOSED);
	}
	assert_int_equal(tg_pg_query(rig->pg, "SELECT 'again'", NULL, 0, on_answer, &after), 0);
	IO_WAIT(&rig->loop, after.done);
	assert_int_equal(after.rc, 0);
	assert_string_equal(after.text, "again");
	assert_true(rig->up);
}

static void broken__in_the_middle_of_a_copy(void **state)
{
	struct rig *rig = *state;
	struct tg_buf rows = {0};
	struct answer copied = {0}, after = {0};

	IO_NEED(rig->url);
	while (rows.len < (20u << 20))
		assert_int_equal(tg_buf_add_cstr(&rows, "1\n"), 0);
	exec_in(rig, "CREATE TEMP TABLE e (k int)");
	assert_int_equal(tg_pg_copy(rig->pg, "COPY e FROM STDIN", &rows, on_answer, &copied), 0);
	for (int i = 0; i < 6; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	assert_false(copied.done);
	kill_session(rig);
	IO_WAIT(&rig->loop, copied.done);
	assert_int_equal(copied.rc, -TG_ECLOSED);
	assert_int_equal(tg_pg_exec(rig->pg, "SELECT 1", on_answer, &after), 0);
	IO_WAIT(&rig->loop, after.done);
	assert_int_equal(after.rc, 0);
	tg_buf_release(&rows);
}

static void broken__idle_connection_comes_back(void **state)
{
	struct rig *rig = *state;

	IO_NEED(rig->url);
	kill_session(rig);
	IO_WAIT(&rig->loop, rig->down);
	IO_WAIT(&rig->loop, rig->up);
}

static void reset__pending_are_told_and_a_fresh_session_follows(void **state)
{
	struct rig *rig = *state;
	struct answer slow = {0}, after = {0};

	IO_NEED(rig->url);
	assert_int_equal(tg_pg_query(rig->pg, "SELECT pg_sleep(30)", NULL, 0, on_answer, &slow), 0);
	for (int i = 0; i < 5; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	tg_pg_reset(rig->pg);
	IO_WAIT(&rig->loop, slow.done);
	assert_int_equal(slow.rc, -TG_ECLOSED);
	assert_int_equal(tg_pg_exec(rig->pg, "SELECT 1", on_answer, &after), 0);
	IO_WAIT(&rig->loop, after.done);
	assert_int_equal(after.rc, 0);
}

struct lease {
	bool done;
	int rc;
	struct tg_pg *pg;
};

static void on_lease(void *ctx, int rc, struct tg_pg *pg)
{
	*(struct lease *)ctx = (struct lease){true, rc, pg};
}

static void ask(struct rig *rig, struct tg_pg *pg, const char *sql, struct answer *a)
{
	*a = (struct answer){0};
	assert_int_equal(tg_pg_exec(pg, sql, on_answer, a), 0);
	IO_WAIT(&rig->loop, a->done);
}

static void pool__an_open_transaction_is_rolled_back_on_return(void **state)
{
	struct rig *rig = *state;
	struct lease one = {0}, two = {0};
	struct tg_pg_pool *pool;
	struct answer a;
	bool closed = false;

	IO_NEED(rig->url);
	assert_int_equal(tg_pg_pool_open(&rig->loop, rig->url, "io_test_pool", 1, &pool), 0);
	assert_int_equal(tg_pg_pool_take(pool, 5000, on_lease, &one), 0);
	assert_false(one.done);
	IO_WAIT(&rig->loop, one.done);
	assert_int_equal(one.rc, 0);
	ask(rig, one.pg, "CREATE TEMP TABLE p (k int)", &a);
	ask(rig, one.pg, "BEGIN; INSERT INTO p VALUES (1)", &a);
	assert_int_equal(a.rc, 0);
	assert_int_equal(tg_pg_pool_take(pool, 100, on_lease, &two), 0);
	IO_WAIT(&rig->loop, two.done); /* the only one is out */
	assert_int_equal(two.rc, -TG_ETIMEOUT);
	two.done = false;
	assert_int_equal(tg_pg_pool_take(pool, 5000, on_lease, &two), 0);
	tg_pg_pool_give(pool, one.pg);
	IO_WAIT(&rig->loop, two.done);
	assert_ptr_equal(two.pg, one.pg);
	ask(rig, two.pg, "SELECT count(*) FROM p", &a);
	assert_string_equal(a.text, "0");
	tg_pg_pool_give(pool, two.pg);
	tg_pg_pool_close(pool, io_set, &closed);
	IO_WAIT(&rig->loop, closed);
}

static void pool__a_transaction_does_not_go_on_in_another_session(void **state)
{
	struct rig *rig = *state;
	struct lease one = {0}, two = {0};
	struct tg_pg_pool *pool;
	struct answer a;
	bool closed = false;

	IO_NEED(rig->url);
	assert_int_equal(tg_pg_pool_open(&rig->loop, rig->url, "io_test_pool", 1, &pool), 0);
	assert_int_equal(tg_pg_pool_take(pool, 5000, on_lease, &one), 0);
	IO_WAIT(&rig->loop, one.done);
	ask(rig, one.pg, "BEGIN", &a);
	ask(rig, rig->pg,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
		"'io_test_pool'",
		&a);
	assert_int_equal(a.rc, 0);
	assert_true(a.rows >= 1);
	/* Long enough for it to be back, were it not out. */
	while (tg_pg_up(one.pg))
		uv_run(&rig->loop, UV_RUN_ONCE);
	ask(rig, one.pg, "SELECT 1", &a);
	assert_int_equal(a.rc, -TG_ECLOSED);
	ask(rig, rig->pg, "SELECT pg_sleep(0.3)", &a);
	ask(rig, one.pg, "SELECT 1", &a);
	assert_int_equal(a.rc, -TG_ECLOSED);
	tg_pg_pool_give(pool, one.pg);
	assert_int_equal(tg_pg_pool_take(pool, 5000, on_lease, &two), 0);
	IO_WAIT(&rig->loop, two.done);
	assert_int_equal(two.rc, 0);
	ask(rig, two.pg, "SELECT 1", &a);
	assert_int_equal(a.rc, 0);
	/* Closing with one out: it answers nothing any more and is closed when it comes back. */
	tg_pg_pool_close(pool, io_set, &closed);
	ask(rig, two.pg, "SELECT 1", &a);
	assert_int_equal(a.rc, -TG_ECLOSED);
	assert_false(closed);
	tg_pg_pool_give(pool, two.pg);
	IO_WAIT(&rig->loop, closed);
}

static int takes_left;

static void on_turn(void *ctx, int rc, struct tg_pg *pg)
{
	struct tg_pg_pool *pool = ctx;

	assert_int_equal(rc, 0);
	assert_int_equal(tg_pg_query(pg, "SELECT 1", NULL, 0, NULL, NULL), 0);
	if (--takes_left > 0)
		assert_int_equal(tg_pg_pool_take(pool, 5000, on_turn, pool), 0);
	tg_pg_pool_give(pool, pg);
}

static bool no_takes_left(void *ctx)
{
	(void)ctx;
	return takes_left <= -6; /* the seven chains each end with one */
}

static void pool__takes_and_gives_from_callbacks(void **state)
{
	struct rig *rig = *state;
	struct tg_pg_pool *pool;
	bool closed = false;

	IO_NEED(rig->url);
	takes_left = 500;
	assert_int_equal(tg_pg_pool_open(&rig->loop, rig->url, "io_test_pool", 3, &pool), 0);
	for (int i = 0; i < 7; i++)
		assert_int_equal(tg_pg_pool_take(pool, 5000, on_turn, pool), 0);
	assert_true(io_until(&rig->loop, no_takes_left, NULL, IO_LIMIT_MS));
	tg_pg_pool_close(pool, io_set, &closed);
	IO_WAIT(&rig->loop, closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			query__parameters_and_null_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			query__many_at_once_are_answered_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			query__errors_are_named_and_leave_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(
			query__dropped_statements_are_prepared_again, setup, teardown),
		cmocka_unit_test_setup_teardown(query__a_callback_may_ask_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			copy__fifty_megabytes_arrive_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(
			copy__bad_rows_are_refused_and_the_connection_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(
			broken__all_pending_are_told_then_it_reconnects, setup, teardown),
		cmocka_unit_test_setup_teardown(broken__in_the_middle_of_a_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(
			broken__idle_connection_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			pool__an_open_transaction_is_rolled_back_on_return, setup, teardown),
		cmocka_unit_test_setup_teardown(
			pool__a_transaction_does_not_go_on_in_another_session, setup, teardown),
		cmocka_unit_test_setup_teardown(
			pool__takes_and_gives_from_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			reset__pending_are_told_and_a_fresh_session_follows, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	tg_log_init("io_test", TG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
