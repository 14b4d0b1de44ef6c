/* The usual event in one walk: every field known, told once, nothing repeated. What is less plain
 * than that is left to the whole way (scan, then unpack), which also says why it refuses. The
 * tables come from the generated descriptors, so a new field needs no line here. */
#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/codec_scan.h"

#define FIELD_IDS 16 /* a tag of one byte */
#define MESSAGES  8

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, WIRE_NONE = 7 };

struct message;

struct field {
	enum wire wire; /* WIRE_NONE: not plain */
	bool text, blob, wide, oneof;
	unsigned at, has; /* offsets in the message; has: flag, or the oneof's case */
	const struct message *message;
};

struct message {
	const ProtobufCMessageDescriptor *desc;
	struct field fields[FIELD_IDS];
};

static struct message messages[MESSAGES];
static size_t messages_count;
static const struct message *event_message, *located_message;

struct walk {
	const uint8_t *p, *end;
	struct tg_arena *arena;
};

static const struct message *describe(const ProtobufCMessageDescriptor *desc);

static struct field describe_field(const ProtobufCFieldDescriptor *d)
{
	struct field f = {.wire = WIRE_NONE,
		.oneof = d->flags & PROTOBUF_C_FIELD_FLAG_ONEOF,
		.at = d->offset,
		.has = d->quantifier_offset};

	if (d->label == PROTOBUF_C_LABEL_REPEATED)
		return f;
	switch (d->type) {
	case PROTOBUF_C_TYPE_INT64: f.wide = true; /* fallthrough */
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM: f.wire = WIRE_VARINT; break;
	case PROTOBUF_C_TYPE_DOUBLE: f.wire = WIRE_64; break;
	case PROTOBUF_C_TYPE_FLOAT: f.wire = WIRE_32; break;
	case PROTOBUF_C_TYPE_STRING:
		f.text = true;
		f.wire = WIRE_BYTES;
		break;
	case PROTOBUF_C_TYPE_BYTES:
		f.blob = true;
		f.wire = WIRE_BYTES;
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		f.message = describe(d->descriptor);
		f.wire = WIRE_BYTES;
		break;
	default: break;
	}
	return f;
}

static const struct message *describe(const ProtobufCMessageDescriptor *desc)
{
	struct message *m = &messages[messages_count];

	for (size_t i = 0; i < messages_count; i++)
		if (messages[i].desc == desc)
			return &messages[i];
	assert(messages_count < MESSAGES);
	messages_count++;
	m->desc = desc;
	for (unsigned id = 0; id < FIELD_IDS; id++)
		m->fields[id].wire = WIRE_NONE;
	for (unsigned i = 0; i < desc->n_fields; i++) {
		if (desc->fields[i].id < FIELD_IDS)
			m->fields[desc->fields[i].id] = describe_field(&desc->fields[i]);
	}
	return m;
}

static void describe_all(void)
{
	event_message = describe(&tongguan__v1__event__descriptor);
	located_message = describe(&tongguan__v1__located_event__descriptor);
}

static bool take_varint(struct walk *w, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 63 && w->p < w->end; shift += 7) {
		uint8_t byte = *w->p++;

		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false; /* cut off, or negative */
}

static bool take_number(struct walk *w, const struct field *f, char *msg)
{
	uint64_t v;
	int32_t narrow;

	if (!take_varint(w, &v))
		return false;
	narrow = (int32_t)v;
	memcpy(msg + f->at, f->wide ? (void *)&v : (void *)&narrow, f->wide ? 8 : 4);
	return true;
}

static bool take_fixed(struct walk *w, size_t n, char *at)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire's order is ours");
	if ((size_t)(w->end - w->p) < n)
		return false;
	memcpy(at, w->p, n);
	w->p += n;
	return true;
}

static void *walk_message(struct walk *w, const struct message *m);

static bool take_blob(struct walk *w, struct tg_slice bytes, char *at)
{
	ProtobufCBinaryData blob = {bytes.len, tg_arena_alloc(w->arena, bytes.len)};

	if (!blob.data)
		return false;
	if (bytes.len)
		memcpy(blob.data, bytes.data, bytes.len);
	memcpy(at, &blob, sizeof(blob));
	return true;
}

static bool take_bytes(struct walk *w, const struct field *f, char *msg)
{
	struct tg_slice bytes = {0};
	struct walk inner;
	uint64_t len;
	void *value;

	if (!take_varint(w, &len) || len > (uint64_t)(w->end - w->p))
		return false;
	bytes = (struct tg_slice){(const char *)w->p, (size_t)len};
	w->p += len;
	if (f->blob)
		return take_blob(w, bytes, msg + f->at);
	if (f->text) {
		value = tg_scan_text(bytes) ? NULL
					    : tg_arena_strdup(w->arena, bytes.data, bytes.len);
	} else {
		inner = (struct walk){(const uint8_t *)bytes.data, w->p, w->arena};
		value = walk_message(&inner, f->message);
	}
	memcpy(msg + f->at, &value, sizeof(value));
	return value != NULL;
}

/* Marks the field as told; false when it, or another of its oneof, was told before. Texts and
 * messages outside a oneof have no mark but their pointer. */
static bool mark(const struct field *f, unsigned id, char *msg)
{
	static const void *const untold;

	if (f->oneof) {
		uint32_t before;

		memcpy(&before, msg + f->has, sizeof(before));
		memcpy(msg + f->has, &(uint32_t){id}, sizeof(uint32_t));
		return before == 0;
	}
	if (f->wire == WIRE_BYTES && !f->blob)
		return memcmp(msg + f->at, &untold, sizeof(untold)) == 0;
	if (*(protobuf_c_boolean *)(msg + f->has))
		return false;
	*(protobuf_c_boolean *)(msg + f->has) = true;
	return true;
}

static bool walk_field(struct walk *w, const struct message *m, char *msg)
{
	unsigned tag = *w->p++, id = tag >> 3;
	const struct field *f = &m->fields[id % FIELD_IDS];

	if (tag >= 0x80 || f->wire == WIRE_NONE || f->wire != (tag & 7) || !mark(f, id, msg))
		return false;
	switch (f->wire) {
	case WIRE_VARINT: return take_number(w, f, msg);
	case WIRE_64: return take_fixed(w, 8, msg + f->at);
	case WIRE_32: return take_fixed(w, 4, msg + f->at);
	case WIRE_BYTES: return take_bytes(w, f, msg);
	default: return false;
	}
}

static void *walk_message(struct walk *w, const struct message *m)
{
	char *msg = tg_arena_alloc(w->arena, m->desc->sizeof_message);

	if (!msg)
		return NULL;
	m->desc->message_init((ProtobufCMessage *)(void *)msg);
	while (w->p < w->end) {
		if (!walk_field(w, m, msg))
			return NULL;
	}
	return msg;
}

static void *decode(struct tg_arena *arena, struct tg_slice bytes, const struct message **what)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct walk w = {
		(const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.len, arena};

	pthread_once(&once, describe_all);
	return bytes.data ? walk_message(&w, *what) : NULL;
}

tg_event_pb *tg_event_decode_plain(struct tg_arena *arena, struct tg_slice bytes)
{
	return bytes.len > TG_EVENT_BYTES_MAX ? NULL : decode(arena, bytes, &event_message);
}

tg_located_pb *tg_located_decode_plain(struct tg_arena *arena, struct tg_slice bytes)
{
	return decode(arena, bytes, &located_message);
}
