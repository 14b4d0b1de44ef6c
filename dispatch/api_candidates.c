/* GET /cases/{id}/candidates: who is asked first, why, and until when. */
#include <stdlib.h>

#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/dispatch.h"
#include "dispatch/route.h"
#include "queries.h"

static void write_reasons(struct tg_jw *w, unsigned found)
{
	tg_jw_array(w, "reasons");
	for (int i = 0; i < TG_ROUTE_REASON_COUNT; i++) {
		if (!(found & 1u << i))
			continue;
		tg_jw_object(w, NULL);
		tg_jw_str(w, "code", tg_route_reason_code(i));
		tg_jw_str(w, "zh", tg_route_reason_zh(i));
		tg_jw_str(w, "en", tg_route_reason_en(i));
		tg_jw_object_end(w);
	}
	tg_jw_array_end(w);
}

static void write_one(struct tg_jw *w, const struct tg_candidate *c, const json_t *open)
{
	const struct tg_dept *d = c->dept;

	tg_jw_object(w, NULL);
	tg_jw_str(w, "department", d->code);
	tg_jw_str(w, "name_zh", d->name_zh);
	tg_jw_str(w, "name_en", d->name_en);
	tg_jw_str(w, "short_zh", d->short_zh);
	tg_jw_str(w, "short_en", d->short_en);
	tg_jw_str(w, "pinyin", d->pinyin);
	tg_jw_str(w, "role", c->lead ? "lead" : "assist");
	tg_jw_int(w, "score", c->score);
	write_reasons(w, c->reasons);
	tg_jw_time(w, "due_at", c->due_us == INT64_MAX ? INT64_MIN : c->due_us);
	tg_jw_str(w, "limit", c->limit);
	tg_jw_str(w, "calendar", d->calendar_name);
	if (c->on_duty < 0)
		tg_jw_null(w, "on_duty");
	else
		tg_jw_bool(w, "on_duty", c->on_duty > 0);
	tg_jw_int(w, "open_tasks", json_integer_value(json_object_get(open, d->code)));
	tg_jw_object_end(w);
}

static int write_all(
	struct tg_rq *rq, const struct tg_case *kase, int64_t now_us, const json_t *open)
{
	struct tg_candidate *list = NULL;
	size_t n = 0;
	struct tg_jw w;
	int rc = tg_route_rank(rq->d->city, kase, now_us, &list, &n);

	if (rc)
		return rc;
	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_array(&w, "items");
	for (size_t i = 0; i < n; i++)
		write_one(&w, &list[i], open);
	tg_jw_array_end(&w);
	tg_jw_object_end(&w);
	free(list);
	return tg_jw_end(&w);
}

static int answer(struct tg_rq *rq, const PGresult *res)
{
	json_t *doc = NULL, *open = NULL;
	struct tg_case *kase = NULL;
	int rc = tg_json_parse(tg_pg_text(res, 0, 0), &doc, NULL);

	if (!rc)
		rc = tg_json_parse(tg_pg_text(res, 0, 2), &open, NULL);
	if (!rc)
		rc = tg_case_from_doc(doc, &kase);
	if (!rc)
		rc = write_all(rq, kase, tg_pg_i64(res, 0, 1), open);
	tg_case_free(kase);
	json_decref(open);
	json_decref(doc);
	return rc;
}

static void on_case(struct tg_rq *rq, const PGresult *res)
{
	static const char *const no_query[] = {NULL};

	if (PQntuples(res) == 0)
		tg_rq_not_found(rq);
	else if (!tg_rq_known_query(rq, no_query))
		return;
	else if (!rq->d->city || tg_pg_null(res, 0, 2))
		tg_rq_retry(rq, 503, TG_US_PER_S, "no city is loaded");
	else
		tg_rq_out(rq, 200, "application/json", answer(rq, res));
}

void tg_api_case_candidates(struct tg_rq *rq)
{
	char id[40];
	const char *params[] = {id, tg_rq_only(rq)};

	if (tg_api_id(rq, id))
		tg_rq_query(rq, tg_sql_case_candidates, params, 2, on_case);
}
