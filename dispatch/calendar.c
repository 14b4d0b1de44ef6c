/* Limits and calendars: what is worked when. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/worktime_impl.h"

static const char *const unit_names[] = {"h", "wh", "wd", "nd"};

const char *tg_unit_name(enum tg_unit unit)
{
	return unit_names[unit];
}

bool tg_unit_is_working(enum tg_unit unit)
{
	return unit == TG_UNIT_WH || unit == TG_UNIT_WD;
}

/* --- limits --- */

#define LIMIT_DIGITS_MAX 6 /* before the point, and after it */

int tg_limit_parse(struct tg_slice text, struct tg_limit *ret)
{
	struct tg_slice unit;
	int64_t micro = 0, scale = 1000000;
	size_t i = 0, whole;

	while (i < text.len && text.data[i] >= '0' && text.data[i] <= '9')
		micro = i < LIMIT_DIGITS_MAX + 1 ? micro * 10 + (text.data[i] - '0') : micro, i++;
	whole = i;
	if (!whole || whole > LIMIT_DIGITS_MAX)
		return -TG_EPARSE;
	micro *= scale;
	if (i < text.len && text.data[i] == '.') {
		size_t first = ++i;

		for (; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
			scale /= 10;
			micro += scale * (text.data[i] - '0');
		}
		if (i == first || i - first > LIMIT_DIGITS_MAX)
			return -TG_EPARSE;
	}
	unit = (struct tg_slice){text.data + i, text.len - i};
	if (micro <= 0)
		return -TG_EPARSE;
	if (tg_slice_is(unit, "min")) {
		*ret = (struct tg_limit){TG_UNIT_H, micro, true};
		return 0;
	}
	for (size_t u = 0; u < sizeof(unit_names) / sizeof(unit_names[0]); u++) {
		if (tg_slice_is(unit, unit_names[u])) {
			*ret = (struct tg_limit){(enum tg_unit)u, micro, false};
			return 0;
		}
	}
	return -TG_EPARSE;
}

int64_t tg_limit_amount_us(const struct tg_limit *limit, const struct tg_calendar *cal)
{
	const int64_t micro = limit->n_micro;

	switch (limit->unit) {
	case TG_UNIT_H: return limit->minutes ? micro * 60 : micro * 3600;
	case TG_UNIT_WH: return micro * 3600;
	case TG_UNIT_ND: return micro * 86400;
	case TG_UNIT_WD:
		assert(cal);
		/* A day of at most 24 h is below 2^37 µs: exact in 64 bits while n has at most 6
		 * digits. */
		return (int64_t)((__int128)micro * cal->day_us / 1000000);
	}
	assert(!"unit");
	return 0;
}

/* --- calendars --- */

int tg_calendar_new(const char *name, const struct tg_zone *zone, double hours_per_day,
	struct tg_calendar **ret)
{
	struct tg_calendar *cal;

	if (!(hours_per_day > 0 && hours_per_day <= 24))
		return -TG_EINVAL;
	cal = calloc(1, sizeof(*cal));
	if (!cal)
		return -TG_ENOMEM;
	cal->name = strdup(name);
	if (!cal->name) {
		free(cal);
		return -TG_ENOMEM;
	}
	cal->zone = zone;
	cal->day_us = llround(hours_per_day * (double)TG_US_PER_H);
	*ret = cal;
	return 0;
}

void tg_calendar_free(struct tg_calendar *cal)
{
	if (!cal)
		return;
	for (size_t i = 0; i < cal->days_count; i++)
		free(cal->days[i].name);
	free(cal->days);
	free(cal->name);
	free(cal);
}

const char *tg_calendar_name(const struct tg_calendar *cal)
{
	return cal->name;
}

const struct tg_zone *tg_calendar_zone(const struct tg_calendar *cal)
{
	return cal->zone;
}

static bool two_digits(const char *p, int64_t *ret)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*ret = (p[0] - '0') * 10 + (p[1] - '0');
	return true;
}

int tg_period_parse(struct tg_slice text, struct tg_period *ret)
{
	int64_t h0, m0, h1, m1;
	struct tg_period p;

	if (text.len != 11 || text.data[2] != ':' || text.data[5] != '-' || text.data[8] != ':' ||
		!two_digits(text.data, &h0) || !two_digits(text.data + 3, &m0) ||
		!two_digits(text.data + 6, &h1) || !two_digits(text.data + 9, &m1) || m0 > 59 ||
		m1 > 59)
		return -TG_EPARSE;
	p.from_us = h0 * TG_US_PER_H + m0 * TG_US_PER_MIN;
	p.to_us = h1 * TG_US_PER_H + m1 * TG_US_PER_MIN;
	if (p.from_us >= p.to_us || p.to_us > TG_US_PER_DAY)
		return -TG_EPARSE;
	*ret = p;
	return 0;
}

static int plan_set(struct day_plan *plan, const struct tg_period *periods, size_t n)
{
	int64_t last = 0;

	if (n > TG_DAY_PERIODS_MAX)
		return -TG_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (periods[i].from_us < last || periods[i].to_us <= periods[i].from_us ||
			periods[i].to_us > TG_US_PER_DAY)
			return -TG_EINVAL;
		last = periods[i].to_us;
	}
	if (n)
		memcpy(plan->periods, periods, n * sizeof(*periods));
	plan->n = n;
	return 0;
}

int tg_calendar_set_weekday(
	struct tg_calendar *cal, unsigned weekday, const struct tg_period *periods, size_t n)
{
	assert(weekday >= 1 && weekday <= 7);
	return plan_set(&cal->week[weekday], periods, n);
}

/* Index of the first override at or after day. */
static size_t days_find(const struct tg_calendar *cal, int64_t day)
{
	size_t lo = 0, hi = cal->days_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cal->days[mid].day < day)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct day_plan *usual_plan(const struct tg_calendar *cal)
{
	for (int w = 1; w <= 7; w++)
		if (cal->week[w].n)
			return &cal->week[w];
	return &cal->week[1];
}

int tg_calendar_set_day(struct tg_calendar *cal, int64_t day, enum tg_day_kind kind,
	const struct tg_period *periods, size_t n, const char *name)
{
	struct day_override made = {.day = day, .kind = kind};
	size_t at = days_find(cal, day);
	int rc = 0;

	if (periods)
		rc = plan_set(&made.plan, periods, n);
	else if (kind != TG_DAY_OFF)
		made.plan = *usual_plan(cal);
	if (rc)
		return rc;
	if (!periods && kind == TG_DAY_HALF && made.plan.n > 1)
		made.plan.n = 1;
	made.name = strdup(name ? name : "");
	if (!made.name)
		return -TG_ENOMEM;
	if (at < cal->days_count && cal->days[at].day == day) {
		free(cal->days[at].name);
		cal->days[at] = made;
		return 0;
	}
	if (cal->days_count == cal->days_cap) {
		size_t cap = cal->days_cap ? cal->days_cap * 2 : 32;
		struct day_override *grown = realloc(cal->days, cap * sizeof(*grown));

		if (!grown) {
			free(made.name);
			return -TG_ENOMEM;
		}
		cal->days = grown;
		cal->days_cap = cap;
	}
	memmove(cal->days + at + 1, cal->days + at, (cal->days_count - at) * sizeof(*cal->days));
	cal->days[at] = made;
	cal->days_count++;
	return 0;
}

const struct day_plan *calendar_plan(
	const struct tg_calendar *cal, int64_t day, const struct day_override **ret)
{
	size_t at = days_find(cal, day);

	*ret = at < cal->days_count && cal->days[at].day == day ? &cal->days[at] : NULL;
	return *ret ? &(*ret)->plan : &cal->week[tg_weekday(day)];
}

struct tg_span calendar_span(const struct tg_calendar *cal, int64_t day, const struct tg_period *p)
{
	return (struct tg_span){tg_zone_from_local(cal->zone, day, p->from_us),
		tg_zone_from_local(cal->zone, day, p->to_us)};
}

int64_t calendar_day(const struct tg_calendar *cal, int64_t t_us)
{
	int64_t day, day_us;

	tg_zone_to_local(cal->zone, t_us, &day, &day_us);
	return day;
}
