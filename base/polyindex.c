#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/orient.h"
#include "base/polyindex_impl.h"

#define POINTS_MAX ((size_t)64 << 20)

int tg_polyindex_new(struct tg_polyindex **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -TG_ENOMEM;
}

void tg_polyindex_free(struct tg_polyindex *ix)
{
	if (!ix)
		return;
	free(ix->points);
	free(ix->rings);
	free(ix->parts);
	free(ix->buckets);
	free(ix->entries);
	free(ix);
}

static int grow(void *array, size_t *cap, size_t need, size_t item_bytes)
{
	size_t n = *cap ? *cap : 64;
	void *old, *grown;

	if (need <= *cap)
		return 0;
	while (n < need)
		n *= 2;
	memcpy(&old, array, sizeof(old)); /* array is the address of any kind of pointer */
	grown = realloc(old, n * item_bytes);
	if (!grown)
		return -TG_ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*cap = n;
	return 0;
}

static bool ring_is_sound(const struct tg_lonlat *ring, size_t len)
{
	if (len < 4 || ring[0].lon != ring[len - 1].lon || ring[0].lat != ring[len - 1].lat)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!tg_geo_valid(ring[i]))
			return false;
	}
	return true;
}

void tg_polybox_add(struct tg_polybox *box, struct tg_lonlat p)
{
	box->min.lon = p.lon < box->min.lon ? p.lon : box->min.lon;
	box->min.lat = p.lat < box->min.lat ? p.lat : box->min.lat;
	box->max.lon = p.lon > box->max.lon ? p.lon : box->max.lon;
	box->max.lat = p.lat > box->max.lat ? p.lat : box->max.lat;
}

struct tg_polybox tg_polybox_of(const struct tg_lonlat *points, size_t n)
{
	struct tg_polybox box = {points[0], points[0]};

	for (size_t i = 1; i < n; i++)
		tg_polybox_add(&box, points[i]);
	return box;
}

static bool box_has(const struct tg_polybox *box, struct tg_lonlat p)
{
	return p.lon >= box->min.lon && p.lon <= box->max.lon && p.lat >= box->min.lat &&
	       p.lat <= box->max.lat;
}

int tg_polyindex_add(struct tg_polyindex *ix, int32_t id, const struct tg_lonlat *const *rings,
	const size_t *ring_lens, size_t n_rings)
{
	size_t points = 0;
	int rc;

	assert(!ix->built);
	if (id < 0 || id == INT32_MAX || n_rings == 0) /* the last id would read as NOTHING */
		return -TG_EINVAL;
	for (size_t i = 0; i < n_rings; i++) {
		if (!ring_is_sound(rings[i], ring_lens[i]))
			return -TG_EINVAL;
		points += ring_lens[i];
	}
	if (points > POINTS_MAX - ix->point_count) /* so the rings fit 32 bits too */
		return -TG_EFULL;
	rc = grow(&ix->points, &ix->point_cap, ix->point_count + points, sizeof(*ix->points));
	if (!rc)
		rc = grow(&ix->rings, &ix->ring_cap, ix->ring_count + n_rings, sizeof(*ix->rings));
	if (!rc)
		rc = grow(&ix->parts, &ix->part_cap, ix->part_count + 1, sizeof(*ix->parts));
	if (rc)
		return rc;
	ix->parts[ix->part_count++] = (struct tg_polypart){tg_polybox_of(rings[0], ring_lens[0]),
		id, (uint32_t)n_rings, ix->ring_count, ix->point_count, ring_lens[0]};
	for (size_t i = 0; i < n_rings; i++) {
		memcpy(ix->points + ix->point_count, rings[i], ring_lens[i] * sizeof(**rings));
		ix->rings[ix->ring_count++] = (struct tg_polyring){ix->point_count, ring_lens[i]};
		ix->point_count += ring_lens[i];
	}
	return 0;
}

/* How the ray from p to the east meets the edge a – b: -1 p lies on the edge, 1 it crosses, 0 it
 * does not. */
static int edge_meets(struct tg_lonlat a, struct tg_lonlat b, struct tg_lonlat p)
{
	struct tg_lonlat low = a.lat <= b.lat ? a : b, high = a.lat <= b.lat ? b : a;
	int side;

	if (p.lat < low.lat || p.lat > high.lat || (p.lon > a.lon && p.lon > b.lon))
		return 0;
	if (p.lon < a.lon && p.lon < b.lon)
		return p.lat < high.lat; /* the upper end belongs to the next edge */
	side = tg_orient(low, high, p);
	if (side == 0)
		return -1;
	return side > 0 && p.lat < high.lat;
}

#define EDGES_AT_ONCE 63

/* Bit i: the edge from at[i] to at[i + 1] reaches the parallel of p. Without a branch an edge: most
 * do not, and which ones do nobody can guess. */
static uint64_t edges_near(const struct tg_lonlat *at, size_t edges, double lat)
{
	uint64_t below = 0, above = 0;

	for (size_t i = 0; i <= edges; i++) {
		below |= (uint64_t)(at[i].lat < lat) << i;
		above |= (uint64_t)(at[i].lat > lat) << i;
	}
	return ~((below & below >> 1) | (above & above >> 1)) & (((uint64_t)1 << edges) - 1);
}

/* One ring: whether p lies on it, else whether the ray crosses it an odd number of times. */
static enum tg_polyside ring_side(const struct tg_lonlat *at, size_t count, struct tg_lonlat p)
{
	int crossings = 0;

	for (size_t first = 0; first + 1 < count; first += EDGES_AT_ONCE) {
		size_t left = count - 1 - first;
		uint64_t near =
			edges_near(at + first, left < EDGES_AT_ONCE ? left : EDGES_AT_ONCE, p.lat);

		for (; near; near &= near - 1) {
			size_t i = first + (size_t)__builtin_ctzll(near);
			int meets = edge_meets(at[i], at[i + 1], p);

			if (meets < 0)
				return TG_POLY_TOUCHES;
			crossings ^= meets;
		}
	}
	return crossings ? TG_POLY_INSIDE : TG_POLY_OUTSIDE;
}

enum tg_polyside tg_polypart_side(
	const struct tg_polyindex *ix, const struct tg_polypart *part, struct tg_lonlat p)
{
	enum tg_polyside side;

	if (!box_has(&part->box, p))
		return TG_POLY_OUTSIDE;
	side = ring_side(ix->points + part->shell_first, part->shell_len, p);
	for (uint32_t r = 1; r < part->ring_count && side != TG_POLY_TOUCHES; r++) {
		const struct tg_polyring *ring = &ix->rings[part->ring_first + r];
		enum tg_polyside hole = ring_side(ix->points + ring->first, ring->count, p);

		if (hole == TG_POLY_TOUCHES)
			side = hole;
		else if (hole == TG_POLY_INSIDE)
			side = side == TG_POLY_INSIDE ? TG_POLY_OUTSIDE : TG_POLY_INSIDE;
	}
	return side;
}

size_t tg_polyindex_bytes(const struct tg_polyindex *ix)
{
	return sizeof(*ix) + ix->point_cap * sizeof(*ix->points) +
	       ix->ring_cap * sizeof(*ix->rings) + ix->part_cap * sizeof(*ix->parts) +
	       ix->side * ix->side * sizeof(*ix->buckets) + ix->entry_count * sizeof(*ix->entries);
}

int32_t tg_polyindex_find(const struct tg_polyindex *ix, struct tg_lonlat p)
{
	uint32_t word;

	assert(ix->built);
	if (ix->part_count == 0 || !box_has(&ix->box, p))
		return -1;
	word = ix->buckets[tg_poly_row(ix, p.lat) * ix->side + tg_poly_column(ix, p.lon)];
	if (word & TG_POLY_INLINE)
		return word == TG_POLY_NOTHING ? -1 : (int32_t)(word & ~TG_POLY_INLINE);
	for (const uint32_t *entry = ix->entries + word;; entry++) {
		const struct tg_polypart *part = &ix->parts[*entry & TG_POLY_PART];

		if (*entry & TG_POLY_WHOLE || tg_polypart_side(ix, part, p) != TG_POLY_OUTSIDE)
			return part->id;
		if (*entry & TG_POLY_LAST)
			return -1;
	}
}
