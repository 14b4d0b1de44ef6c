#include "base/geo.h"

#include <math.h>

#define RAD (M_PI / 180)

/* Krasovsky 1940, on which GCJ-02 is defined. */
#define GCJ_AXIS_M 6378245.0
#define GCJ_E2     0.00669342162296594323

/* BD-09 lies on top of GCJ-02: a shift and a small wave. */
#define BD_SHIFT_LON 0.0065
#define BD_SHIFT_LAT 0.006
#define BD_WAVE      (M_PI * 3000 / 180)

/* A quarter of a millimetre; three or four rounds get there. */
#define INVERSE_EPS_DEG    2e-9
#define INVERSE_ROUNDS_MAX 12

double tg_geo_distance_m(struct tg_lonlat a, struct tg_lonlat b)
{
	double lat = sin((b.lat - a.lat) * RAD / 2), lon = sin((b.lon - a.lon) * RAD / 2);
	double h = lat * lat + cos(a.lat * RAD) * cos(b.lat * RAD) * lon * lon;

	return 2 * TG_EARTH_RADIUS_M * asin(sqrt(h > 1 ? 1 : h)); /* h may round past 1 */
}

bool tg_geo_valid(struct tg_lonlat p)
{
	return fabs(p.lon) <= 180 && fabs(p.lat) <= 90; /* false for NaN */
}

static bool in_mainland_box(struct tg_lonlat p)
{
	return p.lon >= 72.004 && p.lon <= 137.8347 && p.lat >= 0.8293 && p.lat <= 55.8271;
}

struct wave {
	double amplitude, width;
};

static double waves(double t, const struct wave *w, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += w[i].amplitude * sin(M_PI * t / w[i].width);
	return sum * 2 / 3;
}

/* The distortion in metres eastward and northward, from the offset to 105° E, 35° N. */
static struct tg_lonlat gcj_shift_m(struct tg_lonlat p)
{
	static const struct wave ripple[] = {{20, 1.0 / 6}, {20, 1.0 / 2}};
	static const struct wave east[] = {{20, 1}, {40, 3}, {150, 12}, {300, 30}};
	static const struct wave north[] = {{20, 1}, {40, 3}, {160, 12}, {320, 30}};
	double x = p.lon - 105, y = p.lat - 35, root = sqrt(fabs(x));
	double common = 0.1 * x * y + waves(x, ripple, 2);

	return (struct tg_lonlat){
		.lon = 300 + x + 2 * y + 0.1 * x * x + 0.1 * root + common + waves(x, east, 4),
		.lat = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.2 * root + common +
		       waves(y, north, 4),
	};
}

/* Without the box, so that the inverse sees no step at its border. */
static struct tg_lonlat gcj_forward(struct tg_lonlat p)
{
	struct tg_lonlat m = gcj_shift_m(p);
	double s = sin(p.lat * RAD), w2 = 1 - GCJ_E2 * s * s;
	double meridian_m = GCJ_AXIS_M * (1 - GCJ_E2) / (w2 * sqrt(w2));
	double parallel_m = GCJ_AXIS_M / sqrt(w2) * cos(p.lat * RAD);

	return (struct tg_lonlat){
		p.lon + m.lon / (parallel_m * RAD), p.lat + m.lat / (meridian_m * RAD)};
}

static struct tg_lonlat bd_forward(struct tg_lonlat gcj)
{
	double r = hypot(gcj.lon, gcj.lat) + 0.00002 * sin(gcj.lat * BD_WAVE);
	double angle = atan2(gcj.lat, gcj.lon) + 0.000003 * cos(gcj.lon * BD_WAVE);

	return (struct tg_lonlat){r * cos(angle) + BD_SHIFT_LON, r * sin(angle) + BD_SHIFT_LAT};
}

/* The forward maps differ from the identity by a slowly changing shift, so taking the error off
 * converges. */
static struct tg_lonlat invert(struct tg_lonlat (*forward)(struct tg_lonlat), struct tg_lonlat want)
{
	struct tg_lonlat p = want;

	for (int i = 0; i < INVERSE_ROUNDS_MAX; i++) {
		struct tg_lonlat got = forward(p);
		double lon = got.lon - want.lon, lat = got.lat - want.lat;

		p.lon -= lon;
		p.lat -= lat;
		if (fabs(lon) < INVERSE_EPS_DEG && fabs(lat) < INVERSE_EPS_DEG)
			break;
	}
	return p;
}

struct tg_lonlat tg_geo_to_gcj02(struct tg_lonlat p)
{
	return in_mainland_box(p) ? gcj_forward(p) : p;
}

struct tg_lonlat tg_geo_to_bd09(struct tg_lonlat p)
{
	return in_mainland_box(p) ? bd_forward(gcj_forward(p)) : p;
}

struct tg_lonlat tg_geo_from_gcj02(struct tg_lonlat p)
{
	return in_mainland_box(p) ? invert(gcj_forward, p) : p;
}

struct tg_lonlat tg_geo_from_bd09(struct tg_lonlat p)
{
	return in_mainland_box(p) ? invert(gcj_forward, invert(bd_forward, p)) : p;
}
