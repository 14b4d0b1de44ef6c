#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/locate.h"
#include "proto/region.h"
#include "tests/unit/proto_event.h"

#define PARTITIONS 64 /* more than regions: a partition is a region */

/* Two cells side by side, regions of 1000 m on about 2 × 1 degrees' hundredth at the equator. */
static struct tg_atlas *city_new(double halo_m)
{
	const struct tg_atlas_frame frame = {0, 0, 0.04, 0.02, 1000, halo_m};
	const struct tg_lonlat device_at = {0.005, 0.005};
	const char *why = NULL;
	struct tg_atlas *city;

	assert_int_equal(tg_atlas_new(&frame, &city), 0);
	assert_int_equal(tg_atlas_add_cell(city, TG_SLICE("west"), TG_SLICE("s1"), TG_SLICE("d1"),
				 TG_SLICE("{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[0.02,0],"
					  "[0.02,0.02],[0,0.02],[0,0]]]}"),
				 &why),
		0);
	assert_int_equal(
		tg_atlas_add_cell(city, TG_SLICE("east"), TG_SLICE(""), TG_SLICE(""),
			TG_SLICE("{\"type\":\"Polygon\",\"coordinates\":[[[0.02,0],[0.04,0],"
				 "[0.04,0.02],[0.02,0.02],[0.02,0]]]}"),
			&why),
		0);
	assert_int_equal(tg_atlas_add_device(city, TG_SLICE("d-1"), &device_at, false), 0);
	assert_int_equal(tg_atlas_add_device(city, TG_SLICE("d-nowhere"), NULL, false), 0);
	tg_atlas_add_type(city, TG_SLICE("01003"));
	assert_int_equal(tg_atlas_finish(city), 0);
	return city;
}

static struct tg_place locate(const struct tg_atlas *city, const tg_event_pb *ev)
{
	struct tg_place place;

	assert_int_equal(tg_locate(city, ev, PARTITIONS, &place), TG_ACCEPT);
	return place;
}

static tg_event_pb *at(struct proto_event *e, double lon, double lat)
{
	proto_event_reading(e);
	e->location.lon = lon;
	e->location.lat = lat;
	return &e->ev;
}

static tg_event_pb *typed_at(struct proto_event *e, double lon, double lat)
{
	static char type[] = "01003";

	at(e, lon, lat)->type_code = type;
	e->ev.source_id = "stranger"; /* where it stands decides, not a registry */
	return &e->ev;
}

static void locate__gives_cell_street_and_flags(void **state)
{
	struct tg_atlas *city = city_new(0);
	struct proto_event e;
	struct tg_place p;

	(void)state;
	p = locate(city, at(&e, 0.01, 0.01));
	assert_string_equal(p.grid_cell, "west");
	assert_string_equal(p.street, "s1");
	assert_string_equal(p.district, "d1");
	assert_int_equal(p.flags, 0);
	p = locate(city, at(&e, 0.02, 0.01)); /* the common edge is the first cell's */
	assert_string_equal(p.grid_cell, "west");
	p = locate(city, at(&e, 0.03, 0.01));
	assert_string_equal(p.grid_cell, "east");
	assert_null(p.street);
	at(&e, 0.05, 0.01)->type_code = "01004";
	e.ev.source_id = "stranger";
	p = locate(city, &e.ev);
	assert_null(p.grid_cell);
	assert_int_equal(p.flags, TG_FLAG_OUTSIDE | TG_FLAG_UNREGISTERED | TG_FLAG_UNKNOWN_TYPE);
	at(&e, 0.01, 0.01)->type_code = "01003";
	assert_int_equal(locate(city, &e.ev).flags, 0);
	tg_atlas_free(city);
}

static void locate__without_a_location_takes_the_devices_or_refuses(void **state)
{
	struct tg_atlas *city = city_new(0);
	struct proto_event e;
	struct tg_place p;

	(void)state;
	proto_event_reading(&e)->location = NULL;
	p = locate(city, &e.ev);
	assert_true(p.lon == 0.005);
	assert_int_equal(p.flags, TG_FLAG_DEVICE_PLACE);
	assert_false(p.by_source);
	e.ev.source_id = "stranger";
	assert_int_equal(tg_locate(city, &e.ev, PARTITIONS, &p), TG_REJECT_unknown_device);
	e.ev.source_id = "d-nowhere";
	assert_int_equal(tg_locate(city, &e.ev, PARTITIONS, &p), TG_REJECT_unknown_device);
	proto_event_report(&e)->location = NULL;
	e.ev.source_id = "citizen";
	p = locate(city, &e.ev);
	assert_false(p.known);
	assert_true(p.by_source);
	assert_int_equal(p.partition, tg_partition_of_source("citizen", PARTITIONS));
	assert_int_equal(p.flags, 0);
	tg_atlas_free(city);
}

static void locate__what_moves_stays_with_its_source(void **state)
{
	struct tg_atlas *city = city_new(500);
	struct proto_event e;
	struct tg_place a, b;

	(void)state;
	at(&e, 0.001, 0.001)->source_kind = TONGGUAN__V1__SOURCE_KIND__VEHICLE;
	e.ev.source_id = "car-1";
	a = locate(city, &e.ev);
	at(&e, 0.039, 0.019)->source_kind = TONGGUAN__V1__SOURCE_KIND__VEHICLE;
	e.ev.source_id = "car-1";
	b = locate(city, &e.ev);
	assert_int_equal(a.partition, b.partition);
	assert_int_not_equal(a.region, b.region);
	assert_int_equal(a.halo_count + b.halo_count, 0);
	tg_atlas_free(city);
}

/* Its fixes of itself wander over a border of regions; the registry says where it stands. */
static void locate__a_registered_device_has_one_partition(void **state)
{
	struct tg_atlas *city = city_new(0);
	struct proto_event e;
	struct tg_place a, b;

	(void)state;
	a = locate(city, at(&e, 0.001, 0.001));
	b = locate(city, at(&e, 0.039, 0.019));
	assert_false(a.by_source);
	assert_int_equal(a.partition, b.partition);
	assert_int_not_equal(a.region, b.region);
	assert_true(b.lon == 0.039); /* it lies where it says */
	e.ev.source_id = "stranger";
	assert_int_not_equal(locate(city, &e.ev).partition, b.partition);
	e.ev.source_id = "d-nowhere"; /* registered without a place: it may be anywhere */
	b = locate(city, &e.ev);
	assert_true(b.by_source);
	assert_int_equal(b.partition, tg_partition_of_source("d-nowhere", PARTITIONS));
	tg_atlas_free(city);
}

static void locate__turns_chinese_datums_into_wgs84(void **state)
{
	struct tg_atlas *city = city_new(0);
	struct proto_event e;
	struct tg_place p;

	(void)state;
	at(&e, 121.5, 31.25);
	e.location.has_datum = true;
	e.location.datum = TONGGUAN__V1__DATUM__GCJ02;
	p = locate(city, &e.ev);
	assert_true(p.lon != 121.5);
	assert_true(tg_geo_distance_m((struct tg_lonlat){p.lon, p.lat},
			    (struct tg_lonlat){121.5, 31.25}) < 1000);
	e.location.datum = TONGGUAN__V1__DATUM__CGCS2000;
	assert_true(locate(city, &e.ev).lon == 121.5);
	tg_atlas_free(city);
}

static bool sees(const struct tg_place *p, int32_t partition)
{
	for (int i = 0; i < p->halo_count; i++) {
		if (p->halo[i] == partition)
			return true;
	}
	return p->partition == partition;
}

/* What the halo is for: whatever lies within halo_m of an event is judged by a partition that sees
 * the event. */
static void locate__every_neighbour_within_the_halo_sees_the_event(void **state)
{
	struct tg_atlas *city = city_new(400);
	struct proto_event e;
	int near = 0, copies = 0;

	(void)state;
	srand(3);
	for (int i = 0; i < 100000; i++) {
		struct tg_lonlat a = {rand() % 50000 / 1e6 - 0.005, rand() % 30000 / 1e6 - 0.005},
				 b;
		struct tg_place pa, pb;

		b.lon = a.lon + (rand() % 8000 - 4000) / 1e6;
		b.lat = a.lat + (rand() % 8000 - 4000) / 1e6;
		pa = locate(city, typed_at(&e, a.lon, a.lat));
		copies += pa.halo_count;
		for (int h = 0; h < pa.halo_count; h++)
			assert_int_not_equal(pa.halo[h], pa.partition);
		if (tg_geo_distance_m(a, b) > 400)
			continue;
		near++;
		pb = locate(city, typed_at(&e, b.lon, b.lat));
		assert_true(sees(&pa, pb.partition));
	}
	assert_true(near > 10000);
	assert_true(copies < 250000); /* and not everybody sees everything */
	tg_atlas_free(city);
}

/* A cluster counts types and reports: of a bare reading nobody else needs a copy. */
static void locate__a_reading_without_a_type_is_copied_to_no_neighbour(void **state)
{
	struct tg_atlas *city = city_new(400);
	struct proto_event e;

	(void)state;
	assert_true(locate(city, typed_at(&e, 0.0091, 0.0091)).halo_count > 0);
	at(&e, 0.0091, 0.0091)->type_code = NULL;
	assert_int_equal(locate(city, &e.ev).halo_count, 0);
	proto_event_report(&e);
	e.location.lon = e.location.lat = 0.0091;
	e.ev.type_code = NULL;
	assert_true(locate(city, &e.ev).halo_count > 0);
	tg_atlas_free(city);
}

static void atlas_new__refuses_a_halo_wider_than_two_regions(void **state)
{
	const struct tg_atlas_frame frame = {0, 0, 1, 1, 1000, 2001};
	struct tg_atlas *city = NULL;

	(void)state;
	assert_int_equal(tg_atlas_new(&frame, &city), -TG_ERANGE);
}

/* Windows live where these point: a change would move every vehicle to another partition. */
static void locate_by_source__never_changes(void **state)
{
	(void)state;
	assert_int_equal(tg_partition_of_source("", 1 << 30), 2166136261u % (1u << 30));
	assert_int_equal(tg_partition_of_source("car-1", 1000), 519);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locate__gives_cell_street_and_flags),
		cmocka_unit_test(locate__without_a_location_takes_the_devices_or_refuses),
		cmocka_unit_test(locate__what_moves_stays_with_its_source),
		cmocka_unit_test(locate__a_registered_device_has_one_partition),
		cmocka_unit_test(locate__turns_chinese_datums_into_wgs84),
		cmocka_unit_test(locate__every_neighbour_within_the_halo_sees_the_event),
		cmocka_unit_test(locate__a_reading_without_a_type_is_copied_to_no_neighbour),
		cmocka_unit_test(atlas_new__refuses_a_halo_wider_than_two_regions),
		cmocka_unit_test(locate_by_source__never_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
