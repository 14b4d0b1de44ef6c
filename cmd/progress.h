/* How far a run is: a bar on a terminal, else a log line now and then. On stderr. */
#ifndef TG_CMD_PROGRESS_H
#define TG_CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct progress {
	bool terminal;
	bool drawn;
	uint64_t events; /* at the last showing */
	int64_t mono_us; /* and when that was */
};

struct progress_now {
	uint64_t events;
	double share;         /* 0 to 1 */
	int64_t clock_us;     /* original time of the event sent last; INT64_MIN: none yet */
	struct tg_zone *zone; /* in which that is shown; NULL: UTC */
};

void progress_init(struct progress *progress);
/* Milliseconds from one showing to the next. */
uint64_t progress_every_ms(const struct progress *progress);
/* `name`: of the command, in the log line. */
void progress_show(struct progress *progress, const char *name, const struct progress_now *now);
/* Takes the bar away. */
void progress_end(struct progress *progress);

#endif
