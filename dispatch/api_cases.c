/* One case: POST /cases, GET /cases/{id} and what hangs below it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/api_list.h"
#include "dispatch/dispatch.h"
#include "dispatch/view.h"
#include "queries.h"

#define LOG_LIMIT          500
#define LOG_LIMIT_MAX      1000
#define EVIDENCE_LIMIT     100
#define EVIDENCE_LIMIT_MAX 500
#define POOL_WAIT_MS       3000

#define ROLES_CONTACT                                                \
	(TG_ROLES(TG_ROLE_OPERATOR) | TG_ROLES(TG_ROLE_SHIFT_LEAD) | \
		TG_ROLES(TG_ROLE_SUPERVISOR) | TG_ROLES(TG_ROLE_LEADER))

static const char *const no_query[] = {NULL};

bool tg_api_id(struct tg_rq *rq, char out[40])
{
	struct tg_slice id = tg_req_param(rq->req, 0);

	if (!tg_is_uuid(id)) {
		tg_rq_not_found(rq);
		return false;
	}
	memcpy(out, id.data, id.len);
	out[id.len] = '\0';
	return true;
}

/* ---- one case
 * ---------------------------------------------------------------------------------------------------
 */

static void on_case(struct tg_rq *rq, const PGresult *res)
{
	if (PQntuples(res) == 0)
		tg_rq_not_found(rq);
	else if (tg_rq_known_query(rq, no_query))
		tg_rq_out(rq, 200, "application/json",
			tg_view_case(rq->d, &rq->cred.actor, tg_pg_text(res, 0, 0),
				tg_pg_i64(res, 0, 1), &rq->out));
}

void tg_api_case_show(struct tg_rq *rq)
{
	char id[40];
	const char *params[] = {id, tg_rq_only(rq)};

	if (tg_api_id(rq, id))
		tg_rq_query(rq, tg_sql_case_show, params, 2, on_case);
}

/* ---- its trace
 * --------------------------------------------------------------------------------------------------
 */

static void on_log(struct tg_rq *rq, const PGresult *res)
{
	const struct tg_page *page = rq->state;
	struct tg_list_out out;

	if (PQntuples(res) == 0) {
		tg_rq_not_found(rq);
		return;
	}
	tg_list_begin(&out, rq, page, TG_ORDER_LOG, false);
	for (int i = 0; i < PQntuples(res); i++)
		if (!tg_pg_null(res, i, 0))
			tg_list_item(&out, tg_pg_text(res, i, 1), NAN, NAN, tg_pg_i64(res, i, 0),
				(struct tg_slice){0});
	tg_list_answer(&out, 0);
}

void tg_api_case_log(struct tg_rq *rq)
{
	static const char *const known[] = {"cursor", "limit", NULL};
	struct tg_page *page = tg_rq_state(rq, sizeof(*page));
	char id[40];

	if (!page || !tg_api_id(rq, id) || !tg_rq_known_query(rq, known) ||
		!tg_page_read(rq, TG_ORDER_LOG, LOG_LIMIT, LOG_LIMIT_MAX, page))
		return;

	const char *params[] = {id, tg_rq_only(rq), page->key ? page->key : "0", page->limit_text};

	tg_rq_query(rq, tg_sql_case_log_page, params, 4, on_log);
}

/* ---- what it rests on
 * ------------------------------------------------------------------------------------------- */

static void on_evidence(struct tg_rq *rq, const PGresult *res)
{
	const struct tg_page *page = rq->state;
	struct tg_list_out out;

	if (PQntuples(res) == 0) {
		tg_rq_not_found(rq);
		return;
	}
	tg_list_begin(&out, rq, page, TG_ORDER_EVENT, true);
	for (int i = 0; i < PQntuples(res); i++) {
		bool placed = !tg_pg_null(res, i, 3);

		if (!tg_pg_null(res, i, 0))
			tg_list_item(&out, tg_pg_text(res, i, 2),
				placed ? tg_pg_f64(res, i, 3) : NAN,
				placed ? tg_pg_f64(res, i, 4) : NAN, tg_pg_i64(res, i, 0),
				tg_pg_text(res, i, 1));
	}
	tg_list_answer(&out, 0);
}

void tg_api_case_evidence(struct tg_rq *rq)
{
	static const char *const known[] = {"cursor", "limit", NULL};
	struct tg_page *page = tg_rq_state(rq, sizeof(*page));
	char id[40];

	if (!page || !tg_api_id(rq, id) || !tg_rq_known_query(rq, known) ||
		!tg_page_read(rq, TG_ORDER_EVENT, EVIDENCE_LIMIT, EVIDENCE_LIMIT_MAX, page))
		return;

	const char *params[] = {id, tg_rq_only(rq), page->key, page->id, page->limit_text};

	tg_rq_query(rq, tg_sql_case_evidence_page, params, 5, on_evidence);
}

/* ---- the reporter's contact
 * ------------------------------------------------------------------------------------- */

/* It writes the log, so it runs on a connection of its own: the reading one must not wait for a
 * case's lock. */
struct look {
	struct tg_pg_pool *pool;
	struct tg_pg *pg;
	char id[40];
};

static void on_contact(void *ctx, int rc, const PGresult *res)
{
	struct tg_rq *rq = ctx;
	struct look look = *(struct look *)rq->state; /* the request goes with its answer */

	if (!tg_rq_query_failed(rq, rc, res)) {
		if (tg_pg_null(res, 0, 0))
			tg_rq_not_found(rq);
		else
			tg_rq_json(rq, 200, tg_pg_text(res, 0, 0));
	}
	tg_pg_pool_give(look.pool, look.pg);
}

static void on_taken(void *ctx, int rc, struct tg_pg *pg)
{
	struct tg_rq *rq = ctx;
	struct look *look = rq->state;
	const char *params[] = {look->id, rq->cred.actor.name, tg_role_name(rq->cred.actor.role)};

	if (rc) {
		tg_rq_retry(rq, 503, TG_US_PER_S, "the database is busy or away");
		return;
	}
	look->pg = pg;
	if (tg_pg_query(pg, tg_sql_case_contact, params, 3, on_contact, rq) == 0)
		return;
	tg_pg_pool_give(look->pool, pg);
	tg_rq_retry(rq, 503, TG_US_PER_S, "the database is away");
}

static void on_contact_visible(struct tg_rq *rq, const PGresult *res)
{
	struct look *look = rq->state;

	if (PQntuples(res) == 0)
		tg_rq_not_found(rq);
	else if (!tg_rq_role_in(rq, ROLES_CONTACT))
		tg_rq_problem(rq, 403, "the role %s does not see a reporter's contact",
			tg_role_name(rq->cred.actor.role));
	else if (tg_rq_known_query(rq, no_query) &&
		 tg_pg_pool_take(look->pool, POOL_WAIT_MS, on_taken, rq))
		tg_rq_retry(rq, 503, TG_US_PER_S, "too many are waiting for the database");
}

void tg_api_case_contact(struct tg_rq *rq)
{
	struct look *look = tg_rq_state(rq, sizeof(*look));

	if (!look || !tg_api_id(rq, look->id))
		return;
	look->pool = rq->d->write;

	const char *params[] = {look->id, tg_rq_only(rq)};

	tg_rq_query(rq, tg_sql_case_visible, params, 2, on_contact_visible);
}

/* ---- transitions
 * ------------------------------------------------------------------------------------------------
 */

/* A body that is no action: 404 comes before 400, so the object is looked for first. */
struct unread {
	int status;
	char field[16]; /* 422 */
	char why[256];
};

static void on_unread(struct tg_rq *rq, const PGresult *res)
{
	const struct unread *unread = rq->state;

	if (PQntuples(res) == 0)
		tg_rq_not_found(rq);
	else if (unread->status == 422)
		tg_rq_unacceptable(rq, unread->field, unread->why);
	else
		tg_rq_problem(rq, unread->status, "%s", unread->why);
}

static void refuse_unread(struct tg_rq *rq, bool on_task, const char *id, int status,
	const char *field, const char *why)
{
	const char *params[] = {id, tg_rq_only(rq)};
	struct unread *unread = tg_rq_state(rq, sizeof(*unread));

	if (!unread)
		return;
	unread->status = status;
	snprintf(unread->field, sizeof(unread->field), "%s", field);
	snprintf(unread->why, sizeof(unread->why), "%s", why);
	tg_rq_query(rq, on_task ? tg_sql_task_visible : tg_sql_case_visible, params, 2, on_unread);
}

static void on_acted(void *ctx, const struct tg_act_result *res)
{
	tg_rq_act_answer(ctx, res, 200);
}

static const char no_photo[] =
	"there is no such photo for you: put it there with POST /photos, then name it";

/* All that can be said of the request itself has been said: go. */
static void act_now(struct tg_rq *rq, bool known)
{
	char id[40], scope[TG_RQ_SCOPE_MAX];
	struct tg_act_request act = {
		.actor = &rq->cred.actor, .on_task = rq->route->handler == tg_api_task_act};
	const char *action = NULL;

	if (!tg_api_id(rq, id))
		return;
	if (!known) {
		refuse_unread(rq, act.on_task, id, 422, "photos", no_photo);
		return;
	}
	if (!tg_rq_idempotency(rq, scope, &act.key))
		return;
	act.has_version = tg_json_int(rq->body, "version", &act.version, NULL);
	(void)tg_json_str(rq->body, "action", &action, NULL);
	act.key_scope = tg_slice_cstr(scope);
	act.id = tg_slice_cstr(id);
	act.action = tg_slice_cstr(action);
	act.body = rq->body;
	tg_rq_body_digest(rq, act.body_sha256);
	tg_act(rq->d, &act, on_acted, rq);
}

void tg_api_act(struct tg_rq *rq, bool on_task)
{
	char id[40];
	struct tg_buf why = {0};
	const char *action = NULL;
	int64_t version;
	bool wrong = false;
	int status;

	if (!tg_api_id(rq, id))
		return;
	status = tg_rq_body_try(rq, &why);
	if (status)
		refuse_unread(rq, on_task, id, status, "", tg_buf_cstr(&why));
	tg_buf_release(&why);
	if (status)
		return;
	(void)tg_json_int(rq->body, "version", &version, &wrong);
	if (!tg_json_str(rq->body, "action", &action, NULL))
		refuse_unread(rq, on_task, id, 422, "action", "the name of an action is wanted");
	else if (wrong)
		refuse_unread(rq, on_task, id, 422, "version", "a whole number is wanted");
	else
		tg_api_photos_known(rq, act_now);
}

void tg_api_case_act(struct tg_rq *rq)
{
	tg_api_act(rq, false);
}

static void on_created(void *ctx, const struct tg_act_result *res)
{
	tg_rq_act_answer(ctx, res, 201);
}

static void create_now(struct tg_rq *rq, bool known)
{
	char scope[TG_RQ_SCOPE_MAX];
	struct tg_slice key;
	uint8_t digest[32];

	if (!known) {
		tg_rq_unacceptable(rq, "photos", no_photo);
		return;
	}
	if (!tg_rq_idempotency(rq, scope, &key))
		return;
	tg_rq_body_digest(rq, digest);
	tg_act_create(rq->d, &rq->cred.actor, rq->body, tg_slice_cstr(scope), key, digest,
		on_created, rq);
}

void tg_api_case_create(struct tg_rq *rq)
{
	/* Who may never bring a case in hears so before the form is looked at. */
	if (!tg_rq_role_in(rq, TG_ROLES_INTAKE)) {
		tg_rq_problem(rq, 403, "the role %s does not open cases",
			tg_role_name(rq->cred.actor.role));
		return;
	}
	if (tg_rq_known_query(rq, no_query) && tg_rq_body(rq))
		tg_api_photos_known(rq, create_now);
}
