/* tongguan rules: check packs, run the examples inside them, say why an incident fired. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io/pg.h"
#include "base/share.h"
#include "base/yaml.h"
#include "cmd/cmd.h"
#include "correlate/example.h"
#include "correlate/near_miss.h"
#include "correlate/pack.h"
#include "queries.h"

#define NAME "rules"

static const char usage[] = "usage: tongguan rules check [--city DIR|NAME] FILE|FOLDER...\n"
			    "       tongguan rules test  [--city DIR|NAME] FILE|FOLDER...\n"
			    "       tongguan rules explain INCIDENT_ID\n\n"
			    "  check    say what is wrong in packs: FILE:LINE:COLUMN: what to "
			    "mend; exit 1 when anything is.\n"
			    "           Warnings name the limits that no example holds\n"
			    "  test     check, then run the examples of every rule\n"
			    "  explain  say why an incident fired, from the database\n\n"
			    "No radius may be larger than the city's halo_m. It comes from --city, "
			    "else from the city loaded in the\n"
			    "database, else it is taken as 500 m.\n";

#define HALO_DEFAULT_M 500

/* ---- what the rules need of the city ---- */

struct place {
	double halo_m;
	char zone[64]; /* IANA name; "" : UTC */
};

static int read_city(const char *city, struct place *ret)
{
	struct tg_buf path = {0}, why = {0};
	struct tg_yaml *root = NULL, *node = NULL, *zone = NULL;
	int rc = strchr(city, '/') ? tg_buf_addf(&path, "%s/city.yaml", city) : -TG_ENOENT;

	if (rc) {
		struct tg_buf name = {0};

		rc = tg_buf_addf(&name, "schema/cities/%s/city.yaml", city);
		if (!rc)
			rc = tg_share_path(tg_buf_cstr(&name), &path);
		tg_buf_release(&name);
	}
	if (!rc)
		rc = tg_yaml_load(tg_buf_cstr(&path), &root, &why);
	if (!rc)
		node = tg_yaml_get(root, "halo_m");
	if (!rc)
		zone = tg_yaml_get(root, "zone");
	if (zone && zone->kind == TG_YAML_SCALAR)
		snprintf(ret->zone, sizeof(ret->zone), "%s", zone->text);
	if (!node || tg_yaml_dbl(node, &ret->halo_m))
		rc = tg_cmd_fail(NAME, "no halo_m can be read for the city %s%s%s", city,
			why.len ? ": " : "", why.len ? tg_buf_cstr(&why) : "");
	if (root)
		tg_yaml_free(root);
	tg_buf_release(&path);
	tg_buf_release(&why);
	return rc;
}

static void read_database(const char *url, struct place *ret)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(url, "tongguan rules", &why);

	ret->halo_m = HALO_DEFAULT_M;
	if (conn) {
		PGresult *res = PQexec(conn, tg_sql_city_halo);

		if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1) {
			ret->halo_m = strtod(PQgetvalue(res, 0, 0), NULL);
			snprintf(ret->zone, sizeof(ret->zone), "%s", PQgetvalue(res, 0, 1));
		}
		PQclear(res);
		PQfinish(conn);
	}
	tg_buf_release(&why);
}

/* ---- check and test ---- */

static int load_path(const char *path, const struct tg_pack_limits *limits, struct tg_ruleset *set,
	size_t *refused, struct tg_buf *why)
{
	struct stat st;
	size_t n = 0;
	int rc;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		rc = tg_packs_load(path, limits, set, &n, why);
		*refused += n;
		return rc;
	}
	rc = tg_pack_load(path, limits, set, why);
	*refused += rc != 0;
	return rc;
}

static size_t test_rule(const struct tg_rule *rule, const char *zone, size_t *ret_run)
{
	size_t failed = 0;

	for (size_t i = 0; i < rule->examples_len; i++) {
		struct tg_buf why = {0};
		int rc = tg_example_run(rule, &rule->examples[i], zone, &why);

		printf("%s  %s: %s\n", rc ? "FAIL" : "ok  ", rule->id, rule->examples[i].name);
		if (rc)
			printf("%s:%d:\n%s", rule->file, rule->examples[i].line,
				rc < 0 ? tg_err_text(rc) : tg_buf_cstr(&why));
		failed += rc != 0;
		(*ret_run)++;
		tg_buf_release(&why);
	}
	return failed;
}

static int test_rules(const struct tg_ruleset *set, const char *zone)
{
	size_t run = 0, failed = 0, bare = 0;

	for (size_t i = 0; i < set->len; i++) {
		const struct tg_rule *rule = set->rules[i];

		if (rule->examples_len == 0) {
			printf("bare  %s: no examples\n", rule->id);
			bare++;
		} else {
			failed += test_rule(rule, zone, &run);
		}
	}
	printf("%zu rules, %zu examples, %zu failed, %zu rules without examples\n", set->len, run,
		failed, bare);
	return failed ? TG_EXIT_FAILED : TG_EXIT_DONE;
}

/* What runs, but could be better. */
static int look_closer(const struct tg_ruleset *set, const char *zone)
{
	struct tg_buf why = {0};
	int bare = 0, rc = 0;

	for (size_t i = 0; i < set->len && rc >= 0; i++) {
		rc = tg_near_miss_look(set->rules[i], zone, &why);
		bare += rc > 0 ? rc : 0;
	}
	fputs(tg_buf_cstr(&why), stdout);
	tg_buf_release(&why);
	if (rc < 0)
		return tg_cmd_fail(NAME, "%s", tg_err_text(rc));
	printf("%zu rules in %zu files: ", set->len, set->files_len);
	if (bare)
		printf("nothing that must be mended, %d warnings\n", bare);
	else
		printf("nothing to mend\n");
	return TG_EXIT_DONE;
}

static int check(int argc, char **argv, const struct tg_conf *conf, bool test)
{
	struct tg_pack_limits limits = {0};
	struct place place = {0};
	struct tg_ruleset set = {0};
	struct tg_buf why = {0};
	size_t refused = 0;
	int code = TG_EXIT_DONE, first = 2;

	if (argc > 3 && strcmp(argv[2], "--city") == 0) {
		if (read_city(argv[3], &place))
			return TG_EXIT_USAGE;
		first = 4;
	} else {
		read_database(conf->postgres_url, &place);
	}
	limits.radius_max_m = place.halo_m;
	if (first >= argc)
		return tg_cmd_usage(NAME, "%s wants files or folders", argv[1]);
	for (int i = first; i < argc; i++)
		if (load_path(argv[i], &limits, &set, &refused, &why) == -TG_ENOENT && why.len == 0)
			code = tg_cmd_fail(NAME, "%s cannot be read", argv[i]);
	fputs(tg_buf_cstr(&why), stdout);
	if (refused)
		code = TG_EXIT_FAILED;
	if (!test && code == TG_EXIT_DONE)
		code = look_closer(&set, place.zone[0] ? place.zone : NULL);
	if (test && code == TG_EXIT_DONE)
		code = test_rules(&set, place.zone[0] ? place.zone : NULL);
	tg_buf_release(&why);
	tg_ruleset_release(&set);
	return code;
}

/* ---- explain ---- */

static void print_row(const PGresult *res)
{
	for (int c = 0; c < PQnfields(res); c++)
		if (!PQgetisnull(res, 0, c))
			printf("%-12s %s\n", PQfname(res, c), PQgetvalue(res, 0, c));
}

static void print_members(const PGresult *res)
{
	printf("\n%-36s  %-32s  %-6s  %s\n", "event", "happened", "role", "from");
	for (int r = 0; r < PQntuples(res); r++)
		printf("%-36s  %-32s  %-6s  %s\n", PQgetvalue(res, r, 0), PQgetvalue(res, r, 1),
			PQgetvalue(res, r, 2), PQgetvalue(res, r, 3));
}

/* Of each time: the device, from when to when, what it said. */
static void print_spans(const PGresult *res)
{
	for (int r = 0; r < PQntuples(res); r++) {
		printf("\n%s: %s to %s\n", PQgetvalue(res, r, 0), PQgetvalue(res, r, 1),
			PQgetvalue(res, r, 2));
		if (!PQgetisnull(res, r, 3))
			printf("  cleared by  %s\n", PQgetvalue(res, r, 3));
		if (!PQgetisnull(res, r, 4))
			printf("  its limits  %s (of the registry, as it is now)\n",
				PQgetvalue(res, r, 4));
		printf("  said        %s\n", PQgetvalue(res, r, 5));
		if (!PQgetisnull(res, r, 6))
			printf("  watermark   %s when last told of\n", PQgetvalue(res, r, 6));
	}
}

static void show(PGconn *conn, const char *sql, const char *id, void (*print)(const PGresult *res))
{
	PGresult *res = PQexecParams(conn, sql, 1, NULL, &id, NULL, NULL, 0);

	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		print(res);
	else
		printf("\nnot shown: %s", PQresultErrorMessage(res));
	PQclear(res);
}

static int explain(const char *id, const struct tg_conf *conf)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(conf->postgres_url, "tongguan rules", &why);
	const char *params[] = {id};
	PGresult *row;
	int code = TG_EXIT_DONE;

	if (!conn) {
		tg_cmd_fail(NAME, "%s", tg_buf_cstr(&why));
		tg_buf_release(&why);
		return TG_EXIT_FAILED;
	}
	row = PQexecParams(conn, tg_sql_incident_explained, 1, NULL, params, NULL, NULL, 0);
	if (PQresultStatus(row) != PGRES_TUPLES_OK) {
		code = tg_cmd_fail(NAME, "%s", PQresultErrorMessage(row));
	} else if (PQntuples(row) == 0) {
		code = tg_cmd_fail(NAME, "there is no incident %s", id);
	} else {
		print_row(row);
		show(conn, tg_sql_incident_spans, id, print_spans);
		show(conn, tg_sql_incident_members, id, print_members);
	}
	PQclear(row);
	PQfinish(conn);
	tg_buf_release(&why);
	return code;
}

int cmd_rules(int argc, char **argv)
{
	struct tg_conf conf;
	int code = tg_cmd_begin(&argc, argv, usage, false, &conf);

	if (code >= 0)
		return code;
	if (argc < 2)
		code = tg_cmd_usage(NAME, "say check, test or explain");
	else if (strcmp(argv[1], "check") == 0 || strcmp(argv[1], "test") == 0)
		code = check(argc, argv, &conf, argv[1][0] == 't');
	else if (strcmp(argv[1], "explain") == 0 && argc == 3)
		code = explain(argv[2], &conf);
	else if (strcmp(argv[1], "explain") == 0)
		code = tg_cmd_usage(NAME, "explain wants one incident id");
	else
		code = tg_cmd_usage(NAME, "there is no '%s'; known: check, test, explain", argv[1]);
	tg_conf_release(&conf);
	return code;
}
