/* The demo accounts of a new database: one a role, with generated passwords. */
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

#define NAME "up"

static const char *const demo_roles[] = {"operator", "shift_lead", "leader", "department",
	"inspector", "supervisor", "auditor", "admin"};

/* The department that leads most types will get the first task; *ret_users: are there accounts
 * already? */
static int look_around(struct up *up, char dept[64], bool *ret_users)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(up->pg_url, "tongguan up", &why);
	PGresult *res;
	int rc = -TG_ENOENT;

	tg_buf_release(&why);
	if (!conn)
		return -TG_EPG;
	res = PQexec(conn,
		"SELECT t.lead, EXISTS (SELECT FROM tongguan.account) FROM tongguan.case_type t"
		" WHERE t.lead IS NOT NULL GROUP BY t.lead ORDER BY count(*) DESC, t.lead LIMIT 1");
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1) {
		snprintf(dept, 64, "%s", PQgetvalue(res, 0, 0));
		*ret_users = PQgetvalue(res, 0, 1)[0] == 't';
		rc = 0;
	}
	PQclear(res);
	PQfinish(conn);
	return rc;
}

static int add_account(struct up *up, const char *role, const char *dept)
{
	struct up_argv argv = {.n = 0};
	bool is_department = strcmp(role, "department") == 0;
	char log[PATH_MAX], password[20], line[24], last[512];
	struct up_spawn how = {.argv = &argv, .log_path = log, .input = line};
	int rc;

	up_log_path(up, &up_steps[UP_ACCOUNTS], log);
	up_password(password, 14);
	snprintf(line, sizeof(line), "%s\n", password);
	up_arg(&argv, "%s", up->self);
	up_arg(&argv, "user");
	up_arg(&argv, "add");
	up_arg(&argv, "%s", role);
	up_arg(&argv, "--role");
	up_arg(&argv, "%s", role);
	if (is_department) {
		up_arg(&argv, "--department");
		up_arg(&argv, "%s", dept);
	}
	rc = up_run(&how);
	up_argv_release(&argv);
	if (rc) {
		up_last_line(log, last);
		tg_cmd_fail(NAME, "account %s: %s", role, last);
		return -TG_ESYS;
	}
	return tg_buf_addf(&up->accounts, "  sign in as %s / %s%s%s\n", role, password,
		is_department ? "  of " : "", is_department ? dept : "");
}

int up_accounts(struct up *up, struct up_argv *argv)
{
	char dept[64] = "";
	bool users = false;
	int rc = look_around(up, dept, &users);

	(void)argv;
	if (rc)
		tg_cmd_fail(NAME, "the city has no department to sign in as: load a city folder");
	for (size_t i = 0; !users && !rc && i < sizeof(demo_roles) / sizeof(demo_roles[0]); i++)
		rc = add_account(up, demo_roles[i], dept);
	return rc;
}
