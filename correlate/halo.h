/* Watches the city's halo while the role runs. A rule that looks further than events are copied
 * across the borders of regions would miss some: at start its pack is refused; when another city is
 * loaded later it is named in the log and counted in tongguan_correlate_rules_beyond_halo. */
#ifndef TG_CORRELATE_HALO_H
#define TG_CORRELATE_HALO_H

#include <uv.h>

#include "base/io/pg.h"
#include "correlate/rule.h"

struct tg_halo_watch {
	uv_timer_t timer;
	struct tg_pg *pg;
	const struct tg_ruleset *rules;
	double halo_m; /* as last seen; 0 before */
	bool asking;
};

/* pg and rules outlive the watch. */
void tg_halo_watch_start(struct tg_halo_watch *watch, uv_loop_t *loop, struct tg_pg *pg,
	const struct tg_ruleset *rules);
/* No question is asked any more; one under way is still answered by pg. closed once the loop has
 * turned. */
void tg_halo_watch_close(struct tg_halo_watch *watch, uv_close_cb closed, void *data);

#endif
