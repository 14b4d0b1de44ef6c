/* Event → place: WGS 84, unit grid cell, street, district, region, and the partitions of
 * events.located that must see it. Pure, over one snapshot of the city's reference data. */
#ifndef TG_INGEST_LOCATE_H
#define TG_INGEST_LOCATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/geo.h"
#include "proto/codec.h"

enum tg_place_flag {
	TG_FLAG_UNKNOWN_TYPE = 1,
	TG_FLAG_UNREGISTERED = 2,
	TG_FLAG_OUTSIDE = 4,
	TG_FLAG_DEVICE_PLACE =
		8, /* the event had no location: the place is its registered device's */
};

#define TG_HALO_MAX 48 /* enough for the widest halo a city may have */

struct tg_place {
	bool known; /* lon, lat, region are set; else a report without a place */
	double lon, lat;
	int32_t region;
	const char *grid_cell, *street,
		*district;         /* NULL: outside the city; live as long as the city */
	unsigned flags;            /* enum tg_place_flag */
	int32_t partition;         /* the one that judges it */
	bool by_source;            /* partition comes from source_id, not from the region */
	int32_t halo[TG_HALO_MAX]; /* others, each once, never `partition` */
	int halo_count;
};

struct tg_atlas_frame {
	double min_lon, min_lat, max_lon, max_lat; /* of the boundary */
	double region_m, halo_m;
};

struct tg_atlas;

/* -TG_ERANGE: a halo wider than two regions would reach nearly everybody. */
TG_MUST int tg_atlas_new(const struct tg_atlas_frame *frame, struct tg_atlas **ret);
void tg_atlas_free(struct tg_atlas *city); /* NULL is fine */
/* In the order of the cells' ids: of cells that share an edge the first added owns it. street,
 * district may be "". shape: GeoJSON text, or well-known binary in hexadecimal digits. */
TG_MUST int tg_atlas_add_cell(struct tg_atlas *city, struct tg_slice cell_id,
	struct tg_slice street, struct tg_slice district, struct tg_slice shape,
	const char **ret_why);
/* at NULL: registered without a place. */
TG_MUST int tg_atlas_add_device(
	struct tg_atlas *city, struct tg_slice device_id, const struct tg_lonlat *at, bool vehicle);
void tg_atlas_add_type(struct tg_atlas *city, struct tg_slice code);
/* After the last add, before the first tg_locate(). */
TG_MUST int tg_atlas_finish(struct tg_atlas *city);
size_t tg_atlas_cells(const struct tg_atlas *city);

/* ev has passed tg_event_check(). partitions: how many events.located has. TG_REJECT_unknown_device
 * when no place can be had and it is no report. */
enum tg_reject tg_locate(const struct tg_atlas *city, const tg_event_pb *ev, int32_t partitions,
	struct tg_place *ret);

#endif
