/* PostgreSQL of `tongguan up`: a cluster of its own, its database, schema and city. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io/pg.h"
#include "cmd/cmd.h"
#include "cmd/up_steps.h"

#define NAME   "up"
#define PG_BIN "/usr/lib/postgresql/15/bin"

const char *const up_pg_roles[UP_PG_ROLES] = {"ingest", "correlate", "dispatch"};

bool up_others_pg(struct up *up)
{
	return !up->own_pg;
}

bool up_pg_exists(struct up *up)
{
	return !up->own_pg || up_has_file(up, "postgres/PG_VERSION");
}

int up_pg_init(struct up *up, struct up_argv *argv)
{
	if (!up_need_program(PG_BIN "/initdb", "postgresql-15 postgresql-15-postgis-3"))
		return -TG_ENOENT;
	up_arg(argv, PG_BIN "/initdb");
	up_arg(argv, "--pgdata=%s/postgres", up->servers);
	up_arg(argv, "--username=tongguan");
	up_arg(argv, "--pwfile=%s/password", up->servers);
	up_arg(argv, "--auth=scram-sha-256");
	up_arg(argv, "--encoding=UTF8");
	up_arg(argv, "--locale=C.UTF-8");
	/* Nothing is lost by it: a new, empty cluster that did not survive is made again. */
	up_arg(argv, "--no-sync");
	return 0;
}

int up_pg_start(struct up *up, struct up_argv *argv)
{
	static const char *const settings[] = {
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",
		"max_connections=60",
		"shared_buffers=256MB",
		"max_wal_size=2GB",
		"wal_compression=lz4",
		/* Written out while a batch still comes in, so that its COMMIT has little left to
		 * wait for. */
		"wal_writer_delay=10ms",
		"wal_writer_flush_after=256kB",
		"timezone=UTC",
		/* Compiling a plan costs more than any statement of ours runs. */
		"jit=off",
		"log_min_messages=warning",
		/* A peer that vanished must not hold locks. */
		"tcp_keepalives_idle=10",
		"tcp_keepalives_interval=5",
		"tcp_keepalives_count=2",
		"tcp_user_timeout=15000",
		"idle_in_transaction_session_timeout=30000",
	};

	up_arg(argv, PG_BIN "/postgres");
	up_arg(argv, "-D");
	up_arg(argv, "%s/postgres", up->servers);
	up_arg(argv, "-p");
	up_arg(argv, "%d", up->pg_port);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		up_arg(argv, "-c");
		up_arg(argv, "%s", settings[i]);
	}
	return 0;
}

bool up_pg_answers(struct up *up)
{
	char where[128];

	snprintf(where, sizeof(where),
		"host=127.0.0.1 port=%d dbname=postgres user=tongguan connect_timeout=2",
		up->pg_port);
	return PQping(where) == PQPING_OK;
}

static int create_database(struct up *up, PGconn *conn)
{
	PGresult *res = PQexec(conn, "SELECT 1 FROM pg_database WHERE datname = 'tongguan'");
	int rc = 0;

	up->new_database = PQntuples(res) == 0;
	PQclear(res);
	if (!up->new_database)
		return 0;
	res = PQexec(conn, "CREATE DATABASE tongguan TEMPLATE template0");
	if (PQresultStatus(res) != PGRES_COMMAND_OK) {
		tg_cmd_fail(NAME, "%s", PQresultErrorMessage(res));
		rc = -TG_EPG;
	}
	PQclear(res);
	return rc;
}

int up_pg_database(struct up *up, struct up_argv *argv)
{
	struct tg_buf why = {0};
	char url[600];
	PGconn *conn;
	int rc = -TG_EPG;

	(void)argv;
	snprintf(url, sizeof(url), "%s", up->pg_url);
	strcpy(strrchr(url, '/'), "/postgres");
	conn = tg_pg_connect_blocking(url, "tongguan up", &why);
	if (conn)
		rc = create_database(up, conn);
	else
		tg_cmd_fail(NAME, "%s", tg_buf_cstr(&why));
	PQfinish(conn);
	tg_buf_release(&why);
	return rc;
}

int up_migrate(struct up *up, struct up_argv *argv)
{
	up_arg(argv, "%s", up->self);
	up_arg(argv, "migrate");
	return 0;
}

/* The processes work under accounts that may do what they need and no more. Their passwords live as
 * long as this run: in up.env and nowhere else. */
int up_pg_accounts(struct up *up, struct up_argv *argv)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(up->pg_url, "tongguan up", &why);
	char sql[160];
	int rc = conn ? 0 : -TG_EPG;

	(void)argv;
	if (!conn)
		tg_cmd_fail(NAME, "%s", tg_buf_cstr(&why));
	for (int i = 0; !rc && i < UP_PG_ROLES; i++) {
		PGresult *res;

		up_password(up->pg_passwords[i], 24);
		snprintf(sql, sizeof(sql), "ALTER ROLE tongguan_%s LOGIN PASSWORD '%s'",
			up_pg_roles[i], up->pg_passwords[i]);
		res = PQexec(conn, sql);
		if (PQresultStatus(res) != PGRES_COMMAND_OK) {
			tg_cmd_fail(NAME, "%s", PQresultErrorMessage(res));
			rc = -TG_EPG;
		}
		PQclear(res);
	}
	PQfinish(conn);
	tg_buf_release(&why);
	up_export(up);
	return rc;
}

int up_city(struct up *up, struct up_argv *argv)
{
	up_arg(argv, "%s", up->self);
	up_arg(argv, "city");
	up_arg(argv, "load");
	up_arg(argv, "%s", up->city);
	return 0;
}
