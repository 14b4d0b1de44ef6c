#include "correlate/schedule.h"

#include <stdlib.h>
#include <string.h>

#define DAYS_MAX 732

struct cursor {
	const char *at, *end;
};

static void skip_spaces(struct cursor *c)
{
	while (c->at < c->end && *c->at == ' ')
		c->at++;
}

static bool take(struct cursor *c, char what)
{
	if (c->at == c->end || *c->at != what)
		return false;
	c->at++;
	return true;
}

/* One or two digits; −1 when there are none. */
static int number(struct cursor *c)
{
	int v = -1;

	for (int i = 0; i < 2 && c->at < c->end && *c->at >= '0' && *c->at <= '9'; i++)
		v = (v < 0 ? 0 : v * 10) + (*c->at++ - '0');
	return v;
}

static bool clock_time(struct cursor *c, int64_t *ret_us)
{
	int hour = number(c), minute = take(c, ':') ? number(c) : -1;

	if (hour < 0 || minute < 0 || minute > 59 || hour > 24 || (hour == 24 && minute))
		return false;
	*ret_us = hour * TG_US_PER_H + minute * TG_US_PER_MIN;
	return true;
}

static bool has_days(const struct cursor *c)
{
	const char *p = c->at;

	while (p < c->end && *p >= '0' && *p <= '9')
		p++;
	return p < c->end && *p != ':';
}

/* "1-5" or "1,3,6-7"; nothing means every day. */
static const char *read_days(struct cursor *c, uint8_t *ret)
{
	*ret = 0;
	if (!has_days(c)) {
		*ret = 0x7f;
		return NULL;
	}
	do {
		int from = number(c), to = take(c, '-') ? number(c) : from;

		if (from < 1 || to > 7 || to < from)
			return "days are 1 (Monday) to 7, as 1-5 or 1,3";
		for (int d = from; d <= to; d++)
			*ret |= (uint8_t)(1 << (d - 1));
	} while (take(c, ','));
	if (!take(c, ' '))
		return "a space stands between days and times";
	skip_spaces(c);
	return NULL;
}

static const char *read_part(struct cursor *c, struct tg_schedule *s)
{
	uint8_t days;
	const char *why = read_days(c, &days);

	while (!why) {
		int64_t from_us, to_us;

		if (!clock_time(c, &from_us) || !take(c, '-') || !clock_time(c, &to_us))
			return "a time is written 08:00-18:00";
		if (to_us <= from_us)
			return "a period ends after it begins, on the same day (24:00 is its end)";
		if (s->len == TG_SCHEDULE_PERIODS_MAX)
			return "at most 32 periods";
		s->periods[s->len].days = days;
		s->periods[s->len].from_us = from_us;
		s->periods[s->len++].to_us = to_us;
		if (!take(c, ','))
			break;
	}
	return why;
}

static bool overlap(const struct tg_schedule *s)
{
	for (size_t i = 0; i < s->len; i++)
		for (size_t k = 0; k < i; k++)
			if ((s->periods[i].days & s->periods[k].days) &&
				s->periods[i].from_us < s->periods[k].to_us &&
				s->periods[k].from_us < s->periods[i].to_us)
				return true;
	return false;
}

static int by_begin(const void *a, const void *b)
{
	const struct tg_period *x = a, *y = b;

	return (x->from_us > y->from_us) - (x->from_us < y->from_us);
}

int tg_schedule_parse(struct tg_slice text, struct tg_schedule *ret, const char **ret_why)
{
	struct cursor c = {text.data, text.data + text.len};
	struct tg_schedule s = {0};
	const char *why = NULL;

	do {
		skip_spaces(&c);
		why = read_part(&c, &s);
		skip_spaces(&c);
	} while (!why && take(&c, ';'));
	if (!why && c.at != c.end)
		why = "a schedule is written 1-5 08:00-12:00,14:00-18:00; 6 09:00-12:00";
	if (!why && overlap(&s))
		why = "two periods of a schedule overlap";
	if (why) {
		*ret_why = why;
		return -TG_EPARSE;
	}
	qsort(s.periods, s.len, sizeof(s.periods[0]), by_begin);
	*ret = s;
	return 0;
}

static int64_t instant(const struct tg_zone *zone, int64_t days, int64_t day_us)
{
	return zone ? tg_zone_from_local(zone, days, day_us) : days * TG_US_PER_DAY + day_us;
}

int64_t tg_schedule_after(
	const struct tg_schedule *s, const struct tg_zone *zone, int64_t from_us, int64_t after_us)
{
	int64_t day, day_us;

	if (!s)
		return from_us > INT64_MAX - after_us ? INT64_MAX : from_us + after_us;
	day = from_us / TG_US_PER_DAY - (from_us % TG_US_PER_DAY < 0);
	if (zone)
		tg_zone_to_local(zone, from_us, &day, &day_us);
	for (int64_t d = day; d < day + DAYS_MAX; d++) {
		unsigned bit = 1u << (tg_weekday(d) - 1);

		for (size_t i = 0; i < s->len; i++) {
			int64_t from, to;

			if (!(s->periods[i].days & bit))
				continue;
			from = instant(zone, d, s->periods[i].from_us);
			to = instant(zone, d, s->periods[i].to_us);
			if (from < from_us)
				from = from_us;
			if (to <= from)
				continue;
			if (to - from >= after_us)
				return from + after_us;
			after_us -= to - from;
		}
	}
	return INT64_MAX;
}
