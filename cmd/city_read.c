/* city.yaml and the GeoJSON files of a city folder. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cmd/city.h"

#define FILE_MAX ((size_t)64 << 20)

void city_complain(struct city *city, const char *file, size_t row, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (++city->complaints_count > CITY_COMPLAINTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (row ? tg_buf_addf(&city->complaints, "%s/%s:%zu: %s\n", city->dir, file, row, text)
		: tg_buf_addf(&city->complaints, "%s/%s: %s\n", city->dir, file, text))
		abort(); /* a few kilobytes at the start of a command */
}

bool city_path(const struct city *city, const char *name, struct tg_buf *out)
{
	if (tg_buf_addf(out, "%s/%s", city->dir, name))
		return false;
	return tg_buf_cstr(out) && access(out->data, R_OK) == 0;
}

json_t *city_find(const json_t *array, const char *key, struct tg_slice text)
{
	size_t i;
	json_t *row;

	json_array_foreach (array, i, row) {
		const char *value = json_string_value(json_object_get(row, key));

		if (value && tg_slice_is(text, value))
			return row;
	}
	return NULL;
}

/* ---- GeoJSON
 * ----------------------------------------------------------------------------------------------------
 */

static bool is_closed(const json_t *ring)
{
	size_t n = json_array_size(ring);

	return n >= 4 && json_equal(json_array_get(ring, 0), json_array_get(ring, n - 1));
}

static bool polygon_is_closed(const json_t *polygon)
{
	size_t i;
	json_t *ring;

	json_array_foreach (polygon, i, ring) {
		if (!is_closed(ring))
			return false;
	}
	return i > 0;
}

static const char *geometry_fault(const json_t *geometry)
{
	const char *type = json_string_value(json_object_get(geometry, "type"));
	const json_t *coordinates = json_object_get(geometry, "coordinates");
	size_t i;
	json_t *polygon;

	if (type && strcmp(type, "Polygon") == 0)
		return polygon_is_closed(coordinates)
			       ? NULL
			       : "a ring is open: repeat its first point at the end";
	if (!type || strcmp(type, "MultiPolygon") != 0)
		return "the geometry must be a Polygon or a MultiPolygon";
	json_array_foreach (coordinates, i, polygon) {
		if (!polygon_is_closed(polygon))
			return "a ring is open: repeat its first point at the end";
	}
	return i ? NULL : "the geometry is empty";
}

static json_t *load_features(struct city *city, const char *file)
{
	struct tg_buf path = {0}, text = {.max = FILE_MAX}, why = {0};
	json_t *doc = NULL, *features = NULL;

	if (!city_path(city, file, &path) || tg_buf_read_file(&text, path.data))
		city_complain(city, file, 0, "cannot be read");
	else if (tg_json_parse((struct tg_slice){text.data, text.len}, &doc, &why))
		city_complain(city, file, 0, "%s", tg_buf_cstr(&why));
	else if (!json_is_array(json_object_get(doc, "features")))
		city_complain(city, file, 0, "must be a FeatureCollection");
	else
		features = json_incref(json_object_get(doc, "features"));
	json_decref(doc);
	tg_buf_release(&path);
	tg_buf_release(&text);
	tg_buf_release(&why);
	return features ? features : json_array();
}

/* Copies text properties under their column names; absent ones take the fallback's value. */
struct property {
	const char *from, *to, *fallback;
};

static json_t *row_of(const json_t *feature, const struct property *wanted, size_t n)
{
	json_t *properties = json_object_get(feature, "properties");
	json_t *row = json_object();
	char *geometry = json_dumps(json_object_get(feature, "geometry"), JSON_COMPACT);

	for (size_t i = 0; i < n; i++) {
		json_t *value = json_object_get(properties, wanted[i].from);

		if (!json_is_string(value) && wanted[i].fallback)
			value = json_object_get(row, wanted[i].fallback);
		json_object_set(row, wanted[i].to, json_is_string(value) ? value : json_null());
	}
	json_object_set_new(row, "geom", json_string(geometry));
	free(geometry);
	return row;
}

static json_t *read_polygons(
	struct city *city, const char *file, const struct property *wanted, size_t n)
{
	json_t *features = load_features(city, file), *rows = json_array(), *feature;
	size_t i;

	json_array_foreach (features, i, feature) {
		const char *fault = geometry_fault(json_object_get(feature, "geometry"));
		json_t *row = row_of(feature, wanted, n);
		const char *id = json_string_value(json_object_get(row, wanted[0].to));

		if (fault)
			city_complain(city, file, i + 1, "feature %zu: %s", i + 1, fault);
		else if (!id)
			city_complain(city, file, i + 1, "feature %zu has no text property \"%s\"",
				i + 1, wanted[0].from);
		else if (city_find(rows, wanted[0].to, tg_slice_cstr(id)))
			city_complain(
				city, file, i + 1, "feature %zu: \"%s\" occurs twice", i + 1, id);
		json_array_append_new(rows, row);
	}
	json_decref(features);
	return rows;
}

static void read_streets(struct city *city)
{
	static const struct property wanted[] = {
		{"code", "code", NULL},
		{"name", "name_zh", "code"},
		{"name_zh", "name_zh", "name_zh"},
		{"name_en", "name_en", "name_zh"},
		{"short_zh", "short_zh", "name_zh"},
		{"short_en", "short_en", "name_en"},
		{"district", "district", "code"},
	};

	city->streets =
		read_polygons(city, "streets.geojson", wanted, sizeof(wanted) / sizeof(wanted[0]));
}

static void read_cells(struct city *city, const char *file)
{
	static const struct property wanted[] = {
		{"cell_id", "cell_id", NULL}, {"street", "street", NULL}};

	city->cells = file ? read_polygons(city, file, wanted, 2) : json_array();
}

/* All features of the boundary together. */
static void read_boundary(struct city *city, const char *file)
{
	static const struct property wanted[] = {{"code", "code", NULL}};
	json_t *rows = read_polygons(city, file, wanted, 1), *row, *parts = json_array();
	size_t i;

	json_array_foreach (rows, i, row)
		json_array_append(parts, json_object_get(row, "geom"));
	if (i == 0)
		city_complain(city, file, 0, "has no feature");
	json_object_set_new(city->head, "boundary", parts);
	json_decref(rows);
}

/* ---- city.yaml
 * ----------------------------------------------------------------------------------------------------
 */

#define YAML "city.yaml"

static const char *text_of(struct city *city, struct tg_yaml *root, const char *key, bool required)
{
	struct tg_yaml *node = tg_yaml_get(root, key);

	if (node && node->kind == TG_YAML_SCALAR && node->text[0])
		return node->text;
	if (node || required)
		city_complain(
			city, YAML, node ? (size_t)node->line : 1, "%s: a text is needed", key);
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
			"%s: a number from %g to %g is needed", key, low, high);
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

/* "08:00-12:00", within one day, not empty. */
static bool is_period(const char *text)
{
	int h1, m1, h2, m2, n = 0;

	return sscanf(text, "%2d:%2d-%2d:%2d%n", &h1, &m1, &h2, &m2, &n) == 4 && text[n] == '\0' &&
	       h1 >= 0 && m1 >= 0 && m1 < 60 && m2 >= 0 && m2 < 60 && h2 * 60 + m2 <= 1440 &&
	       h1 * 60 + m1 < h2 * 60 + m2;
}

static void read_calendar(struct city *city, struct tg_yaml *node)
{
	struct tg_yaml *weekdays = tg_yaml_get(node, "weekdays"),
		       *periods = tg_yaml_get(node, "periods");
	json_t *row = json_object(), *days = json_array(), *times = json_array();
	int64_t day;

	for (struct tg_yaml *it = weekdays ? weekdays->child : NULL; it; it = it->next) {
		if (tg_yaml_int(it, &day) || day < 1 || day > 7)
			city_complain(city, YAML, (size_t)it->line,
				"weekdays are numbers from 1 (Monday) to 7");
		json_array_append_new(days, json_integer(day));
	}
	for (struct tg_yaml *it = periods ? periods->child : NULL; it; it = it->next) {
		if (!it->text || !is_period(it->text))
			city_complain(city, YAML, (size_t)it->line,
				"a period is written \"08:00-12:00\"");
		json_array_append_new(times, json_string(it->text ? it->text : ""));
	}
	if (json_array_size(days) == 0 || json_array_size(times) == 0)
		city_complain(city, YAML, (size_t)node->key_line,
			"calendar %s needs weekdays and periods", node->key);
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
			city_complain(city, YAML, (size_t)it->key_line, "there is no key \"%s\"",
				it->key);
}

static void read_head(struct city *city, struct tg_yaml *root)
{
	struct tg_yaml *calendars = tg_yaml_get(root, "calendars");
	const char *division = text_of(city, root, "division", true),
		   *zone = text_of(city, root, "zone", true);
	const char *boundary = text_of(city, root, "boundary", false),
		   *grid = text_of(city, root, "grid", false);
	struct tg_zone *loaded;

	read_name(city, root);
	if (division && (strlen(division) != 6 || strspn(division, "0123456789") != 6))
		city_complain(city, YAML, 1, "division: a code of 6 digits, in quotes");
	if (zone && tg_zone_load(zone, &loaded))
		city_complain(city, YAML, 1, "zone: there is no time zone \"%s\"", zone);
	else if (zone)
		tg_zone_free(loaded);
	set_text(city->head, "division", division);
	set_text(city->head, "zone", zone);
	json_object_set_new(
		city->head, "cell_m", json_real(number_of(city, root, "cell_m", 20, 10000, !grid)));
	json_object_set_new(city->head, "region_m",
		json_real(number_of(city, root, "region_m", 100, 100000, true)));
	json_object_set_new(
		city->head, "halo_m", json_real(number_of(city, root, "halo_m", 0, 50000, true)));
	for (struct tg_yaml *it = calendars ? calendars->child : NULL; it; it = it->next)
		read_calendar(city, it);
	if (json_array_size(city->calendars) == 0)
		city_complain(city, YAML, 1, "calendars: at least one is needed");
	read_boundary(city, boundary ? boundary : "boundary.geojson");
	read_cells(city, grid);
	read_unknown(city, root);
}

int city_read(struct city *city)
{
	struct tg_buf path = {0}, why = {0};
	struct tg_yaml *root = NULL;

	city->head = json_object();
	city->calendars = json_array();
	if (!city_path(city, YAML, &path))
		city_complain(city, YAML, 0, "is missing");
	else if (tg_yaml_load(path.data, &root, &why))
		city_complain(city, YAML, 0, "%s", tg_buf_cstr(&why));
	if (root) {
		read_head(city, root);
		read_streets(city);
		city_read_tables(city);
	}
	tg_yaml_free(root);
	tg_buf_release(&path);
	tg_buf_release(&why);
	return city->complaints_count ? -TG_ECONF : 0;
}

void city_release(struct city *city)
{
	json_t **all[] = {&city->head, &city->calendars, &city->days, &city->depts, &city->types,
		&city->conditions, &city->streets, &city->cells, &city->devices};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		json_decref(*all[i]);
		*all[i] = NULL;
	}
	tg_buf_release(&city->complaints);
	tg_buf_release(&city->warnings);
}
