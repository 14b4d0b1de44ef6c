#include "base/io/kafka_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define CLOSE_FLUSH_MS 3000
#define SEND_FIELDS    6 /* topic, partition, key, value, flags, tag */
#define TOPICS_KEPT    4 /* a role writes to few */

struct tg_producer {
	struct kafka_wake wake;
	rd_kafka_t *rk;
	char *brokers, *client_id, linger_ms[24];
	bool fatal; /* this client takes nothing more */
	tg_delivery_cb on_delivery;
	void *ctx;
	size_t in_flight;
	/* Handles of the topics written to lately: a name would be looked up for every message. */
	struct {
		char name[128];
		rd_kafka_topic_t *handle;
	} topics[TOPICS_KEPT];
	size_t topics_next;
	int64_t delivered_at; /* the message that is being reported */
};

static const struct kafka_option producer_options[] = {
	{"enable.idempotence", "true"},
	/* A broker takes any first sequence number of a producer it does not know yet. Were a
	 * second request under way while a partition's first one fails (a topic just made, a leader
	 * just moved), it would be stored, and librdkafka 2.0.2 would then report the first as
	 * delivered too though it never was. Seen: a log that begins with sequence 3, and three
	 * records reported that are nowhere. */
	{"max.in.flight.requests.per.connection", "1"},
	{"message.timeout.ms", "0"}, /* never gives up */
	{"request.timeout.ms", "15000"},
	{"queue.buffering.max.messages", "200000"},
	{"queue.buffering.max.kbytes", "131072"},
	{"retry.backoff.ms", "50"},
	/* The Java client's: everybody who writes a topic then agrees where a key belongs. */
	{"partitioner", "murmur2_random"},
	{NULL, NULL},
};

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct tg_producer *p = opaque;

	(void)rk;
	assert(p->in_flight > 0);
	p->in_flight--;
	if (m->err && m->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
		m->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		tg_log(TG_ERROR, "kafka message refused",
			TG_F("topic", TG_S(rd_kafka_topic_name(m->rkt))),
			TG_F("error", TG_S(rd_kafka_err2name(m->err))),
			TG_F("bytes", TG_I(m->len)));
	p->delivered_at = m->offset;
	if (p->on_delivery)
		p->on_delivery(p->ctx, m->_private, kafka_code(m->err));
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct tg_producer *p = opaque;

	p->fatal |= err == RD_KAFKA_RESP_ERR__FATAL;
	tg_log(p->fatal ? TG_ERROR : TG_WARN, "kafka producer",
		TG_F("client", TG_S(rd_kafka_name(rk))),
		TG_F("error", TG_S(rd_kafka_err2name((rd_kafka_resp_err_t)err))),
		TG_F("reason", TG_S(reason)));
}

static int client_new(struct tg_producer *p)
{
	rd_kafka_conf_t *options = kafka_conf(p->brokers, p->client_id, producer_options);
	rd_kafka_queue_t *queue;
	char why[KAFKA_WHY_MAX];

	if (!options)
		return -TG_ENOMEM;
	kafka_conf_option(options, "linger.ms", p->linger_ms);
	rd_kafka_conf_set_opaque(options, p);
	rd_kafka_conf_set_dr_msg_cb(options, on_report);
	rd_kafka_conf_set_error_cb(options, on_error);
	p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, options, why, sizeof(why));
	if (!p->rk) {
		tg_log(TG_ERROR, "kafka producer not made", TG_F("why", TG_S(why)));
		rd_kafka_conf_destroy(options);
		return -TG_EKAFKA;
	}
	p->fatal = false;
	rd_kafka_set_log_queue(p->rk, NULL);
	queue = rd_kafka_queue_get_main(p->rk);
	kafka_wake_on(&p->wake, queue);
	rd_kafka_queue_destroy(queue);
	return 0;
}

static void topic_drop(struct tg_producer *p, size_t i)
{
	if (p->topics[i].handle)
		rd_kafka_topic_destroy(p->topics[i].handle);
	p->topics[i].handle = NULL;
}

/* NULL when memory is out or the name is none. */
static rd_kafka_topic_t *topic_handle(struct tg_producer *p, const char *name)
{
	size_t i = p->topics_next;

	for (size_t k = 0; k < TOPICS_KEPT; k++) {
		if (p->topics[k].handle && strcmp(p->topics[k].name, name) == 0)
			return p->topics[k].handle;
	}
	if (strlen(name) >= sizeof(p->topics[i].name))
		return NULL;
	topic_drop(p, i);
	p->topics[i].handle = rd_kafka_topic_new(p->rk, name, NULL);
	strcpy(p->topics[i].name, name);
	p->topics_next = (i + 1) % TOPICS_KEPT;
	return p->topics[i].handle;
}

/* Every message still in it is reported, as refused. */
static void client_end(struct tg_producer *p)
{
	if (!p->rk)
		return;
	rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_flush(p->rk, CLOSE_FLUSH_MS);
	for (size_t i = 0; i < TOPICS_KEPT; i++)
		topic_drop(p, i);
	rd_kafka_destroy(p->rk);
	p->rk = NULL;
}

static bool producer_serve(struct kafka_wake *wake)
{
	struct tg_producer *p = tg_container_of(wake, struct tg_producer, wake);

	if (p->rk)
		rd_kafka_poll(p->rk, /* timeout_ms= */ 0); /* all that is queued */
	if (p->fatal) {
		/* A client with a fatal error stays so: a fresh one takes over, here or at a later
		 * tick. */
		client_end(p);
		if (client_new(p))
			tg_log(TG_ERROR, "kafka producer: the next try comes soon");
	}
	return false;
}

static void producer_free(struct tg_producer *p)
{
	free(p->brokers);
	free(p->client_id);
	free(p);
}

static void on_wake_closed(struct kafka_wake *wake)
{
	producer_free(tg_container_of(wake, struct tg_producer, wake));
}

int tg_producer_open(uv_loop_t *loop, const char *brokers, const char *client_id, int64_t linger_ms,
	tg_delivery_cb on_delivery, void *ctx, struct tg_producer **ret)
{
	struct tg_producer *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -TG_ENOMEM;
	p->on_delivery = on_delivery;
	p->ctx = ctx;
	snprintf(p->linger_ms, sizeof(p->linger_ms), "%lld", (long long)linger_ms);
	p->brokers = strdup(brokers);
	p->client_id = strdup(client_id);
	rc = p->brokers && p->client_id ? kafka_wake_open(&p->wake, loop, producer_serve)
					: -TG_ENOMEM;
	if (!rc)
		rc = client_new(p);
	if (rc) {
		if (p->wake.handles)
			kafka_wake_close(&p->wake, on_wake_closed);
		else
			producer_free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

static int send_fields(struct tg_producer *p, const rd_kafka_vu_t *fields, size_t n)
{
	rd_kafka_error_t *error = rd_kafka_produceva(p->rk, fields, n);
	int rc;

	if (!error) {
		p->in_flight++;
		return 0;
	}
	rc = kafka_code(rd_kafka_error_code(error));
	rd_kafka_error_destroy(error);
	return rc;
}

int tg_producer_send(struct tg_producer *p, const char *topic, int32_t partition,
	struct tg_slice key, struct tg_slice value, const struct tg_header *headers,
	size_t headers_count, void *tag)
{
	rd_kafka_vu_t few[SEND_FIELDS + TG_HEADERS_MAX], *fields = few;
	rd_kafka_vu_t fixed[SEND_FIELDS] = {
		{.vtype = RD_KAFKA_VTYPE_RKT},
		{.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
		{.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)key.data, key.len}},
		{.vtype = RD_KAFKA_VTYPE_VALUE,
			.u.mem = {(void *)(uintptr_t)value.data, value.len}},
		{.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
		{.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = tag},
	};
	int rc;

	_Static_assert(RD_KAFKA_PARTITION_UA == -1, "partition -1 = by key");
	if (!p->rk || p->fatal)
		return -TG_ECLOSED;
	fixed[0].u.rkt = topic_handle(p, topic);
	if (!fixed[0].u.rkt)
		return -TG_ENOMEM;
	if (headers_count > TG_HEADERS_MAX)
		fields = malloc((SEND_FIELDS + headers_count) * sizeof(*fields));
	if (!fields)
		return -TG_ENOMEM;
	memcpy(fields, fixed, sizeof(fixed));
	for (size_t i = 0; i < headers_count; i++) {
		rd_kafka_vu_t *field = &fields[SEND_FIELDS + i];

		field->vtype = RD_KAFKA_VTYPE_HEADER;
		field->u.header.name = headers[i].name;
		field->u.header.val = headers[i].value.data;
		field->u.header.size = (ssize_t)headers[i].value.len;
	}
	rc = send_fields(p, fields, SEND_FIELDS + headers_count);
	if (fields != few)
		free(fields);
	return rc;
}

int64_t tg_producer_delivered_at(const struct tg_producer *p)
{
	return p->delivered_at;
}

size_t tg_producer_in_flight(const struct tg_producer *p)
{
	return p->in_flight;
}

int tg_producer_partitions(struct tg_producer *p, const char *topic, int timeout_ms)
{
	rd_kafka_topic_t *rkt = p->rk ? rd_kafka_topic_new(p->rk, topic, NULL) : NULL;
	const struct rd_kafka_metadata *meta;
	rd_kafka_resp_err_t err;
	int n;

	if (!rkt)
		return -TG_ENOMEM;
	err = rd_kafka_metadata(p->rk, 0, rkt, &meta, timeout_ms);
	rd_kafka_topic_destroy(rkt);
	if (err)
		return kafka_code(err);
	n = meta->topic_cnt != 1            ? -TG_ENOENT
	    : meta->topics[0].err           ? kafka_code(meta->topics[0].err)
	    : meta->topics[0].partition_cnt ? meta->topics[0].partition_cnt
					    : -TG_ENOENT;
	rd_kafka_metadata_destroy(meta);
	return n;
}

void tg_producer_close(struct tg_producer *p)
{
	if (p->rk && p->in_flight > 0 && rd_kafka_flush(p->rk, CLOSE_FLUSH_MS))
		tg_log(TG_WARN, "kafka messages given up at stop",
			TG_F("messages", TG_I(p->in_flight)));
	client_end(p);
	kafka_wake_close(&p->wake, on_wake_closed);
}
