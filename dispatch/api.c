#include "dispatch/api.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "dispatch/ratelimit.h"

#define API      "/api/v1"
#define KEYS_MAX 10000
/* A client may come back after a pause with this many seconds' worth at once. */
#define BURST_S 5
/* A hall behind one address signs in together at the change of shift; a guesser does not get far.
 */
#define LOGINS_PER_S 2.0
#define LOGINS_BURST 60.0

/* Who may put something into a case. */
#define TG_ROLES_PHOTO ~(TG_ROLES(TG_ROLE_AUDITOR) | TG_ROLES(TG_ROLE_ADMIN))

/* X(method, path, handler, flags, roles): the whole of the API. roles 0: any role may ask; the
 * resource says the rest. */
#define API_ROUTES(X)                                                          \
	X(TG_POST, API "/sessions", session_create, TG_API_OPEN, 0)            \
	X(TG_GET, API "/sessions", session_list, 0, 0)                         \
	X(TG_GET, API "/sessions/current", session_show, 0, 0)                 \
	X(TG_DELETE, API "/sessions/current", session_end, TG_API_READS, 0)    \
	X(TG_DELETE, API "/sessions/{id}", session_end_one, 0, 0)              \
	X(TG_GET, API "/cases", case_list, 0, 0)                               \
	X(TG_POST, API "/cases", case_create, 0, 0)                            \
	X(TG_GET, API "/cases/{id}", case_show, 0, 0)                          \
	X(TG_GET, API "/cases/{id}/log", case_log, 0, 0)                       \
	X(TG_GET, API "/cases/{id}/evidence", case_evidence, 0, 0)             \
	X(TG_GET, API "/cases/{id}/deadline", case_deadline, 0, 0)             \
	X(TG_GET, API "/cases/{id}/candidates", case_candidates, 0, 0)         \
	X(TG_GET, API "/cases/{id}/duplicates", case_duplicates, 0, 0)         \
	X(TG_GET, API "/cases/{id}/contact", case_contact, TG_API_WRITES, 0)   \
	X(TG_POST, API "/cases/{id}/actions", case_act, 0, 0)                  \
	X(TG_GET, API "/tasks", task_list, 0, 0)                               \
	X(TG_GET, API "/tasks/{id}", task_show, 0, 0)                          \
	X(TG_POST, API "/tasks/{id}/actions", task_act, 0, 0)                  \
	X(TG_GET, API "/incidents", incident_list, 0, 0)                       \
	X(TG_GET, API "/incidents/{id}", incident_show, 0, 0)                  \
	X(TG_GET, API "/events", event_list, TG_API_CITY, 0)                   \
	X(TG_GET, API "/catalog", catalog, 0, 0)                               \
	X(TG_GET, API "/catalog/{type_code}", catalog_show, 0, 0)              \
	X(TG_GET, API "/departments", departments, 0, 0)                       \
	X(TG_GET, API "/city", city, 0, 0)                                     \
	X(TG_POST, API "/deadline/explain", deadline_explain, TG_API_READS, 0) \
	X(TG_POST, API "/reports", report_create, 0, TG_ROLES_INTAKE)          \
	X(TG_POST, API "/photos", photo_create, 0, TG_ROLES_PHOTO)             \
	X(TG_GET, API "/photos/{hash}", photo_show, 0, 0)                      \
	X(TG_GET, API "/rules", rules, 0, 0)                                   \
	X(TG_GET, API "/vitals", vitals, 0, 0)                                 \
	X(TG_GET, API "/stream", stream, 0, 0)                                 \
	X(TG_GET, "/openapi.json", openapi, TG_API_OPEN, 0)

enum {
#define X(method, path, handler, flags, roles) ROUTE_##handler,
	API_ROUTES(X)
#undef X
		ROUTES
};

static const struct tg_api_route table[ROUTES] = {
#define X(method, path, handler, flags, roles) {tg_api_##handler, (flags), (roles)},
	API_ROUTES(X)
#undef X
};

static void rq_release(void *user)
{
	struct tg_rq *rq = user;

	json_decref(rq->body);
	tg_buf_release(&rq->out);
	free(rq->state);
	free(rq);
}

static struct tg_slice peer_key(const struct tg_rq *rq)
{
	return tg_slice_cstr(tg_req_peer(rq->req));
}

static void refuse_too_many(struct tg_rq *rq, int64_t wait_us)
{
	tg_rq_retry(rq, 429, wait_us, "too many requests from here");
}

static void refuse_unknown(struct tg_rq *rq)
{
	int64_t wait_us;

	if (!tg_ratelimit_take(rq->api->by_address, peer_key(rq), tg_mono_us(), &wait_us)) {
		refuse_too_many(rq, wait_us);
		return;
	}
	tg_reply_header(rq->req, "www-authenticate", "Bearer realm=\"tongguan\"");
	tg_rq_problem(rq, 401,
		"sign in by POST " API
		"/sessions, or send Authorization: Bearer with a valid token");
}

static void on_known(void *ctx, int rc, const struct tg_credential *cred)
{
	struct tg_rq *rq = ctx;
	struct tg_slice token_key, csrf;
	int64_t wait_us;

	if (rc == -TG_ENOENT) {
		refuse_unknown(rq);
		return;
	}
	if (rc) {
		tg_rq_retry(rq, 503, TG_US_PER_S, "the database is away");
		return;
	}
	rq->cred = *cred;
	token_key = (struct tg_slice){(const char *)rq->cred.hash, sizeof(rq->cred.hash)};
	if (rq->cred.by_cookie && tg_req_method(rq->req) != TG_GET &&
		!(tg_req_header(rq->req, "x-csrf-token", &csrf) &&
			tg_csrf_equal(csrf, rq->cred.csrf)))
		tg_rq_problem(
			rq, 403, "a request by cookie that changes something carries X-CSRF-Token");
	else if (!tg_ratelimit_take(rq->api->by_token, token_key, tg_mono_us(), &wait_us))
		refuse_too_many(rq, wait_us);
	else if (rq->cred.actor.read_only &&
		 (rq->route->flags & TG_API_WRITES ||
			 (tg_req_method(rq->req) != TG_GET && !(rq->route->flags & TG_API_READS))))
		tg_rq_problem(rq, 403, "this token may only read");
	else if (rq->route->flags & TG_API_CITY && tg_rq_only(rq))
		tg_rq_problem(rq, 403, "this is of the whole city; you see one department's");
	else if (rq->route->roles && !tg_rq_role_in(rq, rq->route->roles))
		tg_rq_problem(
			rq, 403, "the role %s may not do this", tg_role_name(rq->cred.actor.role));
	else
		rq->route->handler(rq);
}

static void admit(struct tg_api *api, struct tg_request *req, const struct tg_api_route *route)
{
	struct tg_rq *rq = calloc(1, sizeof(*rq));
	struct tg_slice token;
	bool by_cookie;
	int64_t wait_us;

	if (!rq || api->closing) {
		free(rq);
		tg_reply_header(req, "retry-after", "1");
		tg_reply_problem(req, 503, NULL, "the service is stopping, or out of memory", NULL);
		return;
	}
	rq->api = api;
	rq->d = api->d;
	rq->req = req;
	rq->route = route;
	tg_req_set_user(req, rq, rq_release);
	if (rq->route->flags & TG_API_OPEN) {
		if (tg_ratelimit_take(rq->api->by_address, peer_key(rq), tg_mono_us(), &wait_us))
			rq->route->handler(rq);
		else
			refuse_too_many(rq, wait_us);
	} else if (!tg_auth_present(req, &token, &by_cookie)) {
		refuse_unknown(rq);
	} else if (!tg_ratelimit_has(rq->api->by_address, peer_key(rq), tg_mono_us(), &wait_us)) {
		refuse_too_many(rq, wait_us); /* guessing tokens from here has used it up */
	} else {
		tg_auth_check(rq->api->auth, token, by_cookie, on_known, rq);
	}
}

#define X(method, path, handler, flags, roles)                      \
	static void on_##handler(void *ctx, struct tg_request *req) \
	{                                                           \
		admit(ctx, req, &table[ROUTE_##handler]);           \
	}
API_ROUTES(X)
#undef X

static const struct tg_route routes[ROUTES] = {
#define X(method, path, handler, flags, roles) {method, path, on_##handler},
	API_ROUTES(X)
#undef X
};

static void on_unrouted(void *ctx, struct tg_request *req)
{
	struct tg_api *api = ctx;

	tg_console_serve(api->console, req);
}

static int open_parts(struct tg_api *api)
{
	const struct tg_conf *conf = api->d->conf;
	double rate = (double)conf->http_rate_limit;
	int rc = tg_auth_open(api->d->loop, api->d->who, conf->http_session_hours, &api->auth);

	if (!rc)
		rc = tg_ratelimit_new(rate, rate * BURST_S, KEYS_MAX, &api->by_token);
	if (!rc)
		rc = tg_ratelimit_new(rate, rate * BURST_S, KEYS_MAX, &api->by_address);
	if (!rc)
		rc = tg_ratelimit_new(
			rate > 0 ? LOGINS_PER_S : 0, LOGINS_BURST, KEYS_MAX, &api->by_login);
	if (!rc)
		rc = tg_console_open(conf, &api->console);
	if (!rc)
		rc = tg_reports_open(api, &api->reports);
	if (!rc)
		rc = tg_live_open(api, &api->live);
	return rc;
}

static void limit_http(struct tg_http *http, const struct tg_conf *conf)
{
	tg_http_limit(http, &(struct tg_http_conf){
				    .connections_max = (int)conf->http_connections_max,
				    .per_address_max = (int)conf->http_per_peer_max,
				    .header_max = (size_t)conf->http_header_max,
				    .body_max = (size_t)conf->http_body_max,
				    .large_path = API "/photos",
				    .large_max = (size_t)conf->http_photo_max,
				    .header_ms = (int)conf->http_header_timeout_s * 1000,
				    .idle_ms = (int)conf->http_idle_timeout_s * 1000,
				    .slow_ms = (int)conf->http_slow_timeout_s * 1000,
				    .rate_min = (int)conf->http_rate_min,
			    });
}

int tg_api_open(struct tg_dispatch *d, struct tg_api **ret)
{
	struct tg_http *http = tg_service_http(d->svc);
	struct tg_api *api = calloc(1, sizeof(*api));
	int rc;

	if (!api)
		return -TG_ENOMEM;
	api->d = d;
	limit_http(http, d->conf);
	rc = open_parts(api);
	if (!rc)
		rc = tg_http_route(http, routes, ROUTES, api);
	if (rc) {
		tg_api_free(api);
		return rc;
	}
	tg_http_fallback(http, on_unrouted, api);
	*ret = api;
	return 0;
}

static void on_reports_closed(void *ctx)
{
	struct tg_api *api = ctx;

	api->closed(api->closed_ctx);
}

static void on_auth_closed(void *ctx)
{
	struct tg_api *api = ctx;

	tg_reports_close(api->reports, on_reports_closed, api);
}

static void on_live_closed(void *ctx)
{
	struct tg_api *api = ctx;

	tg_auth_close(api->auth, on_auth_closed, api);
}

void tg_api_close(struct tg_api *api, void (*closed)(void *ctx), void *ctx)
{
	api->closing = true;
	api->closed = closed;
	api->closed_ctx = ctx;
	tg_live_close(api->live, on_live_closed, api);
}

void tg_api_free(struct tg_api *api)
{
	if (!api)
		return;
	tg_live_free(api->live);
	tg_reports_free(api->reports);
	tg_console_free(api->console);
	tg_ratelimit_free(api->by_login);
	tg_ratelimit_free(api->by_address);
	tg_ratelimit_free(api->by_token);
	tg_auth_free(api->auth);
	tg_buf_release(&api->map);
	free(api);
}
