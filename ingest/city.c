#include "ingest/city.h"

#include <stdlib.h>

#include "base/io/pg.h"
#include "base/list.h"
#include "base/log.h"

#define POLL_MS 2000

/* One load is one snapshot of the database, so that cells and devices belong to the version. */
static const char begin_sql[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
static const char end_sql[] = "COMMIT";
static const char version_sql[] = "SELECT version FROM tongguan.city";
static const char frame_sql[] = "SELECT version, ST_XMin(boundary), ST_YMin(boundary), "
				"ST_XMax(boundary), ST_YMax(boundary), region_m, halo_m"
				" FROM tongguan.city";
static const char cells_sql[] =
	"SELECT c.cell_id, c.street, s.district, ST_AsGeoJSON(c.geom, 15) FROM tongguan.grid_cell c"
	" LEFT JOIN tongguan.street s ON s.code = c.street ORDER BY c.id";
static const char devices_sql[] = "SELECT device_id, ST_X(geom), ST_Y(geom) FROM tongguan.device";
static const char types_sql[] = "SELECT type_code FROM tongguan.case_type";

struct tg_atlas_watch {
	struct tg_pg *pg;
	uv_timer_t timer;
	struct tg_atlas *now, *next; /* next: being filled */
	int64_t version, next_version;
	bool busy;
	bool failed; /* this load: it is thrown away at its end */
	bool said;   /* that there is no city */
	void (*on_city)(void *ctx);
	void *ctx;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void load_failed(struct tg_atlas_watch *w, const char *what, const char *why)
{
	if (!w->failed)
		tg_log(TG_ERROR, "city not taken up", TG_F("what", TG_S(what)),
			TG_F("why", TG_S(why)));
	w->failed = true;
}

static bool usable(struct tg_atlas_watch *w, const char *what, int rc, const PGresult *res)
{
	if (rc)
		load_failed(w, what, rc == -TG_ECLOSED ? tg_err_text(rc) : tg_pg_message(res));
	return !rc && w->next && !w->failed;
}

static void on_frame(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;
	struct tg_atlas_frame frame;

	if (rc || PQntuples(res) == 0) {
		load_failed(w, "city", rc ? tg_err_text(rc) : "there is none");
		return;
	}
	w->next_version = tg_pg_i64(res, 0, 0);
	frame = (struct tg_atlas_frame){tg_pg_f64(res, 0, 1), tg_pg_f64(res, 0, 2),
		tg_pg_f64(res, 0, 3), tg_pg_f64(res, 0, 4), tg_pg_f64(res, 0, 5),
		tg_pg_f64(res, 0, 6)};
	rc = tg_atlas_new(&frame, &w->next);
	if (rc)
		load_failed(w, "city", tg_err_text(rc));
}

static void on_cells(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;
	const char *why = "";

	if (!usable(w, "cells", rc, res))
		return;
	for (int i = 0; i < PQntuples(res); i++) {
		if (tg_atlas_add_cell(w->next, tg_pg_text(res, i, 0), tg_pg_text(res, i, 1),
			    tg_pg_text(res, i, 2), tg_pg_text(res, i, 3), &why)) {
			load_failed(w, PQgetvalue(res, i, 0), why);
			return;
		}
	}
}

static void on_devices(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;

	if (!usable(w, "devices", rc, res))
		return;
	for (int i = 0; i < PQntuples(res); i++) {
		struct tg_lonlat at = {tg_pg_f64(res, i, 1), tg_pg_f64(res, i, 2)};

		rc = tg_atlas_add_device(
			w->next, tg_pg_text(res, i, 0), tg_pg_null(res, i, 1) ? NULL : &at);
		if (rc) {
			load_failed(w, "devices", tg_err_text(rc));
			return;
		}
	}
}

static void on_types(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;

	if (!usable(w, "types", rc, res))
		return;
	for (int i = 0; i < PQntuples(res); i++)
		tg_atlas_add_type(w->next, tg_pg_text(res, i, 0));
}

static void on_loaded(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;

	w->busy = false;
	if (usable(w, "end", rc, res)) {
		rc = tg_atlas_finish(w->next);
		if (rc)
			load_failed(w, "index", tg_err_text(rc));
	}
	if (w->failed || !w->next) {
		tg_atlas_free(w->next);
		w->next = NULL;
		return;
	}
	tg_atlas_free(w->now);
	w->now = w->next;
	w->next = NULL;
	w->version = w->next_version;
	tg_log(TG_INFO, "city taken up", TG_F("version", TG_I(w->version)),
		TG_F("cells", TG_I(tg_atlas_cells(w->now))));
	w->on_city(w->ctx);
}

static void ask(struct tg_atlas_watch *w, const char *sql, tg_pg_cb cb)
{
	if (tg_pg_query(w->pg, sql, NULL, 0, cb, w))
		cb(w, -TG_ECLOSED, NULL);
}

static void on_begun(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;

	if (rc)
		load_failed(w, "begin", rc == -TG_ECLOSED ? tg_err_text(rc) : tg_pg_message(res));
}

static void load(struct tg_atlas_watch *w)
{
	w->busy = true;
	w->failed = false;
	ask(w, begin_sql, on_begun);
	ask(w, frame_sql, on_frame);
	ask(w, cells_sql, on_cells);
	ask(w, devices_sql, on_devices);
	ask(w, types_sql, on_types);
	ask(w, end_sql, on_loaded);
}

static void on_version(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;

	w->busy = false;
	if (rc)
		return;
	if (PQntuples(res) == 0) {
		if (!w->said)
			tg_log(TG_WARN, "no city is loaded: tongguan city load DIR");
		w->said = true;
		return;
	}
	w->said = false;
	if (!w->now || tg_pg_i64(res, 0, 0) != w->version)
		load(w);
}

static void look(struct tg_atlas_watch *w)
{
	if (w->busy || !tg_pg_up(w->pg))
		return;
	w->busy = true;
	ask(w, version_sql, on_version);
}

static void on_timer(uv_timer_t *timer)
{
	look(tg_container_of(timer, struct tg_atlas_watch, timer));
}

static void on_up(void *ctx, struct tg_pg *pg)
{
	(void)pg;
	look(ctx);
}

int tg_atlas_watch_open(uv_loop_t *loop, const char *url, void (*on_city)(void *ctx), void *ctx,
	struct tg_atlas_watch **ret)
{
	static const struct tg_pg_ops ops = {.on_up = on_up};
	struct tg_atlas_watch *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -TG_ENOMEM;
	w->on_city = on_city;
	w->ctx = ctx;
	rc = tg_pg_open(loop, url, "tongguan ingest city", &ops, w, &w->pg);
	if (rc) {
		free(w);
		return rc;
	}
	uv_timer_init(loop, &w->timer);
	uv_timer_start(&w->timer, on_timer, POLL_MS, POLL_MS);
	*ret = w;
	return 0;
}

const struct tg_atlas *tg_atlas_watch_now(const struct tg_atlas_watch *watch)
{
	return watch->now;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_atlas_watch *w =
		tg_container_of((uv_timer_t *)handle, struct tg_atlas_watch, timer);

	tg_atlas_free(w->now);
	tg_atlas_free(w->next);
	w->closed(w->closed_ctx);
	free(w);
}

static void on_pg_closed(void *ctx)
{
	struct tg_atlas_watch *w = ctx;

	uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

void tg_atlas_watch_close(struct tg_atlas_watch *watch, void (*closed)(void *ctx), void *ctx)
{
	watch->closed = closed;
	watch->closed_ctx = ctx;
	uv_timer_stop(&watch->timer);
	tg_pg_close(watch->pg, on_pg_closed, watch);
}
