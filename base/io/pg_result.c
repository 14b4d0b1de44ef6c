/* Reading results, and the blocking connection of the commands. */
#include "base/io/pg.h"

#include <stdlib.h>

const char *tg_pg_sqlstate(const PGresult *res)
{
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	return state ? state : "";
}

const char *tg_pg_message(const PGresult *res)
{
	const char *text = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;

	return text ? text : res ? PQresultErrorMessage(res) : "";
}

bool tg_pg_null(const PGresult *res, int row, int col)
{
	return PQgetisnull(res, row, col);
}

int64_t tg_pg_i64(const PGresult *res, int row, int col)
{
	return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

double tg_pg_f64(const PGresult *res, int row, int col)
{
	return strtod(PQgetvalue(res, row, col), NULL);
}

bool tg_pg_bool(const PGresult *res, int row, int col)
{
	return PQgetvalue(res, row, col)[0] == 't';
}

struct tg_slice tg_pg_text(const PGresult *res, int row, int col)
{
	return (struct tg_slice){PQgetvalue(res, row, col), (size_t)PQgetlength(res, row, col)};
}

PGconn *tg_pg_connect_blocking(const char *url, const char *app, struct tg_buf *why)
{
	static const char *const keys[] = {
		"application_name", "client_encoding", "connect_timeout", "dbname", NULL};
	const char *const values[] = {app, "UTF8", "5", url, NULL};
	PGconn *conn = PQconnectdbParams(keys, values, /* expand_dbname= */ 1);

	if (conn && PQstatus(conn) == CONNECTION_OK)
		return conn;
	/* A lost explanation (memory) is not worth a second failure. */
	if (why && tg_buf_add_cstr(why, conn ? PQerrorMessage(conn) : "out of memory"))
		tg_buf_reset(why);
	while (why && why->len && why->data[why->len - 1] == '\n')
		why->len--;
	PQfinish(conn);
	return NULL;
}
