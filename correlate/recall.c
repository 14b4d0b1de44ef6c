/* Rebuilding what reaches further back than the topic is read again. Windows: from the stored
 * events, page by page in order of time. Every partition takes the whole city's: what lies
 * elsewhere is simply never near. An event that comes again on the topic is judged then. Series:
 * what stands of them, from the rows that say so. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "correlate/role_impl.h"
#include "queries.h"

#define NO_UID    "00000000-0000-0000-0000-000000000000"
#define PAGE_ROWS 4000

static void ask_page(struct tg_part *p);
static void ask_spans(struct tg_part *p);

static bool reaches_back(const struct tg_role *role, const struct tg_rule *rule)
{
	return tg_rule_keep_us(rule) > role->conf->correlate_rebuild_h * TG_US_PER_H;
}

/* The types of all rules that need it; empty when one of them wants every type. Returns how far
 * back they reach. */
static int64_t plan(struct tg_part *p)
{
	const struct tg_ruleset *set = &p->role->rules;
	int64_t longest_us = 0;
	bool all = false;
	int rc = 0;

	tg_buf_reset(&p->recall_types);
	for (size_t i = 0; i < set->len; i++) {
		const struct tg_rule *rule = set->rules[i];

		if (!reaches_back(p->role, rule))
			continue;
		if (tg_rule_keep_us(rule) > longest_us)
			longest_us = tg_rule_keep_us(rule);
		all = all || rule->all_types;
		for (size_t k = 0; k < rule->types_len && !rc; k++)
			rc = tg_buf_addf(&p->recall_types, "%s%05u", p->recall_types.len ? "," : "",
				rule->types[k]);
	}
	if (all || rc)
		tg_buf_reset(&p->recall_types);
	return longest_us;
}

static int take_row(struct tg_part *p, const PGresult *res, int row)
{
	struct tg_arena *arena = &p->role->arena;
	tg_located_pb loc = TONGGUAN__V1__LOCATED_EVENT__INIT;
	tg_event_pb *ev = NULL;
	uint8_t uid[16];

	tg_arena_reset(arena);
	if (tg_event_decode(arena, TG_FORM_JSON, tg_pg_text(res, row, 3), &ev) != TG_ACCEPT ||
		tg_unhex(tg_pg_text(res, row, 2), uid, sizeof(uid))) {
		tg_log(TG_WARN, "a stored event cannot be read back",
			TG_F("uid", TG_SL(tg_pg_text(res, row, 1))));
		return 0;
	}
	loc.event = ev;
	loc.uid.data = uid;
	loc.uid.len = sizeof(uid);
	loc.has_lon = loc.has_lat = true;
	loc.lon = tg_pg_f64(res, row, 4);
	loc.lat = tg_pg_f64(res, row, 5);
	loc.grid_cell = PQgetvalue(res, row, 6);
	loc.street = PQgetvalue(res, row, 7);
	loc.district = PQgetvalue(res, row, 8);
	return tg_engine_recall(p->engine, &loc);
}

/* ---- spans that stand ---- */

/* Columns: rule_id, source_id, raised_us, then of the last member uid, time, value, type, lon, lat,
 * cell. */
static int take_span(struct tg_part *p, const PGresult *res, int row)
{
	struct tg_word word = {
		.event_us = tg_pg_i64(res, row, 4),
		.value = tg_pg_f64(res, row, 5),
		.type = tg_type_number(tg_pg_null(res, row, 6) ? NULL : PQgetvalue(res, row, 6)),
		.at = {tg_pg_null(res, row, 7) ? NAN : tg_pg_f64(res, row, 7),
			tg_pg_null(res, row, 8) ? NAN : tg_pg_f64(res, row, 8)},
		.cell = tg_pg_null(res, row, 9) ? NULL : PQgetvalue(res, row, 9),
	};

	if (tg_unhex(tg_pg_text(res, row, 3), word.uid, sizeof(word.uid)))
		return 0;
	return tg_engine_recall_span(p->engine, PQgetvalue(res, row, 0), PQgetvalue(res, row, 1),
		tg_pg_i64(res, row, 2), &word);
}

static void on_spans(void *ctx, int rc, const PGresult *res)
{
	struct tg_part *p = ctx;
	int n = rc ? 0 : PQntuples(res);

	if (!tg_part_release(p))
		return;
	if (rc) {
		tg_part_retry(p, ask_spans);
		return;
	}
	tg_part_done_waiting(p);
	for (int i = 0; i < n && !rc; i++)
		rc = take_span(p, res, i);
	if (rc) {
		tg_role_fail(p->role, "out of memory");
		return;
	}
	if (n)
		tg_log(TG_INFO, "standing spans recalled", TG_F("partition", TG_I(p->partition)),
			TG_F("spans", TG_I(n)));
	p->then(p);
}

static void ask_spans(struct tg_part *p)
{
	struct tg_buf running = {0};
	char partition[16], until[24];
	const char *params[] = {partition, NULL, p->recall_until_us == INT64_MAX ? NULL : until};
	int rc = tg_ruleset_prints(&p->role->rules, &running);

	snprintf(partition, sizeof(partition), "%d", p->partition);
	snprintf(until, sizeof(until), "%" PRId64, p->recall_until_us);
	params[1] = tg_buf_cstr(&running);
	tg_part_hold(p);
	if (rc || tg_pg_query(p->role->pg, tg_sql_incident_recall, params, 3, on_spans, p))
		on_spans(p, -TG_ECLOSED, NULL);
	tg_buf_release(&running);
}

void tg_part_recall_spans(struct tg_part *p, int64_t before_us, void (*then)(struct tg_part *p))
{
	p->recall_until_us = before_us;
	p->then = then;
	ask_spans(p);
}

/* ---- pages ---- */

static void recalled(struct tg_part *p)
{
	tg_log(TG_INFO, "windows recalled from stored events",
		TG_F("partition", TG_I(p->partition)),
		TG_F("events", TG_I(tg_engine_window_events(p->engine))));
	if (tg_engine_restored(p->engine))
		tg_role_fail(p->role, "out of memory");
	else
		tg_part_recall_spans(p, p->recall_until_us, tg_part_load_watch);
}

static void on_page(void *ctx, int rc, const PGresult *res)
{
	struct tg_part *p = ctx;
	int n = rc ? 0 : PQntuples(res);

	if (!tg_part_release(p))
		return;
	if (rc) {
		tg_log(TG_WARN, "stored events not read; trying again",
			TG_F("partition", TG_I(p->partition)), TG_F("error", TG_S(tg_err_text(rc))),
			TG_F("detail", TG_S(res ? tg_pg_message(res) : "")));
		tg_part_retry(p, ask_page);
		return;
	}
	tg_part_done_waiting(p);
	for (int i = 0; i < n && !rc; i++)
		rc = take_row(p, res, i);
	if (rc) {
		tg_role_fail(p->role, "out of memory");
		return;
	}
	if (n < PAGE_ROWS) {
		recalled(p);
		return;
	}
	p->recall_at_us = tg_pg_i64(res, n - 1, 0);
	snprintf(p->recall_uid, sizeof(p->recall_uid), "%s", PQgetvalue(res, n - 1, 1));
	ask_page(p);
}

static void ask_page(struct tg_part *p)
{
	char at[24], until[24], from[24];
	const char *params[] = {tg_buf_cstr(&p->recall_types), at, p->recall_uid, until, from};

	snprintf(at, sizeof(at), "%" PRId64, p->recall_at_us);
	snprintf(until, sizeof(until), "%" PRId64, p->recall_until_us);
	snprintf(from, sizeof(from), "%" PRId64, p->recall_from_us);
	tg_part_hold(p);
	if (tg_pg_query(p->role->pg, tg_sql_event_recall, params, 5, on_page, p))
		on_page(p, -TG_ECLOSED, NULL);
}

void tg_part_recall(struct tg_part *p)
{
	int64_t back_us = plan(p);

	p->recall_until_us = tg_now_us() - p->role->conf->correlate_rebuild_h * TG_US_PER_H;
	if (back_us == 0) {
		tg_part_recall_spans(p, p->recall_until_us, tg_part_load_watch);
		return;
	}
	p->recall_from_us = p->recall_at_us = tg_now_us() - back_us;
	strcpy(p->recall_uid, NO_UID);
	ask_page(p);
}
