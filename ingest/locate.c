#include "ingest/locate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"

#define TYPE_CODES      100000 /* five digits */
#define CITY_BYTES_MAX  ((size_t)256 << 20)
#define CITY_BLOCK      ((size_t)64 << 10)
#define METRES_A_DEGREE (TG_EARTH_RADIUS_M * M_PI / 180)
/* A halo is measured flat here and on the sphere where it is judged: a little too wide loses
 * nothing. */
#define HALO_MARGIN      1.01
#define HALO_REGIONS_MAX 2 /* 6 × 6 regions at most, less the own one: 35 */

struct cell {
	const char *id, *street, *district;
};

struct device {
	bool placed;
	struct tg_lonlat at;
};

struct tg_atlas {
	struct tg_atlas_frame frame;
	double region_lon, region_lat; /* degrees a region spans */
	int32_t columns, rows;
	struct tg_polyindex *index;
	struct cell *cells;
	size_t cells_count, cells_cap;
	struct tg_map *devices;
	struct tg_arena memory; /* texts and devices: they go with the city */
	uint8_t types[TYPE_CODES / 8];
};

static int32_t regions_across(double span_m, double region_m)
{
	double n = ceil(span_m / region_m);

	if (!(n >= 1))
		return 1;
	return n > 10000 ? 10000 : (int32_t)n;
}

int tg_atlas_new(const struct tg_atlas_frame *frame, struct tg_atlas **ret)
{
	struct tg_atlas *city = calloc(1, sizeof(*city));
	double middle = (frame->min_lat + frame->max_lat) / 2, metres_lon;
	int rc;

	assert(frame->region_m > 0);
	if (!city)
		return -TG_ENOMEM;
	if (frame->halo_m > HALO_REGIONS_MAX * frame->region_m) {
		free(city);
		return -TG_ERANGE;
	}
	tg_arena_init(&city->memory, CITY_BLOCK, CITY_BYTES_MAX);
	metres_lon = METRES_A_DEGREE * cos(middle * M_PI / 180);
	city->frame = *frame;
	city->region_lat = frame->region_m / METRES_A_DEGREE;
	city->region_lon = frame->region_m / metres_lon;
	city->columns =
		regions_across((frame->max_lon - frame->min_lon) * metres_lon, frame->region_m);
	city->rows = regions_across(
		(frame->max_lat - frame->min_lat) * METRES_A_DEGREE, frame->region_m);
	rc = tg_polyindex_new(&city->index);
	if (!rc)
		rc = tg_map_new(0, &city->devices);
	if (rc) {
		tg_atlas_free(city);
		return rc;
	}
	*ret = city;
	return 0;
}

void tg_atlas_free(struct tg_atlas *city)
{
	if (!city)
		return;
	tg_polyindex_free(city->index);
	tg_map_free(city->devices);
	tg_arena_release(&city->memory);
	free(city->cells);
	free(city);
}

static int keep(struct tg_atlas *city, struct tg_slice text, const char **ret)
{
	if (!text.len) {
		*ret = NULL;
		return 0;
	}
	*ret = tg_arena_strdup(&city->memory, text.data, text.len);
	return *ret ? 0 : -TG_ENOMEM;
}

int tg_atlas_add_cell(struct tg_atlas *city, struct tg_slice cell_id, struct tg_slice street,
	struct tg_slice district, struct tg_slice shape, const char **ret_why)
{
	struct cell cell = {0};
	int rc;

	*ret_why = "out of memory";
	if (city->cells_count == city->cells_cap) {
		size_t cap = city->cells_cap ? city->cells_cap * 2 : 256;
		struct cell *grown = reallocarray(city->cells, cap, sizeof(*grown));

		if (!grown)
			return -TG_ENOMEM;
		city->cells = grown;
		city->cells_cap = cap;
	}
	rc = keep(city, cell_id, &cell.id);
	if (!rc)
		rc = keep(city, street, &cell.street);
	if (!rc)
		rc = keep(city, district, &cell.district);
	if (!rc)
		rc = (shape.len && shape.data[0] == '{' ? tg_polyindex_add_geojson
							: tg_polyindex_add_wkb)(
			city->index, (int32_t)city->cells_count, shape, ret_why);
	if (!rc)
		city->cells[city->cells_count++] = cell;
	return rc;
}

int tg_atlas_add_device(
	struct tg_atlas *city, struct tg_slice device_id, const struct tg_lonlat *at)
{
	struct device *device = tg_arena_alloc(&city->memory, sizeof(*device));

	if (!device)
		return -TG_ENOMEM;
	*device = (struct device){.placed = at != NULL};
	if (at)
		device->at = *at;
	return tg_map_put(city->devices, device_id, device);
}

/* -1 when it is no code. */
static int type_number(const char *code, size_t len)
{
	int v = 0;

	if (len != 5)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (code[i] < '0' || code[i] > '9')
			return -1;
		v = v * 10 + (code[i] - '0');
	}
	return v;
}

void tg_atlas_add_type(struct tg_atlas *city, struct tg_slice code)
{
	int v = type_number(code.data, code.len);

	if (v >= 0)
		city->types[v / 8] |= (uint8_t)(1 << v % 8);
}

static bool type_known(const struct tg_atlas *city, const char *code)
{
	int v = type_number(code, strlen(code));

	return v >= 0 && city->types[v / 8] & 1 << v % 8;
}

int tg_atlas_finish(struct tg_atlas *city)
{
	return tg_polyindex_build(city->index);
}

size_t tg_atlas_cells(const struct tg_atlas *city)
{
	return city->cells_count;
}

static int32_t clamp(double cell, int32_t count)
{
	if (!(cell > 0))
		return 0;
	return cell >= count ? count - 1 : (int32_t)cell;
}

/* Which regions lie within reach_m of the point: a rectangle of columns and rows. The outermost
 * regions reach to infinity, so a place outside the city has one too. */
struct reach {
	int32_t left, right, bottom, top;
};

static struct reach region_reach(const struct tg_atlas *city, struct tg_lonlat p, double reach_m)
{
	double x = (p.lon - city->frame.min_lon) / city->region_lon;
	double y = (p.lat - city->frame.min_lat) / city->region_lat;
	double dx = reach_m / (METRES_A_DEGREE * cos(p.lat * M_PI / 180)) / city->region_lon;
	double dy = reach_m / METRES_A_DEGREE / city->region_lat;

	return (struct reach){clamp(x - dx, city->columns), clamp(x + dx, city->columns),
		clamp(y - dy, city->rows), clamp(y + dy, city->rows)};
}

static void add_halo(struct tg_place *place, int32_t partition)
{
	if (partition == place->partition)
		return;
	for (int i = 0; i < place->halo_count; i++) {
		if (place->halo[i] == partition)
			return;
	}
	assert(place->halo_count < TG_HALO_MAX);
	place->halo[place->halo_count++] = partition;
}

/* An event without a type that is no report belongs to no cluster: its neighbours need no copy. */
static bool may_cluster(const tg_event_pb *ev)
{
	return ev->type_code || ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
}

static void assign_region(const struct tg_atlas *city, const tg_event_pb *ev, int32_t partitions,
	struct tg_place *place)
{
	struct tg_lonlat p = {place->lon, place->lat};
	struct reach own = region_reach(city, p, 0);
	struct reach near = region_reach(city, p, city->frame.halo_m * HALO_MARGIN);

	place->region = own.bottom * city->columns + own.left;
	if (place->by_source)
		return;
	place->partition = place->region % partitions;
	if (!may_cluster(ev))
		return;
	for (int32_t row = near.bottom; row <= near.top; row++) {
		for (int32_t column = near.left; column <= near.right; column++)
			add_halo(place, (row * city->columns + column) % partitions);
	}
}

int32_t tg_locate_by_source(const char *source_id, int32_t partitions)
{
	uint32_t h = 2166136261; /* FNV-1a, 32 bits */

	for (const unsigned char *p = (const unsigned char *)source_id; *p; p++)
		h = (h ^ *p) * 16777619;
	return (int32_t)(h % (uint32_t)partitions);
}

static struct tg_lonlat to_wgs84(const Tongguan__V1__Location *loc)
{
	struct tg_lonlat p = {loc->lon, loc->lat};

	if (!loc->has_datum)
		return p;
	if (loc->datum == TONGGUAN__V1__DATUM__GCJ02)
		return tg_geo_from_gcj02(p);
	if (loc->datum == TONGGUAN__V1__DATUM__BD09)
		return tg_geo_from_bd09(p);
	return p; /* CGCS2000 differs from WGS 84 by centimetres */
}

/* Sets the point, or leaves the place unknown. */
static enum tg_reject find_point(
	const struct tg_atlas *city, const tg_event_pb *ev, struct tg_place *place)
{
	bool report = ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
	const struct device *device = NULL;
	struct tg_lonlat p;

	if (!report || !ev->location)
		device = tg_map_get(city->devices, tg_slice_cstr(ev->source_id));
	if (!report && !device)
		place->flags |= TG_FLAG_UNREGISTERED;
	if (ev->location) {
		p = to_wgs84(ev->location);
	} else if (device && device->placed) {
		p = device->at;
		place->flags |= TG_FLAG_DEVICE_PLACE;
	} else {
		return report ? TG_ACCEPT : TG_REJECT_unknown_device;
	}
	place->known = true;
	place->lon = p.lon;
	place->lat = p.lat;
	return TG_ACCEPT;
}

enum tg_reject tg_locate(const struct tg_atlas *city, const tg_event_pb *ev, int32_t partitions,
	struct tg_place *ret)
{
	struct tg_place place = {0};
	enum tg_reject why = find_point(city, ev, &place);
	int32_t cell;

	if (why)
		return why;
	if (ev->type_code && !type_known(city, ev->type_code))
		place.flags |= TG_FLAG_UNKNOWN_TYPE;
	/* What moves stays with one partition: its geofences and its silence need its order. */
	place.by_source = !place.known || ev->source_kind == TONGGUAN__V1__SOURCE_KIND__VEHICLE ||
			  ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_POSITION;
	if (place.by_source)
		place.partition = tg_locate_by_source(ev->source_id, partitions);
	if (place.known) {
		cell = tg_polyindex_find(city->index, (struct tg_lonlat){place.lon, place.lat});
		if (cell >= 0) {
			place.grid_cell = city->cells[cell].id;
			place.street = city->cells[cell].street;
			place.district = city->cells[cell].district;
		} else {
			place.flags |= TG_FLAG_OUTSIDE;
		}
		assign_region(city, ev, partitions, &place);
	}
	*ret = place;
	return TG_ACCEPT;
}
