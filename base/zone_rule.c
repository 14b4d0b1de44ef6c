#include "base/zone_rule.h"

#include "base/clock.h"

#define DAY_S 86400

struct cursor {
	const char *p, *end;
};

static bool take(struct cursor *c, char want)
{
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "EST" or "<+0330>": three characters at least. */
static bool take_name(struct cursor *c)
{
	const char *start;

	if (take(c, '<')) {
		start = c->p;
		while (c->p < c->end && *c->p != '>')
			c->p++;
		return c->p - start >= 3 && take(c, '>');
	}
	start = c->p;
	while (c->p < c->end && is_letter(*c->p))
		c->p++;
	return c->p - start >= 3;
}

static bool take_number(struct cursor *c, unsigned max, unsigned *ret)
{
	const char *start = c->p;
	unsigned v = 0;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9' && v <= max)
		v = v * 10 + (unsigned)(*c->p++ - '0');
	*ret = v;
	return c->p > start && v <= max;
}

/* [+-]h[h[h]][:mm[:ss]] */
static bool take_hms(struct cursor *c, unsigned hours_max, int32_t *ret)
{
	bool minus = take(c, '-');
	unsigned h, m = 0, s = 0;

	if (!minus)
		take(c, '+');
	if (!take_number(c, hours_max, &h))
		return false;
	if (take(c, ':')) {
		if (!take_number(c, 59, &m))
			return false;
		if (take(c, ':') && !take_number(c, 59, &s))
			return false;
	}
	*ret = (int32_t)(h * 3600 + m * 60 + s) * (minus ? -1 : 1);
	return true;
}

static bool take_change(struct cursor *c, struct tg_zone_change *ret)
{
	bool ok;

	ret->time_s = 2 * 3600;
	if (take(c, 'M')) {
		ret->kind = TG_ZONE_MONTH_WEEK;
		ok = take_number(c, 12, &ret->month) && ret->month >= 1 && take(c, '.') &&
		     take_number(c, 5, &ret->week) && ret->week >= 1 && take(c, '.') &&
		     take_number(c, 6, &ret->day);
	} else if (take(c, 'J')) {
		ret->kind = TG_ZONE_JULIAN;
		ok = take_number(c, 365, &ret->day) && ret->day >= 1;
	} else {
		ret->kind = TG_ZONE_DAY_OF_YEAR;
		ok = take_number(c, 365, &ret->day);
	}
	if (ok && take(c, '/'))
		ok = take_hms(c, 167, &ret->time_s);
	return ok;
}

int tg_zone_rule_parse(struct tg_slice text, struct tg_zone_rule *ret)
{
	struct cursor c = {text.data, text.data + text.len};
	struct tg_zone_rule rule = {0};
	int32_t west;

	if (!take_name(&c) || !take_hms(&c, 24, &west))
		return -TG_EPARSE;
	rule.std_s = -west;
	if (c.p < c.end) {
		rule.has_dst = true;
		rule.dst_s = rule.std_s + 3600;
		if (!take_name(&c))
			return -TG_EPARSE;
		if (c.p < c.end && *c.p != ',') {
			if (!take_hms(&c, 24, &west))
				return -TG_EPARSE;
			rule.dst_s = -west;
		}
		if (!take(&c, ',') || !take_change(&c, &rule.start) || !take(&c, ',') ||
			!take_change(&c, &rule.end))
			return -TG_EPARSE;
	}
	if (c.p != c.end)
		return -TG_EPARSE;
	*ret = rule;
	return 0;
}

static bool is_leap(int64_t year)
{
	return tg_days_from_civil(year, 3, 1) - tg_days_from_civil(year, 2, 1) == 29;
}

/* Day count of the change in that year. */
static int64_t change_day(const struct tg_zone_change *ch, int64_t year)
{
	int64_t first, last, day;

	switch (ch->kind) {
	case TG_ZONE_JULIAN: /* 29 February is never counted */
		return tg_days_from_civil(year, 1, 1) + ch->day - 1 +
		       (is_leap(year) && ch->day >= 60);
	case TG_ZONE_DAY_OF_YEAR: return tg_days_from_civil(year, 1, 1) + ch->day;
	case TG_ZONE_MONTH_WEEK: break;
	}
	first = tg_days_from_civil(year, ch->month, 1);
	last = ch->month == 12 ? tg_days_from_civil(year + 1, 1, 1) - 1
			       : tg_days_from_civil(year, ch->month + 1, 1) - 1;
	day = first + (ch->day + 7 - tg_weekday(first) % 7) % 7 + 7 * (ch->week - 1);
	return day > last ? day - 7 : day; /* week 5 is the last one */
}

static int64_t start_of_dst(const struct tg_zone_rule *rule, int64_t year)
{
	return change_day(&rule->start, year) * DAY_S + rule->start.time_s - rule->std_s;
}

static int64_t end_of_dst(const struct tg_zone_rule *rule, int64_t year)
{
	return change_day(&rule->end, year) * DAY_S + rule->end.time_s - rule->dst_s;
}

static int64_t year_of(int64_t s)
{
	int64_t year, days = s / DAY_S - (s % DAY_S < 0);
	unsigned month, day;

	tg_civil_from_days(days, &year, &month, &day);
	return year;
}

int32_t tg_zone_rule_offset_s(const struct tg_zone_rule *rule, int64_t s)
{
	int64_t year, start, end;
	bool dst;

	if (!rule->has_dst)
		return rule->std_s;
	year = year_of(s + rule->std_s);
	start = start_of_dst(rule, year);
	end = end_of_dst(rule, year);
	/* South of the equator summer begins after it ends within one calendar year. */
	dst = start < end ? start <= s && s < end : !(end <= s && s < start);
	return dst ? rule->dst_s : rule->std_s;
}

int64_t tg_zone_rule_next(const struct tg_zone_rule *rule, int64_t s)
{
	int64_t year = year_of(s), best = INT64_MAX;

	if (!rule->has_dst)
		return INT64_MAX;
	for (int64_t y = year - 1; y <= year + 2; y++) {
		int64_t start = start_of_dst(rule, y), end = end_of_dst(rule, y);

		if (start > s && start < best)
			best = start;
		if (end > s && end < best)
			best = end;
	}
	return best;
}
