#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/geo.h"
#include "base/orient.h"

#define SIDE_MIN         128
#define SIDE_MAX         1024
#define ENTRIES_PER_PART 16  /* buckets for each polygon on average */
#define PER_DEG_MAX      1e9 /* far from the spacing of doubles, so a bucket has a middle */
#define POINTS_MAX       ((size_t)64 << 20)

struct box {
	struct tg_lonlat min, max;
};

/* One shell with its holes. Its points are rings one after another, each closed. */
struct part {
	int32_t id;
	struct box box;
	size_t ring_first, ring_count;
};

struct ring {
	size_t first, count;
};

/* A polygon that a bucket must ask; whole: the bucket lies inside it and none of its edges comes
 * near. */
struct entry {
	uint32_t part;
	bool whole;
};

struct tg_polyindex {
	struct tg_lonlat *points;
	struct ring *rings;
	struct part *parts;
	size_t point_count, ring_count, part_count;
	size_t point_cap, ring_cap, part_cap;
	bool built;
	/* buckets: entries of bucket i are [start[i], start[i + 1]), by ascending id */
	struct box box;
	size_t side;
	double per_lon, per_lat; /* buckets a degree */
	size_t *start;
	struct entry *entries;
};

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
	free(ix->start);
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

static void box_add(struct box *box, struct tg_lonlat p)
{
	box->min.lon = fmin(box->min.lon, p.lon);
	box->min.lat = fmin(box->min.lat, p.lat);
	box->max.lon = fmax(box->max.lon, p.lon);
	box->max.lat = fmax(box->max.lat, p.lat);
}

static struct box box_of(const struct tg_lonlat *points, size_t n)
{
	struct box box = {points[0], points[0]};

	for (size_t i = 1; i < n; i++)
		box_add(&box, points[i]);
	return box;
}

static bool box_has(const struct box *box, struct tg_lonlat p)
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
	if (id < 0 || n_rings == 0)
		return -TG_EINVAL;
	for (size_t i = 0; i < n_rings; i++) {
		if (!ring_is_sound(rings[i], ring_lens[i]))
			return -TG_EINVAL;
		points += ring_lens[i];
	}
	if (points > POINTS_MAX - ix->point_count)
		return -TG_EFULL;
	rc = grow(&ix->points, &ix->point_cap, ix->point_count + points, sizeof(*ix->points));
	if (!rc)
		rc = grow(&ix->rings, &ix->ring_cap, ix->ring_count + n_rings, sizeof(*ix->rings));
	if (!rc)
		rc = grow(&ix->parts, &ix->part_cap, ix->part_count + 1, sizeof(*ix->parts));
	if (rc)
		return rc;
	ix->parts[ix->part_count++] =
		(struct part){id, box_of(rings[0], ring_lens[0]), ix->ring_count, n_rings};
	for (size_t i = 0; i < n_rings; i++) {
		memcpy(ix->points + ix->point_count, rings[i], ring_lens[i] * sizeof(**rings));
		ix->rings[ix->ring_count++] = (struct ring){ix->point_count, ring_lens[i]};
		ix->point_count += ring_lens[i];
	}
	return 0;
}

enum side { OUTSIDE, INSIDE, TOUCHES };

/* How the ray from p to the east meets the edge a – b: -1 p lies on the edge, 1 it crosses, 0 it
 * does not. */
static int edge_meets(struct tg_lonlat a, struct tg_lonlat b, struct tg_lonlat p)
{
	struct tg_lonlat low = a.lat <= b.lat ? a : b, high = a.lat <= b.lat ? b : a;
	int side;

	if (p.lat < low.lat || p.lat > high.lat || p.lon > fmax(a.lon, b.lon))
		return 0;
	if (p.lon < fmin(a.lon, b.lon))
		return p.lat < high.lat; /* the upper end belongs to the next edge */
	side = tg_orient(low, high, p);
	if (side == 0)
		return -1;
	return side > 0 && p.lat < high.lat;
}

static enum side part_side(
	const struct tg_polyindex *ix, const struct part *part, struct tg_lonlat p)
{
	bool inside = false;

	if (!box_has(&part->box, p))
		return OUTSIDE;
	for (size_t r = 0; r < part->ring_count; r++) {
		const struct ring *ring = &ix->rings[part->ring_first + r];
		const struct tg_lonlat *at = ix->points + ring->first;

		for (size_t i = 1; i < ring->count; i++) {
			int meets = edge_meets(at[i - 1], at[i], p);

			if (meets < 0)
				return TOUCHES;
			inside ^= meets > 0;
		}
	}
	return inside ? INSIDE : OUTSIDE;
}

/* Monotone in v, so a point of an edge never falls outside the buckets of the edge's ends. */
static size_t slot(const struct tg_polyindex *ix, double v, double min, double per_deg)
{
	double at = (v - min) * per_deg;

	if (!(at > 0))
		return 0;
	return at >= (double)ix->side ? ix->side - 1 : (size_t)at;
}

static size_t column(const struct tg_polyindex *ix, double lon)
{
	return slot(ix, lon, ix->box.min.lon, ix->per_lon);
}

static size_t row(const struct tg_polyindex *ix, double lat)
{
	return slot(ix, lat, ix->box.min.lat, ix->per_lat);
}

/* The buckets of one part: a window of the grid, each marked when an edge may pass through it. */
struct window {
	size_t x, y, width, height;
	uint8_t *marks;
};

enum mark { NO_EDGE, EDGE, WHOLE }; /* WHOLE: no edge, and inside */

static void window_mark_edges(
	const struct tg_polyindex *ix, const struct part *part, struct window *w)
{
	for (size_t r = 0; r < part->ring_count; r++) {
		const struct ring *ring = &ix->rings[part->ring_first + r];
		const struct tg_lonlat *at = ix->points + ring->first;

		for (size_t i = 1; i < ring->count; i++) {
			struct box edge = box_of(at + i - 1, 2);
			size_t x0 = column(ix, edge.min.lon), x1 = column(ix, edge.max.lon);
			size_t y0 = row(ix, edge.min.lat), y1 = row(ix, edge.max.lat);

			/* A hole may reach out of its shell in broken data. */
			for (size_t y = y0 < w->y ? w->y : y0; y <= y1 && y < w->y + w->height;
				y++) {
				for (size_t x = x0 < w->x ? w->x : x0;
					x <= x1 && x < w->x + w->width; x++)
					w->marks[(y - w->y) * w->width + (x - w->x)] = EDGE;
			}
		}
	}
}

static struct tg_lonlat bucket_centre(const struct tg_polyindex *ix, size_t x, size_t y)
{
	return (struct tg_lonlat){ix->box.min.lon + ((double)x + 0.5) / ix->per_lon,
		ix->box.min.lat + ((double)y + 0.5) / ix->per_lat};
}

/* Neighbouring buckets without an edge lie on the same side, so one test serves a whole run of
 * them. */
static void window_mark_whole(
	const struct tg_polyindex *ix, const struct part *part, struct window *w)
{
	for (size_t y = 0; y < w->height; y++) {
		uint8_t *line = w->marks + y * w->width, *above = line - w->width;

		for (size_t x = 0; x < w->width; x++) {
			if (line[x] == EDGE)
				continue;
			if (x && line[x - 1] != EDGE)
				line[x] = line[x - 1];
			else if (y && above[x] != EDGE)
				line[x] = above[x];
			else if (part_side(ix, part, bucket_centre(ix, w->x + x, w->y + y)) ==
				 INSIDE)
				line[x] = WHOLE;
		}
	}
}

static int window_open(const struct tg_polyindex *ix, const struct part *part, struct window *ret)
{
	struct window w = {.x = column(ix, part->box.min.lon), .y = row(ix, part->box.min.lat)};

	w.width = column(ix, part->box.max.lon) - w.x + 1;
	w.height = row(ix, part->box.max.lat) - w.y + 1;
	w.marks = calloc(w.width * w.height, 1);
	if (!w.marks)
		return -TG_ENOMEM;
	window_mark_edges(ix, part, &w);
	window_mark_whole(ix, part, &w);
	*ret = w;
	return 0;
}

/* Once a polygon covers a bucket whole, those with higher ids are never asked there: they get no
 * entry. */
struct filling {
	size_t *next;     /* NULL: only count, into ix->start[bucket + 1] */
	uint8_t *covered; /* by bucket */
};

static int put_part(struct tg_polyindex *ix, uint32_t index, struct filling *f)
{
	struct window w;
	int rc = window_open(ix, &ix->parts[index], &w);

	if (rc)
		return rc;
	for (size_t i = 0; i < w.width * w.height; i++) {
		size_t bucket = (w.y + i / w.width) * ix->side + w.x + i % w.width;
		bool whole = w.marks[i] == WHOLE;

		if (w.marks[i] == NO_EDGE || f->covered[bucket])
			continue;
		f->covered[bucket] = whole;
		if (f->next)
			ix->entries[f->next[bucket]++] = (struct entry){index, whole};
		else
			ix->start[bucket + 1]++;
	}
	free(w.marks);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct part *pa = a, *pb = b;

	return (pa->id > pb->id) - (pa->id < pb->id);
}

static void lay_grid(struct tg_polyindex *ix)
{
	size_t cells = ix->part_count * ENTRIES_PER_PART, want;
	double width, height;

	ix->box = ix->parts[0].box;
	for (size_t i = 1; i < ix->part_count; i++) {
		box_add(&ix->box, ix->parts[i].box.min);
		box_add(&ix->box, ix->parts[i].box.max);
	}
	/* Polygons of many edges gain from small buckets too: where no edge passes no test is
	 * needed. */
	want = (size_t)ceil(sqrt((double)(cells > ix->point_count ? cells : ix->point_count)));
	ix->side = want < SIDE_MIN ? SIDE_MIN : want > SIDE_MAX ? SIDE_MAX : want;
	width = ix->box.max.lon - ix->box.min.lon;
	height = ix->box.max.lat - ix->box.min.lat;
	ix->per_lon = fmin((double)ix->side / width, PER_DEG_MAX); /* width may be 0 */
	ix->per_lat = fmin((double)ix->side / height, PER_DEG_MAX);
}

static int put_parts(struct tg_polyindex *ix, size_t *next, size_t buckets)
{
	struct filling f = {next, calloc(buckets, 1)};
	int rc = f.covered ? 0 : -TG_ENOMEM;

	for (uint32_t i = 0; i < ix->part_count && !rc; i++)
		rc = put_part(ix, i, &f);
	free(f.covered);
	return rc;
}

/* Two rounds: count the entries of each bucket, then write them side by side. */
static int fill_grid(struct tg_polyindex *ix)
{
	size_t buckets = ix->side * ix->side, *next;
	int rc;

	ix->start = calloc(buckets + 1, sizeof(*ix->start));
	if (!ix->start)
		return -TG_ENOMEM;
	rc = put_parts(ix, NULL, buckets);
	if (rc)
		return rc;
	for (size_t i = 0; i < buckets; i++)
		ix->start[i + 1] += ix->start[i];
	ix->entries = calloc(ix->start[buckets] + 1, sizeof(*ix->entries));
	next = calloc(buckets, sizeof(*next));
	if (!ix->entries || !next) {
		free(next);
		return -TG_ENOMEM;
	}
	memcpy(next, ix->start, buckets * sizeof(*next));
	rc = put_parts(ix, next, buckets);
	free(next);
	return rc;
}

int tg_polyindex_build(struct tg_polyindex *ix)
{
	int rc = 0;

	assert(!ix->built);
	assert(ix->part_count < UINT32_MAX);
	if (ix->part_count > 0) {
		qsort(ix->parts, ix->part_count, sizeof(*ix->parts), by_id);
		lay_grid(ix);
		rc = fill_grid(ix);
	}
	ix->built = rc == 0;
	return rc;
}

int32_t tg_polyindex_find(const struct tg_polyindex *ix, struct tg_lonlat p)
{
	size_t bucket;

	assert(ix->built);
	if (ix->part_count == 0 || !box_has(&ix->box, p))
		return -1;
	bucket = row(ix, p.lat) * ix->side + column(ix, p.lon);
	for (size_t i = ix->start[bucket]; i < ix->start[bucket + 1]; i++) {
		const struct entry *e = &ix->entries[i];
		const struct part *part = &ix->parts[e->part];

		if (e->whole || part_side(ix, part, p) != OUTSIDE)
			return part->id;
	}
	return -1;
}
