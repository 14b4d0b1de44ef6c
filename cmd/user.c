/* tongguan user: the people who sign in. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/access.h"
#include "dispatch/secret.h"
#include "queries.h"

static const char usage[] =
	"usage: tongguan user add NAME --role ROLE [--department CODE]   password on standard "
	"input\n"
	"       tongguan user passwd NAME                               password on standard "
	"input; ends sessions\n"
	"       tongguan user disable NAME | enable NAME\n"
	"       tongguan user list\n\n"
	"Roles: operator, shift_lead, department, inspector, supervisor, leader, auditor, admin.\n"
	"A password has at least 8 characters; only its argon2id hash is stored.\n";

/* The first line of standard input; asked for without echo on a terminal. Its length, or -1. */
static int read_password(char *out, size_t size)
{
	struct termios was, quiet;
	bool terminal = tcgetattr(STDIN_FILENO, &was) == 0;
	char *line;

	if (terminal) {
		fputs("password: ", stderr);
		quiet = was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	line = fgets(out, (int)size, stdin);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
		fputc('\n', stderr);
	}
	if (!line)
		return -1;
	out[strcspn(out, "\r\n")] = '\0';
	return (int)strlen(out);
}

/* -1 with the hash; else the exit code. */
static int hash_from_input(char hash[TG_PASSWORD_HASH_MAX])
{
	char password[TG_PASSWORD_MAX + 2];
	int n = read_password(password, sizeof(password)), rc = -1;

	if (n < TG_PASSWORD_MIN || n > TG_PASSWORD_MAX)
		rc = tg_cmd_fail("user", "a password of %d to %d bytes is wanted on standard input",
			TG_PASSWORD_MIN, TG_PASSWORD_MAX);
	else if (tg_secret_init() || tg_password_hash((struct tg_slice){password, (size_t)n}, hash))
		rc = tg_cmd_fail("user", "out of memory");
	sodium_memzero(password, sizeof(password));
	return rc;
}

static int add(struct tg_access *a)
{
	char hash[TG_PASSWORD_HASH_MAX];
	const char *params[] = {a->name, hash, a->role, a->department};
	int rc;

	if (a->read_only || a->days)
		return tg_cmd_usage("user", "--read-only and --days are for tokens");
	rc = tg_access_check_role(a);

	if (rc < 0)
		rc = hash_from_input(hash);
	return rc < 0 ? tg_access_change(a, tg_sql_user_add, params, 4, "not added:") : rc;
}

static int passwd(struct tg_access *a)
{
	char hash[TG_PASSWORD_HASH_MAX];
	const char *params[] = {a->name, hash};
	int rc = hash_from_input(hash);

	return rc < 0 ? tg_access_change(a, tg_sql_user_passwd, params, 2, "there is no user") : rc;
}

static int disable(struct tg_access *a, const char *yes)
{
	const char *params[] = {a->name, yes};

	return tg_access_change(a, tg_sql_user_disable, params, 2, "there is no user");
}

static int run(struct tg_access *a)
{
	if (strcmp(a->verb, "list") == 0)
		return tg_access_print(a, tg_sql_user_list);
	if (!a->name)
		return tg_cmd_usage("user", "a name is wanted");
	if (strcmp(a->verb, "add") == 0)
		return add(a);
	if (strcmp(a->verb, "passwd") == 0)
		return passwd(a);
	if (strcmp(a->verb, "disable") == 0)
		return disable(a, "true");
	if (strcmp(a->verb, "enable") == 0)
		return disable(a, "false");
	return tg_cmd_usage("user", "what is '%s'?", a->verb);
}

int cmd_user(int argc, char **argv)
{
	struct tg_access a;
	int rc = tg_access_begin(&a, argc, argv, usage);

	if (rc >= 0)
		return rc;
	rc = run(&a);
	tg_access_end(&a);
	return rc;
}
