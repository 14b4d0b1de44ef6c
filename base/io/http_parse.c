/* llhttp's callbacks: they gather one request and refuse what goes past a limit. */
#include "base/io/http_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int refuse(struct http_conn *conn, int status)
{
	conn->refuse = status;
	return HPE_USER;
}

static int on_begin(llhttp_t *parser)
{
	struct http_conn *conn = parser->data;
	struct tg_request *req = calloc(1, sizeof(*req));

	if (!req)
		return refuse(conn, 503);
	req->headers_max = conn->http->conf.headers_max;
	req->headers = calloc((size_t)req->headers_max, sizeof(req->headers[0]));
	if (!req->headers) {
		free(req);
		return refuse(conn, 503);
	}
	req->conn = conn;
	req->head.max = conn->http->conf.header_max;
	req->body.max = conn->http->conf.body_max;
	conn->req = req;
	conn->ext_len = 0;
	conn->in_value = conn->in_trailer = false;
	if (conn->fresh)
		conn->phase = PHASE_HEAD;
	else
		http_phase(conn, PHASE_HEAD, (uint64_t)conn->http->conf.header_ms);
	return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
	struct http_conn *conn = parser->data;

	if (tg_buf_add(&conn->req->head, at, len))
		return refuse(conn, 414);
	conn->req->target_len += len;
	return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
	struct http_conn *conn = parser->data;
	struct tg_request *req = conn->req;
	struct http_header *h;

	if (conn->in_trailer) {
		conn->ext_len += len;
		return conn->ext_len > HTTP_CHUNK_EXT_MAX ? refuse(conn, 431) : 0;
	}
	if (req->headers_count == 0 || conn->in_value) {
		if (req->headers_count == req->headers_max)
			return refuse(conn, 431);
		h = &req->headers[req->headers_count++];
		h->name_at = (uint32_t)req->head.len;
		conn->in_value = false;
	}
	h = &req->headers[req->headers_count - 1];
	if (tg_buf_add(&req->head, at, len))
		return refuse(conn, 431);
	for (size_t i = req->head.len - len; i < req->head.len; i++)
		if (req->head.data[i] >= 'A' && req->head.data[i] <= 'Z')
			req->head.data[i] = (char)(req->head.data[i] | 0x20);
	h->name_len += (uint32_t)len;
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
	struct http_conn *conn = parser->data;
	struct tg_request *req = conn->req;
	struct http_header *h;

	if (conn->in_trailer) {
		conn->ext_len += len;
		return conn->ext_len > HTTP_CHUNK_EXT_MAX ? refuse(conn, 431) : 0;
	}
	h = &req->headers[req->headers_count - 1];
	if (!conn->in_value) {
		conn->in_value = true;
		h->value_at = (uint32_t)req->head.len;
	}
	if (tg_buf_add(&req->head, at, len))
		return refuse(conn, 431);
	h->value_len += (uint32_t)len;
	return 0;
}

static int on_extension(llhttp_t *parser, const char *at, size_t len)
{
	struct http_conn *conn = parser->data;

	(void)at;
	conn->ext_len += len;
	return conn->ext_len > HTTP_CHUNK_EXT_MAX ? refuse(conn, 400) : 0;
}

static int header_count(const struct tg_request *req, const char *name)
{
	int n = 0;

	for (int i = 0; i < req->headers_count; i++)
		n += tg_slice_is((struct tg_slice){req->head.data + req->headers[i].name_at,
					 req->headers[i].name_len},
			name);
	return n;
}

static bool host_ok(struct tg_slice host)
{
	for (size_t i = 0; i < host.len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%:[]"
			    "!$&'()*+,;=",
			    host.data[i]) ||
			!host.data[i])
			return false;
	return true;
}

static bool is_word(struct tg_slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.data, word, s.len) == 0;
}

static bool take_method(struct tg_request *req, uint8_t method)
{
	switch (method) {
	case HTTP_GET: req->method = TG_GET; return true;
	case HTTP_HEAD:
		req->is_head = true;
		req->method = TG_GET;
		return true;
	case HTTP_POST: req->method = TG_POST; return true;
	case HTTP_PUT: req->method = TG_PUT; return true;
	case HTTP_PATCH: req->method = TG_PATCH; return true;
	case HTTP_DELETE: req->method = TG_DELETE; return true;
	case HTTP_OPTIONS: req->is_options = true; return true;
	default: req->unsupported = true; return method != HTTP_CONNECT;
	}
}

/* What llhttp lets pass and we do not. 0 or the status to refuse with. */
static int check_head(const struct tg_request *req, const llhttp_t *parser)
{
	struct tg_slice v;
	int hosts = header_count(req, "host");

	if (parser->http_major != 1 || parser->http_minor > 1)
		return 505;
	if (hosts > 1 || (hosts == 0 && parser->http_minor == 1))
		return 400;
	if (tg_req_header(req, "host", &v) && !host_ok(v))
		return 400;
	if (header_count(req, "content-length") > 1)
		return 400;
	if (tg_req_header(req, "transfer-encoding", &v)) {
		if (!is_word(v, "chunked") || parser->http_minor == 0 ||
			header_count(req, "transfer-encoding") > 1 ||
			header_count(req, "content-length") > 0)
			return 400;
	}
	if (tg_req_header(req, "content-length", &v) && parser->content_length > req->body.max)
		return 413;
	if (tg_req_header(req, "expect", &v) && !is_word(v, "100-continue"))
		return 417;
	return 0;
}

static bool is_large(const struct tg_http_conf *conf, const struct tg_request *req)
{
	return conf->large_path &&
	       tg_slice_is((struct tg_slice){req->head.data, req->target_len}, conf->large_path);
}

static int on_head(llhttp_t *parser)
{
	struct http_conn *conn = parser->data;
	struct tg_request *req = conn->req;
	struct tg_slice v;
	int status;

	if (!take_method(req, parser->method))
		return refuse(conn, 405);
	if (is_large(&conn->http->conf, req))
		req->body.max = conn->http->conf.large_max;
	status = check_head(req, parser);
	if (status)
		return refuse(conn, status);
	req->minor_0 = parser->http_minor == 0;
	parser->upgrade = 0; /* offers to speak something else are declined by going on in HTTP */
	conn->in_trailer = true;
	http_phase(conn, PHASE_BODY, 0);
	http_watch_body(conn);
	if (!req->minor_0 && tg_req_header(req, "expect", &v) &&
		(parser->content_length > 0 || parser->flags & F_CHUNKED)) {
		struct tg_buf go_on = {0};

		if (tg_buf_add_cstr(&go_on, "HTTP/1.1 100 Continue\r\n\r\n") == 0)
			http_write(conn, &go_on, NULL, 0);
	}
	return conn->req ? 0 : -1; /* writing may have found the connection dead */
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
	struct http_conn *conn = parser->data;
	struct tg_http *http = conn->http;

	if (tg_buf_add(&conn->req->body, at, len))
		return refuse(conn, 413);
	http->bodies += len;
	if (!http->conf.bodies_max || http->bodies <= http->conf.bodies_max)
		return 0;
	http_count(HTTP_WHY_bodies_full);
	return refuse(conn, 503);
}

static int on_complete(llhttp_t *parser)
{
	struct http_conn *conn = parser->data;

	conn->req->keep_alive = llhttp_should_keep_alive(parser);
	http_phase(conn, PHASE_COMPLETE, 0);
	return HPE_PAUSED;
}

void http_parser_init(struct http_conn *conn)
{
	static llhttp_settings_t settings;

	if (!settings.on_message_begin) {
		llhttp_settings_init(&settings);
		settings.on_message_begin = on_begin;
		settings.on_url = on_url;
		settings.on_header_field = on_field;
		settings.on_header_value = on_value;
		settings.on_chunk_extension_name = on_extension;
		settings.on_chunk_extension_value = on_extension;
		settings.on_headers_complete = on_head;
		settings.on_body = on_body;
		settings.on_message_complete = on_complete;
	}
	llhttp_init(&conn->parser, HTTP_REQUEST, &settings);
	conn->parser.data = conn;
}

size_t http_parse(struct http_conn *conn, const char *data, size_t len)
{
	llhttp_errno_t err = llhttp_execute(&conn->parser, data, len);

	if (err == HPE_OK) {
		if (conn->phase <= PHASE_HEAD)
			conn->head_raw += len;
		if (conn->head_raw > conn->http->conf.header_max + HTTP_HEAD_SLACK)
			conn->refuse = 431;
		return len;
	}
	if (err == HPE_PAUSED) {
		const char *stop = llhttp_get_error_pos(&conn->parser);

		llhttp_resume(&conn->parser);
		return (size_t)(stop - data);
	}
	if (!conn->refuse)
		conn->refuse = 400;
	return len;
}
