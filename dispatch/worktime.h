/* Working-time arithmetic: pure, no clock of its own. Instants are µs since the epoch
 * (base/clock.h), amounts are µs of counted time. Intervals are half-open.
 *
 * Laws (tests/unit/dispatch_worktime_test.c): count(t, add(t, n)) = n; add(add(t, m), n) = add(t, m
 * + n); add is monotone in t and in n; a start outside the periods begins at the next one; a result
 * at a period's end stays at that end. */
#ifndef TG_DISPATCH_WORKTIME_H
#define TG_DISPATCH_WORKTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"

enum tg_unit {
	TG_UNIT_H,  /* continuous hours; "10min" is a text form of it */
	TG_UNIT_WH, /* hours inside working periods */
	TG_UNIT_WD, /* n × the calendar's hours_per_day, counted inside working periods */
	TG_UNIT_ND, /* n × 24 continuous hours */
};
const char *tg_unit_name(enum tg_unit unit); /* "h", "wh", "wd", "nd" */
bool tg_unit_is_working(enum tg_unit unit);  /* counts inside periods */

/* A limit as the catalogue writes it: "0.25h", "4wh", "5wd", "7nd", "10min". */
struct tg_limit {
	enum tg_unit unit;
	int64_t n_micro; /* the number × 10⁶, of hours, days, or minutes */
	bool minutes;    /* written in minutes; unit is then TG_UNIT_H */
};
/* -TG_EPARSE unless text is a positive number with at most 6 decimals and a unit. */
TG_MUST int tg_limit_parse(struct tg_slice text, struct tg_limit *ret);

/* One working period of a day, µs into the local day; to may be TG_US_PER_DAY. */
struct tg_period {
	int64_t from_us, to_us;
};
#define TG_DAY_PERIODS_MAX 8

enum tg_day_kind { TG_DAY_NORMAL, TG_DAY_OFF, TG_DAY_WORK, TG_DAY_HALF };

struct tg_calendar;
/* zone stays the caller's and must outlive the calendar. */
TG_MUST int tg_calendar_new(const char *name, const struct tg_zone *zone, double hours_per_day,
	struct tg_calendar **ret);
void tg_calendar_free(struct tg_calendar *cal);
const char *tg_calendar_name(const struct tg_calendar *cal);
const struct tg_zone *tg_calendar_zone(const struct tg_calendar *cal);
/* "08:00-12:00" → a period. -TG_EPARSE. */
TG_MUST int tg_period_parse(struct tg_slice text, struct tg_period *ret);
/* Ascending, disjoint, non-empty periods of one ISO weekday (1 Monday – 7). -TG_EINVAL otherwise.
 */
TG_MUST int tg_calendar_set_weekday(
	struct tg_calendar *cal, unsigned weekday, const struct tg_period *periods, size_t n);
/* An override for one local date (days since 1970-01-01). periods NULL: off → none, work → those of
 * the first weekday that has any, half → the first of these. A later call for the same date
 * replaces the earlier one. */
TG_MUST int tg_calendar_set_day(struct tg_calendar *cal, int64_t day, enum tg_day_kind kind,
	const struct tg_period *periods, size_t n, const char *name);

/* µs of counted time that the limit means. cal may be NULL for h and nd. */
int64_t tg_limit_amount_us(const struct tg_limit *limit, const struct tg_calendar *cal);

/* The earliest instant u ≥ t with count(t, u) = n_us; t itself for n_us ≤ 0. INT64_MAX when the
 * calendar holds no such amount within TG_WORKTIME_DAYS_MAX days. Continuous units pass cal NULL:
 * plain addition. */
#define TG_WORKTIME_DAYS_MAX 14640
int64_t tg_work_add(const struct tg_calendar *cal, int64_t t_us, int64_t n_us);
/* The earliest instant u ≤ t with count(u, t) = n_us: so much before t; t itself for n_us ≤ 0.
 * INT64_MIN when the calendar holds no such amount within TG_WORKTIME_DAYS_MAX days. */
int64_t tg_work_before(const struct tg_calendar *cal, int64_t t_us, int64_t n_us);
/* Counted µs in [a, b); negative when b < a. */
int64_t tg_work_count(const struct tg_calendar *cal, int64_t a_us, int64_t b_us);
/* True when t lies inside a period. Else *ret_next (may be NULL) is the start of the next one
 * (INT64_MAX: none). */
bool tg_work_open(const struct tg_calendar *cal, int64_t t_us, int64_t *ret_next);

/* --- why is this the deadline --- */

struct tg_span {
	int64_t from_us, to_us; /* to INT64_MAX: still open */
};
struct tg_extension {
	int64_t at_us;
	int64_t amount_us;
	char limit[24];
};
struct tg_deadline_q {
	const struct tg_calendar *cal; /* NULL: continuous */
	int64_t start_us, amount_us;
	const struct tg_span *pauses; /* ascending, disjoint */
	size_t pauses_count;
	const struct tg_extension *extensions;
	size_t extensions_count;
};
struct tg_deadline_sink {
	void (*period)(void *ctx, int64_t from_us, int64_t to_us); /* counted */
	void (*skipped)(void *ctx, int64_t day,
		const char *reason); /* a date without any counted time: "off", "weekend", a
					holiday's name, "paused" */
	void *ctx;
};
/* The instant at which start + amount + extensions is used up, leaving out the pauses; INT64_MAX
 * while an open pause begins before that. sink may be NULL. */
int64_t tg_deadline(const struct tg_deadline_q *q, const struct tg_deadline_sink *sink);

#endif
