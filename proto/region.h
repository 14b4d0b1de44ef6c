/* Who owns a place: the city's regions, squares of some kilometres, and the partition of
 * events.located that a place or a source belongs to. Ingest writes by it; whoever waits for a
 * device's words knows by it where they will come. Pure, and stable for ever: windows live where it
 * points. */
#ifndef TG_PROTO_REGION_H
#define TG_PROTO_REGION_H

#include <stdint.h>

#include "base/geo.h"

#define TG_METRES_A_DEGREE (TG_EARTH_RADIUS_M * 3.14159265358979323846 / 180)

struct tg_regions {
	double min_lon, min_lat;
	double lon_deg, lat_deg; /* what a region spans */
	int32_t columns, rows;
};

/* The boundary's box and region_m of the city. region_m > 0. */
void tg_regions_init(
	struct tg_regions *r, struct tg_lonlat min, struct tg_lonlat max, double region_m);
/* Columns and rows within reach_m of the point. The outermost regions reach to infinity, so a place
 * outside the city has one too. */
struct tg_region_reach {
	int32_t left, right, bottom, top;
};
struct tg_region_reach tg_regions_reach(
	const struct tg_regions *r, struct tg_lonlat p, double reach_m);
int32_t tg_regions_of(const struct tg_regions *r, struct tg_lonlat p);
/* The partition of what moves or has no place. */
int32_t tg_partition_of_source(const char *source_id, int32_t partitions);

#endif
