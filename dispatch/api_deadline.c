/* GET /cases/{id}/deadline, POST /deadline/explain: why this instant. */
#include <stdlib.h>

#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/deadline.h"
#include "dispatch/dispatch.h"
#include "queries.h"

static int write_clocks(struct tg_rq *rq, const char *id, struct tg_slice stored)
{
	struct tg_buf why = {0};
	json_t *clocks = NULL, *clock;
	struct tg_jw w;
	size_t i;
	int rc = tg_json_parse(stored, &clocks, &why), wrc;

	tg_buf_release(&why);
	if (rc)
		return rc;
	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_str(&w, "case_id", id);
	tg_jw_array(&w, "clocks");
	json_array_foreach (clocks, i, clock) {
		rc = tg_deadline_write_stored(&w, NULL, rq->d->city, clock);
		if (rc)
			break;
	}
	json_decref(clocks);
	if (rc)
		return rc;
	tg_jw_array_end(&w);
	tg_jw_object_end(&w);
	wrc = tg_jw_end(&w);
	return wrc;
}

static bool has_city(struct tg_rq *rq)
{
	if (rq->d->city)
		return true;
	tg_rq_retry(rq, 503, TG_US_PER_S, "no city is loaded");
	return false;
}

static void on_clocks(struct tg_rq *rq, const PGresult *res)
{
	static const char *const no_query[] = {NULL};
	char id[40];

	if (PQntuples(res) == 0)
		tg_rq_not_found(rq);
	else if (tg_rq_known_query(rq, no_query) && has_city(rq) && tg_api_id(rq, id))
		tg_rq_out(rq, 200, "application/json", write_clocks(rq, id, tg_pg_text(res, 0, 0)));
}

void tg_api_case_deadline(struct tg_rq *rq)
{
	char id[40];
	const char *params[] = {id, tg_rq_only(rq)};

	if (tg_api_id(rq, id))
		tg_rq_query(rq, tg_sql_case_deadline, params, 2, on_clocks);
}

static void refuse_fields(struct tg_rq *rq, json_t *errors)
{
	struct tg_buf extra = {0};
	char *text = json_dumps(errors, JSON_COMPACT);

	if (!text || tg_buf_addf(&extra, "\"errors\":%s", text))
		tg_rq_problem(rq, 422, "a value cannot be accepted");
	else
		tg_rq_problem_with(rq, 422, "a value cannot be accepted", tg_buf_cstr(&extra));
	tg_buf_release(&extra);
	free(text);
	json_decref(errors);
}

void tg_api_deadline_explain(struct tg_rq *rq)
{
	json_t *errors = NULL;
	struct tg_jw w;
	int rc;

	if (!tg_rq_body(rq) || !has_city(rq))
		return;
	tg_jw_begin(&w, &rq->out);
	rc = tg_deadline_write_asked(&w, rq->d->city, rq->body, &errors);
	if (rc == -TG_EINVAL && errors) {
		refuse_fields(rq, errors);
		return;
	}
	if (!rc)
		rc = tg_jw_end(&w);
	tg_rq_out(rq, 200, "application/json", rc);
}
