/* Inside of the index of polygons: how shapes and buckets lie in memory. */
#ifndef TG_BASE_POLYINDEX_IMPL_H
#define TG_BASE_POLYINDEX_IMPL_H

#include "base/geo.h"

struct tg_polybox {
	struct tg_lonlat min, max;
};

/* One shell with its holes. Its points are rings one after another, each closed; most have one ring
 * only, which is found without asking `rings`. */
struct tg_polypart {
	struct tg_polybox box;
	int32_t id;
	uint32_t ring_count;
	size_t ring_first;
	size_t shell_first, shell_len;
};

struct tg_polyring {
	size_t first, count;
};

/* A bucket is one word. INLINE set: the id that covers it whole, or NOTHING; else where its entries
 * begin, by ascending id. An entry is the part that must be asked; WHOLE: the bucket lies inside it
 * and none of its edges comes near. LAST: no further one. */
#define TG_POLY_INLINE  0x80000000u
#define TG_POLY_NOTHING 0xffffffffu
#define TG_POLY_WHOLE   0x80000000u
#define TG_POLY_LAST    0x40000000u
#define TG_POLY_PART    0x3fffffffu

struct tg_polyindex {
	struct tg_lonlat *points;
	struct tg_polyring *rings;
	struct tg_polypart *parts;
	size_t point_count, ring_count, part_count;
	size_t point_cap, ring_cap, part_cap;
	bool built;
	struct tg_polybox box;
	size_t side;
	double per_lon, per_lat; /* buckets a degree */
	uint32_t *buckets, *entries;
	size_t entry_count;
};

enum tg_polyside { TG_POLY_OUTSIDE, TG_POLY_INSIDE, TG_POLY_TOUCHES };

enum tg_polyside tg_polypart_side(
	const struct tg_polyindex *ix, const struct tg_polypart *part, struct tg_lonlat p);
struct tg_polybox tg_polybox_of(const struct tg_lonlat *points, size_t n);
void tg_polybox_add(struct tg_polybox *box, struct tg_lonlat p);

/* Monotone in the coordinate, so a point of an edge never falls outside the buckets of the edge's
 * ends. */
static inline size_t tg_poly_slot(double v, double min, double per_deg, size_t side)
{
	double at = (v - min) * per_deg;

	if (!(at > 0))
		return 0;
	return at >= (double)side ? side - 1 : (size_t)at;
}

static inline size_t tg_poly_column(const struct tg_polyindex *ix, double lon)
{
	return tg_poly_slot(lon, ix->box.min.lon, ix->per_lon, ix->side);
}

static inline size_t tg_poly_row(const struct tg_polyindex *ix, double lat)
{
	return tg_poly_slot(lat, ix->box.min.lat, ix->per_lat, ix->side);
}

#endif
