/* GeoJSON geometries (RFC 7946) → polyindex. Read twice: checked whole, then added, so a bad one
 * adds nothing. */
#include <stdlib.h>

#include "base/geo.h"
#include "base/json.h"

static bool read_point(const json_t *at, struct tg_lonlat *ret)
{
	const json_t *lon = json_array_get(at, 0), *lat = json_array_get(at, 1);

	if (!json_is_number(lon) || !json_is_number(lat))
		return false;
	*ret = (struct tg_lonlat){json_number_value(lon), json_number_value(lat)};
	return true;
}

static const char *check_ring(const json_t *ring)
{
	struct tg_lonlat first, last, p;
	size_t n = json_array_size(ring); /* 0 for what is no array */

	if (n < 4)
		return "a ring needs at least 4 positions";
	for (size_t i = 0; i < n; i++) {
		if (!read_point(json_array_get(ring, i), &p))
			return "a position must be an array of numbers, longitude first";
		if (!tg_geo_valid(p))
			return "a position lies off the globe (longitude comes first)";
		if (i == 0)
			first = p;
		last = p;
	}
	return first.lon == last.lon && first.lat == last.lat
		       ? NULL
		       : "a ring is open: it must end where it begins";
}

static const char *check_polygon(const json_t *rings)
{
	const char *why = NULL;

	if (json_array_size(rings) == 0)
		return "a polygon must be an array of rings";
	for (size_t i = 0; i < json_array_size(rings) && !why; i++)
		why = check_ring(json_array_get(rings, i));
	return why;
}

static int add_polygon(struct tg_polyindex *ix, int32_t id, const json_t *json)
{
	size_t n = json_array_size(json), points = 0;
	struct tg_lonlat *all = NULL, *at;
	const struct tg_lonlat **rings = calloc(n, sizeof(*rings));
	size_t *lens = calloc(n, sizeof(*lens));
	int rc = -TG_ENOMEM;

	for (size_t r = 0; r < n; r++)
		points += json_array_size(json_array_get(json, r));
	all = calloc(points, sizeof(*all));
	if (!rings || !lens || !all)
		goto out;
	at = all;
	for (size_t r = 0; r < n; r++) {
		const json_t *ring = json_array_get(json, r);

		rings[r] = at;
		lens[r] = json_array_size(ring);
		for (size_t i = 0; i < lens[r]; i++)
			(void)read_point(json_array_get(ring, i), at++);
	}
	rc = tg_polyindex_add(ix, id, rings, lens, n);
out:
	free(all);
	free(rings);
	free(lens);
	return rc;
}

int tg_polyindex_add_json(
	struct tg_polyindex *ix, int32_t id, const struct json_t *geometry, const char **ret_why)
{
	const json_t *coordinates = json_object_get(geometry, "coordinates");
	const char *type = json_string_value(json_object_get(geometry, "type")), *why = NULL;
	bool multi = type && tg_slice_is(tg_slice_cstr(type), "MultiPolygon");
	size_t n = multi ? json_array_size(coordinates) : 1;
	int rc = 0;

	if (!multi && !(type && tg_slice_is(tg_slice_cstr(type), "Polygon")))
		why = "the geometry must be a Polygon or a MultiPolygon";
	else if (n == 0)
		why = "a MultiPolygon must be an array of polygons";
	for (size_t i = 0; i < n && !why; i++)
		why = check_polygon(multi ? json_array_get(coordinates, i) : coordinates);
	if (why) {
		*ret_why = why;
		return -TG_EPARSE;
	}
	for (size_t i = 0; i < n && !rc; i++)
		rc = add_polygon(ix, id, multi ? json_array_get(coordinates, i) : coordinates);
	return rc;
}

int tg_polyindex_add_geojson(
	struct tg_polyindex *ix, int32_t id, struct tg_slice geometry, const char **ret_why)
{
	json_t *root;
	int rc = tg_json_parse(geometry, &root, NULL);

	if (rc == -TG_EPARSE)
		*ret_why = "the text is not JSON";
	if (rc)
		return rc;
	rc = tg_polyindex_add_json(ix, id, root, ret_why);
	json_decref(root);
	return rc;
}
