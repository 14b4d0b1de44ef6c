#include "correlate/halo.h"

#include "base/list.h"
#include "base/log.h"
#include "correlate/metrics.h"
#include "queries.h"

#define POLL_MS 2000

static void look_at_rules(const struct tg_halo_watch *watch)
{
	int beyond = 0;

	for (size_t i = 0; i < watch->rules->len; i++) {
		const struct tg_rule *rule = watch->rules->rules[i];

		if (!tg_rule_runs(rule) || rule->radius_m <= watch->halo_m)
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

static void on_halo(void *ctx, int rc, const PGresult *res)
{
	struct tg_halo_watch *watch = ctx;
	double halo_m;

	watch->asking = false;
	if (rc || PQntuples(res) == 0)
		return;
	halo_m = tg_pg_f64(res, 0, 0);
	if (watch->halo_m == halo_m)
		return;
	watch->halo_m = halo_m;
	look_at_rules(watch);
}

static void on_timer(uv_timer_t *timer)
{
	struct tg_halo_watch *watch = tg_container_of(timer, struct tg_halo_watch, timer);

	if (!watch->asking && tg_pg_up(watch->pg))
		watch->asking =
			tg_pg_query(watch->pg, tg_sql_city_halo, NULL, 0, on_halo, watch) == 0;
}

void tg_halo_watch_start(struct tg_halo_watch *watch, uv_loop_t *loop, struct tg_pg *pg,
	const struct tg_ruleset *rules)
{
	*watch = (struct tg_halo_watch){.pg = pg, .rules = rules};
	uv_timer_init(loop, &watch->timer);
	uv_timer_start(&watch->timer, on_timer, POLL_MS, POLL_MS);
}

void tg_halo_watch_close(struct tg_halo_watch *watch, uv_close_cb closed, void *data)
{
	watch->timer.data = data;
	uv_close((uv_handle_t *)&watch->timer, closed);
}
