/* Questions that librdkafka only answers blocking: asked on uv's pool, answered on the loop. */
#include "base/io/kafka_impl.h"

#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT_MS   5000
#define PROBE_TIMEOUT_MS 1000
#define PROBE_PAUSE_MS   1000

static void ask_watermarks(uv_work_t *work)
{
	struct kafka_ask *ask = tg_container_of(work, struct kafka_ask, work);

	ask->rc = kafka_code(rd_kafka_query_watermark_offsets(
		ask->rk, ask->topic, ask->partition, &ask->low, &ask->high, ASK_TIMEOUT_MS));
}

static void ask_offset_at(uv_work_t *work)
{
	struct kafka_ask *ask = tg_container_of(work, struct kafka_ask, work);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *at =
		rd_kafka_topic_partition_list_add(list, ask->topic, ask->partition);
	rd_kafka_resp_err_t err;

	at->offset =
		ask->stamp_us / 1000; /* Kafka counts in ms: the earlier one is the safe side */
	err = rd_kafka_offsets_for_times(ask->rk, list, ASK_TIMEOUT_MS);
	ask->rc = kafka_code(err ? err : at->err);
	ask->low = ask->high = at->offset;
	if (!ask->rc && at->offset < 0) {
		ask_watermarks(work);
		ask->low = ask->high;
	}
	rd_kafka_topic_partition_list_destroy(list);
}

static void ask_on_done(uv_work_t *work, int status)
{
	struct kafka_ask *ask = tg_container_of(work, struct kafka_ask, work);
	struct tg_consumer *c = ask->owner;

	c->asks--;
	ask->cb(ask->ctx, status ? -TG_ECLOSED : ask->rc, ask->low, ask->high);
	free(ask);
	kafka_wake_now(&c->wake); /* closing may have waited for it */
}

static int ask_start(
	struct tg_consumer *c, const struct kafka_ask *proto, const char *topic, uv_work_cb work)
{
	struct kafka_ask *ask;

	if (c->phase != CONSUMER_OPEN || c->fatal)
		return -TG_ECLOSED;
	if (strlen(topic) >= sizeof(ask->topic))
		return -TG_EINVAL;
	ask = malloc(sizeof(*ask));
	if (!ask)
		return -TG_ENOMEM;
	*ask = *proto;
	ask->rk = c->rk;
	ask->owner = c;
	strcpy(ask->topic, topic);
	if (uv_queue_work(c->loop, &ask->work, work, ask_on_done)) {
		free(ask);
		return -TG_ESYS;
	}
	c->asks++;
	return 0;
}

int tg_consumer_watermarks(
	struct tg_consumer *c, const char *topic, int32_t partition, tg_watermarks_cb cb, void *ctx)
{
	struct kafka_ask ask = {.partition = partition, .cb = cb, .ctx = ctx};

	return ask_start(c, &ask, topic, ask_watermarks);
}

int tg_consumer_offset_at(struct tg_consumer *c, const char *topic, int32_t partition,
	int64_t stamp_us, tg_watermarks_cb cb, void *ctx)
{
	struct kafka_ask ask = {.partition = partition, .stamp_us = stamp_us, .cb = cb, .ctx = ctx};

	return ask_start(c, &ask, topic, ask_offset_at);
}

static void ask_alive(uv_work_t *work)
{
	struct kafka_ask *ask = tg_container_of(work, struct kafka_ask, work);
	const struct rd_kafka_metadata *meta = NULL;

	ask->rc = kafka_code(
		rd_kafka_metadata(ask->rk, /* all_topics= */ 0, NULL, &meta, PROBE_TIMEOUT_MS));
	if (meta)
		rd_kafka_metadata_destroy(meta);
}

static void on_alive(void *ctx, int rc, int64_t low, int64_t high)
{
	struct tg_consumer *c = ctx;

	(void)low;
	(void)high;
	c->probing = false;
	c->connected = rc == 0;
	c->probe_at_ms = uv_now(c->loop) + PROBE_PAUSE_MS;
}

/* librdkafka says when all brokers are gone, not when one is back: so ask until one answers. */
void consumer_probe(struct tg_consumer *c)
{
	struct kafka_ask ask = {.cb = on_alive, .ctx = c};

	if (c->connected || c->probing || uv_now(c->loop) < c->probe_at_ms)
		return;
	c->probing = ask_start(c, &ask, "", ask_alive) == 0;
}
