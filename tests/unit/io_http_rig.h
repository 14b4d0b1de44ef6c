/* What the tests of base/io/http share: a server and its routes, and a client in the same thread:
 * its socket never blocks, the loop turns in between. */
#ifndef TG_TESTS_IO_HTTP_RIG_H
#define TG_TESTS_IO_HTTP_RIG_H

#include "tests/io_loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io/http.h"
#include "base/log.h"

struct rig {
	uv_loop_t loop;
	struct tg_http *http;
	int handled;
	struct tg_request *late; /* answered later */
	struct tg_stream *stream;
	int gone;
	int released;
	bool closed;
};

static inline void on_hello(void *ctx, struct tg_request *req)
{
	struct rig *rig = ctx;

	rig->handled++;
	tg_reply(req, 200, "text/plain", TG_SLICE("hello"));
}

static inline void on_echo(void *ctx, struct tg_request *req)
{
	struct rig *rig = ctx;

	rig->handled++;
	tg_reply(req, 200, "application/octet-stream", tg_req_body(req));
}

static inline void on_case(void *ctx, struct tg_request *req)
{
	struct tg_buf out = {0};
	struct tg_slice id = tg_req_param(req, 0), q = {0}, cookie = {0}, ua = {0};

	(void)ctx;
	tg_req_query(req, "q", &q);
	tg_req_cookie(req, "sid", &cookie);
	tg_req_header(req, "user-agent", &ua);
	assert_int_equal(
		tg_buf_addf(&out, "id=%.*s q=%.*s sid=%.*s ua=%.*s", (int)id.len, id.data,
			(int)q.len, q.data, (int)cookie.len, cookie.data, (int)ua.len, ua.data),
		0);
	tg_reply_header(req, "X-Thing", "yes");
	tg_reply_header(req, "X-Bad", "a\r\nSet-Cookie: x=y");
	tg_reply(req, 200, "text/plain", (struct tg_slice){out.data, out.len});
	tg_buf_release(&out);
}

static inline void on_release(void *user)
{
	++*(int *)user;
}

static inline void on_late(void *ctx, struct tg_request *req)
{
	struct rig *rig = ctx;

	rig->late = req;
	tg_req_set_user(req, &rig->released, on_release);
}

static inline void on_gone(void *ctx, struct tg_stream *s)
{
	struct rig *rig = ctx;

	assert_ptr_equal(s, rig->stream);
	rig->stream = NULL;
	rig->gone++;
}

static inline void on_stream(void *ctx, struct tg_request *req)
{
	struct rig *rig = ctx;

	if (tg_stream_open(req, 100000, on_gone, rig, &rig->stream))
		tg_reply(req, 200, "text/event-stream", (struct tg_slice){0});
}

static inline void on_problem(void *ctx, struct tg_request *req)
{
	(void)ctx;
	tg_reply_problem(req, 409, "/problems/stale", "It was \"changed\".", "\"version\":3");
}

static const struct tg_route routes[] = {
	{TG_GET, "/hello", on_hello},
	{TG_POST, "/echo", on_echo},
	{TG_GET, "/cases/{id}", on_case},
	{TG_POST, "/cases/{id}/actions", on_echo},
	{TG_GET, "/late", on_late},
	{TG_GET, "/stream", on_stream},
	{TG_GET, "/problem", on_problem},
	{TG_GET, "/files/{*}", on_case},
};

static inline int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct tg_http_conf conf = {
		.connections_max = 64, .per_address_max = 32, .body_max = 100000};

	uv_loop_init(&rig->loop);
	assert_int_equal(tg_http_open(&rig->loop, "127.0.0.1:0", &conf, &rig->http), 0);
	assert_int_equal(
		tg_http_route(rig->http, routes, sizeof(routes) / sizeof(routes[0]), rig), 0);
	*state = rig;
	return 0;
}

static inline int teardown(void **state)
{
	struct rig *rig = *state;

	tg_http_close(rig->http, io_set, &rig->closed);
	IO_WAIT(&rig->loop, rig->closed);
	io_loop_end(&rig->loop);
	free(rig);
	return 0;
}

static inline int dial(struct rig *rig)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_port = htons((uint16_t)atoi(strrchr(tg_http_address(rig->http), ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static inline void turn(struct rig *rig)
{
	for (int i = 0; i < 4; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
}

/* Sends as far as the server takes it: one that refuses may close before it has all. */
static inline void put(struct rig *rig, int fd, const char *data, size_t len)
{
	uint64_t end = uv_hrtime() + 5000000000u;

	while (len > 0 && uv_hrtime() < end) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		turn(rig);
		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
}

#define PUT(rig, fd, lit) put((rig), (fd), (lit), sizeof(lit) - 1)

/* Reads until `stop` has come (NULL: until the server closes). */
static inline const char *get(struct rig *rig, int fd, const char *stop)
{
	static char text[1 << 20];
	size_t len = 0;
	uint64_t end = uv_hrtime() + 8000000000u;

	while (uv_hrtime() < end && len < sizeof(text) - 1) {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);

		if (n > 0)
			len += (size_t)n;
		text[len] = '\0';
		if (stop && strstr(text, stop))
			return text;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return text;
		turn(rig);
	}
	text[len] = '\0';
	return stop ? "(nothing in time)" : text;
}

static inline const char *ask(struct rig *rig, const char *request, size_t len)
{
	int fd = dial(rig);
	const char *text;

	put(rig, fd, request, len);
	text = get(rig, fd, NULL);
	close(fd);
	turn(rig);
	return text;
}

#define ASK(rig, lit) ask((rig), (lit), sizeof(lit) - 1)

static inline void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("wanted «%s» in:\n%.2000s", part, text);
}

static inline void assert_has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("did not want «%s» in:\n%.2000s", part, text);
}

static inline int answers(const char *text)
{
	int n = 0;

	for (const char *at = text; (at = strstr(at, "HTTP/1.1 ")); at++)
		n++;
	return n;
}

static inline void wait_gone(struct rig *rig, const int *what, int want, uint64_t limit_ms)
{
	uint64_t end = uv_hrtime() + limit_ms * 1000000;

	while (*what != want && uv_hrtime() < end)
		uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(*what, want);
}

#define SECOND "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

/* What the server says of itself carries the same headers as what its routes say. */
static inline void assert_is_no_page(const char *text)
{
	assert_has(text, "X-Content-Type-Options: nosniff\r\n");
	assert_has(text, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
}

static inline void http_tests_begin(const char *name)
{
	signal(SIGPIPE, SIG_IGN);
	tg_log_init(name, TG_ERROR);
}

#endif
