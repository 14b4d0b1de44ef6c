/* The CSV tables of a city folder, checked row by row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/geo.h"
#include "cmd/city.h"

typedef void (*row_reader)(struct city *city, struct tg_csv *csv, const char *file);

static struct tg_slice cell(const struct tg_csv *csv, const char *column)
{
	return tg_csv_field(csv, tg_csv_column(csv, column));
}

static void set(json_t *row, const char *key, struct tg_slice value)
{
	json_t *text = value.len ? json_stringn(value.data, value.len) : json_null();

	json_object_set_new(row, key, text ? text : json_null());
}

/* The first of the two that holds anything. */
static void set_or(json_t *row, const char *key, struct tg_slice value, struct tg_slice fallback)
{
	set(row, key, value.len ? value : fallback);
}

static void read_rows(struct city *city, const char *file, const char *const *columns,
	bool required, row_reader read)
{
	struct tg_buf path = {0};
	struct tg_csv *csv = NULL;
	int rc;

	if (!city_path(city, file, &path) || tg_csv_open(path.data, &csv)) {
		if (required)
			city_complain(city, file, 0, "is missing or has no header");
		goto out;
	}
	for (; *columns; columns++) {
		if (tg_csv_column(csv, *columns) < 0) {
			city_complain(city, file, 1, "column %s is missing", *columns);
			goto out;
		}
	}
	while ((rc = tg_csv_next(csv)) != 0) {
		if (rc < 0)
			city_complain(city, file, tg_csv_line(csv),
				"the row has another number of fields than the header");
		else
			read(city, csv, file);
	}
out:
	tg_csv_close(csv);
	tg_buf_release(&path);
}

bool city_is_limit(struct tg_slice text)
{
	static const char *const units[] = {"h", "wh", "wd", "nd"};
	size_t n = 0, dots = 0;

	while (n < text.len && ((text.data[n] >= '0' && text.data[n] <= '9') ||
				       (text.data[n] == '.' && dots++ == 0)))
		n++;
	if (n == 0 || text.data[0] == '.' || text.data[n - 1] == '.')
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (tg_slice_is((struct tg_slice){text.data + n, text.len - n}, units[i]))
			return true;
	return false;
}

/* ---- departments
 * --------------------------------------------------------------------------------------------------
 */

static void read_dept(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice code = cell(csv, "dept_code"), calendar = cell(csv, "calendar");
	const char *first =
		json_string_value(json_object_get(json_array_get(city->calendars, 0), "name"));
	json_t *row;

	if (code.len == 0 || city_find(city->depts, "code", code)) {
		city_complain(city, file, tg_csv_line(csv), "dept_code is empty or occurs twice");
		return;
	}
	if (calendar.len == 0)
		calendar = tg_slice_cstr(first);
	if (!city_find(city->calendars, "name", calendar))
		city_complain(city, file, tg_csv_line(csv),
			"there is no calendar \"%.*s\" in city.yaml", (int)calendar.len,
			calendar.data);
	row = json_object();
	set(row, "code", code);
	set(row, "name_zh", cell(csv, "name_zh"));
	set_or(row, "name_en", cell(csv, "name_en"), cell(csv, "name_zh"));
	set_or(row, "short_zh", cell(csv, "short_zh"), cell(csv, "name_zh"));
	set_or(row, "short_en", cell(csv, "short_en"), cell(csv, "name_en"));
	set_or(row, "pinyin", cell(csv, "pinyin"), TG_SLICE(""));
	set(row, "kind", cell(csv, "kind"));
	set(row, "calendar", calendar);
	json_array_append_new(city->depts, row);
}

/* A department is named by its code, its name or its short name. */
static const char *dept_code(const struct city *city, struct tg_slice name)
{
	static const char *const keys[] = {"code", "name_zh", "short_zh", "name_en"};
	json_t *row = NULL;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !row; i++)
		row = city_find(city->depts, keys[i], name);
	return row ? json_string_value(json_object_get(row, "code")) : NULL;
}

/* ---- catalogue
 * ----------------------------------------------------------------------------------------------------
 */

static bool is_code(struct tg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return s.len == 5;
}

static bool one_of(struct tg_slice text, const char *const *names)
{
	for (; *names; names++)
		if (tg_slice_is(text, *names))
			return true;
	return false;
}

/* Names divided by a blank, | or ; become an array of codes. */
static json_t *read_co(
	struct city *city, struct tg_csv *csv, const char *file, struct tg_slice text)
{
	json_t *codes = json_array();

	for (size_t i = 0, from = 0; i <= text.len; i++) {
		struct tg_slice name = {text.data + from, i - from};

		if (i < text.len && !strchr(" |;", text.data[i]))
			continue;
		from = i + 1;
		if (name.len == 0)
			continue;
		if (dept_code(city, name))
			json_array_append_new(codes, json_string(dept_code(city, name)));
		else
			city_complain(city, file, tg_csv_line(csv),
				"co_departments: there is no department \"%.*s\"", (int)name.len,
				name.data);
	}
	return codes;
}

static void check_type(struct city *city, struct tg_csv *csv, const char *file)
{
	static const char *const domains[] = {"pingan", "jianguan", "shichang", "minsheng", NULL};
	static const char *const urgencies[] = {"urgent", "priority", "normal", "slow", NULL};
	static const char *const limits[] = {
		"accept_limit", "dispatch_limit", "dispose_limit", NULL};
	size_t line = tg_csv_line(csv);
	struct tg_slice lead = cell(csv, "lead_department");

	if (!one_of(cell(csv, "domain"), domains))
		city_complain(
			city, file, line, "domain must be pingan, jianguan, shichang or minsheng");
	if (!one_of(cell(csv, "urgency"), urgencies))
		city_complain(city, file, line, "urgency must be urgent, priority, normal or slow");
	for (const char *const *name = limits; *name; name++)
		if (!city_is_limit(cell(csv, *name)))
			city_complain(city, file, line,
				"%s: a limit is a number with h, wh, wd or nd", *name);
	if (lead.len && !dept_code(city, lead))
		city_complain(city, file, line, "lead_department: there is no department \"%.*s\"",
			(int)lead.len, lead.data);
}

static void read_type(struct city *city, struct tg_csv *csv, const char *file)
{
	static const char *const same[] = {"kind", "class_code", "domain", "accept_limit",
		"dispatch_limit", "dispose_limit", "urgency"};
	struct tg_slice code = cell(csv, "type_code");
	const char *lead = dept_code(city, cell(csv, "lead_department"));
	json_t *row;

	if (!is_code(code) || city_find(city->types, "type_code", code)) {
		city_complain(city, file, tg_csv_line(csv),
			"type_code must have 5 digits and occur once");
		return;
	}
	check_type(city, csv, file);
	row = json_object();
	set(row, "type_code", code);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		set(row, same[i], cell(csv, same[i]));
	set(row, "class_zh", cell(csv, "class_name_zh"));
	set_or(row, "class_en", cell(csv, "class_name_en"), cell(csv, "class_name_zh"));
	set(row, "name_zh", cell(csv, "type_name_zh"));
	set_or(row, "name_en", cell(csv, "type_name_en"), cell(csv, "type_name_zh"));
	set_or(row, "short_zh", cell(csv, "short_zh"), cell(csv, "type_name_zh"));
	set_or(row, "short_en", cell(csv, "short_en"), cell(csv, "type_name_en"));
	set(row, "pinyin", cell(csv, "pinyin"));
	set(row, "lead", tg_slice_cstr(lead));
	json_object_set_new(row, "co", read_co(city, csv, file, cell(csv, "co_departments")));
	json_array_append_new(city->types, row);
}

/* ---- filing conditions
 * ---------------------------------------------------------------------------------------------- */

static bool has_condition(const struct city *city, struct tg_slice type, json_int_t no)
{
	size_t i;
	json_t *row;

	json_array_foreach (city->conditions, i, row) {
		if (tg_slice_is(type, json_string_value(json_object_get(row, "type_code"))) &&
			json_integer_value(json_object_get(row, "condition_no")) == no)
			return true;
	}
	return false;
}

/* Of two rows with one number the later gets the next free one. */
static json_int_t free_number(
	struct city *city, struct tg_csv *csv, const char *file, struct tg_slice type)
{
	struct tg_slice text = cell(csv, "condition_no");
	char digits[16] = "";
	json_int_t wanted, no;

	if (text.len < sizeof(digits))
		memcpy(digits, text.data, text.len);
	wanted = no = strtol(digits, NULL, 10);
	if (wanted < 1)
		city_complain(city, file, tg_csv_line(csv), "condition_no must be a number from 1");
	while (has_condition(city, type, no))
		no++;
	if (no != wanted &&
		tg_buf_addf(&city->warnings,
			"%s/%s:%zu: condition %lld of %.*s occurs twice, taken as %lld\n",
			city->dir, file, tg_csv_line(csv), (long long)wanted, (int)type.len,
			type.data, (long long)no))
		abort();
	return no;
}

static void read_condition(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice type = cell(csv, "gbt47678_code");
	json_t *row;

	if (type.len == 0)
		return; /* a type of other catalogues only */
	if (!city_find(city->types, "type_code", type)) {
		city_complain(city, file, tg_csv_line(csv), "there is no type %.*s in catalog.csv",
			(int)type.len, type.data);
		return;
	}
	if (!city_is_limit(cell(csv, "limit")))
		city_complain(city, file, tg_csv_line(csv), "limit: a number with h, wh, wd or nd");
	row = json_object();
	set(row, "type_code", type);
	json_object_set_new(row, "condition_no", json_integer(free_number(city, csv, file, type)));
	set(row, "handle_limit", cell(csv, "limit"));
	set(row, "filing_zh", cell(csv, "filing_condition_zh"));
	set(row, "filing_en", cell(csv, "filing_condition_en"));
	set(row, "close_zh", cell(csv, "close_condition_zh"));
	set(row, "close_en", cell(csv, "close_condition_en"));
	json_array_append_new(city->conditions, row);
}

/* A type without rows has condition 1: its own limit. */
static void add_missing_conditions(struct city *city)
{
	size_t i;
	json_t *type, *row;

	json_array_foreach (city->types, i, type) {
		json_t *code = json_object_get(type, "type_code");

		if (city_find(
			    city->conditions, "type_code", tg_slice_cstr(json_string_value(code))))
			continue;
		row = json_object();
		json_object_set(row, "type_code", code);
		json_object_set_new(row, "condition_no", json_integer(1));
		json_object_set(row, "handle_limit", json_object_get(type, "dispose_limit"));
		json_array_append_new(city->conditions, row);
	}
}

/* ---- calendar days and devices
 * --------------------------------------------------------------------------------------- */

static void read_day(struct city *city, struct tg_csv *csv, const char *file)
{
	static const char *const kinds[] = {"off", "work", "half", NULL};
	struct tg_slice calendar = cell(csv, "calendar"), periods = cell(csv, "periods");
	json_t *row;

	if (!city_find(city->calendars, "name", calendar) || !one_of(cell(csv, "kind"), kinds)) {
		city_complain(city, file, tg_csv_line(csv),
			"calendar must be one of city.yaml, kind off, work or half");
		return;
	}
	row = json_object();
	set(row, "calendar", calendar);
	set(row, "day", cell(csv, "date"));
	set(row, "kind", cell(csv, "kind"));
	set(row, "name", cell(csv, "name"));
	if (periods.len) {
		json_t *list = json_array();

		for (size_t i = 0, from = 0; i <= periods.len; i++) {
			if (i < periods.len && !strchr(" |;", periods.data[i]))
				continue;
			if (i > from)
				json_array_append_new(
					list, json_stringn(periods.data + from, i - from));
			from = i + 1;
		}
		json_object_set_new(row, "periods", list);
	}
	json_array_append_new(city->days, row);
}

static bool number(struct tg_slice text, double low, double high, double *ret)
{
	char copy[40], *end;

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	*ret = strtod(copy, &end);
	return *end == '\0' && *ret >= low && *ret <= high;
}

static struct tg_lonlat to_wgs84(struct tg_slice datum, struct tg_lonlat p)
{
	if (tg_slice_is(datum, "GCJ02") || tg_slice_is(datum, "gcj02"))
		return tg_geo_from_gcj02(p);
	if (tg_slice_is(datum, "BD09") || tg_slice_is(datum, "bd09"))
		return tg_geo_from_bd09(p);
	return p;
}

static void read_device(struct city *city, struct tg_csv *csv, const char *file)
{
	static const char *const kinds[] = {
		"sensor", "vehicle", "inspector", "citizen", "video", "system"};
	struct tg_slice id = cell(csv, "device_id");
	struct tg_lonlat at;
	double every = 0;
	json_t *row = json_object();
	int kind = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (tg_slice_is(cell(csv, "source_kind"), kinds[i]))
			kind = (int)i + 1;
	if (id.len == 0 || id.len > 64 || kind == 0 ||
		!number(cell(csv, "lon"), -180, 180, &at.lon) ||
		!number(cell(csv, "lat"), -90, 90, &at.lat))
		city_complain(city, file, tg_csv_line(csv),
			"a device needs device_id (1-64 bytes), source_kind, lon and lat");
	else {
		at = to_wgs84(cell(csv, "datum"), at);
		set(row, "device_id", id);
		json_object_set_new(row, "source_kind", json_integer(kind));
		json_object_set_new(row, "lon", json_real(at.lon));
		json_object_set_new(row, "lat", json_real(at.lat));
		set(row, "datum", cell(csv, "datum"));
		set(row, "name", cell(csv, "name"));
		if (number(cell(csv, "report_every_s"), 1, 1e9, &every))
			json_object_set_new(row, "report_every_s", json_integer((json_int_t)every));
		json_array_append(city->devices, row);
	}
	json_decref(row);
}

void city_read_tables(struct city *city)
{
	static const char *const depts[] = {"dept_code", "name_zh", NULL};
	static const char *const types[] = {"type_code", "type_name_zh", "class_code",
		"class_name_zh", "domain", "lead_department", "accept_limit", "dispatch_limit",
		"dispose_limit", "urgency", NULL};
	static const char *const conditions[] = {"condition_no", "limit", "gbt47678_code", NULL};
	static const char *const days[] = {"calendar", "date", "kind", NULL};
	static const char *const devices[] = {"device_id", "source_kind", "lon", "lat", NULL};

	city->depts = json_array();
	city->types = json_array();
	city->conditions = json_array();
	city->days = json_array();
	city->devices = json_array();
	read_rows(city, "departments.csv", depts, true, read_dept);
	read_rows(city, "catalog.csv", types, true, read_type);
	read_rows(city, "conditions.csv", conditions, false, read_condition);
	add_missing_conditions(city);
	read_rows(city, "calendar.csv", days, true, read_day);
	read_rows(city, "devices.csv", devices, false, read_device);
}
