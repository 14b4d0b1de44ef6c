/* The server: listening, deadlines, counting connections, closing. */
#include "base/io/http_impl.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#define BACKLOG 511

const char *http_date(struct tg_http *http)
{
	int64_t now_s = tg_now_us() / TG_US_PER_S;

	if (now_s != http->date_s) {
		time_t t = (time_t)now_s;
		struct tm tm;

		strftime(http->date, sizeof(http->date), "%a, %d %b %Y %H:%M:%S GMT",
			gmtime_r(&t, &tm));
		http->date_s = now_s;
	}
	return http->date;
}

/* "host:port" or "[v6]:port". */
static int resolve(const char *listen, struct sockaddr_storage *ret)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	const char *colon = strrchr(listen, ':');
	struct addrinfo *list;
	char host[256];
	size_t len;

	if (!colon || !colon[1])
		return -TG_EINVAL;
	len = (size_t)(colon - listen);
	if (len >= 2 && listen[0] == '[' && colon[-1] == ']') {
		listen++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return -TG_EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)len, listen);
	if (getaddrinfo(len ? host : NULL, colon + 1, &hints, &list))
		return -TG_EINVAL;
	memcpy(ret, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return 0;
}

static int address_text(uv_tcp_t *tcp, char *out, size_t size)
{
	struct sockaddr_storage sa;
	char host[HTTP_ADDRESS_MAX / 2 + 16];
	int len = sizeof(sa);
	bool v6;

	if (uv_tcp_getsockname(tcp, (struct sockaddr *)&sa, &len))
		return -TG_ESYS;
	v6 = sa.ss_family == AF_INET6;
	if (v6 ? uv_ip6_name((struct sockaddr_in6 *)&sa, host, sizeof(host))
	       : uv_ip4_name((struct sockaddr_in *)&sa, host, sizeof(host)))
		return -TG_ESYS;
	snprintf(out, size, v6 ? "[%s]:%d" : "%s:%d", host,
		ntohs(v6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
			 : ((struct sockaddr_in *)&sa)->sin_port));
	return 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct tg_http *http = tg_container_of((uv_tcp_t *)listener, struct tg_http, listener);

	if (status == 0 && !http->closing)
		http_accept(http);
}

/* --- counting --- */

static const char *const whys[] = {"framing", "header_large", "body_large", "bodies_full",
	"header_slow", "body_slow", "reader_slow", "connections", "per_peer", "other", NULL};
_Static_assert(sizeof(whys) / sizeof(whys[0]) == HTTP_WHYS + 1, "one name a reason");

enum { M_REFUSED, M_CONNECTIONS, M_BODIES, M_COUNT };

static struct tg_metric metrics[M_COUNT] = {
	[M_REFUSED] = {.name = "tongguan_http_refused_total",
		.help = "requests refused and connections cut before a route saw them, by reason",
		.kind = TG_COUNTER,
		.label = "reason",
		.values = whys},
	[M_CONNECTIONS] = {.name = "tongguan_http_connections",
		.help = "open connections",
		.kind = TG_GAUGE},
	[M_BODIES] = {.name = "tongguan_http_body_bytes",
		.help = "bytes of request bodies held now",
		.kind = TG_GAUGE},
};

void http_count(enum http_why why)
{
	tg_metric_add_at(&metrics[M_REFUSED], (int)why, 1);
}

/* --- deadlines --- */

static uint64_t in_window(const struct tg_http *http)
{
	return (uint64_t)http->conf.rate_min * (uint64_t)http->conf.slow_ms / 1000;
}

void http_watch_body(struct http_conn *conn)
{
	conn->body_mark = conn->req ? conn->req->body.len : 0;
	conn->deadline_ms = uv_now(conn->http->loop) + (uint64_t)conn->http->conf.slow_ms;
}

static uint64_t left_queue(const struct http_conn *conn)
{
	return conn->queued - uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
}

void http_watch_reader(struct http_conn *conn)
{
	conn->write_mark = left_queue(conn);
	conn->write_until_ms = uv_now(conn->http->loop) + (uint64_t)conn->http->conf.slow_ms;
}

static void cut(struct http_conn *conn, enum http_why why, int status)
{
	http_count(why);
	if (status)
		http_refuse(conn, status);
	else
		http_conn_close(conn);
}

static void sweep_conn(struct http_conn *conn, uint64_t now_ms)
{
	bool late = conn->deadline_ms && now_ms >= conn->deadline_ms;

	if (conn->write_until_ms && now_ms >= conn->write_until_ms) {
		if (left_queue(conn) - conn->write_mark < in_window(conn->http))
			cut(conn, HTTP_WHY_reader_slow, 0);
		else
			http_watch_reader(conn);
	} else if (late && conn->phase == PHASE_BODY) {
		if (conn->req->body.len - conn->body_mark < in_window(conn->http))
			cut(conn, HTTP_WHY_body_slow, 408);
		else
			http_watch_body(conn);
	} else if (late && conn->phase == PHASE_HEAD) {
		cut(conn, HTTP_WHY_header_slow, 408);
	} else if (late) {
		http_conn_close(conn);
	}
}

static void on_sweep(uv_timer_t *timer)
{
	struct tg_http *http = tg_container_of(timer, struct tg_http, sweep);
	uint64_t now_ms = uv_now(http->loop);

	tg_list_foreach_safe (it, next, &http->conns)
		sweep_conn(tg_container_of(it, struct http_conn, link), now_ms);
	tg_metric_set(&metrics[M_CONNECTIONS], http->conns_count);
	tg_metric_set(&metrics[M_BODIES], (double)http->bodies);
}

static void http_free(struct tg_http *http)
{
	http_frame_release(http->last_frame);
	tg_map_free(http->per_address);
	free(http);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct tg_http *http = handle->data;

	if (--http->handles > 0)
		return;
	if (http->closed)
		http->closed(http->closed_ctx);
	http_free(http);
}

static void close_handles(struct tg_http *http)
{
	http->listener.data = http->sweep.data = http;
	if (!uv_is_closing((uv_handle_t *)&http->listener))
		uv_close((uv_handle_t *)&http->listener, on_handle_closed);
	if (!uv_is_closing((uv_handle_t *)&http->sweep))
		uv_close((uv_handle_t *)&http->sweep, on_handle_closed);
}

static void apply_defaults(struct tg_http_conf *conf)
{
	if (conf->connections_max <= 0)
		conf->connections_max = HTTP_CONNECTIONS_MAX;
	if (conf->header_max == 0)
		conf->header_max = HTTP_HEADER_MAX;
	if (conf->headers_max <= 0)
		conf->headers_max = HTTP_HEADERS_MAX;
	if (conf->body_max == 0)
		conf->body_max = HTTP_BODY_MAX;
	if (conf->bodies_max == 0)
		conf->bodies_max = HTTP_BODIES_MAX;
	if (conf->header_ms <= 0)
		conf->header_ms = HTTP_HEAD_MS;
	if (conf->idle_ms <= 0)
		conf->idle_ms = HTTP_IDLE_MS;
	if (conf->slow_ms <= 0)
		conf->slow_ms = HTTP_SLOW_MS;
	if (conf->rate_min <= 0)
		conf->rate_min = HTTP_RATE_MIN;
}

void tg_http_limit(struct tg_http *http, const struct tg_http_conf *conf)
{
	http->conf = *conf;
	apply_defaults(&http->conf);
}

static int listen_on(struct tg_http *http, const char *listen)
{
	struct sockaddr_storage sa;
	int rc = resolve(listen, &sa);

	if (rc)
		return rc;
	rc = uv_tcp_bind(&http->listener, (struct sockaddr *)&sa, 0);
	/* libuv reports a taken port only here. */
	if (!rc)
		rc = uv_listen((uv_stream_t *)&http->listener, BACKLOG, on_connection);
	if (rc == UV_EADDRINUSE)
		return -TG_EEXIST;
	if (rc || address_text(&http->listener, http->address, sizeof(http->address)))
		return -TG_ESYS;
	return 0;
}

int tg_http_open(
	uv_loop_t *loop, const char *listen, const struct tg_http_conf *conf, struct tg_http **ret)
{
	struct tg_http *http = calloc(1, sizeof(*http));
	int rc;

	if (!http)
		return -TG_ENOMEM;
	rc = tg_map_new(0, &http->per_address);
	if (rc) {
		free(http);
		return rc;
	}
	rc = tg_metric_register(metrics, M_COUNT);
	if (rc) {
		tg_map_free(http->per_address);
		free(http);
		return rc;
	}
	tg_http_limit(http, conf ? conf : &(struct tg_http_conf){0});
	http->loop = loop;
	tg_list_init(&http->conns);
	uv_timer_init(loop, &http->sweep);
	uv_tcp_init(loop, &http->listener);
	http->handles = 2;
	rc = listen_on(http, listen);
	if (rc) {
		close_handles(http);
		return rc;
	}
	uv_timer_start(&http->sweep, on_sweep, HTTP_SWEEP_MS, HTTP_SWEEP_MS);
	*ret = http;
	return 0;
}

int tg_http_route(struct tg_http *http, const struct tg_route *table, size_t n, void *ctx)
{
	if (http->tables_count == HTTP_TABLES_MAX)
		return -TG_EFULL;
	http->tables[http->tables_count++] = (struct http_table){table, n, ctx};
	return 0;
}

void tg_http_fallback(struct tg_http *http, tg_http_handler handler, void *ctx)
{
	http->fallback = handler;
	http->fallback_ctx = ctx;
}

int tg_http_connections(const struct tg_http *http)
{
	return http->conns_count;
}

const char *tg_http_address(const struct tg_http *http)
{
	return http->address;
}

void http_conn_gone(struct tg_http *http, struct http_conn *conn)
{
	struct tg_slice key = tg_slice_cstr(conn->peer);
	uintptr_t count = (uintptr_t)tg_map_get(http->per_address, key);

	tg_list_remove(&conn->link);
	http->conns_count--;
	if (count > 1 && tg_map_put(http->per_address, key, (void *)(count - 1)))
		tg_log(TG_ERROR, "http address count lost");
	else if (count == 1)
		tg_map_remove(http->per_address, key);
	if (http->closing && http->conns_count == 0)
		close_handles(http);
}

static void close_conn(struct http_conn *conn)
{
	switch (conn->phase) {
	case PHASE_COMPLETE:
	case PHASE_HANDLING: break; /* its answer is still to come and ends it */
	case PHASE_STREAM: http_finish(conn, HTTP_LINGER_MS); break;
	case PHASE_LINGER: break;
	default:
		if (conn->writes > 0)
			http_finish(conn, HTTP_LINGER_MS);
		else
			http_conn_close(conn);
	}
}

void tg_http_close(struct tg_http *http, void (*closed)(void *ctx), void *ctx)
{
	assert(!http->closing);
	http->closing = true;
	http->closed = closed;
	http->closed_ctx = ctx;
	http->listener.data = http;
	uv_close((uv_handle_t *)&http->listener, on_handle_closed);
	tg_list_foreach_safe (it, next, &http->conns)
		close_conn(tg_container_of(it, struct http_conn, link));
	if (http->conns_count == 0)
		close_handles(http);
}
