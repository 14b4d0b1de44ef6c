#include "proto/codec_scan.h"

#include <stdbool.h>
#include <string.h>

#include "proto/codec.h"

enum wire { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_GROUP, WIRE_GROUP_END, WIRE_32 };

struct scan {
	const uint8_t *p, *end;
	int fields;
};

/* Bytes of the UTF-8 sequence at p (2–4), 0 when it is none. The ranges are those of Unicode's
 * table of well-formed byte sequences: the second byte alone decides about overlong forms and
 * surrogates. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (left < n)
		return 0;
	switch (p[0]) {
	case 0xe0: low = 0xa0; break;
	case 0xed: high = 0x9f; break;
	case 0xf0: low = 0x90; break;
	case 0xf4: high = 0x8f; break;
	default: break;
	}
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

/* Eight bytes of plain ASCII without NUL? The subtraction borrows out of a zero byte. */
static bool plain_word(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return !(((w - UINT64_C(0x0101010101010101)) | w) & UINT64_C(0x8080808080808080));
}

enum tg_reject tg_scan_text(struct tg_slice text)
{
	const uint8_t *p = (const uint8_t *)text.data, *end = p + text.len;

	while (p < end) {
		size_t n;

		if (end - p >= 8 && plain_word(p)) {
			p += 8;
			continue;
		}
		if (*p == 0)
			return TG_REJECT_nul_byte;
		if (*p < 0x80) {
			p++;
			continue;
		}
		n = utf8_sequence(p, (size_t)(end - p));
		if (n == 0)
			return TG_REJECT_bad_utf8;
		p += n;
	}
	return TG_ACCEPT;
}

static bool take_varint(struct scan *s, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte;

		if (s->p == s->end)
			return false;
		byte = *s->p++;
		if (shift == 63 && byte > 1)
			return false;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static enum wire wire_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT: return WIRE_32;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE: return WIRE_64;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE: return WIRE_BYTES;
	default: return WIRE_VARINT;
	}
}

static enum tg_reject scan_message(
	struct scan *s, const ProtobufCMessageDescriptor *desc, int depth);

/* A length-delimited field: text is checked, a message is walked, bytes and unknown ones are passed
 * over. */
static enum tg_reject scan_bytes(struct scan *s, const ProtobufCFieldDescriptor *field, int depth)
{
	enum tg_reject why = TG_ACCEPT;
	const uint8_t *outer = s->end;
	uint64_t len;

	if (!take_varint(s, &len) || len > (uint64_t)(s->end - s->p))
		return TG_REJECT_truncated;
	if (field && field->type == PROTOBUF_C_TYPE_STRING)
		why = tg_scan_text((struct tg_slice){(const char *)s->p, (size_t)len});
	if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE) {
		s->p += len;
		return why;
	}
	s->end = s->p + len;
	why = scan_message(s, field->descriptor, depth + 1);
	s->end = outer;
	return why;
}

/* Everything up to the end of s, or of the group that desc == NULL stands for. */
static enum tg_reject scan_message(
	struct scan *s, const ProtobufCMessageDescriptor *desc, int depth)
{
	if (depth > TG_EVENT_DEPTH_MAX)
		return TG_REJECT_too_deep;
	while (s->p < s->end) {
		const ProtobufCFieldDescriptor *field = NULL;
		enum tg_reject why = TG_ACCEPT;
		uint64_t tag, skip;
		enum wire wire;

		if (!take_varint(s, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
			return TG_REJECT_truncated;
		if (++s->fields > TG_EVENT_FIELDS_MAX)
			return TG_REJECT_too_many_fields;
		wire = (enum wire)(tag & 7);
		if (desc)
			field = protobuf_c_message_descriptor_get_field(desc, (unsigned)(tag >> 3));
		if (field && wire != WIRE_GROUP && wire_of(field->type) != wire)
			return TG_REJECT_truncated;
		switch (wire) {
		case WIRE_VARINT:
			if (!take_varint(s, &skip))
				return TG_REJECT_truncated;
			break;
		case WIRE_BYTES: why = scan_bytes(s, field, depth); break;
		case WIRE_GROUP: why = scan_message(s, NULL, depth + 1); break;
		case WIRE_GROUP_END: return desc ? TG_REJECT_truncated : TG_ACCEPT;
		case WIRE_32:
		case WIRE_64:
			skip = wire == WIRE_32 ? 4 : 8;
			if ((uint64_t)(s->end - s->p) < skip)
				return TG_REJECT_truncated;
			s->p += skip;
			break;
		default: return TG_REJECT_truncated;
		}
		if (why)
			return why;
	}
	return desc ? TG_ACCEPT : TG_REJECT_truncated;
}

enum tg_reject tg_scan_wire(const ProtobufCMessageDescriptor *desc, struct tg_slice bytes)
{
	struct scan s = {
		.p = (const uint8_t *)bytes.data,
		.end = (const uint8_t *)bytes.data + bytes.len,
	};

	return scan_message(&s, desc, 1);
}
