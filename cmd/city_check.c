/* What a database with PostGIS knows better than this program: asked in a transaction that is
 * rolled back, before anything changes. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/city.h"
#include "queries.h"

#define DEVICES "devices.csv"

static const char make_sql[] = "BEGIN; SET LOCAL client_min_messages = warning; CREATE TEMPORARY "
			       "TABLE city_shape (level text, file text, \"row\" integer, id text,"
			       " apart boolean, loose boolean, geom geometry) ON COMMIT DROP";
static const char index_sql[] = "CREATE INDEX ON city_shape USING gist (geom); ANALYZE city_shape";

static PGresult *ask(
	PGconn *conn, const char *sql, const char *const *params, int n, struct tg_buf *why)
{
	PGresult *res =
		n ? PQexecParams(conn, sql, n, NULL, params, NULL, NULL, 0) : PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return res;
	(void)!tg_buf_addf(why, "%s", PQresultErrorMessage(res));
	PQclear(res);
	return NULL;
}

static bool run(PGconn *conn, const char *sql, const char *param, struct tg_buf *why)
{
	PGresult *res = ask(conn, sql, &param, param != NULL, why);

	PQclear(res);
	return res != NULL;
}

static size_t row_number(const PGresult *res, int row, int column)
{
	return (size_t)strtoul(PQgetvalue(res, row, column), NULL, 10);
}

static void complain_of_crossing(struct city *city, const PGresult *res, int i)
{
	city_complain(city, PQgetvalue(res, i, 0), row_number(res, i, 1),
		"feature %s \"%s\": %s at %.6f, %.6f; redraw it there", PQgetvalue(res, i, 1),
		PQgetvalue(res, i, 2), PQgetvalue(res, i, 3), strtod(PQgetvalue(res, i, 4), NULL),
		strtod(PQgetvalue(res, i, 5), NULL));
}

static void complain_of_overlap(struct city *city, const PGresult *res, int i)
{
	city_complain(city, PQgetvalue(res, i, 0), row_number(res, i, 1),
		"feature %s \"%s\" overlaps feature %s \"%s\" by %.0f m²; move their border",
		PQgetvalue(res, i, 1), PQgetvalue(res, i, 2), PQgetvalue(res, i, 4),
		PQgetvalue(res, i, 3), strtod(PQgetvalue(res, i, 5), NULL));
}

static void complain_of_outside(struct city *city, const PGresult *res, int i)
{
	city_complain(city, DEVICES, row_number(res, i, 0),
		"device \"%s\" stands %.1f km outside the city; correct lon, lat or datum",
		PQgetvalue(res, i, 1), strtod(PQgetvalue(res, i, 2), NULL) / 1000);
}

static bool check(struct city *city, PGconn *conn, const char *sql, const char *const *params,
	int n, void (*complain)(struct city *city, const PGresult *res, int i), struct tg_buf *why)
{
	PGresult *res = ask(conn, sql, params, n, why);
	bool ok = res != NULL;

	for (int i = 0; ok && i < PQntuples(res); i++)
		complain(city, res, i);
	PQclear(res);
	return ok;
}

int city_check(struct city *city, PGconn *conn, struct tg_buf *why)
{
	char *shapes = json_dumps(city->shapes, JSON_COMPACT);
	char *devices = json_dumps(city->devices, JSON_COMPACT), halo[40];
	const char *outside[] = {devices, halo};
	bool ok;

	snprintf(halo, sizeof(halo), "%.17g",
		json_number_value(json_object_get(city->head, "halo_m")));
	ok = shapes && devices && run(conn, make_sql, NULL, why) &&
	     run(conn, tg_sql_city_check_shapes, shapes, why) && run(conn, index_sql, NULL, why) &&
	     check(city, conn, tg_sql_city_check_crossing, NULL, 0, complain_of_crossing, why) &&
	     check(city, conn, tg_sql_city_check_overlap, NULL, 0, complain_of_overlap, why) &&
	     check(city, conn, tg_sql_city_check_outside, outside, 2, complain_of_outside, why);
	PQclear(PQexec(conn, "ROLLBACK"));
	free(shapes);
	free(devices);
	return ok ? 0 : -TG_EPG;
}
