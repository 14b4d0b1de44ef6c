#include "correlate/city.h"

#include "base/list.h"
#include "base/log.h"
#include "correlate/metrics.h"
#include "correlate/role_impl.h"
#include "proto/codec.h"
#include "queries.h"

#define LOOK_MS    2000
#define LOOK_UP_MS 5000
#define PAGE_ROWS  1000

static void ask_page(struct tg_city_watch *watch, const char *after);

static void look_at_rules(const struct tg_city_watch *watch)
{
	int beyond = 0;

	for (size_t i = 0; i < watch->rules->len; i++) {
		const struct tg_rule *rule = watch->rules->rules[i];

		if (rule->radius_m <= watch->halo_m)
			continue;
		beyond++;
		tg_log(TG_ERROR,
			"the city that was loaded has a smaller halo than the rule needs: across a "
			"border of regions it may miss events",
			TG_F("rule", TG_S(rule->id)), TG_F("radius_m", TG_D(rule->radius_m)),
			TG_F("halo_m", TG_D(watch->halo_m)));
	}
	tg_metric_set(&tg_correlate_metrics[TG_CM_BEYOND_HALO], beyond);
}

static void drop_next(struct tg_city_watch *watch)
{
	tg_registry_free(watch->next);
	watch->next = NULL;
	watch->asking = false;
}

/* ---- the registry ---- */

static void give(struct tg_city_watch *watch)
{
	struct tg_registry *ready = watch->next;

	watch->next = NULL;
	watch->asking = false;
	watch->version = ready->version;
	tg_log(TG_INFO, "registry of devices read", TG_F("city_version", TG_I(ready->version)),
		TG_F("devices", TG_I(tg_map_count(ready->devices))));
	tg_metric_set(&tg_correlate_metrics[TG_CM_DEVICES], (double)tg_map_count(ready->devices));
	watch->on_registry(watch->ctx, ready);
}

/* Columns: device_id, street, district, lon, lat, source_kind, limits. */
static int take_device(struct tg_city_watch *watch, const PGresult *res, int row)
{
	struct tg_lonlat at = {tg_pg_f64(res, row, 3), tg_pg_f64(res, row, 4)};
	bool moves = tg_pg_null(res, row, 3) ||
		     tg_pg_i64(res, row, 5) == TONGGUAN__V1__SOURCE_KIND__VEHICLE;
	int32_t partition =
		moves ? tg_partition_of_source(PQgetvalue(res, row, 0), watch->partitions)
		      : tg_regions_of(&watch->regions, at) % watch->partitions;

	return tg_registry_add(watch->next, tg_pg_text(res, row, 0), tg_pg_text(res, row, 1),
		tg_pg_text(res, row, 2), partition, tg_pg_text(res, row, 6));
}

static void on_page(void *ctx, int rc, const PGresult *res)
{
	struct tg_city_watch *watch = ctx;
	int n = rc ? 0 : PQntuples(res);

	for (int i = 0; i < n && !rc; i++)
		rc = take_device(watch, res, i);
	if (rc || watch->closing)
		drop_next(watch);
	else if (n < PAGE_ROWS)
		give(watch);
	else
		ask_page(watch, PQgetvalue(res, n - 1, 0));
}

static void ask_page(struct tg_city_watch *watch, const char *after)
{
	if (tg_pg_query(watch->pg, tg_sql_device_page, &after, 1, on_page, watch))
		drop_next(watch);
}

static void begin(struct tg_city_watch *watch, const PGresult *res)
{
	if (tg_registry_new(&watch->next))
		return;
	if (PQntuples(res) == 0) {
		give(watch); /* no city yet: no devices */
		return;
	}
	watch->next->version = tg_pg_i64(res, 0, 0);
	watch->next->halo_m = tg_pg_f64(res, 0, 1);
	tg_regions_init(&watch->regions,
		(struct tg_lonlat){tg_pg_f64(res, 0, 2), tg_pg_f64(res, 0, 3)},
		(struct tg_lonlat){tg_pg_f64(res, 0, 4), tg_pg_f64(res, 0, 5)},
		tg_pg_f64(res, 0, 6));
	if (tg_zone_load(PQgetvalue(res, 0, 7), &watch->next->zone))
		tg_log(TG_ERROR, "the city's zone is not known here; schedules go by UTC",
			TG_F("zone", TG_S(PQgetvalue(res, 0, 7))));
	watch->asking = true;
	ask_page(watch, "");
}

static bool know_partitions(struct tg_city_watch *watch)
{
	if (watch->partitions <= 0)
		watch->partitions =
			tg_producer_partitions(watch->producer, TG_TOPIC_LOCATED, LOOK_UP_MS);
	return watch->partitions > 0;
}

static void on_city(void *ctx, int rc, const PGresult *res)
{
	struct tg_city_watch *watch = ctx;
	int64_t version;
	double halo_m;

	watch->asking = false;
	if (rc || watch->closing)
		return;
	version = PQntuples(res) ? tg_pg_i64(res, 0, 0) : 0;
	halo_m = PQntuples(res) ? tg_pg_f64(res, 0, 1) : 0;
	if (PQntuples(res) && watch->halo_m != halo_m) {
		watch->halo_m = halo_m;
		look_at_rules(watch);
	}
	if (version != watch->version && know_partitions(watch))
		begin(watch, res);
}

/* ---- the table of rules ---- */

static void on_stored(void *ctx, int rc, const PGresult *res)
{
	struct tg_city_watch *watch = ctx;

	watch->asking = false;
	if (!rc)
		return; /* other rules may have come meanwhile: theirs are still to be stored */
	watch->rules_stored = false;
	tg_log(TG_WARN, "table of rules not written; trying again",
		TG_F("detail", TG_S(res ? tg_pg_message(res) : "")));
}

static int store_rules(struct tg_city_watch *watch)
{
	const char *params[1];
	struct tg_jw w;
	int rc;

	tg_buf_reset(&watch->doc);
	tg_jw_begin(&w, &watch->doc);
	tg_jw_array(&w, NULL);
	for (size_t i = 0; i < watch->rules->len; i++)
		tg_rule_row(&w, watch->rules->rules[i]);
	tg_jw_array_end(&w);
	rc = tg_jw_end(&w);
	params[0] = tg_buf_cstr(&watch->doc);
	if (!rc)
		rc = tg_pg_query(watch->pg, tg_sql_rule_store, params, 1, on_stored, watch);
	watch->rules_stored = rc == 0;
	return rc;
}

/* ---- looking ---- */

void tg_city_watch_now(struct tg_city_watch *watch)
{
	if (watch->asking || watch->closing || !tg_pg_up(watch->pg))
		return;
	if (watch->rules_stored || watch->version < 0)
		watch->asking =
			tg_pg_query(watch->pg, tg_sql_city_watched, NULL, 0, on_city, watch) == 0;
	else
		watch->asking = store_rules(watch) == 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct tg_city_watch *watch = tg_container_of(timer, struct tg_city_watch, timer);

	tg_city_watch_now(watch);
	watch->on_look(watch->ctx);
}

void tg_city_watch_start(struct tg_city_watch *watch, uv_loop_t *loop)
{
	watch->version = -1;
	uv_timer_init(loop, &watch->timer);
	uv_timer_start(&watch->timer, on_timer, LOOK_MS, LOOK_MS);
}

void tg_city_watch_rules(struct tg_city_watch *watch, const struct tg_ruleset *rules)
{
	watch->rules = rules;
	watch->rules_stored = false;
	if (watch->halo_m > 0)
		look_at_rules(watch);
}

void tg_city_watch_close(struct tg_city_watch *watch, uv_close_cb closed, void *data)
{
	watch->closing = true;
	watch->timer.data = data;
	uv_close((uv_handle_t *)&watch->timer, closed);
}

void tg_city_watch_release(struct tg_city_watch *watch)
{
	tg_registry_free(watch->next);
	watch->next = NULL;
	tg_buf_release(&watch->doc);
}
