#include <string.h>
#include <strings.h>

#include "proto/codec.h"
#include "proto/codec_json.h"
#include "proto/codec_scan.h"

/* protobuf-c takes its memory from the arena, so there is nothing to free per message. */
struct arena_memory {
	struct tg_arena *arena;
	bool exhausted;
};

static void *memory_alloc(void *data, size_t n)
{
	struct arena_memory *m = data;
	void *p = tg_arena_alloc(m->arena, n);

	if (!p)
		m->exhausted = true;
	return p;
}

static void memory_free(void *data, void *p)
{
	(void)data;
	(void)p; /* the arena is emptied as a whole */
}

static enum tg_reject unpack(const ProtobufCMessageDescriptor *desc, struct tg_arena *arena,
	struct tg_slice bytes, ProtobufCMessage **ret)
{
	struct arena_memory memory = {.arena = arena};
	ProtobufCAllocator allocator = {memory_alloc, memory_free, &memory};
	enum tg_reject why = tg_scan_wire(desc, bytes);
	ProtobufCMessage *msg;

	if (why)
		return why;
	msg = protobuf_c_message_unpack(desc, &allocator, bytes.len, (const uint8_t *)bytes.data);
	if (!msg)
		return memory.exhausted ? TG_REJECT_too_large : TG_REJECT_truncated;
	*ret = msg;
	return TG_ACCEPT;
}

static struct tg_slice trim(struct tg_slice s)
{
	while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
		s.data++;
		s.len--;
	}
	while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

enum tg_form tg_form_of(struct tg_slice content_type)
{
	static const struct tg_slice json = TG_SLICE("application/json");
	static const struct tg_slice cloud = TG_SLICE("application/cloudevents+json");
	const char *params;
	struct tg_slice type = content_type;

	if (!type.len)
		return TG_FORM_PROTOBUF;
	params = memchr(type.data, ';', type.len);
	if (params)
		type.len = (size_t)(params - type.data);
	type = trim(type);
	if (type.len == json.len && !strncasecmp(type.data, json.data, json.len))
		return TG_FORM_JSON;
	if (type.len == cloud.len && !strncasecmp(type.data, cloud.data, cloud.len))
		return TG_FORM_CLOUDEVENTS;
	return TG_FORM_PROTOBUF;
}

enum tg_reject tg_event_decode(
	struct tg_arena *arena, enum tg_form form, struct tg_slice bytes, tg_event_pb **ret)
{
	ProtobufCMessage *msg = NULL;
	enum tg_reject why;

	if (!bytes.data)
		return TG_REJECT_tombstone;
	if (bytes.len > TG_EVENT_BYTES_MAX)
		return TG_REJECT_too_large;
	if (form != TG_FORM_PROTOBUF)
		return tg_event_read_json(arena, form == TG_FORM_CLOUDEVENTS, bytes, ret);
	why = unpack(&tongguan__v1__event__descriptor, arena, bytes, &msg);
	if (!why)
		*ret = (tg_event_pb *)msg;
	return why;
}

static int pack(const ProtobufCMessage *msg, struct tg_buf *out)
{
	size_t n = protobuf_c_message_get_packed_size(msg);
	int rc = tg_buf_reserve(out, n);

	if (rc)
		return rc;
	if (n) /* an empty message into an empty buffer: there is no address yet */
		out->len += protobuf_c_message_pack(msg, (uint8_t *)out->data + out->len);
	return 0;
}

int tg_event_encode(const tg_event_pb *ev, struct tg_buf *out)
{
	return pack(&ev->base, out);
}

int tg_located_encode(const tg_located_pb *loc, struct tg_buf *out)
{
	return pack(&loc->base, out);
}

tg_located_pb *tg_located_decode(struct tg_arena *arena, struct tg_slice bytes)
{
	tg_located_pb *plain = tg_located_decode_plain(arena, bytes);
	ProtobufCMessage *msg = NULL;

	if (plain)
		return plain;
	if (!bytes.data || unpack(&tongguan__v1__located_event__descriptor, arena, bytes, &msg))
		return NULL;
	return (tg_located_pb *)msg;
}
