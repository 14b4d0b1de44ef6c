#include "cmd/city_edge.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/geo.h"

/* An edge from its lesser to its greater end; left: walking so, its shape lies to the left. */
struct edge {
	struct tg_lonlat low, high;
	size_t shape;
	bool left;
};

struct edges {
	struct edge *all;
	size_t count, cap;
};

static struct tg_lonlat point(const json_t *ring, size_t i)
{
	const json_t *at = json_array_get(ring, i);

	return (struct tg_lonlat){
		json_number_value(json_array_get(at, 0)), json_number_value(json_array_get(at, 1))};
}

static int compare_points(struct tg_lonlat a, struct tg_lonlat b)
{
	if (a.lon != b.lon)
		return a.lon < b.lon ? -1 : 1;
	return (a.lat > b.lat) - (a.lat < b.lat);
}

static int compare_edges(const void *a, const void *b)
{
	const struct edge *ea = a, *eb = b;
	int low = compare_points(ea->low, eb->low);

	return low ? low : compare_points(ea->high, eb->high);
}

/* Twice the area to the left of the ring, relative to its first point. */
static double area(const json_t *ring)
{
	struct tg_lonlat origin = point(ring, 0);
	double sum = 0;

	for (size_t i = 1; i < json_array_size(ring); i++) {
		struct tg_lonlat a = point(ring, i - 1), b = point(ring, i);

		sum += (a.lon - origin.lon) * (b.lat - origin.lat) -
		       (a.lat - origin.lat) * (b.lon - origin.lon);
	}
	return sum;
}

static bool add_edge(struct edges *e, struct edge edge)
{
	if (e->count == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 1024;
		struct edge *grown = reallocarray(e->all, cap, sizeof(*grown));

		if (!grown)
			return false;
		e->all = grown;
		e->cap = cap;
	}
	e->all[e->count++] = edge;
	return true;
}

static bool add_polygon(struct edges *e, const json_t *rings, size_t shape)
{
	size_t r;
	json_t *ring;

	json_array_foreach (rings, r, ring) {
		bool inside_left = (area(ring) > 0) == (r == 0);

		for (size_t i = 1; i < json_array_size(ring); i++) {
			struct tg_lonlat a = point(ring, i - 1), b = point(ring, i);
			bool forward = compare_points(a, b) < 0;

			if (!add_edge(e, (struct edge){forward ? a : b, forward ? b : a, shape,
						 forward == inside_left}))
				return false;
		}
	}
	return true;
}

static bool add_geometry(struct edges *e, const json_t *geometry, size_t shape)
{
	const json_t *coordinates = json_object_get(geometry, "coordinates");
	const char *type = json_string_value(json_object_get(geometry, "type"));
	bool ok = true;
	size_t i;
	json_t *polygon;

	if (strcmp(type, "Polygon") == 0)
		return add_polygon(e, coordinates, shape);
	json_array_foreach (coordinates, i, polygon)
		ok = ok && add_polygon(e, polygon, shape);
	return ok;
}

/* Sorted, an edge stands beside its like: fine are two of different shapes on different sides. */
static void mark_loose(const struct edges *e, bool *loose)
{
	for (size_t i = 0, n; i < e->count; i += n) {
		const struct edge *at = &e->all[i];

		for (n = 1; i + n < e->count && compare_edges(at, at + n) == 0; n++)
			;
		if (n == 2 && at[0].shape != at[1].shape && at[0].left != at[1].left)
			continue;
		for (size_t k = 0; k < n; k++)
			loose[at[k].shape] = true;
	}
}

void city_edges_pair(const json_t *features, json_t *shapes, size_t first)
{
	struct edges e = {0};
	size_t n = json_array_size(features), i;
	bool *loose = calloc(n + 1, sizeof(*loose)), ok = loose != NULL;
	json_t *feature;

	json_array_foreach (features, i, feature)
		ok = ok && add_geometry(&e, json_object_get(feature, "geometry"), i);
	if (ok && e.count) {
		qsort(e.all, e.count, sizeof(*e.all), compare_edges);
		mark_loose(&e, loose);
		for (i = 0; i < n; i++)
			json_object_set_new(
				json_array_get(shapes, first + i), "loose", json_boolean(loose[i]));
	}
	free(e.all);
	free(loose);
}
