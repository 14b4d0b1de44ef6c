/* Questions that librdkafka only answers blocking: asked on uv's pool, answered on the loop. */
#include "base/io/kafka_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

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
	if (ask->list)
		rd_kafka_topic_partition_list_destroy(ask->list);
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

static void ask_all(uv_work_t *work)
{
	struct kafka_ask *ask = tg_container_of(work, struct kafka_ask, work);

	ask->rc = kafka_code(rd_kafka_offsets_for_times(ask->rk, ask->list, PROBE_TIMEOUT_MS));
}

static void on_stirred(void *ctx, int rc, int64_t low, int64_t high)
{
	struct tg_consumer *c = ctx;

	(void)rc;
	(void)low;
	(void)high;
	c->stirring = false;
}

static rd_kafka_topic_partition_list_t *parts_at(const struct tg_consumer *c, int64_t stamp_ms)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new((int)c->parts_count);

	for (size_t i = 0; i < c->parts_count; i++)
		rd_kafka_topic_partition_list_add(list, c->parts[i].topic, c->parts[i].partition)
			->offset = stamp_ms;
	return list;
}

/* How full the prefetch is, in eighths. */
static size_t prefetched(const struct tg_consumer *c)
{
	size_t waiting = rd_kafka_queue_length(c->queue), bytes = waiting * c->mean_bytes;
	size_t by_count = waiting * 8 / KAFKA_PREFETCH, by_bytes = bytes * 8 / c->prefetch_bytes;

	return by_count > by_bytes ? by_count : by_bytes;
}

/* A thread of librdkafka 2.0.2 that has prefetched enough sleeps up to a second, however fast that
 * is used up. A question to each leader wakes it, one request a broker, whose answer nobody needs:
 * once when half is used, and once more near the end, since what it counts is only guessed here. */
void consumer_stir(struct tg_consumer *c)
{
	static const size_t marks[KAFKA_STIRS] = {4, 1};
	struct kafka_ask ask = {.cb = on_stirred, .ctx = c};
	size_t full = prefetched(c);

	if (full >= 8)
		c->stirs = 0;
	if (c->stirs == KAFKA_STIRS || full >= marks[c->stirs] || c->stirring || !c->assigned ||
		!c->parts_count)
		return;
	ask.list = parts_at(c, tg_now_us() / 1000);
	c->stirring = ask_start(c, &ask, "", ask_all) == 0;
	c->stirs++;
	if (!c->stirring)
		rd_kafka_topic_partition_list_destroy(ask.list);
}
