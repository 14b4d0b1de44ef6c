/* The consumer of base/io/kafka: offsets from outside, pauses, seeks, groups. */
#include "base/log.h"
#include "tests/integration/io_kafka_rig.h"

static void consumer__reads_all_from_an_offset_given_from_outside(void **state)
{
	const char *topics[] = {topic};
	struct reader r = {.start = 10};
	uv_loop_t loop;

	(void)state;
	IO_NEED(brokers);
	uv_loop_init(&loop);
	r.records = 10 * PARTITIONS; /* what lies below the start */
	reader_open(&r, &loop, new_group(), topics, 1);
	expect(&r, read_all, &r);
	assert_int_equal(r.records, RECORDS);
	assert_int_equal(r.gaps, 0);
	assert_int_equal(r.assigns, 1);
	assert_true(r.headers_ok);
	assert_true(tg_consumer_connected(r.c));
	tg_consumer_note_offsets(r.c, r.parts, r.parts_count);
	reader_close(&r);
	io_loop_end(&loop);
}

static void consumer__pauses_lose_and_repeat_nothing(void **state)
{
	const char *topics[] = {topic};
	struct reader r = {
		.start = -1, .pause_every = 3000}; /* the last pause ends before the log does */
	uv_loop_t loop;

	(void)state;
	IO_NEED(brokers);
	uv_loop_init(&loop);
	reader_open(&r, &loop, new_group(), topics, 1);
	r.gaps = -PARTITIONS; /* the first of each partition, since next starts at -1 */
	expect(&r, read_all, &r);
	assert_int_equal(r.records, RECORDS);
	assert_int_equal(r.gaps, 0);
	reader_close(&r);
	io_loop_end(&loop);
}

static bool got_range(void *ctx)
{
	struct reader *r = ctx;

	return r->out_of_range >= PARTITIONS && read_all(r);
}

static void consumer__an_offset_beyond_the_log_is_told_and_seek_mends_it(void **state)
{
	const char *topics[] = {topic};
	struct reader r = {.start = 1000000};
	uv_loop_t loop;

	(void)state;
	IO_NEED(brokers);
	uv_loop_init(&loop);
	reader_open(&r, &loop, new_group(), topics, 1);
	expect(&r, got_range, &r);
	assert_int_equal(r.out_of_range, PARTITIONS);
	assert_int_equal(r.range_offset, 1000000);
	assert_int_equal(r.records, RECORDS);
	assert_int_equal(r.gaps, 0);
	reader_close(&r);
	io_loop_end(&loop);
}

struct mark {
	bool done;
	int rc;
	int64_t low, high;
};

static void on_mark(void *ctx, int rc, int64_t low, int64_t high)
{
	*(struct mark *)ctx = (struct mark){true, rc, low, high};
}

static void consumer__seeks_in_quick_succession_read_from_the_last(void **state)
{
	const char *topics[] = {topic};
	struct reader r = {0};
	uv_loop_t loop;

	(void)state;
	IO_NEED(brokers);
	uv_loop_init(&loop);
	reader_open(&r, &loop, new_group(), topics, 1);
	assert_true(io_until(&loop, has_assign, &r, IO_LIMIT_MS));
	for (int i = 0; i < 300; i++) {
		for (int32_t p = 0; p < PARTITIONS; p++)
			tg_consumer_seek(r.c, topic, p, 500 + i);
		if (i % 3 == 0)
			uv_run(&loop, UV_RUN_NOWAIT);
		if (i % 10 == 0)
			answer(&r);
	}
	r.records = 0;
	for (int32_t p = 0; p < PARTITIONS; p++) {
		tg_consumer_seek(r.c, topic, p, 0);
		r.next[p] = 0;
		r.ended[p] = false;
	}
	r.ends = r.gaps = 0;
	expect(&r, read_all, &r);
	assert_int_equal(r.records, RECORDS);
	assert_int_equal(r.gaps, 0);
	reader_close(&r);
	io_loop_end(&loop);
}

static void consumer__asks_for_watermarks_and_times(void **state)
{
	const char *topics[] = {topic};
	struct reader r = {.hold = true};
	struct mark mark = {0}, early = {0}, late = {0}, nowhere = {0};
	uv_loop_t loop;

	(void)state;
	IO_NEED(brokers);
	uv_loop_init(&loop);
	reader_open(&r, &loop, new_group(), topics, 1);
	assert_int_equal(tg_consumer_watermarks(r.c, topic, 0, on_mark, &mark), 0);
	assert_int_equal(tg_consumer_offset_at(r.c, topic, 0, 0, on_mark, &early), 0);
	assert_int_equal(
		tg_consumer_offset_at(r.c, topic, 0, tg_now_us() + TG_US_PER_H, on_mark, &late), 0);
	assert_int_equal(tg_consumer_watermarks(r.c, "io-test-nowhere", 0, on_mark, &nowhere), 0);
	IO_WAIT(&loop, mark.done);
	IO_WAIT(&loop, early.done);
	IO_WAIT(&loop, late.done);
	assert_int_equal(mark.rc, 0);
	assert_int_equal(mark.low, 0);
	assert_true(mark.high > 1000);
	assert_int_equal(early.low, 0);
	assert_int_equal(late.high, mark.high);
	/* Closing with a question open and an assignment never answered. */
	tg_consumer_close(r.c);
	IO_WAIT(&loop, r.closed);
	assert_true(nowhere.done);
	assert_true(nowhere.rc < 0);
	io_loop_end(&loop);
}

static bool split_in_two(void *ctx)
{
	struct reader *both = ctx;

	return both[0].parts_count == 2 && both[1].parts_count == 2 && both[0].ends >= 2 &&
	       both[1].ends >= 2;
}

static bool rejoined(void *ctx)
{
	struct reader *both = ctx;

	return both[0].revokes >= 1 && both[0].assigns >= 2 && both[0].ends >= 2;
}

static bool took_over(void *ctx)
{
	struct reader *r = ctx;

	return r->parts_count == PARTITIONS && read_all(r);
}

static void consumer__a_group_of_two_shares_rejoins_and_takes_over(void **state)
{
	const char *topics[] = {topic};
	struct reader both[2] = {0};
	char group[96];
	uv_loop_t loop;
	int assigns;

	(void)state;
	IO_NEED(brokers);
	uv_loop_init(&loop);
	snprintf(group, sizeof(group), "%s", new_group());
	reader_open(&both[0], &loop, group, topics, 1);
	assert_true(io_until(&loop, has_assign, &both[0], IO_LIMIT_MS));
	reader_open(&both[1], &loop, group, topics, 1);
	expect(&both[0], split_in_two, both);
	assert_true(both[0].revokes >= 1);

	both[0].revokes = 0;
	both[0].assigns = 1;
	tg_consumer_rejoin(both[0].c);
	expect(&both[0], rejoined, both);

	assigns = both[0].assigns;
	both[0].records = 0;
	reader_close(&both[1]);
	expect(&both[0], took_over, &both[0]);
	assert_true(both[0].assigns > assigns);
	reader_close(&both[0]);
	io_loop_end(&loop);
}

static void consumer__waits_quietly_for_a_topic_that_comes_later(void **state)
{
	char later[80];
	const char *topics[] = {later};
	struct tg_topic_spec spec = {later, 1, 0, 0};
	struct reader r = {0};
	struct tg_buf why = {0};
	uv_loop_t loop;

	(void)state;
	IO_NEED(brokers);
	snprintf(later, sizeof(later), "%s-later", topic);
	uv_loop_init(&loop);
	reader_open(&r, &loop, new_group(), topics, 1);
	for (int i = 0; i < 10; i++)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(tg_topics_create(brokers, &spec, 1, &why), 0);
	while (r.parts_count == 0)
		uv_run(&loop, UV_RUN_ONCE);
	assert_string_equal(r.parts[0].topic, later);
	reader_close(&r);
	io_loop_end(&loop);
	tg_buf_release(&why);
}

static void consumer__no_broker_is_said_and_closing_ends(void **state)
{
	const char *topics[] = {"any"};
	struct tg_consumer_conf conf = {.brokers = "127.0.0.1:1",
		.group = "g",
		.client_id = "io_test",
		.topics = topics,
		.topics_count = 1};
	struct reader r = {0};
	uv_loop_t loop;
	uint64_t began = uv_hrtime();

	(void)state;
	uv_loop_init(&loop);
	r.loop = &loop;
	assert_int_equal(tg_consumer_open(&loop, &conf, &reader_ops, &r, &r.c), 0);
	for (int i = 0; i < 10; i++)
		uv_run(&loop, UV_RUN_ONCE);
	assert_false(tg_consumer_connected(r.c));
	reader_close(&r);
	io_loop_end(&loop);
	assert_true(uv_hrtime() - began < 9000000000u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(consumer__reads_all_from_an_offset_given_from_outside),
		cmocka_unit_test(consumer__pauses_lose_and_repeat_nothing),
		cmocka_unit_test(consumer__an_offset_beyond_the_log_is_told_and_seek_mends_it),
		cmocka_unit_test(consumer__seeks_in_quick_succession_read_from_the_last),
		cmocka_unit_test(consumer__asks_for_watermarks_and_times),
		cmocka_unit_test(consumer__a_group_of_two_shares_rejoins_and_takes_over),
		cmocka_unit_test(consumer__waits_quietly_for_a_topic_that_comes_later),
		cmocka_unit_test(consumer__no_broker_is_said_and_closing_ends),
	};

	tg_log_init("io_test", TG_WARN);
	return cmocka_run_group_tests(tests, setup_once, NULL);
}
