#include "ingest/decode.h"

#include "base/clock.h"
#include "proto/frame.h"

/* So far ahead that no event is refused for it, and no sum with it overflows. */
#define FOREVER_US (INT64_C(100000) * TG_US_PER_DAY)

int64_t tg_record_arrival_us(const struct tg_record *rec, int64_t now_us)
{
	return rec->stamp_is_log && rec->stamp_us >= 0 ? rec->stamp_us : now_us;
}

/* A field told twice may hide what a later one replaced: packed anew the message is then shorter.
 */
static bool shows_all(const tg_event_pb *ev, struct tg_slice packed)
{
	return protobuf_c_message_get_packed_size(&ev->base) == packed.len;
}

static enum tg_reject decode_form(
	struct tg_arena *arena, enum tg_form form, struct tg_slice value, struct tg_decoded *ret)
{
	enum tg_reject why;

	ret->packed = (struct tg_slice){0};
	ret->ev = form == TG_FORM_PROTOBUF ? tg_event_decode_plain(arena, value) : NULL;
	if (ret->ev) {
		ret->packed = value;
		return TG_ACCEPT;
	}
	why = tg_event_decode(arena, form, value, &ret->ev);
	if (!why && form == TG_FORM_PROTOBUF && shows_all(ret->ev, value))
		ret->packed = value;
	return why;
}

static enum tg_reject decode(struct tg_arena *arena, const struct tg_record *rec,
	const char *framed_topics, const struct tg_event_limits *limits, struct tg_decoded *ret)
{
	struct tg_slice content_type = {0}, value = rec->value;
	enum tg_form form = TG_FORM_PROTOBUF;
	enum tg_reject why = TG_ACCEPT;

	if (tg_record_header(rec, "content-type", &content_type))
		form = tg_form_of(content_type);
	if (framed_topics[0] && tg_frame_topic(framed_topics, rec->topic))
		why = tg_frame_strip(form, rec->value, &value);
	if (!why)
		why = decode_form(arena, form, value, ret);
	return why ? why : tg_event_check(ret->ev, limits);
}

enum tg_reject tg_decode(struct tg_arena *arena, const struct tg_record *rec,
	const struct tg_decode_limits *limits, int64_t now_us, struct tg_decoded *ret)
{
	const struct tg_event_limits at_arrival = {
		.arrived_us = tg_record_arrival_us(rec, now_us),
		.ahead_us = limits->ahead_us,
		.retention_us = limits->retention_us,
	};

	return decode(arena, rec, limits->framed_topics, &at_arrival, ret);
}

enum tg_reject tg_decode_again(struct tg_arena *arena, const struct tg_record *rec,
	const struct tg_decode_limits *limits, struct tg_decoded *ret)
{
	const struct tg_event_limits none = {.ahead_us = FOREVER_US};

	return decode(arena, rec, limits->framed_topics, &none, ret);
}
