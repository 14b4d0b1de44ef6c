/* What every subcommand shares: the table in main.c, the exit codes, and reading --config and
 * --help. */
#ifndef TG_CMD_CMD_H
#define TG_CMD_CMD_H

#include "base/conf.h"

/* Exit codes of the contract. */
enum tg_exit { TG_EXIT_DONE = 0, TG_EXIT_FAILED = 1, TG_EXIT_USAGE = 2 };

/* Takes --help and --config FILE out of argv (argv[0] is the subcommand's name). Returns -1 to go
 * on; else the exit code to return: 0 after --help (usage, then the option table when
 * with_options), 2 after printing what is wrong with the configuration. Loads conf and sets up the
 * log. argc shrinks to what is left. */
int tg_cmd_begin(
	int *argc, char **argv, const char *usage, bool with_options, struct tg_conf *ret_conf);

/* "tongguan NAME: MESSAGE" and how to get help on stderr; returns TG_EXIT_USAGE. */
int tg_cmd_usage(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "tongguan NAME: MESSAGE" on stderr; returns TG_EXIT_FAILED. */
int tg_cmd_fail(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* From here on conf->postgres_url names the role's own account, when one is set (user not ""). 0,
 * or negative after a line on stderr. */
TG_MUST int tg_cmd_as_role(
	const char *name, struct tg_conf *conf, const char *user, const char *password);

int cmd_audit(int argc, char **argv);
int cmd_city(int argc, char **argv);
int cmd_correlate(int argc, char **argv);
int cmd_dead_letter(int argc, char **argv);
int cmd_dispatch(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_feed(int argc, char **argv);
int cmd_ingest(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_rules(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_user(int argc, char **argv);

#endif
