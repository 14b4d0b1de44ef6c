/* base/io/http over a loopback socket: framing, limits, routes, pipelining, streams. Server and
 * client share a thread: the client's socket never blocks, the loop turns in between. */
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

static void on_hello(void *ctx, struct tg_request *req)
{
	struct rig *rig = ctx;

	rig->handled++;
	tg_reply(req, 200, "text/plain", TG_SLICE("hello"));
}

static void on_echo(void *ctx, struct tg_request *req)
{
	struct rig *rig = ctx;

	rig->handled++;
	tg_reply(req, 200, "application/octet-stream", tg_req_body(req));
}

static void on_case(void *ctx, struct tg_request *req)
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

static void on_release(void *user)
{
	++*(int *)user;
}

static void on_late(void *ctx, struct tg_request *req)
{
	struct rig *rig = ctx;

	rig->late = req;
	tg_req_set_user(req, &rig->released, on_release);
}

static void on_gone(void *ctx, struct tg_stream *s)
{
	struct rig *rig = ctx;

	assert_ptr_equal(s, rig->stream);
	rig->stream = NULL;
	rig->gone++;
}

static void on_stream(void *ctx, struct tg_request *req)
{
	struct rig *rig = ctx;

	if (tg_stream_open(req, 100000, on_gone, rig, &rig->stream))
		tg_reply(req, 200, "text/event-stream", (struct tg_slice){0});
}

static void on_problem(void *ctx, struct tg_request *req)
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

static int setup(void **state)
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

static int teardown(void **state)
{
	struct rig *rig = *state;

	tg_http_close(rig->http, io_set, &rig->closed);
	IO_WAIT(&rig->loop, rig->closed);
	io_loop_end(&rig->loop);
	free(rig);
	return 0;
}

static int dial(struct rig *rig)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_port = htons((uint16_t)atoi(strrchr(tg_http_address(rig->http), ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void turn(struct rig *rig)
{
	for (int i = 0; i < 4; i++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
}

/* Sends as far as the server takes it: one that refuses may close before it has all. */
static void put(struct rig *rig, int fd, const char *data, size_t len)
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
static const char *get(struct rig *rig, int fd, const char *stop)
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

static const char *ask(struct rig *rig, const char *request, size_t len)
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

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("wanted «%s» in:\n%.2000s", part, text);
}

static void assert_has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("did not want «%s» in:\n%.2000s", part, text);
}

static int answers(const char *text)
{
	int n = 0;

	for (const char *at = text; (at = strstr(at, "HTTP/1.1 ")); at++)
		n++;
	return n;
}

#define SECOND "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

static const struct {
	const char *name, *text;
	size_t len;
	int status;
} malformed[] = {
#define BAD(name, status, lit)                     \
	{                                          \
		name, lit, sizeof(lit) - 1, status \
	}
	BAD("content-length and chunked", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n" SECOND),
	BAD("chunked and content-length", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
		"5\r\n\r\n0\r\n\r\n" SECOND),
	BAD("two lengths", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: "
		"0\r\n\r\n" SECOND),
	BAD("two equal lengths", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: "
		"0\r\n\r\n" SECOND),
	BAD("list of lengths", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello" SECOND),
	BAD("negative length", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n" SECOND),
	BAD("signed length", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello" SECOND),
	BAD("hexadecimal length", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello" SECOND),
	BAD("overflowing length", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: "
		"99999999999999999999999\r\n\r\n" SECOND),
	BAD("unknown coding", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"xchunked\r\n\r\n0\r\n\r\n" SECOND),
	BAD("coding before chunked", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, "
		"chunked\r\n\r\n0\r\n\r\n" SECOND),
	BAD("coding after chunked", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, "
		"identity\r\n\r\n0\r\n\r\n" SECOND),
	BAD("chunked twice", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SECOND),
	BAD("chunked in HTTP/1.0", 400,
		"POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n" SECOND),
	BAD("space before colon", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello" SECOND),
	BAD("bare LF", 400, "GET /hello HTTP/1.1\nHost: a\n\n"),
	BAD("bare LF in the header", 400, "GET /hello HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
	BAD("bare CR in a value", 400, "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n"),
	BAD("bare CR after an empty value", 400,
		"GET /hello HTTP/1.1\r\nHost: a\r\nX:\rContent-Length: 5\r\n\r\n"),
	BAD("NUL in a value", 400, "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n"),
	BAD("NUL in a name", 400, "GET /hello HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n"),
	BAD("folded line", 400, "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
	BAD("header ended by CR LF CR X", 400, "GET /hello HTTP/1.1\r\nHost: a\r\n\rX" SECOND),
	BAD("chunks ended by LF", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\n5\nhello\n0\n\n"),
	BAD("chunk size of 17 digits", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"),
	BAD("chunk size with a sign", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
	BAD("chunk longer than said", 400,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n"),
	BAD("no host", 400, "GET /hello HTTP/1.1\r\n\r\n" SECOND),
	BAD("two hosts", 400, "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" SECOND),
	BAD("host with a space", 400, "GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n" SECOND),
	BAD("bad method", 400, "GE T /hello HTTP/1.1\r\nHost: a\r\n\r\n" SECOND),
	BAD("bad version", 400, "GET /hello HTTP/9.9\r\nHost: a\r\n\r\n"),
	BAD("header without colon", 400, "GET /hello HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"),
	BAD("not HTTP at all", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	BAD("HTTP/2 preface", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	BAD("tunnel", 405, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"),
	BAD("unknown expectation", 417,
		"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: "
		"1\r\n\r\nx"),
#undef BAD
};

/* What the server says of itself carries the same headers as what its routes say. */
static void assert_is_no_page(const char *text)
{
	assert_has(text, "X-Content-Type-Options: nosniff\r\n");
	assert_has(text, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
}

static void framing__what_is_malformed_gets_its_status_and_the_end(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		const char *text = ask(rig, malformed[i].text, malformed[i].len);
		char want[32];

		snprintf(want, sizeof(want), "HTTP/1.1 %d ", malformed[i].status);
		if (strncmp(text, want, strlen(want)) != 0 || answers(text) != 1)
			fail_msg("%s: wanted %d alone, got:\n%.600s", malformed[i].name,
				malformed[i].status, text);
		assert_has(text, "Connection: close\r\n");
		assert_has(text, "application/problem+json");
		assert_is_no_page(text);
	}
	assert_int_equal(rig->handled, 0);
}

/* The same, a byte at a time: what a request means must not depend on how it was cut. */
static void framing__does_not_depend_on_how_bytes_arrive(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		int fd = dial(rig);
		const char *text;
		char want[32];

		for (size_t k = 0; k < malformed[i].len; k++)
			put(rig, fd, malformed[i].text + k, 1);
		text = get(rig, fd, NULL);
		snprintf(want, sizeof(want), "HTTP/1.1 %d ", malformed[i].status);
		if (strncmp(text, want, strlen(want)) != 0 || answers(text) != 1)
			fail_msg("%s: wanted %d alone, got:\n%.600s", malformed[i].name,
				malformed[i].status, text);
		close(fd);
		turn(rig);
	}
	assert_int_equal(rig->handled, 0);
}

static void target__what_is_not_normal_is_refused(void **state)
{
	static const char *const bad[] = {"/a/../b", "/..", "/./a", "//a", "/a//b",
		"/a%2e%2e/%2e%2e/b", "/%2e%2e", "/a%00", "/a%2fb", "/a%5cb", "/a%", "/a%4", "/a%zz",
		"/a%0a", "/%ff", "/hello?q=%00", "/hello?q=%ff", "/hello?%zz", "/hello#x", "hello",
		"*"};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char request[256];
		int len = snprintf(request, sizeof(request),
			"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", bad[i]);
		const char *text = ask(rig, request, (size_t)len);

		if (strncmp(text, "HTTP/1.1 400 ", 13) != 0)
			fail_msg("%s: wanted 400, got:\n%.300s", bad[i], text);
	}
	assert_int_equal(rig->handled, 0);
}

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

static void wait_gone(struct rig *rig, const int *what, int want, uint64_t limit_ms)
{
	uint64_t end = uv_hrtime() + limit_ms * 1000000;

	while (*what != want && uv_hrtime() < end)
		uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(*what, want);
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
			framing__what_is_malformed_gets_its_status_and_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
			framing__does_not_depend_on_how_bytes_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(
			target__what_is_not_normal_is_refused, setup, teardown),
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
			deadline__a_header_that_drips_is_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deadline__a_body_that_drips_is_ended_and_a_steady_one_is_not, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			deadline__who_does_not_read_a_stream_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deadline__who_does_not_read_its_answers_is_cut, setup, teardown),
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

	signal(SIGPIPE, SIG_IGN);
	tg_log_init("io_http_test", TG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
