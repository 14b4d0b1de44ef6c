#include "correlate/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/http.h"
#include "base/log.h"
#include "correlate/metrics.h"
#include "correlate/role_impl.h"

#define RECORD_ARENA_MAX ((size_t)64 << 20)
#define STOP_MS          5000

void tg_role_fail(struct tg_role *role, const char *why)
{
	tg_service_fail(role->svc, why);
}

struct tg_engine_shared tg_role_shared(struct tg_role *role, int32_t partition)
{
	return (struct tg_engine_shared){.rules = &role->rules,
		.guard = role->guard,
		.budget = &role->budget,
		.counts = &role->counts,
		.registry = role->registry,
		.here = partition};
}

struct tg_part *tg_role_part(struct tg_role *role, int32_t partition)
{
	for (size_t i = 0; i < role->parts_len; i++)
		if (role->parts[i]->partition == partition)
			return role->parts[i];
	return NULL;
}

void tg_role_flow(struct tg_role *role)
{
	bool full = role->queued >= TG_QUEUED_MAX || role->queued_bytes >= TG_QUEUED_BYTES_MAX;
	bool low = role->queued < TG_QUEUED_MAX / 2 && role->queued_bytes < TG_QUEUED_BYTES_MAX / 2;

	tg_metric_set(&tg_correlate_metrics[TG_CM_QUEUED], (double)role->queued);
	if ((full || role->stopping) && !role->paused) {
		role->paused = true;
		tg_consumer_pause(role->consumer);
	} else if (low && role->paused && !role->stopping) {
		role->paused = false;
		tg_consumer_resume(role->consumer);
	}
}

/* ---- the city ---- */

static void on_registry(void *ctx, struct tg_registry *registry)
{
	struct tg_role *role = ctx;

	if (tg_registry_bind(registry, &role->rules)) {
		tg_registry_free(registry);
		tg_role_fail(role, "out of memory");
		return;
	}
	for (size_t i = 0; i < role->parts_len; i++)
		tg_engine_set_registry(role->parts[i]->engine, registry);
	tg_registry_free(role->registry);
	role->registry = registry;
}

static void on_look(void *ctx)
{
	tg_role_look_at_packs(ctx);
}

/* ---- assignment ---- */

static void drop_parts(struct tg_role *role)
{
	for (size_t i = 0; i < role->parts_len; i++)
		tg_part_close(role->parts[i]);
	role->parts_len = 0;
	role->claiming = 0;
	role->assigned = false;
	tg_metric_set(&tg_correlate_metrics[TG_CM_PARTITIONS], 0);
}

static void on_revoke(void *ctx)
{
	drop_parts(ctx);
}

static void on_assign(void *ctx, const struct tg_partition *given, size_t n)
{
	struct tg_role *role = ctx;
	struct tg_part **parts;

	drop_parts(role);
	role->rejoining = false;
	parts = realloc(role->parts, (n + 1) * sizeof(struct tg_part *));
	if (!parts) {
		tg_role_fail(role, "out of memory");
		return;
	}
	role->parts = parts;
	for (size_t i = 0; i < n; i++) {
		if (tg_part_open(role, given[i].partition, &parts[role->parts_len])) {
			tg_role_fail(role, "out of memory");
			return;
		}
		role->parts_len++;
	}
	tg_metric_set(&tg_correlate_metrics[TG_CM_PARTITIONS], (double)n);
	role->claiming = n;
	if (n == 0) {
		role->assigned = true;
		tg_consumer_assign(role->consumer, NULL, 0);
	}
	for (size_t i = 0; i < n; i++)
		tg_part_claim(parts[i]);
}

void tg_role_claimed(struct tg_role *role)
{
	struct tg_partition *at;

	if (--role->claiming > 0)
		return;
	at = calloc(role->parts_len, sizeof(*at));
	if (!at) {
		tg_role_fail(role, "out of memory");
		return;
	}
	for (size_t i = 0; i < role->parts_len; i++) {
		strcpy(at[i].topic, TG_TOPIC_LOCATED);
		at[i].partition = role->parts[i]->partition;
		at[i].offset = role->parts[i]->next;
	}
	role->assigned = true;
	tg_consumer_assign(role->consumer, at, role->parts_len);
	free(at);
	tg_role_part_idle(role);
}

void tg_role_fenced(struct tg_part *p)
{
	struct tg_role *role = p->role;

	tg_metric_add(&tg_correlate_metrics[TG_CM_FENCED], 1);
	tg_log(TG_WARN, "another owner has taken over", TG_F("partition", TG_I(p->partition)));
	drop_parts(role);
	if (!role->rejoining && !role->stopping) {
		role->rejoining = true;
		tg_consumer_rejoin(role->consumer);
	}
	tg_role_part_idle(role);
}

static void on_record(void *ctx, struct tg_record *rec)
{
	struct tg_role *role = ctx;
	struct tg_part *p = tg_role_part(role, rec->partition);

	if (!p || p->state == TG_PART_CLAIMING || role->stopping) {
		tg_record_free(rec);
		return;
	}
	tg_part_take(p, rec);
	tg_role_flow(role);
}

static void on_end(void *ctx, const char *topic, int32_t partition, int64_t next)
{
	(void)ctx;
	(void)topic;
	(void)partition;
	(void)next;
}

struct lost {
	struct tg_role *role;
	int32_t partition;
	int64_t offset;
};

static void on_bounds(void *ctx, int rc, int64_t low, int64_t high)
{
	struct lost *l = ctx;
	struct tg_part *p = tg_role_part(l->role, l->partition);

	if (p && rc) {
		tg_role_fenced(p); /* ask for everything again */
	} else if (p) {
		tg_log(TG_ERROR,
			"the stored offset lies outside the topic; going on at its beginning",
			TG_F("partition", TG_I(l->partition)), TG_F("offset", TG_I(l->offset)),
			TG_F("first", TG_I(low)), TG_F("end", TG_I(high)));
		p->next = low;
		tg_consumer_seek(l->role->consumer, TG_TOPIC_LOCATED, l->partition, low);
	}
	free(l);
}

static void on_out_of_range(void *ctx, const char *topic, int32_t partition, int64_t offset)
{
	struct tg_role *role = ctx;
	struct lost *l = malloc(sizeof(*l));

	if (l)
		*l = (struct lost){role, partition, offset};
	if (!l || tg_consumer_watermarks(role->consumer, topic, partition, on_bounds, l)) {
		free(l);
		tg_role_fail(role, "the bounds of a partition cannot be asked for");
	}
}

static void on_delivery(void *ctx, void *tag, int rc)
{
	(void)ctx;
	tg_part_delivered(tag, rc);
}

/* ---- start and stop ---- */

static void finish(struct tg_role *role);

static void on_one_closed(void *ctx)
{
	struct tg_role *role = ctx;

	role->open--;
	finish(role);
}

static void on_consumer_closed(void *ctx)
{
	struct tg_role *role = ctx;

	role->consumer = NULL;
	drop_parts(role);
	tg_producer_close(role->producer); /* answers what is in flight */
	role->producer = NULL;
	tg_pg_close(role->pg, on_one_closed, role);
	tg_store_close(role->store, on_one_closed, role);
	role->open--;
	finish(role);
}

static void finish(struct tg_role *role)
{
	if (role->open == 0 && role->parts_alive == 0)
		tg_service_stopped(role->svc);
}

void tg_role_part_gone(struct tg_role *role)
{
	if (role->closing)
		finish(role);
}

static void on_handle_closed(uv_handle_t *handle)
{
	on_one_closed(handle->data);
}

static void close_all(struct tg_role *role)
{
	if (role->closing)
		return;
	role->closing = true;
	role->open = 6; /* consumer, database, store, timers, signal */
	uv_close((uv_handle_t *)&role->stop_limit, on_handle_closed);
	role->hangup.data = role;
	uv_close((uv_handle_t *)&role->hangup, on_handle_closed);
	tg_city_watch_close(&role->city, on_handle_closed, role);
	tg_consumer_close(role->consumer);
}

static void on_stop_limit(uv_timer_t *timer)
{
	tg_log(TG_WARN, "stopping without the batch in flight");
	close_all(timer->data);
}

static bool any_busy(const struct tg_role *role)
{
	for (size_t i = 0; i < role->parts_len; i++)
		if (role->parts[i]->state == TG_PART_BUSY)
			return true;
	return false;
}

void tg_role_part_idle(struct tg_role *role)
{
	if (role->stopping && !any_busy(role))
		close_all(role);
}

static void stop(void *ctx)
{
	struct tg_role *role = ctx;

	role->stopping = true;
	tg_role_flow(role);
	/* What is queued behind the batch in flight is read again by the next owner. */
	for (size_t i = 0; i < role->parts_len; i++)
		tg_part_empty(role->parts[i]);
	uv_timer_start(&role->stop_limit, on_stop_limit, STOP_MS, 0);
	tg_role_part_idle(role);
}

static bool ready(void *ctx, struct tg_buf *why)
{
	struct tg_role *role = ctx;
	const char *missing = NULL;

	if (!tg_consumer_connected(role->consumer))
		missing = "Kafka is not connected";
	else if (!tg_pg_up(role->pg))
		missing = "PostgreSQL is not connected";
	else if (!tg_store_up(role->store))
		missing = "Redis is not connected";
	else if (!role->assigned)
		missing = "no partitions have been claimed yet";
	if (missing && tg_buf_add_cstr(why, missing))
		return false;
	return !missing;
}

static int open_consumer(struct tg_role *role)
{
	static const struct tg_consumer_ops ops = {
		on_assign, on_revoke, on_record, on_end, on_out_of_range, on_consumer_closed};
	static const char *const topics[] = {TG_TOPIC_LOCATED};
	const struct tg_consumer_conf conf = {role->conf->kafka_brokers,
		role->conf->correlate_group, "tongguan-correlate", topics, 1, 0,
		role->conf->correlate_listen};

	return tg_consumer_open(role->loop, &conf, &ops, role, &role->consumer);
}

static int start(void *ctx, struct tg_service *svc)
{
	struct tg_role *role = ctx;
	int rc;

	role->svc = svc;
	role->loop = tg_service_loop(svc);
	uv_timer_init(role->loop, &role->stop_limit);
	role->stop_limit.data = role;
	tg_arena_init(&role->arena, 64 << 10, RECORD_ARENA_MAX);
	rc = tg_pg_open(
		role->loop, role->conf->postgres_url, "tongguan correlate", NULL, NULL, &role->pg);
	if (!rc)
		rc = tg_store_open(role->loop, role->conf->redis_url, &role->store);
	if (!rc)
		rc = tg_producer_open(role->loop, role->conf->kafka_brokers, "tongguan-correlate",
			0, on_delivery, role, &role->producer);
	if (!rc) {
		role->city = (struct tg_city_watch){.pg = role->pg,
			.producer = role->producer,
			.on_registry = on_registry,
			.on_look = on_look,
			.ctx = role,
			.rules = &role->rules};
		tg_city_watch_start(&role->city, role->loop);
		rc = tg_role_watch_packs(role);
	}
	if (!rc)
		rc = open_consumer(role);
	if (rc)
		tg_log(TG_ERROR, "cannot start", TG_F("error", TG_S(tg_err_text(rc))));
	return rc;
}

int tg_correlate_run(const struct tg_conf *conf)
{
	static const struct tg_service_ops ops = {"correlate", start, ready, stop};
	struct tg_role role = {
		.conf = conf, .budget = {0, (size_t)conf->correlate_window_events_max}};
	int code = 2;

	if (tg_metric_register(tg_correlate_metrics, TG_CM_COUNT) == 0 &&
		tg_role_load_rules(&role) == 0 && tg_guard_new(&role.rules, &role.guard) == 0) {
		tg_metric_set(&tg_correlate_metrics[TG_CM_WINDOW_MAX], (double)role.budget.max);
		code = tg_service_run(&ops, &role, conf->correlate_listen);
	}
	free(role.parts);
	tg_city_watch_release(&role.city);
	tg_registry_free(role.registry);
	tg_arena_release(&role.arena);
	tg_guard_free(role.guard);
	tg_ruleset_release(&role.rules);
	return code;
}
