/* Loading the rules that the role runs, against the city's halo. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef TG_BREAK_MINT_AGAIN
#include <unistd.h>
#endif

#include "base/log.h"
#include "base/share.h"
#include "correlate/metrics.h"
#include "correlate/role_impl.h"
#include "queries.h"

#ifdef TG_BREAK_MINT_AGAIN
/* A deliberately broken build, for the proof that its test would notice: every process raises
 * incidents of its own. */
static void break_identity(struct tg_ruleset *set)
{
	for (size_t i = 0; i < set->len; i++) {
		char *id = NULL;

		if (asprintf(&id, "%s~%d", set->rules[i]->id, (int)getpid()) > 0) {
			free(set->rules[i]->id);
			set->rules[i]->id = id;
		}
	}
}
#endif

static void say_lines(struct tg_buf *why)
{
	char *save = NULL, *text = (char *)(uintptr_t)tg_buf_cstr(why);

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
		line = strtok_r(NULL, "\n", &save))
		tg_log(TG_ERROR, "pack refused", TG_F("where", TG_S(line)));
}

/* The city's halo, 0 when no city is loaded or the database does not answer: ready() tells that
 * soon enough. */
static double read_halo(const char *url)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(url, "tongguan correlate", &why);
	double halo_m = 0;

	if (conn) {
		PGresult *res = PQexec(conn, tg_sql_city_halo);

		if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
			halo_m = strtod(PQgetvalue(res, 0, 0), NULL);
		PQclear(res);
		PQfinish(conn);
	}
	tg_buf_release(&why);
	return halo_m;
}

int tg_role_packs_folder(const struct tg_role *role, struct tg_buf *ret)
{
	return role->conf->correlate_packs[0] ? tg_buf_add_cstr(ret, role->conf->correlate_packs)
					      : tg_share_path("correlate/packs", ret);
}

int tg_role_read_rules(
	const struct tg_role *role, double halo_m, struct tg_ruleset *ret, size_t *ret_refused)
{
	struct tg_pack_limits limits = {halo_m};
	struct tg_buf why = {0}, folder = {0};
	int rc = tg_role_packs_folder(role, &folder);

	*ret_refused = 0;
	if (!rc)
		rc = tg_packs_load(tg_buf_cstr(&folder), &limits, ret, ret_refused, &why);
	say_lines(&why);
#ifdef TG_BREAK_MINT_AGAIN
	break_identity(ret);
#endif
	tg_metric_set(&tg_correlate_metrics[TG_CM_PACKS_REFUSED], (double)*ret_refused);
	if (rc)
		tg_log(TG_ERROR, "the folder of packs cannot be read",
			TG_F("folder", TG_S(tg_buf_cstr(&folder))));
	else if (ret->len == 0)
		tg_log(TG_ERROR, "no rule can run", TG_F("folder", TG_S(tg_buf_cstr(&folder))),
			TG_F("packs_refused", TG_I(*ret_refused)));
	tg_buf_release(&why);
	tg_buf_release(&folder);
	return rc ? rc : ret->len ? 0 : -TG_ECONF;
}

int tg_role_load_rules(struct tg_role *role)
{
	size_t refused;
	int rc = tg_role_read_rules(
		role, read_halo(role->conf->postgres_url), &role->rules, &refused);

	role->packs_whole = !rc && refused == 0;
	tg_metric_set(&tg_correlate_metrics[TG_CM_RULES], (double)role->rules.len);
	if (!rc)
		tg_log(TG_INFO, "rules loaded", TG_F("rules", TG_I(role->rules.len)),
			TG_F("packs_refused", TG_I(refused)));
	return rc;
}
