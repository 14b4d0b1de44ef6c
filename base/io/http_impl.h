/* What the http_*.c files share. Not for anybody else.
 *
 * A connection handles one request at a time: what a peer pipelines waits unparsed until the answer
 * stands, so answers cannot overtake each other. A connection lives until its socket is closed and
 * its request is answered. */
#ifndef TG_BASE_IO_HTTP_IMPL_H
#define TG_BASE_IO_HTTP_IMPL_H

#include "base/io/http.h"
#include "base/list.h"
#include "base/map.h"
#include "llhttp.h"

#define HTTP_CONNECTIONS_MAX 1024
#define HTTP_HEADER_MAX      16384
#define HTTP_HEADERS_MAX     100
#define HTTP_BODY_MAX        (1 << 20)
#define HTTP_BODIES_MAX      ((size_t)64 << 20)
#define HTTP_READ_BYTES      16384
#define HTTP_AHEAD_MAX       65536 /* pipelined bytes kept while a request waits for its answer */
#define HTTP_UNSENT_MAX                                                           \
	262144 /* answers waiting for a slow reader: no further request till then \
		*/
#define HTTP_HEAD_SLACK    65536 /* bytes of a header beyond names and values */
#define HTTP_CHUNK_EXT_MAX 1024  /* bytes of chunk extensions in a request */
#define HTTP_PARAMS_MAX    8
#define HTTP_QUERY_MAX     64
#define HTTP_TABLES_MAX    16
#define HTTP_ADDRESS_MAX   64

#define HTTP_SWEEP_MS 250
#define HTTP_HEAD_MS  10000
#define HTTP_IDLE_MS  75000
#define HTTP_SLOW_MS  6000
#define HTTP_RATE_MIN 16384
#define HTTP_LINGER_MS \
	2000 /* after our last byte: the peer reads it before a reset could destroy it */
#define HTTP_RESYNC_MS 10000

struct http_table {
	const struct tg_route *routes;
	size_t n;
	void *ctx;
};

struct tg_http {
	uv_loop_t *loop;
	uv_tcp_t listener;
	uv_timer_t sweep; /* all deadlines of all connections */
	struct tg_http_conf conf;
	struct http_table tables[HTTP_TABLES_MAX];
	int tables_count;
	tg_http_handler fallback;
	void *fallback_ctx;
	char address[HTTP_ADDRESS_MAX];
	struct tg_list conns;
	int conns_count;
	size_t bodies;              /* bytes of requests' bodies held now */
	struct tg_map *per_address; /* address → count */
	struct http_frame *last_frame;
	int64_t date_s;
	char date[40];
	bool closing;
	int handles;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

enum http_phase {
	PHASE_IDLE,     /* between requests */
	PHASE_HEAD,     /* first byte seen */
	PHASE_BODY,     /* header complete */
	PHASE_COMPLETE, /* whole request here, not yet handed out */
	PHASE_HANDLING, /* the handler owes the answer */
	PHASE_STREAM,
	PHASE_LINGER, /* all said; reading on only to see the peer close */
};

struct http_conn {
	uv_tcp_t tcp;
	struct tg_http *http;
	struct tg_list link;
	llhttp_t parser;
	enum http_phase phase;
	struct tg_buf in;
	size_t in_pos;
	struct tg_request *req;
	struct tg_stream *stream;
	int refuse;      /* status to refuse with, set by parser callbacks */
	size_t ext_len;  /* chunk extensions and trailers so far */
	size_t head_raw; /* bytes as they came, so that what the parser skips is counted too */
	bool in_value, in_trailer;
	bool running; /* http_run() is on the stack */
	bool fresh;   /* nothing asked yet: its first header's deadline began when it came */
	bool reading;
	bool peer_done; /* it sends no more */
	bool tcp_closed;
	uint64_t deadline_ms;    /* of the phase; 0 none */
	size_t body_mark;        /* bytes of the body when its deadline was set */
	uint64_t write_until_ms; /* 0: nothing waits */
	uint64_t queued;         /* bytes ever given to the socket's queue */
	uint64_t write_mark;     /* of those, what had left it when write_until_ms was set */
	int writes;
	char peer[HTTP_ADDRESS_MAX];
};

struct http_header {
	uint32_t name_at, name_len, value_at, value_len; /* into head */
};

struct http_pair {
	struct tg_slice name, value;
};

struct tg_request {
	struct http_conn *conn;
	enum tg_method method;
	bool is_head, is_options, unsupported;
	bool keep_alive, minor_0;
	struct tg_buf head; /* target, then names in lower case and values */
	size_t target_len;
	struct http_header *headers;
	int headers_count, headers_max;
	struct tg_buf body;
	struct tg_buf text; /* decoded path and query; slices below point into it */
	struct tg_slice path;
	struct tg_slice params[HTTP_PARAMS_MAX];
	int params_count;
	struct http_pair query[HTTP_QUERY_MAX];
	int query_count;
	struct tg_buf reply; /* header lines the handler added */
	void *user;
	void (*release)(void *user);
};

/* Bytes shared by all listeners that wait for them. */
struct http_frame {
	size_t refs, len;
	char data[];
};

struct tg_stream {
	struct http_conn *conn;
	size_t queue_max;
	bool ended;
	void (*on_gone)(void *ctx, struct tg_stream *s);
	void *ctx;
};

/* http_conn.c */
void http_accept(struct tg_http *http);
void http_conn_close(struct http_conn *conn); /* at once; what is unsent is lost */
void http_run(struct http_conn *conn);
void http_phase(struct http_conn *conn, enum http_phase phase, uint64_t limit_ms);
void http_conn_settle(struct http_conn *conn); /* frees it when nothing holds it any more */
void http_after_answer(struct http_conn *conn, bool keep_alive);
void http_finish(
	struct http_conn *conn, uint64_t limit_ms); /* flush, say we are done, wait for the peer */
/* Takes data or frame (the other is NULL): written whole or the connection is closed. */
void http_write(struct http_conn *conn, struct tg_buf *data, struct http_frame *frame, size_t skip);

/* Why a request was refused or a connection cut: the label values of tongguan_http_refused_total.
 */
enum http_why {
	HTTP_WHY_framing,
	HTTP_WHY_header_large,
	HTTP_WHY_body_large,
	HTTP_WHY_bodies_full,
	HTTP_WHY_header_slow,
	HTTP_WHY_body_slow,
	HTTP_WHY_reader_slow,
	HTTP_WHY_connections,
	HTTP_WHY_per_peer,
	HTTP_WHY_other,
	HTTP_WHYS
};

/* http.c */
void http_count(enum http_why why);
/* The window of a body, or of what waits to be read: from now on. */
void http_watch_body(struct http_conn *conn);
void http_watch_reader(struct http_conn *conn);
void http_conn_gone(struct tg_http *http, struct http_conn *conn);
const char *http_date(struct tg_http *http);

/* http_parse.c */
void http_parser_init(struct http_conn *conn);
/* Parses; returns how many bytes it took. A refusal sets conn->refuse. */
size_t http_parse(struct http_conn *conn, const char *data, size_t len);

/* http_target.c: -TG_EHTTP when it is not one we accept. */
TG_MUST int http_target(struct tg_request *req);

/* http_route.c: answers or calls a handler. */
void http_dispatch(struct tg_http *http, struct tg_request *req);

/* http_reply.c */
void http_refuse(struct http_conn *conn, int status);
/* Answers for the server itself, not for a route: with the headers a browser wants to see. */
void http_problem(struct tg_request *req, int status, const char *detail);
TG_MUST int http_head(struct tg_buf *out, struct tg_http *http, int status);
void http_request_free(struct tg_request *req);

/* http_sse.c */
void http_stream_gone(struct http_conn *conn);
void http_frame_release(struct http_frame *frame);

#endif
