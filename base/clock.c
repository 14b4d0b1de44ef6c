#include "base/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static int64_t test_us; /* 0: the real clocks */

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;
	int rc = clock_gettime(id, &ts);

	assert(rc == 0);
	(void)rc;
	return ts.tv_sec * TG_US_PER_S + ts.tv_nsec / 1000;
}

int64_t tg_now_us(void)
{
	return test_us ? test_us : read_clock(CLOCK_REALTIME);
}

int64_t tg_mono_us(void)
{
	return test_us ? test_us : read_clock(CLOCK_MONOTONIC);
}

void tg_clock_set_for_test(int64_t wall_us)
{
	test_us = wall_us;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Years are counted from March, so that the leap day is the last of its year, in eras of 400 years
 * = 146 097 days; 719 468 days lie between 0000-03-01 and 1970-01-01. */
int64_t tg_days_from_civil(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(y, 400);
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (int64_t)((month + 9) % 12) + 2) / 5 + (int64_t)day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

void tg_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;
	unsigned month = (unsigned)((month_from_march + 2) % 12 + 1);

	*ret_day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
	*ret_month = month;
	*ret_year = year_of_era + era * 400 + (month <= 2);
}

unsigned tg_weekday(int64_t days)
{
	int64_t r = (days + 3) % 7; /* 1970-01-01 was a Thursday */

	return (unsigned)(r < 0 ? r + 7 : r) + 1;
}

/* Date, time and fraction without a zone; returns the length. */
static int put_local(int64_t local_us, char out[TG_RFC3339_MAX])
{
	int64_t days = floor_div(local_us, TG_US_PER_DAY);
	/* Not local_us - days * TG_US_PER_DAY, which overflows at the far end of the past. */
	int64_t in_day = (local_us % TG_US_PER_DAY + TG_US_PER_DAY) % TG_US_PER_DAY;
	int64_t year;
	unsigned month, day, s = (unsigned)(in_day / TG_US_PER_S);
	unsigned fraction = (unsigned)(in_day % TG_US_PER_S);
	int n;

	tg_civil_from_days(days, &year, &month, &day);
	n = snprintf(out, TG_RFC3339_MAX, "%04lld-%02u-%02uT%02u:%02u:%02u", (long long)year, month,
		day, s / 3600, s / 60 % 60, s % 60);
	if (fraction)
		n += snprintf(out + n, TG_RFC3339_MAX - (size_t)n, ".%06u", fraction);
	return n;
}

void tg_rfc3339_utc(int64_t us, char out[TG_RFC3339_MAX])
{
	int n = put_local(us, out);

	snprintf(out + n, TG_RFC3339_MAX - (size_t)n, "Z");
}

void tg_rfc3339_local(const struct tg_zone *zone, int64_t us, char out[TG_RFC3339_MAX])
{
	int32_t offset_s = tg_zone_offset_s(zone, us);
	int n, minutes;

	/* RFC 3339 knows whole minutes only; local mean times of old do not keep to them. */
	minutes = offset_s / 60;
	n = put_local(us + minutes * TG_US_PER_MIN, out);
	snprintf(out + n, TG_RFC3339_MAX - (size_t)n, "%c%02d:%02d", minutes < 0 ? '-' : '+',
		(minutes < 0 ? -minutes : minutes) / 60, (minutes < 0 ? -minutes : minutes) % 60);
}

struct cursor {
	const char *p, *end;
	bool bad;
};

static unsigned take_digits(struct cursor *c, int n)
{
	unsigned v = 0;

	for (int i = 0; i < n; i++) {
		if (c->p == c->end || *c->p < '0' || *c->p > '9') {
			c->bad = true;
			return 0;
		}
		v = v * 10 + (unsigned)(*c->p++ - '0');
	}
	return v;
}

static char take_one_of(struct cursor *c, const char *set)
{
	for (; *set && c->p < c->end; set++) {
		if (*c->p == *set)
			return *c->p++;
	}
	c->bad = true;
	return 0;
}

/* One to nine digits after the point, cut to microseconds. */
static int64_t take_fraction(struct cursor *c)
{
	int64_t us = 0, unit = 100000;
	int n = 0;

	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++, n++) {
		us += (*c->p - '0') * unit;
		unit /= 10;
	}
	c->bad |= n == 0 || n > 9;
	return us;
}

static int64_t take_offset_us(struct cursor *c)
{
	char sign = take_one_of(c, "Zz+-");
	unsigned h, m;

	if (c->bad || sign == 'Z' || sign == 'z')
		return 0;
	h = take_digits(c, 2);
	take_one_of(c, ":");
	m = take_digits(c, 2);
	c->bad |= h > 23 || m > 59;
	return (sign == '-' ? -1 : 1) * ((int64_t)h * TG_US_PER_H + (int64_t)m * TG_US_PER_MIN);
}

static unsigned month_days(unsigned year, unsigned month)
{
	static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

int tg_rfc3339_parse(struct tg_slice text, int64_t *ret_us)
{
	struct cursor c = {.p = text.data, .end = text.data + text.len};
	unsigned year, month, day, h, m, s;
	int64_t fraction = 0, offset, us;

	year = take_digits(&c, 4);
	take_one_of(&c, "-");
	month = take_digits(&c, 2);
	take_one_of(&c, "-");
	day = take_digits(&c, 2);
	take_one_of(&c, "Tt");
	h = take_digits(&c, 2);
	take_one_of(&c, ":");
	m = take_digits(&c, 2);
	take_one_of(&c, ":");
	s = take_digits(&c, 2);
	if (c.p < c.end && *c.p == '.') {
		c.p++;
		fraction = take_fraction(&c);
	}
	offset = take_offset_us(&c);
	if (c.bad || c.p != c.end)
		return -TG_EPARSE;
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month))
		return -TG_EPARSE;
	if (h > 23 || m > 59 || s > 60)
		return -TG_EPARSE;
	us = tg_days_from_civil(year, month, day) * TG_US_PER_DAY + (int64_t)h * TG_US_PER_H +
	     (int64_t)m * TG_US_PER_MIN + (int64_t)s * TG_US_PER_S - offset;
	/* A leap second is only ever the last of a UTC day; it reads as the first of the next. */
	if (s == 60 && us % TG_US_PER_DAY != 0)
		return -TG_EPARSE;
	*ret_us = us + fraction;
	return 0;
}
