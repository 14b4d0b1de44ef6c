/* The dispatch role as its own files see it: what every part of the room may use. Nothing outside
 * includes it but cmd/. */
#ifndef TG_DISPATCH_DISPATCH_H
#define TG_DISPATCH_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/conf.h"
#include "base/io/http.h"
#include "base/io/kafka.h"
#include "base/io/pg.h"
#include "base/io/service.h"

struct tg_city;   /* dispatch/city.h: types, conditions, departments, calendars in memory */
struct tg_outbox; /* dispatch/outbox.h: committed order, case.events */
struct tg_due;    /* dispatch/due.h: escalation rows and the heap of the next minutes */
struct tg_intake; /* dispatch/intake.h: incidents → cases */
struct tg_api;    /* dispatch/api.h */

struct tg_dispatch {
	struct tg_service *svc;
	uv_loop_t *loop;
	const struct tg_conf *conf;
	struct tg_pg_pool *write; /* transactions */
	struct tg_pg *read;       /* single-statement reads, pipelined by the wrapper */
	struct tg_pg *who;        /* whose token it is, before every request: never behind a list */
	struct tg_pg
		*slow; /* reads that may take long, up to a limit, and hold up each other only */
	struct tg_city *city; /* NULL until first loaded; replaced when city.version changes */
	struct tg_outbox *outbox;
	struct tg_due *due;
	struct tg_intake *intake;
	struct tg_api *api;
	struct tg_producer *reports; /* POST /reports → Kafka */
	uv_timer_t city_timer;       /* looks at city.version */
	bool stopping;
};

/* For tg_service_run(). */
extern const struct tg_service_ops tg_dispatch_ops;
void tg_dispatch_init(struct tg_dispatch *d, const struct tg_conf *conf);
void tg_dispatch_release(struct tg_dispatch *d); /* after tg_service_run() */

#endif
