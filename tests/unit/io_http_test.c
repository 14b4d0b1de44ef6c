/* base/io/http over a loopback socket: limits, routes, pipelining, streams. */
#include "tests/unit/io_http_rig.h"

static void limits__large_headers_and_bodies_are_refused(void **state)
{
	struct rig *rig = *state;
	struct tg_buf b = {0};

	assert_int_equal(
		tg_buf_addf(&b, "GET /hello HTTP/1.1\r\nHost: a\r\nX: %0100000d\r\n\r\n", 0), 0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 431 ");
	tg_buf_reset(&b);
	assert_int_equal(tg_buf_add_cstr(&b, "GET /hello HTTP/1.1\r\nHost: a\r\n"), 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(tg_buf_addf(&b, "a%d: \r\n", i), 0);
	assert_int_equal(tg_buf_add_cstr(&b, "\r\n"), 0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 431 ");
	tg_buf_reset(&b);
	assert_int_equal(tg_buf_addf(&b, "GET /%0100000d HTTP/1.1\r\nHost: a\r\n\r\n", 0), 0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 414 ");
	tg_buf_reset(&b);
	assert_int_equal(
		tg_buf_addf(&b, "GET /hello HTTP/1.1\r\nHost: a\r\nX:%200000s\r\n\r\n", "y"), 0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 431 ");
	tg_buf_reset(&b);
	assert_int_equal(tg_buf_addf(&b,
				 "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: "
				 "1048577\r\n\r\n%0300000d",
				 0),
		0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 413 ");
	tg_buf_reset(&b);
	assert_int_equal(tg_buf_addf(&b,
				 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
				 "chunked\r\n\r\n30D40\r\n%0200000d",
				 0),
		0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 413 ");
	tg_buf_reset(&b);
	assert_int_equal(tg_buf_addf(&b,
				 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
				 "chunked\r\n\r\n5;%02000d\r\n",
				 0),
		0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 400 ");
	assert_int_equal(rig->handled, 0);
	tg_buf_release(&b);
}

static void limits__connections_over_the_limit_get_503(void **state)
{
	struct rig *rig = *state;
	int fds[33];
	const char *text;

	for (int i = 0; i < 33; i++) {
		fds[i] = dial(rig);
		turn(rig);
	}
	text = get(rig, fds[32], NULL);
	assert_has(text, "HTTP/1.1 503 ");
	assert_has(text, "Retry-After: ");
	for (int i = 0; i < 33; i++)
		close(fds[i]);
	turn(rig);
	turn(rig);
	assert_has(ASK(rig, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 200 OK");
}

static void request__parts_are_decoded(void **state)
{
	struct rig *rig = *state;
	const char *text = ASK(rig,
		"GET /cases/a%20%e4%ba%ba?x=1&q=a+b%26c HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n"
		"Cookie: a=b; sid=77; c=d\r\nConnection: close\r\n\r\n");

	assert_has(text, "HTTP/1.1 200 OK\r\n");
	assert_has(text, "\r\nX-Thing: yes\r\n");
	assert_has(text, "\r\nDate: ");
	assert_has_not(text, "Set-Cookie");
	assert_has(text, "id=a \xe4\xba\xba q=a b&c sid=77 ua=me");
	text = ASK(
		rig, "GET http://a/files/x/y.js HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_has(text, "id=x/y.js ");
}

static void routes__other_methods_and_paths(void **state)
{
	struct rig *rig = *state;
	const char *text;

	text = ASK(rig, "DELETE /cases/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_has(text, "HTTP/1.1 405 ");
	assert_has(text, "Allow: OPTIONS, GET, HEAD\r\n");
	assert_is_no_page(text);
	text = ASK(rig, "TRACE /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_has(text, "HTTP/1.1 405 ");
	text = ASK(rig, "OPTIONS /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_has(text, "HTTP/1.1 204 ");
	assert_has(text, "Allow: OPTIONS, POST\r\n");
	assert_has_not(text, "Content-Length");
	text = ASK(rig, "HEAD /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_has(text, "Content-Length: 5\r\n");
	assert_has_not(text, "hello");
	assert_has(ASK(rig, "GET /cases/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 404 ");
	assert_has(ASK(rig, "GET /cases/1/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 404 ");
	assert_has(ASK(rig, "GET /hellos HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 404 ");
	assert_has(ASK(rig, "GET /hell HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 404 ");
	text = ASK(rig, "GET /problem HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_has(text, "Content-Type: application/problem+json\r\n");
	assert_has(text, "{\"type\":\"/problems/stale\",\"title\":\"Conflict\",\"status\":409,"
			 "\"detail\":\"It was \\\"changed\\\".\",\"version\":3}");
}

static void bodies__chunked_and_expected(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);
	const char *text;

	text = ASK(rig, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
			"chunked\r\nConnection: close\r\n\r\n"
			"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: z\r\n\r\n");
	assert_has(text, "\r\n\r\nhello world");
	PUT(rig, fd,
		"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
		"5\r\n\r\n");
	text = get(rig, fd, "\r\n\r\n");
	assert_has(text, "HTTP/1.1 100 Continue\r\n\r\n");
	PUT(rig, fd, "12345");
	assert_has(get(rig, fd, "12345"), "HTTP/1.1 200 OK");
	close(fd);
	turn(rig);
}

static void pipelining__answers_come_in_order(void **state)
{
	static const char two[] = "GET /late HTTP/1.1\r\nHost: a\r\n\r\n" SECOND;
	struct rig *rig = *state;
	struct tg_buf many = {0};
	int fd = dial(rig);
	const char *text;

	put(rig, fd, two, sizeof(two) - 1);
	turn(rig);
	assert_non_null(rig->late);
	assert_int_equal(rig->handled, 0); /* the second waits for the first's answer */
	tg_reply(rig->late, 200, "text/plain", TG_SLICE("late"));
	assert_int_equal(rig->released, 1);
	text = get(rig, fd, "hello");
	assert_true(strstr(text, "late") < strstr(text, "hello"));
	for (int i = 0; i < 1000; i++)
		assert_int_equal(tg_buf_add_cstr(&many, SECOND), 0);
	rig->handled = 0;
	put(rig, fd, many.data, many.len);
	shutdown(fd, SHUT_WR); /* ends its half and still gets them all */
	text = get(rig, fd, NULL);
	assert_int_equal(answers(text), 1000);
	assert_int_equal(rig->handled, 1000);
	close(fd);
	turn(rig);
	tg_buf_release(&many);
}

static void keep_alive__of_http_1_0_is_asked_for(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);

	assert_has(ASK(rig, "GET /hello HTTP/1.0\r\n\r\n"), "Connection: close\r\n");
	PUT(rig, fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_has(get(rig, fd, "hello"), "Connection: keep-alive\r\n");
	put(rig, fd, SECOND, sizeof(SECOND) - 1);
	assert_has(get(rig, fd, "hello"), "HTTP/1.1 200 OK");
	close(fd);
	turn(rig);
}

static void answer__after_the_peer_left_is_harmless(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);
	struct linger hard = {1, 0};

	PUT(rig, fd, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
	turn(rig);
	assert_non_null(rig->late);
	assert_false(tg_req_gone(rig->late));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
	for (int i = 0; i < 100 && !tg_req_gone(rig->late); i++)
		turn(rig);
	assert_true(tg_req_gone(rig->late));
	turn(rig);
	tg_reply(rig->late, 200, "text/plain", TG_SLICE("to nobody"));
	assert_int_equal(rig->released, 1);
}

static void limits__one_address_may_not_take_all_connections(void **state)
{
	struct rig *rig = *state;
	struct tg_http_conf conf = {.connections_max = 64, .per_address_max = 2};
	int fds[3];

	tg_http_limit(rig->http, &conf);
	for (int i = 0; i < 3; i++) {
		fds[i] = dial(rig);
		turn(rig);
	}
	assert_has(get(rig, fds[2], NULL), "HTTP/1.1 503 ");
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	turn(rig);
}

static void limits__one_path_may_take_more_and_all_bodies_have_a_sum(void **state)
{
	struct rig *rig = *state;
	struct tg_http_conf conf = {
		.body_max = 1000, .large_path = "/echo", .large_max = 200000, .bodies_max = 300000};
	struct tg_buf b = {0};
	int fd;

	tg_http_limit(rig->http, &conf);
	assert_int_equal(tg_buf_addf(&b,
				 "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: "
				 "close\r\nContent-Length: 200000\r\n\r\n%0200000d",
				 0),
		0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 200 OK");
	fd = dial(rig);
	put(rig, fd, b.data, b.len - 1); /* not whole yet: it is held */
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 503 ");
	PUT(rig, fd, "0");
	assert_has(get(rig, fd, "\r\n\r\n"), "HTTP/1.1 200 OK");
	close(fd);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 200 OK"); /* and given back */
	tg_buf_reset(&b);
	assert_int_equal(tg_buf_addf(&b,
				 "POST /cases/1/actions HTTP/1.1\r\nHost: a\r\nContent-Length: "
				 "1001\r\n\r\n%01001d",
				 0),
		0);
	assert_has(ask(rig, b.data, b.len), "HTTP/1.1 413 ");
	tg_buf_release(&b);
}

static void stream__frames_arrive_and_the_end_is_told_once(void **state)
{
	static const char frame[] = "id: 1\nevent: case\ndata: {}\n\n";
	struct rig *rig = *state;
	int fd = dial(rig);

	PUT(rig, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
	turn(rig);
	assert_non_null(rig->stream);
	assert_has(get(rig, fd, "\r\n\r\n"), "Content-Type: text/event-stream\r\n");
	for (int i = 0; i < 3; i++) {
		tg_stream_send(rig->stream, (struct tg_slice){frame, sizeof(frame) - 1});
		assert_has(get(rig, fd, "{}\n\n"), frame);
	}
	close(fd);
	for (int i = 0; i < 100 && rig->stream; i++)
		turn(rig);
	assert_int_equal(rig->gone, 1);

	fd = dial(rig);
	PUT(rig, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
	turn(rig);
	tg_stream_close(rig->stream);
	assert_int_equal(rig->gone, 1);
	get(rig, fd, NULL);
	close(fd);
	for (int i = 0; i < 100 && rig->stream; i++)
		turn(rig);
	assert_int_equal(rig->gone, 2);
	assert_has(ASK(rig, "HEAD /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
		"text/event-stream");
}

static void stream__a_slow_reader_is_told_to_resync(void **state)
{
	struct rig *rig = *state;
	static const char resync[] = "\n\nevent: resync\ndata: {}\n\n";
	struct tg_buf frame = {0};
	int fd = dial(rig), sent = 0;
	const char *text;

	assert_int_equal(tg_buf_addf(&frame, "data: %05000d\n\n", 7), 0);
	PUT(rig, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
	turn(rig);
	get(rig, fd, "\r\n\r\n");
	for (; sent < 20000 && rig->stream; sent++) {
		tg_stream_send(rig->stream, (struct tg_slice){frame.data, frame.len});
		if (sent % 16 == 0)
			turn(rig);
	}
	assert_non_null(rig->stream); /* still flushing: nobody reads */
	/* Reads it all in pieces: the last thing is the resync. */
	do
		text = get(rig, fd, NULL);
	while (strlen(text) == (1 << 20) - 1);
	assert_true(strlen(text) > sizeof(resync));
	assert_string_equal(text + strlen(text) - (sizeof(resync) - 1), resync);
	close(fd);
	for (int i = 0; i < 100 && rig->stream; i++)
		turn(rig);
	assert_int_equal(rig->gone, 1);
	tg_buf_release(&frame);
}

static void close__waits_for_answers_and_ends_streams(void **state)
{
	struct rig *rig = *state;
	int late = dial(rig), stream = dial(rig), idle = dial(rig);

	PUT(rig, late, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
	PUT(rig, stream, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
	PUT(rig, idle, "GET /hel");
	turn(rig);
	tg_http_close(rig->http, io_set, &rig->closed);
	turn(rig);
	assert_false(rig->closed);
	tg_reply(rig->late, 200, "text/plain", TG_SLICE("late"));
	assert_has(get(rig, late, NULL), "late");
	get(rig, stream, NULL);
	close(late);
	close(stream);
	close(idle);
	IO_WAIT(&rig->loop, rig->closed);
	assert_int_equal(rig->gone, 1);
	io_loop_end(&rig->loop);
	free(rig);
}

static void open__a_taken_port_is_named(void **state)
{
	struct rig *rig = *state;
	struct tg_http *other;

	assert_int_equal(
		tg_http_open(&rig->loop, tg_http_address(rig->http), NULL, &other), -TG_EEXIST);
	assert_int_equal(tg_http_open(&rig->loop, "nonsense", NULL, &other), -TG_EINVAL);
	turn(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			limits__large_headers_and_bodies_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			limits__connections_over_the_limit_get_503, setup, teardown),
		cmocka_unit_test_setup_teardown(request__parts_are_decoded, setup, teardown),
		cmocka_unit_test_setup_teardown(routes__other_methods_and_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(bodies__chunked_and_expected, setup, teardown),
		cmocka_unit_test_setup_teardown(pipelining__answers_come_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			keep_alive__of_http_1_0_is_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(
			answer__after_the_peer_left_is_harmless, setup, teardown),
		cmocka_unit_test_setup_teardown(
			limits__one_address_may_not_take_all_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(
			limits__one_path_may_take_more_and_all_bodies_have_a_sum, setup, teardown),
		cmocka_unit_test_setup_teardown(
			stream__frames_arrive_and_the_end_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			stream__a_slow_reader_is_told_to_resync, setup, teardown),
		cmocka_unit_test_setup(close__waits_for_answers_and_ends_streams, setup),
		cmocka_unit_test_setup_teardown(open__a_taken_port_is_named, setup, teardown),
	};

	http_tests_begin("io_http_test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
