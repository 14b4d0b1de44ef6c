/* Reference data into the database: one transaction, one statement a table, each fed one JSON
 * document; and a look at the result with the eyes of the role that will take it up. */
#include <stdlib.h>

#include "base/io/pg.h"
#include "base/json.h"
#include "cmd/city.h"
#include "dispatch/city.h"
#include "queries.h"

static int run(PGconn *conn, const char *sql, const char *param, struct tg_buf *why)
{
	PGresult *res =
		param ? PQexecParams(conn, sql, 1, NULL, &param, NULL, NULL, 0) : PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(res);
	int rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : -TG_EPG;

	if (rc && tg_buf_add_cstr(why, PQresultErrorMessage(res)))
		rc = -TG_ENOMEM;
	PQclear(res);
	return rc;
}

/* Before the commit: what dispatch would refuse to take up is not stored. */
static int look_again(PGconn *conn, struct tg_buf *why)
{
	PGresult *res = PQexec(conn, tg_sql_city_check_doc);
	struct tg_city *taken = NULL;
	json_t *doc = NULL;
	int rc = -TG_EPG;

	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		rc = tg_json_parse(tg_slice_cstr(PQgetvalue(res, 0, 0)), &doc, why);
	else
		(void)!tg_buf_add_cstr(why, PQresultErrorMessage(res));
	if (!rc)
		rc = tg_city_parse(doc, &taken, why) ? -TG_ECONF : 0;
	tg_city_free(taken);
	json_decref(doc);
	PQclear(res);
	return rc;
}

int city_store(const struct city *city, PGconn *conn, struct tg_buf *why)
{
	const struct {
		const char *sql;
		const json_t *rows;
	} steps[] = {
		{tg_sql_city_clear, NULL},
		{tg_sql_city_head, city->head},
		{tg_sql_city_calendars, city->calendars},
		{tg_sql_city_days, city->days},
		{tg_sql_city_departments, city->depts},
		{tg_sql_city_duty, city->duty},
		{tg_sql_city_types, city->types},
		{tg_sql_city_conditions, city->conditions},
		{tg_sql_city_streets, city->streets},
		{tg_sql_city_cells, city->cells},
		{json_array_size(city->cells) ? "SELECT 1" : tg_sql_city_grid, NULL},
		{tg_sql_city_zones, city->zones},
		{tg_sql_city_devices, city->devices},
	};
	int rc = run(conn, "BEGIN", NULL, why);

	for (size_t i = 0; !rc && i < sizeof(steps) / sizeof(steps[0]); i++) {
		char *text = steps[i].rows ? json_dumps(steps[i].rows, JSON_COMPACT) : NULL;

		rc = run(conn, steps[i].sql, text, why);
		free(text);
	}
	if (!rc)
		rc = look_again(conn, why);
	if (!rc)
		rc = run(conn, "COMMIT", NULL, why);
	else
		PQclear(PQexec(conn, "ROLLBACK"));
	return rc;
}
