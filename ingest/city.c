#include "ingest/city.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/io/pg.h"
#include "base/list.h"
#include "base/log.h"

#define POLL_MS 2000
/* What one answer may hold: copying it is all that the loop does with it. */
#define PAGE_ROWS "1000"

/* One load is one snapshot of the database, so that cells and devices belong to the version. */
static const char begin_sql[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
static const char end_sql[] = "ROLLBACK";
static const char version_sql[] = "SELECT version FROM tongguan.city";
static const char frame_sql[] = "SELECT version, ST_XMin(boundary), ST_YMin(boundary), "
				"ST_XMax(boundary), ST_YMax(boundary), region_m, halo_m"
				" FROM tongguan.city";
static const char cells_sql[] =
	"SELECT c.id, c.cell_id, c.street, s.district, encode(ST_AsBinary(c.geom), 'hex')"
	" FROM tongguan.grid_cell c LEFT JOIN tongguan.street s ON s.code = c.street"
	" WHERE c.id > $1::integer ORDER BY c.id LIMIT " PAGE_ROWS;
static const char devices_sql[] =
	"SELECT device_id, ST_X(geom), ST_Y(geom), source_kind FROM tongguan.device"
	" WHERE device_id > $1 ORDER BY device_id LIMIT " PAGE_ROWS;
static const char types_sql[] = "SELECT type_code FROM tongguan.case_type WHERE type_code > $1"
				" ORDER BY type_code LIMIT " PAGE_ROWS;

/* One page of a table, kept for the building thread. */
struct page {
	struct page *next;
	size_t table; /* of tables[] */
	PGresult *res;
};

struct tg_atlas_watch {
	struct tg_pg *pg;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct tg_atlas *now;
	int64_t version;
	bool busy;     /* asking or building */
	bool building; /* the work below is with its thread */
	bool said;     /* that there is no city */
	void (*on_city)(void *ctx);
	void *ctx;
	void (*closed)(void *ctx);
	void *closed_ctx;
	bool gone; /* every handle is closed: only the building thread is waited for */

	/* The load under way. */
	int64_t next_version;
	struct tg_atlas_frame frame;
	struct page *pages, **last_page;
	size_t table;
	bool failed; /* this load: it is thrown away at its end */
	struct tg_atlas *next;
	uv_work_t work;
	int work_rc;
	char work_why[256];
};

/* ---- building, off the loop
 * ---------------------------------------------------------------------------------------------
 */

typedef int (*row_adder)(
	struct tg_atlas *atlas, const PGresult *res, int row, const char **ret_why);

static int add_cell(struct tg_atlas *atlas, const PGresult *res, int row, const char **ret_why)
{
	return tg_atlas_add_cell(atlas, tg_pg_text(res, row, 1), tg_pg_text(res, row, 2),
		tg_pg_text(res, row, 3), tg_pg_text(res, row, 4), ret_why);
}

static int add_device(struct tg_atlas *atlas, const PGresult *res, int row, const char **ret_why)
{
	struct tg_lonlat at = {tg_pg_f64(res, row, 1), tg_pg_f64(res, row, 2)};
	int rc = tg_atlas_add_device(atlas, tg_pg_text(res, row, 0),
		tg_pg_null(res, row, 1) ? NULL : &at,
		tg_pg_i64(res, row, 3) == TONGGUAN__V1__SOURCE_KIND__VEHICLE);

	*ret_why = tg_err_text(rc);
	return rc;
}

static int add_type(struct tg_atlas *atlas, const PGresult *res, int row, const char **ret_why)
{
	(void)ret_why;
	tg_atlas_add_type(atlas, tg_pg_text(res, row, 0));
	return 0;
}

/* Read in this order, each by the key in its first column. */
static const struct table {
	const char *name, *sql, *before_first;
	row_adder add;
	int name_column;
} tables[] = {
	{"cell", cells_sql, "-1", add_cell, 1},
	{"device", devices_sql, "", add_device, 0},
	{"type", types_sql, "", add_type, 0},
};

#define TABLES (sizeof(tables) / sizeof(tables[0]))

static int add_page(struct tg_atlas_watch *w, const struct page *page)
{
	const struct table *table = &tables[page->table];

	for (int row = 0; row < PQntuples(page->res); row++) {
		const char *why = "";
		int rc = table->add(w->next, page->res, row, &why);

		if (rc) {
			snprintf(w->work_why, sizeof(w->work_why), "%s %s: %s", table->name,
				PQgetvalue(page->res, row, table->name_column), why);
			return rc;
		}
	}
	return 0;
}

/* On a thread of its own: touches only what belongs to this load. */
static void build(uv_work_t *work)
{
	struct tg_atlas_watch *w = tg_container_of(work, struct tg_atlas_watch, work);
	int rc = tg_atlas_new(&w->frame, &w->next);

	for (struct page *page = w->pages; page && !rc; page = page->next)
		rc = add_page(w, page);
	if (!rc)
		rc = tg_atlas_finish(w->next);
	if (rc && !w->work_why[0])
		snprintf(w->work_why, sizeof(w->work_why), "%s", tg_err_text(rc));
	w->work_rc = rc;
}

/* ---- one load
 * ---------------------------------------------------------------------------------------------------------
 */

static void load_failed(struct tg_atlas_watch *w, const char *what, const char *why)
{
	if (!w->failed)
		tg_log(TG_ERROR, "city not taken up", TG_F("what", TG_S(what)),
			TG_F("why", TG_S(why)));
	w->failed = true;
}

static void query_failed(struct tg_atlas_watch *w, const char *what, int rc, const PGresult *res)
{
	load_failed(w, what, rc == -TG_ECLOSED ? tg_err_text(rc) : tg_pg_message(res));
}

static void drop_pages(struct tg_atlas_watch *w)
{
	while (w->pages) {
		struct page *page = w->pages;

		w->pages = page->next;
		PQclear(page->res);
		free(page);
	}
}

static void forget(struct tg_atlas_watch *w)
{
	drop_pages(w);
	tg_atlas_free(w->next);
	w->next = NULL;
	w->busy = false;
}

static void ask(struct tg_atlas_watch *w, const char *sql, const char *param, tg_pg_cb cb)
{
	if (tg_pg_query(w->pg, sql, &param, param != NULL, cb, w))
		cb(w, -TG_ECLOSED, NULL);
}

static void free_watch(struct tg_atlas_watch *w)
{
	forget(w);
	tg_atlas_free(w->now);
	w->closed(w->closed_ctx);
	free(w);
}

static void on_built(uv_work_t *work, int status)
{
	struct tg_atlas_watch *w = tg_container_of(work, struct tg_atlas_watch, work);

	w->building = false;
	if (w->gone) {
		free_watch(w);
		return;
	}
	if (status || w->work_rc) {
		load_failed(w, "index", status ? uv_strerror(status) : w->work_why);
	} else if (!w->closed) {
		tg_atlas_free(w->now);
		w->now = w->next;
		w->next = NULL;
		w->version = w->next_version;
		tg_log(TG_INFO, "city taken up", TG_F("version", TG_I(w->version)),
			TG_F("cells", TG_I(tg_atlas_cells(w->now))));
		w->on_city(w->ctx);
	}
	forget(w);
}

static void on_ended(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;

	if (rc)
		query_failed(w, "end", rc, res);
	if (w->failed || w->closed) {
		forget(w);
		return;
	}
	w->work_why[0] = '\0';
	rc = uv_queue_work(w->loop, &w->work, build, on_built);
	if (rc) {
		load_failed(w, "index", uv_strerror(rc));
		forget(w);
		return;
	}
	w->building = true;
}

static int keep_page(struct tg_atlas_watch *w, const PGresult *res)
{
	struct page *page = malloc(sizeof(*page));

	if (!page)
		return -TG_ENOMEM;
	*page = (struct page){
		NULL, w->table, PQcopyResult(res, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES)};
	if (!page->res) {
		free(page);
		return -TG_ENOMEM;
	}
	*w->last_page = page;
	w->last_page = &page->next;
	return 0;
}

static void on_page(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;
	int rows;

	if (rc) {
		query_failed(w, tables[w->table].name, rc, res);
		ask(w, end_sql, NULL, on_ended);
		return;
	}
	rows = PQntuples(res);
	if (rows == 0)
		w->table++;
	else if (keep_page(w, res))
		load_failed(w, tables[w->table].name, tg_err_text(-TG_ENOMEM));
	if (w->failed || w->closed || w->table == TABLES)
		ask(w, end_sql, NULL, on_ended);
	else
		ask(w, tables[w->table].sql,
			rows ? PQgetvalue(res, rows - 1, 0) : tables[w->table].before_first,
			on_page);
}

static void on_frame(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;

	if (rc)
		query_failed(w, "city", rc, res);
	else if (PQntuples(res) == 0)
		load_failed(w, "city", "there is none");
	if (w->failed) {
		ask(w, end_sql, NULL, on_ended);
		return;
	}
	w->next_version = tg_pg_i64(res, 0, 0);
	w->frame = (struct tg_atlas_frame){tg_pg_f64(res, 0, 1), tg_pg_f64(res, 0, 2),
		tg_pg_f64(res, 0, 3), tg_pg_f64(res, 0, 4), tg_pg_f64(res, 0, 5),
		tg_pg_f64(res, 0, 6)};
	ask(w, tables[0].sql, tables[0].before_first, on_page);
}

static void on_begun(void *ctx, int rc, const PGresult *res)
{
	struct tg_atlas_watch *w = ctx;

	if (rc) {
		query_failed(w, "begin", rc, res);
		forget(w);
		return;
	}
	ask(w, frame_sql, NULL, on_frame);
}

static void load(struct tg_atlas_watch *w)
{
	w->busy = true;
	w->failed = false;
	w->table = 0;
	w->last_page = &w->pages;
	ask(w, begin_sql, NULL, on_begun);
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
	if (w->busy || w->closed || !tg_pg_up(w->pg))
		return;
	w->busy = true;
	ask(w, version_sql, NULL, on_version);
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
	w->loop = loop;
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

	w->gone = true;
	if (!w->building)
		free_watch(w);
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
