/* When something is expected: "1-5 08:00-12:00,14:00-18:00; 6 09:00-12:00", ISO weekdays (Monday is
 * 1) and local wall times; without days every day. Pure. */
#ifndef TG_CORRELATE_SCHEDULE_H
#define TG_CORRELATE_SCHEDULE_H

#include "base/buf.h"
#include "base/clock.h"

#define TG_SCHEDULE_PERIODS_MAX 32

struct tg_period {
	uint8_t days;           /* bit 0: Monday */
	int64_t from_us, to_us; /* into the day; half-open */
};

struct tg_schedule {
	struct tg_period periods[TG_SCHEDULE_PERIODS_MAX]; /* by from_us */
	size_t len;
};

/* -TG_EPARSE with what to mend in *ret_why (a literal). */
TG_MUST int tg_schedule_parse(struct tg_slice text, struct tg_schedule *ret, const char **ret_why);
/* The first instant by which `after_us` (> 0) of expected time has passed since from_us; INT64_MAX
 * when that lies more than two years off. NULL schedule: always expected. NULL zone: UTC. */
int64_t tg_schedule_after(
	const struct tg_schedule *s, const struct tg_zone *zone, int64_t from_us, int64_t after_us);

#endif
