/* One process role: the loop, signals, orderly stop, and the small HTTP server for /healthz,
 * /readyz, /metrics.
 *
 * tg_service_run() owns the loop. SIGTERM or SIGINT calls ops->stop once; the role finishes what is
 * in flight, closes what it opened and calls tg_service_stopped(). If that has not happened within
 * TG_STOP_LIMIT_MS the process logs what is still open and exits 1. SIGPIPE is ignored. */
#ifndef TG_BASE_IO_SERVICE_H
#define TG_BASE_IO_SERVICE_H

#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"

#define TG_STOP_LIMIT_MS 9500

struct tg_service;
struct tg_http;

struct tg_service_ops {
	const char *name;
	/* Opens everything; 0, or a negative code after having logged why (the process exits 1). */
	int (*start)(void *role, struct tg_service *svc);
	/* True when the role could do work now; else says in why what is missing. */
	bool (*ready)(void *role, struct tg_buf *why);
	void (*stop)(void *role);
};

/* listen "host:port" (port 0 = any free; the address is printed as a log line "listening" and on
 * stdout as "NAME http://host:port"). A taken port: one line that says so, exit code 1. Returns the
 * exit code. */
int tg_service_run(const struct tg_service_ops *ops, void *role, const char *listen);
uv_loop_t *tg_service_loop(struct tg_service *svc);
struct tg_http *tg_service_http(struct tg_service *svc); /* to add routes in start() */
void tg_service_stopped(struct tg_service *svc);
/* The role cannot go on: logs, then stops in order and exits 1. */
void tg_service_fail(struct tg_service *svc, const char *why);
/* Fault points for tests: kills the process with SIGKILL at the named point when the environment
 * variable TONGGUAN_FAULT_POINT is "name" or "name:N" (the N-th passage), after writing "fault
 * NAME" to TONGGUAN_FAULT_FILE. Costs one comparison of a pointer with NULL when unset. */
void tg_fault_point(const char *name);

#endif
