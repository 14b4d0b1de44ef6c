#include "base/io/pg_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void pg_on_kick(uv_idle_t *kick)
{
	struct tg_pg *pg = tg_container_of(kick, struct tg_pg, kick);

	uv_idle_stop(kick);
	pg_step(pg);
}

void pg_kick(struct tg_pg *pg)
{
	if (!uv_is_closing((uv_handle_t *)&pg->kick))
		uv_idle_start(&pg->kick, pg_on_kick);
}

static void request_free(struct pg_request *req)
{
	PQclear(req->res);
	free(req);
}

/* Takes req, which is in no list. */
void pg_answer(struct tg_pg *pg, struct pg_request *req, int rc)
{
	assert(pg->pending > 0);
	pg->pending--;
	if (req->cb)
		req->cb(req->ctx, rc, rc == -TG_ECLOSED ? NULL : req->res);
	request_free(req);
}

void pg_answer_all_closed(struct tg_pg *pg)
{
	struct tg_list lost;

	/* What callbacks queue from here on is for the next connection. */
	tg_list_init(&lost);
	while (!tg_list_empty(&pg->sent) || !tg_list_empty(&pg->queue)) {
		struct tg_list *from = tg_list_empty(&pg->sent) ? &pg->queue : &pg->sent;
		struct tg_list *item = from->next;

		tg_list_remove(item);
		tg_list_push(&lost, item);
	}
	pg->sent_count = 0;
	pg->copying = NULL;
	while (!tg_list_empty(&lost)) {
		struct tg_list *item = lost.next;

		tg_list_remove(item);
		pg_answer(pg, tg_container_of(item, struct pg_request, link), -TG_ECLOSED);
	}
}

static void pg_free(struct tg_pg *pg)
{
	tg_map_free(pg->prepared);
	free(pg->url);
	free(pg->app);
	free(pg);
}

void pg_handle_closed(struct tg_pg *pg)
{
	assert(pg->handles > 0);
	if (--pg->handles > 0 || !pg->want_close)
		return;
	if (pg->closed)
		pg->closed(pg->closed_ctx);
	pg_free(pg);
}

int tg_pg_open(uv_loop_t *loop, const char *url, const char *app, const struct tg_pg_ops *ops,
	void *ctx, struct tg_pg **ret)
{
	struct tg_pg *pg = calloc(1, sizeof(*pg));

	if (!pg)
		return -TG_ENOMEM;
	pg->url = strdup(url);
	pg->app = strdup(app);
	if (!pg->url || !pg->app || tg_map_new(PG_STATEMENTS_MAX, &pg->prepared)) {
		pg_free(pg);
		return -TG_ENOMEM;
	}
	pg->loop = loop;
	if (ops)
		pg->ops = *ops;
	pg->ctx = ctx;
	pg->backoff_ms = PG_BACKOFF_MIN_MS;
	tg_list_init(&pg->queue);
	tg_list_init(&pg->sent);
	uv_timer_init(loop, &pg->timer);
	uv_idle_init(loop, &pg->kick);
	pg->handles = 2;
	/* The first attempt starts from the loop too, so that no callback runs before we return. */
	uv_timer_start(&pg->timer, pg_on_timer, 0, 0);
	*ret = pg;
	return 0;
}

bool tg_pg_up(const struct tg_pg *pg)
{
	return pg->state == PG_UP && !pg->want_reset && !pg->want_close && !pg->lease_broken;
}

size_t tg_pg_pending(const struct tg_pg *pg)
{
	return pg->pending;
}

bool pg_clean(const struct tg_pg *pg)
{
	return tg_pg_up(pg) && pg->pending == 0 && PQtransactionStatus(pg->conn) == PQTRANS_IDLE;
}

static int request_admit(struct tg_pg *pg)
{
	if (pg->want_close)
		return -TG_ECLOSED;
	return pg->pending >= PG_QUEUE_MAX ? -TG_EFULL : 0;
}

static void request_queue(struct tg_pg *pg, struct pg_request *req, tg_pg_cb cb, void *ctx)
{
	req->cb = cb;
	req->ctx = ctx;
	tg_list_push(&pg->queue, &req->link);
	pg->pending++;
	pg_kick(pg);
}

static int query(struct tg_pg *pg, const char *sql, const char *const *params, int n, bool ahead,
	tg_pg_cb cb, void *ctx)
{
	int rc = request_admit(pg);
	size_t texts = 0, count = (size_t)n;
	struct pg_request *req;
	char *at;

	assert(n >= 0);
	assert(n <= TG_PG_PARAMS_MAX);
	if (rc)
		return rc;
	for (size_t i = 0; i < count; i++)
		texts += params[i] ? strlen(params[i]) + 1 : 0;
	req = calloc(1, sizeof(*req) + count * sizeof(req->params[0]) + texts);
	if (!req)
		return -TG_ENOMEM;
	req->kind = PG_QUERY;
	req->ahead = ahead;
	req->sql = sql;
	req->n = n;
	at = (char *)&req->params[n];
	for (size_t i = 0; i < count; i++) {
		if (!params[i])
			continue;
		req->params[i] = strcpy(at, params[i]);
		at += strlen(at) + 1;
	}
	request_queue(pg, req, cb, ctx);
	return 0;
}

int tg_pg_query(
	struct tg_pg *pg, const char *sql, const char *const *params, int n, tg_pg_cb cb, void *ctx)
{
	return query(pg, sql, params, n, false, cb, ctx);
}

int tg_pg_query_ahead(
	struct tg_pg *pg, const char *sql, const char *const *params, int n, tg_pg_cb cb, void *ctx)
{
	return query(pg, sql, params, n, true, cb, ctx);
}

static int request_plain(struct tg_pg *pg, enum pg_kind kind, const char *sql,
	const struct tg_buf *data, tg_pg_cb cb, void *ctx)
{
	int rc = request_admit(pg);
	size_t bytes = strlen(sql) + 1;
	struct pg_request *req;

	if (rc)
		return rc;
	req = calloc(1, sizeof(*req) + bytes);
	if (!req)
		return -TG_ENOMEM;
	req->kind = kind;
	req->data = data;
	req->sql = memcpy(req->params, sql, bytes);
	request_queue(pg, req, cb, ctx);
	return 0;
}

int tg_pg_exec(struct tg_pg *pg, const char *sql, tg_pg_cb cb, void *ctx)
{
	return request_plain(pg, PG_EXEC, sql, NULL, cb, ctx);
}

int tg_pg_copy(struct tg_pg *pg, const char *sql, const struct tg_buf *data, tg_pg_cb cb, void *ctx)
{
	return request_plain(pg, PG_COPY, sql, data, cb, ctx);
}

void tg_pg_reset(struct tg_pg *pg)
{
	if (pg->state != PG_UP)
		return; /* no session that could be dropped: the next one will be fresh */
	pg->want_reset = true;
	pg_kick(pg);
}

void tg_pg_close(struct tg_pg *pg, void (*closed)(void *ctx), void *ctx)
{
	assert(!pg->want_close);
	pg->want_close = true;
	pg->closed = closed;
	pg->closed_ctx = ctx;
	pg_kick(pg);
}
