/* What the tests of base/io/kafka share: a topic of their own on a real broker
 * (TONGGUAN_KAFKA_BROKERS), named after the process, and a role as thin as can be that reads it. */
#ifndef TG_TESTS_IO_KAFKA_RIG_H
#define TG_TESTS_IO_KAFKA_RIG_H

#include "tests/io_loop.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/kafka.h"

enum { PARTITIONS = 4, RECORDS = 20000 };

static const char *brokers;
static char topic[64], group_base[80];
static int groups;

struct sent {
	int reports, refused;
	bool in_order;
	intptr_t last;
};

static inline void on_delivery(void *ctx, void *tag, int rc)
{
	struct sent *sent = ctx;

	sent->reports++;
	sent->refused += rc != 0;
	sent->last = (intptr_t)tag;
}

static inline void produce(uv_loop_t *loop, struct tg_producer *p, struct sent *sent,
	int32_t partition, int from, int to)
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

static inline void answer(struct reader *r)
{
	memset(r->ended, 0, sizeof(r->ended));
	r->ends = 0;
	for (size_t i = 0; i < r->parts_count; i++) {
		r->parts[i].offset = r->start;
		r->next[r->parts[i].partition] = r->start;
	}
	tg_consumer_assign(r->c, r->parts, r->parts_count);
}

static inline void on_assign(void *ctx, const struct tg_partition *parts, size_t n)
{
	struct reader *r = ctx;

	r->assigns++;
	r->parts_count = n;
	memcpy(r->parts, parts, n * sizeof(*parts));
	if (!r->hold)
		answer(r);
}

static inline void on_revoke(void *ctx)
{
	((struct reader *)ctx)->revokes++;
}

static inline void on_resume(uv_timer_t *timer)
{
	struct reader *r = timer->data;

	tg_consumer_resume(r->c);
	uv_close((uv_handle_t *)timer, io_on_closed);
}

static inline void on_record(void *ctx, struct tg_record *rec)
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

static inline void on_end(void *ctx, const char *name, int32_t partition, int64_t next)
{
	struct reader *r = ctx;

	(void)name;
	/* It comes again after a pause that was told to librdkafka. */
	if (r->next[partition] == next && !r->ended[partition]) {
		r->ended[partition] = true;
		r->ends++;
	}
}

static inline void on_out_of_range(void *ctx, const char *name, int32_t partition, int64_t offset)
{
	struct reader *r = ctx;

	(void)name;
	r->out_of_range++;
	r->range_offset = offset;
	r->next[partition] = 0;
	tg_consumer_seek(r->c, name, partition, 0);
}

static inline void on_closed(void *ctx)
{
	((struct reader *)ctx)->closed = true;
}

static const struct tg_consumer_ops reader_ops = {
	on_assign, on_revoke, on_record, on_end, on_out_of_range, on_closed};

static inline void reader_open(
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

static inline const char *new_group(void)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s-%d", group_base, ++groups);
	return name;
}

static inline void reader_close(struct reader *r)
{
	tg_consumer_close(r->c);
	IO_WAIT(r->loop, r->closed);
}

static inline bool read_all(void *ctx)
{
	struct reader *r = ctx;

	return r->records >= RECORDS && r->ends >= PARTITIONS;
}

/* Waits, or says how far it came. */
static inline void expect(struct reader *r, bool (*done)(void *ctx), void *ctx)
{
	if (io_until(r->loop, done, ctx, IO_LIMIT_MS))
		return;
	for (int p = 0; p < PARTITIONS; p++)
		print_message("partition %d: next %" PRId64 "%s\n", p, r->next[p],
			r->ended[p] ? ", end seen" : "");
	fail_msg("%d records, %d assignments, %d revoked, %d out of range", r->records, r->assigns,
		r->revokes, r->out_of_range);
}

static inline bool has_assign(void *ctx)
{
	return ((struct reader *)ctx)->assigns > 0;
}

static inline int setup_once(void **state)
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
	assert_int_equal(tg_producer_open(&loop, brokers, "io_test", 0, on_delivery, &sent, &p), 0);
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

#endif
