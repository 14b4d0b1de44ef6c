/* Every refusal reason, in both forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/proto_event.h"

static const struct tg_event_limits limits = {
	.arrived_us = PROTO_EVENT_US + TG_US_PER_MIN,
	.ahead_us = 10 * TG_US_PER_MIN,
	.retention_us = 400 * TG_US_PER_DAY,
};

static struct tg_arena arena;

static int setup(void **state)
{
	(void)state;
	tg_arena_init(&arena, 4096, (size_t)16 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tg_arena_release(&arena);
	return 0;
}

static enum tg_reject judge(enum tg_form form, struct tg_slice bytes)
{
	tg_event_pb *ev = NULL;
	enum tg_reject why;

	tg_arena_reset(&arena);
	why = tg_event_decode(&arena, form, bytes, &ev);
	return why ? why : tg_event_check(ev, &limits);
}

static enum tg_reject judge_packed(const tg_event_pb *ev)
{
	struct tg_buf bytes = {0};
	enum tg_reject why;

	assert_int_equal(tg_event_encode(ev, &bytes), 0);
	why = judge(TG_FORM_PROTOBUF, (struct tg_slice){bytes.data, bytes.len});
	tg_buf_release(&bytes);
	return why;
}

#define REFUSED(ev, reason) assert_string_equal(tg_reject_name(judge_packed(ev)), #reason)

static void protobuf_event__each_wrong_value_has_its_reason(void **state)
{
	static char long_id[66], long_text[TG_REPORT_TEXT_MAX + 2];
	struct proto_event e;

	(void)state;
	memset(long_id, 'x', 65);
	memset(long_text, 'x', TG_REPORT_TEXT_MAX + 1);
	REFUSED(proto_event_reading(&e), accepted);
	REFUSED(proto_event_report(&e), accepted);
	proto_event_reading(&e)->event_id = NULL;
	REFUSED(&e.ev, missing_field);
	proto_event_reading(&e)->source_id = "";
	REFUSED(&e.ev, missing_field);
	proto_event_reading(&e)->event_id = long_id;
	REFUSED(&e.ev, field_too_long);
	proto_event_reading(&e)->has_source_kind = false;
	REFUSED(&e.ev, missing_field);
	proto_event_reading(&e)->source_kind = 99;
	REFUSED(&e.ev, bad_enum);
	proto_event_reading(&e)->has_occurred_at_us = false;
	REFUSED(&e.ev, missing_field);
	proto_event_reading(&e)->occurred_at_us = limits.arrived_us + limits.ahead_us + 1;
	REFUSED(&e.ev, time_ahead);
	proto_event_reading(&e)->occurred_at_us = limits.arrived_us + limits.ahead_us;
	REFUSED(&e.ev, accepted);
	proto_event_reading(&e)->occurred_at_us = limits.arrived_us - limits.retention_us - 1;
	REFUSED(&e.ev, time_too_old);
	proto_event_reading(&e)->occurred_at_us = INT64_MAX;
	REFUSED(&e.ev, time_ahead);
	proto_event_reading(&e)->occurred_at_us = INT64_MIN;
	REFUSED(&e.ev, time_too_old);
	proto_event_reading(&e)->type_code = "0100";
	REFUSED(&e.ev, bad_type_code);
	proto_event_reading(&e)->type_code = "0100x";
	REFUSED(&e.ev, bad_type_code);
	proto_event_reading(&e)->type_code = "01003";
	REFUSED(&e.ev, accepted);
	proto_event_reading(&e)->payload_case = TONGGUAN__V1__EVENT__PAYLOAD__NOT_SET;
	REFUSED(&e.ev, no_payload);
	proto_event_reading(&e);
	e.ev.attributes = e.attributes;
	e.ev.n_attributes = TG_EVENT_ATTRIBUTES_MAX;
	REFUSED(&e.ev, accepted);
	e.ev.n_attributes++;
	REFUSED(&e.ev, too_many_attributes);
	proto_event_reading(&e);
	e.reading.value = NAN;
	REFUSED(&e.ev, not_finite);
	proto_event_reading(&e);
	e.reading.metric = NULL;
	REFUSED(&e.ev, missing_field);
	proto_event_report(&e);
	e.report.text = long_text;
	REFUSED(&e.ev, field_too_long);
	long_text[TG_REPORT_TEXT_MAX] = 0;
	REFUSED(&e.ev, accepted);
}

static void protobuf_event__a_wrong_place_or_state_has_its_reason(void **state)
{
	struct proto_event e;

	(void)state;
	proto_event_reading(&e);
	e.location.lon = 180.5;
	REFUSED(&e.ev, lon_out_of_range);
	proto_event_reading(&e);
	e.location.lat = -90.001;
	REFUSED(&e.ev, lat_out_of_range);
	proto_event_reading(&e);
	e.location.lat = INFINITY;
	REFUSED(&e.ev, not_finite);
	proto_event_reading(&e);
	e.location.has_lat = false;
	REFUSED(&e.ev, missing_field);
	proto_event_reading(&e);
	e.location.has_datum = true;
	e.location.datum = 7;
	REFUSED(&e.ev, bad_enum);
	proto_event_reading(&e);
	e.location.has_accuracy_m = true;
	e.location.accuracy_m = NAN;
	REFUSED(&e.ev, not_finite);
	proto_event_reading(&e);
	e.ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_STATUS;
	e.ev.status = &e.status;
	REFUSED(&e.ev, missing_field);
	e.status.has_state = true;
	e.status.state = 9;
	REFUSED(&e.ev, bad_enum);
	proto_event_reading(&e);
	e.ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_POSITION;
	e.ev.position = &e.position;
	REFUSED(&e.ev, accepted);
	e.position.has_speed_kmh = true;
	e.position.speed_kmh = INFINITY;
	REFUSED(&e.ev, not_finite);
}

static void protobuf_bytes__what_is_no_event_has_its_reason(void **state)
{
	static char deep[80], large[TG_EVENT_BYTES_MAX + 1], fields[2 * (TG_EVENT_FIELDS_MAX + 1)];
	const struct {
		struct tg_slice bytes;
		const char *want;
	} cases[] = {
		{{NULL, 0}, "tombstone"}, {TG_SLICE(""), "missing_field"},
		{{large, sizeof(large)}, "too_large"},
		{TG_SLICE("\x0a\x05"
			  "ab"),
			"truncated"},
		{TG_SLICE("\x0a"), "truncated"},
		{TG_SLICE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "truncated"},
		{TG_SLICE("\x08\x01"), "truncated"}, /* event_id as a number */
		{TG_SLICE("\x02\x01"
			  "a"),
			"truncated"},            /* field number 0 */
		{TG_SLICE("\x0c"), "truncated"}, /* the end of a group that never began */
		{TG_SLICE("\xa3\x06\xa4\x06"), "truncated"}, /* a whole group */
		{{deep, sizeof(deep)}, "too_deep"}, {{fields, sizeof(fields)}, "too_many_fields"},
		{TG_SLICE("\x0a\x02\xc0\x80"), "bad_utf8"},         /* overlong NUL */
		{TG_SLICE("\x0a\x03\xed\xa0\x80"), "bad_utf8"},     /* half a surrogate pair */
		{TG_SLICE("\x0a\x04\xf4\x90\x80\x80"), "bad_utf8"}, /* beyond Unicode */
		{TG_SLICE("\x0a\x02\xe4\xba"), "bad_utf8"},         /* half a character */
		{TG_SLICE("\x0a\x03"
			  "a\0b"),
			"nul_byte"},
		{TG_SLICE("\x0a\x09"
			  "abcdefgh\0"),
			"nul_byte"},
		{TG_SLICE("\x5a\x03\x0a\x01\xff"), "bad_utf8"}, /* in the report's title */
	};

	(void)state;
	memset(deep, '\x0b', sizeof(deep));
	for (size_t i = 0; i < sizeof(fields); i += 2)
		memcpy(fields + i, "\x78\x01", 2); /* an unknown field 15 */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = tg_reject_name(judge(TG_FORM_PROTOBUF, cases[i].bytes));

		if (strcmp(got, cases[i].want))
			fail_msg("case %zu: got %s, wanted %s", i, got, cases[i].want);
	}
}

#define HEAD                                                                 \
	"\"event_id\":\"e\",\"source_id\":\"s\",\"source_kind\":\"sensor\"," \
	"\"occurred_at\":\"2023-11-14T22:13:20Z\""
#define READING "\"reading\":{\"metric\":\"m\",\"value\":1}"

static void json_event__each_wrong_thing_has_its_reason(void **state)
{
	static const struct {
		struct tg_slice text;
		const char *want;
	} cases[] = {
		{TG_SLICE("{" HEAD "," READING "}"), "accepted"},
		{TG_SLICE(" {" HEAD ", \"other\":{\"a\":[1,null,true]}, " READING " }\n"),
			"accepted"},
		{TG_SLICE("{" HEAD ",\"location\":null," READING "}"), "accepted"},
		{TG_SLICE("{" HEAD ",\"attributes\":{\"a\":\"x\",\"b\":2.5,\"c\":true}," READING
			  "}"),
			"accepted"},
		{TG_SLICE(
			 "{" HEAD
			 ",\"location\":{\"lon\":121,\"lat\":31,\"datum\":\"GCJ02\"}," READING "}"),
			"accepted"},
		{{NULL, 0}, "tombstone"},
		{TG_SLICE(""), "malformed_json"},
		{TG_SLICE("[]"), "malformed_json"},
		{TG_SLICE("{"), "malformed_json"},
		{TG_SLICE("{" HEAD "," READING), "malformed_json"},
		{TG_SLICE("{" HEAD "," READING "}}"), "malformed_json"},
		{TG_SLICE("{" HEAD "," READING ",}"), "malformed_json"},
		{TG_SLICE("{" HEAD "," HEAD "," READING "}"), "malformed_json"},
		{TG_SLICE("{" HEAD "," READING ",\"status\":{\"state\":\"online\"}}"),
			"malformed_json"},
		{TG_SLICE("{\"event_id\":5}"), "malformed_json"},
		{TG_SLICE("{\"event_id\":\"\\x\"}"), "malformed_json"},
		{TG_SLICE("{\"event_id\":\"a\nb\"}"), "malformed_json"},
		{TG_SLICE("{\"occurred_at\":\"yesterday\"}"), "malformed_json"},
		{TG_SLICE("{" HEAD ",\"reading\":{\"metric\":\"m\",\"value\":01}}"),
			"malformed_json"},
		{TG_SLICE("{" HEAD ",\"reading\":{\"metric\":\"m\",\"value\":\"1\"}}"),
			"malformed_json"},
		{TG_SLICE("{" HEAD ",\"attributes\":{\"a\":{}}," READING "}"), "malformed_json"},
		{TG_SLICE("{\"event_id\":\"\xff\"}"), "bad_utf8"},
		{TG_SLICE("{\"event_id\":\"\\ud800\"}"), "bad_utf8"},
		{TG_SLICE("{\"event_id\":\"a\0b\"}"), "nul_byte"},
		{TG_SLICE("{\"event_id\":\"a\\u0000b\"}"), "nul_byte"},
		{TG_SLICE("{}"), "missing_field"},
		{TG_SLICE("{" HEAD "}"), "no_payload"},
		{TG_SLICE("{" HEAD ",\"type_code\":\"x\"," READING "}"), "bad_type_code"},
		{TG_SLICE("{\"source_kind\":\"SENSOR\"}"), "bad_enum"},
		{TG_SLICE("{\"source_kind\":\"robot\"}"), "bad_enum"},
		{TG_SLICE("{\"source_kind\":1}"), "bad_enum"},
		{TG_SLICE("{" HEAD ",\"reading\":{\"metric\":\"m\",\"value\":1e999}}"),
			"not_finite"},
		{TG_SLICE("{" HEAD ",\"reading\":{\"metric\":\"m\",\"value\":NaN}}"), "not_finite"},
		{TG_SLICE("{" HEAD ",\"position\":{\"speed_kmh\":1e39}}"), "not_finite"},
		{TG_SLICE("{" HEAD ",\"location\":{\"lon\":181,\"lat\":0}," READING "}"),
			"lon_out_of_range"},
		{TG_SLICE("{" HEAD ",\"location\":{\"lon\":1,\"lat\":-91}," READING "}"),
			"lat_out_of_range"},
		{TG_SLICE("{" HEAD ",\"location\":{\"lon\":1}," READING "}"), "missing_field"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = tg_reject_name(judge(TG_FORM_JSON, cases[i].text));

		if (strcmp(got, cases[i].want))
			fail_msg("case %zu: got %s, wanted %s", i, got, cases[i].want);
	}
}

static struct tg_slice repeat(
	char *out, const char *head, const char *unit, int n, const char *tail)
{
	size_t len = (size_t)sprintf(out, "%s", head);

	for (int i = 0; i < n; i++)
		len += (size_t)sprintf(out + len, "%s", unit);
	len += (size_t)sprintf(out + len, "%s", tail);
	return (struct tg_slice){out, len};
}

static void json_event__too_much_of_it_has_its_reason(void **state)
{
	static char text[TG_EVENT_BYTES_MAX + 2];
	struct tg_slice s;

	(void)state;
	s = repeat(text, "{\"x\":", "[", 40, "");
	assert_int_equal(judge(TG_FORM_JSON, s), TG_REJECT_too_deep);
	s = repeat(text, "{\"x\":[1", ",1", TG_EVENT_FIELDS_MAX, "]}");
	assert_int_equal(judge(TG_FORM_JSON, s), TG_REJECT_too_many_fields);
	s = repeat(text, "{" HEAD "," READING ",\"attributes\":{\"k\":1", ",\"k\":1", 32, "}}");
	assert_int_equal(judge(TG_FORM_JSON, s), TG_REJECT_too_many_attributes);
	s = repeat(text, "{" HEAD ",\"report\":{\"text\":\"", "xxxxxxxx", 2049, "\"}}");
	assert_int_equal(judge(TG_FORM_JSON, s), TG_REJECT_field_too_long);
	memset(text, ' ', sizeof(text));
	assert_int_equal(
		judge(TG_FORM_JSON, (struct tg_slice){text, sizeof(text)}), TG_REJECT_too_large);
}

static void cloud_event__fills_what_the_event_leaves_empty(void **state)
{
	static const struct tg_slice text = TG_SLICE(
		"{\"specversion\":\"1.0\",\"id\":\"ce\",\"source\":\"s-9\",\"time\":\"2023-11-"
		"14T22:13:20Z\","
		"\"data\":{\"source_id\":\"own\",\"source_kind\":\"sensor\"," READING "}}");
	tg_event_pb *ev = NULL;

	(void)state;
	tg_arena_reset(&arena);
	assert_int_equal(tg_event_decode(&arena, TG_FORM_CLOUDEVENTS, text, &ev), TG_ACCEPT);
	assert_string_equal(ev->event_id, "ce");
	assert_string_equal(ev->source_id, "own");
	assert_int_equal(ev->occurred_at_us, INT64_C(1700000000000000));
	assert_int_equal(tg_event_check(ev, &limits), TG_ACCEPT);
	assert_int_equal(
		judge(TG_FORM_CLOUDEVENTS, TG_SLICE("{\"id\":\"x\"}")), TG_REJECT_malformed_json);
}

static void content_type__names_the_form(void **state)
{
	(void)state;
	assert_int_equal(tg_form_of((struct tg_slice){0}), TG_FORM_PROTOBUF);
	assert_int_equal(tg_form_of(TG_SLICE("application/x-protobuf")), TG_FORM_PROTOBUF);
	assert_int_equal(tg_form_of(TG_SLICE("application/json")), TG_FORM_JSON);
	assert_int_equal(tg_form_of(TG_SLICE(" Application/JSON ; charset=utf-8")), TG_FORM_JSON);
	assert_int_equal(tg_form_of(TG_SLICE("application/cloudevents+json")), TG_FORM_CLOUDEVENTS);
}

/* Anything may be sent: whatever it is, it is answered, and what is accepted can be stored. */
static void random_bytes__never_crash_a_decoder(void **state)
{
	struct proto_event e;
	struct tg_buf good = {0};
	char bytes[512];
	int accepted = 0;

	(void)state;
	srand(11);
	assert_int_equal(tg_event_encode(proto_event_report(&e), &good), 0);
	for (int round = 0; round < 200000; round++) {
		enum tg_form form = (enum tg_form)(rand() % 3);
		size_t n = (size_t)rand() % 64;

		if (round % 2) {
			for (size_t i = 0; i < n; i++)
				bytes[i] = form ? "{}[]\":,\\u0d81e-.tfnocati "[rand() % 25]
						: (char)rand();
		} else {
			n = good.len;
			memcpy(bytes, good.data, n);
			for (int hits = rand() % 4; hits >= 0; hits--)
				bytes[(size_t)rand() % n] = (char)rand();
			form = TG_FORM_PROTOBUF;
		}
		accepted += judge(form, (struct tg_slice){bytes, n}) == TG_ACCEPT;
	}
	assert_true(accepted > 0);
	tg_buf_release(&good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protobuf_event__each_wrong_value_has_its_reason),
		cmocka_unit_test(protobuf_event__a_wrong_place_or_state_has_its_reason),
		cmocka_unit_test(protobuf_bytes__what_is_no_event_has_its_reason),
		cmocka_unit_test(json_event__each_wrong_thing_has_its_reason),
		cmocka_unit_test(json_event__too_much_of_it_has_its_reason),
		cmocka_unit_test(cloud_event__fills_what_the_event_leaves_empty),
		cmocka_unit_test(content_type__names_the_form),
		cmocka_unit_test(random_bytes__never_crash_a_decoder),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
