/* base/io/kafka against a real broker: TONGGUAN_KAFKA_BROKERS. Topics of its own, named after the
 * process. */
#include "tests/io_loop.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/kafka.h"
#include "base/list.h"
#include "base/log.h"

enum { PARTITIONS = 4, RECORDS = 20000 };

static const char *brokers;
static char topic[64], group_base[80];
static int groups;

struct sent {
	int reports, refused;
	bool in_order;
	intptr_t last;
};

static void on_delivery(void *ctx, void *tag, int rc)
{
	struct sent *sent = ctx;

	sent->reports++;
	sent->refused += rc != 0;
	sent->last = (intptr_t)tag;
}

static void produce(uv_loop_t *loop, struct tg_producer *p, struct sent *sent, int32_t partition,
	int from, int to)
{
	int want = sent->reports + to - from;

	for (int i = from; i < to; i++) {
		char key[32], value[64];
		struct tg_header headers[] = {
			{"n", {key, 0}}, {"content-type", TG_SLICE("text/plain")}};
		int rc;

		snprintf(key, sizeof(key), "k%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		headers[0].value.len = strlen(key);
		while ((rc = tg_producer_send(p, topic, partition, tg_slice_cstr(key),
				tg_slice_cstr(value), headers, 2, (void *)(intptr_t)i)) ==
			-TG_EFULL)
			uv_run(loop, UV_RUN_ONCE);
		assert_int_equal(rc, 0);
	}
	while (sent->reports < want)
		uv_run(loop, UV_RUN_ONCE);
}

/* A role as thin as can be: reads from `start` and counts. */
struct reader {
	uv_loop_t *loop;
	struct tg_consumer *c;
	int64_t start;
	bool hold; /* answer on_assign later */
	int assigns, revokes, ends, out_of_range;
	bool ended[PARTITIONS];
	size_t parts_count;
	struct tg_partition parts[16];
	int records, gaps;
	int64_t next[PARTITIONS];
	int64_t range_offset;
	int pause_every;
	bool closed;
	bool headers_ok;
	char first_key[64];
};

static void answer(struct reader *r)
{
	memset(r->ended, 0, sizeof(r->ended));
	r->ends = 0;
	for (size_t i = 0; i < r->parts_count; i++) {
		r->parts[i].offset = r->start;
		r->next[r->parts[i].partition] = r->start;
	}
	tg_consumer_assign(r->c, r->parts, r->parts_count);
}

static void on_assign(void *ctx, const struct tg_partition *parts, size_t n)
{
	struct reader *r = ctx;

	r->assigns++;
	r->parts_count = n;
	memcpy(r->parts, parts, n * sizeof(*parts));
	if (!r->hold)
		answer(r);
}

static void on_revoke(void *ctx)
{
	((struct reader *)ctx)->revokes++;
}

static void on_resume(uv_timer_t *timer)
{
	struct reader *r = timer->data;

	tg_consumer_resume(r->c);
	uv_close((uv_handle_t *)timer, io_on_closed);
}

static void on_record(void *ctx, struct tg_record *rec)
{
	struct reader *r = ctx;
	struct tg_slice v;
	struct tg_header all[TG_HEADERS_MAX];

	if (r->records == 0)
		snprintf(r->first_key, sizeof(r->first_key), "%.*s", (int)rec->key.len,
			rec->key.data);
	r->headers_ok = tg_record_header(rec, "n", &v) && tg_slice_eq(v, rec->key) &&
			tg_record_headers(rec, all, TG_HEADERS_MAX) == 2 && rec->stamp_is_log &&
			rec->stamp_us > 0;
	r->gaps += rec->offset != r->next[rec->partition];
	r->next[rec->partition] = rec->offset + 1;
	r->records++;
	if (r->pause_every && r->records % r->pause_every == 0) {
		uv_timer_t *timer = malloc(sizeof(*timer));

		assert_non_null(timer);
		tg_consumer_pause(r->c);
		uv_timer_init(r->loop, timer);
		timer->data = r;
		/* Every other one is long enough for the pause to be told to librdkafka. */
		uv_timer_start(
			timer, on_resume, r->records % (r->pause_every * 2) == 0 ? 1300 : 1, 0);
	}
	tg_record_free(rec);
}

static void on_end(void *ctx, const char *name, int32_t partition, int64_t next)
{
	struct reader *r = ctx;

	(void)name;
	/* It comes again after a pause that was told to librdkafka. */
	if (r->next[partition] == next && !r->ended[partition]) {
		r->ended[partition] = true;
		r->ends++;
	}
}

static void on_out_of_range(void *ctx, const char *name, int32_t partition, int64_t offset)
{
	struct reader *r = ctx;

	(void)name;
	r->out_of_range++;
	r->range_offset = offset;
	r->next[partition] = 0;
	tg_consumer_seek(r->c, name, partition, 0);
}

static void on_closed(void *ctx)
{
	((struct reader *)ctx)->closed = true;
}

static const struct tg_consumer_ops reader_ops = {
	on_assign, on_revoke, on_record, on_end, on_out_of_range, on_closed};

static void reader_open(
	struct reader *r, uv_loop_t *loop, const char *group, const char *const *topics, size_t n)
{
	struct tg_consumer_conf conf = {.brokers = brokers,
		.group = group,
		.client_id = "io_test",
		.topics = topics,
		.topics_count = n};

	r->loop = loop;
	assert_int_equal(tg_consumer_open(loop, &conf, &reader_ops, r, &r->c), 0);
}

static const char *new_group(void)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s-%d", group_base, ++groups);
	return name;
}

static void reader_close(struct reader *r)
{
	tg_consumer_close(r->c);
	IO_WAIT(r->loop, r->closed);
}

static bool read_all(void *ctx)
{
	struct reader *r = ctx;

	return r->records >= RECORDS && r->ends >= PARTITIONS;
}

/* Waits, or says how far it came. */
static void expect(struct reader *r, bool (*done)(void *ctx), void *ctx)
{
	if (io_until(r->loop, done, ctx, IO_LIMIT_MS))
		return;
	for (int p = 0; p < PARTITIONS; p++)
		print_message("partition %d: next %" PRId64 "%s\n", p, r->next[p],
			r->ended[p] ? ", end seen" : "");
	fail_msg("%d records, %d assignments, %d revoked, %d out of range", r->records, r->assigns,
		r->revokes, r->out_of_range);
}

static bool has_assign(void *ctx)
{
	return ((struct reader *)ctx)->assigns > 0;
}

static int setup_once(void **state)
{
	struct tg_topic_spec specs[] = {
		{topic, PARTITIONS, 8 << 20, -1}, {topic, PARTITIONS, 0, 0}};
	struct tg_buf why = {0};
	struct sent sent = {0};
	struct tg_producer *p;
	uv_loop_t loop;
	int rc;

	(void)state;
	brokers = getenv("TONGGUAN_KAFKA_BROKERS");
	if (!brokers)
		return 0;
	snprintf(topic, sizeof(topic), "io-test-%d-%" PRId64, (int)getpid(), tg_now_us());
	snprintf(group_base, sizeof(group_base), "g-%s", topic);
	rc = tg_topics_create(brokers, specs, 1, &why);
	if (rc)
		fail_msg("%s", tg_buf_cstr(&why));
	rc = tg_topics_create(brokers, specs, 1, &why); /* there already: fine */
	assert_int_equal(rc, 0);
	uv_loop_init(&loop);
	assert_int_equal(tg_producer_open(&loop, brokers, "io_test", on_delivery, &sent, &p), 0);
	assert_int_equal(tg_producer_partitions(p, topic, 5000), PARTITIONS);
	assert_int_equal(tg_producer_partitions(p, "io-test-nowhere", 5000), -TG_ENOENT);
	produce(&loop, p, &sent, -1, 0, RECORDS);
	assert_int_equal(sent.reports, RECORDS);
	assert_int_equal(sent.refused, 0);
	assert_int_equal(tg_producer_in_flight(p), 0);
	tg_producer_close(p);
	io_loop_end(&loop);
	tg_buf_release(&why);
	return 0;
}

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

/* ---- a backlog larger than the prefetch ---- */

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
	assert_int_equal(tg_producer_open(loop, brokers, "io_test", on_delivery, &sent, &p), 0);
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
	assert_int_equal(tg_producer_open(&loop, brokers, "io_test", on_delivery, &sent, &p), 0);
	assert_int_equal(tg_buf_reserve(&big, 9 << 20), 0);
	memset(big.data, 'x', 9 << 20);
	big.len = 9 << 20;
	assert_int_equal(tg_producer_send(p, topic, 0, (struct tg_slice){0},
				 (struct tg_slice){big.data, big.len}, NULL, 0, NULL),
		-TG_ERANGE);
	assert_int_equal(tg_producer_send(p, topic, 0, (struct tg_slice){0},
				 (struct tg_slice){big.data, 7 << 20}, NULL, 0, NULL),
		0);
	assert_int_equal(tg_producer_send(p, topic, 0, TG_SLICE("tomb"), (struct tg_slice){0}, NULL,
				 0, NULL),
		0);
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
		tg_producer_open(&loop, "127.0.0.1:1", "io_test", on_delivery, &sent, &p), 0);
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
		cmocka_unit_test(consumer__reads_all_from_an_offset_given_from_outside),
		cmocka_unit_test(consumer__pauses_lose_and_repeat_nothing),
		cmocka_unit_test(consumer__an_offset_beyond_the_log_is_told_and_seek_mends_it),
		cmocka_unit_test(consumer__seeks_in_quick_succession_read_from_the_last),
		cmocka_unit_test(consumer__asks_for_watermarks_and_times),
		cmocka_unit_test(consumer__a_group_of_two_shares_rejoins_and_takes_over),
		cmocka_unit_test(consumer__waits_quietly_for_a_topic_that_comes_later),
		cmocka_unit_test(consumer__a_fast_reader_of_a_backlog_is_not_left_waiting),
		cmocka_unit_test(consumer__no_broker_is_said_and_closing_ends),
		cmocka_unit_test(producer__refuses_what_is_too_large_and_sends_what_is_large),
		cmocka_unit_test(producer__stopping_without_a_broker_reports_every_message),
	};

	tg_log_init("io_test", TG_WARN);
	return cmocka_run_group_tests(tests, setup_once, NULL);
}
