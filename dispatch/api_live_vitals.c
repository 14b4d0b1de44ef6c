/* Every five seconds: a sign of life with the counts of the moment, and whether a listener's token
 * still stands for somebody. */
#include <stdio.h>

#include "base/clock.h"
#include "base/map.h"
#include "dispatch/api_live_impl.h"
#include "dispatch/dispatch.h"
#include "dispatch/outbox.h"
#include "queries.h"

#define RECHECK_TICKS 6 /* every 30 s */

static void vitals_text(
	const struct tg_live *live, const PGresult *res, const char *department, char out[256])
{
	char at[TG_RFC3339_MAX];
	int64_t open = 0, overdue = 0;

	for (int i = 0; i < PQntuples(res); i++)
		if (department[0] ? tg_slice_is(tg_pg_text(res, i, 0), department)
				  : tg_pg_null(res, i, 0)) {
			open = tg_pg_i64(res, i, 1);
			overdue = tg_pg_i64(res, i, 2);
		}
	tg_rfc3339_utc(tg_now_us(), at);
	snprintf(out, 256,
		"event: vitals\ndata: "
		"{\"at\":\"%s\",\"open_cases\":%lld,\"overdue\":%lld,\"last_pos\":%lld}\n\n",
		at, (long long)open, (long long)overdue,
		(long long)tg_outbox_last(live->api->d->outbox));
}

static void on_vitals(void *ctx, int rc, const PGresult *res)
{
	struct tg_live *live = ctx;
	char all[256] = ": heartbeat\n\n", own[256];

	live->asking--;
	if (!rc)
		vitals_text(live, res, "", all);
	tg_list_foreach_safe (item, next, &live->listeners) {
		struct listener *l = tg_container_of(item, struct listener, link);
		bool mine = !rc && l->department[0];

		if (mine)
			vitals_text(live, res, l->department, own);
		l->busy++;
		live_send(l, mine ? own : all);
		l->busy--;
		live_release(l);
	}
	live_maybe_closed(live);
}

static void on_alive(void *ctx, int rc, const PGresult *res)
{
	struct tg_live *live = ctx;
	struct tg_map *alive = NULL;
	char hash[2 * TG_TOKEN_HASH_BYTES + 3];

	live->asking--;
	if (!rc && tg_map_new(0, &alive) == 0) {
		for (int i = 0; i < PQntuples(res) && !rc; i++)
			rc = tg_map_put(alive, tg_pg_text(res, i, 0), live);
		tg_list_foreach_safe (item, next, &live->listeners) {
			struct listener *l = tg_container_of(item, struct listener, link);

			tg_token_hash_text(l->hash, hash);
			if (!rc && l->stream && !tg_map_get(alive, tg_slice_cstr(hash)))
				tg_stream_close(l->stream);
		}
	}
	tg_map_free(alive);
	live_maybe_closed(live);
}

static void recheck(struct tg_live *live)
{
	struct tg_buf list = {0};
	char hash[2 * TG_TOKEN_HASH_BYTES + 3];
	const char *params[1];
	int rc = tg_buf_add_cstr(&list, "{");

	tg_list_foreach (item, &live->listeners) {
		const struct listener *l = tg_container_of(item, struct listener, link);

		tg_token_hash_text(l->hash, hash);
		if (!rc)
			rc = tg_buf_addf(&list, "%s\"\\%s\"", list.len > 1 ? "," : "", hash);
	}
	if (!rc)
		rc = tg_buf_add_cstr(&list, "}");
	params[0] = rc ? NULL : tg_buf_cstr(&list);
	if (params[0] &&
		tg_pg_query(live->api->d->read, tg_sql_auth_alive, params, 1, on_alive, live) == 0)
		live->asking++;
	tg_buf_release(&list);
}

void live_on_vitals_timer(uv_timer_t *timer)
{
	struct tg_live *live = timer->data;

	/* One question at a time: a slow database gets no more of them. */
	if (live->count == 0 || live->asking > 0)
		return;
	if (tg_pg_query(live->api->d->read, tg_sql_vitals, NULL, 0, on_vitals, live) == 0)
		live->asking++;
	if (++live->ticks % RECHECK_TICKS == 0)
		recheck(live);
}
