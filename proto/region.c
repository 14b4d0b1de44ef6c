#include "proto/region.h"

#include <assert.h>
#include <math.h>

#define REGIONS_ACROSS_MAX 10000

static int32_t regions_across(double span_m, double region_m)
{
	double n = ceil(span_m / region_m);

	if (!(n >= 1))
		return 1;
	return n > REGIONS_ACROSS_MAX ? REGIONS_ACROSS_MAX : (int32_t)n;
}

void tg_regions_init(
	struct tg_regions *r, struct tg_lonlat min, struct tg_lonlat max, double region_m)
{
	double middle = (min.lat + max.lat) / 2,
	       metres_lon = TG_METRES_A_DEGREE * cos(middle * M_PI / 180);

	assert(region_m > 0);
	*r = (struct tg_regions){
		.min_lon = min.lon,
		.min_lat = min.lat,
		.lon_deg = region_m / metres_lon,
		.lat_deg = region_m / TG_METRES_A_DEGREE,
		.columns = regions_across((max.lon - min.lon) * metres_lon, region_m),
		.rows = regions_across((max.lat - min.lat) * TG_METRES_A_DEGREE, region_m),
	};
}

static int32_t clamp(double cell, int32_t count)
{
	if (!(cell > 0))
		return 0;
	return cell >= count ? count - 1 : (int32_t)cell;
}

struct tg_region_reach tg_regions_reach(
	const struct tg_regions *r, struct tg_lonlat p, double reach_m)
{
	double x = (p.lon - r->min_lon) / r->lon_deg, y = (p.lat - r->min_lat) / r->lat_deg;
	double dx = reach_m / (TG_METRES_A_DEGREE * cos(p.lat * M_PI / 180)) / r->lon_deg;
	double dy = reach_m / TG_METRES_A_DEGREE / r->lat_deg;

	return (struct tg_region_reach){clamp(x - dx, r->columns), clamp(x + dx, r->columns),
		clamp(y - dy, r->rows), clamp(y + dy, r->rows)};
}

int32_t tg_regions_of(const struct tg_regions *r, struct tg_lonlat p)
{
	struct tg_region_reach own = tg_regions_reach(r, p, 0);

	return own.bottom * r->columns + own.left;
}

int32_t tg_partition_of_source(const char *source_id, int32_t partitions)
{
	uint32_t h = 2166136261; /* FNV-1a, 32 bits */

	for (const unsigned char *p = (const unsigned char *)source_id; *p; p++)
		h = (h ^ *p) * 16777619;
	return (int32_t)(h % (uint32_t)partitions);
}
