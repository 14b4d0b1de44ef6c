#include "cmd/access.h"

#include <stdio.h>
#include <string.h>

#include "base/io/pg.h"
#include "dispatch/act.h"
#include "queries.h"

static const char *const options[] = {"--name", "--role", "--department", "--days"};

static const char **option_place(struct tg_access *a, size_t i)
{
	const char **places[] = {&a->name, &a->role, &a->department, &a->days};

	return places[i];
}

/* One argument, or an option with its value. Returns how many were taken; 0: none that we know. */
static int take(struct tg_access *a, char **argv)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		size_t n = strlen(options[i]);

		if (strncmp(argv[0], options[i], n) != 0)
			continue;
		if (argv[0][n] == '=') {
			*option_place(a, i) = argv[0] + n + 1;
			return 1;
		}
		if (argv[0][n] == '\0' && argv[1]) {
			*option_place(a, i) = argv[1];
			return 2;
		}
	}
	if (strcmp(argv[0], "--read-only") == 0) {
		a->read_only = true;
		return 1;
	}
	if (argv[0][0] == '-')
		return 0;
	if (!a->verb)
		a->verb = argv[0];
	else if (!a->name)
		a->name = argv[0];
	else
		return 0;
	return 1;
}

/* Only once the command line is understood. */
static bool connected(struct tg_access *a)
{
	struct tg_buf why = {0};

	if (a->conn)
		return true;
	a->conn = tg_pg_connect_blocking(a->conf.postgres_url, "tongguan command", &why);
	if (!a->conn)
		tg_cmd_fail(a->command, "%s", tg_buf_cstr(&why));
	tg_buf_release(&why);
	return a->conn != NULL;
}

int tg_access_begin(struct tg_access *a, int argc, char **argv, const char *usage)
{
	int rc;

	*a = (struct tg_access){.command = argv[0]};
	rc = tg_cmd_begin(&argc, argv, usage, false, &a->conf);
	if (rc >= 0)
		return rc;
	rc = -1;
	for (int i = 1, n = 0; i < argc && rc < 0; i += n) {
		n = take(a, argv + i);
		if (n == 0)
			rc = tg_cmd_usage(a->command, "what is '%s'?", argv[i]);
	}
	if (rc < 0 && !a->verb)
		rc = tg_cmd_usage(a->command, "what is to be done?");
	if (rc >= 0)
		tg_access_end(a);
	return rc;
}

void tg_access_end(struct tg_access *a)
{
	PQfinish(a->conn);
	a->conn = NULL;
	tg_conf_release(&a->conf);
}

PGresult *tg_access_run(struct tg_access *a, const char *sql, const char *const *params, int n)
{
	PGresult *res;
	const char *state;

	if (!connected(a))
		return NULL;
	res = PQexecParams(a->conn, sql, n, NULL, params, NULL, NULL, 0);
	state = tg_pg_sqlstate(res);
	if (PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK)
		return res;
	if (strcmp(state, "23505") == 0)
		tg_cmd_fail(a->command, "there is a %s named '%s' already", a->command, a->name);
	else if (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)
		tg_cmd_fail(a->command, "the database has no schema yet: run tongguan migrate");
	else if (strcmp(state, "23514") == 0)
		tg_cmd_fail(a->command, "a name has 1 to 63 bytes");
	else
		tg_cmd_fail(a->command, "%s", PQresultErrorMessage(res));
	PQclear(res);
	return NULL;
}

int tg_access_check_role(struct tg_access *a)
{
	enum tg_role role;
	PGresult *res;
	bool known;

	if (!a->name || !*a->name)
		return tg_cmd_usage(a->command, "a name is wanted");
	if (!a->role)
		return tg_cmd_usage(a->command, "--role is wanted");
	if (!tg_role_parse(tg_slice_cstr(a->role), &role) || role == TG_ROLE_SYSTEM)
		return tg_cmd_usage(a->command, "there is no role '%s'", a->role);
	if (role == TG_ROLE_DEPARTMENT && !a->department)
		return tg_cmd_usage(a->command, "the role department wants --department");
	if (role != TG_ROLE_DEPARTMENT && a->department && !a->read_only)
		return tg_cmd_usage(a->command,
			"--department goes with the role department, or with a token that is "
			"--read-only");
	if (!a->department)
		return -1;
	res = tg_access_run(a, tg_sql_dept_known, &a->department, 1);
	if (!res)
		return TG_EXIT_FAILED;
	known = PQntuples(res) > 0;
	PQclear(res);
	if (!known)
		return tg_cmd_fail(
			a->command, "the loaded city has no department '%s'", a->department);
	return -1;
}

int tg_access_change(
	struct tg_access *a, const char *sql, const char *const *params, int n, const char *missing)
{
	PGresult *res = tg_access_run(a, sql, params, n);
	bool changed;

	if (!res)
		return TG_EXIT_FAILED;
	changed = strcmp(PQcmdTuples(res), "1") == 0;
	PQclear(res);
	return changed ? TG_EXIT_DONE : tg_cmd_fail(a->command, "%s '%s'", missing, a->name);
}

int tg_access_print(struct tg_access *a, const char *sql)
{
	PGresult *res = tg_access_run(a, sql, NULL, 0);

	if (!res)
		return TG_EXIT_FAILED;
	printf("%-24s %-12s %-10s %-9s %-20s %s\n", "name", "role", "department", "state",
		"created", "runs out");
	for (int i = 0; i < PQntuples(res); i++)
		printf("%-24s %-12s %-10s %-9s %-20s %s\n", PQgetvalue(res, i, 0),
			PQgetvalue(res, i, 1), PQgetvalue(res, i, 2), PQgetvalue(res, i, 3),
			PQgetvalue(res, i, 4), PQgetvalue(res, i, 5));
	PQclear(res);
	return TG_EXIT_DONE;
}
