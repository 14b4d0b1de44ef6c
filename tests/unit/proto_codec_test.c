#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "proto/incident.h"
#include "tests/unit/proto_event.h"

static const char *json_of(struct tg_buf *out, const tg_event_pb *ev, bool mask)
{
	struct tg_jw w;

	tg_buf_reset(out);
	tg_jw_begin(&w, out);
	tg_event_json(&w, NULL, ev, mask);
	assert_int_equal(tg_jw_end(&w), 0);
	return tg_buf_cstr(out);
}

static void event_json__masks_the_contact_and_reads_back_as_the_same_event(void **state)
{
	struct tg_buf text = {0}, packed = {0}, again = {0};
	struct proto_event e;
	struct tg_arena arena;
	tg_event_pb *ev;

	(void)state;
	proto_event_report(&e);
	e.ev.type_code = "01003";
	e.ev.attributes = e.attributes;
	e.ev.n_attributes = 1;
	e.location.has_datum = e.location.has_accuracy_m = true;
	e.location.datum = TONGGUAN__V1__DATUM__GCJ02;
	e.location.accuracy_m = 12.3f;
	e.report.text = "井盖\n\"丢失\"";
	assert_string_equal(json_of(&text, &e.ev, true),
		"{\"event_id\":\"e-1\",\"source_id\":\"d-1\",\"source_kind\":\"citizen\","
		"\"occurred_at\":\"2023-11-14T22:13:20.123456Z\",\"type_code\":\"01003\","
		"\"location\":{\"lon\":121.5,\"lat\":31.25,\"datum\":\"gcj02\",\"accuracy_m\":12.3}"
		","
		"\"attributes\":{\"k\":\"v\"},\"report\":{\"title\":\"title\","
		"\"text\":\"井盖\\n\\\"丢失\\\"\",\"contact\":\"***5678\"}}");
	json_of(&text, &e.ev, false);
	tg_arena_init(&arena, 4096, 1 << 20);
	assert_int_equal(
		tg_event_decode(&arena, TG_FORM_JSON, (struct tg_slice){text.data, text.len}, &ev),
		TG_ACCEPT);
	assert_int_equal(tg_event_encode(&e.ev, &packed), 0);
	assert_int_equal(tg_event_encode(ev, &again), 0);
	assert_int_equal(packed.len, again.len);
	assert_memory_equal(packed.data, again.data, packed.len);
	tg_arena_release(&arena);
	tg_buf_release(&text);
	tg_buf_release(&packed);
	tg_buf_release(&again);
}

static void mask_contact__shows_four_characters_at_most(void **state)
{
	static const char *const cases[][2] = {{"13812345678", "***5678"}, {"1234", "***"},
		{"", "***"}, {"12345", "***2345"}, {"张三李四王五", "***李四王五"},
		{"李四王五", "***"}};
	char out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tg_mask_contact(cases[i][0], out);
		assert_string_equal(out, cases[i][1]);
	}
}

static void uid__is_the_time_and_then_the_digest_of_the_identity(void **state)
{
	/* BLAKE2b-128 of "d-1" 00 "e-1" 00 and the time, big-endian; computed by Python's hashlib.
	 */
	static const char want[] = "018bcfe5687b074bb1dcbefc3ca358d4";
	struct proto_event e;
	uint8_t uid[16], other[16];
	char hex[33];

	(void)state;
	tg_event_uid(proto_event_reading(&e), uid);
	tg_hex(uid, sizeof(uid), hex);
	assert_string_equal(hex, want);
	e.ev.occurred_at_us++;
	tg_event_uid(&e.ev, other);
	assert_memory_equal(uid, other, 6); /* within the same millisecond */
	assert_memory_not_equal(uid + 6, other + 6, 10);
	/* The boundary between the two names counts. */
	e.ev.source_id = "d-";
	e.ev.event_id = "1e-1";
	e.ev.occurred_at_us--;
	tg_event_uid(&e.ev, other);
	assert_memory_not_equal(uid + 6, other + 6, 10);
}

static void located__around_packed_bytes_equals_located_with_the_event(void **state)
{
	struct tg_buf event = {0}, around = {0};
	tg_located_pb loc = TONGGUAN__V1__LOCATED_EVENT__INIT, *got;
	struct proto_event e;
	struct tg_arena arena;

	(void)state;
	assert_int_equal(tg_event_encode(proto_event_reading(&e), &event), 0);
	loc.grid_cell = "c1";
	loc.has_region = true;
	loc.region = 7;
	assert_int_equal(
		tg_located_encode_around(&loc, (struct tg_slice){event.data, event.len}, &around),
		0);
	tg_arena_init(&arena, 4096, 1 << 20);
	got = tg_located_decode(&arena, (struct tg_slice){around.data, around.len});
	assert_non_null(got);
	assert_string_equal(got->grid_cell, "c1");
	assert_int_equal(got->region, 7);
	assert_string_equal(got->event->event_id, "e-1");
	assert_string_equal(got->event->reading->metric, "water.level");
	assert_null(tg_located_decode(&arena, TG_SLICE("\x0a\x7f")));
	assert_null(tg_located_decode(&arena, (struct tg_slice){0}));
	tg_arena_release(&arena);
	tg_buf_release(&event);
	tg_buf_release(&around);
}

static void located__by_hand_is_byte_for_byte_what_the_generated_code_writes(void **state)
{
	struct tg_buf event = {0}, by_hand = {0}, generated = {0};
	tg_located_pb loc = TONGGUAN__V1__LOCATED_EVENT__INIT;
	struct proto_event e;
	uint8_t uid[16] = {1, 2, 3, 0, 255};

	(void)state;
	assert_int_equal(tg_event_encode(proto_event_reading(&e), &event), 0);
	loc.has_uid = loc.has_region = loc.has_lon = loc.has_lat = loc.has_ingested_at_us = true;
	loc.has_source_partition = loc.has_progress_us = true;
	loc.uid = (ProtobufCBinaryData){sizeof(uid), uid};
	loc.grid_cell = "310104-000-01";
	loc.street = "";
	loc.district = "徐汇";
	loc.region = -7;
	loc.lon = 121.4375;
	loc.lat = -0.0;
	loc.ingested_at_us = PROTO_EVENT_US;
	loc.source_topic = "tongguan.sensor.readings";
	loc.source_partition = 300;
	loc.progress_us = -1;
	assert_int_equal(
		tg_located_encode_around(&loc, (struct tg_slice){event.data, event.len}, &by_hand),
		0);
	loc.event = &e.ev;
	assert_int_equal(tg_located_encode(&loc, &generated), 0);
	assert_int_equal(by_hand.len, generated.len);
	assert_memory_equal(by_hand.data, generated.data, generated.len);
	tg_buf_release(&event);
	tg_buf_release(&by_hand);
	tg_buf_release(&generated);
}

/* What the short way takes, the whole way takes too, and reads the same. True when it was taken. */
static bool plain_agrees(struct tg_slice bytes)
{
	struct tg_buf plain = {0}, whole = {0};
	struct tg_arena arena;
	tg_event_pb *got, *want;

	tg_arena_init(&arena, 4096, 1 << 20);
	got = tg_event_decode_plain(&arena, bytes);
	if (got) {
		assert_int_equal(
			tg_event_decode(&arena, TG_FORM_PROTOBUF, bytes, &want), TG_ACCEPT);
		assert_int_equal(tg_event_encode(got, &plain), 0);
		assert_int_equal(tg_event_encode(want, &whole), 0);
		assert_int_equal(plain.len, whole.len);
		assert_memory_equal(plain.data, whole.data, whole.len);
	}
	tg_arena_release(&arena);
	tg_buf_release(&plain);
	tg_buf_release(&whole);
	return got != NULL;
}

/* A located event as ingest writes it takes the short way and is the same. */
static void plain__takes_a_located_event(void **state)
{
	Tongguan__V1__LocatedEvent loc = TONGGUAN__V1__LOCATED_EVENT__INIT;
	uint8_t uid[16] = {1, 0, 255};
	struct tg_buf bytes = {0}, again = {0};
	struct tg_arena arena;
	struct proto_event e;
	tg_located_pb *got;

	(void)state;
	tg_arena_init(&arena, 4096, 1 << 20);
	loc.event = proto_event_report(&e);
	loc.has_uid = loc.has_region = loc.has_lon = loc.has_lat = loc.has_source_partition = true;
	loc.uid = (ProtobufCBinaryData){sizeof(uid), uid};
	loc.grid_cell = "310104-000-01";
	loc.street = "";
	loc.region = 7;
	loc.lon = 121.4375;
	loc.lat = -0.0;
	loc.source_topic = "tongguan.sensor.readings";
	loc.source_partition = 300;
	for (int form = 0; form < 2; form++) {
		assert_int_equal(tg_located_encode(&loc, &bytes), 0);
		got = tg_located_decode_plain(&arena, (struct tg_slice){bytes.data, bytes.len});
		assert_non_null(got);
		assert_int_equal(tg_located_encode(got, &again), 0);
		assert_int_equal(again.len, bytes.len);
		assert_memory_equal(again.data, bytes.data, bytes.len);
		for (size_t len = 1; len < bytes.len;
			len++) { /* cut off: as the whole way has it */
			tg_located_pb *cut =
				tg_located_decode_plain(&arena, (struct tg_slice){bytes.data, len});

			assert_true(!cut ||
				    tg_located_decode(&arena, (struct tg_slice){bytes.data, len}));
		}
		/* A progress record has no event; a negative number is left to the whole way. */
		loc.event = NULL;
		loc.has_progress_us = true;
		loc.progress_us = PROTO_EVENT_US;
		tg_buf_reset(&bytes);
		tg_buf_reset(&again);
	}
	loc.progress_us = -1;
	assert_int_equal(tg_located_encode(&loc, &bytes), 0);
	assert_null(tg_located_decode_plain(&arena, (struct tg_slice){bytes.data, bytes.len}));
	got = tg_located_decode(&arena, (struct tg_slice){bytes.data, bytes.len});
	assert_non_null(got);
	assert_int_equal(got->progress_us, -1);
	tg_arena_release(&arena);
	tg_buf_release(&bytes);
	tg_buf_release(&again);
}

static void plain__takes_each_payload_and_leaves_lists_alone(void **state)
{
	struct tg_buf bytes = {0};
	struct proto_event e;
	tg_event_pb *ev = proto_event_report(&e);
	char *photo = "p";

	(void)state;
	e.report.contact = "电话";
	for (int payload = 0; payload < 4; payload++) {
		tg_buf_reset(&bytes);
		assert_int_equal(tg_event_encode(ev, &bytes), 0);
		assert_true(plain_agrees((struct tg_slice){bytes.data, bytes.len}));
		proto_event_reading(&e);
		if (payload == 1) {
			ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_POSITION;
			ev->position = &e.position;
			e.position.has_speed_kmh = true;
			e.position.speed_kmh = 0.1f;
		} else if (payload == 2) {
			ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_STATUS;
			ev->status = &e.status;
			e.status.has_state = true;
			e.status.state = TONGGUAN__V1__DEVICE_STATE__FAULT;
		}
	}
	proto_event_report(&e);
	e.report.photo_urls = &photo;
	e.report.n_photo_urls = 1;
	tg_buf_reset(&bytes);
	assert_int_equal(tg_event_encode(ev, &bytes), 0);
	assert_false(plain_agrees((struct tg_slice){bytes.data, bytes.len}));
	assert_false(plain_agrees((struct tg_slice){0}));
	tg_buf_release(&bytes);
}

/* Every byte of an event set to every value, and every length: whatever the short way makes of it,
 * the whole way makes too. A payload told twice is never taken, or the first would hide in what is
 * passed on. */
static void plain__agrees_on_every_damaged_event(void **state)
{
	struct tg_buf bytes = {0};
	struct proto_event e;
	size_t len, taken = 0;

	(void)state;
	assert_int_equal(tg_event_encode(proto_event_reading(&e), &bytes), 0);
	len = bytes.len;
	for (size_t at = 0; at < len; at++) {
		char was = bytes.data[at];

		for (int v = 0; v < 256; v++) {
			bytes.data[at] = (char)v;
			taken += plain_agrees((struct tg_slice){bytes.data, len});
		}
		bytes.data[at] = was;
		plain_agrees((struct tg_slice){bytes.data, at});
	}
	assert_true(taken > len); /* changed letters of texts, at least */
	assert_int_equal(tg_event_encode(proto_event_report(&e), &bytes), 0);
	assert_false(plain_agrees((struct tg_slice){bytes.data, bytes.len}));
	tg_buf_release(&bytes);
}

static void reporter__is_the_reporter_id_or_else_the_source(void **state)
{
	struct proto_event e;

	(void)state;
	assert_string_equal(tg_event_reporter(proto_event_report(&e)), "d-1");
	e.report.reporter_id = "";
	assert_string_equal(tg_event_reporter(&e.ev), "d-1");
	e.report.reporter_id = "u-7";
	assert_string_equal(tg_event_reporter(&e.ev), "u-7");
}

#define INCIDENT(rest)                                                                         \
	"{\"incident_id\":\"i\",\"rule_id\":\"r\",\"rule_version\":1,\"domain\":\"minsheng\"," \
	"\"severity\":2,"                                                                      \
	"\"state\":\"open\",\"revision\":3,\"first_event_at\":\"2026-01-01T00:00:00Z\","       \
	"\"last_event_at\":\"2026-01-01T00:01:00Z\",\"detected_at\":\"2026-01-01T00:01:01Z\"," \
	"\"event_count\":4" rest "}"

static int parse(const char *text, struct tg_incident_msg *msg, struct tg_buf *why, json_t **doc)
{
	tg_buf_reset(why);
	*doc = json_loads(text, 0, NULL);
	assert_non_null(*doc);
	return tg_incident_parse(*doc, msg, why);
}

static void incident__says_which_field_is_wrong(void **state)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{"[]", "incident: must be an object"},
		{"{}", "incident_id: is missing"},
		{INCIDENT(",\"geom\":5"), "geom: must be a GeoJSON point"},
		{INCIDENT(",\"explanation\":{\"condition\":\"x\"}"),
			"condition: must be a whole number"},
		{INCIDENT(",\"grid_cell\":1"), "grid_cell: must be text"},
	};
	struct tg_incident_msg msg;
	struct tg_buf why = {0};
	json_t *doc;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(wrong[i].text, &msg, &why, &doc), -TG_EPARSE);
		assert_string_equal(tg_buf_cstr(&why), wrong[i].why);
		json_decref(doc);
	}
	assert_int_equal(
		parse(INCIDENT(",\"geom\":{\"type\":\"Point\",\"coordinates\":[121.5,31]},\"grid_"
			       "cell\":"
			       "null,\"explanation\":{\"title\":\"t\",\"case_type\":\"01003\","
			       "\"auto_file\":true}"),
			&msg, &why, &doc),
		0);
	assert_true(msg.has_place);
	assert_true(msg.auto_file);
	assert_true(msg.lon == 121.5);
	assert_int_equal(msg.condition, 1);
	assert_int_equal(msg.revision, 3);
	assert_string_equal(msg.case_type, "01003");
	assert_null(msg.grid_cell);
	assert_null(msg.merged_into);
	json_decref(doc);
	tg_buf_release(&why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_json__masks_the_contact_and_reads_back_as_the_same_event),
		cmocka_unit_test(mask_contact__shows_four_characters_at_most),
		cmocka_unit_test(uid__is_the_time_and_then_the_digest_of_the_identity),
		cmocka_unit_test(located__around_packed_bytes_equals_located_with_the_event),
		cmocka_unit_test(located__by_hand_is_byte_for_byte_what_the_generated_code_writes),
		cmocka_unit_test(plain__takes_a_located_event),
		cmocka_unit_test(plain__takes_each_payload_and_leaves_lists_alone),
		cmocka_unit_test(plain__agrees_on_every_damaged_event),
		cmocka_unit_test(reporter__is_the_reporter_id_or_else_the_source),
		cmocka_unit_test(incident__says_which_field_is_wrong),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
