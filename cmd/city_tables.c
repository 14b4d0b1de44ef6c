/* Departments, catalogue and filing conditions of a city folder. */
#include <stdio.h>

#include "cmd/city.h"
#include "dispatch/city.h"

#define DEPTS "departments.csv"

/* ---- departments
 * --------------------------------------------------------------------------------------------------
 */

/* A department is named by its code, its name or its short name: the first to bear a name has it.
 */
static void name_dept(struct city *city, json_t *row)
{
	static const char *const keys[] = {"code", "name_zh", "short_zh", "name_en"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *name = json_string_value(json_object_get(row, keys[i]));

		if (name && (i == 0 || !json_object_get(city->dept_keys, name)))
			json_object_set(city->dept_keys, name, row);
	}
}

static json_t *read_parts(struct tg_slice text)
{
	json_t *list = json_array();
	struct tg_slice part;
	size_t at = 0;

	while (city_part(text, &at, &part))
		json_array_append_new(list, json_stringn(part.data, part.len));
	return list;
}

static void read_dept(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice code = city_cell(csv, "dept_code"), calendar = city_cell(csv, "calendar");
	json_t *first = json_object_get(json_array_get(city->calendars, 0), "name"), *row;
	json_t *same = city_key(city->dept_keys, code);

	if (code.len == 0 ||
		(same && tg_slice_is(code, json_string_value(json_object_get(same, "code"))))) {
		city_complain(city, file, tg_csv_line(csv),
			"dept_code \"%.*s\" is empty or occurs twice; give the department one of "
			"its own",
			(int)code.len, code.data);
		return;
	}
	if (calendar.len == 0 && first)
		calendar = tg_slice_cstr(json_string_value(first));
	if (!city_calendar(city, calendar))
		city_complain(city, file, tg_csv_line(csv),
			"there is no calendar \"%.*s\"; write one of city.yaml", (int)calendar.len,
			calendar.data);
	if (city_cell(csv, "name_zh").len == 0)
		city_complain(city, file, tg_csv_line(csv), "name_zh is empty; write the name");
	row = json_object();
	city_set(row, "code", code);
	city_set(row, "name_zh", city_cell(csv, "name_zh"));
	city_set_or(row, "name_en", city_cell(csv, "name_en"), city_cell(csv, "name_zh"));
	city_set_or(row, "short_zh", city_cell(csv, "short_zh"), city_cell(csv, "name_zh"));
	city_set_or(row, "short_en", city_cell(csv, "short_en"), city_cell(csv, "name_en"));
	city_set_or(row, "pinyin", city_cell(csv, "pinyin"), TG_SLICE(""));
	city_set(row, "kind", city_cell(csv, "kind"));
	city_set(row, "calendar", calendar);
	city_set(row, "parent", city_cell(csv, "parent"));
	json_object_set_new(row, "streets", read_parts(city_cell(csv, "streets")));
	json_object_set_new(row, "line", json_integer((json_int_t)tg_csv_line(csv)));
	name_dept(city, row);
	json_array_append_new(city->depts, row);
}

static const char *dept_code(const struct city *city, struct tg_slice name)
{
	return json_string_value(json_object_get(city_key(city->dept_keys, name), "code"));
}

/* ---- catalogue
 * ----------------------------------------------------------------------------------------------------
 */

/* Units name the department they belong to, in whatever order they stand. */
static void check_parent(struct city *city, json_t *row)
{
	const char *above = json_string_value(json_object_get(row, "parent"));
	size_t line = (size_t)json_integer_value(json_object_get(row, "line"));
	int depth = 0;

	while (above && depth++ < TG_DEPT_DEPTH_MAX) {
		json_t *dept = json_object_get(city->dept_keys, above);

		if (!dept) {
			city_complain(city, DEPTS, line,
				"parent: there is no department \"%s\"; write one of this file",
				above);
			return;
		}
		if (depth == 1)
			json_object_set(row, "parent", json_object_get(dept, "code"));
		above = json_string_value(json_object_get(dept, "parent"));
	}
	if (above)
		city_complain(city, DEPTS, line,
			"parent: it is its own unit, or more than %d deep; correct one of them",
			TG_DEPT_DEPTH_MAX);
}

static void check_parents(struct city *city)
{
	size_t i;
	json_t *row;

	json_array_foreach (city->depts, i, row)
		check_parent(city, row);
}

static bool is_code(struct tg_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return s.len == 5;
}

static json_t *read_co(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice text = city_cell(csv, "co_departments"), name;
	json_t *codes = json_array();
	size_t at = 0;

	while (city_part(text, &at, &name)) {
		const char *code = dept_code(city, name);

		if (code)
			json_array_append_new(codes, json_string(code));
		else if (city->depts_whole)
			city_complain(city, file, tg_csv_line(csv),
				"co_departments: there is no department \"%.*s\"; write one of "
				"departments.csv",
				(int)name.len, name.data);
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
	struct tg_slice lead = city_cell(csv, "lead_department");

	if (!city_one_of(city_cell(csv, "domain"), domains))
		city_complain(city, file, line,
			"domain is none of pingan, jianguan, shichang, minsheng; write one of "
			"them");
	if (!city_one_of(city_cell(csv, "urgency"), urgencies))
		city_complain(city, file, line,
			"urgency is none of urgent, priority, normal, slow; write one of them");
	for (const char *const *name = limits; *name; name++)
		if (!city_is_limit(city_cell(csv, *name)))
			city_complain(city, file, line,
				"%s: \"%.*s\" is no limit; write a number with h, wh, wd or nd",
				*name, (int)city_cell(csv, *name).len, city_cell(csv, *name).data);
	if (lead.len && city->depts_whole && !dept_code(city, lead))
		city_complain(city, file, line,
			"lead_department: there is no department \"%.*s\"; write one of "
			"departments.csv",
			(int)lead.len, lead.data);
}

static void read_type(struct city *city, struct tg_csv *csv, const char *file)
{
	static const char *const same[] = {"kind", "class_code", "domain", "accept_limit",
		"dispatch_limit", "dispose_limit", "urgency"};
	static const char *const lasting[] = {"long", "short", "mixed", "", NULL};
	static const char *const yes[] = {"yes", "1", "true", NULL};
	static const char *const known[] = {"yes", "1", "true", "no", "0", "false", "", NULL};
	struct tg_slice code = city_cell(csv, "type_code");
	const char *lead = dept_code(city, city_cell(csv, "lead_department"));
	json_t *row;

	if (!is_code(code) || city_key(city->type_keys, code)) {
		city_complain(city, file, tg_csv_line(csv),
			"type_code \"%.*s\" has not 5 digits or occurs twice; correct it",
			(int)code.len, code.data);
		return;
	}
	check_type(city, csv, file);
	if (!city_one_of(city_cell(csv, "lasting"), lasting))
		city_complain(city, file, tg_csv_line(csv),
			"lasting is none of long, short, mixed; write one of them");
	if (!city_one_of(city_cell(csv, "self_dispose"), known))
		city_complain(city, file, tg_csv_line(csv),
			"self_dispose is neither yes nor no; write one of them");
	row = json_object();
	city_set(row, "type_code", code);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		city_set(row, same[i], city_cell(csv, same[i]));
	city_set(row, "class_zh", city_cell(csv, "class_name_zh"));
	city_set_or(
		row, "class_en", city_cell(csv, "class_name_en"), city_cell(csv, "class_name_zh"));
	city_set(row, "name_zh", city_cell(csv, "type_name_zh"));
	city_set_or(row, "name_en", city_cell(csv, "type_name_en"), city_cell(csv, "type_name_zh"));
	city_set_or(row, "short_zh", city_cell(csv, "short_zh"), city_cell(csv, "type_name_zh"));
	city_set_or(row, "short_en", city_cell(csv, "short_en"), city_cell(csv, "type_name_en"));
	city_set(row, "pinyin", city_cell(csv, "pinyin"));
	city_set(row, "lead", tg_slice_cstr(lead ? lead : ""));
	json_object_set_new(row, "co", read_co(city, csv, file));
	city_set_or(row, "lasting", city_cell(csv, "lasting"),
		tg_slice_is(city_cell(csv, "kind"), "部件") ? TG_SLICE("long") : TG_SLICE("mixed"));
	json_object_set_new(row, "self_dispose",
		json_boolean(city_one_of(city_cell(csv, "self_dispose"), yes)));
	city_key_set(city->type_keys, code, row);
	json_array_append_new(city->types, row);
}

/* ---- filing conditions
 * ---------------------------------------------------------------------------------------------- */

/* Of two rows with one number the later gets the next free one. type: its row, which remembers the
 * numbers. */
static json_int_t free_number(struct city *city, struct tg_csv *csv, const char *file, json_t *type)
{
	json_t *numbers = json_object_get(type, "numbers");
	double number = 0;
	json_int_t wanted, no;
	char key[24];

	if (!city_number(city_cell(csv, "condition_no"), 1, 1e6, &number) ||
		number != (double)(json_int_t)number)
		city_complain(city, file, tg_csv_line(csv),
			"condition_no is no number from 1; write one");
	if (!numbers) {
		numbers = json_object();
		json_object_set_new(type, "numbers", numbers);
	}
	wanted = no = (json_int_t)number;
	while (snprintf(key, sizeof(key), "%lld", (long long)no), json_object_get(numbers, key))
		no++;
	json_object_set(numbers, key, json_true());
	if (no != wanted)
		city_warn(city, file, tg_csv_line(csv),
			"condition %lld of %s occurs twice, taken as %lld", (long long)wanted,
			json_string_value(json_object_get(type, "type_code")), (long long)no);
	return no;
}

static void read_condition(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice code = city_cell(csv, "gbt47678_code"), limit = city_cell(csv, "limit");
	const char *unit = dept_code(city, city_cell(csv, "dispose_unit_zh"));
	json_t *type = city_key(city->type_keys, code), *row;

	if (code.len == 0 || !city->types_whole)
		return; /* a type of other catalogues only */
	if (!type) {
		city_complain(city, file, tg_csv_line(csv),
			"there is no type %.*s in catalog.csv; add it there or take the row out",
			(int)code.len, code.data);
		return;
	}
	if (!city_is_limit(limit))
		city_complain(city, file, tg_csv_line(csv),
			"limit: \"%.*s\" is no limit; write a number with h, wh, wd or nd",
			(int)limit.len, limit.data);
	row = json_object();
	city_set(row, "type_code", code);
	json_object_set_new(row, "condition_no", json_integer(free_number(city, csv, file, type)));
	city_set(row, "handle_limit", limit);
	city_set(row, "filing_zh", city_cell(csv, "filing_condition_zh"));
	city_set(row, "filing_en", city_cell(csv, "filing_condition_en"));
	city_set(row, "close_zh", city_cell(csv, "close_condition_zh"));
	city_set(row, "close_en", city_cell(csv, "close_condition_en"));
	/* Catalogues of elsewhere name offices that this city does not have: then it is the type's.
	 */
	city_set(row, "lead", tg_slice_cstr(unit ? unit : ""));
	json_array_append_new(city->conditions, row);
}

/* A type without rows has condition 1: its own limit. */
static void add_missing_conditions(struct city *city)
{
	size_t i;
	json_t *type, *row;

	json_array_foreach (city->types, i, type) {
		if (json_object_get(type, "numbers")) {
			json_object_del(type, "numbers");
			continue;
		}
		row = json_object();
		json_object_set(row, "type_code", json_object_get(type, "type_code"));
		json_object_set_new(row, "condition_no", json_integer(1));
		json_object_set(row, "handle_limit", json_object_get(type, "dispose_limit"));
		json_array_append_new(city->conditions, row);
	}
}

void city_read_tables(struct city *city)
{
	static const char *const depts[] = {"dept_code", "name_zh", NULL};
	static const char *const types[] = {"type_code", "type_name_zh", "class_code",
		"class_name_zh", "domain", "lead_department", "accept_limit", "dispatch_limit",
		"dispose_limit", "urgency", NULL};
	static const char *const conditions[] = {"condition_no", "limit", "gbt47678_code", NULL};

	city->depts_whole = city_rows(city, DEPTS, depts, true, read_dept);
	if (city->depts_whole)
		check_parents(city);
	city->types_whole = city_rows(city, "catalog.csv", types, true, read_type);
	city_rows(city, "conditions.csv", conditions, false, read_condition);
	add_missing_conditions(city);
}
