/* Who asks: sessions (cookie or bearer) and lasting tokens. Only hashes of tokens are stored; every
 * request looks its token up, so that a revoked one, a disabled account or a changed role counts at
 * once.
 *
 * Signing in: one argon2id at a time, off the loop, behind a bounded queue. A wrong name costs what
 * a wrong password costs and gets the same answer; after LOGIN_FREE failures a name – whether it
 * exists or not – is locked for a while. */
#ifndef TG_DISPATCH_AUTH_H
#define TG_DISPATCH_AUTH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/io/http.h"
#include "base/io/pg.h"
#include "dispatch/act.h"
#include "dispatch/api_parse.h"
#include "dispatch/secret.h"

#define TG_AUTH_COOKIE     "tg_session"
#define TG_LOGIN_QUEUE_MAX 32

struct tg_auth;

struct tg_credential {
	struct tg_actor actor;
	enum tg_token_kind kind;
	bool by_cookie;
	int64_t expires_us; /* INT64_MAX: does not expire */
	uint8_t hash[TG_TOKEN_HASH_BYTES];
	char csrf[TG_CSRF_SIZE]; /* "" unless a session */
};

TG_MUST int tg_auth_open(
	uv_loop_t *loop, struct tg_pg *pg, int64_t session_hours, struct tg_auth **ret);
/* Waits for the hash in work. The others in the queue get TG_LOGIN_UNAVAILABLE. */
void tg_auth_close(struct tg_auth *auth, void (*closed)(void *ctx), void *ctx);
void tg_auth_free(struct tg_auth *auth); /* after closed, and after the connection has closed */

/* The token a request carries: Authorization first, then the cookie. False: none. */
bool tg_auth_present(const struct tg_request *req, struct tg_slice *ret_token, bool *ret_by_cookie);

/* rc 0: cred is valid during the call. -TG_ENOENT: nobody we know. Else the database failed. */
typedef void (*tg_auth_cb)(void *ctx, int rc, const struct tg_credential *cred);
/* cb exactly once, perhaps before this returns. */
void tg_auth_check(
	struct tg_auth *auth, struct tg_slice token, bool by_cookie, tg_auth_cb cb, void *ctx);

enum tg_login_status {
	TG_LOGIN_DONE,
	TG_LOGIN_WRONG,       /* name or password; nobody learns which */
	TG_LOGIN_LOCKED,      /* too many failures under this name; wait_us */
	TG_LOGIN_BUSY,        /* the queue is full */
	TG_LOGIN_UNAVAILABLE, /* the database is away */
};

struct tg_login_result {
	enum tg_login_status status;
	const char *token; /* DONE: shown once */
	const struct tg_credential *cred;
	int64_t wait_us;
};

typedef void (*tg_login_cb)(void *ctx, const struct tg_login_result *res);
/* peer and agent stand in the list of sessions: the client's address and what it calls itself, both
 * text. Copies all of them. cb exactly once, perhaps before this returns. */
void tg_auth_login(struct tg_auth *auth, struct tg_slice name, struct tg_slice password,
	const char *peer, struct tg_slice agent, tg_login_cb cb, void *ctx);

#endif
