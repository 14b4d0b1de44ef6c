/* Wires source → decode → locate → batch → sink → forward. Back-pressure lives here: one batch
 * fills while one is in flight and one is being published; when none is free the consumer pauses.
 */
#ifndef TG_INGEST_PIPELINE_H
#define TG_INGEST_PIPELINE_H

#include <uv.h>

#include "base/conf.h"

struct tg_pipeline;

TG_MUST int tg_pipeline_open(uv_loop_t *loop, const struct tg_conf *conf, struct tg_pipeline **ret);
/* True when events are being stored now; else says what is missing. */
bool tg_pipeline_ready(struct tg_pipeline *p, struct tg_buf *why);
/* Finishes what is in flight, notes what was forwarded, leaves the group. closed comes once; p is
 * gone then. */
void tg_pipeline_close(struct tg_pipeline *p, void (*closed)(void *ctx), void *ctx);

#endif
