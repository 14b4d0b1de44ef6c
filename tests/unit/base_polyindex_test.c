#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/geo.h"
#include "base/orient.h"

#define SIDE  12
#define STEPS 5 /* points on each jagged edge */

static double uniform(double low, double high)
{
	return low + (high - low) * (double)rand() / (double)RAND_MAX;
}

/* A map of SIDE × SIDE cells whose neighbours share jagged edges, point for point; id = 10 + row ·
 * SIDE + column, given in falling order so that the index must sort. */
struct city {
	struct tg_lonlat corner[SIDE + 1][SIDE + 1];
	struct tg_lonlat across[SIDE + 1][SIDE][STEPS], up[SIDE][SIDE + 1][STEPS];
	struct tg_lonlat cell[SIDE][SIDE][4 * (STEPS + 1) + 1];
	size_t cell_len;
	struct tg_polyindex *ix;
};

static void jag(struct tg_lonlat a, struct tg_lonlat b, struct tg_lonlat out[STEPS])
{
	for (int i = 0; i < STEPS; i++) {
		double t = (i + 1.0) / (STEPS + 1);

		out[i].lon = a.lon + (b.lon - a.lon) * t + uniform(-0.0004, 0.0004);
		out[i].lat = a.lat + (b.lat - a.lat) * t + uniform(-0.0004, 0.0004);
	}
}

static void trace(struct city *c, int y, int x)
{
	struct tg_lonlat *to = c->cell[y][x];

	*to++ = c->corner[y][x];
	for (int i = 0; i < STEPS; i++)
		*to++ = c->across[y][x][i];
	*to++ = c->corner[y][x + 1];
	for (int i = 0; i < STEPS; i++)
		*to++ = c->up[y][x + 1][i];
	*to++ = c->corner[y + 1][x + 1];
	for (int i = STEPS - 1; i >= 0; i--)
		*to++ = c->across[y + 1][x][i];
	*to++ = c->corner[y + 1][x];
	for (int i = STEPS - 1; i >= 0; i--)
		*to++ = c->up[y][x][i];
	*to++ = c->corner[y][x];
	c->cell_len = (size_t)(to - c->cell[y][x]);
}

static int32_t id_of(int y, int x)
{
	return 10 + y * SIDE + x;
}

static void city_make(struct city *c)
{
	for (int y = 0; y <= SIDE; y++) {
		for (int x = 0; x <= SIDE; x++)
			c->corner[y][x] = (struct tg_lonlat){116 + 0.01 * x + uniform(0, 0.003),
				39 + 0.01 * y + uniform(0, 0.003)};
	}
	for (int i = 0; i <= SIDE; i++) {
		for (int k = 0; k < SIDE; k++) {
			jag(c->corner[i][k], c->corner[i][k + 1], c->across[i][k]);
			jag(c->corner[k][i], c->corner[k + 1][i], c->up[k][i]);
		}
	}
	assert_int_equal(tg_polyindex_new(&c->ix), 0);
	for (int y = SIDE - 1; y >= 0; y--) {
		for (int x = SIDE - 1; x >= 0; x--) {
			const struct tg_lonlat *ring = c->cell[y][x];

			trace(c, y, x);
			assert_int_equal(
				tg_polyindex_add(c->ix, id_of(y, x), &ring, &c->cell_len, 1), 0);
		}
	}
	assert_int_equal(tg_polyindex_build(c->ix), 0);
}

/* Exact by another way: every sum and product of these doubles fits the 113 bits of a quad when
 * they lie near one another, as they do here. */
static int side_of(struct tg_lonlat a, struct tg_lonlat b, struct tg_lonlat p)
{
	__float128 det = ((__float128)a.lon - p.lon) * ((__float128)b.lat - p.lat) -
			 ((__float128)a.lat - p.lat) * ((__float128)b.lon - p.lon);

	return (det > 0) - (det < 0);
}

static bool between(double v, double a, double b)
{
	return v >= fmin(a, b) && v <= fmax(a, b);
}

/* The textbook winding number over every edge; it equals the crossing count as no cell crosses
 * itself. */
static bool has(const struct tg_lonlat *ring, size_t len, struct tg_lonlat p)
{
	int winding = 0;

	for (size_t i = 1; i < len; i++) {
		struct tg_lonlat a = ring[i - 1], b = ring[i];
		int side;

		if ((a.lat < p.lat && b.lat < p.lat) || (a.lat > p.lat && b.lat > p.lat))
			continue;
		side = side_of(a, b, p);
		if (side == 0 && between(p.lon, a.lon, b.lon) && between(p.lat, a.lat, b.lat))
			return true;
		if (a.lat <= p.lat && b.lat > p.lat && side > 0)
			winding++;
		else if (a.lat > p.lat && b.lat <= p.lat && side < 0)
			winding--;
	}
	return winding != 0;
}

static int32_t brute_find(const struct city *c, struct tg_lonlat p)
{
	for (int y = 0; y < SIDE; y++) {
		for (int x = 0; x < SIDE; x++) {
			if (has(c->cell[y][x], c->cell_len, p))
				return id_of(y, x);
		}
	}
	return -1;
}

static void polyindex_find__agrees_with_brute_force(void **state)
{
	static struct city c;
	int inside = 0;

	(void)state;
	srand(3);
	city_make(&c);
	for (int i = 0; i < 40000; i++) {
		struct tg_lonlat p = {uniform(115.99, 116.14), uniform(38.99, 39.14)};
		const struct tg_lonlat *ring = c.cell[rand() % SIDE][rand() % SIDE];
		size_t k = (size_t)rand() % (c.cell_len - 1);
		int32_t want;

		if (i % 4 == 1) { /* a vertex */
			p = ring[k];
		} else if (i % 4 == 2) { /* the middle of an edge, as near as doubles come */
			p.lon = (ring[k].lon + ring[k + 1].lon) / 2;
			p.lat = (ring[k].lat + ring[k + 1].lat) / 2;
		} else if (i % 4 == 3) { /* a hair beside a vertex */
			p.lon = nextafter(ring[k].lon, rand() % 2 ? 200 : -200);
			p.lat = ring[k].lat;
		}
		want = brute_find(&c, p);
		assert_int_equal(tg_polyindex_find(c.ix, p), want);
		inside += want >= 0;
		assert_true(i % 4 == 0 || i % 4 == 3 || want >= 0 || i % 4 == 2);
	}
	assert_true(inside > 20000);
	tg_polyindex_free(c.ix);
}

static void square(struct tg_lonlat out[5], double x, double y, double size)
{
	const struct tg_lonlat ring[5] = {
		{x, y}, {x + size, y}, {x + size, y + size}, {x, y + size}, {x, y}};

	memcpy(out, ring, sizeof(ring));
}

static void polyindex_find__gives_a_shared_border_to_the_lowest_id(void **state)
{
	static const struct {
		struct tg_lonlat p;
		int32_t want;
	} rows[] = {{{0.5, 0.5}, 9}, {{1.5, 0.5}, 4}, {{0.5, 1.5}, 7}, {{1.5, 1.5}, 5},
		{{1, 0.5}, 4}, {{1, 1.5}, 5}, {{0.5, 1}, 7}, {{1.5, 1}, 4}, /* edges */
		{{1, 1}, 4}, {{0, 0}, 9}, {{2, 2}, 5}, {{0, 1}, 7},         /* vertices */
		{{-1e-12, 0.5}, -1}, {{2.0000001, 1}, -1}, {{1, -0.1}, -1}, {{NAN, 1}, -1}};
	static const int32_t ids[2][2] = {{9, 4}, {7, 5}};
	struct tg_polyindex *ix;

	(void)state;
	assert_int_equal(tg_polyindex_new(&ix), 0);
	for (int y = 0; y < 2; y++) {
		for (int x = 0; x < 2; x++) {
			struct tg_lonlat ring[5];
			const struct tg_lonlat *rings[] = {ring};

			square(ring, x, y, 1);
			assert_int_equal(
				tg_polyindex_add(ix, ids[y][x], rings, &(size_t){5}, 1), 0);
		}
	}
	assert_int_equal(tg_polyindex_build(ix), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(tg_polyindex_find(ix, rows[i].p), rows[i].want);
	tg_polyindex_free(ix);
}

static void polyindex_find__leaves_holes_out_but_not_their_rims(void **state)
{
	struct tg_lonlat shell[5], hole[5], far_part[5];
	const struct tg_lonlat *rings[] = {shell, hole}, *other[] = {far_part};
	struct tg_polyindex *ix;

	(void)state;
	square(shell, 0, 0, 4);
	square(hole, 1, 1, 2);
	square(far_part, 10, 10, 1);
	assert_int_equal(tg_polyindex_new(&ix), 0);
	assert_int_equal(tg_polyindex_add(ix, 3, rings, (size_t[]){5, 5}, 2), 0);
	assert_int_equal(tg_polyindex_add(ix, 3, other, (size_t[]){5}, 1), 0);
	assert_int_equal(tg_polyindex_build(ix), 0);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){0.5, 0.5}), 3);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){2, 2}), -1);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){1, 2}), 3);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){10.5, 10.5}), 3);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){7, 7}), -1);
	tg_polyindex_free(ix);
}

static void polyindex_add__refuses_broken_rings(void **state)
{
	struct tg_lonlat ring[5];
	const struct tg_lonlat *rings[] = {ring};
	struct tg_polyindex *ix;

	(void)state;
	assert_int_equal(tg_polyindex_new(&ix), 0);
	square(ring, 0, 0, 1);
	assert_int_equal(tg_polyindex_add(ix, -1, rings, &(size_t){5}, 1), -TG_EINVAL);
	assert_int_equal(tg_polyindex_add(ix, 1, rings, &(size_t){4}, 1), -TG_EINVAL);
	assert_int_equal(tg_polyindex_add(ix, 1, rings, &(size_t){5}, 0), -TG_EINVAL);
	assert_int_equal(tg_polyindex_add(ix, INT32_MAX, rings, &(size_t){5}, 1), -TG_EINVAL);
	ring[2].lat = NAN;
	assert_int_equal(tg_polyindex_add(ix, 1, rings, &(size_t){5}, 1), -TG_EINVAL);
	ring[2].lat = 91;
	assert_int_equal(tg_polyindex_add(ix, 1, rings, &(size_t){5}, 1), -TG_EINVAL);
	assert_int_equal(tg_polyindex_build(ix), 0);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){0, 0}), -1);
	tg_polyindex_free(ix);
	tg_polyindex_free(NULL);
}

static void polyindex_add_geojson__reads_polygons_and_says_why_not(void **state)
{
	static const struct {
		const char *text;
		int rc;
		const char *why;
	} rows[] = {
		{"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,0],[4,4],[0,4],[0,0]],"
		 "[[1,1],[3,1],[3,3],[1,3],[1,1]]]}",
			0, NULL},
		{"{\"type\":\"MultiPolygon\",\"coordinates\":[[[[9,9,5],[10,9,5],[10,10,5],[9,9,5]]"
		 "],"
		 "[[[20,20],[21,20],[21,21],[20,20]]]]}",
			0, NULL},
		{"{\"type\":\"Point\",\"coordinates\":[1,2]}", -TG_EPARSE, "Polygon"},
		{"{\"type\":\"Polygon\"", -TG_EPARSE, "JSON"},
		{"{\"type\":\"Polygon\"}", -TG_EPARSE, "rings"},
		{"{\"coordinates\":[]}", -TG_EPARSE, "Polygon"},
		{"{\"type\":\"MultiPolygon\",\"coordinates\":[]}", -TG_EPARSE, "MultiPolygon"},
		{"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,0],[4,4],[0,4]]]}", -TG_EPARSE,
			"end where it begins"},
		{"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,0],[0,0]]]}", -TG_EPARSE, "4"},
		{"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,\"0\"],[4,4],[0,0]]]}",
			-TG_EPARSE, "numbers"},
		{"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,100],[4,4],[0,0]]]}", -TG_EPARSE,
			"globe"},
		{"{\"type\":\"MultiPolygon\",\"coordinates\":[[[[50,50],[51,50],[51,51],[50,50]]],"
		 "[[[1,1]]]]}",
			-TG_EPARSE, "4"},
	};
	struct tg_polyindex *ix;

	(void)state;
	assert_int_equal(tg_polyindex_new(&ix), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = NULL;

		assert_int_equal(
			tg_polyindex_add_geojson(ix, (int32_t)i, tg_slice_cstr(rows[i].text), &why),
			rows[i].rc);
		assert_true(rows[i].why ? why && strstr(why, rows[i].why) : why == NULL);
	}
	assert_int_equal(tg_polyindex_build(ix), 0);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){0.5, 0.5}), 0);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){2, 2}), -1);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){20.9, 20.5}), 1);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){9.9, 9.5}), 1);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){50.9, 50.5}), -1);
	tg_polyindex_free(ix);
}

static void polyindex_add_wkb__reads_what_the_database_gives_and_says_why_not(void **state)
{
#define SQUARE    "0000000000000000" /* 0.0 */
#define FOUR_L    "0000000000001040" /* 4.0, little-endian */
#define FOUR_B    "4010000000000000" /* 4.0, big-endian */
#define RING_L    SQUARE SQUARE FOUR_L SQUARE FOUR_L FOUR_L SQUARE SQUARE
#define RING_B    SQUARE SQUARE FOUR_B SQUARE FOUR_B FOUR_B SQUARE SQUARE
#define POLYGON_L "01030000000100000004000000" RING_L
	static const struct {
		const char *hex;
		int rc;
	} rows[] = {
		{POLYGON_L, 0},
		{"00000000030000000100000004" RING_B, 0},
		{"010600000001000000" POLYGON_L, 0},
		{"0106000020e610000001000000" POLYGON_L, 0}, /* with PostGIS's number */
		{"0106000020E610000001000000" POLYGON_L, 0}, /* capitals */
		{"01060000000200000"
		 "0" POLYGON_L,
			-TG_EPARSE},                               /* a part is missing */
		{"0101000000" SQUARE SQUARE, -TG_EPARSE},          /* a point */
		{"01030000800100000004000000" RING_L, -TG_EPARSE}, /* another dimension */
		{"01030000000100000003000000" SQUARE SQUARE FOUR_L SQUARE SQUARE SQUARE,
			-TG_EPARSE},                               /* three corners */
		{"010300000001000000ffffff7f" RING_L, -TG_EPARSE}, /* more than there is */
		{"01030000000000000", -TG_EPARSE},
		{POLYGON_L "00", -TG_EPARSE}, /* and more */
		{"02030000000100000004000000" RING_L, -TG_EPARSE},
		{"0103000000010000000400000x" RING_L, -TG_EPARSE},
		{"", -TG_EPARSE},
	};
	struct tg_polyindex *ix;

	(void)state;
	assert_int_equal(tg_polyindex_new(&ix), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = NULL;

		assert_int_equal(
			tg_polyindex_add_wkb(ix, (int32_t)i, tg_slice_cstr(rows[i].hex), &why),
			rows[i].rc);
		assert_true((why != NULL) == (rows[i].rc != 0));
	}
	assert_int_equal(tg_polyindex_build(ix), 0);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){3, 1}), 0);
	assert_int_equal(tg_polyindex_find(ix, (struct tg_lonlat){1, 3}), -1);
	tg_polyindex_free(ix);
}

static void orient__is_exact_where_plain_arithmetic_is_not(void **state)
{
	/* Kettner's picture: near this line plain doubles give all three answers, in patches. */
	struct tg_lonlat a = {12, 12}, b = {24, 24};
	int differs = 0;

	(void)state;
	for (int y = 0; y < 64; y++) {
		for (int x = 0; x < 64; x++) {
			struct tg_lonlat p = {0.5 + x * 0x1p-53, 0.5 + y * 0x1p-53};
			double plain = (a.lon - p.lon) * (b.lat - p.lat) -
				       (a.lat - p.lat) * (b.lon - p.lon);
			int want = (p.lat > p.lon) - (p.lat < p.lon);

			assert_int_equal(tg_orient(a, b, p), want);
			assert_int_equal(tg_orient(b, a, p), -want);
			differs += ((plain > 0) - (plain < 0)) != want;
		}
	}
	assert_true(differs > 0); /* else this test shows nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(polyindex_find__agrees_with_brute_force),
		cmocka_unit_test(polyindex_find__gives_a_shared_border_to_the_lowest_id),
		cmocka_unit_test(polyindex_find__leaves_holes_out_but_not_their_rims),
		cmocka_unit_test(polyindex_add__refuses_broken_rings),
		cmocka_unit_test(polyindex_add_geojson__reads_polygons_and_says_why_not),
		cmocka_unit_test(polyindex_add_wkb__reads_what_the_database_gives_and_says_why_not),
		cmocka_unit_test(orient__is_exact_where_plain_arithmetic_is_not),
	};

	return cmocka_run_group_tests_name("base_polyindex", tests, NULL, NULL);
}
