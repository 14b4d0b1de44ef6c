/* Keeps one snapshot of the city's reference data in memory and takes up a new version while
 * running. */
#ifndef TG_INGEST_CITY_H
#define TG_INGEST_CITY_H

#include <uv.h>

#include "ingest/locate.h"

struct tg_atlas_watch;

/* on_city is called whenever another snapshot has become the current one. */
TG_MUST int tg_atlas_watch_open(uv_loop_t *loop, const char *url, void (*on_city)(void *ctx),
	void *ctx, struct tg_atlas_watch **ret);
/* The current snapshot, NULL before the first. Valid until the loop turns. */
const struct tg_atlas *tg_atlas_watch_now(const struct tg_atlas_watch *watch);
void tg_atlas_watch_close(struct tg_atlas_watch *watch, void (*closed)(void *ctx), void *ctx);

#endif
