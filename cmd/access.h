/* What `user` and `token` share: a connection, the role and department given on the command line,
 * one statement. */
#ifndef TG_CMD_ACCESS_H
#define TG_CMD_ACCESS_H

#include <libpq-fe.h>

#include "cmd/cmd.h"

struct tg_access {
	const char *command; /* "user", "token" */
	struct tg_conf conf;
	PGconn *conn;
	/* from the command line */
	const char *verb, *name, *role, *department, *days;
	bool read_only;
};

/* Reads VERB, NAME, --name, --role, --department, --days, --read-only. -1 to go on; else the exit
 * code to return. */
int tg_access_begin(struct tg_access *a, int argc, char **argv, const char *usage);
void tg_access_end(struct tg_access *a);
/* The role exists, and a department is given when the role is department, or what is made only
 * reads, and the city has it. -1 to go on. */
int tg_access_check_role(struct tg_access *a);
/* Runs one statement. NULL: said why. The caller clears the result. */
PGresult *tg_access_run(struct tg_access *a, const char *sql, const char *const *params, int n);
/* Runs it and expects exactly one row changed; else says missing and the name. The exit code. */
int tg_access_change(struct tg_access *a, const char *sql, const char *const *params, int n,
	const char *missing);
/* Prints rows of name, role, department, state, created, runs out. The exit code. */
int tg_access_print(struct tg_access *a, const char *sql);

#endif
