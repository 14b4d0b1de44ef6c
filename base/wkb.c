/* Well-known binary (OGC 06-103r4) → polyindex: what the database gives for a shape, bit for bit.
 * Read twice: checked whole, then added, so a bad one adds nothing. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/geo.h"

#define WKB_POLYGON      3
#define WKB_MULTIPOLYGON 6
#define EWKB_SRID        0x20000000u /* PostGIS: a coordinate system's number follows the type */
#define EWKB_MORE        0xc0000000u /* Z or M: another dimension */

struct reader {
	const char *at, *end; /* hexadecimal digits */
	bool big;             /* this geometry's byte order */
	bool broken;          /* ended too early, or no digit: everything after reads as 0 */
};

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void take(struct reader *r, void *out, size_t bytes)
{
	uint8_t *to = out;

	memset(out, 0, bytes);
	if ((size_t)(r->end - r->at) < bytes * 2) {
		r->broken = true;
		r->at = r->end;
		return;
	}
	for (size_t i = 0; i < bytes; i++, r->at += 2) {
		int high = digit(r->at[0]), low = digit(r->at[1]);

		r->broken |= high < 0 || low < 0;
		to[i] = (uint8_t)(high << 4 | low);
	}
}

static uint32_t take_u32(struct reader *r)
{
	uint32_t v;

	take(r, &v, sizeof(v));
	return r->big ? be32toh(v) : le32toh(v);
}

static double take_double(struct reader *r)
{
	uint64_t bits;
	double v;

	take(r, &bits, sizeof(bits));
	bits = r->big ? be64toh(bits) : le64toh(bits);
	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* The type without its flags; 0 for what this cannot be. */
static uint32_t take_head(struct reader *r)
{
	uint8_t order;
	uint32_t type;

	take(r, &order, 1);
	r->big = order == 0;
	type = take_u32(r);
	if (order > 1 || type & EWKB_MORE)
		return 0;
	if (type & EWKB_SRID)
		take_u32(r);
	return type & ~EWKB_SRID;
}

/* A count of things of at least that many bytes each: more than there is room for is broken. */
static size_t take_count(struct reader *r, size_t bytes_each)
{
	size_t n = take_u32(r);

	if (n > (size_t)(r->end - r->at) / 2 / bytes_each) {
		r->broken = true;
		return 0;
	}
	return n;
}

/* All points of one polygon in a row, and how many each ring has. */
struct rings {
	struct tg_lonlat *points;
	const struct tg_lonlat **at;
	size_t *lens;
	size_t count;
};

static void rings_release(struct rings *rings)
{
	free(rings->points);
	free(rings->at);
	free(rings->lens);
}

static int read_rings(struct reader *r, struct rings *ret)
{
	size_t n = take_count(r, 4), used = 0;
	size_t room = (size_t)(r->end - r->at) / 2 / sizeof(struct tg_lonlat);

	*ret = (struct rings){calloc(room + 1, sizeof(struct tg_lonlat)),
		calloc(n + 1, sizeof(struct tg_lonlat *)), calloc(n + 1, sizeof(size_t)), n};
	if (!ret->points || !ret->at || !ret->lens)
		return -TG_ENOMEM;
	for (size_t i = 0; i < n && !r->broken; i++) {
		ret->lens[i] = take_count(r, sizeof(struct tg_lonlat));
		ret->at[i] = ret->points + used;
		for (size_t k = 0; k < ret->lens[i]; k++) {
			struct tg_lonlat *p = &ret->points[used++];

			p->lon = take_double(r);
			p->lat = take_double(r);
		}
	}
	return r->broken || n == 0 ? -TG_EPARSE : 0;
}

static int read_polygon(struct reader *r, struct tg_polyindex *ix, int32_t id)
{
	struct rings rings;
	int rc = read_rings(r, &rings);

	if (!rc)
		rc = tg_polyindex_add(ix, id, rings.at, rings.lens, rings.count);
	rings_release(&rings);
	return rc;
}

static int read_shape(struct tg_slice hex, struct tg_polyindex *ix, int32_t id)
{
	struct reader r = {hex.data, hex.data + hex.len, false, false};
	uint32_t type = take_head(&r);
	size_t parts = type == WKB_MULTIPOLYGON ? take_count(&r, 9) : 1;
	int rc = type == WKB_MULTIPOLYGON || type == WKB_POLYGON ? 0 : -TG_EPARSE;

	if (parts == 0)
		rc = -TG_EPARSE;
	for (size_t i = 0; i < parts && !rc; i++) {
		if (type == WKB_MULTIPOLYGON && take_head(&r) != WKB_POLYGON)
			rc = -TG_EPARSE;
		if (!rc)
			rc = read_polygon(&r, ix, id);
	}
	return rc || r.broken || r.at != r.end ? (rc ? rc : -TG_EPARSE) : 0;
}

int tg_polyindex_add_wkb(
	struct tg_polyindex *ix, int32_t id, struct tg_slice hex, const char **ret_why)
{
	struct tg_polyindex *trial = NULL;
	int rc = tg_polyindex_new(&trial);

	if (!rc)
		rc = read_shape(hex, trial, 0);
	tg_polyindex_free(trial);
	if (!rc)
		rc = read_shape(hex, ix, id);
	if (rc == -TG_EINVAL || rc == -TG_EPARSE) {
		*ret_why = rc == -TG_EINVAL ? "a ring is open, too short or off the globe"
					    : "no polygon in well-known binary";
		return -TG_EPARSE;
	}
	if (rc)
		*ret_why = tg_err_text(rc);
	return rc;
}
