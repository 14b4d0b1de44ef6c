/* The consumer's life and its flow of records. */
#include "base/io/kafka_impl.h"

#include <assert.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define TAKE_MAX              64
#define DRAIN_NS              1000000 /* then other handles of the loop get their turn */
#define PAUSE_DEEP_AFTER_MS   1000
#define CLOSE_LIMIT_MS        3000
#define QUEUED_KBYTES_DEFAULT 4096

static const struct kafka_option consumer_options[] = {
	{"enable.auto.commit", "false"},
	{"enable.auto.offset.store", "false"},
	/* "latest" would jump over what was lost, with nothing but a log line. */
	{"auto.offset.reset", "error"},
	{"enable.partition.eof", "true"},
	{"allow.auto.create.topics", "false"},
	{"partition.assignment.strategy", "range"},
	{"session.timeout.ms", "6000"},
	{"heartbeat.interval.ms", "1000"},
	{"max.poll.interval.ms", "60000"},
	{"fetch.wait.max.ms", "50"},
	{"fetch.error.backoff.ms", "50"},
	{"fetch.max.bytes", "16777216"},
	{"max.partition.fetch.bytes", "131072"},
	{NULL, NULL},
};

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct tg_consumer *c = opaque;

	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		c->connected = false;
	tg_log(TG_WARN, "kafka consumer", TG_F("client", TG_S(rd_kafka_name(rk))),
		TG_F("error", TG_S(rd_kafka_err2name((rd_kafka_resp_err_t)err))),
		TG_F("reason", TG_S(reason)));
}

static void deliver(struct tg_consumer *c, rd_kafka_message_t *m)
{
	struct tg_partition *p = consumer_part_of(c, m);
	struct kafka_record *rec;

	/* Of an assignment that is gone, or from before a seek. */
	if (!p || !c->assigned || m->offset < p->offset) {
		rd_kafka_message_destroy(m);
		return;
	}
	rec = kafka_record_new(c, (size_t)(p - c->parts), m);
	if (!rec) {
		/* Not counted as read: it comes again. */
		tg_log(TG_ERROR, "kafka record put back: out of memory");
		tg_consumer_seek(c, p->topic, p->partition, m->offset);
		rd_kafka_message_destroy(m);
		return;
	}
	p->offset = m->offset + 1;
	c->mean_bytes += m->len / 16 - c->mean_bytes / 16;
	if (c->paused)
		tg_list_push(&c->held, &rec->link);
	else
		c->ops.on_record(c->ctx, &rec->pub);
}

static void take_event(struct tg_consumer *c, const rd_kafka_message_t *m)
{
	const char *topic = m->rkt ? rd_kafka_topic_name(m->rkt) : "";
	bool ours = m->rkt && c->assigned && consumer_part(c, topic, m->partition) != NULL;

	switch (m->err) {
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		c->connected = true;
		if (ours)
			c->ops.on_end(c->ctx, topic, m->partition, m->offset);
		return;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		if (ours) {
			const struct tg_partition *p = consumer_part(c, topic, m->partition);

			consumer_stick(c, p);
			c->ops.on_out_of_range(c->ctx, topic, m->partition, p->offset);
		}
		return;
	case RD_KAFKA_RESP_ERR__FATAL:
		c->fatal = true;
		/* fallthrough */
	default:
		tg_log(TG_WARN, "kafka consumer", TG_F("client", TG_S(rd_kafka_name(c->rk))),
			TG_F("topic", TG_S(topic)), TG_F("error", TG_S(rd_kafka_err2name(m->err))),
			TG_F("reason", TG_S(rd_kafka_message_errstr(m))));
	}
}

static void take(struct tg_consumer *c, rd_kafka_message_t *m)
{
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		c->connected = true;
		deliver(c, m);
		return;
	}
	take_event(c, m);
	rd_kafka_message_destroy(m);
}

static bool resting(const struct tg_consumer *c)
{
	return c->phase != CONSUMER_OPEN || (c->paused && !c->paused_deep);
}

static void deliver_held(struct tg_consumer *c)
{
	while (!c->paused && c->phase == CONSUMER_OPEN && !tg_list_empty(&c->held)) {
		struct tg_list *it = c->held.next;

		tg_list_remove(it);
		c->ops.on_record(c->ctx, &tg_container_of(it, struct kafka_record, link)->pub);
	}
}

/* What was taken in one go. A seek in between makes the rest come again: it would otherwise pass
 * for what the seek asked for. */
static void take_all(struct tg_consumer *c, rd_kafka_message_t **messages, ssize_t n)
{
	for (ssize_t i = 0; i < n; i++) {
		if (c->reassign || c->phase != CONSUMER_OPEN)
			rd_kafka_message_destroy(messages[i]);
		else
			take(c, messages[i]);
	}
}

/* One record by consumer_poll, which tells the group that we live; its company in one call, which
 * spares a look at the clock for each. */
static bool drain(struct tg_consumer *c)
{
	uint64_t until = uv_hrtime() + DRAIN_NS;

	c->taken_us = tg_now_us();
	consumer_stir(c);
	deliver_held(c);
	while (!resting(c) && !c->fatal) {
		rd_kafka_message_t *messages[TAKE_MAX];

		if (c->reassign)
			consumer_reassign(c);
		messages[0] = rd_kafka_consumer_poll(c->rk, /* timeout_ms= */ 0);
		if (!messages[0])
			return false;
		take_all(c, messages, 1);
		if (!resting(c) && !c->fatal)
			take_all(c, messages,
				rd_kafka_consume_batch_queue(
					c->queue, /* timeout_ms= */ 0, messages, TAKE_MAX));
		if (uv_hrtime() > until)
			break;
	}
	/* librdkafka announces only the step from empty to not empty: the rest we announce
	 * ourselves. */
	return !resting(c);
}

static bool close_step(struct tg_consumer *c);
static int client_start(struct tg_consumer *c);

static void destroy_work(uv_work_t *work)
{
	struct tg_consumer *c = tg_container_of(work, struct tg_consumer, destroy);

	rd_kafka_queue_destroy(c->queue);
	rd_kafka_queue_destroy(c->close_queue);
	rd_kafka_destroy_flags(c->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void on_fatal_destroyed(uv_work_t *work, int status)
{
	struct tg_consumer *c = tg_container_of(work, struct tg_consumer, destroy);
	int rc = status ? -TG_ESYS : client_start(c);

	c->fatal = c->renewing = false;
	if (!rc)
		return;
	/* Nothing left to try: the role ends in order, and whoever watches over it starts it again.
	 */
	tg_log(TG_ERROR, "kafka consumer not made again", TG_F("why", TG_S(tg_err_text(rc))));
	raise(SIGTERM);
}

/* A client with a fatal error stays so; a static member that was told that another one bears its
 * name is the common case, when the broker was away while the session ran out. A fresh client
 * joins the group, once nobody holds anything of the old one. */
static bool consumer_renew(struct tg_consumer *c)
{
	if (c->renewing)
		return false;
	consumer_take_away(c);
	if (c->asks > 0 || c->records > 0)
		return false; /* the tick looks again */
	c->renewing = true;
	if (uv_queue_work(c->loop, &c->destroy, destroy_work, on_fatal_destroyed)) {
		destroy_work(&c->destroy);
		on_fatal_destroyed(&c->destroy, 0);
	}
	return false;
}

static bool consumer_serve(struct kafka_wake *wake)
{
	struct tg_consumer *c = tg_container_of(wake, struct tg_consumer, wake);

	if (c->renewing)
		return false;
	if (c->phase != CONSUMER_OPEN)
		return close_step(c);
	if (c->fatal)
		return consumer_renew(c);
	consumer_probe(c);
	if (c->paused && !c->paused_deep &&
		uv_now(c->loop) - c->paused_at_ms >= PAUSE_DEEP_AFTER_MS)
		consumer_pause_deep(c);
	return !resting(c) && drain(c);
}

static void consumer_free(struct tg_consumer *c)
{
	if (c->topics)
		rd_kafka_topic_partition_list_destroy(c->topics);
	if (c->options)
		rd_kafka_conf_destroy(c->options);
	kafka_records_release(c);
	free(c->parts);
	free(c->stuck);
	free(c);
}

static void on_wake_closed(struct kafka_wake *wake)
{
	struct tg_consumer *c = tg_container_of(wake, struct tg_consumer, wake);

	if (c->ops.on_closed && c->phase != CONSUMER_OPEN)
		c->ops.on_closed(c->ctx);
	if (c->records == 0)
		consumer_free(c); /* else its records still point at it: better leaked than used
				     after free */
}

static void on_destroyed(uv_work_t *work, int status)
{
	(void)status;
	kafka_wake_close(&tg_container_of(work, struct tg_consumer, destroy)->wake, on_wake_closed);
}

/* Records still on their way to us lie in this queue too, so it is read as events: the callbacks'
 * interface aborts on what is no callback's. */
static void serve_leaving(struct tg_consumer *c)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(c->close_queue, /* timeout_ms= */ 0))) {
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
			rd_kafka_assign(c->rk, NULL);
		rd_kafka_event_destroy(event);
	}
}

/* Leaving the group waits for nobody but the group; destroying waits for questions under way and
 * for records that the role has not given back. */
static bool close_step(struct tg_consumer *c)
{
	uint64_t now_ms = uv_now(c->loop);

	if (c->phase == CONSUMER_CLOSE_ASKED) {
		c->phase = CONSUMER_LEAVING;
		c->close_until_ms = now_ms + CLOSE_LIMIT_MS;
		rd_kafka_error_destroy(rd_kafka_consumer_close_queue(c->rk, c->close_queue));
	}
	if (c->phase != CONSUMER_LEAVING)
		return false;
	serve_leaving(c);
	if (!rd_kafka_consumer_closed(c->rk) && now_ms < c->close_until_ms)
		return false;
	if (c->asks > 0 || (c->records > 0 && now_ms < c->close_until_ms))
		return false;
	c->phase = CONSUMER_DESTROYING;
	if (c->records > 0) {
		tg_log(TG_ERROR, "kafka records outlive their consumer",
			TG_F("records", TG_I(c->records)));
		kafka_wake_close(&c->wake, on_wake_closed);
	} else if (uv_queue_work(c->loop, &c->destroy, destroy_work, on_destroyed)) {
		destroy_work(&c->destroy);
		on_destroyed(&c->destroy, 0);
	}
	return false;
}

static void set_instance(rd_kafka_conf_t *options, const struct tg_consumer_conf *conf)
{
	const char *colon = conf->listen ? strrchr(conf->listen, ':') : NULL;
	char host[HOST_NAME_MAX + 1] = "", id[HOST_NAME_MAX + 400];

	if (!colon || strtol(colon + 1, NULL, 10) == 0 || gethostname(host, sizeof(host) - 1))
		return;
	snprintf(id, sizeof(id), "%.64s@%.64s-%.250s", conf->client_id, host, conf->listen);
	kafka_conf_option(options, "group.instance.id", id);
}

static int consumer_options_of(struct tg_consumer *c, const struct tg_consumer_conf *conf)
{
	rd_kafka_conf_t *options = kafka_conf(conf->brokers, conf->client_id, consumer_options);
	int queued = conf->queued_kbytes > 0 ? conf->queued_kbytes : QUEUED_KBYTES_DEFAULT;
	char number[16];

	if (!options)
		return -TG_ENOMEM;
	c->prefetch_bytes = (size_t)queued * 1024;
	snprintf(number, sizeof(number), "%d", queued);
	kafka_conf_option(options, "queued.max.messages.kbytes", number);
	snprintf(number, sizeof(number), "%d", KAFKA_PREFETCH);
	kafka_conf_option(options, "queued.min.messages", number);
	kafka_conf_option(options, "group.id", conf->group);
	set_instance(options, conf);
	rd_kafka_conf_set_opaque(options, c);
	rd_kafka_conf_set_error_cb(options, on_error);
	rd_kafka_conf_set_rebalance_cb(options, consumer_on_rebalance);
	c->options = options;
	return 0;
}

static int client_new(struct tg_consumer *c)
{
	rd_kafka_conf_t *options = rd_kafka_conf_dup(c->options);
	char why[KAFKA_WHY_MAX];

	c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, options, why, sizeof(why));
	if (!c->rk) {
		rd_kafka_conf_destroy(options);
		tg_log(TG_ERROR, "kafka consumer not made", TG_F("why", TG_S(why)));
		return -TG_EKAFKA;
	}
	rd_kafka_set_log_queue(c->rk, NULL);
	rd_kafka_poll_set_consumer(c->rk);
	c->queue = rd_kafka_queue_get_consumer(c->rk);
	c->close_queue = rd_kafka_queue_new(c->rk);
	return 0;
}

static int client_start(struct tg_consumer *c)
{
	int rc = client_new(c);

	if (rc)
		return rc;
	kafka_wake_on(&c->wake, c->queue);
	kafka_wake_on(&c->wake, c->close_queue);
	return kafka_code(rd_kafka_subscribe(c->rk, c->topics));
}

int tg_consumer_open(uv_loop_t *loop, const struct tg_consumer_conf *conf,
	const struct tg_consumer_ops *ops, void *ctx, struct tg_consumer **ret)
{
	struct tg_consumer *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -TG_ENOMEM;
	c->loop = loop;
	c->ops = *ops;
	c->ctx = ctx;
	c->stirs = KAFKA_STIRS; /* nothing to wake before the prefetch was full */
	tg_list_init(&c->held);
	tg_list_init(&c->spare);
	c->topics = rd_kafka_topic_partition_list_new((int)conf->topics_count);
	for (size_t i = 0; i < conf->topics_count; i++)
		rd_kafka_topic_partition_list_add(
			c->topics, conf->topics[i], RD_KAFKA_PARTITION_UA);
	rc = consumer_options_of(c, conf);
	if (!rc)
		rc = kafka_wake_open(&c->wake, loop, consumer_serve);
	if (!rc)
		rc = client_start(c);
	if (rc) {
		if (c->rk)
			destroy_work(&c->destroy);
		if (c->wake.handles)
			kafka_wake_close(&c->wake, on_wake_closed);
		else
			consumer_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

bool tg_consumer_connected(const struct tg_consumer *c)
{
	return c->connected;
}

void tg_consumer_close(struct tg_consumer *c)
{
	assert(c->phase == CONSUMER_OPEN);
	c->phase = CONSUMER_CLOSE_ASKED;
	consumer_drop_held(c);
	kafka_wake_now(&c->wake);
}
