/* Places on the earth: WGS 84 degrees, lon before lat. Pure functions plus one index of polygons.
 */
#ifndef TG_BASE_GEO_H
#define TG_BASE_GEO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TG_EARTH_RADIUS_M 6371008.8

struct tg_lonlat {
	double lon, lat;
};

/* Distance in metres between a and b over a sphere of radius TG_EARTH_RADIUS_M.
 * Against the true geodesic it is off by at most about 0.6 %: fine for rules, not for survey.
 * Pure. A NaN in gives a NaN out. Source: haversine formula, Sinnott (1984). */
double tg_geo_distance_m(struct tg_lonlat a, struct tg_lonlat b);

/* GCJ-02 and BD-09 → WGS 84; identity outside the mainland's bounding box. Inverse by iteration to
 * 0.5 m. */
struct tg_lonlat tg_geo_from_gcj02(struct tg_lonlat p);
struct tg_lonlat tg_geo_from_bd09(struct tg_lonlat p);
/* WGS 84 → GCJ-02 and BD-09, by the published forward formulas; same identity. */
struct tg_lonlat tg_geo_to_gcj02(struct tg_lonlat p);
struct tg_lonlat tg_geo_to_bd09(struct tg_lonlat p);
/* Finite and on the globe: |lon| ≤ 180, |lat| ≤ 90. */
bool tg_geo_valid(struct tg_lonlat p);

/* An index of polygons with integer ids: bucket grid, bounding box, exact crossing test.
 * A point on a shared edge or vertex belongs to the lowest id that touches it. */
struct tg_polyindex;
TG_MUST int tg_polyindex_new(struct tg_polyindex **ret);
void tg_polyindex_free(struct tg_polyindex *ix);
/* Add one ring set of polygon `id` (several calls with one id make a multipolygon): rings[0] is the
 * shell, the others holes; each ring closed (first point = last). Copies. -TG_EINVAL: open ring,
 * fewer than 4 points, a point off the globe, or an id below 0 or of INT32_MAX. On failure the
 * index is unchanged.
 */
TG_MUST int tg_polyindex_add(struct tg_polyindex *ix, int32_t id,
	const struct tg_lonlat *const *rings, const size_t *ring_lens, size_t n_rings);
/* Builds the buckets; call once after the last add. A box that contains no edge is answered without
 * a test. */
TG_MUST int tg_polyindex_build(struct tg_polyindex *ix);
/* The lowest id that contains or touches p, or -1. */
int32_t tg_polyindex_find(const struct tg_polyindex *ix, struct tg_lonlat p);

/* GeoJSON geometry text (Polygon or MultiPolygon) → the index. -TG_EPARSE with a reason in *ret_why
 * (static). On failure the index is unchanged. tg_polyindex_add_json takes a geometry that is
 * parsed already (see base/json). */
struct json_t;
TG_MUST int tg_polyindex_add_json(
	struct tg_polyindex *ix, int32_t id, const struct json_t *geometry, const char **ret_why);
TG_MUST int tg_polyindex_add_geojson(
	struct tg_polyindex *ix, int32_t id, struct tg_slice geometry, const char **ret_why);
/* The same from well-known binary in hexadecimal digits (WKB, or PostGIS's EWKB): no coordinate is
 * rounded. */
TG_MUST int tg_polyindex_add_wkb(
	struct tg_polyindex *ix, int32_t id, struct tg_slice hex, const char **ret_why);
/* Bytes that the index holds. */
size_t tg_polyindex_bytes(const struct tg_polyindex *ix);

#endif
