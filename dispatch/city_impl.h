/* The city in memory, as the two files that make and read it see it. */
#ifndef TG_DISPATCH_CITY_IMPL_H
#define TG_DISPATCH_CITY_IMPL_H

#include "base/arena.h"
#include "dispatch/city.h"

struct stage_limit {
	const char *clock;
	enum tg_urgency urgency;
	const char *limit;
};

struct tg_city {
	struct tg_arena arena; /* every text and array below */
	int64_t version;
	const char *name_zh, *name_en, *division;
	struct tg_zone *zone;
	struct tg_calendar **calendars;
	struct tg_type *types;
	struct tg_dept *depts;
	struct tg_street *streets;
	struct tg_rung *ladder;
	struct stage_limit *stages;
	struct tg_duty *duty;
	size_t calendars_count, types_count, depts_count, streets_count, ladder_count, stages_count,
		duty_count;
	const struct tg_calendar *centre;
};

#endif
