#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/geo.h"
#include "base/json.h"

static void distance_m__between_these_places(void **state)
{
	static const struct {
		struct tg_lonlat a, b;
		double want_m;
	} rows[] = {
		{{0, 0}, {0, 0}, 0},
		{{0, 0}, {1, 0}, 111195.08}, /* a degree of the equator: R·π/180 */
		{{0, 0}, {0, 1}, 111195.08},
		{{0, 0}, {180, 0}, 20015114.4}, /* half way round */
		{{0, 90}, {0, -90}, 20015114.4},
		{{0, 90}, {123, 90}, 0},                             /* one pole, two names */
		{{179.5, 0}, {-179.5, 0}, 111195.08},                /* across the date line */
		{{0, 60}, {180, 60}, 6671704.8},                     /* over the pole: 60 degrees */
		{{116.3975, 39.9087}, {121.4737, 31.2304}, 1067270}, /* Beijing – Shanghai */
		{{-71.0589, 42.3601}, {-71.0589, 42.3601 + 1e-5}, 1.11195},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double d = tg_geo_distance_m(rows[i].a, rows[i].b);

		assert_true(fabs(d - rows[i].want_m) <= 1e-5 * rows[i].want_m + 1e-6 ||
			    (i == 8 && fabs(d - rows[i].want_m) < 3000));
		assert_true(d == tg_geo_distance_m(rows[i].b, rows[i].a));
	}
	assert_true(isnan(tg_geo_distance_m((struct tg_lonlat){NAN, 0}, rows[0].b)));
	assert_true(isnan(tg_geo_distance_m(rows[0].a, (struct tg_lonlat){0, NAN})));
}

static double uniform(double low, double high)
{
	return low + (high - low) * (double)rand() / (double)RAND_MAX;
}

static void from_gcj02__undoes_to_gcj02_within_half_a_metre(void **state)
{
	double worst = 0;

	(void)state;
	srand(11);
	for (int i = 0; i < 200000; i++) {
		struct tg_lonlat p = {uniform(73, 137), uniform(2, 55)}, gcj, back;

		if (i % 100 == 0) /* the scheme has a cusp on this meridian */
			p.lon = 105 + uniform(-1e-3, 1e-3) * (i % 1000 == 0 ? 1e-6 : 1);
		gcj = tg_geo_to_gcj02(p);
		back = tg_geo_from_gcj02(gcj);
		worst = fmax(worst, tg_geo_distance_m(p, back));
		assert_in_range((long)tg_geo_distance_m(p, gcj), 0, 2000);
	}
	assert_true(worst < 0.01);
}

static void from_bd09__undoes_to_bd09_within_half_a_metre(void **state)
{
	double worst = 0;

	(void)state;
	srand(12);
	for (int i = 0; i < 200000; i++) {
		struct tg_lonlat p = {uniform(73, 137), uniform(2, 55)};

		worst = fmax(worst, tg_geo_distance_m(p, tg_geo_from_bd09(tg_geo_to_bd09(p))));
	}
	assert_true(worst < 0.01);
}

/* Shift of Tian'anmen as map services publish it: some 550 m to the east-north-east, 6 m tolerance.
 */
static void to_gcj02__moves_beijing_as_known(void **state)
{
	struct tg_lonlat wgs = {116.391282, 39.907375}, gcj = tg_geo_to_gcj02(wgs);

	(void)state;
	assert_true(tg_geo_distance_m(gcj, (struct tg_lonlat){116.397524, 39.908778}) < 6);
}

/* A pair of files of one outline in both datums, of which we made neither: looked for in
 * $TONGGUAN_DATA, else ../shared/data, and the test is skipped where they are absent. */
static json_t *districts(const char *datum)
{
	const char *data = getenv("TONGGUAN_DATA");
	struct tg_buf path = {0}, text = {.max = 16 << 20}, why = {0};
	json_t *doc = NULL;

	assert_int_equal(tg_buf_addf(&path, "%s/boundaries/shanghai_districts_%s.geojson",
				 data ? data : "../shared/data", datum),
		0);
	if (tg_buf_read_file(&text, tg_buf_cstr(&path)) == 0)
		assert_int_equal(
			tg_json_parse((struct tg_slice){text.data, text.len}, &doc, &why), 0);
	tg_buf_release(&path);
	tg_buf_release(&text);
	tg_buf_release(&why);
	return doc;
}

struct worst {
	double from_gcj_m, to_gcj_m, bd_m;
	int points;
};

static void compare(const json_t *gcj, const json_t *wgs, struct worst *worst)
{
	struct tg_lonlat g, w;
	size_t i;
	json_t *part;

	if (!json_is_number(json_array_get(gcj, 0))) {
		assert_int_equal(json_array_size(gcj), json_array_size(wgs));
		json_array_foreach (gcj, i, part)
			compare(part, json_array_get(wgs, i), worst);
		return;
	}
	g = (struct tg_lonlat){json_number_value(json_array_get(gcj, 0)),
		json_number_value(json_array_get(gcj, 1))};
	w = (struct tg_lonlat){json_number_value(json_array_get(wgs, 0)),
		json_number_value(json_array_get(wgs, 1))};
	worst->from_gcj_m = fmax(worst->from_gcj_m, tg_geo_distance_m(tg_geo_from_gcj02(g), w));
	worst->to_gcj_m = fmax(worst->to_gcj_m, tg_geo_distance_m(tg_geo_to_gcj02(w), g));
	worst->bd_m = fmax(worst->bd_m, tg_geo_distance_m(tg_geo_from_bd09(tg_geo_to_bd09(w)), w));
	worst->points++;
}

static void from_gcj02__agrees_with_the_boundary_pair_of_the_data(void **state)
{
	json_t *gcj = districts("gcj02"), *wgs = districts("wgs84"), *feature;
	struct worst worst = {0};
	size_t i;

	(void)state;
	if (!gcj || !wgs) {
		json_decref(gcj);
		json_decref(wgs);
		skip();
	}
	json_array_foreach (json_object_get(gcj, "features"), i, feature) {
		json_t *same = json_array_get(json_object_get(wgs, "features"), i);

		compare(json_object_get(json_object_get(feature, "geometry"), "coordinates"),
			json_object_get(json_object_get(same, "geometry"), "coordinates"), &worst);
	}
	print_message("%d corners: GCJ-02 to WGS 84 within %.3f m, back within %.3f m\n",
		worst.points, worst.from_gcj_m, worst.to_gcj_m);
	assert_true(worst.points > 1000);
	assert_true(worst.from_gcj_m <= 0.5);
	assert_true(worst.to_gcj_m <= 0.5);
	assert_true(worst.bd_m <= 0.5);
	json_decref(gcj);
	json_decref(wgs);
}

static void from_gcj02__is_the_identity_outside_the_mainland_box(void **state)
{
	static const struct tg_lonlat places[] = {
		{-71.06, 42.36}, {72.0, 40}, {137.9, 40}, {100, 0.5}, {100, 56}, {0, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct tg_lonlat p = tg_geo_from_gcj02(places[i]), q = tg_geo_from_bd09(places[i]);

		assert_true(p.lon == places[i].lon && p.lat == places[i].lat);
		assert_true(q.lon == places[i].lon && q.lat == places[i].lat);
	}
	assert_true(isnan(tg_geo_from_gcj02((struct tg_lonlat){NAN, 30}).lon));
}

static void geo_valid__wants_finite_places_on_the_globe(void **state)
{
	(void)state;
	assert_true(tg_geo_valid((struct tg_lonlat){180, -90}));
	assert_false(tg_geo_valid((struct tg_lonlat){180.0001, 0}));
	assert_false(tg_geo_valid((struct tg_lonlat){0, 90.0001}));
	assert_false(tg_geo_valid((struct tg_lonlat){NAN, 0}));
	assert_false(tg_geo_valid((struct tg_lonlat){0, -INFINITY}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distance_m__between_these_places),
		cmocka_unit_test(from_gcj02__undoes_to_gcj02_within_half_a_metre),
		cmocka_unit_test(from_bd09__undoes_to_bd09_within_half_a_metre),
		cmocka_unit_test(to_gcj02__moves_beijing_as_known),
		cmocka_unit_test(from_gcj02__agrees_with_the_boundary_pair_of_the_data),
		cmocka_unit_test(from_gcj02__is_the_identity_outside_the_mainland_box),
		cmocka_unit_test(geo_valid__wants_finite_places_on_the_globe),
	};

	return cmocka_run_group_tests_name("base_geo", tests, NULL, NULL);
}
