/* PostgreSQL on the loop, by non-blocking libpq. The only wrapper of libpq.
 *
 * A tg_pg is one connection that reconnects by itself (backoff 50 ms … 2 s, connect timeout 5 s,
 * TCP_USER_TIMEOUT and keepalives 10 s). Requests queue and run in order; each gets its callback
 * exactly once. When the connection breaks, every request that was sent or queued is answered with
 * -TG_ECLOSED: the owner cannot know whether the last one took effect and must read (never replay
 * blindly). Text parameters and text results; binary only for COPY. */
#ifndef TG_BASE_IO_PG_H
#define TG_BASE_IO_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"

#define TG_PG_PARAMS_MAX 24

struct tg_pg;

struct tg_pg_ops {
	void (*on_up)(void *ctx, struct tg_pg *pg); /* connected: session is fresh */
	void (*on_down)(
		void *ctx, struct tg_pg *pg); /* lost; every pending callback has been answered */
};

/* rc 0: res is the result (PGRES_TUPLES_OK or COMMAND_OK), valid during the call. -TG_EUNIQUE:
 * SQLSTATE 23505. -TG_EPG: the server refused; res holds the error (tg_pg_sqlstate). -TG_ECLOSED:
 * connection lost, res NULL. */
typedef void (*tg_pg_cb)(void *ctx, int rc, const PGresult *res);

/* url: libpq connection string. app: application_name. ops may be NULL. Connects at once, in the
 * background. */
TG_MUST int tg_pg_open(uv_loop_t *loop, const char *url, const char *app,
	const struct tg_pg_ops *ops, void *ctx, struct tg_pg **ret);
bool tg_pg_up(const struct tg_pg *pg);
size_t tg_pg_pending(const struct tg_pg *pg);

/* One statement with text parameters (NULL = SQL NULL). The text is prepared on first use per
 * connection and kept under its address: sql must be a string with static life. Parameters are
 * copied. */
TG_MUST int tg_pg_query(struct tg_pg *pg, const char *sql, const char *const *params, int n,
	tg_pg_cb cb, void *ctx);
/* The same in one round trip with the statement queued right after it. When it fails that one fails
 * unrun: for BEGIN before a statement, and a statement before COMMIT. Alone it is a query. */
TG_MUST int tg_pg_query_ahead(struct tg_pg *pg, const char *sql, const char *const *params, int n,
	tg_pg_cb cb, void *ctx);
/* Without parameters or preparation; may hold several statements; cb gets the last result. */
TG_MUST int tg_pg_exec(struct tg_pg *pg, const char *sql, tg_pg_cb cb, void *ctx);
/* COPY … FROM STDIN: sends data under back-pressure, then ends the copy. data stays yours and
 * unchanged until cb. */
TG_MUST int tg_pg_copy(
	struct tg_pg *pg, const char *sql, const struct tg_buf *data, tg_pg_cb cb, void *ctx);
/* "" when there is none. */
const char *tg_pg_sqlstate(const PGresult *res);
const char *tg_pg_message(const PGresult *res);
/* Drop the connection now and reconnect (after a statement took too long, say). Pending get
 * -TG_ECLOSED. */
void tg_pg_reset(struct tg_pg *pg);
void tg_pg_close(struct tg_pg *pg, void (*closed)(void *ctx),
	void *ctx); /* pending answered with -TG_ECLOSED first */

/* Result helpers; r, c in range. NULL reads as 0, "", false. */
bool tg_pg_null(const PGresult *res, int row, int col);
int64_t tg_pg_i64(const PGresult *res, int row, int col);
double tg_pg_f64(const PGresult *res, int row, int col);
bool tg_pg_bool(const PGresult *res, int row, int col);
struct tg_slice tg_pg_text(const PGresult *res, int row, int col);

/* A pool of connections for transactions: take one, run BEGIN … COMMIT on it, give it back. */
struct tg_pg_pool;
typedef void (*tg_pg_taken_cb)(
	void *ctx, int rc, struct tg_pg *pg); /* rc -TG_ETIMEOUT after wait_ms, -TG_ECLOSED */
TG_MUST int tg_pg_pool_open(uv_loop_t *loop, const char *url, const char *app, int connections,
	struct tg_pg_pool **ret);
/* At most TG_PG_WAITERS_MAX waiters, else -TG_EFULL (cb not called). */
#define TG_PG_WAITERS_MAX 4096
TG_MUST int tg_pg_pool_take(struct tg_pg_pool *pool, int wait_ms, tg_pg_taken_cb cb, void *ctx);
void tg_pg_pool_give(
	struct tg_pg_pool *pool, struct tg_pg *pg); /* an open transaction is rolled back first */
bool tg_pg_pool_up(const struct tg_pg_pool *pool);  /* at least one connection is up */
void tg_pg_pool_close(struct tg_pg_pool *pool, void (*closed)(void *ctx), void *ctx);

/* Blocking helpers for commands (migrate, city load, user …): never on a role's loop. */
/* url with another user and password ("": none, as libpq finds it) instead of its own; appended to
 * ret in libpq's keyword form. -TG_EPARSE when url is no connection string. */
TG_MUST int tg_pg_url_as(
	const char *url, const char *user, const char *password, struct tg_buf *ret);
PGconn *tg_pg_connect_blocking(const char *url, const char *app, struct tg_buf *why);

#endif
