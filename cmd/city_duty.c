/* The roster of a city folder: who is on duty in a department, week after week. A folder without
 * the file keeps none. */
#include <string.h>

#include "cmd/city.h"

/* "08:30" or "24:00" → minutes. */
static int minutes(const char *text)
{
	return ((text[0] - '0') * 10 + text[1] - '0') * 60 + (text[3] - '0') * 10 + text[4] - '0';
}

/* 1 to 7, or a range such as 1-5. False: neither. */
static bool read_weekdays(struct tg_slice text, int *ret_from, int *ret_to)
{
	char a = text.len ? text.data[0] : 0, b = text.len == 3 ? text.data[2] : a;

	if ((text.len != 1 && (text.len != 3 || text.data[1] != '-')) || a < '1' || b > '7' ||
		b < a)
		return false;
	*ret_from = a - '0';
	*ret_to = b - '0';
	return true;
}

static void add(struct city *city, const char *department, int weekday, const char *period,
	struct tg_slice name)
{
	json_t *row = json_object();

	json_object_set_new(row, "department", json_string(department));
	json_object_set_new(row, "weekday", json_integer(weekday));
	json_object_set_new(row, "from_min", json_integer(minutes(period)));
	json_object_set_new(row, "to_min", json_integer(minutes(period + 6)));
	city_set(row, "name", name);
	json_array_append_new(city->duty, row);
}

static void read_row(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice name = city_cell(csv, "name"), dept = city_cell(csv, "department"),
			days = city_cell(csv, "weekdays"), period = city_cell(csv, "period"), part;
	const char *code =
		json_string_value(json_object_get(city_key(city->dept_keys, dept), "code"));
	char hours[12] = "";
	size_t at = 0, found = 0;
	int from, to;

	if (period.len < sizeof(hours))
		memcpy(hours, period.data, period.len);
	if ((!code && city->depts_whole) || !name.len || !city_is_period(hours)) {
		city_complain(city, file, tg_csv_line(csv), "%s",
			!code       ? "there is no such department; write one of departments.csv"
			: !name.len ? "name is empty; write who is on duty"
				    : "period is none; write 08:00-18:00, and a night as two rows");
		return;
	}
	while (city_part(days, &at, &part)) {
		if (!read_weekdays(part, &from, &to)) {
			found = 0;
			break;
		}
		found++;
		for (int day = from; code && day <= to; day++)
			add(city, code, day, hours, name);
	}
	if (!found)
		city_complain(city, file, tg_csv_line(csv),
			"weekdays: \"%.*s\" are none; write 1-5 or 6;7, Monday is 1", (int)days.len,
			days.data);
}

/* Streets are known by now: of every department those that it is responsible for, by their codes.
 */
static void check_streets(struct city *city, json_t *dept)
{
	json_t *list = json_object_get(dept, "streets"), *name;
	size_t i;

	json_array_foreach (list, i, name) {
		const char *said = json_string_value(name);
		json_t *street = city_key(city->street_keys, tg_slice_cstr(said));

		if (street)
			json_array_set(list, i, json_object_get(street, "code"));
		else
			city_complain(city, "departments.csv",
				(size_t)json_integer_value(json_object_get(dept, "line")),
				"streets: there is no street \"%s\"; write codes or names, "
				"divided by ;",
				said);
	}
	json_object_del(dept, "line");
}

void city_read_duty(struct city *city)
{
	static const char *const columns[] = {"department", "weekdays", "period", "name", NULL};

	json_t *dept;
	size_t i;

	json_array_foreach (city->depts, i, dept)
		check_streets(city, dept);
	city_rows(city, "duty.csv", columns, false, read_row);
}
