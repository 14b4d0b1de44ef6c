/* How far a replay is: a bar on a terminal, else a log line now and then. On stderr. */
#ifndef TG_CMD_FEED_PROGRESS_H
#define TG_CMD_FEED_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct feed_progress {
	bool terminal;
	bool drawn;
	uint64_t events; /* at the last showing */
	int64_t mono_us; /* and when that was */
};

struct feed_progress_now {
	uint64_t events;
	double share;         /* 0 to 1 */
	int64_t clock_us;     /* original time of the event sent last; INT64_MIN: none yet */
	struct tg_zone *zone; /* in which that is shown; NULL: UTC */
};

void feed_progress_init(struct feed_progress *progress);
/* Milliseconds from one showing to the next. */
uint64_t feed_progress_every_ms(const struct feed_progress *progress);
void feed_progress_show(struct feed_progress *progress, const struct feed_progress_now *now);
/* Takes the bar away. */
void feed_progress_end(struct feed_progress *progress);

#endif
