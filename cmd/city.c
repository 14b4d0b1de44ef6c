/* tongguan city load DIR: reference data of the one city an installation serves. */
#include <stdio.h>
#include <string.h>

#include "cmd/city.h"
#include "cmd/cmd.h"

#define NAME "city"

static const char usage[] =
	"usage: tongguan city load DIR [--config FILE]\n\n"
	"Checks the whole city folder first; then replaces the reference data in one transaction.\n"
	"Running roles take it up without a restart. A mistake is named by file and row.\n";

static int load(const struct tg_conf *conf, const char *dir)
{
	struct city city = {.dir = dir};
	struct tg_buf why = {0};
	int rc = city_read(&city);

	if (city.warnings.len)
		fwrite(city.warnings.data, 1, city.warnings.len, stderr);
	if (rc) {
		fwrite(city.complaints.data, 1, city.complaints.len, stderr);
		tg_cmd_fail(
			NAME, "%s: %d mistakes; nothing was changed", dir, city.complaints_count);
		goto out;
	}
	rc = city_store(&city, conf->postgres_url, &why);
	if (rc) {
		tg_cmd_fail(NAME, "%s", tg_buf_cstr(&why));
		goto out;
	}
	printf("%s: %zu streets, %zu types, %zu conditions, %zu departments, %zu devices\n",
		json_string_value(json_object_get(city.head, "name_zh")),
		json_array_size(city.streets), json_array_size(city.types),
		json_array_size(city.conditions), json_array_size(city.depts),
		json_array_size(city.devices));
out:
	tg_buf_release(&why);
	city_release(&city);
	return rc ? TG_EXIT_FAILED : TG_EXIT_DONE;
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
