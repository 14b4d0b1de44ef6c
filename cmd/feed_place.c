#include "cmd/feed_place.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Half of what the last of six decimals may be off when both numbers are read from text. */
#define ROUNDING_DEG 1e-12

#define ACCURACY_MAX_M 20037509.0 /* half the way round */

static int read_datum(struct feed_reader *r, struct tg_yaml *map, struct feed_place *ret)
{
	static const char *const names[] = {"wgs84", "gcj02", "bd09", "cgcs2000"};
	struct tg_yaml *node = tg_yaml_get(map, "datum");
	const char *text = NULL;
	int rc;

	if (!node)
		return 0;
	rc = feed_scalar(r, node, &text);
	if (rc)
		return rc;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			ret->datum = (Tongguan__V1__Datum)(TONGGUAN__V1__DATUM__WGS84 + i);
			return 0;
		}
	}
	return feed_wrong(r, node, "wgs84, gcj02, bd09 or cgcs2000 is wanted here");
}

static int read_accuracy(struct feed_reader *r, struct tg_yaml *map, struct feed_place *ret)
{
	struct tg_yaml *node = tg_yaml_get(map, "accuracy_m");

	if (node && (tg_yaml_dbl(node, &ret->accuracy_m) || !(ret->accuracy_m > 0) ||
			    ret->accuracy_m > ACCURACY_MAX_M))
		return feed_wrong(r, node, "metres, more than 0, are wanted here");
	return 0;
}

static int read_point(struct feed_reader *r, const struct tg_yaml *node, struct feed_point *ret)
{
	const struct tg_yaml *lon = node->kind == TG_YAML_SEQ ? node->child : NULL;
	const struct tg_yaml *lat = lon ? lon->next : NULL;

	if (!lat || lat->next || tg_yaml_dbl(lon, &ret->lon) || tg_yaml_dbl(lat, &ret->lat))
		return feed_wrong(r, node, "a point is wanted here: [lon, lat]");
	return 0;
}

static int read_ignored(struct feed_reader *r, struct tg_yaml *map, struct feed_place *ret)
{
	struct tg_yaml *node = tg_yaml_get(map, "ignore");
	struct feed_point *points;
	size_t n = 0;

	if (!node)
		return 0;
	if (node->kind != TG_YAML_SEQ)
		return feed_wrong(r, node, "a list of points is wanted here: [[lon, lat]]");
	for (const struct tg_yaml *c = node->child; c; c = c->next)
		n++;
	points = feed_memory(r, node, n, sizeof(*points));
	if (!points)
		return -TG_ENOMEM;
	for (const struct tg_yaml *c = node->child; c; c = c->next) {
		int rc = read_point(r, c, &points[ret->ignored_count]);

		if (rc)
			return rc;
		ret->ignored_count++;
	}
	ret->ignored = points;
	return 0;
}

static int read_spots(struct feed_reader *r, struct tg_yaml *node, struct feed_place *ret)
{
	struct tg_yaml *value, *table;
	int rc = feed_check_keys(r, node, "value table datum accuracy_m");

	ret->kind = FEED_SPOTS;
	if (!rc)
		rc = feed_need(r, node, "value", &value);
	if (!rc)
		rc = feed_need(r, node, "table", &table);
	if (!rc)
		rc = feed_template_read(r, value, &ret->value);
	return rc ? rc : feed_spots_read(r, table, &ret->spots, &ret->spot_count);
}

static int read_columns(struct feed_reader *r, struct tg_yaml *node, struct feed_place *ret)
{
	struct tg_yaml *lon, *lat;
	int rc = feed_check_keys(r, node, "lon lat datum accuracy_m ignore");

	ret->kind = FEED_COLUMNS;
	if (!rc)
		rc = feed_need(r, node, "lon", &lon);
	if (!rc)
		rc = feed_need(r, node, "lat", &lat);
	if (!rc)
		rc = feed_number_read(r, lon, &ret->lon);
	if (!rc)
		rc = feed_number_read(r, lat, &ret->lat);
	return rc ? rc : read_ignored(r, node, ret);
}

int feed_place_member(struct feed_reader *r, struct tg_yaml *map, struct feed_place *ret)
{
	struct tg_yaml *node = tg_yaml_get(map, "location");
	int rc;

	ret->datum = TONGGUAN__V1__DATUM__WGS84;
	if (!node)
		return 0;
	if (node->kind == TG_YAML_SCALAR && strcmp(node->text, "geometry") == 0) {
		ret->kind = FEED_GEOMETRY;
		return feed_rows_format(r->rows) == FEED_GEOJSON
			       ? 0
			       : feed_wrong(r, node, "only GeoJSON has a geometry");
	}
	if (node->kind != TG_YAML_MAP)
		return feed_wrong(
			r, node, "{lon, lat}, {value, table} or the word geometry is wanted here");
	rc = tg_yaml_get(node, "table") ? read_spots(r, node, ret) : read_columns(r, node, ret);
	if (!rc)
		rc = read_datum(r, node, ret);
	return rc ? rc : read_accuracy(r, node, ret);
}

static bool is_ignored(const struct feed_place *place, double lon, double lat)
{
	const double near = FEED_IGNORE_DEG + ROUNDING_DEG;

	for (size_t i = 0; i < place->ignored_count; i++)
		if (fabs(lon - place->ignored[i].lon) <= near &&
			fabs(lat - place->ignored[i].lat) <= near)
			return true;
	return false;
}

static int eval_columns(const struct feed_place *place, const struct feed_scope *scope,
	double *ret_lon, double *ret_lat)
{
	double lon, lat;
	int rc = feed_number_eval(&place->lon, scope, &lon);

	if (rc == 1)
		rc = feed_number_eval(&place->lat, scope, &lat);
	if (rc != 1 || is_ignored(place, lon, lat))
		return rc < 0 ? rc : 0;
	*ret_lon = lon;
	*ret_lat = lat;
	return 1;
}

static int spot_order(const void *a, const void *b)
{
	return strcmp(((const struct feed_spot *)a)->value, ((const struct feed_spot *)b)->value);
}

static int eval_spots(const struct feed_place *place, const struct feed_scope *scope,
	double *ret_lon, double *ret_lat)
{
	struct feed_spot wanted = {0};
	const struct feed_spot *found;
	int rc = feed_template_eval(&place->value, scope, &wanted.value);

	if (rc)
		return rc;
	found = bsearch(&wanted, place->spots, place->spot_count, sizeof(wanted), spot_order);
	if (!found)
		return 0;
	*ret_lon = found->lon;
	*ret_lat = found->lat;
	return 1;
}

int feed_place_eval(const struct feed_place *place, const struct feed_scope *scope, double *ret_lon,
	double *ret_lat)
{
	switch (place->kind) {
	case FEED_COLUMNS: return eval_columns(place, scope, ret_lon, ret_lat);
	case FEED_SPOTS: return eval_spots(place, scope, ret_lon, ret_lat);
	case FEED_GEOMETRY: return feed_rows_point(scope->rows, ret_lon, ret_lat);
	case FEED_NO_PLACE:
	default: return 0;
	}
}
