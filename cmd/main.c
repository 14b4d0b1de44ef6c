/* One binary, a table of subcommands. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *does;
} commands[] = {
	{"up", cmd_up, "embedded servers, all roles and a data feed in one terminal"},
	{"ingest", cmd_ingest, "run the role that stores events"},
	{"correlate", cmd_correlate, "run the role that finds incidents"},
	{"dispatch", cmd_dispatch, "run the role that serves cases, the API and the console"},
	{"migrate", cmd_migrate, "bring the database schema (and topics) to this version"},
	{"city", cmd_city, "load a city folder: boundary, grid, catalogue, calendars"},
	{"feed", cmd_feed, "publish real data files to the topics"},
	{"rules", cmd_rules, "check, test and explain rule packs"},
	{"simulate", cmd_simulate, "a simulated city with its ledger of truth, and its score"},
	{"audit", cmd_audit, "verify the hash chain of every case"},
	{"user", cmd_user, "add, list, disable accounts; set passwords"},
	{"token", cmd_token, "create, list, revoke access tokens"},
	{"dead-letter", cmd_dead_letter, "look at refused messages and send them again"},
	{"doctor", cmd_doctor, "check the configuration and every server it needs"},
};

static void print_usage(FILE *out)
{
	fprintf(out, "usage: tongguan COMMAND [--config FILE] [--help] ...\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].does);
}

int tg_cmd_usage(const char *name, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "tongguan %s: ", name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (tongguan %s --help)\n", name);
	return TG_EXIT_USAGE;
}

int tg_cmd_fail(const char *name, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "tongguan %s: ", name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return TG_EXIT_FAILED;
}

static int print_help(const char *usage, bool with_options)
{
	struct tg_buf text = {0};

	fputs(usage, stdout);
	if (with_options && tg_conf_help(&text) == 0)
		printf("\n%s", tg_buf_cstr(&text));
	tg_buf_release(&text);
	return TG_EXIT_DONE;
}

static enum tg_log_level level_of(const char *name)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};

	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			return (enum tg_log_level)i;
	return TG_INFO;
}

int tg_cmd_begin(
	int *argc, char **argv, const char *usage, bool with_options, struct tg_conf *ret_conf)
{
	const char *path = NULL;
	struct tg_buf why = {0};
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return print_help(usage, with_options);
		if (strcmp(argv[i], "--config") == 0) {
			if (i + 1 == *argc)
				return tg_cmd_usage(argv[0], "--config wants a file");
			path = argv[++i];
		} else if (strncmp(argv[i], "--config=", 9) == 0) {
			path = argv[i] + 9;
		} else {
			argv[kept++] = argv[i];
		}
	}
	*argc = kept;
	argv[kept] = NULL;
	if (tg_conf_load(path, ret_conf, &why)) {
		fprintf(stderr, "%s\n", tg_buf_cstr(&why));
		tg_buf_release(&why);
		return TG_EXIT_USAGE;
	}
	tg_buf_release(&why);
	tg_log_init(argv[0], level_of(ret_conf->log_level));
	return -1;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return TG_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return TG_EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("tongguan 0.1.0");
		return TG_EXIT_DONE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "tongguan: there is no command '%s'\n", argv[1]);
	print_usage(stderr);
	return TG_EXIT_USAGE;
}
