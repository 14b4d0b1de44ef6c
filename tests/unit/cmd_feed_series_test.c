#include "cmd_feed.h"

static void event__every_field_of_a_report(void **state)
{
	struct feed_all all;
	const tg_event_pb *ev;

	(void)state;
	feed_all_make(&all,
		FEED_HEAD
		"topic: \"t.{kind}\"\ntime: {value: \"{t}\", format: epoch_s}\n"
		"event_id: \"{id}\"\nsource_id: s-{id}\nsource_kind: \"{kind}\"\n"
		"location: {lon: \"{lon}\", lat: \"{lat}\", datum: gcj02}\n"
		"type_code: \"{code}\"\nreport: {title: a, text: \"{id} b\", contact: c}\n"
		"attributes: {first: \"{id}\", none: \"{nothing}\", last: z}\n",
		"id,t,kind,lon,lat,code,nothing\n5,9,citizen,121.5,31.2,10101,\n", NULL);
	assert_int_equal(all.count, 1);
	ev = all.events[0];
	assert_string_equal(all.topics[0], "t.citizen");
	assert_string_equal(ev->event_id, "5");
	assert_string_equal(ev->source_id, "s-5");
	assert_int_equal(ev->source_kind, TONGGUAN__V1__SOURCE_KIND__CITIZEN);
	assert_int_equal(ev->occurred_at_us, 9 * TG_US_PER_S);
	assert_true(ev->location->lon == 121.5 && ev->location->lat == 31.2);
	assert_int_equal(ev->location->datum, TONGGUAN__V1__DATUM__GCJ02);
	assert_string_equal(ev->type_code, "10101");
	assert_string_equal(ev->report->text, "5 b");
	assert_string_equal(ev->report->contact, "c");
	assert_int_equal(ev->n_attributes, 2);
	assert_string_equal(ev->attributes[1]->key, "last");
	feed_all_release(&all);
}

static void location__ignored_points_missing_numbers_and_ranges(void **state)
{
	struct feed_all all;

	(void)state;
	feed_all_make(&all,
		FEED_BASE
		"report: {title: x}\n"
		"location: {lon: \"{lon}\", lat: \"{lat}\", ignore: [[-71.0587, 42.3594], "
		"[0, 0]]}\n",
		"id,t,lon,lat\n1,1,-71.0587,42.3594\n2,2,-71.058701,42.359399\n"
		"3,3,-71.058702,42.3594\n4,4,0,0\n5,5,,42\n6,6,181,42\n7,7,x,42\n",
		NULL);
	assert_int_equal(all.count, 5);
	assert_null(all.events[0]->location);
	assert_null(all.events[1]->location); /* 0.000001° away */
	assert_non_null(all.events[2]->location);
	assert_null(all.events[3]->location);
	assert_null(all.events[4]->location);
	assert_int_equal(all.tally.left_out, 2); /* out of range, no number */
	feed_all_release(&all);
}

static void location__accuracy_goes_with_every_place(void **state)
{
	struct feed_profile *profile = NULL;
	struct tg_buf why = {0};
	struct feed_all all;

	(void)state;
	feed_all_make(&all,
		FEED_BASE "report: {title: x}\n"
			  "location: {lon: \"121.4\", lat: \"{lat}\", accuracy_m: 5000}\n",
		"id,t,lat\n1,1,31.2\n", NULL);
	assert_int_equal(all.count, 1);
	assert_true(all.events[0]->location->lon == 121.4);
	assert_true(all.events[0]->location->accuracy_m == 5000);
	feed_all_release(&all);
	assert_int_equal(feed_load(FEED_BASE "report: {title: x}\n"
					     "location: {lon: \"1\", lat: \"2\", accuracy_m: 0}\n",
				 &profile, &why),
		-TG_EPARSE);
	assert_string_equal(
		tg_buf_cstr(&why), "p.yaml:10:44: metres, more than 0, are wanted here");
	tg_buf_release(&why);
}

static void window__no_more_rows_than_asked_for(void **state)
{
	static const struct feed_window two = {INT64_MIN, INT64_MAX, 2};
	struct feed_all all;

	(void)state;
	feed_all_make(&all, FEED_BASE "report: {title: x}\n", "id,t\n1,1\n2,2\n3,3\n", &two);
	assert_int_equal(all.tally.rows, 2);
	assert_int_equal(all.count, 2);
	assert_int_equal(feed_series_before(all.series, 2 * TG_US_PER_S), 1);
	assert_int_equal(feed_series_before(all.series, INT64_MAX), 2);
	feed_all_release(&all);
}

static void location__from_a_table_of_places(void **state)
{
	struct feed_all all;

	(void)state;
	feed_file("t.csv", "value,lat,lon\nnorth,57.5,10.5\n");
	feed_all_make(&all,
		FEED_BASE "report: {title: x}\nlocation: {value: \"{g}\", table: t.csv}\n",
		"id,t,g\n1,1,north\n2,2,south\n", NULL);
	assert_int_equal(all.count, 2);
	assert_true(all.events[0]->location->lon == 10.5 && all.events[0]->location->lat == 57.5);
	assert_null(all.events[1]->location);
	feed_all_release(&all);
}

static void readings__one_event_each_with_ids_of_their_own(void **state)
{
	struct feed_all all;

	(void)state;
	feed_all_make(&all,
		FEED_BASE "readings:\n"
			  "  - {metric: pm25, value: \"{a}\", unit: ug/m3, source_id: air-a}\n"
			  "  - {metric: humidity, value: \"{b}\", unit: \"%\"}\n"
			  "  - {metric: x, value: \"{b}\", event_id: \"{@metric}-{id}\"}\n",
		"id,t,a,b\n1,1,5,6\n2,2,,\n3,3,bad,7\n", NULL);
	assert_int_equal(all.tally.rows, 3);
	assert_int_equal(all.tally.taken, 2);
	assert_int_equal(all.tally.left_out, 1);
	assert_int_equal(all.tally.readings, 1);
	assert_int_equal(all.tally.reason_count, 2);
	assert_string_equal(all.tally.reasons[0].text, "there is no number");
	assert_int_equal(all.tally.reasons[0].rows, 1);
	assert_int_equal(all.tally.reasons[0].readings, 0);
	assert_string_equal(all.tally.reasons[1].text, "a value is no number");
	assert_int_equal(all.tally.reasons[1].rows, 0);
	assert_int_equal(all.tally.reasons[1].readings, 1);
	assert_int_equal(all.count, 5);
	assert_string_equal(all.events[0]->event_id, "1/pm25");
	assert_string_equal(all.events[0]->source_id, "air-a");
	assert_string_equal(all.events[1]->event_id, "1/humidity");
	assert_string_equal(all.events[1]->source_id, "s");
	assert_string_equal(all.events[2]->event_id, "x-1");
	assert_null(all.events[2]->reading->unit);
	assert_string_equal(all.events[3]->event_id, "3/humidity");
	feed_all_release(&all);
}

static void event__what_ingest_would_refuse_is_left_out_here(void **state)
{
	struct feed_all all;

	(void)state;
	feed_all_make(&all, FEED_BASE "report: {title: x}\ntype_code: \"{c}\"\n",
		"id,t,c\n,1,\n"
		"1234567890123456789012345678901234567890123456789012345678901234x,1,\n"
		"3,1,12\n4,1,\n5,1,12345\n6,when,\n7,1\n",
		NULL);
	assert_int_equal(all.tally.rows, 7);
	assert_int_equal(all.tally.left_out, 5);
	assert_int_equal(all.count, 2);
	assert_null(all.events[0]->type_code);
	feed_all_release(&all);
}

static void order__time_sorts_and_keeps_the_order_of_equals(void **state)
{
	static const char rows[] = "id,t\n1,30\n2,10\n3,20\n4,10\n";
	struct feed_all all;

	(void)state;
	feed_all_make(&all, FEED_BASE "report: {title: x}\n", rows, NULL);
	assert_int_equal(all.count, 4);
	assert_string_equal(all.events[0]->event_id, "2");
	assert_string_equal(all.events[1]->event_id, "4");
	assert_string_equal(all.events[2]->event_id, "3");
	assert_string_equal(all.events[3]->event_id, "1");
	feed_all_release(&all);
	feed_all_make(&all, FEED_BASE "order: file\nreport: {title: x}\n", rows, NULL);
	assert_int_equal(all.count, 4);
	assert_string_equal(all.events[0]->event_id, "1");
	assert_string_equal(all.events[3]->event_id, "4");
	feed_all_release(&all);
}

static void order__file_knows_its_last_time_after_one_silent_pass(void **state)
{
	static const struct feed_window always = {INT64_MIN, INT64_MAX, 0};
	struct feed_tally tally = {.told = FEED_TOLD_MAX};
	struct feed_profile *profile = NULL;
	struct feed_series *series = NULL;
	struct tg_buf why = {0};
	struct feed_item item;
	int64_t last_us = 0;

	(void)state;
	feed_file("f.csv", "id,t\n1,30\n2,bad\n3,50\n4,10\n");
	assert_int_equal(
		feed_load(FEED_BASE "order: file\nreport: {title: x}\n", &profile, &why), 0);
	assert_int_equal(feed_series_open(profile, &always, &tally, &series, &why), 0);
	assert_int_equal(feed_series_last(series, &last_us, &why), 0);
	assert_int_equal(last_us, 50 * TG_US_PER_S);
	assert_int_equal(tally.rows, 0);
	assert_int_equal(feed_series_peek(series, &item, &why), 1);
	assert_int_equal(item.time_us, 30 * TG_US_PER_S);
	feed_series_close(series);
}

static void window__only_from_and_to_pass_rows_over(void **state)
{
	const struct feed_window window = {10 * TG_US_PER_S, 30 * TG_US_PER_S, 0};
	struct feed_all all;

	(void)state;
	feed_all_make(&all,
		FEED_BASE "report: {title: x}\nonly: [{value: \"{k}\", in: [a, \"\"]}]\n",
		"id,t,k\n1,30,a\n2,10,a\n3,20,b\n4,20,\n5,5,a\n", &window);
	assert_int_equal(all.count, 2);
	assert_string_equal(all.events[0]->event_id, "2");
	assert_string_equal(all.events[1]->event_id, "4");
	assert_int_equal(all.tally.passed, 3);
	assert_int_equal(all.tally.rows, 5);
	feed_all_release(&all);
}

static void ndjson__paths_numbers_and_broken_lines(void **state)
{
	struct feed_all all;

	(void)state;
	feed_all_make(&all,
		"feed: p\nfile: f.csv\nformat: ndjson\ntopic: t\n"
		"time: {value: \"{t}\", format: epoch_s}\nevent_id: \"{a.id}\"\nsource_id: s\n"
		"source_kind: sensor\nlocation: {lon: \"{a.at.lon}\", lat: \"{a.at.lat}\"}\n"
		"report: {title: \"{ok}\", text: \"{list}\"}\n",
		"{\"t\": 1.5, \"a\": {\"id\": 7, \"at\": {\"lon\": 1.25, \"lat\": 2}}, \"ok\": "
		"true, \"list\": [1]}\nbroken\n\n{\"t\": 2, \"a\": {\"id\": \"x\"}}\n",
		NULL);
	assert_int_equal(all.count, 2);
	assert_int_equal(all.tally.rows, 3);
	assert_int_equal(all.tally.left_out, 1);
	assert_int_equal(all.events[0]->occurred_at_us, 1500000);
	assert_string_equal(all.events[0]->event_id, "7");
	assert_true(all.events[0]->location->lon == 1.25);
	assert_string_equal(all.events[0]->report->title, "true");
	assert_string_equal(all.events[0]->report->text, "[1]");
	assert_null(all.events[1]->location);
	feed_all_release(&all);
}

static void geojson__properties_and_points(void **state)
{
	struct feed_all all;

	(void)state;
	feed_all_make(&all,
		"feed: p\nfile: f.csv\nformat: geojson\ntopic: t\n"
		"time: {value: \"{t}\", format: epoch_s}\nevent_id: \"{id}\"\nsource_id: s\n"
		"source_kind: sensor\nlocation: geometry\nstatus: {state: online}\n",
		"{\"type\": \"FeatureCollection\", \"features\": [{\"type\": \"Feature\", "
		"\"geometry\": {\"type\": \"Point\", \"coordinates\": [121.4, 31.2]}, "
		"\"properties\": {\"id\": 1, \"t\": 2}}, {\"type\": \"Feature\", \"geometry\": "
		"null, \"properties\": {\"id\": 2, \"t\": 1}}]}",
		NULL);
	assert_int_equal(all.count, 2);
	assert_string_equal(all.events[0]->event_id, "2");
	assert_null(all.events[0]->location);
	assert_true(all.events[1]->location->lon == 121.4);
	assert_int_equal(all.events[1]->status->state, TONGGUAN__V1__DEVICE_STATE__ONLINE);
	feed_all_release(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event__every_field_of_a_report),
		cmocka_unit_test(location__ignored_points_missing_numbers_and_ranges),
		cmocka_unit_test(location__accuracy_goes_with_every_place),
		cmocka_unit_test(location__from_a_table_of_places),
		cmocka_unit_test(window__no_more_rows_than_asked_for),
		cmocka_unit_test(readings__one_event_each_with_ids_of_their_own),
		cmocka_unit_test(event__what_ingest_would_refuse_is_left_out_here),
		cmocka_unit_test(order__time_sorts_and_keeps_the_order_of_equals),
		cmocka_unit_test(order__file_knows_its_last_time_after_one_silent_pass),
		cmocka_unit_test(window__only_from_and_to_pass_rows_over),
		cmocka_unit_test(ndjson__paths_numbers_and_broken_lines),
		cmocka_unit_test(geojson__properties_and_points),
	};

	return cmocka_run_group_tests_name(
		"cmd_feed_series", tests, feed_dir_make, feed_dir_remove);
}
