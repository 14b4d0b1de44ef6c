/* The producer's bytes: checksum, partitioner, records, batches, answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/crc32c.h"
#include "base/io/kafka_wire.h"

/* RFC 3720, appendix B.4, and the catalogue's check value. */
static void crc32c__gives_the_published_values(void **state)
{
	char bytes[32];

	(void)state;
	assert_int_equal(tg_crc32c("123456789", 9), 0xe3069283);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(tg_crc32c(bytes, sizeof(bytes)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(tg_crc32c(bytes, sizeof(bytes)), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (char)i;
	assert_int_equal(tg_crc32c(bytes, sizeof(bytes)), 0x46dd794e);
	assert_int_equal(tg_crc32c(bytes, 0), 0);
}

/* Hashes that the Java client is held to. */
static void partition_of__agrees_with_the_java_client(void **state)
{
	static const struct {
		const char *key;
		int32_t hash;
	} cases[] = {
		{"21", -973932308},
		{"foobar", -790332482},
		{"a-little-bit-long-string", -985981536},
		{"a-little-bit-longer-string", -1486304829},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
		{"abc", 479470107},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int32_t n = 1; n < 20; n++)
			assert_int_equal(wire_partition_of(tg_slice_cstr(cases[i].key), n),
				(cases[i].hash & INT32_MAX) % n);
	}
}

static struct wire_message message(const char *key, struct tg_slice value)
{
	struct wire_message m = {
		.key = key ? tg_slice_cstr(key) : (struct tg_slice){0}, .value = value};

	wire_measure(&m);
	return m;
}

static void record__is_laid_out_as_the_guide_says(void **state)
{
	static const struct tg_header headers[] = {{"h", TG_SLICE("x")}, {"n", {NULL, 0}}};
	/* length 16, attributes, time, place 3, key, value, two headers: zigzag varints */
	static const unsigned char want[] = {
		32, 0, 0, 6, 2, 'k', 4, 'v', 'w', 4, 2, 'h', 2, 'x', 2, 'n', 1};
	struct wire_message m = {TG_SLICE("k"), TG_SLICE("vw"), headers, 2, 0};
	struct tg_buf batch = {0};

	(void)state;
	wire_measure(&m);
	assert_int_equal(wire_record(&batch, 3, &m), 0);
	assert_int_equal(batch.len, WIRE_BATCH_HEADER + sizeof(want));
	assert_memory_equal(batch.data + WIRE_BATCH_HEADER, want, sizeof(want));
	tg_buf_release(&batch);
}

static void record__null_and_empty_differ(void **state)
{
	static const unsigned char want[] = {12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 2, 0, 0, 0};
	struct wire_message null = message(NULL, (struct tg_slice){0}),
			    empty = message("", TG_SLICE(""));
	struct tg_buf batch = {0};

	(void)state;
	assert_int_equal(wire_record(&batch, 0, &null), 0);
	assert_int_equal(wire_record(&batch, 1, &empty), 0);
	assert_int_equal(batch.len, WIRE_BATCH_HEADER + sizeof(want));
	assert_memory_equal(batch.data + WIRE_BATCH_HEADER, want, sizeof(want));
	tg_buf_release(&batch);
}

static int64_t at(const struct tg_buf *batch, size_t from, size_t bytes)
{
	struct wire_reader r = {batch->data + from, batch->data + batch->len, false};

	return wire_int(&r, bytes);
}

static void seal__writes_the_header_and_its_checksum(void **state)
{
	struct wire_message m = message("key", TG_SLICE("value"));
	struct tg_buf batch = {0};

	(void)state;
	for (int32_t i = 0; i < 3; i++)
		assert_int_equal(wire_record(&batch, i, &m), 0);
	wire_seal(&batch, 3, 1234567890123, &(struct wire_producer){77, 2}, 500);
	assert_int_equal(at(&batch, 0, 8), 0);
	assert_int_equal(at(&batch, 8, 4), batch.len - 12);
	assert_int_equal(at(&batch, 16, 1), 2);
	assert_int_equal((uint32_t)at(&batch, 17, 4), tg_crc32c(batch.data + 21, batch.len - 21));
	assert_int_equal(at(&batch, 21, 2), 0);
	assert_int_equal(at(&batch, 23, 4), 2);
	assert_int_equal(at(&batch, 27, 8), 1234567890123);
	assert_int_equal(at(&batch, 35, 8), 1234567890123);
	assert_int_equal(at(&batch, 43, 8), 77);
	assert_int_equal(at(&batch, 51, 2), 2);
	assert_int_equal(at(&batch, 53, 4), 500);
	assert_int_equal(at(&batch, 57, 4), 3);
	tg_buf_release(&batch);
}

/* What moves to another batch is the same but for its place: varints of one and of two bytes. */
static void record_copy__changes_the_place_alone(void **state)
{
	enum { N = 200 };
	struct tg_buf from = {0}, to = {0}, want = {0};
	struct wire_reader r;
	char key[16];

	(void)state;
	for (int32_t i = 0; i < N; i++) {
		struct wire_message m;

		snprintf(key, sizeof(key), "k%d", i);
		m = message(i % 7 ? key : NULL, TG_SLICE("some value"));
		assert_int_equal(wire_record(&from, i, &m), 0);
		if (i >= N / 2)
			assert_int_equal(wire_record(&want, i - N / 2, &m), 0);
	}
	r = (struct wire_reader){from.data + WIRE_BATCH_HEADER, from.data + from.len, false};
	for (int32_t i = 0; i < N; i++) {
		struct tg_slice got;
		size_t len;

		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(wire_record_peek(r, &len, &got), 0);
		assert_true(i % 7 ? tg_slice_is(got, key) : !got.data);
		if (i < N / 2)
			assert_int_equal(wire_record_copy(NULL, 0, &r), -TG_ENOMEM);
		else
			assert_int_equal(wire_record_copy(&to, i - N / 2, &r), 0);
	}
	assert_ptr_equal(r.at, r.end);
	assert_int_equal(to.len, want.len);
	assert_memory_equal(to.data + WIRE_BATCH_HEADER, want.data + WIRE_BATCH_HEADER,
		to.len - WIRE_BATCH_HEADER);
	assert_int_equal(wire_record_copy(&to, 0, &r), -TG_EPARSE);
	tg_buf_release(&from);
	tg_buf_release(&to);
	tg_buf_release(&want);
}

static void reader__reads_nothing_past_the_end(void **state)
{
	static const char bytes[] = {
		(char)0xff, (char)0xfe, 0, 2, 'a', 'b', (char)0xff, (char)0xff, 1};
	struct wire_reader r = {bytes, bytes + sizeof(bytes), false};

	(void)state;
	assert_int_equal(wire_int(&r, 2), -2);
	assert_true(tg_slice_is(wire_text(&r), "ab"));
	assert_null(wire_text(&r).data);
	assert_false(r.broken);
	assert_int_equal(wire_int(&r, 4), 0);
	assert_true(r.broken);
	assert_int_equal(wire_int(&r, 1), 0);
	r = (struct wire_reader){bytes + 2, bytes + 5, false}; /* a text that is cut */
	assert_null(wire_text(&r).data);
	assert_true(r.broken);
}

static void judge__decides_every_kind_of_error(void **state)
{
	static const struct {
		int error;
		enum wire_verdict want;
	} cases[] = {
		{0, WIRE_TAKEN}, {46, WIRE_TAKEN}, /* stored before */
		{3, WIRE_AGAIN},                   /* no such partition, yet */
		{6, WIRE_AGAIN},                   /* not the leader */
		{7, WIRE_AGAIN},                   /* timed out */
		{19, WIRE_AGAIN},                  /* too few replicas */
		{-1, WIRE_AGAIN},                  /* unknown */
		{10, WIRE_CUT},                    /* message too large */
		{18, WIRE_CUT},                    /* record list too large */
		{45, WIRE_NEW_ID},                 /* out of order */
		{59, WIRE_NEW_ID},                 /* unknown producer */
		{17, WIRE_REFUSED},                /* invalid topic */
		{29, WIRE_REFUSED},                /* not authorized */
		{87, WIRE_REFUSED},                /* invalid record */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(wire_judge(cases[i].error), cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c__gives_the_published_values),
		cmocka_unit_test(partition_of__agrees_with_the_java_client),
		cmocka_unit_test(record__is_laid_out_as_the_guide_says),
		cmocka_unit_test(record__null_and_empty_differ),
		cmocka_unit_test(seal__writes_the_header_and_its_checksum),
		cmocka_unit_test(record_copy__changes_the_place_alone),
		cmocka_unit_test(reader__reads_nothing_past_the_end),
		cmocka_unit_test(judge__decides_every_kind_of_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
