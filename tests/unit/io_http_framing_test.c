/* base/io/http: what is malformed, however its bytes arrive. */
#include "tests/unit/io_http_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			framing__what_is_malformed_gets_its_status_and_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
			framing__does_not_depend_on_how_bytes_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(
			target__what_is_not_normal_is_refused, setup, teardown),
	};

	http_tests_begin("io_http_framing_test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
