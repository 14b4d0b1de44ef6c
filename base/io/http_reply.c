/* Answers. */
#include "base/io/http_impl.h"

#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"

#define REPLY_MAX ((size_t)64 << 20)

static const struct {
	int status;
	const char *title;
} titles[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{206, "Partial Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{422, "Unprocessable Content"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

static const char *title(int status)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Unknown";
}

int http_head(struct tg_buf *out, struct tg_http *http, int status)
{
	return tg_buf_addf(
		out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, title(status), http_date(http));
}

static bool field_ok(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

void tg_reply_header(struct tg_request *req, const char *name, const char *value)
{
	/* A value may carry what somebody sent: it must not become a header of its own. */
	if (!field_ok(name) || !field_ok(value) ||
		tg_buf_addf(&req->reply, "%s: %s\r\n", name, value))
		tg_log(TG_ERROR, "http header dropped", TG_F("name", TG_S(name)));
}

/* RFC 9112 §6.3: these never have a body, nor a length. */
static bool bodiless(int status)
{
	return status < 200 || status == 204 || status == 304;
}

static int compose(struct tg_buf *out, const struct tg_request *req, int status, const char *type,
	struct tg_slice body, bool keep_alive)
{
	struct tg_http *http = req->conn->http;
	int rc = tg_buf_reserve(out, body.len + req->reply.len + 512);

	if (!rc)
		rc = http_head(out, http, status);
	if (!rc && type)
		rc = tg_buf_addf(out, "Content-Type: %s\r\n", type);
	if (!rc && !bodiless(status))
		rc = tg_buf_addf(out, "Content-Length: %zu\r\n", body.len);
	if (!rc)
		rc = tg_buf_add(out, req->reply.data, req->reply.len);
	if (!rc && !keep_alive)
		rc = tg_buf_add_cstr(out, "Connection: close\r\n");
	else if (!rc && req->minor_0)
		rc = tg_buf_add_cstr(out, "Connection: keep-alive\r\n");
	if (!rc)
		rc = tg_buf_add_cstr(out, "\r\n");
	if (!rc && !bodiless(status) && !req->is_head)
		rc = tg_buf_add_slice(out, body);
	return rc;
}

void tg_reply(struct tg_request *req, int status, const char *content_type, struct tg_slice body)
{
	struct http_conn *conn = req->conn;
	bool keep_alive = req->keep_alive && !conn->http->closing;
	struct tg_buf out = {.max = REPLY_MAX};

	assert(conn->phase == PHASE_HANDLING);
	if (uv_is_closing((uv_handle_t *)&conn->tcp)) {
		http_request_free(req);
		http_conn_settle(conn);
		return;
	}
	if (compose(&out, req, status, content_type, body, keep_alive)) {
		tg_log(TG_ERROR, "http answer too large", TG_F("bytes", TG_I(body.len)));
		tg_buf_release(&out);
		http_request_free(req);
		http_conn_close(conn);
		return;
	}
	http_request_free(req);
	http_write(conn, &out, NULL, 0);
	http_after_answer(conn, keep_alive);
}

static int problem(
	struct tg_buf *out, int status, const char *type, const char *detail, const char *extra)
{
	struct tg_jw w;
	int rc;

	tg_jw_begin(&w, out);
	tg_jw_object(&w, NULL);
	tg_jw_str(&w, "type", type ? type : "about:blank");
	tg_jw_str(&w, "title", title(status));
	tg_jw_int(&w, "status", status);
	if (detail)
		tg_jw_str(&w, "detail", detail);
	tg_jw_object_end(&w);
	rc = tg_jw_end(&w);
	if (rc || !extra)
		return rc;
	out->len--; /* the closing brace comes after the further members */
	return tg_buf_addf(out, ",%s}", extra);
}

void tg_reply_problem(
	struct tg_request *req, int status, const char *type, const char *detail, const char *extra)
{
	struct tg_buf out = {0};

	if (problem(&out, status, type, detail, extra))
		tg_log(TG_ERROR, "http problem document cut", TG_F("status", TG_I(status)));
	tg_reply(req, status, "application/problem+json", (struct tg_slice){out.data, out.len});
	tg_buf_release(&out);
}

/* What this server says of itself is nobody's page either: no sniffing, no scripts, no frames. */
static const char bare_headers[] =
	"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
	"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";

void http_problem(struct tg_request *req, int status, const char *detail)
{
	if (tg_buf_add_cstr(&req->reply, bare_headers))
		tg_log(TG_ERROR, "http headers dropped", TG_F("status", TG_I(status)));
	tg_reply_problem(req, status, NULL, detail, NULL);
}

static const char *refusal(int status)
{
	switch (status) {
	case 400: return "The request breaks HTTP.";
	case 408: return "The request did not come whole in time.";
	case 413: return "The body is larger than this server takes.";
	case 414: return "The path is longer than this server takes.";
	case 431: return "The header is larger than this server takes.";
	case 503: return "Too many connections, or too much under way.";
	default: return NULL;
	}
}

/* 408 and the refusals of a connection are counted where they are decided. */
static void count_refusal(int status)
{
	switch (status) {
	case 400: http_count(HTTP_WHY_framing); break;
	case 413: http_count(HTTP_WHY_body_large); break;
	case 414:
	case 431: http_count(HTTP_WHY_header_large); break;
	case 408: break;
	case 503: break;
	default: http_count(HTTP_WHY_other);
	}
}

/* Before a request is whole: says why, then ends the connection, since its framing is not to be
 * trusted any more. */
void http_refuse(struct http_conn *conn, int status)
{
	struct tg_buf body = {0}, out = {0};
	int rc;

	conn->refuse = 0;
	count_refusal(status);
	if (conn->req)
		http_request_free(conn->req);
	rc = problem(&body, status, NULL, refusal(status), NULL);
	if (!rc)
		rc = http_head(&out, conn->http, status);
	if (!rc)
		rc = tg_buf_add_cstr(&out, bare_headers);
	if (!rc && status == 503)
		rc = tg_buf_add_cstr(&out, "Retry-After: 5\r\n");
	if (!rc && status == 405)
		rc = tg_buf_add_cstr(
			&out, "Allow: GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE\r\n");
	if (!rc)
		rc = tg_buf_addf(&out,
			"Content-Type: application/problem+json\r\nContent-Length: "
			"%zu\r\nConnection: close\r\n\r\n",
			body.len);
	if (!rc)
		rc = tg_buf_add(&out, body.data, body.len);
	tg_buf_release(&body);
	if (rc) {
		tg_buf_release(&out);
		http_conn_close(conn);
		return;
	}
	http_write(conn, &out, NULL, 0);
	http_finish(conn, HTTP_LINGER_MS);
}
