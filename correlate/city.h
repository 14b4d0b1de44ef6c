/* What the role follows of the city while it runs: its halo and its registry of devices, read anew
 * when another is loaded; and the other way round the table of the rules that run.
 *
 * A rule that looks further than events are copied across the borders of regions would miss some:
 * at start its pack is refused; when another city is loaded later it is named in the log and
 * counted in tongguan_correlate_rules_beyond_halo. */
#ifndef TG_CORRELATE_CITY_H
#define TG_CORRELATE_CITY_H

#include <uv.h>

#include "base/io/kafka.h"
#include "base/io/pg.h"
#include "correlate/registry.h"
#include "correlate/rule.h"
#include "proto/region.h"

struct tg_city_watch {
	uv_timer_t timer;
	struct tg_pg *pg;
	struct tg_producer *producer;
	/* Gives a registry that is read whole; the receiver owns it. */
	void (*on_registry)(void *ctx, struct tg_registry *registry);
	void (*on_look)(void *ctx); /* each time it looks, every other second */
	void *ctx;
	const struct tg_ruleset *rules;
	double halo_m;   /* as last seen; 0 before */
	int64_t version; /* of the city whose registry was given; −1: none was */
	int32_t partitions;
	bool asking, rules_stored, closing;
	/* the load under way */
	struct tg_registry *next;
	struct tg_regions regions;
	struct tg_buf doc;
};

/* pg, producer and rules outlive the watch. */
void tg_city_watch_start(struct tg_city_watch *watch, uv_loop_t *loop);
void tg_city_watch_now(struct tg_city_watch *watch); /* does not wait for the next look */
/* Other rules run from now on. */
void tg_city_watch_rules(struct tg_city_watch *watch, const struct tg_ruleset *rules);
/* No question is asked any more; one under way is still answered by pg. closed once the loop has
 * turned; tg_city_watch_release() after pg has closed. */
void tg_city_watch_close(struct tg_city_watch *watch, uv_close_cb closed, void *data);
void tg_city_watch_release(struct tg_city_watch *watch);

#endif
