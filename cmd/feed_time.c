#include "cmd/feed_time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- profile ---- */

/* %s and %Z would bring in the zone of this machine; they are refused. */
static int check_pattern(struct feed_reader *r, const struct tg_yaml *node, struct feed_time *ret)
{
	for (const char *p = node->text; (p = strchr(p, '%')); p++) {
		p++;
		if (*p == 'E' || *p == 'O')
			p++;
		if (!*p)
			return feed_wrong(r, node, "the pattern ends in the middle of a %% item");
		if (*p == 's' || *p == 'Z')
			return feed_wrong(r, node, "%%%c is not read: write %s", *p,
				*p == 's' ? "epoch_s as the format" : "zone: and the zone's name");
		ret->pattern_offset |= *p == 'z';
	}
	ret->format = FEED_PATTERN;
	ret->pattern = node->text;
	return 0;
}

static int read_format(struct feed_reader *r, const struct tg_yaml *node, struct feed_time *ret)
{
	static const char *const names[] = {
		[FEED_ISO] = "iso",
		[FEED_EPOCH_S] = "epoch_s",
		[FEED_EPOCH_MS] = "epoch_ms",
		[FEED_EPOCH_US] = "epoch_us",
	};
	const char *text = NULL;
	int rc = feed_scalar(r, node, &text);

	if (rc)
		return rc;
	if (strchr(text, '%'))
		return check_pattern(r, node, ret);
	for (int i = FEED_ISO; i <= FEED_EPOCH_US; i++) {
		if (strcmp(text, names[i]) == 0) {
			ret->format = (enum feed_time_format)i;
			return 0;
		}
	}
	return feed_wrong(
		r, node, "iso, epoch_s, epoch_ms, epoch_us or a pattern with %% is wanted here");
}

int feed_time_read(struct feed_reader *r, struct tg_yaml *node, struct feed_time *ret)
{
	struct tg_yaml *value, *format, *zone;
	const char *name = NULL;
	int rc = feed_check_keys(r, node, "value format zone");

	if (!rc)
		rc = feed_need(r, node, "value", &value);
	if (!rc)
		rc = feed_template_read(r, value, &ret->value);
	if (rc)
		return rc;
	format = tg_yaml_get(node, "format");
	zone = tg_yaml_get(node, "zone");
	if (format)
		rc = read_format(r, format, ret);
	if (!rc && zone)
		rc = feed_scalar(r, zone, &name);
	if (!rc && zone && tg_zone_load(name, &ret->zone))
		rc = feed_wrong(r, zone, "\"%.80s\" is no time zone that this machine knows", name);
	if (!rc && ret->format == FEED_PATTERN && !zone && !ret->pattern_offset)
		rc = feed_wrong(r, format, "this pattern has no %%z, so the key zone is needed");
	return rc;
}

void feed_time_release(struct feed_time *time)
{
	if (time->zone)
		tg_zone_free(time->zone);
	time->zone = NULL;
}

/* ---- text → instant ---- */

struct local_time {
	int64_t days, day_us;
	bool has_offset;
	int64_t offset_us;
};

static int64_t from_local(const struct tg_zone *zone, const struct local_time *at)
{
	int64_t us = tg_zone_from_local(zone, at->days, at->day_us), days, day_us;

	tg_zone_to_local(zone, us, &days, &day_us);
	if (days == at->days && day_us == at->day_us)
		return us;
	/* Skipped: us is the jump's instant, which is as much too early as the text lies beyond the
	 * jump. The clock that was in force until then still counts. */
	return at->days * TG_US_PER_DAY + at->day_us - tg_zone_offset_s(zone, us - 1) * TG_US_PER_S;
}

static const char *to_instant(
	const struct feed_time *time, const struct local_time *at, int64_t *ret_us)
{
	if (at->has_offset)
		*ret_us = at->days * TG_US_PER_DAY + at->day_us - at->offset_us;
	else if (time->zone)
		*ret_us = from_local(time->zone, at);
	else
		return "neither the text nor the profile names a zone";
	return NULL;
}

/* Exactly n digits; false otherwise. */
static bool take_number(const char **p, int n, int64_t *ret)
{
	int64_t v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return true;
}

static bool take_char(const char **p, const char *any)
{
	if (!**p || !strchr(any, **p))
		return false;
	(*p)++;
	return true;
}

/* Digits behind the point, as many as there are; what is finer than a microsecond is cut. */
static bool take_fraction(const char **p, int64_t *ret_us)
{
	int64_t unit = 100000;

	*ret_us = 0;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		*ret_us += (**p - '0') * unit;
	return true;
}

static bool take_offset(const char **p, struct local_time *at)
{
	int64_t h, m = 0;
	bool west;

	if (!**p)
		return true;
	at->has_offset = true;
	if (take_char(p, "Zz"))
		return true;
	west = **p == '-';
	if (!take_char(p, "+-") || !take_number(p, 2, &h))
		return false;
	take_char(p, ":");
	if (**p && !take_number(p, 2, &m))
		return false;
	at->offset_us = (h * TG_US_PER_H + m * TG_US_PER_MIN) * (west ? -1 : 1);
	return h < 24 && m < 60;
}

static bool is_date(int64_t year, int64_t month, int64_t day)
{
	int64_t y, days;
	unsigned m, d;

	if (month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	days = tg_days_from_civil(year, (unsigned)month, (unsigned)day);
	tg_civil_from_days(days, &y, &m, &d);
	return m == month && d == day;
}

static bool parse_iso(const char *p, struct local_time *at)
{
	int64_t year, month, day, h, m, s = 0, fraction = 0;
	bool ok = take_number(&p, 4, &year) && take_char(&p, "-") && take_number(&p, 2, &month) &&
		  take_char(&p, "-") && take_number(&p, 2, &day) && take_char(&p, "Tt ") &&
		  take_number(&p, 2, &h) && take_char(&p, ":") && take_number(&p, 2, &m);

	if (ok && take_char(&p, ":"))
		ok = take_number(&p, 2, &s) &&
		     (!take_char(&p, ".,") || take_fraction(&p, &fraction));
	if (!ok || !is_date(year, month, day) || h > 23 || m > 59 || s > 60)
		return false;
	take_char(&p, " ");
	at->days = tg_days_from_civil(year, (unsigned)month, (unsigned)day);
	at->day_us = h * TG_US_PER_H + m * TG_US_PER_MIN + s * TG_US_PER_S + fraction;
	return take_offset(&p, at) && !*p;
}

static bool parse_pattern(const struct feed_time *time, const char *text, struct local_time *at)
{
	struct tm tm = {.tm_mday = 0, .tm_year = 70};
	const char *end = strptime(text, time->pattern, &tm);
	int64_t year = (int64_t)tm.tm_year + 1900;

	if (!end || *end || !is_date(year, tm.tm_mon + 1, tm.tm_mday))
		return false;
	at->days = tg_days_from_civil(year, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday);
	at->day_us = tm.tm_hour * TG_US_PER_H + tm.tm_min * TG_US_PER_MIN + tm.tm_sec * TG_US_PER_S;
	at->has_offset = time->pattern_offset;
	at->offset_us = tm.tm_gmtoff * TG_US_PER_S;
	return true;
}

/* Decimal, exact to the microsecond: whole units, then a fraction. */
static bool parse_epoch(const char *text, int64_t unit_us, int64_t *ret_us)
{
	const char *digits = text + (*text == '-');
	int64_t fraction = 0;
	char *end;
	long long whole;

	if (*digits < '0' || *digits > '9')
		return false;
	errno = 0;
	whole = strtoll(digits, &end, 10);
	if (errno || whole > INT64_MAX / unit_us / 2)
		return false;
	if (*end == '.') {
		const char *p = end + 1;

		if (!take_fraction(&p, &fraction) || *p)
			return false;
	} else if (*end) {
		return false;
	}
	*ret_us = whole * unit_us + fraction * unit_us / TG_US_PER_S;
	if (*text == '-')
		*ret_us = -*ret_us;
	return true;
}

const char *feed_time_parse(const struct feed_time *time, const char *text, int64_t *ret_us)
{
	static const int64_t unit_us[] = {
		[FEED_EPOCH_S] = TG_US_PER_S, [FEED_EPOCH_MS] = 1000, [FEED_EPOCH_US] = 1};
	struct local_time at = {0};

	switch (time->format) {
	case FEED_EPOCH_S:
	case FEED_EPOCH_MS:
	case FEED_EPOCH_US:
		return parse_epoch(text, unit_us[time->format], ret_us)
			       ? NULL
			       : "it is no number of seconds since 1970";
	case FEED_PATTERN:
		if (!parse_pattern(time, text, &at))
			return "it does not follow the pattern";
		return to_instant(time, &at, ret_us);
	case FEED_ISO:
	default:
		if (!parse_iso(text, &at))
			return "it is not like 2015-03-16T00:54:08";
		return to_instant(time, &at, ret_us);
	}
}

int feed_time_eval(const struct feed_time *time, const struct feed_scope *scope, int64_t *ret_us)
{
	const char *text, *wrong;
	int rc = feed_template_eval(&time->value, scope, &text);

	if (rc)
		return rc;
	wrong = feed_time_parse(time, text, ret_us);
	if (wrong)
		return feed_fault_set(
			scope->fault, "the time cannot be read", "\"%.40s\": %s", text, wrong);
	return 0;
}
