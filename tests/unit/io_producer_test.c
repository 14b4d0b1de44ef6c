/* base/io/kafka's producer against librdkafka's own mock cluster, which can be told to fail. */
#include "tests/io_loop.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/io/kafka_wire.h"
#include "base/log.h"

#define INIT_PRODUCER_ID 22 /* API keys of the protocol */
#define PRODUCE          0

#define KEYED_PARTITIONS 4

struct rig {
	uv_loop_t loop;
	rd_kafka_t *owner;
	rd_kafka_mock_cluster_t *cluster;
	struct tg_producer *p;
	int reports, refused, rc;
	uintptr_t last;
	bool in_order;
};

static void on_delivery(void *ctx, void *tag, int rc)
{
	struct rig *rig = ctx;

	rig->reports++;
	rig->refused += rc != 0;
	rig->rc = rc;
	rig->in_order = rig->in_order && (uintptr_t)tag == rig->last + 1;
	rig->last = (uintptr_t)tag;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	char why[256];

	rig->in_order = true;
	uv_loop_init(&rig->loop);
	rig->owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof(why));
	assert_non_null(rig->owner);
	rig->cluster = rd_kafka_mock_cluster_new(rig->owner, 1);
	assert_non_null(rig->cluster);
	assert_int_equal(rd_kafka_mock_topic_create(rig->cluster, "t", 1, 1), 0);
	*state = rig;
	return 0;
}

static void open_producer(struct rig *rig)
{
	assert_int_equal(
		tg_producer_open(&rig->loop, rd_kafka_mock_cluster_bootstraps(rig->cluster),
			"io_test", 0, on_delivery, rig, &rig->p),
		0);
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	tg_producer_close(rig->p);
	io_loop_end(&rig->loop);
	rd_kafka_mock_cluster_destroy(rig->cluster);
	rd_kafka_destroy(rig->owner);
	free(rig);
	return 0;
}

/* Tags count from 1. */
static void send_range(struct rig *rig, uintptr_t from, uintptr_t to)
{
	for (uintptr_t i = from; i <= to; i++)
		assert_int_equal(tg_producer_send(rig->p, "t", 0, TG_SLICE("k"), TG_SLICE("v"),
					 NULL, 0, (void *)i),
			0);
}

static bool all_reported(void *ctx)
{
	return tg_producer_in_flight(((struct rig *)ctx)->p) == 0;
}

static void producer__failures_that_pass_are_ridden_out_in_order(void **state)
{
	struct rig *rig = *state;

	rd_kafka_mock_push_request_errors(rig->cluster, PRODUCE, 4,
		RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
		RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR__TRANSPORT);
	open_producer(rig);
	send_range(rig, 1, 500);
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->reports, 500);
	assert_int_equal(rig->refused, 0);
	assert_true(rig->in_order);
}

/* Without an id nothing is sent; one that is refused is asked for again. */
static void producer__an_id_that_is_refused_is_asked_for_again(void **state)
{
	struct rig *rig = *state;

	rd_kafka_mock_push_request_errors(
		rig->cluster, INIT_PRODUCER_ID, 1, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
	open_producer(rig);
	send_range(rig, 1, 20);
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->reports, 20);
	assert_int_equal(rig->refused, 0);
	assert_true(rig->in_order);
}

/* The broker has forgotten or fenced the id: another one goes on. */
static void producer__an_id_that_is_gone_is_replaced(void **state)
{
	struct rig *rig = *state;

	rd_kafka_mock_push_request_errors(rig->cluster, PRODUCE, 3,
		RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
		RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
		RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
	open_producer(rig);
	send_range(rig, 1, 200);
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->reports, 200);
	assert_int_equal(rig->refused, 0);
	assert_true(rig->in_order);
}

/* Too much for the topic's limit in one piece: sent in smaller ones. Only a message that is too
 * large by itself is refused. */
static void producer__a_batch_that_is_too_large_is_cut(void **state)
{
	struct rig *rig = *state;

	rd_kafka_mock_push_request_errors(rig->cluster, PRODUCE, 2,
		RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	open_producer(rig);
	send_range(rig, 1, 101);
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->reports, 101);
	assert_int_equal(rig->refused, 0);
	assert_true(rig->in_order);
	rd_kafka_mock_push_request_errors(
		rig->cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	send_range(rig, 102, 102);
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->refused, 1);
}

static void producer__a_partition_that_there_is_not_is_reported(void **state)
{
	struct rig *rig = *state;

	open_producer(rig);
	assert_int_equal(
		tg_producer_send(rig->p, "t", 3, TG_SLICE("k"), TG_SLICE("v"), NULL, 0, (void *)1),
		0); /* nobody knows yet */
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->rc, -TG_ENOENT);
	assert_int_equal(
		tg_producer_send(rig->p, "t", 3, TG_SLICE("k"), TG_SLICE("v"), NULL, 0, (void *)2),
		-TG_ENOENT);
	send_range(rig, 2, 2);
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->rc, 0);
}

/* Reads the topic back and counts the values from 1 on. */
struct reading {
	struct tg_consumer *c;
	bool seen[2000];
	int distinct, doubles, strays;
	bool closed;
};

static void on_assign(void *ctx, const struct tg_partition *parts, size_t n)
{
	struct reading *r = ctx;

	tg_consumer_assign(r->c, parts, n);
}

static void on_revoke(void *ctx)
{
	(void)ctx;
}

static void on_record(void *ctx, struct tg_record *rec)
{
	struct reading *r = ctx;
	size_t i = 0;

	for (size_t k = 0; k < rec->value.len; k++)
		i = i * 10 + (size_t)(rec->value.data[k] - '0');
	r->doubles += r->seen[i];
	r->distinct += !r->seen[i];
	r->seen[i] = true;
	if (rec->key.len > 1) /* the usual key is one letter */
		r->strays += rec->partition != wire_partition_of(rec->key, KEYED_PARTITIONS);
	tg_record_free(rec);
}

static int ends_wanted;
static bool ended;

static void on_end(void *ctx, const char *topic, int32_t partition, int64_t next)
{
	(void)ctx, (void)topic, (void)partition, (void)next;
	ended = --ends_wanted <= 0;
}

static void on_closed(void *ctx)
{
	((struct reading *)ctx)->closed = true;
}

static void read_back(struct rig *rig, const char *topic, int partitions, struct reading *r)
{
	static const struct tg_consumer_ops ops = {
		on_assign, on_revoke, on_record, on_end, NULL, on_closed};
	const char *topics[] = {topic};
	struct tg_consumer_conf conf = {.brokers = rd_kafka_mock_cluster_bootstraps(rig->cluster),
		.group = "g",
		.client_id = "io_test",
		.topics = topics,
		.topics_count = 1};

	ended = false;
	ends_wanted = partitions;
	assert_int_equal(tg_consumer_open(&rig->loop, &conf, &ops, r, &r->c), 0);
	IO_WAIT(&rig->loop, ended);
	tg_consumer_close(r->c);
	IO_WAIT(&rig->loop, r->closed);
}

static void producer__what_is_reported_is_stored_though_the_first_request_failed(void **state)
{
	enum { N = 60 };
	struct rig *rig = *state;
	struct reading r = {0};

	rd_kafka_mock_broker_set_rtt(rig->cluster, -1, 60);
	rd_kafka_mock_push_request_errors(
		rig->cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
	open_producer(rig);
	for (uintptr_t i = 1; i <= N; i++) {
		char text[16];
		uint64_t until = uv_hrtime() + 12000000;

		snprintf(text, sizeof(text), "%zu", (size_t)i);
		assert_int_equal(tg_producer_send(rig->p, "t", 0, TG_SLICE("k"),
					 tg_slice_cstr(text), NULL, 0, (void *)i),
			0);
		while (uv_hrtime() < until) /* a little apart, so that they go out one by one */
			uv_run(&rig->loop, UV_RUN_NOWAIT);
	}
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->reports, N);
	assert_int_equal(rig->refused, 0);
	assert_true(rig->in_order);
	rd_kafka_mock_broker_set_rtt(rig->cluster, -1, 0);
	read_back(rig, "t", 1, &r);
	assert_int_equal(r.distinct, N);
}

/* Sent before anybody knows how many partitions there are. */
static void producer__a_key_finds_its_partition(void **state)
{
	enum { N = 300 };
	struct rig *rig = *state;
	struct reading r = {0};

	rd_kafka_mock_topic_create(rig->cluster, "keyed", KEYED_PARTITIONS, 1);
	open_producer(rig);
	for (uintptr_t i = 1; i <= N; i++) {
		char key[24], text[16];

		snprintf(key, sizeof(key), "key-%zu", (size_t)i);
		snprintf(text, sizeof(text), "%zu", (size_t)i);
		assert_int_equal(tg_producer_send(rig->p, "keyed", -1, tg_slice_cstr(key),
					 tg_slice_cstr(text), NULL, 0, (void *)i),
			0);
	}
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->reports, N);
	assert_int_equal(rig->refused, 0);
	read_back(rig, "keyed", KEYED_PARTITIONS, &r);
	assert_int_equal(r.distinct, N);
	assert_int_equal(r.doubles, 0);
	assert_int_equal(r.strays, 0);
}

static void producer__more_headers_than_usual_are_sent(void **state)
{
	struct rig *rig = *state;
	struct tg_header headers[300];

	for (int i = 0; i < 300; i++)
		headers[i] = (struct tg_header){"h", TG_SLICE("v")};
	open_producer(rig);
	assert_int_equal(tg_producer_send(rig->p, "t", 0, TG_SLICE("k"), TG_SLICE("v"), headers,
				 300, (void *)1),
		0);
	assert_true(io_until(&rig->loop, all_reported, rig, IO_LIMIT_MS));
	assert_int_equal(rig->refused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			producer__failures_that_pass_are_ridden_out_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			producer__an_id_that_is_refused_is_asked_for_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			producer__an_id_that_is_gone_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(
			producer__a_batch_that_is_too_large_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(
			producer__what_is_reported_is_stored_though_the_first_request_failed, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			producer__a_partition_that_there_is_not_is_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(
			producer__a_key_finds_its_partition, setup, teardown),
		cmocka_unit_test_setup_teardown(
			producer__more_headers_than_usual_are_sent, setup, teardown),
	};

	tg_log_init("io_producer_test", TG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
