/* HTTP requests: parser, limits, target. The same bytes must mean the same however the network cuts
 * them: they are read whole and in pieces, and both readings compared. */
#include "base/io/http_parse.c"
#include "base/io/http_request.c"
#include "base/io/http_target.c"
#include "tests/fuzz/fuzz.h"

/* The parser's two ways out to the connection, which is not here. */
static int said_go_on;

void http_phase(struct http_conn *conn, enum http_phase phase, uint64_t limit_ms)
{
	(void)limit_ms;
	conn->phase = phase;
}

void http_watch_body(struct http_conn *conn)
{
	(void)conn;
}

void http_count(enum http_why why)
{
	FUZZ_HOLDS(why < HTTP_WHYS);
}

void http_write(struct http_conn *conn, struct tg_buf *data, struct http_frame *frame, size_t skip)
{
	(void)conn;
	FUZZ_HOLDS(data && !frame && skip == 0);
	said_go_on++;
	tg_buf_release(data);
}

static const struct tg_http_conf conf = {.connections_max = 1,
	.header_max = HTTP_HEADER_MAX,
	.headers_max = HTTP_HEADERS_MAX,
	.body_max = 4096};

static void note(struct tg_buf *out, struct tg_slice text)
{
	FUZZ_HOLDS(tg_buf_addf(out, "%zu:", text.len) == 0);
	FUZZ_HOLDS(tg_buf_add(out, text.data, text.len) == 0);
}

/* What a handler could ask of a request. */
static void note_request(struct tg_buf *out, struct tg_request *req)
{
	struct tg_slice name, value;

	if (http_target(req)) {
		FUZZ_HOLDS(tg_buf_add_cstr(out, "bad target\n") == 0);
		return;
	}
	FUZZ_HOLDS(req->path.len && req->path.data[0] == '/');
	FUZZ_HOLDS(!memchr(req->path.data, '\0', req->path.len));
	FUZZ_HOLDS(req->body.len <= conf.body_max && req->head.len <= conf.header_max);
	FUZZ_HOLDS(tg_buf_addf(out, "%d %d ", req->method, req->keep_alive) == 0);
	note(out, tg_req_path(req));
	for (int i = 0; tg_req_query_at(req, i, &name, &value); i++) {
		note(out, name);
		note(out, value);
	}
	if (tg_req_header(req, "host", &value))
		note(out, value);
	if (tg_req_header(req, "authorization", &value))
		note(out, value);
	if (tg_req_cookie(req, "tongguan", &value))
		note(out, value);
	note(out, tg_req_body(req));
	FUZZ_HOLDS(tg_buf_add_cstr(out, "\n") == 0);
}

/* Feeds at most `piece` bytes at a time and notes every request; ends at the first refusal. */
static void read_pieces(const uint8_t *data, size_t len, size_t piece, struct tg_buf *out)
{
	struct tg_http http = {.conf = conf};
	struct http_conn conn = {.http = &http};
	size_t at = 0;

	said_go_on = 0;
	http_phase(&conn, PHASE_IDLE, 0);
	http_parser_init(&conn);
	while (at < len && !conn.refuse) {
		size_t n = len - at < piece ? len - at : piece;
		size_t took = http_parse(&conn, (const char *)data + at, n);

		FUZZ_HOLDS(took <= n);
		at += took;
		if (conn.refuse)
			FUZZ_HOLDS(tg_buf_addf(out, "refused %d\n", conn.refuse) == 0);
		if (conn.phase != PHASE_COMPLETE)
			continue;
		note_request(out, conn.req);
		http_request_free(conn.req);
		FUZZ_HOLDS(!conn.req);
		conn.head_raw = 0;
		http_phase(&conn, PHASE_IDLE, 0);
	}
	FUZZ_HOLDS(tg_buf_addf(out, "%d\n", said_go_on) == 0);
	if (conn.req)
		http_request_free(conn.req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_buf whole = {0}, pieces = {0};

	read_pieces(data, len, len, &whole);
	read_pieces(data, len, 1 + len / 7, &pieces);
	FUZZ_HOLDS(whole.len == pieces.len);
	FUZZ_HOLDS(!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0);
	tg_buf_reset(&pieces);
	read_pieces(data, len, 1, &pieces);
	FUZZ_HOLDS(whole.len == pieces.len);
	FUZZ_HOLDS(!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0);
	tg_buf_release(&whole);
	tg_buf_release(&pieces);
	return 0;
}
