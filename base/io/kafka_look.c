/* What a topic is like: blocking, for commands. */
#include "base/io/kafka_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_TIMEOUT_MS 3000
#define NEWEST_MS       3000
#define TOPICS_MAX      64

static int say(struct tg_buf *why, const char *text)
{
	/* A lost explanation is not worth a second failure. */
	if (tg_buf_add_cstr(why, text))
		tg_buf_reset(why);
	return -TG_EKAFKA;
}

static int count_parts(const struct rd_kafka_metadata_topic *topic, struct tg_topic_fact *fact)
{
	if (topic->err || topic->partition_cnt == 0)
		return topic->err ? kafka_code(topic->err) : -TG_ENOENT;
	fact->replicas = fact->in_sync = topic->partitions[0].replica_cnt;
	for (int p = 0; p < topic->partition_cnt; p++) {
		if (topic->partitions[p].replica_cnt < fact->replicas)
			fact->replicas = topic->partitions[p].replica_cnt;
		if (topic->partitions[p].isr_cnt < fact->in_sync)
			fact->in_sync = topic->partitions[p].isr_cnt;
	}
	return topic->partition_cnt;
}

static int look_at_parts(rd_kafka_t *rk, struct tg_topic_fact *facts, size_t n, struct tg_buf *why)
{
	const struct rd_kafka_metadata *meta;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &meta, LOOK_TIMEOUT_MS);

	if (err)
		return say(why, rd_kafka_err2str(err));
	for (size_t i = 0; i < n; i++) {
		facts[i].partitions = -TG_ENOENT;
		for (int t = 0; t < meta->topic_cnt; t++)
			if (strcmp(meta->topics[t].topic, facts[i].name) == 0)
				facts[i].partitions = count_parts(&meta->topics[t], &facts[i]);
	}
	rd_kafka_metadata_destroy(meta);
	return 0;
}

static void take_setting(struct tg_topic_fact *fact, const char *name, const char *value)
{
	const struct {
		const char *name;
		int64_t *place;
	} numbers[] = {{"retention.ms", &fact->retention_ms},
		{"retention.bytes", &fact->retention_bytes},
		{"min.insync.replicas", &fact->min_in_sync},
		{"max.message.bytes", &fact->max_message_bytes}};

	fact->log_append_time |=
		strcmp(name, "message.timestamp.type") == 0 && strcmp(value, "LogAppendTime") == 0;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(name, numbers[i].name) == 0)
			*numbers[i].place = strtoll(value, NULL, 10);
}

static void take_resource(
	struct tg_topic_fact *facts, size_t n, const rd_kafka_ConfigResource_t *resource)
{
	const rd_kafka_ConfigEntry_t **entries;
	size_t count;

	entries = rd_kafka_ConfigResource_configs(resource, &count);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(facts[i].name, rd_kafka_ConfigResource_name(resource)) != 0)
			continue;
		facts[i].settings_known = count > 0;
		for (size_t e = 0; e < count; e++) {
			const char *value = rd_kafka_ConfigEntry_value(entries[e]);

			take_setting(&facts[i], rd_kafka_ConfigEntry_name(entries[e]),
				value ? value : "");
		}
	}
}

static int take_settings(
	struct tg_topic_fact *facts, size_t n, rd_kafka_event_t *event, struct tg_buf *why)
{
	const rd_kafka_ConfigResource_t **resources;
	size_t count;

	if (!event)
		return say(why, "the broker does not say its topics' settings");
	if (rd_kafka_event_error(event))
		return say(why, rd_kafka_event_error_string(event));
	resources = rd_kafka_DescribeConfigs_result_resources(
		rd_kafka_event_DescribeConfigs_result(event), &count);
	for (size_t r = 0; r < count; r++)
		take_resource(facts, n, resources[r]);
	return 0;
}

static int look_at_settings(
	rd_kafka_t *rk, struct tg_topic_fact *facts, size_t n, struct tg_buf *why)
{
	rd_kafka_ConfigResource_t *asked[TOPICS_MAX];
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event = NULL;
	size_t count = 0;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		if (facts[i].partitions > 0)
			asked[count++] =
				rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, facts[i].name);
	if (count) {
		rd_kafka_DescribeConfigs(rk, asked, count, NULL, queue);
		event = rd_kafka_queue_poll(queue, LOOK_TIMEOUT_MS);
		rc = take_settings(facts, n, event, why);
	}
	if (event)
		rd_kafka_event_destroy(event);
	rd_kafka_ConfigResource_destroy_array(asked, count);
	rd_kafka_queue_destroy(queue);
	return rc;
}

static rd_kafka_t *client(const char *brokers, rd_kafka_type_t type, struct tg_buf *why)
{
	static const struct kafka_option producer[] = {{"log.queue", "false"}, {NULL, NULL}};
	static const struct kafka_option consumer[] = {{"log.queue", "false"},
		{"group.id", "tongguan-look"}, {"enable.auto.commit", "false"},
		{"fetch.wait.max.ms", "100"}, {NULL, NULL}};
	char text[KAFKA_WHY_MAX];
	rd_kafka_conf_t *conf = kafka_conf(
		brokers, "tongguan-look", type == RD_KAFKA_CONSUMER ? consumer : producer);
	rd_kafka_t *rk;

	if (!conf)
		return NULL;
	rd_kafka_conf_set_log_cb(conf, NULL);
	rk = rd_kafka_new(type, conf, text, sizeof(text));
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		(void)say(why, text);
	}
	return rk;
}

int tg_topics_look(const char *brokers, struct tg_topic_fact *facts, size_t n, struct tg_buf *why)
{
	rd_kafka_t *rk = n <= TOPICS_MAX ? client(brokers, RD_KAFKA_PRODUCER, why) : NULL;
	int rc = rk ? look_at_parts(rk, facts, n, why) : -TG_EKAFKA;

	if (!rc)
		rc = look_at_settings(rk, facts, n, why);
	if (rk)
		rd_kafka_destroy(rk);
	return rc;
}

/* Assigns the last record of each partition that has one; how many. */
static int assign_last(rd_kafka_t *rk, const char *topic, int partitions)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
	int n;

	for (int p = 0; p < partitions; p++) {
		int64_t low, high;

		if (!rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, LOOK_TIMEOUT_MS) &&
			high > low)
			rd_kafka_topic_partition_list_add(list, topic, p)->offset = high - 1;
	}
	n = list->cnt;
	if (n && rd_kafka_assign(rk, list))
		n = 0;
	rd_kafka_topic_partition_list_destroy(list);
	return n;
}

int tg_topic_newest(const char *brokers, const char *topic, int partitions, int64_t *ret_us)
{
	struct tg_buf why = {0};
	rd_kafka_t *rk = client(brokers, RD_KAFKA_CONSUMER, &why);
	int64_t newest_us = -1;
	int left = rk ? assign_last(rk, topic, partitions) : 0;

	tg_buf_release(&why);
	while (left > 0) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, NEWEST_MS);
		rd_kafka_timestamp_type_t type;
		int64_t us;

		if (!m)
			break;
		us = m->err ? -1 : rd_kafka_message_timestamp(m, &type) * 1000;
		if (us > newest_us)
			newest_us = us;
		left--;
		rd_kafka_message_destroy(m);
	}
	if (rk) {
		rd_kafka_consumer_close(rk);
		rd_kafka_destroy(rk);
	}
	if (newest_us < 0)
		return -TG_ENOENT;
	*ret_us = newest_us;
	return 0;
}

/* One partition from its beginning to where it ends now. */
static int read_part(rd_kafka_t *rk, const char *topic, int32_t part,
	bool (*each)(void *ctx, struct tg_slice value), void *ctx, struct tg_buf *why)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	int64_t low, high, next;
	rd_kafka_resp_err_t err =
		rd_kafka_query_watermark_offsets(rk, topic, part, &low, &high, LOOK_TIMEOUT_MS);

	next = low;
	rd_kafka_topic_partition_list_add(list, topic, part)->offset = low;
	if (!err && high > low)
		err = rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	while (!err && next < high) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, NEWEST_MS);
		bool going = true;

		if (!m)
			return (void)say(why, "the broker does not answer"), -TG_ETIMEOUT;
		err = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ? 0 : m->err;
		if (!m->err) {
			next = m->offset + 1;
			going = each(ctx, (struct tg_slice){m->payload, m->len});
		}
		rd_kafka_message_destroy(m);
		if (!going)
			break;
	}
	return err ? say(why, rd_kafka_err2str(err)) : 0;
}

int tg_topic_read(const char *brokers, const char *topic,
	bool (*each)(void *ctx, struct tg_slice value), void *ctx, struct tg_buf *why)
{
	struct tg_topic_fact fact = {.name = topic};
	rd_kafka_t *rk = client(brokers, RD_KAFKA_CONSUMER, why);
	int rc = rk ? look_at_parts(rk, &fact, 1, why) : -TG_EKAFKA;

	if (!rc && fact.partitions < 0)
		rc = fact.partitions;
	for (int32_t p = 0; !rc && p < fact.partitions; p++)
		rc = read_part(rk, topic, p, each, ctx, why);
	if (rk) {
		rd_kafka_consumer_close(rk);
		rd_kafka_destroy(rk);
	}
	return rc;
}

const char *tg_kafka_library(void)
{
	return rd_kafka_version_str();
}
