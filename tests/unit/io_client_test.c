/* base/io/redis and base/io/pg against servers that are not there, do not answer, or go away. */
#include "tests/io_loop.h"

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io/pg.h"
#include "base/io/redis.h"
#include "base/log.h"

/* A server as bad as the case wants it. */
enum manner { SILENT, ONE_PONG_THEN_SILENT, ONE_PONG_THEN_RESET, REFUSES_LOGIN };

struct fake {
	uv_loop_t *loop;
	uv_tcp_t listener;
	enum manner manner;
	int accepted, port;
	bool closed;
};

struct fake_conn {
	uv_tcp_t tcp;
	struct fake *fake;
	int reads;
	char in[4096];
};

static void fake_conn_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void fake_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct fake_conn *conn = handle->data;

	(void)suggested;
	*ret = uv_buf_init(conn->in, sizeof(conn->in));
}

static void fake_say(struct fake_conn *conn, const char *text)
{
	uv_buf_t out = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));

	assert_int_equal(uv_try_write((uv_stream_t *)&conn->tcp, &out, 1), (int)strlen(text));
}

static void fake_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct fake_conn *conn = stream->data;

	(void)buf;
	if (n < 0) {
		uv_close((uv_handle_t *)&conn->tcp, fake_conn_closed);
		return;
	}
	if (n == 0 || conn->fake->manner == SILENT)
		return;
	if (conn->fake->manner == REFUSES_LOGIN) {
		fake_say(conn, "-WRONGPASS invalid username-password pair\r\n");
		return;
	}
	if (conn->reads++ == 0)
		fake_say(conn, "+PONG\r\n");
	else if (conn->fake->manner == ONE_PONG_THEN_RESET &&
		 !uv_is_closing((uv_handle_t *)&conn->tcp))
		uv_tcp_close_reset(&conn->tcp, fake_conn_closed);
}

static void fake_connection(uv_stream_t *listener, int status)
{
	struct fake *fake = listener->data;
	struct fake_conn *conn = calloc(1, sizeof(*conn));

	assert_int_equal(status, 0);
	conn->fake = fake;
	conn->tcp.data = conn;
	uv_tcp_init(fake->loop, &conn->tcp);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&conn->tcp), 0);
	uv_read_start((uv_stream_t *)&conn->tcp, fake_alloc, fake_read);
	fake->accepted++;
}

static void fake_open(struct fake *fake, uv_loop_t *loop, enum manner manner)
{
	struct sockaddr_in sa;
	int len = sizeof(sa);

	fake->loop = loop;
	fake->manner = manner;
	fake->listener.data = fake;
	uv_tcp_init(loop, &fake->listener);
	uv_ip4_addr("127.0.0.1", 0, &sa);
	assert_int_equal(uv_tcp_bind(&fake->listener, (struct sockaddr *)&sa, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&fake->listener, 8, fake_connection), 0);
	uv_tcp_getsockname(&fake->listener, (struct sockaddr *)&sa, &len);
	fake->port = ntohs(sa.sin_port);
}

static void fake_listener_closed(uv_handle_t *handle)
{
	((struct fake *)handle->data)->closed = true;
}

/* Connections end when their peer goes. */
static void fake_close(struct fake *fake)
{
	uv_close((uv_handle_t *)&fake->listener, fake_listener_closed);
	IO_WAIT(fake->loop, fake->closed);
}

struct answer {
	bool done;
	int rc, calls;
};

static void on_redis(void *ctx, int rc, const redisReply *reply)
{
	struct answer *a = ctx;

	assert_true((rc == 0 || rc == -TG_EREDIS) == (reply != NULL));
	a->done = true;
	a->calls++;
	a->rc = rc;
}

static int call(struct tg_redis *r, int deadline_ms, struct answer *a)
{
	const struct tg_slice args[] = {TG_SLICE("GET"), TG_SLICE("k")};

	return tg_redis_call(r, deadline_ms, args, 2, on_redis, a);
}

static struct tg_redis *redis_at(uv_loop_t *loop, int port, const char *login, bool *up)
{
	struct tg_redis *r;
	char url[64];

	snprintf(url, sizeof(url), "redis://%s127.0.0.1:%d", login, port);
	assert_int_equal(tg_redis_open(loop, url, NULL, io_set, up, &r), 0);
	return r;
}

static void redis_end(uv_loop_t *loop, struct tg_redis *r)
{
	bool closed = false;

	tg_redis_close(r, io_set, &closed);
	IO_WAIT(loop, closed);
}

static void redis__no_server_is_tried_again_and_closing_works(void **state)
{
	struct answer a = {0};
	bool up = false;
	uv_loop_t loop;
	struct tg_redis *r;

	(void)state;
	uv_loop_init(&loop);
	r = redis_at(&loop, 1, "", &up);
	assert_int_equal(call(r, 100, &a), -TG_ECLOSED);
	for (int i = 0; i < 8; i++)
		uv_run(&loop, UV_RUN_ONCE);
	assert_false(up);
	assert_false(a.done);
	redis_end(&loop, r);
	io_loop_end(&loop);
}

static void redis__a_silent_server_is_given_up(void **state)
{
	struct fake fake = {0};
	bool up = false;
	uv_loop_t loop;
	struct tg_redis *r;
	uint64_t began = uv_hrtime();

	(void)state;
	uv_loop_init(&loop);
	fake_open(&fake, &loop, SILENT);
	r = redis_at(&loop, fake.port, "", &up);
	while (fake.accepted < 2)
		uv_run(&loop, UV_RUN_ONCE);
	assert_true(uv_hrtime() - began < 7000000000u);
	assert_false(up);
	redis_end(&loop, r);
	fake_close(&fake);
	io_loop_end(&loop);
}

static void redis__the_oldest_deadline_ends_the_connection(void **state)
{
	struct fake fake = {0};
	struct answer first = {0}, second = {0};
	bool up = false;
	uv_loop_t loop;
	struct tg_redis *r;

	(void)state;
	uv_loop_init(&loop);
	fake_open(&fake, &loop, ONE_PONG_THEN_SILENT);
	r = redis_at(&loop, fake.port, "", &up);
	IO_WAIT(&loop, up);
	assert_int_equal(call(r, 150, &first), 0);
	assert_int_equal(call(r, 5000, &second), 0);
	IO_WAIT(&loop, second.done);
	assert_int_equal(first.rc, -TG_ETIMEOUT);
	assert_int_equal(second.rc, -TG_ECLOSED);
	assert_false(tg_redis_up(r));
	up = false;
	IO_WAIT(&loop, up);
	assert_int_equal(fake.accepted, 2);
	assert_int_equal(call(r, 5000, &first), 0);
	redis_end(&loop, r); /* a call under way is answered */
	assert_int_equal(first.calls, 2);
	assert_int_equal(first.rc, -TG_ECLOSED);
	fake_close(&fake);
	io_loop_end(&loop);
}

static void redis__a_reset_answers_what_is_pending(void **state)
{
	struct fake fake = {0};
	struct answer a = {0};
	bool up = false;
	uv_loop_t loop;
	struct tg_redis *r;

	(void)state;
	uv_loop_init(&loop);
	fake_open(&fake, &loop, ONE_PONG_THEN_RESET);
	r = redis_at(&loop, fake.port, "", &up);
	IO_WAIT(&loop, up);
	up = false;
	assert_int_equal(call(r, 5000, &a), 0);
	IO_WAIT(&loop, a.done);
	assert_int_equal(a.rc, -TG_ECLOSED);
	IO_WAIT(&loop, up);
	redis_end(&loop, r);
	fake_close(&fake);
	io_loop_end(&loop);
}

static void redis__a_refused_login_never_is_up(void **state)
{
	struct fake fake = {0};
	bool up = false;
	uv_loop_t loop;
	struct tg_redis *r;

	(void)state;
	uv_loop_init(&loop);
	fake_open(&fake, &loop, REFUSES_LOGIN);
	r = redis_at(&loop, fake.port, ":wrong@", &up);
	while (fake.accepted < 3)
		uv_run(&loop, UV_RUN_ONCE);
	assert_false(up);
	redis_end(&loop, r);
	fake_close(&fake);
	io_loop_end(&loop);
}

static void redis__addresses_are_checked(void **state)
{
	static const char *const bad[] = {"", "127.0.0.1:6379", "http://a", "redis://",
		"redis://:6379", "redis://a:0", "redis://a:x", "redis://a:70000", "redis://a/x",
		"unix://relative", "redis://%zz@a"};
	struct tg_redis *r;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (tg_redis_open(&loop, bad[i], NULL, NULL, NULL, &r) != -TG_EINVAL)
			fail_msg("taken: %s", bad[i]);
	io_loop_end(&loop);
}

static void on_pg(void *ctx, int rc, const PGresult *res)
{
	struct answer *a = ctx;

	assert_null(res);
	a->done = true;
	a->calls++;
	a->rc = rc;
}

static void pg__a_refused_port_answers_what_is_queued(void **state)
{
	struct answer a[3] = {0};
	bool closed = false;
	struct tg_pg *pg;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(
		tg_pg_open(&loop, "postgresql://127.0.0.1:1/x", "io_test", NULL, NULL, &pg), 0);
	assert_int_equal(tg_pg_query(pg, "SELECT 1", NULL, 0, on_pg, &a[0]), 0);
	assert_int_equal(tg_pg_exec(pg, "SELECT 1", on_pg, &a[1]), 0);
	IO_WAIT(&loop, a[1].done);
	assert_int_equal(a[0].rc, -TG_ECLOSED);
	assert_int_equal(tg_pg_exec(pg, "SELECT 1", on_pg, &a[2]), 0);
	tg_pg_close(pg, io_set, &closed);
	assert_int_equal(tg_pg_exec(pg, "SELECT 1", on_pg, &a[2]), -TG_ECLOSED);
	IO_WAIT(&loop, closed);
	assert_int_equal(a[2].calls, 1);
	io_loop_end(&loop);
}

static void pg__a_silent_server_is_given_up(void **state)
{
	struct fake fake = {0};
	struct answer a = {0};
	bool closed = false;
	struct tg_pg *pg;
	uv_loop_t loop;
	char url[64];
	uint64_t began = uv_hrtime();

	(void)state;
	uv_loop_init(&loop);
	fake_open(&fake, &loop, SILENT);
	snprintf(url, sizeof(url), "postgresql://127.0.0.1:%d/x", fake.port);
	assert_int_equal(tg_pg_open(&loop, url, "io_test", NULL, NULL, &pg), 0);
	assert_int_equal(tg_pg_exec(pg, "SELECT 1", on_pg, &a), 0);
	IO_WAIT(&loop, a.done);
	assert_int_equal(a.rc, -TG_ECLOSED);
	assert_true(uv_hrtime() - began < 7000000000u);
	tg_pg_close(pg, io_set, &closed);
	IO_WAIT(&loop, closed);
	fake_close(&fake);
	io_loop_end(&loop);
}

struct taken {
	bool done;
	int rc;
};

static void on_taken(void *ctx, int rc, struct tg_pg *pg)
{
	assert_null(pg);
	*(struct taken *)ctx = (struct taken){true, rc};
}

static void pool__without_a_server_waiters_are_turned_away_in_time(void **state)
{
	struct taken soon = {0}, never = {0};
	struct tg_pg_pool *pool;
	bool closed = false;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(
		tg_pg_pool_open(&loop, "postgresql://127.0.0.1:1/x", "io_test", 2, &pool), 0);
	assert_int_equal(tg_pg_pool_take(pool, 60000, on_taken, &never), 0);
	assert_int_equal(tg_pg_pool_take(pool, 100, on_taken, &soon), 0);
	IO_WAIT(&loop, soon.done);
	assert_int_equal(soon.rc, -TG_ETIMEOUT);
	assert_false(never.done);
	assert_false(tg_pg_pool_up(pool));
	tg_pg_pool_close(pool, io_set, &closed);
	assert_int_equal(tg_pg_pool_take(pool, 100, on_taken, &soon), -TG_ECLOSED);
	IO_WAIT(&loop, closed);
	assert_int_equal(never.rc, -TG_ECLOSED);
	io_loop_end(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redis__no_server_is_tried_again_and_closing_works),
		cmocka_unit_test(redis__a_silent_server_is_given_up),
		cmocka_unit_test(redis__the_oldest_deadline_ends_the_connection),
		cmocka_unit_test(redis__a_reset_answers_what_is_pending),
		cmocka_unit_test(redis__a_refused_login_never_is_up),
		cmocka_unit_test(redis__addresses_are_checked),
		cmocka_unit_test(pg__a_refused_port_answers_what_is_queued),
		cmocka_unit_test(pg__a_silent_server_is_given_up),
		cmocka_unit_test(pool__without_a_server_waiters_are_turned_away_in_time),
	};

	signal(SIGPIPE, SIG_IGN);
	tg_log_init("io_client_test", TG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
