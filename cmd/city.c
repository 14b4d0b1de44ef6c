/* tongguan city load DIR: reference data of the one city an installation serves. */
#include <stdio.h>
#include <string.h>

#include "base/io/pg.h"
#include "cmd/city.h"
#include "cmd/cmd.h"

#define NAME "city"

static const char usage[] =
	"usage: tongguan city load DIR [--config FILE]\n\n"
	"Checks the whole city folder first; then replaces the reference data in one transaction.\n"
	"Running roles take it up without a restart. A mistake is named by file and row.\n";

static int fail_mistakes(const struct city *city)
{
	int n = city->complaints_count, more = n - CITY_COMPLAINTS_MAX;

	fwrite(city->complaints.data, 1, city->complaints.len, stderr);
	if (more > 0)
		fprintf(stderr, "%s: and %d more\n", city->dir, more);
	return tg_cmd_fail(
		NAME, "%s: %d mistake%s; nothing was changed", city->dir, n, n == 1 ? "" : "s");
}

static void say_done(const struct city *city)
{
	static const char *const one_many[][2] = {{"street", "streets"}, {"cell", "cells"},
		{"type", "types"}, {"condition", "conditions"}, {"department", "departments"},
		{"zone", "zones"}, {"device", "devices"}};
	const json_t *rows[] = {city->streets, city->cells, city->types, city->conditions,
		city->depts, city->zones, city->devices};

	printf("%s:", json_string_value(json_object_get(city->head, "name_zh")));
	for (size_t i = 0, said = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = json_array_size(rows[i]);

		if (n)
			printf("%s %zu %s", said++ ? "," : "", n, one_many[i][n != 1]);
	}
	printf("\n");
}

static int load(const struct tg_conf *conf, const char *dir)
{
	struct city city = {.dir = dir};
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(conf->postgres_url, "tongguan city", &why);
	int rc = city_read(&city), code = TG_EXIT_DONE;

	if (rc != -TG_ENOMEM && conn && json_array_size(city.shapes))
		rc = city_check(&city, conn, &why) ? -TG_EPG : 0;
	if (city.warnings.len)
		fwrite(city.warnings.data, 1, city.warnings.len, stderr);
	if (city.complaints_count)
		code = fail_mistakes(&city);
	else if (!conn || rc)
		code = tg_cmd_fail(NAME, "%s", why.len ? tg_buf_cstr(&why) : tg_err_text(rc));
	else if (city_store(&city, conn, &why))
		code = tg_cmd_fail(NAME, "%s: %s; nothing was changed", dir, tg_buf_cstr(&why));
	else
		say_done(&city);
	PQfinish(conn);
	tg_buf_release(&why);
	city_release(&city);
	return code;
}

int cmd_city(int argc, char **argv)
{
	struct tg_conf conf;
	int rc = tg_cmd_begin(&argc, argv, usage, false, &conf);

	if (rc >= 0)
		return rc;
	if (argc != 3 || strcmp(argv[1], "load") != 0)
		rc = tg_cmd_usage(NAME, "say: tongguan city load DIR");
	else
		rc = load(&conf, argv[2]);
	tg_conf_release(&conf);
	return rc;
}
