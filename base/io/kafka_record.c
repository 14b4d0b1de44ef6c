#include "base/io/kafka_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct kafka_record *spare_take(struct tg_consumer *owner)
{
	struct tg_list *link = owner->spare.next;

	if (tg_list_empty(&owner->spare))
		return malloc(sizeof(struct kafka_record));
	tg_list_remove(link);
	return tg_container_of(link, struct kafka_record, link);
}

struct kafka_record *kafka_record_new(
	struct tg_consumer *owner, size_t part, rd_kafka_message_t *message)
{
	struct kafka_record *rec = spare_take(owner);
	rd_kafka_timestamp_type_t kind;
	int64_t stamp_ms;

	if (!rec)
		return NULL;
	stamp_ms = rd_kafka_message_timestamp(message, &kind);
	rec->owner = owner;
	tg_list_init(&rec->link);
	owner->records++;
	rec->pub = (struct tg_record){
		.topic = rd_kafka_topic_name(message->rkt),
		.partition = message->partition,
		.offset = message->offset,
		.stamp_us = stamp_ms < 0 ? -1 : stamp_ms * 1000,
		.stamp_is_log = kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME,
		.key = {message->key, message->key_len},
		.value = {message->payload, message->len},
		.part = part,
		.taken_us = owner->taken_us,
		.raw = message,
	};
	return rec;
}

void tg_record_free(struct tg_record *rec)
{
	struct kafka_record *r;

	if (!rec)
		return;
	r = tg_container_of(rec, struct kafka_record, pub);
	assert(r->owner->records > 0);
	r->owner->records--;
	rd_kafka_message_destroy(rec->raw);
	tg_list_push(&r->owner->spare, &r->link);
}

void kafka_records_release(struct tg_consumer *owner)
{
	tg_list_foreach_safe (it, next, &owner->spare) {
		tg_list_remove(it);
		free(tg_container_of(it, struct kafka_record, link));
	}
}

bool tg_record_header(const struct tg_record *rec, const char *name, struct tg_slice *ret)
{
	rd_kafka_headers_t *headers;
	const void *data;
	size_t len;

	for (size_t i = rec->own_count; i-- > 0;) {
		if (strcmp(rec->own[i].name, name) == 0) {
			*ret = rec->own[i].value;
			return true;
		}
	}
	if (!rec->raw || rd_kafka_message_headers(rec->raw, &headers) ||
		rd_kafka_header_get_last(headers, name, &data, &len))
		return false;
	*ret = (struct tg_slice){data, len};
	return true;
}

size_t tg_record_headers(const struct tg_record *rec, struct tg_header *out, size_t max)
{
	rd_kafka_headers_t *headers;
	size_t n = 0;

	for (; n < rec->own_count && n < max; n++)
		out[n] = rec->own[n];
	if (!rec->raw || rd_kafka_message_headers(rec->raw, &headers))
		return n;
	for (; n < max; n++) {
		const char *name;
		const void *data;
		size_t len;

		if (rd_kafka_header_get_all(headers, n, &name, &data, &len))
			break;
		out[n] = (struct tg_header){name, {data, len}};
	}
	return n;
}
