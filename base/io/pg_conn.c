/* Connecting, losing the connection, connecting again. */
#include "base/io/pg_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* libpq's messages end in a newline and may have several lines: the first says it. */
static struct tg_slice first_line(const char *text)
{
	return (struct tg_slice){text, strcspn(text, "\n")};
}

static void on_notice(void *ctx, const char *message)
{
	const struct tg_pg *pg = ctx;

	tg_log(TG_DEBUG, "postgres notice", TG_F("app", TG_S(pg->app)),
		TG_F("message", TG_SL(first_line(message))));
}

static void watch_on_close(uv_handle_t *handle)
{
	struct pg_watch *watch = tg_container_of((uv_poll_t *)handle, struct pg_watch, poll);

	pg_handle_closed(watch->pg);
	free(watch);
}

static void unwatch(struct tg_pg *pg)
{
	if (!pg->watch)
		return;
	uv_close((uv_handle_t *)&pg->watch->poll, watch_on_close);
	pg->watch = NULL;
}

int pg_watch(struct tg_pg *pg, int events, uv_poll_cb cb)
{
	if (!pg->watch) {
		struct pg_watch *watch = calloc(1, sizeof(*watch));

		if (!watch)
			return -TG_ENOMEM;
		if (uv_poll_init(pg->loop, &watch->poll, PQsocket(pg->conn))) {
			free(watch);
			return -TG_ESYS;
		}
		watch->pg = pg;
		pg->watch = watch;
		pg->handles++;
	}
	if (pg->watch->want == events)
		return 0;
	pg->watch->want = events;
	return uv_poll_start(&pg->watch->poll, events, cb) ? -TG_ESYS : 0;
}

/* The descriptor is unwatched before libpq closes it. */
void pg_drop(struct tg_pg *pg)
{
	unwatch(pg);
	uv_timer_stop(&pg->timer);
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->state = PG_WAITING;
	pg->want_reset = false;
	tg_map_clear(pg->prepared);
}

void pg_break(struct tg_pg *pg, const char *why)
{
	bool was_up = pg->state == PG_UP;

	if (!pg->said_down)
		tg_log(TG_WARN, "postgres connection lost", TG_F("app", TG_S(pg->app)),
			TG_F("why", TG_SL(first_line(why))));
	pg->said_down = true;
	pg_drop(pg); /* why may point into the connection: not used from here on */
	uv_timer_start(&pg->timer, pg_on_timer, pg->backoff_ms, 0);
	pg->backoff_ms *= 2;
	if (pg->backoff_ms > PG_BACKOFF_MAX_MS)
		pg->backoff_ms = PG_BACKOFF_MAX_MS;
	if (pg->leased)
		pg->lease_broken = true;
	pg_answer_all_closed(pg);
	if (was_up && pg->ops.on_down)
		pg->ops.on_down(pg->ctx, pg);
}

static void connected(struct tg_pg *pg)
{
	uv_timer_stop(&pg->timer);
	if (PQsetnonblocking(pg->conn, 1)) {
		pg_break(pg, "the connection cannot be made non-blocking");
		return;
	}
	PQsetNoticeProcessor(pg->conn, on_notice, pg);
	pg->state = PG_UP;
	pg->backoff_ms = PG_BACKOFF_MIN_MS;
	if (pg->said_down)
		tg_log(TG_INFO, "postgres connection is back", TG_F("app", TG_S(pg->app)));
	pg->said_down = false;
	if (pg->ops.on_up)
		pg->ops.on_up(pg->ctx, pg);
	pg_step(pg);
}

static void on_connecting(uv_poll_t *poll, int status, int events)
{
	struct tg_pg *pg = tg_container_of(poll, struct pg_watch, poll)->pg;
	int want = 0;

	(void)status; /* an error shows in the socket: libpq will find it */
	(void)events;
	unwatch(pg); /* the socket may be another one after this call */
	switch (PQconnectPoll(pg->conn)) {
	case PGRES_POLLING_READING: want = UV_READABLE; break;
	case PGRES_POLLING_WRITING: want = UV_WRITABLE; break;
	case PGRES_POLLING_OK: connected(pg); return;
	default: pg_break(pg, PQerrorMessage(pg->conn)); return;
	}
	if (pg_watch(pg, want, on_connecting))
		pg_break(pg, "the socket cannot be watched");
}

void pg_connect(struct tg_pg *pg)
{
	/* Ours first, so that the address may say otherwise. The name is resolved here, blocking.
	 */
	static const char *const keys[] = {"application_name", "client_encoding", "gssencmode",
		"tcp_user_timeout", "keepalives", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "options", "dbname", NULL};
	/* A process that was stopped in the middle of a transaction keeps its connection alive, and
	 * with it the locks that whoever takes over waits for: the server ends it. */
	const char *const values[] = {pg->app, "UTF8", "disable", "10000", "1", "10", "3", "3",
		"-c idle_in_transaction_session_timeout=5000", pg->url, NULL};

	pg->conn = PQconnectStartParams(keys, values, /* expand_dbname= */ 1);
	if (!pg->conn || PQstatus(pg->conn) == CONNECTION_BAD) {
		pg_break(pg, pg->conn ? PQerrorMessage(pg->conn) : "out of memory");
		return;
	}
	pg->state = PG_CONNECTING;
	uv_timer_start(&pg->timer, pg_on_timer, PG_CONNECT_TIMEOUT_MS, 0);
	if (pg_watch(pg, UV_WRITABLE, on_connecting))
		pg_break(pg, "the socket cannot be watched");
}

void pg_on_timer(uv_timer_t *timer)
{
	struct tg_pg *pg = tg_container_of(timer, struct tg_pg, timer);

	if (pg->want_close)
		return;
	if (pg->state == PG_CONNECTING)
		pg_break(pg, "no answer while connecting");
	else
		pg_connect(pg);
}
