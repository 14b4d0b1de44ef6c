/* Creating topics: blocking, for commands. */
#include "base/io/kafka_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CREATE_TIMEOUT_MS 15000
#define TOPICS_MAX        64

static void say(struct tg_buf *why, const char *topic, const char *text)
{
	int rc = why->len ? tg_buf_add_cstr(why, "; ") : 0;

	/* Half an explanation is better than none. */
	if (!rc)
		rc = tg_buf_addf(why, "%s: %s", topic, text);
	(void)rc;
}

static rd_kafka_NewTopic_t *topic_new(const struct tg_topic_spec *spec, struct tg_buf *why)
{
	char text[KAFKA_WHY_MAX], number[32];
	/* -1: the broker's own replication factor. */
	rd_kafka_NewTopic_t *topic =
		rd_kafka_NewTopic_new(spec->name, spec->partitions, -1, text, sizeof(text));

	if (!topic) {
		say(why, spec->name, text);
		return NULL;
	}
	/* Records carry their arrival: stamped with old event times, retention would delete them at
	 * once. */
	rd_kafka_NewTopic_set_config(topic, "message.timestamp.type", "LogAppendTime");
	if (spec->max_message_bytes > 0) {
		snprintf(number, sizeof(number), "%" PRId64, spec->max_message_bytes);
		rd_kafka_NewTopic_set_config(topic, "max.message.bytes", number);
	}
	if (spec->retention_ms != 0) {
		snprintf(number, sizeof(number), "%" PRId64, spec->retention_ms);
		rd_kafka_NewTopic_set_config(topic, "retention.ms", number);
		if (spec->retention_ms < 0)
			rd_kafka_NewTopic_set_config(topic, "retention.bytes", "-1");
	}
	return topic;
}

static int results_code(const rd_kafka_CreateTopics_result_t *result, struct tg_buf *why)
{
	const rd_kafka_topic_result_t **topics;
	size_t n;
	int rc = 0;

	topics = rd_kafka_CreateTopics_result_topics(result, &n);
	for (size_t i = 0; i < n; i++) {
		rd_kafka_resp_err_t err = rd_kafka_topic_result_error(topics[i]);
		const char *text = rd_kafka_topic_result_error_string(topics[i]);

		if (!err || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			continue;
		say(why, rd_kafka_topic_result_name(topics[i]),
			text ? text : rd_kafka_err2str(err));
		rc = kafka_code(err);
	}
	return rc;
}

static int create(rd_kafka_t *rk, rd_kafka_NewTopic_t **topics, size_t n, struct tg_buf *why)
{
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;
	char text[KAFKA_WHY_MAX];
	int rc;

	rd_kafka_AdminOptions_set_request_timeout(options, CREATE_TIMEOUT_MS, text, sizeof(text));
	rd_kafka_AdminOptions_set_operation_timeout(options, CREATE_TIMEOUT_MS, text, sizeof(text));
	rd_kafka_CreateTopics(rk, topics, n, options, queue);
	event = rd_kafka_queue_poll(queue, CREATE_TIMEOUT_MS + 1000);
	if (!event) {
		say(why, "topics", "the broker does not answer");
		rc = -TG_ETIMEOUT;
	} else if (rd_kafka_event_error(event)) {
		say(why, "topics", rd_kafka_event_error_string(event));
		rc = kafka_code(rd_kafka_event_error(event));
	} else {
		rc = results_code(rd_kafka_event_CreateTopics_result(event), why);
	}
	if (event)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	return rc;
}

int tg_topics_create(
	const char *brokers, const struct tg_topic_spec *specs, size_t n, struct tg_buf *why)
{
	static const struct kafka_option none[] = {{"log.queue", "false"}, {NULL, NULL}};
	rd_kafka_NewTopic_t *topics[TOPICS_MAX];
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk = NULL;
	char text[KAFKA_WHY_MAX];
	size_t made = 0;
	int rc = -TG_EINVAL;

	if (n > TOPICS_MAX)
		return -TG_EINVAL;
	conf = kafka_conf(brokers, "tongguan-topics", none);
	if (!conf)
		return -TG_ENOMEM;
	/* Its threads would log: what went wrong comes back in why. */
	rd_kafka_conf_set_log_cb(conf, NULL);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		say(why, "client", text);
		return -TG_EKAFKA;
	}
	while (made < n && (topics[made] = topic_new(&specs[made], why)))
		made++;
	if (made == n)
		rc = n ? create(rk, topics, n, why) : 0;
	rd_kafka_NewTopic_destroy_array(topics, made);
	rd_kafka_destroy(rk);
	return rc;
}
