/* The grid of buckets over the polygons: which part must be asked where. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/polyindex_impl.h"

#define SIDE_MIN       128
#define SIDE_MAX       2048
#define BUCKETS_A_PART 64  /* on average: most of them lie inside one cell */
#define PER_DEG_MAX    1e9 /* far from the spacing of doubles, so a bucket has a middle */

/* The buckets of one part: a window of the grid, each marked when an edge may pass through it. */
struct window {
	size_t x, y, width, height;
	uint8_t *marks;
};

enum mark { NO_EDGE, EDGE, WHOLE }; /* WHOLE: no edge, and inside */

static void window_mark_edges(
	const struct tg_polyindex *ix, const struct tg_polypart *part, struct window *w)
{
	for (size_t r = 0; r < part->ring_count; r++) {
		const struct tg_polyring *ring = &ix->rings[part->ring_first + r];
		const struct tg_lonlat *at = ix->points + ring->first;

		for (size_t i = 1; i < ring->count; i++) {
			struct tg_polybox edge = tg_polybox_of(at + i - 1, 2);
			size_t x0 = tg_poly_column(ix, edge.min.lon),
			       x1 = tg_poly_column(ix, edge.max.lon);
			size_t y0 = tg_poly_row(ix, edge.min.lat),
			       y1 = tg_poly_row(ix, edge.max.lat);

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
	const struct tg_polyindex *ix, const struct tg_polypart *part, struct window *w)
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
			else if (tg_polypart_side(ix, part,
					 bucket_centre(ix, w->x + x, w->y + y)) == TG_POLY_INSIDE)
				line[x] = WHOLE;
		}
	}
}

static int window_open(
	const struct tg_polyindex *ix, const struct tg_polypart *part, struct window *ret)
{
	struct window w = {.x = tg_poly_column(ix, part->box.min.lon),
		.y = tg_poly_row(ix, part->box.min.lat)};

	w.width = tg_poly_column(ix, part->box.max.lon) - w.x + 1;
	w.height = tg_poly_row(ix, part->box.max.lat) - w.y + 1;
	w.marks = calloc(w.width * w.height, 1);
	if (!w.marks)
		return -TG_ENOMEM;
	window_mark_edges(ix, part, &w);
	window_mark_whole(ix, part, &w);
	*ret = w;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct tg_polypart *pa = a, *pb = b;

	return (pa->id > pb->id) - (pa->id < pb->id);
}

static void lay_grid(struct tg_polyindex *ix)
{
	size_t cells = ix->part_count * BUCKETS_A_PART, want;
	double width, height;

	ix->box = ix->parts[0].box;
	for (size_t i = 1; i < ix->part_count; i++) {
		tg_polybox_add(&ix->box, ix->parts[i].box.min);
		tg_polybox_add(&ix->box, ix->parts[i].box.max);
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

/* Once a polygon covers a bucket whole, those with higher ids are never asked there: they get no
 * entry. */
struct filling {
	bool writing;     /* else counting, in ix->buckets */
	uint8_t *covered; /* by bucket */
};

static void put_bucket(
	struct tg_polyindex *ix, uint32_t index, size_t bucket, bool whole, const struct filling *f)
{
	uint32_t *word = &ix->buckets[bucket];

	f->covered[bucket] = whole;
	if (!f->writing)
		++*word;
	else if (*word & TG_POLY_INLINE)
		*word = TG_POLY_INLINE | (uint32_t)ix->parts[index].id;
	else
		ix->entries[(*word)++] = index | (whole ? TG_POLY_WHOLE : 0);
}

static int put_part(struct tg_polyindex *ix, uint32_t index, const struct filling *f)
{
	struct window w;
	int rc = window_open(ix, &ix->parts[index], &w);

	if (rc)
		return rc;
	for (size_t i = 0; i < w.width * w.height; i++) {
		size_t bucket = (w.y + i / w.width) * ix->side + w.x + i % w.width;

		if (w.marks[i] != NO_EDGE && !f->covered[bucket])
			put_bucket(ix, index, bucket, w.marks[i] == WHOLE, f);
	}
	free(w.marks);
	return 0;
}

static int put_parts(struct tg_polyindex *ix, const struct filling *f)
{
	int rc = 0;

	memset(f->covered, 0, ix->side * ix->side);
	for (uint32_t i = 0; i < ix->part_count && !rc; i++)
		rc = put_part(ix, i, f);
	return rc;
}

/* Counts → where the entries begin. What one polygon covers alone needs no entry. */
static int lay_entries(struct tg_polyindex *ix, const struct filling *f)
{
	size_t total = 0;

	for (size_t i = 0; i < ix->side * ix->side; i++) {
		uint32_t count = ix->buckets[i];

		if (count == 0 || (count == 1 && f->covered[i])) {
			ix->buckets[i] = TG_POLY_NOTHING;
			continue;
		}
		ix->buckets[i] = (uint32_t)total;
		total += count;
		if (total > TG_POLY_PART)
			return -TG_EFULL;
	}
	ix->entry_count = total;
	ix->entries = malloc((total + 1) * sizeof(*ix->entries));
	return ix->entries ? 0 : -TG_ENOMEM;
}

/* Writing has moved each bucket's word from its first entry to behind its last. */
static void close_entries(struct tg_polyindex *ix)
{
	uint32_t first = 0;

	for (size_t i = 0; i < ix->side * ix->side; i++) {
		uint32_t end = ix->buckets[i];

		if (end & TG_POLY_INLINE)
			continue;
		ix->entries[end - 1] |= TG_POLY_LAST;
		ix->buckets[i] = first;
		first = end;
	}
}

/* Two rounds: count the entries of each bucket, then write them side by side. */
static int fill_grid(struct tg_polyindex *ix)
{
	struct filling f = {.covered = malloc(ix->side * ix->side)};
	int rc;

	ix->buckets = calloc(ix->side * ix->side, sizeof(*ix->buckets));
	rc = f.covered && ix->buckets ? put_parts(ix, &f) : -TG_ENOMEM;
	if (!rc)
		rc = lay_entries(ix, &f);
	f.writing = true;
	if (!rc)
		rc = put_parts(ix, &f);
	if (!rc)
		close_entries(ix);
	free(f.covered);
	return rc;
}

/* Gives back what growing by doubling took too much. A failure to shrink is none. */
static void *shrink(void *array, size_t count, size_t item_bytes, size_t *cap)
{
	void *smaller = reallocarray(array, count, item_bytes);

	if (!smaller)
		return array;
	*cap = count;
	return smaller;
}

int tg_polyindex_build(struct tg_polyindex *ix)
{
	int rc = 0;

	assert(!ix->built);
	if (ix->part_count > TG_POLY_PART)
		return -TG_EFULL;
	if (ix->part_count > 0) {
		ix->points =
			shrink(ix->points, ix->point_count, sizeof(*ix->points), &ix->point_cap);
		ix->rings = shrink(ix->rings, ix->ring_count, sizeof(*ix->rings), &ix->ring_cap);
		ix->parts = shrink(ix->parts, ix->part_count, sizeof(*ix->parts), &ix->part_cap);
		qsort(ix->parts, ix->part_count, sizeof(*ix->parts), by_id);
		lay_grid(ix);
		rc = fill_grid(ix);
	}
	ix->built = rc == 0;
	return rc;
}
