/* The GeoJSON files of a city folder: boundary, streets, cells, zones. */
#include <stdlib.h>
#include <string.h>

#include "base/geo.h"
#include "base/json.h"
#include "cmd/city.h"
#include "cmd/city_edge.h"

#define FILE_MAX ((size_t)256 << 20)

/* Copies text properties under their column names; absent ones take the value of the column
 * `fallback`, which stands before. The first is the shape's own code: it must be there, once. */
struct property {
	const char *from, *to, *fallback;
};

/* Shapes of one level must not overlap. */
struct level {
	const char *name;
	bool apart;
	const struct property *wanted;
	size_t wanted_count;
};

static const struct property boundary_wanted[] = {{"code", "code", NULL}};
static const struct property street_wanted[] = {
	{"code", "code", NULL},
	{"name", "name_zh", "code"},
	{"name_zh", "name_zh", "name_zh"},
	{"name_en", "name_en", "name_zh"},
	{"short_zh", "short_zh", "name_zh"},
	{"short_en", "short_en", "name_en"},
	{"district", "district", "code"},
};
static const struct property cell_wanted[] = {
	{"cell_id", "cell_id", NULL}, {"street", "street", NULL}};
static const struct property zone_wanted[] = {
	{"code", "code", NULL},
	{"name", "name_zh", "code"},
	{"name_zh", "name_zh", "name_zh"},
	{"name_en", "name_en", "name_zh"},
	{"class", "class", NULL},
};

#define WANTED(table) table, sizeof(table) / sizeof((table)[0])

static const struct level boundary_level = {"boundary", false, WANTED(boundary_wanted)};
static const struct level street_level = {"street", true, WANTED(street_wanted)};
static const struct level cell_level = {"cell", true, WANTED(cell_wanted)};
static const struct level zone_level = {"zone", false, WANTED(zone_wanted)};

static json_t *load_features(struct city *city, const char *file)
{
	struct tg_buf path = {0}, text = {.max = FILE_MAX}, why = {0};
	json_t *doc = NULL, *features = NULL;

	if (!city_path(city, file, &path) || tg_buf_read_file(&text, path.data))
		city_complain(city, file, 0, "cannot be read; write it");
	else if (tg_json_parse((struct tg_slice){text.data, text.len}, &doc, &why))
		city_complain(city, file, 0, "%s; mend it there", tg_buf_cstr(&why));
	else if (!json_is_array(json_object_get(doc, "features")))
		city_complain(city, file, 0, "is no FeatureCollection; make it one");
	else
		features = json_incref(json_object_get(doc, "features"));
	json_decref(doc);
	tg_buf_release(&path);
	tg_buf_release(&text);
	tg_buf_release(&why);
	return features ? features : json_array();
}

/* NULL: a polygon whose rings are closed and on the globe. */
static const char *geometry_fault(const json_t *geometry)
{
	struct tg_polyindex *trial;
	const char *why = NULL;

	if (tg_polyindex_new(&trial))
		abort(); /* some bytes at the start of a command */
	if (tg_polyindex_add_json(trial, 0, geometry, &why) && !why)
		why = "the shape is too large";
	tg_polyindex_free(trial);
	return why;
}

static json_t *row_of(const json_t *feature, const struct level *level)
{
	json_t *properties = json_object_get(feature, "properties"), *row = json_object();

	for (size_t i = 0; i < level->wanted_count; i++) {
		const struct property *p = &level->wanted[i];
		json_t *value = json_object_get(properties, p->from);

		if (!json_is_string(value) && p->fallback)
			value = json_object_get(row, p->fallback);
		json_object_set(row, p->to, json_is_string(value) ? value : json_null());
	}
	return row;
}

static void add_shape(struct city *city, const char *file, size_t i, const struct level *level,
	const char *id, json_t *geom)
{
	json_t *shape = json_pack("{s:s, s:s, s:I, s:s, s:O, s:b, s:b}", "level", level->name,
		"file", file, "row", (json_int_t)i + 1, "id", id, "geom", geom, "apart",
		level->apart, "loose", 1);

	if (!shape)
		abort();
	json_array_append_new(city->shapes, shape);
}

/* The row of one feature, which goes to rows when nothing is wrong with it. */
static void read_feature(struct city *city, const char *file, size_t i, const json_t *feature,
	const struct level *level, json_t *rows, json_t *keys)
{
	const json_t *geometry = json_object_get(feature, "geometry");
	const char *fault = geometry_fault(geometry), *key = level->wanted[0].from;
	json_t *row = row_of(feature, level);
	const char *id = json_string_value(json_object_get(row, level->wanted[0].to));

	if (fault)
		city_complain(city, file, i + 1, "feature %zu: %s; mend it there", i + 1, fault);
	if (!id || !*id)
		city_complain(city, file, i + 1,
			"feature %zu has no text property \"%s\"; give it one", i + 1, key);
	else if (json_object_get(keys, id))
		city_complain(city, file, i + 1,
			"feature %zu: %s \"%s\" occurs twice; give it another", i + 1, key, id);
	else
		json_object_set(keys, id, row);
	if (!fault && id) {
		char *text = json_dumps(geometry, JSON_COMPACT);
		json_t *geom = json_string(text);

		free(text);
		add_shape(city, file, i, level, id, geom);
		json_object_set_new(row, "geom", geom);
		json_array_append(rows, row);
	}
	json_decref(row);
}

static void read_file(
	struct city *city, const char *file, const struct level *level, json_t *rows, json_t *keys)
{
	json_t *features = load_features(city, file), *feature;
	size_t i, first = json_array_size(city->shapes);

	json_array_foreach (features, i, feature)
		read_feature(city, file, i, feature, level, rows, keys);
	if (level->apart && json_array_size(city->shapes) - first == json_array_size(features))
		city_edges_pair(features, city->shapes, first);
	json_decref(features);
}

static bool is_there(const struct city *city, const char *file)
{
	struct tg_buf path = {0};
	bool there = city_path(city, file, &path);

	tg_buf_release(&path);
	return there;
}

/* streets.csv: streets that have a name and no shape. */
static void read_street_row(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice code = city_cell(csv, "code"), name = city_cell(csv, "name");
	json_t *row;

	if (code.len == 0 || city_key(city->street_keys, code)) {
		city_complain(city, file, tg_csv_line(csv),
			"code \"%.*s\" is empty or occurs twice; give the street one of its own",
			(int)code.len, code.data);
		return;
	}
	row = json_object();
	city_set(row, "code", code);
	city_set_or(row, "name_zh", name, code);
	city_set_or(row, "name_en", city_cell(csv, "name_en"), name.len ? name : code);
	city_set_or(row, "short_zh", city_cell(csv, "short_zh"), name.len ? name : code);
	city_set_or(row, "short_en", city_cell(csv, "short_en"), name.len ? name : code);
	city_set_or(row, "district", city_cell(csv, "district"), code);
	city_key_set(city->street_keys, code, row);
	json_array_append_new(city->streets, row);
}

static void read_streets(struct city *city)
{
	static const char *const columns[] = {"code", "name", "district", NULL};

	if (is_there(city, "streets.geojson"))
		read_file(city, "streets.geojson", &street_level, city->streets, city->street_keys);
	else if (is_there(city, "streets.csv"))
		city_rows(city, "streets.csv", columns, true, read_street_row);
	else
		city_complain(city, "streets.geojson", 0,
			"is missing, and so is streets.csv; write one of them");
}

static void read_cells(struct city *city, const char *file)
{
	json_t *keys = json_object(), *row;
	size_t i;

	read_file(city, file, &cell_level, city->cells, keys);
	json_array_foreach (city->cells, i, row) {
		const char *street = json_string_value(json_object_get(row, "street"));

		if (street && !json_object_get(city->street_keys, street))
			city_complain(city, file, 0,
				"cell \"%s\": there is no street \"%s\"; write one of the streets",
				json_string_value(json_object_get(row, "cell_id")), street);
	}
	json_decref(keys);
}

/* All features of the boundary together. */
static void read_boundary(struct city *city, const char *file)
{
	json_t *rows = json_array(), *keys = json_object(), *row, *parts = json_array();
	size_t i;

	read_file(city, file, &boundary_level, rows, keys);
	json_array_foreach (rows, i, row)
		json_array_append(parts, json_object_get(row, "geom"));
	if (i == 0)
		city_complain(city, file, 0, "has no sound feature; draw the city's outline");
	json_object_set_new(city->head, "boundary", parts);
	json_decref(rows);
	json_decref(keys);
}

static void read_zones(struct city *city)
{
	json_t *keys = json_object();

	if (is_there(city, "zones.geojson"))
		read_file(city, "zones.geojson", &zone_level, city->zones, keys);
	json_decref(keys);
}

void city_read_shapes(struct city *city, const char *boundary, const char *grid)
{
	read_boundary(city, boundary);
	read_streets(city);
	if (grid)
		read_cells(city, grid);
	read_zones(city);
}
