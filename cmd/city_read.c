/* city.yaml, and the order in which a city folder is read. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/city.h"

#define REGIONS_IN_HALO_MAX 2 /* ingest refuses a wider halo: nearly everybody would see all */

static void say(const struct city *city, struct tg_buf *out, const char *file, size_t row,
	const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (row ? tg_buf_addf(out, "%s/%s:%zu: %s\n", city->dir, file, row, text)
		: tg_buf_addf(out, "%s/%s: %s\n", city->dir, file, text))
		abort(); /* a few kilobytes at the start of a command */
}

void city_complain(struct city *city, const char *file, size_t row, const char *fmt, ...)
{
	va_list ap;

	if (++city->complaints_count > CITY_COMPLAINTS_MAX)
		return;
	va_start(ap, fmt);
	say(city, &city->complaints, file, row, fmt, ap);
	va_end(ap);
}

void city_warn(struct city *city, const char *file, size_t row, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(city, &city->warnings, file, row, fmt, ap);
	va_end(ap);
}

bool city_path(const struct city *city, const char *name, struct tg_buf *out)
{
	if (tg_buf_addf(out, "%s/%s", city->dir, name))
		return false;
	return tg_buf_cstr(out) && access(out->data, R_OK) == 0;
}

#define YAML "city.yaml"
#define GRID "grid.geojson"

static const char *text_of(struct city *city, struct tg_yaml *root, const char *key, bool required)
{
	struct tg_yaml *node = tg_yaml_get(root, key);

	if (node && node->kind == TG_YAML_SCALAR && node->text[0])
		return node->text;
	if (node || required)
		city_complain(city, YAML, node ? (size_t)node->line : 1,
			"%s: a text is needed; write it", key);
	return NULL;
}

static double number_of(struct city *city, struct tg_yaml *root, const char *key, double low,
	double high, bool required)
{
	struct tg_yaml *node = tg_yaml_get(root, key);
	double v = 0;

	if (!node && !required)
		return 0;
	if (!node || tg_yaml_dbl(node, &v) || v < low || v > high)
		city_complain(city, YAML, node ? (size_t)node->line : 1,
			"%s: a number from %g to %g is needed; write one", key, low, high);
	return v;
}

static void set_text(json_t *obj, const char *key, const char *text)
{
	json_object_set_new(obj, key, text ? json_string(text) : json_null());
}

/* name: "text", or name: {zh, en}. */
static void read_name(struct city *city, struct tg_yaml *root)
{
	struct tg_yaml *name = tg_yaml_get(root, "name");
	const char *zh = NULL, *en = NULL;

	if (name && name->kind == TG_YAML_MAP) {
		zh = text_of(city, name, "zh", true);
		en = text_of(city, name, "en", true);
	} else {
		zh = text_of(city, root, "name", true);
		en = text_of(city, root, "name_en", false);
	}
	set_text(city->head, "name_zh", zh);
	set_text(city->head, "name_en", en ? en : zh);
}

bool city_is_period(const char *text)
{
	int h1, m1, h2, m2, n = 0;

	return strlen(text) == 11 &&
	       sscanf(text, "%2d:%2d-%2d:%2d%n", &h1, &m1, &h2, &m2, &n) == 4 && n == 11 &&
	       h1 >= 0 && m1 >= 0 && m1 < 60 && m2 >= 0 && m2 < 60 && h2 * 60 + m2 <= 1440 &&
	       h1 * 60 + m1 < h2 * 60 + m2;
}

static void read_calendar(struct city *city, struct tg_yaml *node)
{
	struct tg_yaml *weekdays = tg_yaml_get(node, "weekdays"),
		       *periods = tg_yaml_get(node, "periods");
	json_t *row = json_object(), *days = json_array(), *times = json_array();
	const char *before = NULL; /* the end of the period before */
	int64_t day;

	for (struct tg_yaml *it = weekdays ? weekdays->child : NULL; it; it = it->next) {
		if (tg_yaml_int(it, &day) || day < 1 || day > 7)
			city_complain(city, YAML, (size_t)it->line,
				"a weekday is a number from 1 (Monday) to 7; correct it");
		json_array_append_new(days, json_integer(day));
	}
	for (struct tg_yaml *it = periods ? periods->child : NULL; it; it = it->next) {
		if (!it->text || !city_is_period(it->text) ||
			(before && strncmp(before, it->text, 5) > 0))
			city_complain(city, YAML, (size_t)it->line,
				"a period is written \"08:00-12:00\", after the one before it; "
				"correct it");
		before = it->text && strlen(it->text) > 6 ? it->text + 6 : NULL;
		json_array_append_new(times, json_string(it->text ? it->text : ""));
	}
	if (json_array_size(days) == 0 || json_array_size(times) == 0)
		city_complain(city, YAML, (size_t)node->key_line,
			"calendar %s has no weekdays or no periods; write both", node->key);
	set_text(row, "name", node->key);
	json_object_set_new(row, "weekdays", days);
	json_object_set_new(row, "periods", times);
	json_object_set_new(row, "hours_per_day",
		json_real(number_of(city, node, "hours_per_day", 0.1, 24, true)));
	json_array_append_new(city->calendars, row);
}

static void read_unknown(struct city *city, struct tg_yaml *root)
{
	for (struct tg_yaml *it = root->child; it; it = it->next)
		if (!it->seen)
			city_complain(city, YAML, (size_t)it->key_line,
				"there is no key \"%s\"; take it out or correct it", it->key);
}

static void read_lengths(struct city *city, struct tg_yaml *root, bool has_grid)
{
	double region_m = number_of(city, root, "region_m", 100, 100000, true);
	double halo_m = number_of(city, root, "halo_m", 0, 50000, true);

	json_object_set_new(city->head, "cell_m",
		json_real(number_of(city, root, "cell_m", 20, 10000, !has_grid)));
	json_object_set_new(city->head, "region_m", json_real(region_m));
	json_object_set_new(city->head, "halo_m", json_real(halo_m));
	if (halo_m > REGIONS_IN_HALO_MAX * region_m)
		city_complain(city, YAML, 1,
			"halo_m is larger than twice region_m; make the regions larger");
}

static void read_head(struct city *city, struct tg_yaml *root)
{
	struct tg_yaml *calendars = tg_yaml_get(root, "calendars");
	const char *division = text_of(city, root, "division", true),
		   *zone = text_of(city, root, "zone", true);
	struct tg_zone *loaded;

	read_name(city, root);
	if (division && (strlen(division) != 6 || strspn(division, "0123456789") != 6))
		city_complain(city, YAML, 1,
			"division: a code of 6 digits is needed; write it in quotes");
	if (zone && tg_zone_load(zone, &loaded))
		city_complain(city, YAML, 1,
			"zone: there is no time zone \"%s\"; write a name such as Asia/Shanghai",
			zone);
	else if (zone)
		tg_zone_free(loaded);
	set_text(city->head, "division", division);
	set_text(city->head, "zone", zone);
	for (struct tg_yaml *it = calendars ? calendars->child : NULL; it; it = it->next)
		read_calendar(city, it);
	if (json_array_size(city->calendars) == 0)
		city_complain(city, YAML, 1, "calendars: there is none; write one at least");
}

/* A grid of one's own is named, or lies there under its usual name while no cell size is given. */
static const char *grid_of(struct city *city, struct tg_yaml *root)
{
	const char *named = text_of(city, root, "grid", false);
	struct tg_buf path = {0};
	bool there = city_path(city, GRID, &path);

	tg_buf_release(&path);
	return named ? named : there && !tg_yaml_get(root, "cell_m") ? GRID : NULL;
}

static void read_all(struct city *city, struct tg_yaml *root)
{
	const char *boundary = text_of(city, root, "boundary", false);
	const char *grid = grid_of(city, root);

	read_head(city, root);
	read_lengths(city, root, grid != NULL);
	read_unknown(city, root);
	city_read_shapes(city, boundary ? boundary : "boundary.geojson", grid);
	city_read_tables(city);
	city_read_days(city);
	city_read_devices(city);
	city_read_duty(city);
}

int city_read(struct city *city)
{
	json_t **objects[] = {&city->head, &city->type_keys, &city->dept_keys, &city->street_keys,
		&city->device_keys};
	json_t **arrays[] = {&city->calendars, &city->days, &city->duty, &city->depts, &city->types,
		&city->conditions, &city->streets, &city->cells, &city->zones, &city->devices,
		&city->shapes};
	struct tg_buf path = {0}, why = {0};
	struct tg_yaml *root = NULL;

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		*objects[i] = json_object();
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		*arrays[i] = json_array();
	if (!city_path(city, YAML, &path)) {
		city_complain(city, YAML, 0, "is missing; write it");
	} else if (tg_yaml_load(path.data, &root, &why)) {
		city->complaints_count++; /* it names file, line and column itself */
		if (tg_buf_addf(&city->complaints, "%s\n", tg_buf_cstr(&why)))
			abort();
	}
	if (root)
		read_all(city, root);
	tg_yaml_free(root);
	tg_buf_release(&path);
	tg_buf_release(&why);
	return city->complaints_count ? -TG_ECONF : 0;
}

void city_release(struct city *city)
{
	json_t **all[] = {&city->head, &city->type_keys, &city->dept_keys, &city->street_keys,
		&city->device_keys, &city->calendars, &city->days, &city->duty, &city->depts,
		&city->types, &city->conditions, &city->streets, &city->cells, &city->zones,
		&city->devices, &city->shapes};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		json_decref(*all[i]);
		*all[i] = NULL;
	}
	tg_buf_release(&city->complaints);
	tg_buf_release(&city->warnings);
}
