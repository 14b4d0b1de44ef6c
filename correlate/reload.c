/* Other rules while the role runs: read whole, then put in place between batches. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/log.h"
#include "correlate/metrics.h"
#include "correlate/role_impl.h"

enum result { TAKEN, REFUSED };

/* Of the names, sizes and times of all files of the folder; 0 when it cannot be read. */
static uint64_t print_folder(const struct tg_role *role)
{
	uint64_t print = UINT64_C(0xcbf29ce484222325);
	struct dirent **entries = NULL;
	struct tg_buf folder = {0};
	int n = -1;

	if (tg_role_packs_folder(role, &folder) == 0)
		n = scandir(tg_buf_cstr(&folder), &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char path[4096];
		struct stat st;
		int len = snprintf(
			path, sizeof(path), "%s/%s", tg_buf_cstr(&folder), entries[i]->d_name);

		if (len > 0 && (size_t)len < sizeof(path) && stat(path, &st) == 0 &&
			S_ISREG(st.st_mode)) {
			int64_t of[] = {(int64_t)st.st_size, (int64_t)st.st_ino,
				(int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec};

			for (const char *at = path; *at; at++)
				print = (print ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
			for (size_t k = 0; k < sizeof(of); k++)
				print = (print ^ ((const unsigned char *)of)[k]) *
					UINT64_C(0x100000001b3);
		}
		free(entries[i]);
	}
	free(entries);
	tg_buf_release(&folder);
	return n < 0 ? 0 : print;
}

static bool any_busy(const struct tg_role *role)
{
	for (size_t i = 0; i < role->parts_len; i++)
		if (role->parts[i]->state == TG_PART_BUSY)
			return true;
	return false;
}

static int swap(struct tg_role *role, struct tg_ruleset *fresh, struct tg_guard *guard)
{
	struct tg_ruleset old = role->rules;
	struct tg_guard *old_guard = role->guard;
	int rc = 0;

	role->rules = *fresh;
	role->guard = guard;
	*fresh = (struct tg_ruleset){0};
	if (!rc && role->registry)
		rc = tg_registry_bind(role->registry, &role->rules);
	for (size_t i = 0; i < role->parts_len && !rc; i++) {
		struct tg_engine_shared shared = tg_role_shared(role, role->parts[i]->partition);

		rc = tg_engine_reload(role->parts[i]->engine, &shared, &old);
	}
	tg_guard_free(old_guard);
	tg_ruleset_release(&old);
	return rc;
}

static void take(struct tg_role *role, struct tg_ruleset *fresh)
{
	struct tg_guard *guard = NULL;
	int rc = tg_guard_new(fresh, &guard);

	if (!rc)
		rc = swap(role, fresh, guard);
	if (rc) {
		tg_role_fail(role, "out of memory");
		return;
	}
	tg_city_watch_rules(&role->city, &role->rules);
	tg_metric_set(&tg_correlate_metrics[TG_CM_RULES], (double)role->rules.len);
	tg_metric_add_at(&tg_correlate_metrics[TG_CM_RELOADS], TAKEN, 1);
	tg_log(TG_INFO, "rules loaded anew", TG_F("rules", TG_I(role->rules.len)));
	role->packs_whole = true;
	for (size_t i = 0; i < role->parts_len; i++)
		role->parts[i]->look_back = true;
}

static void looked_back(struct tg_part *p)
{
	p->state = TG_PART_IDLE;
	tg_part_run(p);
}

static void ask_unruled(struct tg_part *p)
{
	tg_part_ask_unruled(p, looked_back);
}

/* A rule that was away for a while, or refused, finds what it had raised; what nobody stands for
 * any more is ended. No batch begins before. */
void tg_part_look_back(struct tg_part *p)
{
	p->look_back = false;
	p->state = TG_PART_BUSY;
	tg_part_recall_spans(p, INT64_MAX, ask_unruled);
}

void tg_role_reload(struct tg_role *role)
{
	struct tg_ruleset fresh = {0};
	size_t refused = 0;
	int rc;

	role->reloading = true;
	if (any_busy(role))
		return;
	role->reloading = false;
	role->packs_print = print_folder(role);
	rc = tg_role_read_rules(role, role->city.halo_m, &fresh, &refused);
	if (rc || refused) {
		tg_metric_add_at(&tg_correlate_metrics[TG_CM_RELOADS], REFUSED, 1);
		tg_log(TG_ERROR, "packs refused: the rules before run on",
			TG_F("packs_refused", TG_I(refused)));
	} else {
		take(role, &fresh);
	}
	tg_ruleset_release(&fresh);
	for (size_t i = 0; i < role->parts_len; i++)
		tg_part_run(role->parts[i]);
}

void tg_role_look_at_packs(struct tg_role *role)
{
	uint64_t print = print_folder(role);

	if (role->closing || role->stopping || print == 0 || print == role->packs_print)
		return;
	tg_role_reload(role);
}

static void on_hangup(uv_signal_t *handle, int number)
{
	struct tg_role *role = tg_container_of(handle, struct tg_role, hangup);

	(void)number;
	if (!role->stopping)
		tg_role_reload(role);
}

int tg_role_watch_packs(struct tg_role *role)
{
	role->packs_print = print_folder(role);
	uv_signal_init(role->loop, &role->hangup);
	return uv_signal_start(&role->hangup, on_hangup, SIGHUP) ? -TG_ESYS : 0;
}
