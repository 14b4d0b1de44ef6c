#include "base/io/service.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io/http.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metric.h"

struct tg_service {
	uv_loop_t loop;
	const struct tg_service_ops *ops;
	void *role;
	struct tg_http *http;
	uv_signal_t term, interrupt;
	uv_timer_t limit;
	bool stopping, stopped, failed;
};

static void on_health(void *ctx, struct tg_request *req)
{
	(void)ctx;
	tg_reply(req, 200, "text/plain; charset=utf-8", TG_SLICE("ok\n"));
}

static void on_ready(void *ctx, struct tg_request *req)
{
	struct tg_service *svc = ctx;
	struct tg_buf why = {0};
	bool ready = !svc->stopping && (!svc->ops->ready || svc->ops->ready(svc->role, &why));

	if (ready) {
		tg_reply(req, 200, "text/plain; charset=utf-8", TG_SLICE("ready\n"));
	} else {
		const char *text = svc->stopping ? "stopping" : tg_buf_cstr(&why);

		tg_reply_header(req, "Retry-After", "1");
		tg_reply_problem(req, 503, NULL, text && *text ? text : "not ready", NULL);
	}
	tg_buf_release(&why);
}

static void on_metrics(void *ctx, struct tg_request *req)
{
	struct tg_buf text = {0};

	(void)ctx;
	if (tg_metric_write(&text))
		tg_reply_problem(req, 500, NULL, "the metrics do not fit", NULL);
	else
		tg_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8",
			(struct tg_slice){text.data, text.len});
	tg_buf_release(&text);
}

static const struct tg_route routes[] = {
	{TG_GET, "/healthz", on_health},
	{TG_GET, "/readyz", on_ready},
	{TG_GET, "/metrics", on_metrics},
};

static void log_open_handle(uv_handle_t *handle, void *ctx)
{
	(void)ctx;
	if (!uv_is_closing(handle))
		tg_log(TG_ERROR, "still open",
			TG_F("handle", TG_S(uv_handle_type_name(handle->type))),
			TG_F("active", TG_I(uv_is_active(handle))));
}

static void on_limit(uv_timer_t *limit)
{
	struct tg_service *svc = tg_container_of(limit, struct tg_service, limit);

	tg_log(TG_ERROR, "stopping takes too long: giving up",
		TG_F("limit_ms", TG_I(TG_STOP_LIMIT_MS)),
		TG_F("role_stopped", TG_S(svc->stopped ? "yes" : "no")));
	uv_walk(&svc->loop, log_open_handle, NULL);
	_exit(1);
}

static void begin_stop(struct tg_service *svc)
{
	if (svc->stopping)
		return;
	svc->stopping = true;
	uv_timer_start(&svc->limit, on_limit, TG_STOP_LIMIT_MS, 0);
	svc->ops->stop(svc->role);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct tg_service *svc = handle->data;

	if (!svc->stopping)
		tg_log(TG_INFO, "stopping",
			TG_F("signal", TG_S(number == SIGINT ? "SIGINT" : "SIGTERM")));
	begin_stop(svc);
}

void tg_service_fail(struct tg_service *svc, const char *why)
{
	tg_log(TG_ERROR, "the role cannot go on", TG_F("why", TG_S(why)));
	svc->failed = true;
	begin_stop(svc);
}

void tg_service_stopped(struct tg_service *svc)
{
	assert(!svc->stopped);
	svc->stopped = true;
	uv_close((uv_handle_t *)&svc->term, NULL);
	uv_close((uv_handle_t *)&svc->interrupt, NULL);
	tg_http_close(svc->http, NULL, NULL);
	/* The limit stays, but does not keep the loop: whatever is still open falls under it. */
	uv_unref((uv_handle_t *)&svc->limit);
}

uv_loop_t *tg_service_loop(struct tg_service *svc)
{
	return &svc->loop;
}

struct tg_http *tg_service_http(struct tg_service *svc)
{
	return svc->http;
}

static int open_http(struct tg_service *svc, const char *listen)
{
	static const struct tg_http_conf conf = {.connections_max = 0};
	int rc = tg_http_open(&svc->loop, listen, &conf, &svc->http);

	if (!rc)
		return tg_http_route(svc->http, routes, sizeof(routes) / sizeof(routes[0]), svc);
	tg_log(TG_ERROR,
		rc == -TG_EEXIST
			? "cannot listen: another process has this port; choose another one"
		: rc == -TG_EINVAL ? "cannot listen: this is not HOST:PORT of this machine"
				   : "cannot listen",
		TG_F("listen", TG_S(listen)), TG_F("error", TG_S(tg_err_text(rc))));
	return rc;
}

static int start(struct tg_service *svc, const char *listen)
{
	int rc = open_http(svc, listen);

	if (rc)
		return rc;
	uv_timer_init(&svc->loop, &svc->limit);
	uv_signal_init(&svc->loop, &svc->term);
	uv_signal_init(&svc->loop, &svc->interrupt);
	svc->term.data = svc->interrupt.data = svc;
	if (uv_signal_start(&svc->term, on_signal, SIGTERM) ||
		uv_signal_start(&svc->interrupt, on_signal, SIGINT))
		return -TG_ESYS;
	rc = svc->ops->start(svc->role, svc);
	if (rc)
		return rc;
	tg_log(TG_INFO, "listening", TG_F("address", TG_S(tg_http_address(svc->http))));
	printf("%s http://%s\n", svc->ops->name, tg_http_address(svc->http));
	fflush(stdout);
	return 0;
}

/* A listener of the live stream is an open file: as many as the machine allows us. */
static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)!setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int tg_service_run(const struct tg_service_ops *ops, void *role, const char *listen)
{
	static struct tg_service
		svc; /* one a process; handles of a failed start may outlive this call */
	int rc;

	signal(SIGPIPE, SIG_IGN);
	raise_files();
	svc = (struct tg_service){.ops = ops, .role = role};
	if (uv_loop_init(&svc.loop))
		return 1;
	if (start(&svc, listen))
		return 1;
	uv_run(&svc.loop, UV_RUN_DEFAULT);
	assert(svc.stopped); /* the signal handles keep the loop until then */
	uv_timer_stop(&svc.limit);
	uv_close((uv_handle_t *)&svc.limit, NULL);
	uv_run(&svc.loop, UV_RUN_DEFAULT);
	rc = uv_loop_close(&svc.loop);
	if (rc)
		tg_log(TG_ERROR, "the loop is not empty", TG_F("error", TG_S(uv_strerror(rc))));
	tg_log(TG_INFO, "stopped");
	return svc.failed || rc ? 1 : 0;
}
