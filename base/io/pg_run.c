/* Sending what is queued and reading what comes back.
 *
 * Statements with parameters go out in pipeline mode, each closed by a sync of its own: one that
 * fails does not touch its neighbours, exactly as if they had been sent one after the other. One
 * that was asked for ahead of the next shares that one's sync. EXEC and COPY need the simple
 * protocol, so they wait until the pipe is empty and leave the mode. */
#include "base/io/pg_impl.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define STATEMENT_NAME_MAX 24

static struct pg_request *head(struct tg_list *list)
{
	return tg_list_empty(list) ? NULL : tg_container_of(list->next, struct pg_request, link);
}

static struct tg_slice statement_key(const struct pg_request *req)
{
	return (struct tg_slice){(const char *)&req->sql, sizeof(req->sql)};
}

static bool send_query(struct tg_pg *pg, struct pg_request *req)
{
	uintptr_t number = (uintptr_t)tg_map_get(pg->prepared, statement_key(req));
	char name[STATEMENT_NAME_MAX];

	if (!number) {
		number = ++pg->prepared_last;
		/* A full map only means preparing again next time. */
		if (tg_map_put(pg->prepared, statement_key(req), (void *)number))
			number = 0;
		req->preparing = true;
	}
	if (number)
		snprintf(name, sizeof(name), "s%ju", (uintmax_t)number);
	else
		name[0] = '\0';
	req->ends = req->preparing ? 2 : 1;
	if (req->preparing && !PQsendPrepare(pg->conn, name, req->sql, 0, NULL))
		return false;
	return PQsendQueryPrepared(pg->conn, name, req->n, req->params, NULL, NULL, 0) &&
	       (req->joined || PQpipelineSync(pg->conn));
}

static bool send_one(struct tg_pg *pg, struct pg_request *req)
{
	bool piped = PQpipelineStatus(pg->conn) != PQ_PIPELINE_OFF;

	if (req->kind == PG_QUERY)
		return (piped || PQenterPipelineMode(pg->conn)) && send_query(pg, req);
	return (!piped || PQexitPipelineMode(pg->conn)) && PQsendQuery(pg->conn, req->sql);
}

static bool may_send(const struct tg_pg *pg, const struct pg_request *req)
{
	if (pg->sent_count == 0)
		return true;
	return req->kind == PG_QUERY && PQpipelineStatus(pg->conn) != PQ_PIPELINE_OFF &&
	       pg->sent_count < PG_IN_FLIGHT_MAX;
}

/* What follows goes out in the same turn. */
static bool may_join(const struct tg_pg *pg, const struct pg_request *req, struct pg_request *next)
{
	return req->ahead && next && next->kind == PG_QUERY && pg->sent_count < PG_IN_FLIGHT_MAX;
}

static bool send_more(struct tg_pg *pg)
{
	struct pg_request *req;

	while ((req = head(&pg->queue)) && may_send(pg, req)) {
		/* In `sent` even when sending fails: it is unknown what the server saw of it. */
		tg_list_remove(&req->link);
		tg_list_push(&pg->sent, &req->link);
		pg->sent_count++;
		req->joined = may_join(pg, req, head(&pg->queue));
		if (!send_one(pg, req))
			return false;
	}
	return true;
}

static bool is_error(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE ||
	       status == PGRES_NONFATAL_ERROR || status == PGRES_PIPELINE_ABORTED;
}

/* Whoever is answered by the server's last words hears that the connection is lost. */
static bool ends_session(const PGresult *res)
{
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	return severity && (!strcmp(severity, "FATAL") || !strcmp(severity, "PANIC"));
}

static int result_code(const PGresult *res)
{
	if (!res)
		return -TG_EPG;
	if (!is_error(res))
		return 0;
	return strcmp(tg_pg_sqlstate(res), "23505") == 0 ? -TG_EUNIQUE : -TG_EPG;
}

static void finish_head(struct tg_pg *pg)
{
	struct pg_request *req = head(&pg->sent);
	const char *state = tg_pg_sqlstate(req->res);

	/* 26000: somebody dropped the statement; 0A000: its result type changed under it. */
	if (req->kind == PG_QUERY && (!strcmp(state, "26000") || !strcmp(state, "0A000")))
		tg_map_remove(pg->prepared, statement_key(req));
	tg_list_remove(&req->link);
	pg->sent_count--;
	pg_answer(pg, req, result_code(req->res));
}

/* The first error wins, else the last result. */
static void keep_result(struct pg_request *req, PGresult *res)
{
	if (req->res && is_error(req->res)) {
		PQclear(res);
		return;
	}
	PQclear(req->res);
	req->res = res;
}

static bool take_plain(struct tg_pg *pg, PGresult *res)
{
	struct pg_request *req = head(&pg->sent);

	if (!res) {
		finish_head(pg);
		return true;
	}
	switch (PQresultStatus(res)) {
	case PGRES_COPY_IN:
		PQclear(res);
		if (req->kind == PG_COPY && !req->data_pos) {
			pg->copying = req;
			return true;
		}
		return PQputCopyEnd(pg->conn, "only tg_pg_copy may COPY") == 1;
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH: PQclear(res); return false;
	default: keep_result(req, res); return true;
	}
}

static bool take_piped(struct tg_pg *pg, PGresult *res)
{
	struct pg_request *req = head(&pg->sent);

	if (!res) { /* stands between the results of two statements */
		if (req->joined && --req->ends == 0 && !ends_session(req->res))
			finish_head(pg);
		return true;
	}
	if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
		PQclear(res);
		finish_head(pg);
		return true;
	}
	if (PQresultStatus(res) == PGRES_COPY_IN || PQresultStatus(res) == PGRES_COPY_OUT) {
		PQclear(res);
		return false;
	}
	if (req->preparing) {
		req->preparing = false;
		if (!is_error(res)) {
			PQclear(res);
			return true;
		}
		tg_map_remove(pg->prepared, statement_key(req));
	}
	keep_result(req, res);
	return true;
}

static bool read_more(struct tg_pg *pg)
{
	while (pg->sent_count > 0 && !pg->copying && !pg->want_reset && !pg->want_close) {
		bool piped = PQpipelineStatus(pg->conn) != PQ_PIPELINE_OFF;
		PGresult *res;

		if (PQisBusy(pg->conn))
			return true;
		res = PQgetResult(pg->conn);
		if (PQstatus(pg->conn) == CONNECTION_BAD) {
			PQclear(res);
			return false;
		}
		if (!(piped ? take_piped(pg, res) : take_plain(pg, res)))
			return false;
	}
	return true;
}

static void on_close(uv_handle_t *handle)
{
	pg_handle_closed(handle->data);
}

static void shut(struct tg_pg *pg)
{
	if (uv_is_closing((uv_handle_t *)&pg->timer))
		return;
	pg_drop(pg);
	pg_answer_all_closed(pg);
	pg->timer.data = pg;
	pg->kick.data = pg;
	uv_close((uv_handle_t *)&pg->timer, on_close);
	uv_close((uv_handle_t *)&pg->kick, on_close);
}

/* Does all that can be done now. May end with the connection broken, never with pg freed. */
void pg_step(struct tg_pg *pg)
{
	int left;

	if (pg->want_close) {
		shut(pg);
		return;
	}
	if (pg->lease_broken)
		pg_answer_all_closed(pg);
	if (pg->state != PG_UP)
		return;
	if (!read_more(pg) || !send_more(pg)) {
		pg_break(pg, PQerrorMessage(pg->conn));
		return;
	}
	if (pg->want_reset) {
		pg_break(pg, "dropped by its owner");
		return;
	}
	if (pg->want_close)
		return; /* a callback asked; the kick is under way */
	left = pg_feed(pg);
	if (left < 0 ||
		pg_watch(pg, UV_READABLE | (left || pg->copying ? UV_WRITABLE : 0), pg_on_io))
		pg_break(pg, PQerrorMessage(pg->conn));
}

void pg_on_io(uv_poll_t *poll, int status, int events)
{
	struct tg_pg *pg = tg_container_of(poll, struct pg_watch, poll)->pg;

	/* A poll error is read as "readable": libpq then finds the reason in the socket, at once or
	 * behind what came before it; libuv has stopped watching, so that it must be told again.
	 * While sending, input is taken as well, else both sides can wait for ever. */
	if (status < 0)
		pg->watch->want = 0;
	if (status < 0 || events & UV_READABLE || pg->copying) {
		if (!PQconsumeInput(pg->conn)) {
			pg_break(pg, PQerrorMessage(pg->conn));
			return;
		}
	}
	pg_step(pg);
}
