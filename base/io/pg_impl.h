/* What the pg_*.c files share. Not for anybody else.
 *
 * Order: a request waits in `queue`, moves to `sent` when libpq has taken it, and is answered from
 * the head of `sent`. Nothing is sent or answered from inside a public call: those only queue and
 * start the idle handle `kick`, and pg_step() does the work on the loop's next turn. So a callback
 * may call anything without re-entering us. */
#ifndef TG_BASE_IO_PG_IMPL_H
#define TG_BASE_IO_PG_IMPL_H

#include "base/io/pg.h"
#include "base/list.h"
#include "base/map.h"

#define PG_QUEUE_MAX          65536
#define PG_IN_FLIGHT_MAX      64 /* pipelined statements awaiting their answer */
#define PG_STATEMENTS_MAX     1024
#define PG_CONNECT_TIMEOUT_MS 5000
#define PG_BACKOFF_MIN_MS     50
#define PG_BACKOFF_MAX_MS     2000

enum pg_kind { PG_QUERY, PG_EXEC, PG_COPY };

struct pg_request {
	struct tg_list link;
	enum pg_kind kind;
	const char *sql;
	const struct tg_buf *data; /* PG_COPY */
	size_t data_pos;
	tg_pg_cb cb;
	void *ctx;
	bool preparing; /* the answer to PREPARE comes first */
	bool ahead;     /* asked for with the next one */
	bool joined;    /* sent without a sync of its own */
	int ends;       /* joined: ends of answers still to come */
	PGresult *res;  /* what the callback will get */
	int n;
	const char *params[]; /* the texts lie behind the array */
};

enum pg_state { PG_WAITING, PG_CONNECTING, PG_UP };

/* One per socket, since the socket may change while libpq connects. */
struct pg_watch {
	uv_poll_t poll;
	struct tg_pg *pg;
	int want; /* events asked of uv; asking again costs system calls */
};

struct tg_pg {
	uv_loop_t *loop;
	struct tg_pg_ops ops;
	void *ctx;
	char *url, *app;
	PGconn *conn;
	struct pg_watch *watch;
	uv_timer_t timer; /* connect deadline or pause before the next try */
	uv_idle_t kick;
	int handles; /* uv handles not yet closed */
	enum pg_state state;
	uint64_t backoff_ms;
	bool said_down; /* "unavailable" was logged and not yet taken back */
	bool want_reset, want_close;
	bool leased, lease_broken; /* pool: broken while taken, refuses all until given back */
	struct tg_list queue, sent;
	size_t pending, sent_count;
	struct pg_request *copying;
	struct tg_map *prepared; /* address of the text → number */
	uintptr_t prepared_last;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* pg.c */
void pg_kick(struct tg_pg *pg);
void pg_answer(struct tg_pg *pg, struct pg_request *req, int rc);
void pg_answer_all_closed(struct tg_pg *pg);
void pg_handle_closed(struct tg_pg *pg);

/* pg_conn.c */
void pg_connect(struct tg_pg *pg);
void pg_on_timer(uv_timer_t *timer);
TG_MUST int pg_watch(struct tg_pg *pg, int events, uv_poll_cb cb);
void pg_drop(struct tg_pg *pg); /* forgets the connection; answers nobody */
/* The connection is lost: everybody pending is answered, then on_down, then a pause and another
 * try. */
void pg_break(struct tg_pg *pg, const char *why);

/* pg_run.c */
void pg_step(struct tg_pg *pg);
void pg_on_io(uv_poll_t *poll, int status, int events);

/* pg_copy.c: 0 all is sent, 1 the server must read first, -1 failed. */
int pg_feed(struct tg_pg *pg);

/* For the pool. */
bool pg_clean(const struct tg_pg *pg); /* up, nothing pending, no transaction open */

#endif
