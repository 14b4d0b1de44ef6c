/* base/io/kafka where it is much: a backlog larger than the prefetch, messages of several
 * megabytes, a producer that must stop without a broker. */
#include "base/list.h"
#include "base/log.h"
#include "tests/integration/io_kafka_rig.h"

#define WIDE_RECORDS    60000
#define WIDE_BYTES      500
#define LONG_WAIT_US    200000
#define RECORD_COSTS_US 12

struct wide {
	struct reader reader;
	int64_t last_us, waited_us; /* without a record although there are more */
};

static void on_wide_record(void *ctx, struct tg_record *rec)
{
	struct wide *w = tg_container_of((struct reader *)ctx, struct wide, reader);
	int64_t now = tg_mono_us();

	if (w->reader.records && now - w->last_us > LONG_WAIT_US)
		w->waited_us += now - w->last_us;
	w->reader.records++;
	tg_record_free(rec);
	/* What is done with a record takes its time: else the prefetch is never full. */
	do
		w->last_us = tg_mono_us();
	while (w->last_us < now + RECORD_COSTS_US);
}

static bool wide_done(void *ctx)
{
	return ((struct wide *)ctx)->reader.records >= WIDE_RECORDS;
}

static void wide_fill(uv_loop_t *loop, const char *name)
{
	struct tg_topic_spec spec = {name, PARTITIONS, 0, -1};
	struct tg_buf why = {0};
	struct sent sent = {0};
	struct tg_producer *p;
	char value[WIDE_BYTES];

	memset(value, 'w', sizeof(value));
	assert_int_equal(tg_topics_create(brokers, &spec, 1, &why), 0);
	assert_int_equal(tg_producer_open(loop, brokers, "io_test", 0, on_delivery, &sent, &p), 0);
	for (int i = 0; i < WIDE_RECORDS; i++) {
		while (tg_producer_send(p, name, i % PARTITIONS, (struct tg_slice){0},
			       (struct tg_slice){value, sizeof(value)}, NULL, 0, NULL) == -TG_EFULL)
			uv_run(loop, UV_RUN_ONCE);
	}
	while (sent.reports < WIDE_RECORDS)
		uv_run(loop, UV_RUN_ONCE);
	tg_producer_close(p);
	tg_buf_release(&why);
}

/* Once its prefetch was full, librdkafka used to sleep up to a second however empty it had become.
 */
static void consumer__a_fast_reader_of_a_backlog_is_not_left_waiting(void **state)
{
	struct tg_consumer_ops ops = reader_ops;
	struct wide w = {.reader = {.start = 0}};
	char name[80];
	const char *topics[] = {name};
	struct tg_consumer_conf conf = {
		.client_id = "io_test", .topics = topics, .topics_count = 1};
	uv_loop_t loop;

	(void)state;
	IO_NEED(brokers);
	uv_loop_init(&loop);
	snprintf(name, sizeof(name), "%s-wide", topic);
	wide_fill(&loop, name);
	conf.brokers = brokers;
	conf.group = new_group();
	ops.on_record = on_wide_record;
	w.reader.loop = &loop;
	assert_int_equal(tg_consumer_open(&loop, &conf, &ops, &w.reader, &w.reader.c), 0);
	assert_true(io_until(&loop, wide_done, &w, IO_LIMIT_MS));
	print_message("waited %" PRId64 " ms\n", w.waited_us / 1000);
	assert_true(w.waited_us < 800000);
	reader_close(&w.reader);
	io_loop_end(&loop);
}

static void producer__refuses_what_is_too_large_and_sends_what_is_large(void **state)
{
	struct tg_producer *p;
	struct sent sent = {0};
	struct tg_buf big = {0};
	uv_loop_t loop;

	(void)state;
	IO_NEED(brokers);
	uv_loop_init(&loop);
	assert_int_equal(tg_producer_open(&loop, brokers, "io_test", 0, on_delivery, &sent, &p), 0);
	assert_int_equal(tg_buf_reserve(&big, 9 << 20), 0);
	memset(big.data, 'x', 9 << 20);
	big.len = 9 << 20;
	assert_int_equal(tg_producer_send(p, topic, 0, (struct tg_slice){0},
				 (struct tg_slice){big.data, big.len}, NULL, 0, NULL),
		-TG_ERANGE);
	assert_int_equal(tg_producer_send(p, topic, 0, (struct tg_slice){0},
				 (struct tg_slice){big.data, 7 << 20}, NULL, 0, NULL),
		0);
	while (tg_producer_send(p, topic, 0, TG_SLICE("tomb"), (struct tg_slice){0}, NULL, 0,
		       NULL) == -TG_EFULL) /* until the large one is delivered */
		uv_run(&loop, UV_RUN_ONCE);
	while (sent.reports < 2)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(sent.refused, 0);
	tg_producer_close(p);
	io_loop_end(&loop);
	tg_buf_release(&big);
}

static void producer__stopping_without_a_broker_reports_every_message(void **state)
{
	struct tg_producer *p;
	struct sent sent = {0};
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(
		tg_producer_open(&loop, "127.0.0.1:1", "io_test", 0, on_delivery, &sent, &p), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			tg_producer_send(p, "any", -1, TG_SLICE("k"), TG_SLICE("v"), NULL, 0, NULL),
			0);
	tg_producer_close(p);
	assert_int_equal(sent.reports, 3);
	assert_int_equal(sent.refused, 3);
	io_loop_end(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(consumer__a_fast_reader_of_a_backlog_is_not_left_waiting),
		cmocka_unit_test(producer__refuses_what_is_too_large_and_sends_what_is_large),
		cmocka_unit_test(producer__stopping_without_a_broker_reports_every_message),
	};

	tg_log_init("io_test", TG_WARN);
	return cmocka_run_group_tests(tests, setup_once, NULL);
}
