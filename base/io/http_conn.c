/* One connection: bytes in, phases, bytes out, the end. */
#include "base/io/http_impl.h"

#include <assert.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define KEEPALIVE_S     60
#define USER_TIMEOUT_MS 60000

struct http_write {
	uv_write_t req;
	struct http_conn *conn;
	struct tg_buf data;
	struct http_frame *frame;
};

void http_phase(struct http_conn *conn, enum http_phase phase, uint64_t limit_ms)
{
	conn->phase = phase;
	conn->deadline_ms = limit_ms ? uv_now(conn->http->loop) + limit_ms : 0;
}

void http_conn_settle(struct http_conn *conn)
{
	if (!conn->tcp_closed || conn->req || conn->running)
		return;
	http_conn_gone(conn->http, conn);
	tg_buf_release(&conn->in);
	free(conn);
}

static void on_closed(uv_handle_t *handle)
{
	struct http_conn *conn = tg_container_of((uv_tcp_t *)handle, struct http_conn, tcp);

	conn->tcp_closed = true;
	if (conn->stream)
		http_stream_gone(conn);
	http_conn_settle(conn);
}

void http_conn_close(struct http_conn *conn)
{
	if (uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	conn->peer_done = true;
	conn->deadline_ms = conn->write_until_ms = 0;
	/* A half-read request has nobody who would answer it. */
	if (conn->req && conn->phase != PHASE_HANDLING)
		http_request_free(conn->req);
	uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	struct http_conn *conn = req->data;

	free(req);
	if (status || conn->peer_done)
		http_conn_close(conn);
	else
		http_phase(conn, PHASE_LINGER, HTTP_LINGER_MS);
}

static void read_on(struct http_conn *conn, bool on);

void http_finish(struct http_conn *conn, uint64_t limit_ms)
{
	uv_shutdown_t *req;

	if (uv_is_closing((uv_handle_t *)&conn->tcp) || conn->phase == PHASE_LINGER)
		return;
	http_phase(conn, PHASE_LINGER, limit_ms);
	tg_buf_release(&conn->in);
	conn->in_pos = 0;
	req = malloc(sizeof(*req));
	if (!req) {
		http_conn_close(conn);
		return;
	}
	req->data = conn;
	if (uv_shutdown(req, (uv_stream_t *)&conn->tcp, on_shutdown)) {
		free(req);
		http_conn_close(conn);
		return;
	}
	read_on(conn, true);
}

static void on_written(uv_write_t *req, int status)
{
	struct http_write *w = tg_container_of(req, struct http_write, req);
	struct http_conn *conn = w->conn;

	tg_buf_release(&w->data);
	http_frame_release(w->frame);
	free(w);
	conn->writes--;
	if (status) {
		http_conn_close(conn);
		return;
	}
	if (!conn->writes)
		conn->write_until_ms = 0; /* all of it is read, or in the peer's own buffers */
	if (conn->phase == PHASE_IDLE)
		http_run(conn); /* it may have waited for this */
}

void http_write(struct http_conn *conn, struct tg_buf *data, struct http_frame *frame, size_t skip)
{
	struct http_write *w = calloc(1, sizeof(*w));
	uv_buf_t out;

	if (!w || uv_is_closing((uv_handle_t *)&conn->tcp)) {
		if (data)
			tg_buf_release(data);
		http_frame_release(frame);
		free(w);
		http_conn_close(conn);
		return;
	}
	w->conn = conn;
	w->frame = frame;
	if (data) {
		w->data = *data;
		*data = (struct tg_buf){0};
	}
	out.base = (frame ? frame->data : w->data.data) + skip;
	out.len = (frame ? frame->len : w->data.len) - skip;
	conn->writes++;
	conn->queued += out.len;
	if (uv_write(&w->req, (uv_stream_t *)&conn->tcp, &out, 1, on_written)) {
		on_written(&w->req, UV_EPIPE);
		return;
	}
	if (!conn->write_until_ms)
		http_watch_reader(conn);
}

void http_after_answer(struct http_conn *conn, bool keep_alive)
{
	bool more = conn->in_pos < conn->in.len;

	if (uv_is_closing((uv_handle_t *)&conn->tcp)) {
		http_conn_settle(conn);
		return;
	}
	if (!keep_alive || conn->http->closing || (conn->peer_done && !more)) {
		http_finish(conn, HTTP_LINGER_MS);
		return;
	}
	conn->head_raw = 0;
	conn->fresh = false;
	http_phase(conn, PHASE_IDLE, (uint64_t)conn->http->conf.idle_ms);
	http_run(conn);
}

static size_t ahead(const struct http_conn *conn)
{
	return conn->in.len - conn->in_pos;
}

/* Parses and hands out requests until it must wait for bytes, for an answer, or for a slow reader.
 */
void http_run(struct http_conn *conn)
{
	if (conn->running)
		return; /* an answer from inside a handler: the loop below goes on */
	conn->running = true;
	while (conn->phase <= PHASE_BODY && ahead(conn) > 0 &&
		!uv_is_closing((uv_handle_t *)&conn->tcp) &&
		uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp) < HTTP_UNSENT_MAX) {
		conn->in_pos += http_parse(conn, conn->in.data + conn->in_pos, ahead(conn));
		if (conn->refuse) {
			http_refuse(conn, conn->refuse);
		} else if (conn->phase == PHASE_COMPLETE) {
			struct tg_request *req = conn->req;

			http_phase(conn, PHASE_HANDLING, 0);
			http_dispatch(conn->http, req);
		}
	}
	conn->running = false;
	if (conn->tcp_closed) {
		http_conn_settle(conn);
		return;
	}
	if (ahead(conn) == 0) {
		tg_buf_release(&conn->in); /* an idle connection holds no buffer */
		conn->in_pos = 0;
		if (conn->peer_done && conn->phase <= PHASE_BODY)
			http_finish(conn, HTTP_LINGER_MS);
	}
	read_on(conn, ahead(conn) < HTTP_AHEAD_MAX);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct http_conn *conn = tg_container_of((uv_tcp_t *)handle, struct http_conn, tcp);

	(void)suggested;
	*ret = uv_buf_init(NULL, 0);
	if (conn->in_pos > 0) {
		memmove(conn->in.data, conn->in.data + conn->in_pos, ahead(conn));
		conn->in.len = ahead(conn);
		conn->in_pos = 0;
	}
	if (tg_buf_reserve(&conn->in, HTTP_READ_BYTES) == 0)
		*ret = uv_buf_init(conn->in.data + conn->in.len, HTTP_READ_BYTES);
}

static void on_end_of_input(struct http_conn *conn, bool orderly)
{
	conn->peer_done = true;
	conn->reading = false;
	uv_read_stop((uv_stream_t *)&conn->tcp);
	/* Who only ends its half may still want the answer. */
	if (orderly && conn->phase == PHASE_HANDLING)
		return;
	if (orderly && conn->phase == PHASE_IDLE && (ahead(conn) > 0 || conn->writes > 0)) {
		http_run(conn);
		return;
	}
	http_conn_close(conn);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct http_conn *conn = tg_container_of((uv_tcp_t *)stream, struct http_conn, tcp);

	(void)buf;
	if (n == 0)
		return;
	if (n < 0) {
		on_end_of_input(conn, n == UV_EOF);
		return;
	}
	if (conn->phase == PHASE_STREAM || conn->phase == PHASE_LINGER) {
		tg_buf_release(&conn->in); /* nothing it says matters any more */
		return;
	}
	conn->in.len += (size_t)n;
	http_run(conn);
}

static void read_on(struct http_conn *conn, bool on)
{
	if (conn->reading == on || conn->peer_done || uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	conn->reading = on;
	if (!on)
		uv_read_stop((uv_stream_t *)&conn->tcp);
	else if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read))
		http_conn_close(conn);
}

static bool name_peer(struct http_conn *conn)
{
	struct sockaddr_storage sa;
	int len = sizeof(sa);

	if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&sa, &len))
		return false;
	return !(sa.ss_family == AF_INET6
			 ? uv_ip6_name((struct sockaddr_in6 *)&sa, conn->peer, sizeof(conn->peer))
			 : uv_ip4_name((struct sockaddr_in *)&sa, conn->peer, sizeof(conn->peer)));
}

/* Counts it; false when a limit is reached, then counted too. */
static bool admit(struct tg_http *http, struct http_conn *conn)
{
	struct tg_slice key = tg_slice_cstr(conn->peer);
	uintptr_t count = (uintptr_t)tg_map_get(http->per_address, key) + 1;

	tg_list_push(&http->conns, &conn->link);
	http->conns_count++;
	if (tg_map_put(http->per_address, key, (void *)count))
		return false;
	if (http->conns_count > http->conf.connections_max)
		http_count(HTTP_WHY_connections);
	else if (http->conf.per_address_max && count > (uintptr_t)http->conf.per_address_max)
		http_count(HTTP_WHY_per_peer);
	else
		return true;
	return false;
}

void http_accept(struct tg_http *http)
{
	struct http_conn *conn = calloc(1, sizeof(*conn));
	int fd, timeout_ms = USER_TIMEOUT_MS;

	if (!conn)
		return; /* stays in the backlog */
	conn->http = http;
	tg_list_init(&conn->link);
	conn->in.max = HTTP_AHEAD_MAX + 2 * HTTP_READ_BYTES;
	uv_tcp_init(http->loop, &conn->tcp);
	http_phase(conn, PHASE_IDLE, (uint64_t)http->conf.header_ms);
	conn->fresh = true;
	http_parser_init(conn);
	bool taken = uv_accept((uv_stream_t *)&http->listener, (uv_stream_t *)&conn->tcp) == 0 &&
		     name_peer(conn);
	bool admitted = admit(http, conn);

	if (!taken) {
		http_conn_close(conn);
		return;
	}
	uv_tcp_nodelay(&conn->tcp, 1);
	uv_tcp_keepalive(&conn->tcp, 1, KEEPALIVE_S);
	if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	if (admitted)
		read_on(conn, true);
	else
		http_refuse(conn, 503);
}
