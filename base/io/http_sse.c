/* Server-Sent Events. A frame that goes to many listeners is copied once and counted. */
#include "base/io/http_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char resync[] = "event: resync\ndata: {}\n\n";

void http_frame_release(struct http_frame *frame)
{
	if (frame && --frame->refs == 0)
		free(frame);
}

/* The same bytes twice in a row share one copy. */
static struct http_frame *frame_for(struct tg_http *http, struct tg_slice data)
{
	struct http_frame *frame = http->last_frame;

	if (frame && frame->len == data.len && memcmp(frame->data, data.data, data.len) == 0) {
		frame->refs++;
		return frame;
	}
	frame = malloc(sizeof(*frame) + data.len);
	if (!frame)
		return NULL;
	frame->refs = 2; /* the caller's and last_frame's */
	frame->len = data.len;
	memcpy(frame->data, data.data, data.len);
	http_frame_release(http->last_frame);
	http->last_frame = frame;
	return frame;
}

static int compose(struct tg_buf *out, const struct tg_request *req)
{
	int rc = http_head(out, req->conn->http, 200);

	if (!rc)
		rc = tg_buf_add_cstr(out,
			"Content-Type: text/event-stream\r\nCache-Control: no-store\r\n"
			"X-Accel-Buffering: no\r\n");
	if (!rc)
		rc = tg_buf_add(out, req->reply.data, req->reply.len);
	return rc ? rc : tg_buf_add_cstr(out, "Connection: close\r\n\r\n");
}

int tg_stream_open(struct tg_request *req, size_t queue_max,
	void (*on_gone)(void *ctx, struct tg_stream *s), void *ctx, struct tg_stream **ret)
{
	struct http_conn *conn = req->conn;
	struct tg_buf out = {0};
	struct tg_stream *s;
	int rc;

	assert(conn->phase == PHASE_HANDLING);
	if (uv_is_closing((uv_handle_t *)&conn->tcp) || conn->http->closing)
		return -TG_ECLOSED;
	if (req->is_head)
		return -TG_EINVAL; /* there is nothing to stream: the caller answers with headers
				      alone */
	s = calloc(1, sizeof(*s));
	rc = s ? compose(&out, req) : -TG_ENOMEM;
	if (rc) {
		free(s);
		tg_buf_release(&out);
		return rc;
	}
	*s = (struct tg_stream){
		.conn = conn, .queue_max = queue_max, .on_gone = on_gone, .ctx = ctx};
	conn->stream = s;
	http_request_free(req);
	http_phase(conn, PHASE_STREAM, 0);
	tg_buf_release(&conn->in);
	conn->in_pos = 0;
	http_write(conn, &out, NULL, 0);
	if (conn->peer_done) /* it ended its half while the handler thought: nobody will hear us */
		http_conn_close(conn);
	http_run(conn); /* reads on, to see the peer go */
	*ret = s;
	return 0;
}

void http_stream_gone(struct http_conn *conn)
{
	struct tg_stream *s = conn->stream;

	conn->stream = NULL;
	if (s->on_gone)
		s->on_gone(s->ctx, s);
	free(s);
}

static void send_frame(struct tg_stream *s, struct tg_slice data)
{
	struct http_conn *conn = s->conn;
	struct http_frame *frame;
	int sent = 0;

	if (conn->writes == 0) {
		uv_buf_t whole = uv_buf_init((char *)(uintptr_t)data.data, (unsigned)data.len);

		sent = uv_try_write((uv_stream_t *)&conn->tcp, &whole, 1);
		if (sent == (int)data.len)
			return; /* the common case: no copy at all */
		if (sent < 0 && sent != UV_EAGAIN) {
			http_conn_close(conn);
			return;
		}
		if (sent < 0)
			sent = 0;
	}
	frame = frame_for(conn->http, data);
	if (frame)
		http_write(conn, NULL, frame, (size_t)sent);
	else
		http_conn_close(conn);
}

void tg_stream_send(struct tg_stream *s, struct tg_slice frame)
{
	struct http_conn *conn = s->conn;

	if (s->ended || conn->phase != PHASE_STREAM || uv_is_closing((uv_handle_t *)&conn->tcp) ||
		!frame.len)
		return;
	if (uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp) + frame.len > s->queue_max) {
		s->ended = true;
		send_frame(s, (struct tg_slice){resync, sizeof(resync) - 1});
		http_finish(conn, HTTP_RESYNC_MS);
		return;
	}
	send_frame(s, frame);
}

void tg_stream_close(struct tg_stream *s)
{
	s->ended = true;
	http_finish(s->conn, HTTP_LINGER_MS);
}

size_t tg_stream_waiting(const struct tg_stream *s)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&s->conn->tcp);
}
