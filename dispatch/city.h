/* The city's reference data in memory: types with their filing conditions, departments, streets,
 * calendars, the stage limits and the escalation ladder. Immutable once built; dispatch replaces
 * the whole when city.version changes, between two callbacks, so nobody may keep a pointer into it
 * across a return to the loop. */
#ifndef TG_DISPATCH_CITY_H
#define TG_DISPATCH_CITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "dispatch/worktime.h"

enum tg_urgency { TG_URGENT, TG_PRIORITY, TG_NORMAL, TG_SLOW, TG_URGENCY_COUNT };
const char *tg_urgency_name(enum tg_urgency u); /* "urgent", "priority", "normal", "slow" */
bool tg_urgency_parse(struct tg_slice name, enum tg_urgency *ret);

struct tg_condition {
	int64_t no;
	const char *handle_limit; /* "2h", "5wd" */
	const char *lead;         /* department it is for, or NULL: the type's */
	const char *filing_zh, *filing_en, *close_zh, *close_en;
};

struct tg_type {
	const char *code, *class_code, *class_zh, *class_en;
	const char *name_zh, *name_en, *short_zh, *short_en, *pinyin, *domain;
	const char *lead; /* department code or NULL */
	const char **co;  /* NULL-terminated */
	const char *accept_limit, *dispatch_limit, *dispose_limit;
	enum tg_urgency urgency;
	bool self_dispose;               /* small enough to be disposed of on the spot */
	struct tg_condition *conditions; /* ascending by no */
	size_t conditions_count;
};

struct tg_dept {
	const char *code, *name_zh, *name_en, *short_zh, *short_en, *pinyin, *kind;
	const char *calendar_name;
	const struct tg_calendar *calendar;
	const char **streets; /* codes of those it is responsible for; NULL-terminated */
	const char *parent;   /* code of the department it is a unit of, or NULL */
};
#define TG_DEPT_DEPTH_MAX 8

struct tg_street {
	const char *code, *name_zh, *name_en, *short_zh, *short_en, *district;
};

/* Somebody is on duty in a department every week at that local time. */
struct tg_duty {
	const char *department;
	int weekday;          /* ISO */
	int from_min, to_min; /* of the day, half-open */
};

/* One rung of a clock: fires when percent of the limit is used, then plus the offset. */
struct tg_rung {
	const char *clock; /* "handle", "sign", "reply" */
	enum tg_urgency urgency;
	int level;
	int percent;
	struct tg_limit plus; /* n_micro 0: none */
	int supervise;        /* 督办 level it sets at least */
	int rework;           /* at once when the case has come back so often; 0: no matter */
};

struct tg_city;
/* doc: what SELECT tongguan.city_doc() returns. -TG_EPARSE with the reason in why. */
TG_MUST int tg_city_parse(const json_t *doc, struct tg_city **ret, struct tg_buf *why);
void tg_city_free(struct tg_city *city);

int64_t tg_city_version(const struct tg_city *city);
const char *tg_city_name_zh(const struct tg_city *city);
const char *tg_city_name_en(const struct tg_city *city);
const char *tg_city_division(const struct tg_city *city);
const struct tg_zone *tg_city_zone(const struct tg_city *city);

/* NULL when unknown; a NULL code is unknown. */
const struct tg_type *tg_city_type(const struct tg_city *city, const char *code);
const struct tg_condition *tg_type_condition(const struct tg_type *type, int64_t no);
const struct tg_dept *tg_city_dept(const struct tg_city *city, const char *code);
const struct tg_street *tg_city_street(const struct tg_city *city, const char *code);
const struct tg_calendar *tg_city_calendar(const struct tg_city *city, const char *name);
/* The centre's own: "default" when there is one, else the calendar most departments keep. Never
 * NULL. */
const struct tg_calendar *tg_city_centre_calendar(const struct tg_city *city);

/* Arrays in order of code, for lists. */
const struct tg_type *tg_city_types(const struct tg_city *city, size_t *ret_count);
const struct tg_dept *tg_city_depts(const struct tg_city *city, size_t *ret_count);
const struct tg_street *tg_city_streets(const struct tg_city *city, size_t *ret_count);
const struct tg_rung *tg_city_ladder(const struct tg_city *city, size_t *ret_count);
/* Is anybody on duty there? -1: the city keeps no roster. */
int tg_city_on_duty(const struct tg_city *city, const char *department, int64_t at_us);
/* The stage limit of a clock ("accept", "verify", "file", "dispatch", "sign", "check", "close") at
 * an urgency, as text. */
const char *tg_city_stage_limit(
	const struct tg_city *city, const char *clock, enum tg_urgency urgency);

#endif
