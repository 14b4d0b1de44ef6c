#include "cmd/feed_find.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/io/pg.h"
#include "base/share.h"
#include "base/yaml.h"

#define DIVISION_MAX 8
#define WITHOUT_CITY "boston"

/* False when the database cannot be asked or holds no city. */
static bool loaded_division(const struct tg_conf *conf, char ret[DIVISION_MAX])
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(conf->postgres_url, "tongguan feed", &why);
	PGresult *res;
	bool ok;

	tg_buf_release(&why);
	if (!conn)
		return false;
	res = PQexec(conn, "SELECT division FROM tongguan.city");
	ok = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1;
	if (ok)
		snprintf(ret, DIVISION_MAX, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	PQfinish(conn);
	return ok;
}

/* Is the city of that folder the one with this division? */
static bool has_division(const char *cities, const char *folder, const char *division)
{
	struct tg_buf path = {0}, why = {0};
	struct tg_yaml *root = NULL, *node = NULL;
	bool yes;

	if (tg_buf_addf(&path, "%s/%s/city.yaml", cities, folder) == 0 &&
		tg_yaml_load(tg_buf_cstr(&path), &root, &why) == 0)
		node = tg_yaml_get(root, "division");
	yes = node && node->kind == TG_YAML_SCALAR && strcmp(node->text, division) == 0;
	tg_yaml_free(root);
	tg_buf_release(&path);
	tg_buf_release(&why);
	return yes;
}

static bool find_folder(const char *division, char *ret, size_t size)
{
	struct tg_buf cities = {0};
	DIR *dir = NULL;
	struct dirent *entry;
	bool found = false;

	if (tg_share_path("schema/cities", &cities) == 0)
		dir = opendir(tg_buf_cstr(&cities));
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		found = has_division(tg_buf_cstr(&cities), entry->d_name, division);
		if (found)
			snprintf(ret, size, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	tg_buf_release(&cities);
	return found;
}

int feed_find(const struct tg_conf *conf, const char *name, struct tg_buf *ret, struct tg_buf *why)
{
	char division[DIVISION_MAX], folder[256] = WITHOUT_CITY, relative[768];
	bool loaded = loaded_division(conf, division);
	int rc;

	if (loaded && !find_folder(division, folder, sizeof(folder))) {
		rc = tg_buf_addf(why,
			"no city folder here has the division %s of the loaded city: give the "
			"profile's path",
			division);
		return rc ? rc : -TG_ENOENT;
	}
	snprintf(relative, sizeof(relative), "schema/cities/%s/feeds/%s.yaml", folder, name);
	rc = tg_share_path(relative, ret);
	if (rc == -TG_ENOENT)
		(void)!tg_buf_addf(why, "there is no %s", tg_buf_cstr(ret));
	else if (!rc && !loaded)
		fprintf(stderr, "tongguan feed: no city is loaded; taking %s\n", tg_buf_cstr(ret));
	return rc;
}
