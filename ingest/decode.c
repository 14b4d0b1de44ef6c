#include "ingest/decode.h"

#include "base/clock.h"

/* So far ahead that no event is refused for it, and no sum with it overflows. */
#define FOREVER_US (INT64_C(100000) * TG_US_PER_DAY)

int64_t tg_record_arrival_us(const struct tg_record *rec, int64_t now_us)
{
	return rec->stamp_is_log && rec->stamp_us >= 0 ? rec->stamp_us : now_us;
}

static enum tg_reject decode(struct tg_arena *arena, const struct tg_record *rec,
	const struct tg_event_limits *limits, enum tg_form *ret_form, tg_event_pb **ret)
{
	struct tg_slice content_type = {0};
	enum tg_reject why;
	tg_event_pb *ev;

	*ret_form = TG_FORM_PROTOBUF;
	if (tg_record_header(rec, "content-type", &content_type))
		*ret_form = tg_form_of(content_type);
	why = tg_event_decode(arena, *ret_form, rec->value, &ev);
	if (!why)
		why = tg_event_check(ev, limits);
	if (!why)
		*ret = ev;
	return why;
}

enum tg_reject tg_decode(struct tg_arena *arena, const struct tg_record *rec,
	const struct tg_decode_limits *limits, int64_t now_us, enum tg_form *ret_form,
	tg_event_pb **ret)
{
	const struct tg_event_limits at_arrival = {
		.arrived_us = tg_record_arrival_us(rec, now_us),
		.ahead_us = limits->ahead_us,
		.retention_us = limits->retention_us,
	};

	return decode(arena, rec, &at_arrival, ret_form, ret);
}

enum tg_reject tg_decode_again(struct tg_arena *arena, const struct tg_record *rec,
	enum tg_form *ret_form, tg_event_pb **ret)
{
	const struct tg_event_limits none = {.ahead_us = FOREVER_US};

	return decode(arena, rec, &none, ret_form, ret);
}
