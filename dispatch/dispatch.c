/* Wiring: what the role opens, in which order it closes, and the city it works with. */
#include "dispatch/dispatch.h"

#include <string.h>

#include "base/log.h"
#include "dispatch/api.h"
#include "dispatch/city.h"
#include "dispatch/due.h"
#include "dispatch/intake.h"
#include "dispatch/metrics.h"
#include "dispatch/outbox.h"

#define CITY_POLL_MS 1000

static const char sql_version[] = "SELECT version FROM tongguan.city";
static const char sql_city[] = "SELECT tongguan.city_doc()";

void tg_dispatch_init(struct tg_dispatch *d, const struct tg_conf *conf)
{
	*d = (struct tg_dispatch){.conf = conf};
}

/* --- the city --- */

static void on_city_timer(uv_timer_t *timer);

static void look_later(struct tg_dispatch *d)
{
	if (!d->stopping)
		uv_timer_start(&d->city_timer, on_city_timer, CITY_POLL_MS, 0);
}

static void take_city(struct tg_dispatch *d, struct tg_slice text)
{
	struct tg_city *city = NULL;
	struct tg_buf why = {0};
	json_t *doc = NULL;
	int rc = tg_json_parse(text, &doc, &why);

	if (!rc)
		rc = tg_city_parse(doc, &city, &why);
	json_decref(doc);
	if (rc) {
		tg_log(TG_ERROR, "the city cannot be used", TG_F("why", TG_S(tg_buf_cstr(&why))));
	} else {
		tg_city_free(d->city);
		d->city = city;
		tg_metric_set(
			&tg_dispatch_metrics[TG_M_CITY_VERSION], (double)tg_city_version(city));
		tg_log(TG_INFO, "city loaded", TG_F("name", TG_S(tg_city_name_en(city))),
			TG_F("version", TG_I(tg_city_version(city))));
	}
	tg_buf_release(&why);
}

static void on_city(void *ctx, int rc, const PGresult *res)
{
	struct tg_dispatch *d = ctx;

	if (!rc && PQntuples(res) == 1 && !tg_pg_null(res, 0, 0) && !d->stopping)
		take_city(d, tg_pg_text(res, 0, 0));
	else if (rc && res)
		tg_log(TG_ERROR, "the city cannot be read",
			TG_F("error", TG_S(tg_pg_message(res))));
	look_later(d);
}

static void on_version(void *ctx, int rc, const PGresult *res)
{
	struct tg_dispatch *d = ctx;

	if (!rc && PQntuples(res) == 1 &&
		(!d->city || tg_city_version(d->city) != tg_pg_i64(res, 0, 0)) && !d->stopping &&
		!tg_pg_query(d->read, sql_city, NULL, 0, on_city, d))
		return;
	look_later(d);
}

static void on_city_timer(uv_timer_t *timer)
{
	struct tg_dispatch *d = timer->data;

	if (tg_pg_query(d->read, sql_version, NULL, 0, on_version, d))
		look_later(d);
}

/* --- start --- */

static int say(const char *what, int rc)
{
	if (rc)
		tg_log(TG_ERROR, "cannot start", TG_F("what", TG_S(what)),
			TG_F("why", TG_S(tg_err_text(rc))));
	return rc;
}

/* Lists have many optional filters: a plan made for the values at hand folds those away that were
 * not given. */
static void on_read_up(void *ctx, struct tg_pg *pg)
{
	(void)ctx;
	(void)!tg_pg_exec(
		pg, "SET plan_cache_mode = force_custom_plan; SET timezone = 'UTC'", NULL, NULL);
}

/* Always the same few statements: planned once. */
static void on_who_up(void *ctx, struct tg_pg *pg)
{
	(void)ctx;
	(void)!tg_pg_exec(pg, "SET timezone = 'UTC'", NULL, NULL);
}

static void on_slow_up(void *ctx, struct tg_pg *pg)
{
	(void)ctx;
	(void)!tg_pg_exec(pg,
		"SET plan_cache_mode = force_custom_plan; SET timezone = 'UTC'; "
		"SET statement_timeout = '5s'",
		NULL, NULL);
}

static int start(void *role, struct tg_service *svc)
{
	static const struct tg_pg_ops read_ops = {.on_up = on_read_up},
				      slow_ops = {.on_up = on_slow_up},
				      who_ops = {.on_up = on_who_up};
	struct tg_dispatch *d = role;
	const struct tg_conf *conf = d->conf;
	int rc;

	d->svc = svc;
	d->loop = tg_service_loop(svc);
	rc = say("metrics", tg_metric_register(tg_dispatch_metrics, TG_M_COUNT));
	if (!rc)
		rc = say("write connections",
			tg_pg_pool_open(d->loop, conf->postgres_url, "tongguan dispatch",
				(int)conf->dispatch_pg_connections, &d->write));
	if (!rc)
		rc = say("read connection",
			tg_pg_open(d->loop, conf->postgres_url, "tongguan dispatch read", &read_ops,
				d, &d->read));
	if (!rc)
		rc = say("credentials connection",
			tg_pg_open(d->loop, conf->postgres_url, "tongguan dispatch credentials",
				&who_ops, d, &d->who));
	if (!rc)
		rc = say("slow reads", tg_pg_open(d->loop, conf->postgres_url,
					       "tongguan dispatch slow", &slow_ops, d, &d->slow));
	if (!rc)
		rc = say("outbox", tg_outbox_open(d, &d->outbox));
	if (!rc)
		rc = say("escalation", tg_due_open(d, &d->due));
	if (!rc)
		rc = say("intake", tg_intake_open(d, &d->intake));
	if (!rc)
		rc = say("reports",
			tg_producer_open(d->loop, conf->kafka_brokers, "tongguan-dispatch-reports",
				0, tg_api_report_delivered, d, &d->reports));
	if (!rc)
		rc = say("api", tg_api_open(d, &d->api));
	if (rc)
		return rc;
	uv_timer_init(d->loop, &d->city_timer);
	d->city_timer.data = d;
	uv_timer_start(&d->city_timer, on_city_timer, 0, 0);
	return 0;
}

static bool ready(void *role, struct tg_buf *why)
{
	const struct tg_dispatch *d = role;
	const char *missing = !tg_pg_pool_up(d->write) || !tg_pg_up(d->read) || !tg_pg_up(d->who)
				      ? "the database is away"
			      : !d->city ? "no city is loaded (tongguan city load)"
			      : !tg_intake_connected(d->intake) ? "Kafka is away"
								: NULL;

	if (missing)
		(void)!tg_buf_add_cstr(why, missing);
	return !missing;
}

/* --- stop: first what brings work, then what does it, then the server, then what all of it stands
 * on --- */

static void on_write_closed(void *ctx)
{
	(void)ctx; /* the loop ends by itself */
}

static void on_slow_closed(void *ctx)
{
	struct tg_dispatch *d = ctx;

	d->slow = NULL;
	tg_pg_pool_close(d->write, on_write_closed, d);
}

static void on_who_closed(void *ctx)
{
	struct tg_dispatch *d = ctx;

	d->who = NULL;
	tg_pg_close(d->slow, on_slow_closed, d);
}

static void on_read_closed(void *ctx)
{
	struct tg_dispatch *d = ctx;

	d->read = NULL;
	tg_pg_close(d->who, on_who_closed, d);
}

static void on_outbox_closed(void *ctx)
{
	struct tg_dispatch *d = ctx;

	d->outbox = NULL;
	tg_producer_close(d->reports);
	uv_close((uv_handle_t *)&d->city_timer, NULL);
	/* From here on no request comes in any more, so nobody asks a connection that is gone. */
	tg_service_stopped(d->svc);
	tg_pg_close(d->read, on_read_closed, d);
}

static void on_due_closed(void *ctx)
{
	struct tg_dispatch *d = ctx;

	d->due = NULL;
	tg_outbox_close(d->outbox, on_outbox_closed, d);
}

static void on_intake_closed(void *ctx)
{
	struct tg_dispatch *d = ctx;

	tg_due_close(d->due, on_due_closed, d);
}

static void on_api_closed(void *ctx)
{
	struct tg_dispatch *d = ctx;

	tg_intake_close(d->intake, on_intake_closed, d);
}

static void stop(void *role)
{
	struct tg_dispatch *d = role;

	d->stopping = true;
	uv_timer_stop(&d->city_timer);
	tg_api_close(d->api, on_api_closed, d);
}

const struct tg_service_ops tg_dispatch_ops = {
	.name = "dispatch", .start = start, .ready = ready, .stop = stop};

void tg_dispatch_release(struct tg_dispatch *d)
{
	tg_api_free(d->api);
	tg_city_free(d->city);
	d->api = NULL;
	d->city = NULL;
}
