/* What every resource shares: reading a request, asking the database, answering. */
#include <assert.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/api.h"
#include "dispatch/dispatch.h"

#define JSON_TYPE      "application/json"
#define QUERY_CANCELED "57014"

const char *tg_rq_department(const struct tg_rq *rq)
{
	return rq->cred.actor.department;
}

const char *tg_rq_only(const struct tg_rq *rq)
{
	return rq->cred.actor.department[0] ? rq->cred.actor.department : NULL;
}

bool tg_rq_role_in(const struct tg_rq *rq, unsigned roles)
{
	return roles & TG_ROLES(rq->cred.actor.role);
}

void *tg_rq_state(struct tg_rq *rq, size_t size)
{
	assert(!rq->state);
	rq->state = calloc(1, size);
	if (!rq->state)
		tg_rq_retry(rq, 503, TG_US_PER_S, "out of memory");
	return rq->state;
}

/* ---- answering
 * --------------------------------------------------------------------------------------------------
 */

/* An answer of the API is nobody's page. */
void tg_rq_safe_headers(struct tg_rq *rq)
{
	struct tg_request *req = rq->req;

	tg_reply_header(req, "x-content-type-options", "nosniff");
	tg_reply_header(req, "referrer-policy", "no-referrer");
	tg_reply_header(
		req, "content-security-policy", "default-src 'none'; frame-ancestors 'none'");
	tg_reply_header(req, "cross-origin-resource-policy", "same-origin");
	tg_reply_header(req, "vary", "authorization, cookie, accept");
}

void tg_rq_headers(struct tg_rq *rq)
{
	tg_rq_safe_headers(rq);
	tg_reply_header(rq->req, "cache-control", rq->tagged ? "private, no-cache" : "no-store");
}

void tg_rq_problem_with(struct tg_rq *rq, int status, const char *detail, const char *extra)
{
	tg_rq_headers(rq);
	tg_reply_problem(rq->req, status, NULL, detail, extra);
}

void tg_rq_problem(struct tg_rq *rq, int status, const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	tg_rq_problem_with(rq, status, detail, NULL);
}

void tg_rq_bad_query(struct tg_rq *rq, const char *name, const char *what)
{
	tg_rq_problem(rq, 400, "query parameter %s: %s", name, what);
}

void tg_rq_unacceptable(struct tg_rq *rq, const char *field, const char *what)
{
	struct tg_buf errors = {0};
	struct tg_jw w;
	int rc = tg_buf_add_cstr(&errors, "\"errors\":");

	tg_jw_begin(&w, &errors);
	tg_jw_array(&w, NULL);
	tg_jw_object(&w, NULL);
	tg_jw_str(&w, "field", field);
	tg_jw_str(&w, "detail", what);
	tg_jw_object_end(&w);
	tg_jw_array_end(&w);
	rc = tg_jw_end(&w) || rc;
	tg_rq_problem_with(rq, 422, "a value cannot be accepted", rc ? NULL : tg_buf_cstr(&errors));
	tg_buf_release(&errors);
}

void tg_rq_not_found(struct tg_rq *rq)
{
	tg_rq_problem(rq, 404, "there is no such object, or it is not yours to see");
}

void tg_rq_retry(struct tg_rq *rq, int status, int64_t wait_us, const char *detail)
{
	char seconds[24];

	snprintf(seconds, sizeof(seconds), "%lld",
		(long long)((wait_us + TG_US_PER_S - 1) / TG_US_PER_S));
	tg_reply_header(rq->req, "retry-after", seconds);
	tg_rq_problem_with(rq, status, detail, NULL);
}

void tg_rq_json(struct tg_rq *rq, int status, struct tg_slice json)
{
	tg_rq_headers(rq);
	tg_reply(rq->req, status, JSON_TYPE, json);
}

void tg_rq_out(struct tg_rq *rq, int status, const char *content_type, int rc)
{
	if (rc == -TG_ECLOSED) {
		tg_rq_retry(rq, 503, TG_US_PER_S, "no city is loaded");
		return;
	}
	if (rc) {
		tg_log(TG_ERROR, "answer not built", TG_F("path", TG_SL(tg_req_path(rq->req))),
			TG_F("error", TG_S(tg_err_name(rc))));
		tg_rq_problem(rq, 500, "the answer could not be built");
		return;
	}
	tg_rq_headers(rq);
	tg_reply(rq->req, status, content_type, (struct tg_slice){rq->out.data, rq->out.len});
}

/* ---- reading
 * ----------------------------------------------------------------------------------------------------
 */

int tg_rq_body_try(struct tg_rq *rq, struct tg_buf *why)
{
	struct tg_slice type, body = tg_req_body(rq->req);
	const char *text = "the body is to be application/json";
	int status = 415;

	if (tg_req_header(rq->req, "content-type", &type) && tg_media_is(type, JSON_TYPE)) {
		status = 400;
		if (tg_json_parse(body, &rq->body, why))
			return status;
		if (json_is_object(rq->body))
			return 0;
		text = "the body is to be one JSON object";
		json_decref(rq->body);
		rq->body = NULL;
	}
	return tg_buf_add_cstr(why, text) ? 500 : status;
}

bool tg_rq_body(struct tg_rq *rq)
{
	struct tg_buf why = {0};
	int status = tg_rq_body_try(rq, &why);

	if (status)
		tg_rq_problem(rq, status, "%s", tg_buf_cstr(&why));
	tg_buf_release(&why);
	return status == 0;
}

bool tg_rq_known_query(struct tg_rq *rq, const char *const *names)
{
	struct tg_slice name, value, twice;

	for (int i = 0; tg_req_query_at(rq->req, i, &name, &value); i++) {
		if (!tg_name_in(name, names)) {
			tg_rq_problem(rq, 400, "there is no query parameter %.*s here",
				(int)(name.len > 100 ? 100 : name.len), name.data);
			return false;
		}
		for (int j = 0; j < i && tg_req_query_at(rq->req, j, &twice, &value); j++)
			if (tg_slice_eq(name, twice)) {
				tg_rq_problem(rq, 400, "query parameter %.*s stands twice",
					(int)name.len, name.data);
				return false;
			}
	}
	return true;
}

bool tg_rq_query_text(
	struct tg_rq *rq, const char *name, char *out, size_t out_size, const char **ret)
{
	struct tg_slice value;

	*ret = NULL;
	if (!tg_req_query(rq->req, name, &value) || value.len == 0)
		return true;
	if (value.len >= out_size || memchr(value.data, '\0', value.len)) {
		tg_rq_bad_query(rq, name, "too long, or no text");
		return false;
	}
	memcpy(out, value.data, value.len);
	out[value.len] = '\0';
	*ret = out;
	return true;
}

bool tg_rq_limit(struct tg_rq *rq, int64_t dflt, int64_t max, int64_t *ret)
{
	struct tg_slice value;
	char what[64];

	*ret = dflt;
	if (!tg_req_query(rq->req, "limit", &value) || tg_number_parse(value, 1, max, ret) == 0)
		return true;
	snprintf(what, sizeof(what), "a whole number from 1 to %lld", (long long)max);
	tg_rq_bad_query(rq, "limit", what);
	return false;
}

bool tg_rq_query_time(struct tg_rq *rq, const char *name, char out[TG_RQ_TIME_MAX],
	const char **ret, int64_t *ret_us)
{
	struct tg_slice value;

	*ret = NULL;
	if (!tg_req_query(rq->req, name, &value) || value.len == 0)
		return true;
	if (tg_rfc3339_parse(value, ret_us)) {
		tg_rq_bad_query(rq, name,
			"an instant with its zone, as 2026-11-22T10:00:00Z (write + as %2B)");
		return false;
	}
	tg_rfc3339_utc(*ret_us, out);
	*ret = out;
	return true;
}

bool tg_rq_idempotency(struct tg_rq *rq, char out[TG_RQ_SCOPE_MAX], struct tg_slice *ret_key)
{
	struct tg_slice path = tg_req_path(rq->req);
	char token[33];

	*ret_key = (struct tg_slice){0};
	if (tg_req_header(rq->req, "idempotency-key", ret_key) &&
		(ret_key->len == 0 || ret_key->len > TG_RQ_KEY_MAX)) {
		tg_rq_problem(rq, 400, "Idempotency-Key has 1 to %d characters", TG_RQ_KEY_MAX);
		return false;
	}
	tg_hex(rq->cred.hash, 16, token);
	snprintf(out, TG_RQ_SCOPE_MAX, "%s:%.*s", token, (int)path.len, path.data);
	return true;
}

void tg_rq_body_digest(const struct tg_rq *rq, uint8_t out[32])
{
	struct tg_slice body = tg_req_body(rq->req);

	crypto_hash_sha256(out, (const unsigned char *)body.data, body.len);
}

/* ---- asking the database
 * ---------------------------------------------------------------------------------------- */

bool tg_rq_query_failed(struct tg_rq *rq, int rc, const PGresult *res)
{
	if (!rc)
		return false;
	if (rc == -TG_EPG && strcmp(tg_pg_sqlstate(res), QUERY_CANCELED) == 0) {
		tg_rq_retry(rq, 503, TG_US_PER_S,
			"this takes too long: ask for less time, or for a smaller place");
	} else if (rc == -TG_EPG || rc == -TG_EUNIQUE) {
		tg_log(TG_ERROR, "query refused", TG_F("path", TG_SL(tg_req_path(rq->req))),
			TG_F("sqlstate", TG_S(tg_pg_sqlstate(res))),
			TG_F("why", TG_S(tg_pg_message(res))));
		tg_rq_problem(rq, 500, "the database refused the question");
	} else {
		tg_rq_retry(rq, 503, TG_US_PER_S, "the database is away");
	}
	return true;
}

static void on_rows(void *ctx, int rc, const PGresult *res)
{
	struct tg_rq *rq = ctx;

	if (!tg_rq_query_failed(rq, rc, res))
		rq->on_rows(rq, res);
}

void tg_rq_query(
	struct tg_rq *rq, const char *sql, const char *const *params, int n, tg_rq_rows rows)
{
	rq->on_rows = rows;
	if (tg_pg_query(rq->d->read, sql, params, n, on_rows, rq))
		tg_rq_retry(rq, 503, TG_US_PER_S, "the database is away");
}

void tg_rq_query_slow(
	struct tg_rq *rq, const char *sql, const char *const *params, int n, tg_rq_rows rows)
{
	rq->on_rows = rows;
	if (tg_pg_query(rq->d->slow, sql, params, n, on_rows, rq))
		tg_rq_retry(rq, 503, TG_US_PER_S, "the database is away");
}

/* ---- transitions
 * ------------------------------------------------------------------------------------------------
 */

static void answer_with(
	struct tg_rq *rq, int status, const char *detail, const char *name, struct tg_slice json)
{
	struct tg_buf extra = {0};
	int rc = tg_buf_addf(&extra, "\"%s\":", name);

	if (!rc)
		rc = tg_buf_add_slice(&extra, json);
	tg_rq_problem_with(rq, status, detail, rc ? NULL : tg_buf_cstr(&extra));
	tg_buf_release(&extra);
}

/* 201 names the new object's place. */
static void add_location(struct tg_rq *rq, struct tg_slice json)
{
	struct tg_buf why = {0};
	json_t *doc = NULL;
	const char *id;
	char place[128];

	if (tg_json_parse(json, &doc, &why) == 0 && tg_json_str(doc, "case_id", &id, NULL)) {
		snprintf(place, sizeof(place), "/api/v1/cases/%s", id);
		tg_reply_header(rq->req, "location", place);
	}
	json_decref(doc);
	tg_buf_release(&why);
}

void tg_rq_act_answer(struct tg_rq *rq, const struct tg_act_result *res, int done_status)
{
	char extra[48];

	switch (res->status) {
	case TG_ACT_DONE:
		if (done_status == 201)
			add_location(rq, res->json);
		if (res->replayed)
			tg_reply_header(rq->req, "idempotency-replayed", "true");
		tg_rq_json(rq, done_status, res->json);
		return;
	case TG_ACT_NOT_FOUND: tg_rq_not_found(rq); return;
	case TG_ACT_FORBIDDEN: tg_rq_problem_with(rq, 403, res->detail, NULL); return;
	case TG_ACT_INVALID: answer_with(rq, 422, res->detail, "errors", res->json); return;
	case TG_ACT_NOT_ALLOWED:
		answer_with(rq, 409, res->detail, "allowed_actions", res->json);
		return;
	case TG_ACT_STALE:
		snprintf(extra, sizeof(extra), "\"version\":%lld", (long long)res->version);
		tg_rq_problem_with(rq, 409, res->detail, extra);
		return;
	case TG_ACT_KEY_REUSED: tg_rq_problem_with(rq, 422, res->detail, NULL); return;
	case TG_ACT_UNAVAILABLE: tg_rq_retry(rq, 503, TG_US_PER_S, res->detail); return;
	}
}
