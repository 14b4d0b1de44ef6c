#include "base/io/kafka_wire.h"

#include <endian.h>
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "base/crc32c.h"

#define ACKS_ALL         (-1)
#define NULL_TEXT        (-1)
#define MAGIC            2
#define TRANSACTION_MS   60000
#define AT_LENGTH        8 /* places in a batch's header */
#define AT_CRC           17
#define AT_ATTRIBUTES    21
#define METADATA_VERSION 1
#define PRODUCE_VERSION  3
#define PRODUCER_VERSION 0

enum wire_verdict wire_judge(int error)
{
	switch (error) {
	case WIRE_OK:
	case WIRE_DUPLICATE: return WIRE_TAKEN;
	case WIRE_TOO_LARGE:
	case WIRE_LIST_TOO_LARGE: return WIRE_CUT;
	case WIRE_OUT_OF_SEQUENCE:
	case WIRE_STALE_PRODUCER_EPOCH:
	case WIRE_UNKNOWN_PRODUCER:
	case WIRE_FENCED: return WIRE_NEW_ID;
	case WIRE_INVALID_TOPIC:
	case WIRE_TOPIC_FORBIDDEN:
	case WIRE_INVALID_TIMESTAMP:
	case WIRE_INVALID_RECORD: return WIRE_REFUSED;
	default: return WIRE_AGAIN;
	}
}

const char *wire_error_name(int error)
{
	return rd_kafka_err2name((rd_kafka_resp_err_t)error); /* the protocol's own numbers */
}

/* --- requests --- */

int wire_put_text(struct tg_buf *out, struct tg_slice text)
{
	int rc = tg_buf_put_u16(out, (uint16_t)text.len);

	return rc ? rc : tg_buf_add_slice(out, text);
}

int wire_begin(
	struct tg_buf *out, enum wire_api api, int32_t correlation, struct tg_slice client_id)
{
	uint16_t version = api == WIRE_PRODUCE    ? PRODUCE_VERSION
			   : api == WIRE_METADATA ? METADATA_VERSION
						  : PRODUCER_VERSION;
	int rc;

	tg_buf_reset(out);
	rc = tg_buf_put_u32(out, 0);
	rc = rc ? rc : tg_buf_put_u16(out, (uint16_t)api);
	rc = rc ? rc : tg_buf_put_u16(out, version);
	rc = rc ? rc : tg_buf_put_u32(out, (uint32_t)correlation);
	return rc ? rc : wire_put_text(out, client_id);
}

void wire_end(struct tg_buf *out, size_t more)
{
	uint32_t len = htobe32((uint32_t)(out->len + more - sizeof(len)));

	memcpy(out->data, &len, sizeof(len));
}

int wire_metadata(struct tg_buf *out, const struct tg_slice *topics, size_t n)
{
	int rc = tg_buf_put_u32(out, (uint32_t)n);

	for (size_t i = 0; !rc && i < n; i++)
		rc = wire_put_text(out, topics[i]);
	return rc;
}

int wire_init_producer_id(struct tg_buf *out)
{
	int rc = tg_buf_put_u16(out, (uint16_t)NULL_TEXT); /* no transactions */

	return rc ? rc : tg_buf_put_u32(out, TRANSACTION_MS);
}

int wire_produce(struct tg_buf *out, int32_t timeout_ms, uint32_t topics)
{
	int rc = tg_buf_put_u16(out, (uint16_t)NULL_TEXT);

	rc = rc ? rc : tg_buf_put_u16(out, (uint16_t)ACKS_ALL);
	rc = rc ? rc : tg_buf_put_u32(out, (uint32_t)timeout_ms);
	return rc ? rc : tg_buf_put_u32(out, topics);
}

int wire_partition(struct tg_buf *out, int32_t partition, size_t batch_len)
{
	int rc = tg_buf_put_u32(out, (uint32_t)partition);

	return rc ? rc : tg_buf_put_u32(out, (uint32_t)batch_len);
}

/* --- answers --- */

void wire_skip(struct wire_reader *r, size_t bytes)
{
	if ((size_t)(r->end - r->at) < bytes) {
		r->broken = true;
		r->at = r->end;
		return;
	}
	r->at += bytes;
}

int64_t wire_int(struct wire_reader *r, size_t bytes)
{
	const unsigned char *p = (const unsigned char *)r->at;
	uint64_t v = 0;

	wire_skip(r, bytes);
	if (r->broken)
		return 0;
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return bytes < 8 && v >> (bytes * 8 - 1) ? (int64_t)(v | UINT64_MAX << bytes * 8)
						 : (int64_t)v;
}

struct tg_slice wire_text(struct wire_reader *r)
{
	int64_t len = wire_int(r, 2);
	const char *at = r->at;

	if (len < 0)
		return (struct tg_slice){NULL, 0};
	wire_skip(r, (size_t)len);
	return r->broken ? (struct tg_slice){NULL, 0} : (struct tg_slice){at, (size_t)len};
}

/* --- record batches --- */

static uint64_t zigzag(int64_t v)
{
	return v < 0 ? ~((uint64_t)v << 1) : (uint64_t)v << 1;
}

static size_t varint_len(int64_t v)
{
	uint64_t z = zigzag(v);

	return (size_t)(70 - __builtin_clzll(z | 1)) / 7;
}

static char *put_varint(char *p, int64_t v)
{
	uint64_t z = zigzag(v);

	for (; z >= 0x80; z >>= 7)
		*p++ = (char)(z | 0x80);
	*p++ = (char)z;
	return p;
}

static int64_t read_varint(struct wire_reader *r)
{
	uint64_t z = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = (uint8_t)wire_int(r, 1);

		z |= (byte & 0x7f) << shift;
		if (byte < 0x80)
			return (int64_t)(z >> 1 ^ -(z & 1));
	}
	r->broken = true;
	return 0;
}

static int64_t nullable_len(struct tg_slice s)
{
	return s.data ? (int64_t)s.len : -1;
}

static size_t bytes_len(struct tg_slice s)
{
	return varint_len(nullable_len(s)) + s.len;
}

static char *put_bytes(char *p, struct tg_slice s)
{
	p = put_varint(p, nullable_len(s));
	if (s.len)
		memcpy(p, s.data, s.len);
	return p + s.len;
}

void wire_measure(struct wire_message *message)
{
	size_t n = bytes_len(message->key) + bytes_len(message->value) +
		   varint_len((int64_t)message->headers_count);

	for (size_t i = 0; i < message->headers_count; i++)
		n += bytes_len(tg_slice_cstr(message->headers[i].name)) +
		     bytes_len(message->headers[i].value);
	message->bytes = n;
}

/* Makes room in a batch for a record of len bytes and writes what every record begins with. */
static char *record_begin(struct tg_buf *batch, int32_t at, size_t rest)
{
	size_t len = 2 + varint_len(at) + rest; /* attributes, time and place */
	size_t from = batch->len ? batch->len : WIRE_BATCH_HEADER;
	char *p;

	if (tg_buf_reserve(batch, from - batch->len + varint_len((int64_t)len) + len))
		return NULL;
	p = put_varint(batch->data + from, (int64_t)len);
	*p++ = 0; /* attributes */
	*p++ = 0; /* ms behind the batch's time */
	return put_varint(p, at);
}

int wire_record(struct tg_buf *batch, int32_t at, const struct wire_message *message)
{
	char *p = record_begin(batch, at, message->bytes);

	if (!p)
		return -TG_ENOMEM;
	p = put_bytes(p, message->key);
	p = put_bytes(p, message->value);
	p = put_varint(p, (int64_t)message->headers_count);
	for (size_t i = 0; i < message->headers_count; i++) {
		p = put_bytes(p, tg_slice_cstr(message->headers[i].name));
		p = put_bytes(p, message->headers[i].value);
	}
	batch->len = (size_t)(p - batch->data);
	return 0;
}

/* Steps over a record; *ret is what follows its place in the batch. */
static int record_step(struct wire_reader *r, struct wire_reader *ret)
{
	int64_t len = read_varint(r);
	const char *from = r->at;

	if (len < 0 || r->broken)
		return -TG_EPARSE;
	wire_skip(r, (size_t)len);
	*ret = (struct wire_reader){from, r->at, false};
	wire_skip(ret, 2);
	read_varint(ret);
	return r->broken || ret->broken ? -TG_EPARSE : 0;
}

int wire_record_peek(struct wire_reader r, size_t *ret_len, struct tg_slice *ret_key)
{
	const char *from = r.at;
	struct wire_reader record;
	int rc = record_step(&r, &record);
	int64_t len;

	if (rc)
		return rc;
	len = read_varint(&record);
	*ret_len = (size_t)(r.at - from);
	*ret_key = (struct tg_slice){len < 0 ? NULL : record.at, len < 0 ? 0 : (size_t)len};
	wire_skip(&record, ret_key->len);
	return record.broken ? -TG_EPARSE : 0;
}

int wire_record_copy(struct tg_buf *batch, int32_t at, struct wire_reader *r)
{
	struct wire_reader record;
	int rc = record_step(r, &record);
	size_t rest;
	char *p;

	if (rc || !batch)
		return rc ? rc : -TG_ENOMEM;
	rest = (size_t)(record.end - record.at);
	p = record_begin(batch, at, rest);
	if (!p)
		return -TG_ENOMEM;
	memcpy(p, record.at, rest);
	batch->len = (size_t)(p + rest - batch->data);
	return 0;
}

static char *put_int(char *p, int64_t v, size_t bytes)
{
	uint64_t wire = htobe64((uint64_t)v);

	memcpy(p, (const char *)&wire + sizeof(wire) - bytes, bytes);
	return p + bytes;
}

void wire_seal(struct tg_buf *batch, int32_t records, int64_t stamp_ms,
	const struct wire_producer *producer, int32_t sequence)
{
	char *p = put_int(batch->data, 0, 8); /* offset: the broker's to give */

	p = put_int(p, (int64_t)batch->len - AT_LENGTH - 4, 4);
	p = put_int(p, -1, 4); /* the leader's epoch: the broker's */
	*p = MAGIC;
	p = put_int(batch->data + AT_ATTRIBUTES, 0, 2);
	p = put_int(p, records - 1, 4);
	p = put_int(p, stamp_ms, 8);
	p = put_int(p, stamp_ms, 8);
	p = put_int(p, producer->id, 8);
	p = put_int(p, producer->epoch, 2);
	p = put_int(p, sequence, 4);
	put_int(p, records, 4);
	put_int(batch->data + AT_CRC,
		tg_crc32c(batch->data + AT_ATTRIBUTES, batch->len - AT_ATTRIBUTES), 4);
}

/* MurmurHash2 with the Java client's seed. */
static uint32_t murmur2(struct tg_slice key)
{
	const unsigned char *p = (const unsigned char *)key.data;
	const uint32_t m = UINT32_C(0x5bd1e995);
	uint32_t h = UINT32_C(0x9747b28c) ^ (uint32_t)key.len, k;
	size_t len = key.len;

	for (; len >= 4; p += 4, len -= 4) {
		k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		    (uint32_t)p[3] << 24;
		k *= m;
		k ^= k >> 24;
		h = h * m ^ k * m;
	}
	for (k = 0; len; len--)
		k = k << 8 | p[len - 1];
	if (key.len % 4)
		h = (h ^ k) * m;
	h = (h ^ h >> 13) * m;
	return h ^ h >> 15;
}

int32_t wire_partition_of(struct tg_slice key, int32_t n)
{
	return (int32_t)(murmur2(key) & INT32_MAX) % n;
}
