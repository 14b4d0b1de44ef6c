/* The calendar of a city folder: days that differ from the week's rule, or every day of some years.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/city.h"

#define FILE_NAME "calendar.csv"
/* A calendar of so many rows that stand for more than half of the days between its first and its
 * last lists them all. */
#define LISTED_MIN 60

static bool read_date(struct tg_slice text, int64_t *ret)
{
	unsigned year, month, day, m, d;
	int64_t y;
	char copy[11];

	if (text.len != 10)
		return false;
	memcpy(copy, text.data, 10);
	copy[10] = '\0';
	if (strspn(copy, "0123456789-") != 10 ||
		sscanf(copy, "%4u-%2u-%2u", &year, &month, &day) != 3 || copy[4] != '-' ||
		copy[7] != '-' || month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	*ret = tg_days_from_civil(year, month, day);
	tg_civil_from_days(*ret, &y, &m, &d);
	return y == year && m == month && d == day; /* no 30 February */
}

json_t *city_calendar(const struct city *city, struct tg_slice name)
{
	size_t i;
	json_t *row;

	json_array_foreach (city->calendars, i, row) {
		if (tg_slice_is(name, json_string_value(json_object_get(row, "name"))))
			return row;
	}
	return NULL;
}

static json_t *read_periods(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice text = city_cell(csv, "periods"), part;
	json_t *list = json_array();
	char before[6] = "";
	size_t at = 0;

	while (city_part(text, &at, &part)) {
		char copy[12] = "";

		if (part.len < sizeof(copy))
			memcpy(copy, part.data, part.len);
		if (!city_is_period(copy) || strncmp(before, copy, 5) > 0)
			city_complain(city, file, tg_csv_line(csv),
				"periods: \"%.*s\" is no period after the one before it; write "
				"08:00-12:00;13:00-17:00",
				(int)part.len, part.data);
		else
			memcpy(before, copy + 6, 5);
		json_array_append_new(list, json_stringn(part.data, part.len));
	}
	if (json_array_size(list) == 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

/* Every calendar remembers its days, number since 1970 → line. */
static void read_day(struct city *city, struct tg_csv *csv, const char *file)
{
	static const char *const kinds[] = {"off", "work", "half", NULL};
	struct tg_slice name = city_cell(csv, "calendar"), date = city_cell(csv, "date");
	json_t *calendar = city_calendar(city, name), *row, *listed, *periods;
	char key[24];
	int64_t day;

	if (!calendar || !city_one_of(city_cell(csv, "kind"), kinds) || !read_date(date, &day)) {
		city_complain(city, file, tg_csv_line(csv), "%s; correct it",
			!calendar                ? "the calendar is none of city.yaml"
			: !read_date(date, &day) ? "date is no day written 2025-01-31"
						 : "kind is none of off, work, half");
		return;
	}
	listed = json_object_get(calendar, "listed");
	if (!listed) {
		listed = json_object();
		json_object_set_new(calendar, "listed", listed);
	}
	snprintf(key, sizeof(key), "%lld", (long long)day);
	if (json_object_get(listed, key)) {
		city_complain(city, file, tg_csv_line(csv),
			"%.*s of calendar %.*s stands on line %lld already; take one of them out",
			(int)date.len, date.data, (int)name.len, name.data,
			json_integer_value(json_object_get(listed, key)));
		return;
	}
	json_object_set_new(listed, key, json_integer((json_int_t)tg_csv_line(csv)));
	row = json_object();
	city_set(row, "calendar", name);
	city_set(row, "day", date);
	city_set(row, "kind", city_cell(csv, "kind"));
	city_set(row, "name", city_cell(csv, "name"));
	periods = read_periods(city, csv, file);
	if (periods)
		json_object_set_new(row, "periods", periods);
	json_array_append_new(city->days, row);
}

struct listed {
	int64_t day;
	json_int_t line;
};

static int compare_days(const void *a, const void *b)
{
	const struct listed *da = a, *db = b;

	return (da->day > db->day) - (da->day < db->day);
}

static int64_t year_of(int64_t day)
{
	unsigned month, dom;
	int64_t year;

	tg_civil_from_days(day, &year, &month, &dom);
	return year;
}

static void complain_of_hole(struct city *city, const char *calendar, int64_t from, int64_t to,
	json_int_t line, bool whole_years)
{
	unsigned month, dom;
	int64_t year;

	if (whole_years) {
		city_complain(city, FILE_NAME, (size_t)line,
			"calendar %s has a hole: no day of %lld between this one and the one "
			"before; add the year's days",
			calendar, (long long)year_of(from) + 1);
		return;
	}
	tg_civil_from_days(from + 1, &year, &month, &dom);
	city_complain(city, FILE_NAME, (size_t)line,
		"calendar %s has a hole: %04lld-%02u-%02u %s before this day; add %s", calendar,
		(long long)year, month, dom,
		to - from > 2 ? "and more days are missing" : "is missing",
		to - from > 2 ? "them" : "it");
}

/* A calendar that lists every day lacks none; one that lists only what differs from the week has
 * some in every year. */
static void check_holes(struct city *city, const char *name, struct listed *days, size_t n)
{
	bool every;

	qsort(days, n, sizeof(*days), compare_days);
	every = n >= LISTED_MIN && (int64_t)n * 2 > days[n - 1].day - days[0].day;
	for (size_t i = 1; i < n; i++) {
		int64_t from = days[i - 1].day, to = days[i].day;

		if (every ? to - from > 1 : year_of(to) - year_of(from) > 1)
			complain_of_hole(city, name, from, to, days[i].line, !every);
	}
}

void city_read_days(struct city *city)
{
	static const char *const columns[] = {"calendar", "date", "kind", NULL};
	size_t i;
	json_t *calendar, *line;

	city_rows(city, FILE_NAME, columns, true, read_day);
	json_array_foreach (city->calendars, i, calendar) {
		json_t *listed = json_object_get(calendar, "listed");
		size_t n = json_object_size(listed), at = 0;
		struct listed *days = n ? calloc(n, sizeof(*days)) : NULL;
		const char *day;

		if (n && !days)
			abort(); /* some kilobytes at the start of a command */
		json_object_foreach (listed, day, line)
			days[at++] =
				(struct listed){strtoll(day, NULL, 10), json_integer_value(line)};
		if (days)
			check_holes(city, json_string_value(json_object_get(calendar, "name")),
				days, n);
		free(days);
		json_object_del(calendar, "listed");
	}
}
