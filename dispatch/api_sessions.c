/* POST /sessions, GET and DELETE /sessions/current. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/dispatch.h"
#include "dispatch/ratelimit.h"
#include "queries.h"

/* A cookie over TLS is never sent in the clear; the proxy in front says which it was. */
static void set_cookie(struct tg_rq *rq, const char *token, int64_t max_age_s)
{
	struct tg_slice scheme;
	bool tls = tg_req_header(rq->req, "x-forwarded-proto", &scheme) &&
		   tg_slice_is(scheme, "https");
	char cookie[200];

	snprintf(cookie, sizeof(cookie),
		TG_AUTH_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s", token,
		(long long)max_age_s, tls ? "; Secure" : "");
	tg_reply_header(rq->req, "set-cookie", cookie);
}

static void write_session(struct tg_jw *w, const struct tg_credential *cred)
{
	const struct tg_actor *actor = &cred->actor;

	tg_jw_str(w, "name", actor->name);
	tg_jw_str(w, "role", tg_role_name(actor->role));
	tg_jw_str(w, "department", actor->department[0] ? actor->department : NULL);
	tg_jw_time(w, "expires_at", cred->expires_us == INT64_MAX ? INT64_MIN : cred->expires_us);
	if (cred->kind == TG_TOKEN_SESSION)
		tg_jw_str(w, "csrf", cred->csrf);
	tg_jw_bool(w, "read_only", cred->actor.read_only);
}

static void on_login(void *ctx, const struct tg_login_result *res)
{
	struct tg_rq *rq = ctx;
	struct tg_jw w;

	switch (res->status) {
	case TG_LOGIN_DONE: break;
	case TG_LOGIN_WRONG:
		tg_reply_header(rq->req, "www-authenticate", "Bearer realm=\"tongguan\"");
		tg_rq_problem(rq, 401, "the name or the password is wrong");
		return;
	case TG_LOGIN_LOCKED:
		tg_rq_retry(rq, 429, res->wait_us,
			"too many failures under this name; it is locked for a while");
		return;
	case TG_LOGIN_BUSY: tg_rq_retry(rq, 503, res->wait_us, "too many are signing in"); return;
	case TG_LOGIN_UNAVAILABLE:
		tg_rq_retry(rq, 503, TG_US_PER_S, "the database is away");
		return;
	}
	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_str(&w, "token", res->token);
	write_session(&w, res->cred);
	tg_jw_object_end(&w);
	set_cookie(rq, res->token, (res->cred->expires_us - tg_now_us()) / TG_US_PER_S);
	tg_reply_header(rq->req, "location", "/api/v1/sessions/current");
	tg_rq_out(rq, 201, "application/json", tg_jw_end(&w));
}

void tg_api_session_create(struct tg_rq *rq)
{
	const char *name, *password;
	struct tg_slice agent = {0};
	int64_t wait_us;
	bool wrong = false;

	if (!tg_ratelimit_take(rq->api->by_login, tg_slice_cstr(tg_req_peer(rq->req)), tg_mono_us(),
		    &wait_us)) {
		tg_rq_retry(rq, 429, wait_us, "too many attempts to sign in from here");
		return;
	}
	if (!tg_rq_body(rq))
		return;
	if (!tg_json_str(rq->body, "username", &name, &wrong)) {
		tg_rq_unacceptable(rq, "username", "a text is wanted");
		return;
	}
	if (!tg_json_str(rq->body, "password", &password, &wrong)) {
		tg_rq_unacceptable(rq, "password", "a text is wanted");
		return;
	}
	(void)tg_req_header(rq->req, "user-agent", &agent);
	tg_auth_login(rq->api->auth, tg_slice_cstr(name), tg_slice_cstr(password),
		tg_req_peer(rq->req), agent, on_login, rq);
}

void tg_api_session_show(struct tg_rq *rq)
{
	struct tg_jw w;

	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	write_session(&w, &rq->cred);
	tg_jw_object_end(&w);
	tg_rq_out(rq, 200, "application/json", tg_jw_end(&w));
}

static void on_ended(struct tg_rq *rq, const PGresult *res)
{
	(void)res;
	set_cookie(rq, "", 0);
	tg_rq_headers(rq);
	tg_reply(rq->req, 204, NULL, (struct tg_slice){0});
}

void tg_api_session_end(struct tg_rq *rq)
{
	char hash[2 * TG_TOKEN_HASH_BYTES + 3];
	const char *params[] = {hash};

	if (rq->cred.kind != TG_TOKEN_SESSION) {
		tg_rq_problem(
			rq, 403, "a lasting token is revoked by an administrator, not signed out");
		return;
	}
	tg_token_hash_text(rq->cred.hash, hash);
	tg_rq_query(rq, tg_sql_auth_logout, params, 1, on_ended);
}

/* ---- all of an account's sessions ---- */

static void on_sessions(struct tg_rq *rq, const PGresult *res)
{
	struct tg_jw w;

	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_array(&w, "items");
	for (int i = 0; i < PQntuples(res); i++)
		tg_jw_raw(&w, NULL, tg_pg_text(res, i, 1));
	tg_jw_array_end(&w);
	tg_jw_null(&w, "next_cursor");
	tg_jw_object_end(&w);
	tg_rq_out(rq, 200, "application/json", tg_jw_end(&w));
}

static bool is_account(const struct tg_rq *rq, const char *name)
{
	return rq->cred.kind == TG_TOKEN_SESSION && strcmp(name, rq->cred.actor.name) == 0;
}

void tg_api_session_list(struct tg_rq *rq)
{
	static const char *const known[] = {"account", NULL};
	char hash[2 * TG_TOKEN_HASH_BYTES + 3], name[64];
	const char *account;

	if (!tg_rq_known_query(rq, known) ||
		!tg_rq_query_text(rq, "account", name, sizeof(name), &account))
		return;
	if (!account && rq->cred.kind != TG_TOKEN_SESSION) {
		tg_rq_problem(rq, 403, "a lasting token has no sessions; name an account");
		return;
	}
	if (account && !is_account(rq, account) && rq->cred.actor.role != TG_ROLE_ADMIN) {
		tg_rq_problem(rq, 403, "another account's sessions are an administrator's to see");
		return;
	}

	const char *params[] = {account ? account : rq->cred.actor.name, hash};

	tg_token_hash_text(rq->cred.hash, hash);
	tg_rq_query(rq, tg_sql_session_list, params, 2, on_sessions);
}

static void on_one_ended(struct tg_rq *rq, const PGresult *res)
{
	if (PQntuples(res) == 0) {
		tg_rq_not_found(rq);
		return;
	}
	tg_rq_headers(rq);
	tg_reply(rq->req, 204, NULL, (struct tg_slice){0});
}

void tg_api_session_end_one(struct tg_rq *rq)
{
	bool admin = rq->cred.actor.role == TG_ROLE_ADMIN;
	char id[40];
	const char *params[] = {id, admin ? NULL : rq->cred.actor.name};

	if (!tg_api_id(rq, id))
		return;
	if (!admin && rq->cred.kind != TG_TOKEN_SESSION)
		tg_rq_not_found(rq); /* a token and an account may have the same name */
	else
		tg_rq_query(rq, tg_sql_session_end, params, 2, on_one_ended);
}
