/* A LocatedEvent around an event that goes on byte for byte: written by hand, because every stored
 * event passes here and the generated way walks it twice. */
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "proto/codec.h"

#define VARINT_MAX 10
/* Ten numbers and heads of texts at most. */
#define FIXED_MAX (16 * (1 + VARINT_MAX))

enum wire { VARINT, BITS_64, BYTES };

static char *put_varint(char *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (char)(v | 0x80);
		v >>= 7;
	}
	*p++ = (char)v;
	return p;
}

static char *put_number(char *p, unsigned field, int64_t v)
{
	*p++ = (char)(field << 3 | VARINT);
	return put_varint(p, (uint64_t)v);
}

static char *put_double(char *p, unsigned field, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	bits = htole64(bits);
	*p++ = (char)(field << 3 | BITS_64);
	memcpy(p, &bits, sizeof(bits));
	return p + sizeof(bits);
}

static char *put_bytes(char *p, unsigned field, const void *data, size_t n)
{
	*p++ = (char)(field << 3 | BYTES);
	p = put_varint(p, n);
	memcpy(p, data, n);
	return p + n;
}

static char *put_text(char *p, unsigned field, struct tg_slice text)
{
	return text.data ? put_bytes(p, field, text.data, text.len) : p;
}

static struct tg_slice text_of(const char *text)
{
	return text ? tg_slice_cstr(text) : (struct tg_slice){0};
}

int tg_located_encode_around(const tg_located_pb *loc, struct tg_slice event, struct tg_buf *out)
{
	const struct tg_slice grid_cell = text_of(loc->grid_cell), street = text_of(loc->street);
	const struct tg_slice district = text_of(loc->district);
	const struct tg_slice topic = text_of(loc->source_topic);
	size_t room = FIXED_MAX + event.len + loc->uid.len + grid_cell.len + street.len +
		      district.len + topic.len;
	int rc = tg_buf_reserve(out, room);
	char *p;

	assert(!loc->event);
	if (rc)
		return rc;
	p = put_bytes(out->data + out->len, 1, event.data, event.len);
	if (loc->has_uid)
		p = put_bytes(p, 2, loc->uid.data, loc->uid.len);
	p = put_text(p, 3, grid_cell);
	p = put_text(p, 4, street);
	p = put_text(p, 5, district);
	if (loc->has_region)
		p = put_number(p, 6, loc->region);
	if (loc->has_lon)
		p = put_double(p, 7, loc->lon);
	if (loc->has_lat)
		p = put_double(p, 8, loc->lat);
	if (loc->has_ingested_at_us)
		p = put_number(p, 9, loc->ingested_at_us);
	p = put_text(p, 10, topic);
	if (loc->has_source_partition)
		p = put_number(p, 11, loc->source_partition);
	if (loc->has_progress_us)
		p = put_number(p, 12, loc->progress_us);
	assert((size_t)(p - out->data) <= out->len + room);
	out->len = (size_t)(p - out->data);
	return 0;
}
