/* Reference data into the database: one transaction, one statement a table, each fed one JSON
 * document. */
#include <stdlib.h>

#include "base/io/pg.h"
#include "cmd/city.h"
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

int city_store(const struct city *city, const char *postgres_url, struct tg_buf *why)
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
		{tg_sql_city_types, city->types},
		{tg_sql_city_conditions, city->conditions},
		{tg_sql_city_streets, city->streets},
		{tg_sql_city_cells, city->cells},
		{json_array_size(city->cells) ? "SELECT 1" : tg_sql_city_grid, NULL},
		{tg_sql_city_devices, city->devices},
	};
	PGconn *conn = tg_pg_connect_blocking(postgres_url, "tongguan city", why);
	int rc = conn ? run(conn, "BEGIN", NULL, why) : -TG_EPG;

	for (size_t i = 0; !rc && i < sizeof(steps) / sizeof(steps[0]); i++) {
		char *text = steps[i].rows ? json_dumps(steps[i].rows,
						     JSON_COMPACT | JSON_REAL_PRECISION(15))
					   : NULL;

		rc = run(conn, steps[i].sql, text, why);
		free(text);
	}
	if (!rc)
		rc = run(conn, "COMMIT", NULL, why);
	PQfinish(conn);
	return rc;
}
