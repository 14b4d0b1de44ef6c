/* base/io/http: who is slow is cut, who is steady is not. */
#include "tests/unit/io_http_rig.h"

/* ---- who is slow: with the same limits as by default, a fiftieth of their time ---- */

#define HEADER_MS 300
#define SLOW_MS   300
#define RATE_MIN  20000 /* 6 kB a window */

static void hurry(struct rig *rig)
{
	const struct tg_http_conf conf = {.header_ms = HEADER_MS,
		.slow_ms = SLOW_MS,
		.rate_min = RATE_MIN,
		.body_max = 1 << 20};

	tg_http_limit(rig->http, &conf);
}

/* Sends `piece` bytes every 10 ms until the server has said something, or for so long; the ms it
 * took. */
static uint64_t drip(struct rig *rig, int fd, size_t piece, uint64_t limit_ms)
{
	char bytes[8192], c;
	uint64_t began = uv_hrtime(), took = 0;

	memset(bytes, 'y', sizeof(bytes));

	while (took < limit_ms) {
		struct timespec nap = {0, 10000000};

		send(fd, bytes, piece, MSG_NOSIGNAL);
		uv_run(&rig->loop, UV_RUN_NOWAIT);
		nanosleep(&nap, NULL); /* the drip itself */
		took = (uv_hrtime() - began) / 1000000;
		if (recv(fd, &c, 1, MSG_PEEK) >= 0)
			break;
	}
	return took;
}

static void deadline__a_header_that_drips_is_ended(void **state)
{
	struct rig *rig = *state;
	uint64_t took;
	int fd;

	hurry(rig);
	fd = dial(rig);
	PUT(rig, fd, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ");
	took = drip(rig, fd, 1, 3000);
	assert_has(get(rig, fd, NULL), "HTTP/1.1 408 ");
	assert_in_range(took, HEADER_MS - 50, HEADER_MS + 1000);
	close(fd);
	turn(rig);
}

static void deadline__a_body_that_drips_is_ended_and_a_steady_one_is_not(void **state)
{
	struct rig *rig = *state;
	uint64_t took;
	int fd;

	hurry(rig);
	fd = dial(rig);
	PUT(rig, fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
	took = drip(rig, fd, 50, 3000); /* a quarter of the least rate */
	assert_has(get(rig, fd, NULL), "HTTP/1.1 408 ");
	assert_in_range(took, SLOW_MS - 50, SLOW_MS + 1000);
	close(fd);
	fd = dial(rig);
	PUT(rig, fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n");
	took = drip(rig, fd, 4000, 10000); /* some 300 kB/s at most: longer than several windows */
	assert_true(took > 3 * SLOW_MS);
	assert_has(get(rig, fd, "\r\n\r\n"), "HTTP/1.1 200 OK");
	close(fd);
	turn(rig);
}

static void deadline__who_does_not_read_a_stream_is_cut(void **state)
{
	struct rig *rig = *state;
	struct tg_buf frame = {0};
	int fd;

	hurry(rig);
	fd = dial(rig);
	assert_int_equal(tg_buf_addf(&frame, "data: %09000d\n\n", 7), 0);
	PUT(rig, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
	turn(rig);
	get(rig, fd, "\r\n\r\n");
	for (int i = 0; i < 100 && rig->stream; i++) { /* what reads is never cut, however long */
		tg_stream_send(rig->stream, (struct tg_slice){frame.data, 40});
		get(rig, fd, "0000");
		uv_run(&rig->loop, UV_RUN_ONCE);
	}
	assert_non_null(rig->stream);
	/* Until some waits here, and less than the queue's limit. */
	while (tg_stream_waiting(rig->stream) < 20000) {
		tg_stream_send(rig->stream, (struct tg_slice){frame.data, frame.len});
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	}
	wait_gone(rig, &rig->gone, 1, SLOW_MS + 2000);
	close(fd);
	tg_buf_release(&frame);
}

static void deadline__who_does_not_read_its_answers_is_cut(void **state)
{
	static char request[500100];
	struct rig *rig = *state;
	int n, fd, small = 4096;

	hurry(rig);
	fd = dial(rig);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	n = snprintf(request, sizeof(request),
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
	for (int i = 0; i < 100 && tg_http_connections(rig->http) == 1; i++)
		put(rig, fd, request, (size_t)n + 500000);
	for (int i = 0; i < 1000 && tg_http_connections(rig->http) == 1; i++)
		uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(tg_http_connections(rig->http), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			deadline__a_header_that_drips_is_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deadline__a_body_that_drips_is_ended_and_a_steady_one_is_not, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			deadline__who_does_not_read_a_stream_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deadline__who_does_not_read_its_answers_is_cut, setup, teardown),
	};

	http_tests_begin("io_http_slow_test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
