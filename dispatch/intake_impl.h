/* What intake.c (the flow) and intake_batch.c (one transaction) share. Not for anybody else. */
#ifndef TG_DISPATCH_INTAKE_IMPL_H
#define TG_DISPATCH_INTAKE_IMPL_H

#include "base/io/kafka.h"
#include "base/list.h"
#include "dispatch/dispatch.h"
#include "dispatch/intake.h"
#include "proto/incident.h"

#define INTAKE_BATCH_MAX 200

/* One message: parsed at arrival; doc NULL: refused, only its offset counts. */
struct intake_item {
	struct tg_list link;
	char topic[128];
	int32_t partition;
	int64_t offset;
	json_t *doc;
	struct tg_incident_msg msg;
	char *trace;    /* traceparent or NULL */
	bool overtaken; /* the same batch holds a later revision */
};
void intake_item_free(struct intake_item *item);

struct intake_batch {
	struct tg_dispatch *d;
	struct intake_item *items[INTAKE_BATCH_MAX];
	size_t count;
	int rc;
	bool poison; /* the database refuses the data, not the moment */
	struct tg_pg *pg;
	int counts[5]; /* by enum tg_intake_outcome */
	void (*done)(void *ctx);
	void *ctx;
};

/* Stores what the items say and their offsets in one transaction, then done: rc 0, or nothing has
 * changed, or (after a lost connection) it is unknown and trying again is harmless. */
void intake_batch_run(struct intake_batch *b, void (*done)(void *ctx), void *ctx);

#endif
