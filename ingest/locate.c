#include "ingest/locate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "proto/region.h"

#define TYPE_CODES     100000 /* five digits */
#define CITY_BYTES_MAX ((size_t)256 << 20)
#define CITY_BLOCK     ((size_t)64 << 10)
/* A halo is measured flat here and on the sphere where it is judged: a little too wide loses
 * nothing. */
#define HALO_MARGIN      1.01
#define HALO_REGIONS_MAX 2 /* 6 × 6 regions at most, less the own one: 35 */

struct cell {
	const char *id, *street, *district;
};

struct device {
	bool placed, moves;
	struct tg_lonlat at;
};

struct tg_atlas {
	struct tg_atlas_frame frame;
	struct tg_regions regions;
	struct tg_polyindex *index;
	struct cell *cells;
	size_t cells_count, cells_cap;
	struct tg_map *devices;
	struct tg_arena memory; /* texts and devices: they go with the city */
	uint8_t types[TYPE_CODES / 8];
};

int tg_atlas_new(const struct tg_atlas_frame *frame, struct tg_atlas **ret)
{
	struct tg_atlas *city = calloc(1, sizeof(*city));
	int rc;

	if (!city)
		return -TG_ENOMEM;
	if (frame->halo_m > HALO_REGIONS_MAX * frame->region_m) {
		free(city);
		return -TG_ERANGE;
	}
	tg_arena_init(&city->memory, CITY_BLOCK, CITY_BYTES_MAX);
	city->frame = *frame;
	tg_regions_init(&city->regions, (struct tg_lonlat){frame->min_lon, frame->min_lat},
		(struct tg_lonlat){frame->max_lon, frame->max_lat}, frame->region_m);
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
	struct tg_atlas *city, struct tg_slice device_id, const struct tg_lonlat *at, bool vehicle)
{
	struct device *device = tg_arena_alloc(&city->memory, sizeof(*device));

	if (!device)
		return -TG_ENOMEM;
	*device = (struct device){.placed = at != NULL, .moves = vehicle || !at};
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

static bool is_report(const tg_event_pb *ev)
{
	return ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
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
	return ev->type_code || is_report(ev);
}

static void assign_region(const struct tg_atlas *city, const tg_event_pb *ev,
	const struct tg_lonlat *home, int32_t partitions, struct tg_place *place)
{
	struct tg_lonlat p = {place->lon, place->lat};
	struct tg_region_reach near =
		tg_regions_reach(&city->regions, p, city->frame.halo_m * HALO_MARGIN);

	place->region = tg_regions_of(&city->regions, p);
	if (place->by_source)
		return;
	/* A device that is fixed has one partition, however its fixes of itself wander. */
	place->partition =
		(home ? tg_regions_of(&city->regions, *home) : place->region) % partitions;
	if (!may_cluster(ev))
		return;
	for (int32_t row = near.bottom; row <= near.top; row++) {
		for (int32_t column = near.left; column <= near.right; column++)
			add_halo(place, (row * city->regions.columns + column) % partitions);
	}
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
static enum tg_reject find_point(const struct tg_atlas *city, const tg_event_pb *ev,
	const struct device **ret_device, struct tg_place *place)
{
	bool report = is_report(ev);
	const struct device *device = NULL;
	struct tg_lonlat p;

	if (!report || !ev->location)
		device = tg_map_get(city->devices, tg_slice_cstr(ev->source_id));
	*ret_device = report ? NULL : device;
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

/* What moves stays with one partition: its geofences and its silence need its order. What a
 * registered device is, the registry says: all its words come to one partition. */
static bool moves(const tg_event_pb *ev, const struct device *device)
{
	if (device)
		return device->moves;
	return ev->source_kind == TONGGUAN__V1__SOURCE_KIND__VEHICLE ||
	       ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_POSITION;
}

enum tg_reject tg_locate(const struct tg_atlas *city, const tg_event_pb *ev, int32_t partitions,
	struct tg_place *ret)
{
	struct tg_place place = {0};
	const struct device *device;
	enum tg_reject why = find_point(city, ev, &device, &place);
	int32_t cell;

	if (why)
		return why;
	if (ev->type_code && !type_known(city, ev->type_code))
		place.flags |= TG_FLAG_UNKNOWN_TYPE;
	place.by_source = !place.known || moves(ev, device);
	if (place.by_source)
		place.partition = tg_partition_of_source(ev->source_id, partitions);
	if (place.known) {
		cell = tg_polyindex_find(city->index, (struct tg_lonlat){place.lon, place.lat});
		if (cell >= 0) {
			place.grid_cell = city->cells[cell].id;
			place.street = city->cells[cell].street;
			place.district = city->cells[cell].district;
		} else {
			place.flags |= TG_FLAG_OUTSIDE;
		}
		assign_region(city, ev, device ? &device->at : NULL, partitions, &place);
	}
	*ret = place;
	return TG_ACCEPT;
}
