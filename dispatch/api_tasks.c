/* GET /tasks, GET /tasks/{id}, POST /tasks/{id}/actions: the department's side. */
#include <math.h>
#include <stdio.h>

#include "dispatch/api.h"
#include "dispatch/api_list.h"
#include "dispatch/dispatch.h"
#include "dispatch/view.h"
#include "queries.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     200

static const char *const task_states[] = {
	"assigned", "signed", "done", "returned", "waived", "cancelled", NULL};
static const char *const no_query[] = {NULL};

struct filter {
	char states[96], department[32];
	struct tg_page page;
};

static void on_tasks(struct tg_rq *rq, const PGresult *res)
{
	const struct filter *f = rq->state;
	struct tg_buf item = {0};
	struct tg_list_out out;
	int rc = 0;

	tg_list_begin(&out, rq, &f->page, TG_ORDER_TASK, false);
	for (int i = 0; i < PQntuples(res) && !rc; i++) {
		tg_buf_reset(&item);
		rc = tg_view_task(
			rq->d, &rq->cred.actor, tg_pg_text(res, i, 0), tg_pg_i64(res, i, 3), &item);
		if (!rc)
			tg_list_item(&out, (struct tg_slice){item.data, item.len}, NAN, NAN,
				tg_pg_null(res, i, 1) ? INT64_MAX : tg_pg_i64(res, i, 1),
				tg_pg_text(res, i, 2));
	}
	tg_buf_release(&item);
	tg_list_answer(&out, rc);
}

void tg_api_task_list(struct tg_rq *rq)
{
	static const char *const known[] = {
		"department", "state", "due_before", "cursor", "limit", NULL};
	struct filter *f = tg_rq_state(rq, sizeof(*f));
	const char *states, *department, *before;
	char before_text[TG_RQ_TIME_MAX];
	int64_t before_us;

	if (!f || !tg_rq_known_query(rq, known) ||
		!tg_api_read_states(rq, task_states, f->states, sizeof(f->states), &states) ||
		!tg_rq_query_text(
			rq, "department", f->department, sizeof(f->department), &department) ||
		!tg_rq_query_time(rq, "due_before", before_text, &before, &before_us) ||
		!tg_page_read(rq, TG_ORDER_TASK, LIMIT_DEFAULT, LIMIT_MAX, &f->page))
		return;
	if (before) {
		snprintf(before_text, sizeof(before_text), "%lld", (long long)before_us);
		before = before_text;
	}

	const char *params[] = {department, states, before, tg_rq_only(rq), f->page.key, f->page.id,
		f->page.limit_text};

	tg_rq_query(rq, tg_sql_task_list, params, 7, on_tasks);
}

static void on_task(struct tg_rq *rq, const PGresult *res)
{
	if (PQntuples(res) == 0)
		tg_rq_not_found(rq);
	else if (tg_rq_known_query(rq, no_query))
		tg_rq_out(rq, 200, "application/json",
			tg_view_task(rq->d, &rq->cred.actor, tg_pg_text(res, 0, 0),
				tg_pg_i64(res, 0, 1), &rq->out));
}

void tg_api_task_show(struct tg_rq *rq)
{
	char id[40];
	const char *params[] = {id, tg_rq_only(rq)};

	if (tg_api_id(rq, id))
		tg_rq_query(rq, tg_sql_task_show, params, 2, on_task);
}

void tg_api_task_act(struct tg_rq *rq)
{
	tg_api_act(rq, true);
}
