/* One transition, whoever asks: HTTP, an incident, a clock. Locks the case, decides by the tables
 * in dispatch/life.h, writes case, tasks, clocks, log (hash chain), outbox and idempotency row in
 * one transaction, wakes the outbox.
 *
 * This is the seam between the HTTP files (api_*.c), which know requests and status codes, and the
 * core, which does not. */
#ifndef TG_DISPATCH_ACT_H
#define TG_DISPATCH_ACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

struct tg_dispatch;

enum tg_role {
	TG_ROLE_SYSTEM,
	TG_ROLE_OPERATOR,
	TG_ROLE_SHIFT_LEAD,
	TG_ROLE_DEPARTMENT,
	TG_ROLE_INSPECTOR,
	TG_ROLE_SUPERVISOR,
	TG_ROLE_LEADER,
	TG_ROLE_AUDITOR,
	TG_ROLE_ADMIN,
	TG_ROLE_COUNT
};
const char *tg_role_name(enum tg_role role); /* "system", "operator", … */
bool tg_role_parse(struct tg_slice name, enum tg_role *ret);

struct tg_actor {
	char name[64];
	enum tg_role role;
	char department[32]; /* the one this actor belongs to, or sees; "" */
	bool read_only;      /* a token's scope: nothing is allowed */
};

enum tg_act_status {
	TG_ACT_DONE,
	TG_ACT_NOT_FOUND,   /* 404: no such object, or another department's */
	TG_ACT_FORBIDDEN,   /* 403: not this role's action */
	TG_ACT_INVALID,     /* 422: errors[] names the fields */
	TG_ACT_NOT_ALLOWED, /* 409: not in this state; allowed_actions says what is */
	TG_ACT_STALE,       /* 409: wrong version; version says the current one */
	TG_ACT_KEY_REUSED,  /* 422: the idempotency key was used with another body */
	TG_ACT_UNAVAILABLE, /* 503: the database is away; nothing is known to have happened */
};

struct tg_act_request {
	const struct tg_actor *actor;
	bool on_task;           /* id names a task, else a case */
	struct tg_slice id;     /* uuid or number text, as in the path */
	struct tg_slice action; /* name on the wire */
	bool has_version;
	int64_t version;
	const json_t *body; /* the whole action document; borrowed until the callback */
	/* Idempotency: scope is (token, path); empty key = none. body_sha256 identifies the body.
	 */
	struct tg_slice key_scope, key;
	uint8_t body_sha256[32];
};

struct tg_act_result {
	enum tg_act_status status;
	/* TG_ACT_DONE: the case (or task) as the API shows it to this actor, complete JSON object.
	 * TG_ACT_INVALID: JSON array [{"field":…,"detail":…}].  TG_ACT_NOT_ALLOWED: JSON array of
	 * action names. Valid during the callback. */
	struct tg_slice json;
	int64_t version;    /* TG_ACT_STALE */
	const char *detail; /* one sentence for the problem document */
	bool replayed;      /* answered from the idempotency table */
};

typedef void (*tg_act_cb)(void *ctx, const struct tg_act_result *res);

/* cb exactly once, never before tg_act returns. Everything in req is copied but body. */
void tg_act(struct tg_dispatch *d, const struct tg_act_request *req, tg_act_cb cb, void *ctx);

/* A new case (POST /cases, T01). fields: {type_code,title,text,location{lon,lat},urgency,…},
 * already a JSON object. Same results; json is the case. */
void tg_act_create(struct tg_dispatch *d, const struct tg_actor *actor, const json_t *fields,
	struct tg_slice key_scope, struct tg_slice key, const uint8_t body_sha256[32], tg_act_cb cb,
	void *ctx);

/* By the system, on a task or a case, whatever version it has. Somebody who was faster may make it
 * TG_ACT_NOT_ALLOWED. */
void tg_act_by_system(struct tg_dispatch *d, const char *action, bool on_task, const char *id,
	tg_act_cb cb, void *ctx);

#endif
