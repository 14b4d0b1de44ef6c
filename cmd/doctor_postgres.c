/* PostgreSQL: versions, schema, accounts, city, partitions, clock and disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/pg.h"
#include "cmd/doctor.h"
#include "migrations.h"

#define POSTGRES_LEAST 140000
#define POSTGIS_LEAST  3.1

/* One value, or "" when the query fails or gives none. */
static void value_of(PGconn *conn, const char *sql, char out[256])
{
	PGresult *res = PQexec(conn, sql);

	out[0] = '\0';
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		snprintf(out, 256, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
}

static void check_versions(PGconn *conn)
{
	bool old = PQserverVersion(conn) < POSTGRES_LEAST;
	char text[256];

	value_of(conn, "SHOW server_version", text);
	doctor_say(old ? DOCTOR_BAD : DOCTOR_OK, "postgresql", "version %s%s", text,
		old ? ": 14 or newer is needed" : "");
	value_of(conn, "SELECT extversion FROM pg_extension WHERE extname = 'postgis'", text);
	if (!text[0])
		doctor_say(DOCTOR_BAD, "postgis",
			"is not in this database: run `tongguan migrate` as a user who may create "
			"extensions");
	else if (strtod(text, NULL) < POSTGIS_LEAST)
		doctor_say(DOCTOR_BAD, "postgis", "version %s: %.1f or newer is needed", text,
			POSTGIS_LEAST);
	else
		doctor_say(DOCTOR_OK, "postgis", "version %s", text);
}

static bool check_schema(PGconn *conn)
{
	char text[256];
	int ours = 0, theirs;

	while (tg_migrations[ours].name)
		ours++;
	value_of(conn, "SELECT count(*) FROM public.tongguan_migration", text);
	theirs = atoi(text);
	if (!text[0] || theirs == 0)
		doctor_say(DOCTOR_BAD, "schema", "is missing: run `tongguan migrate`");
	else if (theirs < ours)
		doctor_say(DOCTOR_BAD, "schema", "%d of %d migrations: run `tongguan migrate`",
			theirs, ours);
	else if (theirs > ours)
		doctor_say(DOCTOR_BAD, "schema",
			"%d migrations, this program knows %d: it is older than the database",
			theirs, ours);
	else
		doctor_say(DOCTOR_OK, "schema", "%d migrations, the last %s", theirs,
			tg_migrations[ours - 1].name);
	return theirs > 0;
}

static void check_account(
	PGconn *conn, const char *role, const char *user, const char *password, const char *url)
{
	struct tg_buf as = {0}, why = {0};
	PGconn *own = NULL;
	char text[256], sql[256];

	if (!user[0]) {
		value_of(conn, "SELECT current_user", text);
		doctor_say(DOCTOR_WARN, "account",
			"%s works as %s, who may do everything: set postgres.%s_user and a "
			"password "
			"for tongguan_%s",
			role, text, role, role);
		return;
	}
	if (tg_pg_url_as(url, user, password, &as) == 0)
		own = tg_pg_connect_blocking(tg_buf_cstr(&as), "tongguan doctor", &why);
	if (!own) {
		doctor_say(DOCTOR_BAD, "account", "%s: %s", role, tg_buf_cstr(&why));
	} else {
		snprintf(sql, sizeof(sql),
			"SELECT pg_has_role('tongguan_%s', 'USAGE')::text || ' ' || "
			"(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)::text",
			role);
		value_of(own, sql, text);
		if (strcmp(text, "true false") == 0)
			doctor_say(DOCTOR_OK, "account", "%s works as %s", role, user);
		else if (strcmp(text, "true true") == 0)
			doctor_say(DOCTOR_WARN, "account",
				"%s works as %s, a superuser: give it an account of its own", role,
				user);
		else
			doctor_say(DOCTOR_BAD, "account",
				"%s is no member of tongguan_%s: GRANT tongguan_%s TO %s", user,
				role, role, user);
	}
	PQfinish(own);
	tg_buf_release(&as);
	tg_buf_release(&why);
}

static void check_city(PGconn *conn)
{
	char text[256];

	value_of(conn,
		"SELECT name_zh || ' (' || division || '), version ' || version FROM tongguan.city",
		text);
	if (!text[0])
		doctor_say(DOCTOR_BAD, "city", "none is loaded: run `tongguan city load DIR`");
	else
		doctor_say(DOCTOR_OK, "city", "%s", text);
}

static void check_partitions(PGconn *conn, const struct tg_conf *conf)
{
	char ahead[256], old[256], sql[256];

	value_of(conn, "SELECT count(*) FROM tongguan.event_partitions() WHERE from_at > now()",
		ahead);
	snprintf(sql, sizeof(sql),
		"SELECT count(*) FROM tongguan.event_partitions() WHERE to_at <= now() - interval "
		"'%lld "
		"days'",
		(long long)conf->ingest_retention_days + 1);
	value_of(conn, sql, old);
	if (!ahead[0])
		return; /* the schema's line has said it */
	if (conf->ingest_retention_days && atoi(old) > 0)
		doctor_say(DOCTOR_WARN, "partitions",
			"%s older than ingest.retention_days: is ingest running? Its log and "
			"tongguan_ingest_retention_needed_events say why one stays",
			old);
	else if (atoi(ahead) == 0)
		doctor_say(DOCTOR_WARN, "partitions", "none is made ahead: is ingest running?");
	else
		doctor_say(DOCTOR_OK, "partitions", "%s made ahead", ahead);
}

static void check_clock(PGconn *conn)
{
	int64_t before_us = tg_now_us(), after_us;
	char text[256];

	value_of(conn, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", text);
	after_us = tg_now_us();
	if (text[0])
		doctor_clock("PostgreSQL", strtoll(text, NULL, 10), (before_us + after_us) / 2,
			(after_us - before_us) / 2);
}

/* The server's processes work in its data folder: df there tells of that disk, wherever it is. */
static void check_disk(PGconn *conn)
{
	double kib_all = 0, kib_free = 0;
	char text[256];

	PQclear(PQexec(conn, "CREATE TEMP TABLE doctor_df (line text)"));
	PQclear(PQexec(conn, "COPY doctor_df FROM PROGRAM 'df -Pk . | tail -n 1'"));
	value_of(conn, "SELECT line FROM doctor_df", text);
	if (text[0] && sscanf(text, "%*s %lf %*s %lf", &kib_all, &kib_free) == 2) {
		doctor_disk("PostgreSQL's data", "on its server", kib_free * 1024, kib_all * 1024);
		return;
	}
	value_of(conn, "SELECT pg_size_pretty(pg_database_size(current_database()))", text);
	doctor_say(DOCTOR_WARN, "disk",
		"PostgreSQL's data: this account may not see how much is free (the database has "
		"%s); "
		"watch it on the server",
		text);
}

void doctor_postgres(const struct tg_conf *conf)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(conf->postgres_url, "tongguan doctor", &why);

	if (!conn) {
		doctor_say(DOCTOR_BAD, "postgresql", "%s", tg_buf_cstr(&why));
		tg_buf_release(&why);
		return;
	}
	tg_buf_release(&why);
	PQclear(PQexec(conn, "SET client_min_messages = error"));
	check_versions(conn);
	if (check_schema(conn)) {
		check_account(conn, "ingest", conf->postgres_ingest_user,
			conf->postgres_ingest_password, conf->postgres_url);
		check_account(conn, "correlate", conf->postgres_correlate_user,
			conf->postgres_correlate_password, conf->postgres_url);
		check_account(conn, "dispatch", conf->postgres_dispatch_user,
			conf->postgres_dispatch_password, conf->postgres_url);
		check_city(conn);
		check_partitions(conn, conf);
	}
	check_clock(conn);
	check_disk(conn);
	PQfinish(conn);
}
