/* HTTP/1.1 server on the loop over llhttp, with limits by name; Server-Sent Events; static files
 * are the caller's.
 *
 * Framing errors get 400 and the connection is closed. Ours on top of llhttp: Host required, header
 * bytes and count limits (431), body limit (413) and a limit of all bodies under way (503), a
 * deadline for the whole header, a least rate for bodies and for whoever reads an answer or a
 * stream, idle time, connections in all and per address, path normalisation ("..", "//", %00
 * refused), one answer per request. HEAD and OPTIONS are handled here. What is refused and cut is
 * counted: tongguan_http_refused_total, by reason. */
#ifndef TG_BASE_IO_HTTP_H
#define TG_BASE_IO_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"

struct tg_http;
struct tg_request; /* one request until it is answered; freed by the answer */
struct tg_stream;  /* one open SSE listener */

enum tg_method { TG_GET, TG_POST, TG_PUT, TG_PATCH, TG_DELETE };

struct tg_http_conf {
	int connections_max; /* 0 = 1024 */
	int per_address_max; /* 0 = no limit */
	size_t header_max;   /* bytes; 0 = 16384 */
	int headers_max;     /* count; 0 = 100 */
	size_t body_max;     /* 0 = 1 MiB */
	size_t bodies_max;   /* of all requests under way; 0 = 64 MiB */
	/* One path may take larger bodies; NULL: none. */
	const char *large_path;
	size_t large_max;
	int header_ms; /* for a whole header; 0 = 10 s */
	int idle_ms;   /* between requests; 0 = 75 s */
	/* Within each so many ms (0 = 6 s; so a stall is cut within twice that) a body that is not
	 * whole yet, and an answer or a stream that is not read yet, must have come on by rate_min
	 * bytes a second (0 = 16 KiB). */
	int slow_ms;
	int rate_min;
};

typedef void (*tg_http_handler)(void *ctx, struct tg_request *req);

/* A route table row. pattern: "/api/v1/cases/{id}/log"; a segment in braces matches one non-empty
 * segment; a pattern ending in "/{*}" matches the rest of the path. A path that exists with another
 * method gets 405 with Allow. */
struct tg_route {
	enum tg_method method;
	const char *pattern;
	tg_http_handler handler;
};

/* -TG_EEXIST: the port is taken; -TG_EINVAL: not HOST:PORT. */
TG_MUST int tg_http_open(
	uv_loop_t *loop, const char *listen, const struct tg_http_conf *conf, struct tg_http **ret);
/* Routes are looked up in the order they were added; the table must stay valid. */
TG_MUST int tg_http_route(struct tg_http *http, const struct tg_route *table, size_t n, void *ctx);
/* Called when no route matches (404 by default). */
void tg_http_fallback(struct tg_http *http, tg_http_handler handler, void *ctx);
/* Other limits for connections from now on (as in tg_http_open: 0 = the default). */
void tg_http_limit(struct tg_http *http, const struct tg_http_conf *conf);
int tg_http_connections(const struct tg_http *http); /* open now */
/* "127.0.0.1:8080" actually bound. */
const char *tg_http_address(const struct tg_http *http);
void tg_http_close(struct tg_http *http, void (*closed)(void *ctx), void *ctx);

/* Reading a request. Slices live until it is answered. */
enum tg_method tg_req_method(const struct tg_request *req);
struct tg_slice tg_req_path(const struct tg_request *req);         /* decoded, normalised */
struct tg_slice tg_req_param(const struct tg_request *req, int i); /* i-th {segment}, decoded */
bool tg_req_query(
	const struct tg_request *req, const char *name, struct tg_slice *ret); /* decoded */
/* i-th query pair for checking unknown names; false past the end. */
bool tg_req_query_at(
	const struct tg_request *req, int i, struct tg_slice *name, struct tg_slice *value);
bool tg_req_header(const struct tg_request *req, const char *name,
	struct tg_slice *ret); /* name in lower case */
bool tg_req_cookie(const struct tg_request *req, const char *name, struct tg_slice *ret);
struct tg_slice tg_req_body(const struct tg_request *req);
const char *tg_req_peer(const struct tg_request *req); /* address text */
bool tg_req_gone(const struct tg_request *req);  /* the peer closed; answering is still required */
void *tg_req_user(const struct tg_request *req); /* per-request pointer of the caller's */
void tg_req_set_user(struct tg_request *req, void *user, void (*release)(void *user));

/* Answering: headers first, then exactly one of reply/stream. */
void tg_reply_header(struct tg_request *req, const char *name, const char *value);
/* Copies body. Ends the request: req is gone. */
void tg_reply(struct tg_request *req, int status, const char *content_type, struct tg_slice body);
/* RFC 9457 problem document: type "about:blank" unless given, title from status. extra: further
 * members as JSON text without braces ("\"version\":3"), or NULL. */
void tg_reply_problem(struct tg_request *req, int status, const char *type, const char *detail,
	const char *extra);

/* Server-Sent Events: ends the request with 200 text/event-stream and keeps the connection.
 * queue_max: bytes that may wait for a slow reader; past it the listener gets `event: resync` and
 * is closed. on_gone comes exactly once, from the loop, also after tg_stream_close(); then s is
 * gone. On an error (-TG_ECLOSED, -TG_EINVAL for HEAD, -TG_ENOMEM) req is still to be answered. */
TG_MUST int tg_stream_open(struct tg_request *req, size_t queue_max,
	void (*on_gone)(void *ctx, struct tg_stream *s), void *ctx, struct tg_stream **ret);
/* frame: complete SSE bytes ending with a blank line. Copies (a shared frame is counted, not
 * copied, when given twice in a row). */
void tg_stream_send(struct tg_stream *s, struct tg_slice frame);
void tg_stream_close(struct tg_stream *s);
/* Bytes that wait here because the reader has not taken them. */
size_t tg_stream_waiting(const struct tg_stream *s);

#endif
