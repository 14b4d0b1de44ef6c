#include "proto/frame.h"

#include <string.h>

#define FRAME_HEAD 5 /* the zero byte, the schema's number */

/* One varint of at most 32 bits; false when it is cut or longer. */
static bool take_varint(struct tg_slice *s, uint32_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 5 && i < s->len; i++) {
		uint8_t byte = (uint8_t)s->data[i];

		v |= (uint64_t)(byte & 0x7f) << 7 * i;
		if (byte & 0x80)
			continue;
		if (v > UINT32_MAX)
			return false;
		s->data += i + 1;
		s->len -= i + 1;
		*ret = (uint32_t)v;
		return true;
	}
	return false;
}

/* Zigzag: even numbers stand for 0, 1, 2 …; odd ones would be negative. */
static bool take_index(struct tg_slice *s, uint32_t max, uint32_t *ret)
{
	uint32_t v;

	if (!take_varint(s, &v) || v & 1 || v / 2 > max)
		return false;
	*ret = v / 2;
	return true;
}

enum tg_reject tg_frame_strip(enum tg_form form, struct tg_slice value, struct tg_slice *ret)
{
	struct tg_slice rest = value;
	uint32_t count, index;

	if (!value.data) {
		*ret = value;
		return TG_ACCEPT;
	}
	if (rest.len < FRAME_HEAD || rest.data[0] != 0)
		return TG_REJECT_bad_frame;
	rest.data += FRAME_HEAD;
	rest.len -= FRAME_HEAD;
	if (form == TG_FORM_PROTOBUF) {
		if (!take_index(&rest, TG_FRAME_INDEXES_MAX, &count))
			return TG_REJECT_bad_frame;
		for (uint32_t i = 0; i < count; i++)
			if (!take_index(&rest, INT32_MAX, &index))
				return TG_REJECT_bad_frame;
	}
	*ret = rest;
	return TG_ACCEPT;
}

bool tg_frame_topic(const char *framed_topics, const char *topic)
{
	size_t len = strlen(topic);

	for (const char *p = framed_topics; *p;) {
		size_t n;

		p += strspn(p, ", ");
		n = strcspn(p, ", ");
		if (n == len && n > 0 && memcmp(p, topic, n) == 0)
			return true;
		p += n;
	}
	return false;
}
