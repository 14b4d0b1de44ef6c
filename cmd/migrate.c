/* tongguan migrate: numbered SQL files, each applied once, in order, in one transaction, under one
 * advisory lock. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io/kafka.h"
#include "base/io/pg.h"
#include "cmd/cmd.h"
#include "migrations.h"

#define NAME          "migrate"
#define POSTGIS_LEAST 3.1

/* Any number will do as long as every version of the program takes the same one. */
#define LOCK_SQL "SELECT pg_advisory_lock(7409201122)"
#define LEDGER_SQL                                                                               \
	"CREATE TABLE IF NOT EXISTS public.tongguan_migration ("                                 \
	" name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT " \
	"now())"

static const char usage[] = "usage: tongguan migrate [--topics | --topics-only] [--config FILE]\n\n"
			    "Brings the database schema to this version. Safe to repeat, and safe "
			    "from two hosts at once.\n"
			    "  --topics       also create the Kafka topics that are missing\n"
			    "  --topics-only  only those\n";

static void digest(const char *text, char hex[2 * crypto_hash_sha256_BYTES + 1])
{
	unsigned char sum[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(sum, (const unsigned char *)text, strlen(text));
	tg_hex(sum, sizeof(sum), hex);
}

static int run_sql(PGconn *conn, const char *what, const char *sql)
{
	PGresult *res = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(res);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok)
		tg_cmd_fail(NAME, "%s: %s", what, PQresultErrorMessage(res));
	PQclear(res);
	return ok ? 0 : -TG_EPG;
}

/* 1 applied with this text, 0 not applied, negative: applied with another text, or the query
 * failed. */
static int applied(PGconn *conn, const char *name, const char *hex)
{
	const char *params[] = {name};
	PGresult *res =
		PQexecParams(conn, "SELECT sha256 FROM public.tongguan_migration WHERE name = $1",
			1, NULL, params, NULL, NULL, 0);
	int rc = -TG_EPG;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		tg_cmd_fail(NAME, "%s: %s", name, PQresultErrorMessage(res));
	else if (PQntuples(res) == 0)
		rc = 0;
	else if (strcmp(PQgetvalue(res, 0, 0), hex) == 0)
		rc = 1;
	else
		tg_cmd_fail(NAME,
			"%s was applied with another text: this program and the database do not "
			"belong "
			"together",
			name);
	PQclear(res);
	return rc;
}

static int apply(PGconn *conn, const struct tg_migration *m, const char *hex)
{
	const char *params[] = {m->name, hex};
	PGresult *res;
	bool ok;

	if (run_sql(conn, m->name, "BEGIN") || run_sql(conn, m->name, m->sql)) {
		PQclear(PQexec(conn, "ROLLBACK"));
		return -TG_EPG;
	}
	res = PQexecParams(conn,
		"INSERT INTO public.tongguan_migration (name, sha256) VALUES ($1, $2)", 2, NULL,
		params, NULL, NULL, 0);
	ok = PQresultStatus(res) == PGRES_COMMAND_OK;
	PQclear(res);
	return ok ? run_sql(conn, m->name, "COMMIT") : -TG_EPG;
}

/* One line before anything is changed, instead of an SQL error in the middle. */
static int check_postgis(PGconn *conn)
{
	PGresult *res = PQexec(
		conn, "SELECT default_version FROM pg_available_extensions WHERE name = 'postgis'");
	bool known = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1;
	double version = known ? strtod(PQgetvalue(res, 0, 0), NULL) : 0;

	if (!known)
		tg_cmd_fail(NAME, "the server has no PostGIS: install it there (Debian: "
				  "postgresql-15-postgis-3)");
	else if (version < POSTGIS_LEAST)
		tg_cmd_fail(NAME, "PostGIS %s is too old: %.1f or newer is needed",
			PQgetvalue(res, 0, 0), POSTGIS_LEAST);
	PQclear(res);
	return version < POSTGIS_LEAST ? -TG_EPG : 0;
}

static int migrate_schema(const char *url)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(url, "tongguan migrate", &why);
	int count = 0, rc;

	if (!conn) {
		tg_cmd_fail(NAME, "%s", tg_buf_cstr(&why));
		tg_buf_release(&why);
		return -TG_EPG;
	}
	tg_buf_release(&why);
	rc = check_postgis(conn);
	if (!rc)
		rc = run_sql(conn, "SET", "SET client_min_messages = warning");
	if (!rc)
		rc = run_sql(conn, "lock", LOCK_SQL);
	if (!rc)
		rc = run_sql(conn, "ledger", LEDGER_SQL);
	for (const struct tg_migration *m = tg_migrations; !rc && m->name; m++) {
		char hex[2 * crypto_hash_sha256_BYTES + 1];

		digest(m->sql, hex);
		rc = applied(conn, m->name, hex);
		if (rc == 0) {
			rc = apply(conn, m, hex);
			count++;
		} else if (rc == 1) {
			rc = 0;
		}
	}
	PQfinish(conn); /* the session's advisory lock goes with it */
	if (!rc)
		printf("schema is up to date (%d applied)\n", count);
	return rc;
}

/* ---- topics
 * --------------------------------------------------------------------------------------------------------
 */

#define MESSAGE_MAX      (INT64_C(4) << 20)
#define DEAD_LETTER_MAX  (INT64_C(8) << 20)
#define INPUT_TOPICS_MAX 32

static const char *const own_topics[] = {
	"tongguan.events.located",
	"tongguan.incidents",
	"tongguan.case.events",
	"tongguan.audit.anchors",
	"tongguan.dead_letter",
};

static int migrate_topics(const struct tg_conf *conf)
{
	struct tg_topic_spec specs[INPUT_TOPICS_MAX + 8];
	char *inputs = strdup(conf->kafka_topics), *save = NULL;
	struct tg_buf why = {0};
	size_t n = 0;
	int rc;

	for (char *t = strtok_r(inputs, ", ", &save); t && n < INPUT_TOPICS_MAX;
		t = strtok_r(NULL, ", ", &save))
		specs[n++] = (struct tg_topic_spec){
			t, (int)conf->kafka_input_partitions, MESSAGE_MAX, 0};
	for (size_t i = 0; i < sizeof(own_topics) / sizeof(own_topics[0]); i++) {
		bool dead = strstr(own_topics[i], "dead_letter") != NULL;
		bool located = strstr(own_topics[i], "located") != NULL;
		bool anchors = strstr(own_topics[i], "anchors") != NULL; /* the second store */

		specs[n++] = (struct tg_topic_spec){own_topics[i],
			located ? (int)conf->kafka_located_partitions : 1,
			dead ? DEAD_LETTER_MAX : MESSAGE_MAX, anchors ? -1 : 0};
	}
	rc = tg_topics_create(conf->kafka_brokers, specs, n, &why);
	if (rc)
		tg_cmd_fail(NAME, "topics: %s", tg_buf_cstr(&why));
	else
		printf("topics are there (%zu)\n", n);
	tg_buf_release(&why);
	free(inputs);
	return rc;
}

int cmd_migrate(int argc, char **argv)
{
	struct tg_conf conf;
	bool schema = true, topics = false;
	int rc = tg_cmd_begin(&argc, argv, usage, false, &conf);

	if (rc >= 0)
		return rc;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--topics") == 0)
			topics = true;
		else if (strcmp(argv[i], "--topics-only") == 0)
			topics = true, schema = false;
		else
			return tg_cmd_usage(NAME, "what is '%s'?", argv[i]);
	}
	if (sodium_init() < 0)
		return tg_cmd_fail(NAME, "libsodium does not start");
	rc = schema ? migrate_schema(conf.postgres_url) : 0;
	if (!rc && topics)
		rc = migrate_topics(&conf);
	tg_conf_release(&conf);
	return rc ? TG_EXIT_FAILED : TG_EXIT_DONE;
}
