/* A calendar, as its own file and the arithmetic over it see it. */
#ifndef TG_DISPATCH_WORKTIME_IMPL_H
#define TG_DISPATCH_WORKTIME_IMPL_H

#include "dispatch/worktime.h"

struct day_plan {
	struct tg_period periods[TG_DAY_PERIODS_MAX];
	size_t n;
};

struct day_override {
	int64_t day;
	enum tg_day_kind kind;
	struct day_plan plan;
	char *name;
};

struct tg_calendar {
	char *name;
	const struct tg_zone *zone;
	int64_t day_us;            /* what one wd means */
	struct day_plan week[8];   /* by ISO weekday; [0] unused */
	struct day_override *days; /* ascending by day */
	size_t days_count, days_cap;
};

/* What is worked on that day; *ret: the day's own entry, or NULL when it goes by the weekday. */
const struct day_plan *calendar_plan(
	const struct tg_calendar *cal, int64_t day, const struct day_override **ret);
struct tg_span calendar_span(const struct tg_calendar *cal, int64_t day, const struct tg_period *p);
/* The local day of an instant. */
int64_t calendar_day(const struct tg_calendar *cal, int64_t t_us);

#endif
