/* GET /incidents, GET /incidents/{id}. A department sees those behind its own cases. */
#include <math.h>

#include "dispatch/api.h"
#include "dispatch/api_list.h"
#include "dispatch/dispatch.h"
#include "queries.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     200

static const char *const incident_states[] = {"open", "cleared", "withdrawn", "merged", NULL};

struct filter {
	char states[64], domain[16], rule[128];
	struct tg_bbox_text box;
	struct tg_page page;
};

static void on_incidents(struct tg_rq *rq, const PGresult *res)
{
	const struct filter *f = rq->state;
	struct tg_list_out out;

	tg_list_begin(&out, rq, &f->page, TG_ORDER_INCIDENT, true);
	for (int i = 0; i < PQntuples(res); i++) {
		bool placed = !tg_pg_null(res, i, 1);

		tg_list_item(&out, tg_pg_text(res, i, 0), placed ? tg_pg_f64(res, i, 1) : NAN,
			placed ? tg_pg_f64(res, i, 2) : NAN, tg_pg_i64(res, i, 3),
			tg_pg_text(res, i, 4));
	}
	tg_list_answer(&out, 0);
}

void tg_api_incident_list(struct tg_rq *rq)
{
	static const char *const known[] = {
		"state", "domain", "rule_id", "bbox", "cursor", "limit", NULL};
	struct filter *f = tg_rq_state(rq, sizeof(*f));
	const char *states, *domain, *rule;

	if (!f || !tg_rq_known_query(rq, known) ||
		!tg_api_read_states(rq, incident_states, f->states, sizeof(f->states), &states) ||
		!tg_api_read_domain(rq, f->domain, &domain) ||
		!tg_rq_query_text(rq, "rule_id", f->rule, sizeof(f->rule), &rule) ||
		!tg_bbox_read(rq, &f->box) ||
		!tg_page_read(rq, TG_ORDER_INCIDENT, LIMIT_DEFAULT, LIMIT_MAX, &f->page))
		return;

	const char *params[] = {states, domain, rule, f->box.side[0], f->box.side[1],
		f->box.side[2], f->box.side[3], tg_rq_only(rq), f->page.key, f->page.id,
		f->page.limit_text};

	tg_rq_query(
		rq, tg_sql_incident_list, params, sizeof(params) / sizeof(params[0]), on_incidents);
}

static void on_incident(struct tg_rq *rq, const PGresult *res)
{
	static const char *const no_query[] = {NULL};

	if (PQntuples(res) == 0)
		tg_rq_not_found(rq);
	else if (tg_rq_known_query(rq, no_query))
		tg_rq_json(rq, 200, tg_pg_text(res, 0, 0));
}

void tg_api_incident_show(struct tg_rq *rq)
{
	char id[40];
	const char *params[] = {id, tg_rq_only(rq)};

	if (tg_api_id(rq, id))
		tg_rq_query(rq, tg_sql_incident_show, params, 2, on_incident);
}
