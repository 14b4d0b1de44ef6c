/* The producer: messages into batches, batches into requests, answers into reports. */
#include "base/io/kafka_produce.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define TICK_MS         100
#define AGAIN_MS        50
#define BROKER_LIMIT_MS 10000 /* that a broker waits for its replicas; below a link's own limit */
#define MESSAGE_MAX     (((size_t)8 << 20) + 65536) /* 8 MiB and what frames it */
#define BYTES_MAX       ((size_t)4 << 20)

/* --- requests --- */

/* Nobody else carries its first batch, and it may be sent now. */
static bool part_waits(const struct producer_part *part, uint64_t now_ms)
{
	return !part->via && !tg_list_empty(&part->batches) && now_ms >= part->not_before_ms;
}

/* It has waited long enough, or is worth a request. */
static bool part_due(const struct tg_producer *p, const struct producer_part *part, uint64_t now_ms)
{
	const struct batch *first = batch_first(part);

	return p->pumping || batch_full(first) || now_ms >= first->since_ms + p->linger_ms;
}

static void seal(struct tg_producer *p, struct producer_part *part)
{
	struct batch *batch = batch_first(part);

	if (part->id_generation != p->id_generation) {
		part->id_generation = p->id_generation;
		part->sequence = 0;
	}
	wire_seal(&batch->bytes, batch->records, batch->stamp_ms, &p->id, part->sequence);
	batch->sealed = true;
}

/* What a request to one broker carries. */
struct load {
	struct kafka_link *link;
	struct tg_buf *out;
	size_t bytes; /* of batches */
	size_t mark;  /* of out: what lies behind is no piece yet */
};

static uint32_t load_count(
	const struct producer_topic *topic, const struct kafka_link *link, uint64_t now_ms)
{
	uint32_t n = 0;

	for (int32_t i = 0; i < topic->count; i++)
		n += topic->parts[i].leader == link && part_waits(&topic->parts[i], now_ms);
	return n;
}

/* The partitions of one topic. */
static int load_topic(
	struct tg_producer *p, struct load *load, struct producer_topic *topic, uint64_t now_ms)
{
	uint32_t n = load_count(topic, load->link, now_ms);
	int rc;

	if (!n)
		return 0;
	rc = wire_put_text(load->out, tg_slice_cstr(topic->name));
	rc = rc ? rc : tg_buf_put_u32(load->out, n);
	for (int32_t i = 0; !rc && i < topic->count; i++) {
		struct producer_part *part = &topic->parts[i];
		const struct batch *batch = batch_first(part);

		if (part->leader != load->link || !part_waits(part, now_ms))
			continue;
		rc = wire_partition(load->out, part->index, batch->bytes.len);
		seal(p, part);
		rc = rc ? rc : kafka_link_piece(load->link, NULL, load->out->len - load->mark);
		rc = rc ? rc : kafka_link_piece(load->link, batch->bytes.data, batch->bytes.len);
		load->mark = load->out->len;
		load->bytes += batch->bytes.len;
	}
	return rc;
}

static void mark_sent(struct tg_producer *p, struct kafka_link *link, uint64_t now_ms)
{
	tg_list_foreach (it, &p->topics) {
		struct producer_topic *topic = tg_container_of(it, struct producer_topic, entry);

		for (int32_t i = 0; i < topic->count; i++) {
			struct producer_part *part = &topic->parts[i];

			if (part->leader == link && part_waits(part, now_ms))
				part->via = link;
		}
	}
}

/* The first batch of every partition that waits for this broker, in one request. */
static void request(struct tg_producer *p, struct kafka_link *link, uint64_t now_ms)
{
	struct load load = {.link = link, .out = kafka_link_begin(link, WIRE_PRODUCE)};
	uint32_t topics = 0;
	int rc;

	tg_list_foreach (it, &p->topics)
		topics += load_count(tg_container_of(it, struct producer_topic, entry), link,
				  now_ms) > 0;
	rc = load.out ? wire_produce(load.out, BROKER_LIMIT_MS, topics) : -TG_ENOMEM;
	tg_list_foreach (it, &p->topics) {
		if (!rc)
			rc = load_topic(p, &load, tg_container_of(it, struct producer_topic, entry),
				now_ms);
	}
	if (rc)
		return; /* memory is out: the next tick tries again */
	wire_end(load.out, load.bytes);
	mark_sent(p, link, now_ms);
	kafka_link_send(link, now_ms);
}

/* One of its partitions is due: then all go. *ret_early: one that waits is not due yet. */
static bool link_due(const struct tg_producer *p, const struct kafka_link *link, uint64_t now_ms,
	bool *ret_early)
{
	bool early = false;

	tg_list_foreach (it, &p->topics) {
		const struct producer_topic *topic =
			tg_container_of(it, struct producer_topic, entry);

		for (int32_t i = 0; i < topic->count; i++) {
			const struct producer_part *part = &topic->parts[i];

			if (part->leader != link || !part_waits(part, now_ms))
				continue;
			if (part_due(p, part, now_ms))
				return true;
			early = true;
		}
	}
	*ret_early |= early;
	return false;
}

static void on_linger(uv_timer_t *linger);

static void linger(struct tg_producer *p)
{
	if (!uv_is_active((uv_handle_t *)&p->linger))
		uv_timer_start(&p->linger, on_linger, p->linger_ms, 0);
}

void producer_step(struct tg_producer *p)
{
	uint64_t now_ms = kafka_now_ms();
	bool early = false;

	tg_list_foreach_safe (it, next, &p->links)
		kafka_link_tick(tg_container_of(it, struct kafka_link, entry), now_ms);
	route_ask(p, now_ms);
	if (p->id.id < 0)
		return;
	tg_list_foreach_safe (it, next, &p->links) {
		struct kafka_link *link = tg_container_of(it, struct kafka_link, entry);

		if (!link->busy && link_due(p, link, now_ms, &early) &&
			kafka_link_ready(link, now_ms))
			request(p, link, now_ms);
	}
	if (early && !p->closing)
		linger(p);
}

/* --- answers --- */

static void again(struct tg_producer *p, struct producer_part *part, uint64_t now_ms)
{
	part->not_before_ms = now_ms + AGAIN_MS;
	route_want(p);
}

static void refuse(struct tg_producer *p, const char *topic, struct producer_part *part, int error)
{
	int rc = wire_judge(error) == WIRE_CUT ? -TG_ERANGE
		 : error == WIRE_INVALID_TOPIC ? -TG_ENOENT
					       : -TG_EKAFKA;

	tg_log(TG_ERROR, "kafka message refused", TG_F("topic", TG_S(topic)),
		TG_F("partition", TG_I(part->index)), TG_F("error", TG_S(wire_error_name(error))),
		TG_F("messages", TG_I(batch_first(part)->records)));
	batch_end(p, part, NO_OFFSET, rc);
}

static void settle(struct tg_producer *p, struct producer_topic *topic, struct producer_part *part,
	int error, int64_t offset)
{
	int32_t records = batch_first(part)->records;

	part->via = NULL;
	switch (wire_judge(error)) {
	case WIRE_TAKEN:
		part->sequence =
			(int32_t)(((uint32_t)part->sequence + (uint32_t)records) & INT32_MAX);
		batch_end(p, part, offset, 0);
		break;
	case WIRE_CUT:
		if (records > 1)
			batch_cut(p, part);
		else
			refuse(p, topic->name, part, error);
		break;
	case WIRE_REFUSED: refuse(p, topic->name, part, error); break;
	case WIRE_NEW_ID:
		tg_log(TG_WARN, "kafka asks for a new producer id",
			TG_F("error", TG_S(wire_error_name(error))));
		p->id.id = -1;
		again(p, part, kafka_now_ms());
		break;
	case WIRE_AGAIN:
		tg_log(TG_WARN, "kafka message delayed", TG_F("topic", TG_S(topic->name)),
			TG_F("partition", TG_I(part->index)),
			TG_F("error", TG_S(wire_error_name(error))));
		again(p, part, kafka_now_ms());
		break;
	}
}

static void produced(struct tg_producer *p, struct kafka_link *link, struct wire_reader *r)
{
	int64_t topics = wire_int(r, 4);

	for (int64_t t = 0; t < topics && !r->broken; t++) {
		struct producer_topic *topic = route_named(p, wire_text(r));
		int64_t parts = wire_int(r, 4);

		for (int64_t i = 0; i < parts && !r->broken; i++) {
			int64_t index = wire_int(r, 4);
			int error = (int)wire_int(r, 2);
			int64_t offset = wire_int(r, 8);

			wire_int(r, 8); /* the log's time */
			if (!r->broken && topic && index >= 0 && index < topic->count &&
				topic->parts[index].via == link)
				settle(p, topic, &topic->parts[index], error, offset);
		}
	}
}

/* What that link carried and was not answered is sent again. */
static void take_back(struct tg_producer *p, const struct kafka_link *link, uint64_t now_ms)
{
	tg_list_foreach (it, &p->topics) {
		struct producer_topic *topic = tg_container_of(it, struct producer_topic, entry);

		for (int32_t i = 0; i < topic->count; i++) {
			if (topic->parts[i].via != link)
				continue;
			topic->parts[i].via = NULL;
			again(p, &topic->parts[i], now_ms);
		}
	}
}

static void on_answer(void *ctx, struct kafka_link *link, struct wire_reader *r)
{
	struct tg_producer *p = ctx;
	uint64_t now_ms = kafka_now_ms();

	switch (link->api) {
	case WIRE_METADATA: route_answer(p, r, now_ms); break;
	case WIRE_INIT_PRODUCER_ID: route_id_answer(p, r, now_ms); break;
	case WIRE_PRODUCE:
		produced(p, link, r);
		take_back(p, link, now_ms);
		break;
	}
	producer_step(p);
}

static void on_lost(void *ctx, struct kafka_link *link)
{
	struct tg_producer *p = ctx;
	uint64_t now_ms = kafka_now_ms();

	take_back(p, link, now_ms);
	route_lost(p, link, now_ms);
}

static void on_up(void *ctx, struct kafka_link *link)
{
	(void)link;
	producer_step(ctx);
}

void producer_gone(struct tg_producer *p)
{
	if (--p->handles)
		return;
	tg_list_foreach_safe (it, next, &p->spare)
		batch_free(tg_container_of(it, struct batch, entry));
	free(p);
}

static void on_link_freed(void *ctx)
{
	producer_gone(ctx);
}

const struct kafka_link_ops producer_link_ops = {on_answer, on_lost, on_up, on_link_freed};

/* --- the loop --- */

static void on_tick(uv_timer_t *tick)
{
	producer_step(tg_container_of(tick, struct tg_producer, tick));
}

static void on_linger(uv_timer_t *timer)
{
	producer_step(tg_container_of(timer, struct tg_producer, linger));
}

int tg_producer_open(uv_loop_t *loop, const char *brokers, const char *client_id, int64_t linger_ms,
	tg_delivery_cb on_delivery, void *ctx, struct tg_producer **ret)
{
	struct tg_producer *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -TG_ENOMEM;
	p->loop = loop;
	p->linger_ms = (uint64_t)linger_ms;
	p->on_delivery = on_delivery;
	p->ctx = ctx;
	p->id.id = -1;
	snprintf(p->client_id, sizeof(p->client_id), "%s", client_id);
	tg_list_init(&p->links);
	tg_list_init(&p->topics);
	tg_list_init(&p->spare);
	uv_timer_init(loop, &p->linger);
	uv_timer_init(loop, &p->tick);
	p->handles = 2;
	uv_timer_start(&p->tick, on_tick, 0, TICK_MS);
	rc = route_open(p, brokers);
	if (rc) {
		tg_producer_close(p);
		return rc;
	}
	*ret = p;
	return 0;
}

int tg_producer_send(struct tg_producer *p, const char *name, int32_t partition,
	struct tg_slice key, struct tg_slice value, const struct tg_header *headers,
	size_t headers_count, void *tag)
{
	struct producer_topic *topic = route_topic(p, name);
	struct producer_part *part;
	struct wire_message message = {key, value, headers, headers_count, 0};
	int rc;

	wire_measure(&message);
	if (message.bytes > MESSAGE_MAX)
		return -TG_ERANGE;
	if (p->in_flight && p->bytes + message.bytes > BYTES_MAX)
		return -TG_EFULL;
	if (p->closing)
		return -TG_ECLOSED;
	if (!topic)
		return -TG_ENOMEM;
	if (partition < 0 && topic->known)
		partition = route_partition(topic, key);
	if (topic->known && partition >= topic->known) {
		route_want(p); /* there may be more by now */
		return -TG_ENOENT;
	}
	if (partition >= topic->count && route_grow(topic, partition + 1))
		return -TG_ENOMEM;
	part = partition < 0 ? &topic->nowhere : &topic->parts[partition];
	rc = batch_add(p, part, &message, tag);
	if (rc)
		return rc;
	p->in_flight++;
	linger(p);
	return 0;
}

int64_t tg_producer_delivered_at(const struct tg_producer *p)
{
	return p->delivered_at;
}

size_t tg_producer_in_flight(const struct tg_producer *p)
{
	return p->in_flight;
}
