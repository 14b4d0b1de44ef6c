/* Bytes ↔ event: the bounds are checked once, here. Everything decoded lives in the caller's arena.
 */
#ifndef TG_PROTO_CODEC_H
#define TG_PROTO_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "event.pb-c.h"
#include "proto/reject.h"

#define TG_EVENT_BYTES_MAX      ((size_t)1 << 20)
#define TG_EVENT_DEPTH_MAX      32
#define TG_EVENT_FIELDS_MAX     4096
#define TG_EVENT_ID_MAX         64
#define TG_EVENT_ATTRIBUTES_MAX 32
#define TG_REPORT_TEXT_MAX      16384

typedef Tongguan__V1__Event tg_event_pb;
typedef Tongguan__V1__LocatedEvent tg_located_pb;

enum tg_form { TG_FORM_PROTOBUF, TG_FORM_JSON, TG_FORM_CLOUDEVENTS };

/* The form a content-type header names; protobuf when it is absent or names nothing we know. */
enum tg_form tg_form_of(struct tg_slice content_type);

/* Decodes one event: pre-scan (size, depth, fields, UTF-8, NUL) before unpack. Any failure to make
 * sense of the bytes is a refusal; memory running out (arena limit) is reported as too_large.
 * Unknown fields survive in protobuf form. */
enum tg_reject tg_event_decode(
	struct tg_arena *arena, enum tg_form form, struct tg_slice bytes, tg_event_pb **ret);

/* The same for protobuf bytes that hold known fields only, each once, and no list: almost all do.
 * NULL: they are not so plain, or they are broken; tg_event_decode() says which. */
tg_event_pb *tg_event_decode_plain(struct tg_arena *arena, struct tg_slice bytes);

struct tg_event_limits {
	int64_t arrived_us;   /* the record's LogAppendTime, else the reader's clock */
	int64_t ahead_us;     /* tolerated ahead of arrival */
	int64_t retention_us; /* 0 keeps all */
};

/* The checks of the contract's table, in its order. Does not look at the city (types, devices). */
enum tg_reject tg_event_check(const tg_event_pb *ev, const struct tg_event_limits *limits);

/* 48 bits of occurred_at in ms, big-endian, then the first 80 bits of BLAKE2b-128 over source_id,
 * 0x00, event_id, 0x00 and occurred_at_us (8 bytes big-endian): unique and local in time. ev must
 * have passed tg_event_check(). */
void tg_event_uid(const tg_event_pb *ev, uint8_t ret_uid[16]);

/* The event's JSON form (contract), contact masked to its last 4 characters when mask is set. */
void tg_event_json(struct tg_jw *w, const char *key, const tg_event_pb *ev, bool mask);

/* Members of that form by part, for who stores the rest elsewhere. Inside an object. */
enum tg_event_part {
	TG_PART_IDENTITY = 1, /* event_id, source_id, source_kind, occurred_at, type_code */
	TG_PART_LOCATION = 2,
	TG_PART_ATTRIBUTES = 4,
	TG_PART_PAYLOAD = 8,
	TG_PART_ALL = 15,
};
void tg_event_json_parts(struct tg_jw *w, const tg_event_pb *ev, unsigned parts, bool mask);

/* Appends the packed message. */
TG_MUST int tg_event_encode(const tg_event_pb *ev, struct tg_buf *out);
TG_MUST int tg_located_encode(const tg_located_pb *loc, struct tg_buf *out);
/* The same with `event` taken as packed bytes instead of loc->event, which must be NULL: an event
 * that came as protobuf goes on byte for byte. */
TG_MUST int tg_located_encode_around(
	const tg_located_pb *loc, struct tg_slice event, struct tg_buf *out);
/* As tg_event_decode_plain(). */
tg_located_pb *tg_located_decode_plain(struct tg_arena *arena, struct tg_slice bytes);
/* NULL when the bytes are no LocatedEvent. */
tg_located_pb *tg_located_decode(struct tg_arena *arena, struct tg_slice bytes);

/* Who is meant when distinct reporters are counted: report.reporter_id, else source_id. */
const char *tg_event_reporter(const tg_event_pb *ev);
/* "***1234": the last 4 characters; shorter contacts are masked whole. out needs 32 bytes. */
void tg_mask_contact(const char *contact, char out[32]);

const char *tg_source_kind_name(int kind);                      /* lower case; "" when unknown */
bool tg_source_kind_parse(struct tg_slice name, int *ret_kind); /* lower case only */

#endif
