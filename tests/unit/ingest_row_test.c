#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "ingest/row.h"
#include "tests/unit/proto_event.h"

/* Reads the fields of one binary COPY row. */
struct cursor {
	const uint8_t *p, *end;
};

static uint64_t be(struct cursor *c, unsigned n)
{
	uint64_t v = 0;

	assert_true(c->end - c->p >= n);
	while (n--)
		v = v << 8 | *c->p++;
	return v;
}

/* -1: NULL. */
static int64_t field(struct cursor *c, const uint8_t **ret)
{
	int64_t n = (int32_t)be(c, 4);

	*ret = c->p;
	if (n > 0) {
		assert_true(c->end - c->p >= n);
		c->p += n;
	}
	return n;
}

static void is_text(struct cursor *c, const char *want)
{
	const uint8_t *p;
	int64_t n = field(c, &p);

	assert_int_equal(n, strlen(want));
	assert_memory_equal(p, want, (size_t)n);
}

static void is_number(struct cursor *c, unsigned bytes, uint64_t want)
{
	assert_int_equal(be(c, 4), bytes);
	assert_int_equal(be(c, bytes), want);
}

static void is_null(struct cursor *c)
{
	const uint8_t *p;

	assert_int_equal(field(c, &p), -1);
}

static struct cursor write_row(
	struct tg_buf *out, const tg_event_pb *ev, const struct tg_place *place)
{
	struct tg_buf scratch = {0};
	struct tg_row row = {.ev = ev,
		.place = place,
		.ingested_us = PROTO_EVENT_US + 1,
		.source = 3,
		.source_pos = 9};
	struct cursor c;

	memset(row.uid, 0xab, sizeof(row.uid));
	tg_buf_reset(out);
	assert_int_equal(tg_row_write(out, &scratch, &row), 0);
	tg_buf_release(&scratch);
	c = (struct cursor){(const uint8_t *)out->data, (const uint8_t *)out->data + out->len};
	assert_int_equal(be(&c, 2), TG_ROW_COLUMN_COUNT);
	return c;
}

static void row__of_a_reading_needs_no_json(void **state)
{
	static const uint8_t ewkb[] = {1, 1, 0, 0, 0x20, 0xe6, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x60,
		0x5e, 0x40, 0, 0, 0, 0, 0, 0x40, 0x3f, 0x40};
	const struct tg_place place = {.known = true,
		.lon = 121.5,
		.lat = 31.25,
		.region = 5,
		.grid_cell = "c",
		.street = "s",
		.district = "d",
		.flags = 2};
	struct tg_buf out = {0};
	struct proto_event e;
	struct cursor c;
	const uint8_t *p;

	(void)state;
	proto_event_reading(&e);
	e.reading.unit = "cm";
	c = write_row(&out, &e.ev, &place);
	assert_int_equal(field(&c, &p), 16);
	assert_int_equal(p[15], 0xab);
	is_number(&c, 8, (uint64_t)(PROTO_EVENT_US - TG_PG_EPOCH_US));
	is_number(&c, 8, (uint64_t)(PROTO_EVENT_US + 1 - TG_PG_EPOCH_US));
	is_number(&c, 2, 3);
	is_number(&c, 8, 9);
	is_text(&c, "d-1");
	is_text(&c, "e-1");
	is_number(&c, 2, 1);
	is_null(&c); /* type_code */
	is_text(&c, "water.level");
	is_number(&c, 8, 0x403b800000000000); /* 27.5 */
	is_text(&c, "cm");
	is_null(&c);
	is_null(&c);
	is_null(&c);
	assert_int_equal(field(&c, &p), sizeof(ewkb));
	assert_memory_equal(p, ewkb, sizeof(ewkb));
	is_null(&c); /* datum */
	is_null(&c); /* accuracy */
	is_text(&c, "c");
	is_text(&c, "s");
	is_text(&c, "d");
	is_number(&c, 4, 5);
	is_number(&c, 2, 2);
	is_null(&c); /* contact */
	is_null(&c); /* payload */
	assert_ptr_equal(c.p, c.end);
	tg_buf_release(&out);
}

/* The last field, after skipping the others. */
static const char *payload(struct cursor *c, size_t *ret_len)
{
	const uint8_t *p;
	int64_t n = 0;

	for (int i = 0; i < TG_ROW_COLUMN_COUNT; i++)
		n = field(c, &p);
	assert_ptr_equal(c->p, c->end);
	if (n < 0)
		return NULL;
	assert_int_equal(p[0], 1);
	*ret_len = (size_t)n - 1;
	return (const char *)p + 1;
}

static void is_payload(struct cursor c, const char *want)
{
	size_t n = 0;
	const char *got = payload(&c, &n);

	assert_non_null(got);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(got, want, n);
}

static void row__keeps_aside_what_no_column_holds_and_masks_the_contact(void **state)
{
	const struct tg_place nowhere = {0}, place = {.known = true};
	struct tg_buf out = {0};
	struct proto_event e;
	struct cursor c;
	size_t n;

	(void)state;
	proto_event_report(&e)->location = NULL;
	is_payload(write_row(&out, &e.ev, &nowhere),
		"{\"report\":{\"title\":\"title\",\"text\":\"text\",\"contact\":\"***5678\"}}");
	assert_non_null(memmem(out.data, out.len, "13812345678", 11)); /* in its own column */
	proto_event_reading(&e);
	e.location.has_datum = true;
	e.location.datum = TONGGUAN__V1__DATUM__GCJ02;
	e.reading.quality = "good";
	is_payload(write_row(&out, &e.ev, &place),
		"{\"location\":{\"lon\":121.5,\"lat\":31.25,\"datum\":\"gcj02\"},"
		"\"reading\":{\"metric\":\"water.level\",\"value\":27.5,\"quality\":\"good\"}}");
	proto_event_reading(&e);
	e.ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_POSITION;
	e.ev.position = &e.position;
	is_payload(write_row(&out, &e.ev, &place), "{\"position\":{}}");
	e.position.has_speed_kmh = true;
	c = write_row(&out, &e.ev, &place);
	assert_null(payload(&c, &n));
	tg_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row__of_a_reading_needs_no_json),
		cmocka_unit_test(row__keeps_aside_what_no_column_holds_and_masks_the_contact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
