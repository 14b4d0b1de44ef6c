/* The sink's connection: opening and closing it, what is asked of it outside a transaction, and
 * giving up a server that answers nothing. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "ingest/sink_impl.h"

#define STALL_US (60 * TG_US_PER_S) /* no transaction of ours takes that long */

/* Who waits longer for a row asks again: taking partitions then ends what holds them. */
static const char limits_sql[] = "SET lock_timeout = '5s'";

void tg_sink_watch(struct tg_sink *sink)
{
	if (sink->step == SINK_IDLE || sink->step == SINK_RESTING ||
		tg_mono_us() - sink->began_mono_us < STALL_US)
		return;
	tg_log(TG_ERROR, "transaction stalled: dropping the connection");
	sink->began_mono_us = tg_mono_us();
	tg_pg_reset(sink->pg);
}

void tg_sink_ask(struct tg_sink *sink, const char *sql, const char *const *params, int n,
	tg_pg_cb cb, void *ctx)
{
	assert(sink->step == SINK_IDLE);
	if (tg_pg_query(sink->pg, sql, params, n, cb, ctx))
		cb(ctx, -TG_ECLOSED, NULL);
}

void tg_sink_take(struct tg_sink *sink, const char *topics, const char *partitions,
	const char *starts, tg_pg_cb cb, void *ctx)
{
	static const char take_sql[] = "SELECT topic, partition, id, next, forwarded, epoch, dead "
				       "FROM tongguan.offsets_take_over($1, $2, $3)";
	const char *params[] = {topics, partitions, starts};

	tg_sink_ask(sink, take_sql, params, 3, cb, ctx);
}

static void on_limits(void *ctx, int rc, const PGresult *res)
{
	(void)ctx;
	(void)rc; /* a lost connection is said elsewhere */
	(void)res;
}

static void on_up(void *ctx, struct tg_pg *pg)
{
	struct tg_sink *sink = ctx;

	if (tg_pg_exec(pg, limits_sql, on_limits, NULL))
		tg_log(TG_WARN, "no statement limit in this session");
	sink->ops.on_up(sink->ctx);
}

static void on_down(void *ctx, struct tg_pg *pg)
{
	struct tg_sink *sink = ctx;

	(void)pg;
	if (sink->step == SINK_RESTING) {
		uv_timer_stop(&sink->retry);
		sink_finish(sink, -TG_ECLOSED);
	}
	sink->ops.on_down(sink->ctx);
}

int tg_sink_open(uv_loop_t *loop, const struct tg_conf *conf, const struct tg_sink_ops *ops,
	void *ctx, struct tg_sink **ret)
{
	static const struct tg_pg_ops pg_ops = {on_up, on_down};
	struct tg_sink *sink = calloc(1, sizeof(*sink));
	int rc;

	if (!sink)
		return -TG_ENOMEM;
	sink->loop = loop;
	sink->ops = *ops;
	sink->ctx = ctx;
	sink->retry_ms = SINK_RETRY_MIN_MS;
	snprintf(sink->partition_days, sizeof(sink->partition_days), "%lld",
		(long long)conf->ingest_partition_days);
	rc = tg_pg_open(loop, conf->postgres_url, "tongguan ingest", &pg_ops, sink, &sink->pg);
	if (rc) {
		free(sink);
		return rc;
	}
	uv_timer_init(loop, &sink->retry);
	*ret = sink;
	return 0;
}

bool tg_sink_up(const struct tg_sink *sink)
{
	return tg_pg_up(sink->pg);
}

bool tg_sink_idle(const struct tg_sink *sink)
{
	return sink->step == SINK_IDLE;
}

const char *tg_sink_trouble(const struct tg_sink *sink)
{
	return sink->trouble[0] ? sink->trouble : NULL;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_sink *sink = tg_container_of((uv_timer_t *)handle, struct tg_sink, retry);

	tg_buf_release(&sink->open);
	for (int i = 0; i < TG_DEAD_PARAMS; i++)
		tg_buf_release(&sink->dead_params[i]);
	sink->closed(sink->closed_ctx);
	free(sink);
}

static void on_pg_closed(void *ctx)
{
	struct tg_sink *sink = ctx;

	uv_close((uv_handle_t *)&sink->retry, on_timer_closed);
}

void tg_sink_close(struct tg_sink *sink, void (*closed)(void *ctx), void *ctx)
{
	sink->closed = closed;
	sink->closed_ctx = ctx;
	if (sink->step == SINK_RESTING) {
		uv_timer_stop(&sink->retry);
		sink_finish(sink, -TG_ECLOSED);
	}
	tg_pg_close(sink->pg, on_pg_closed, sink);
}
