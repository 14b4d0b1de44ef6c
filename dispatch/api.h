/* The room's HTTP side: the route table, and what every resource shares – who asks, reading a body,
 * asking the database, answering. One resource each is in api_*.c; what a transition does is
 * dispatch/act.h's business.
 *
 * A request is checked in this order: 401, 403 for a missing CSRF value, 429, then the resource's
 * own 404, 403, 400/422 and 409. Everything runs on the loop. */
#ifndef TG_DISPATCH_API_H
#define TG_DISPATCH_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/io/http.h"
#include "base/io/pg.h"
#include "base/json.h"
#include "dispatch/act.h"
#include "dispatch/auth.h"

struct tg_dispatch;
struct tg_ratelimit;
struct tg_api;
struct tg_conf;
struct tg_live;    /* dispatch/api_live.c */
struct tg_console; /* dispatch/api_console.c */
struct tg_reports; /* dispatch/api_reports.c */

/* Adds the routes to the service's server. d: svc, loop, conf, read, outbox are set; d->city may
 * still be NULL. */
TG_MUST int tg_api_open(struct tg_dispatch *d, struct tg_api **ret);
/* Ends the streams and what runs off the loop; then closed. The server and the connections are the
 * caller's. */
void tg_api_close(struct tg_api *api, void (*closed)(void *ctx), void *ctx);
void tg_api_free(struct tg_api
		*api); /* after closed, and after the server and the connections have closed */
/* The delivery callback d->reports is to be opened with; ctx is the tg_dispatch. */
void tg_api_report_delivered(void *ctx, void *tag, int rc);

/* ---- for api_*.c
 * ------------------------------------------------------------------------------------------------
 */

/* One request of the API until it is answered; freed by the answer. */
struct tg_rq;
typedef void (*tg_rq_handler)(struct tg_rq *rq);
/* res has status TUPLES_OK or COMMAND_OK; valid during the call. A failed query never comes here:
 * it is answered 503. */
typedef void (*tg_rq_rows)(struct tg_rq *rq, const PGresult *res);

struct tg_api {
	struct tg_dispatch *d;
	struct tg_auth *auth;
	struct tg_live *live;
	struct tg_console *console;
	struct tg_reports *reports;
	struct tg_ratelimit *by_token;   /* known tokens */
	struct tg_ratelimit *by_address; /* everybody else, and failures */
	struct tg_ratelimit *by_login;   /* attempts to sign in, by address */
	struct tg_buf map;               /* GET /city, made once a version */
	int64_t map_version;
	int photos;   /* on their way in or out */
	bool closing; /* new requests are refused: what they need is going away */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

#define TG_RQ_TIME_MAX 40

struct tg_rq {
	struct tg_api *api;
	struct tg_dispatch *d;
	struct tg_request *req;
	const struct tg_api_route *route;
	struct tg_credential cred; /* who asks; cred.actor */
	json_t *body;              /* the parsed body, an object; NULL until tg_rq_body */
	tg_rq_rows on_rows;
	struct tg_buf out; /* the answer under construction */
	bool tagged;       /* the answer carries an ETag: it may be kept, and asked for again */
	void *state;       /* the resource's own; freed with the request */
	void (*photos_then)(struct tg_rq *rq, bool known);
	int photos; /* how many it names */
};

#define TG_ROLES(role) (1u << (role))
#define TG_API_OPEN    1u /* no sign-in needed */
#define TG_API_READS   2u /* not a GET, and changes nothing all the same */
#define TG_API_WRITES  4u /* a GET that leaves a trace: nothing for who may only read */
#define TG_API_CITY    8u /* of the whole city: nothing for who sees one department */

struct tg_api_route {
	tg_rq_handler handler;
	unsigned flags;
	unsigned roles; /* 0: any role */
};

/* Who may bring something in. */
#define TG_ROLES_INTAKE \
	(TG_ROLES(TG_ROLE_OPERATOR) | TG_ROLES(TG_ROLE_SHIFT_LEAD) | TG_ROLES(TG_ROLE_INSPECTOR))
/* Sorts of order in cursors. */
#define TG_ORDER_NEWEST   'n'
#define TG_ORDER_DUE      'd'
#define TG_ORDER_TASK     't'
#define TG_ORDER_LOG      'l'
#define TG_ORDER_EVENT    'e'
#define TG_ORDER_INCIDENT 'i'

/* The one department this caller sees; "": all. */
const char *tg_rq_department(const struct tg_rq *rq);
/* The same as a query parameter: NULL for all others. */
const char *tg_rq_only(const struct tg_rq *rq);
bool tg_rq_role_in(const struct tg_rq *rq, unsigned roles);

/* calloc'ed memory that lives as long as the request; NULL when memory is out (then answered). */
void *tg_rq_state(struct tg_rq *rq, size_t size);
/* Parses the body into rq->body. False: answered (400 not JSON or no object, 415). */
TG_MUST bool tg_rq_body(struct tg_rq *rq);
/* The same without answering: 0, or the status to answer with and the reason in why. */
TG_MUST int tg_rq_body_try(struct tg_rq *rq, struct tg_buf *why);
/* Refuses query parameters that are not in the NULL-terminated list. False: answered 400. */
TG_MUST bool tg_rq_known_query(struct tg_rq *rq, const char *const *names);
/* A query parameter as NUL-terminated text into out (size out_size); *ret is out, or NULL when it
 * is absent or empty. False: answered 400 (too long, or a NUL inside). */
TG_MUST bool tg_rq_query_text(
	struct tg_rq *rq, const char *name, char *out, size_t out_size, const char **ret);
/* limit=1…max, or the default. False: answered. */
TG_MUST bool tg_rq_limit(struct tg_rq *rq, int64_t dflt, int64_t max, int64_t *ret);
/* An RFC 3339 instant as PostgreSQL reads it. *ret NULL when absent. False: answered. */
TG_MUST bool tg_rq_query_time(struct tg_rq *rq, const char *name, char out[TG_RQ_TIME_MAX],
	const char **ret, int64_t *ret_us);

/* Runs one statement on the reading connection; on_rows gets the result. */
void tg_rq_query(
	struct tg_rq *rq, const char *sql, const char *const *params, int n, tg_rq_rows on_rows);

/* The same on the connection for reads that may take long: 503 after five seconds of it. */
void tg_rq_query_slow(
	struct tg_rq *rq, const char *sql, const char *const *params, int n, tg_rq_rows on_rows);

/* The headers every answer of the API has; the functions below set them themselves. tg_rq_headers
 * also says who may keep the answer. */
void tg_rq_safe_headers(struct tg_rq *rq);
void tg_rq_headers(struct tg_rq *rq);
/* For a query on another connection: true when it failed, then answered 500 or 503. */
TG_MUST bool tg_rq_query_failed(struct tg_rq *rq, int rc, const PGresult *res);

/* Answers; rq is gone after each. */
void tg_rq_json(struct tg_rq *rq, int status, struct tg_slice json);
void tg_rq_out(
	struct tg_rq *rq, int status, const char *content_type, int rc); /* rq->out; rc != 0: 500 */
void tg_rq_problem(struct tg_rq *rq, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void tg_rq_problem_with(struct tg_rq *rq, int status, const char *detail, const char *extra);
/* 400 for one query parameter. */
void tg_rq_bad_query(struct tg_rq *rq, const char *name, const char *what);
/* 422 with one error. */
void tg_rq_unacceptable(struct tg_rq *rq, const char *field, const char *what);
void tg_rq_not_found(struct tg_rq *rq); /* the same words whatever it is, or whose */
void tg_rq_retry(struct tg_rq *rq, int status, int64_t wait_us,
	const char *detail); /* 429, 503 with Retry-After */

/* tg_act, tg_act_create → status codes. done_status 200 or 201. */
void tg_rq_act_answer(struct tg_rq *rq, const struct tg_act_result *res, int done_status);
/* Scope of idempotency keys: this token and this path. out needs TG_RQ_SCOPE_MAX. False: answered
 * (key too long). */
#define TG_RQ_SCOPE_MAX 256
#define TG_RQ_KEY_MAX   128
TG_MUST bool tg_rq_idempotency(
	struct tg_rq *rq, char out[TG_RQ_SCOPE_MAX], struct tg_slice *ret_key);
void tg_rq_body_digest(const struct tg_rq *rq, uint8_t out[32]);

/* Kept by the parts; used by api.c alone. */
TG_MUST int tg_live_open(struct tg_api *api, struct tg_live **ret);
void tg_live_close(struct tg_live *live, void (*closed)(void *ctx), void *ctx);
void tg_live_free(struct tg_live *live);
TG_MUST int tg_console_open(const struct tg_conf *conf, struct tg_console **ret);
void tg_console_serve(
	struct tg_console *console, struct tg_request *req); /* whatever no route matched */
void tg_console_free(struct tg_console *console);
TG_MUST int tg_reports_open(struct tg_api *api, struct tg_reports **ret);
void tg_reports_close(struct tg_reports *reports, void (*closed)(void *ctx), void *ctx);
void tg_reports_free(struct tg_reports *reports);

/* The {id} of the path into out. False: answered 404, it is no uuid. */
TG_MUST bool tg_api_id(struct tg_rq *rq, char out[40]);
/* Are the photos that the body names there for the caller to see? Asks if it names any; a list of
 * another form counts as known, the form is checked later. */
void tg_api_photos_known(struct tg_rq *rq, void (*then)(struct tg_rq *rq, bool known));
/* POST …/actions of a case or a task. */
void tg_api_act(struct tg_rq *rq, bool on_task);
/* state= (one or several of the list, as an array parameter) and domain=. False: answered. */
TG_MUST bool tg_api_read_states(
	struct tg_rq *rq, const char *const *list, char *out, size_t out_size, const char **ret);
TG_MUST bool tg_api_read_domain(struct tg_rq *rq, char out[16], const char **ret);

/* The handlers, one file a resource. */
void tg_api_session_create(struct tg_rq *rq);
void tg_api_session_show(struct tg_rq *rq);
void tg_api_session_end(struct tg_rq *rq);
void tg_api_session_list(struct tg_rq *rq);
void tg_api_session_end_one(struct tg_rq *rq);
void tg_api_photo_create(struct tg_rq *rq);
void tg_api_photo_show(struct tg_rq *rq);
void tg_api_rules(struct tg_rq *rq);
void tg_api_vitals(struct tg_rq *rq);
void tg_api_case_list(struct tg_rq *rq);
void tg_api_case_create(struct tg_rq *rq);
void tg_api_case_show(struct tg_rq *rq);
void tg_api_case_log(struct tg_rq *rq);
void tg_api_case_evidence(struct tg_rq *rq);
void tg_api_case_contact(struct tg_rq *rq);
void tg_api_case_act(struct tg_rq *rq);
void tg_api_case_deadline(struct tg_rq *rq);
void tg_api_case_candidates(struct tg_rq *rq);
void tg_api_case_duplicates(struct tg_rq *rq);
void tg_api_deadline_explain(struct tg_rq *rq);
void tg_api_task_list(struct tg_rq *rq);
void tg_api_task_show(struct tg_rq *rq);
void tg_api_task_act(struct tg_rq *rq);
void tg_api_incident_list(struct tg_rq *rq);
void tg_api_incident_show(struct tg_rq *rq);
void tg_api_event_list(struct tg_rq *rq);
void tg_api_catalog(struct tg_rq *rq);
void tg_api_catalog_show(struct tg_rq *rq);
void tg_api_departments(struct tg_rq *rq);
void tg_api_city(struct tg_rq *rq);
void tg_api_report_create(struct tg_rq *rq);
void tg_api_stream(struct tg_rq *rq);
void tg_api_openapi(struct tg_rq *rq);

#endif
