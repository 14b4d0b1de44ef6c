/* What the tests of base/io/pg share: a connection of their own to a real PostgreSQL
 * (TONGGUAN_POSTGRES_URL) and what came back of each request. */
#ifndef TG_TESTS_IO_PG_RIG_H
#define TG_TESTS_IO_PG_RIG_H

#include "tests/io_loop.h"

#include <unistd.h>

#include "base/io/pg.h"

/* Several of these programs run at once: each ends its own sessions only. */
static inline const char *io_pg_app(void)
{
	static char app[32];

	snprintf(app, sizeof(app), "io_test %d", (int)getpid());
	return app;
}

struct rig {
	uv_loop_t loop;
	struct tg_pg *pg;
	const char *url;
	bool up, down, closed;
};

/* What came back of one request. */
struct answer {
	bool done;
	int calls, rc;
	char text[256], state[8];
	int rows;
	int order;
};

static int orders;

static inline void on_up(void *ctx, struct tg_pg *pg)
{
	struct rig *rig = ctx;

	(void)pg;
	rig->up = true;
}

static inline void on_down(void *ctx, struct tg_pg *pg)
{
	struct rig *rig = ctx;

	(void)pg;
	rig->down = true;
	rig->up = false;
}

static inline void on_answer(void *ctx, int rc, const PGresult *res)
{
	struct answer *a = ctx;

	a->done = true;
	a->calls++;
	a->rc = rc;
	a->order = ++orders;
	a->rows = res ? PQntuples(res) : -1;
	snprintf(a->state, sizeof(a->state), "%s", tg_pg_sqlstate(res));
	if (res && PQntuples(res) > 0 && PQnfields(res) > 0)
		snprintf(a->text, sizeof(a->text), "%s", PQgetvalue(res, 0, 0));
	else
		snprintf(a->text, sizeof(a->text), "%s", tg_pg_message(res));
}

static inline int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	static const struct tg_pg_ops ops = {on_up, on_down};

	rig->url = getenv("TONGGUAN_POSTGRES_URL");
	*state = rig;
	if (!rig->url)
		return 0;
	uv_loop_init(&rig->loop);
	assert_int_equal(tg_pg_open(&rig->loop, rig->url, io_pg_app(), &ops, rig, &rig->pg), 0);
	assert_false(rig->up);
	IO_WAIT(&rig->loop, rig->up);
	return 0;
}

static inline int teardown(void **state)
{
	struct rig *rig = *state;

	if (rig->url) {
		tg_pg_close(rig->pg, io_set, &rig->closed);
		IO_WAIT(&rig->loop, rig->closed);
		io_loop_end(&rig->loop);
	}
	free(rig);
	return 0;
}

static inline void exec_in(struct rig *rig, const char *sql)
{
	struct answer a = {0};

	assert_int_equal(tg_pg_exec(rig->pg, sql, on_answer, &a), 0);
	IO_WAIT(&rig->loop, a.done);
	if (a.rc)
		fail_msg("%s: %s", sql, a.text);
}

/* A second connection ends the first one's session. */
static inline void kill_session(struct rig *rig)
{
	PGconn *other = tg_pg_connect_blocking(rig->url, "io_test_killer", NULL);
	PGresult *res;
	char sql[160];

	assert_non_null(other);
	snprintf(sql, sizeof(sql),
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
		"WHERE application_name = '%s'",
		io_pg_app());
	res = PQexec(other, sql);
	assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
	assert_true(PQntuples(res) > 0);
	PQclear(res);
	PQfinish(other);
}

#endif
