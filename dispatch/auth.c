#include "dispatch/auth.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "queries.h"

#define AGENT_MAX      200 /* bytes kept of what a client calls itself */
#define NAME_MAX_BYTES (sizeof(((struct tg_actor *)NULL)->name) - 1)

struct tg_auth {
	uv_loop_t *loop;
	struct tg_pg *pg;
	int64_t session_hours;
	struct tg_list queue; /* struct login; the first is in work */
	size_t queued;
	bool working; /* the first login's hash is on another thread */
	bool closing;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

struct login {
	struct tg_list link;
	struct tg_auth *auth;
	uv_work_t work;
	char name[NAME_MAX_BYTES + 1];
	char password[TG_PASSWORD_MAX];
	size_t password_len;
	char stored[TG_PASSWORD_HASH_MAX]; /* "" when there is no such account */
	bool right;
	char token[TG_TOKEN_SIZE];
	char peer[64], agent[AGENT_MAX + 1];
	struct tg_credential cred;
	tg_login_cb cb;
	void *ctx;
};

/* A token's lookup in flight. */
struct check {
	struct tg_credential cred;
	tg_auth_cb cb;
	void *ctx;
};

static void login_next(struct tg_auth *auth);

int tg_auth_open(uv_loop_t *loop, struct tg_pg *pg, int64_t session_hours, struct tg_auth **ret)
{
	struct tg_auth *auth;
	int rc = tg_secret_init();

	if (rc)
		return rc;
	auth = calloc(1, sizeof(*auth));
	if (!auth)
		return -TG_ENOMEM;
	auth->loop = loop;
	auth->pg = pg;
	auth->session_hours = session_hours;
	tg_list_init(&auth->queue);
	*ret = auth;
	return 0;
}

/* ---- who a token stands for
 * ------------------------------------------------------------------------------------- */

bool tg_auth_present(const struct tg_request *req, struct tg_slice *ret_token, bool *ret_by_cookie)
{
	struct tg_slice header;

	if (tg_req_header(req, "authorization", &header) && tg_bearer_parse(header, ret_token)) {
		*ret_by_cookie = false;
		return true;
	}
	if (tg_req_cookie(req, TG_AUTH_COOKIE, ret_token) && ret_token->len) {
		*ret_by_cookie = true;
		return true;
	}
	return false;
}

/* Columns name, role, department. False when they are none of ours. */
static bool actor_from_row(const PGresult *res, int row, struct tg_actor *ret)
{
	struct tg_slice name = tg_pg_text(res, row, 0), role = tg_pg_text(res, row, 1);
	struct tg_slice department = tg_pg_text(res, row, 2);

	if (name.len >= sizeof(ret->name) || department.len >= sizeof(ret->department) ||
		!tg_role_parse(role, &ret->role))
		return false;
	memset(ret->name, 0, sizeof(ret->name));
	memset(ret->department, 0, sizeof(ret->department));
	memcpy(ret->name, name.data, name.len);
	memcpy(ret->department, department.data, department.len);
	return true;
}

static void on_checked(void *ctx, int rc, const PGresult *res)
{
	struct check *check = ctx;

	if (!rc && (PQntuples(res) == 0 || !actor_from_row(res, 0, &check->cred.actor)))
		rc = -TG_ENOENT;
	if (!rc) {
		check->cred.expires_us = tg_pg_null(res, 0, 3) ? INT64_MAX : tg_pg_i64(res, 0, 3);
		check->cred.actor.read_only = tg_pg_bool(res, 0, 4);
	}
	check->cb(check->ctx, rc, rc ? NULL : &check->cred);
	free(check);
}

void tg_auth_check(
	struct tg_auth *auth, struct tg_slice token, bool by_cookie, tg_auth_cb cb, void *ctx)
{
	enum tg_token_kind kind = tg_token_kind(token);
	char hash[2 * TG_TOKEN_HASH_BYTES + 3];
	const char *params[] = {hash};
	struct check *check;
	int rc;

	if (kind == TG_TOKEN_NONE) {
		cb(ctx, -TG_ENOENT, NULL);
		return;
	}
	check = calloc(1, sizeof(*check));
	if (!check) {
		cb(ctx, -TG_ENOMEM, NULL);
		return;
	}
	check->cb = cb;
	check->ctx = ctx;
	check->cred.kind = kind;
	check->cred.by_cookie = by_cookie;
	tg_token_hash(token, check->cred.hash);
	if (kind == TG_TOKEN_SESSION)
		tg_token_csrf(token, check->cred.csrf);
	tg_token_hash_text(check->cred.hash, hash);
	rc = tg_pg_query(auth->pg,
		kind == TG_TOKEN_SESSION ? tg_sql_auth_session : tg_sql_auth_token, params, 1,
		on_checked, check);
	if (rc) {
		cb(ctx, rc, NULL);
		free(check);
	}
}

/* ---- signing in
 * -------------------------------------------------------------------------------------------------
 */

/* Answers the first login and takes the next. */
static void login_end(struct login *login, const struct tg_login_result *res)
{
	struct tg_auth *auth = login->auth;

	login->cb(login->ctx, res);
	tg_list_remove(&login->link);
	auth->queued--;
	sodium_memzero(login, sizeof(*login));
	free(login);
	login_next(auth);
}

static void login_unavailable(struct login *login)
{
	login_end(login, &(struct tg_login_result){.status = TG_LOGIN_UNAVAILABLE});
}

static void on_failure_counted(void *ctx, int rc, const PGresult *res)
{
	(void)res;
	if (rc)
		login_unavailable(ctx); /* an uncounted guess is not answered */
	else
		login_end(ctx, &(struct tg_login_result){.status = TG_LOGIN_WRONG});
}

static void on_session_stored(void *ctx, int rc, const PGresult *res)
{
	struct login *login = ctx;

	if (rc) {
		login_unavailable(login);
	} else if (PQntuples(res) == 0) { /* disabled while we were hashing */
		login_end(login, &(struct tg_login_result){.status = TG_LOGIN_WRONG});
	} else {
		login->cred.expires_us = tg_pg_i64(res, 0, 0);
		login_end(login, &(struct tg_login_result){TG_LOGIN_DONE, .token = login->token,
					 .cred = &login->cred});
	}
}

static void hash_on_thread(uv_work_t *work)
{
	struct login *login = tg_container_of(work, struct login, work);
	struct tg_slice password = {login->password, login->password_len};
	char unused[TG_PASSWORD_HASH_MAX];

	if (login->stored[0])
		login->right = tg_password_verify(password, login->stored);
	else if (tg_password_hash(
			 password, unused)) /* the same work for a name that does not exist */
		login->right = false;
}

static void on_hashed(uv_work_t *work, int status)
{
	struct login *login = tg_container_of(work, struct login, work);
	struct tg_auth *auth = login->auth;
	char hash[2 * TG_TOKEN_HASH_BYTES + 3], hours[24];
	const char *params[] = {login->name, hash, hours, login->peer, login->agent};
	struct tg_slice token;
	int rc;

	assert(status == 0); /* never cancelled */
	auth->working = false;
	if (auth->closing) {
		login_unavailable(login);
		return;
	}
	if (!login->right) {
		if (tg_pg_query(
			    auth->pg, tg_sql_login_failed, params, 1, on_failure_counted, login))
			login_unavailable(login);
		return;
	}
	tg_token_make(true, login->token);
	token = tg_slice_cstr(login->token);
	login->cred.kind = TG_TOKEN_SESSION;
	tg_token_hash(token, login->cred.hash);
	tg_token_csrf(token, login->cred.csrf);
	tg_token_hash_text(login->cred.hash, hash);
	snprintf(hours, sizeof(hours), "%lld", (long long)auth->session_hours);
	rc = tg_pg_query(auth->pg, tg_sql_login_done, params, 5, on_session_stored, login);
	if (rc)
		login_unavailable(login);
}

/* Columns name, role, department, hash or NULL, seconds the name is still locked or NULL. */
static void on_account(void *ctx, int rc, const PGresult *res)
{
	struct login *login = ctx;
	struct tg_auth *auth = login->auth;
	struct tg_slice stored;

	if (rc || auth->closing) {
		login_unavailable(login);
		return;
	}
	if (!tg_pg_null(res, 0, 4)) {
		login_end(login, &(struct tg_login_result){TG_LOGIN_LOCKED,
					 .wait_us = tg_pg_i64(res, 0, 4) * TG_US_PER_S});
		return;
	}
	stored = tg_pg_text(res, 0, 3);
	if (stored.len < sizeof(login->stored) && actor_from_row(res, 0, &login->cred.actor))
		memcpy(login->stored, stored.data, stored.len);
	rc = uv_queue_work(auth->loop, &login->work, hash_on_thread, on_hashed);
	assert(rc == 0);
	auth->working = true;
}

static void login_next(struct tg_auth *auth)
{
	struct login *login;
	const char *params[1];

	if (tg_list_empty(&auth->queue)) {
		if (auth->closing && auth->closed) {
			void (*closed)(void *ctx) = auth->closed;

			auth->closed = NULL;
			closed(auth->closed_ctx);
		}
		return;
	}
	login = tg_container_of(auth->queue.next, struct login, link);
	params[0] = login->name;
	if (auth->closing ||
		tg_pg_query(auth->pg, tg_sql_login_account, params, 1, on_account, login))
		login_unavailable(login);
}

/* A header is bytes; what of it is printable ASCII is text in every list. */
static void keep_agent(struct login *login, struct tg_slice agent)
{
	for (size_t i = 0; i < agent.len && i < AGENT_MAX; i++)
		login->agent[i] =
			agent.data[i] >= ' ' && agent.data[i] < 0x7f ? agent.data[i] : '?';
}

void tg_auth_login(struct tg_auth *auth, struct tg_slice name, struct tg_slice password,
	const char *peer, struct tg_slice agent, tg_login_cb cb, void *ctx)
{
	struct login *login;
	bool usable = name.len > 0 && name.len <= NAME_MAX_BYTES &&
		      !memchr(name.data, '\0', name.len) && password.len <= TG_PASSWORD_MAX;

	if (!usable) { /* no account can have these; its length is no secret */
		cb(ctx, &(struct tg_login_result){.status = TG_LOGIN_WRONG});
		return;
	}
	login = auth->closing || auth->queued >= TG_LOGIN_QUEUE_MAX ? NULL
								    : calloc(1, sizeof(*login));
	if (!login) {
		cb(ctx, &(struct tg_login_result){.status = TG_LOGIN_BUSY, .wait_us = TG_US_PER_S});
		return;
	}
	login->auth = auth;
	login->cb = cb;
	login->ctx = ctx;
	memcpy(login->name, name.data, name.len);
	memcpy(login->password, password.data, password.len);
	login->password_len = password.len;
	snprintf(login->peer, sizeof(login->peer), "%s", peer);
	keep_agent(login, agent);
	tg_list_push(&auth->queue, &login->link);
	if (auth->queued++ == 0)
		login_next(auth);
}

void tg_auth_close(struct tg_auth *auth, void (*closed)(void *ctx), void *ctx)
{
	auth->closing = true;
	auth->closed = closed;
	auth->closed_ctx = ctx;
	if (tg_list_empty(&auth->queue))
		login_next(auth);
	/* else the first login ends by its query or its hash, and takes the others along */
}

void tg_auth_free(struct tg_auth *auth)
{
	assert(!auth || tg_list_empty(&auth->queue));
	free(auth);
}
