/* What holds for every event that passed the checks, whatever form it came in. */
#ifndef TG_TESTS_FUZZ_EVENT_H
#define TG_TESTS_FUZZ_EVENT_H

#include "base/clock.h"
#include "proto/codec.h"
#include "tests/fuzz/fuzz.h"

#define FUZZ_EVENT_MEMORY ((size_t)16 << 20)

static const struct tg_event_limits fuzz_limits = {
	.arrived_us = INT64_C(1800000000000000),
	.ahead_us = 600 * TG_US_PER_S,
};

static inline void fuzz_same(const tg_event_pb *a, const tg_event_pb *b)
{
	uint8_t x[16], y[16];

	FUZZ_HOLDS(tg_event_check(b, &fuzz_limits) == TG_ACCEPT);
	tg_event_uid(a, x);
	tg_event_uid(b, y);
	FUZZ_HOLDS(memcmp(x, y, sizeof(x)) == 0);
	FUZZ_HOLDS(a->payload_case == b->payload_case);
	FUZZ_HOLDS(a->n_attributes == b->n_attributes);
	FUZZ_HOLDS(!a->location == !b->location);
	if (a->location)
		FUZZ_HOLDS(a->location->lon == b->location->lon &&
			   a->location->lat == b->location->lat);
	if (a->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_READING)
		FUZZ_HOLDS(a->reading->value == b->reading->value);
}

/* An accepted event goes through both forms and comes back as itself. */
static inline void fuzz_round_trips(struct tg_arena *arena, const tg_event_pb *ev)
{
	struct tg_buf bytes = {0}, text = {0};
	tg_event_pb *again;
	struct tg_jw w;

	FUZZ_HOLDS(tg_event_encode(ev, &bytes) == 0);
	FUZZ_HOLDS(tg_event_decode(arena, TG_FORM_PROTOBUF,
			   (struct tg_slice){bytes.data, bytes.len}, &again) == TG_ACCEPT);
	fuzz_same(ev, again);
	tg_jw_begin(&w, &text);
	tg_event_json(&w, NULL, ev, false);
	FUZZ_HOLDS(tg_jw_end(&w) == 0);
	FUZZ_HOLDS(tg_event_decode(arena, TG_FORM_JSON, (struct tg_slice){text.data, text.len},
			   &again) == TG_ACCEPT);
	fuzz_same(ev, again);
	tg_buf_release(&bytes);
	tg_buf_release(&text);
}

/* The short way takes nothing that the whole way would not, and makes the same of it. */
static inline void fuzz_plain(struct tg_arena *arena, struct tg_slice bytes)
{
	tg_event_pb *plain = tg_event_decode_plain(arena, bytes), *whole = NULL;
	struct tg_buf a = {0}, b = {0};

	if (!plain)
		return;
	FUZZ_HOLDS(tg_event_decode(arena, TG_FORM_PROTOBUF, bytes, &whole) == TG_ACCEPT);
	FUZZ_HOLDS(tg_event_encode(plain, &a) == 0 && tg_event_encode(whole, &b) == 0);
	FUZZ_HOLDS(a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0));
	tg_buf_release(&a);
	tg_buf_release(&b);
}

static inline void fuzz_event(struct tg_arena *arena, enum tg_form form, struct tg_slice bytes)
{
	tg_event_pb *ev = NULL;
	enum tg_reject why = tg_event_decode(arena, form, bytes, &ev);

	if (!why)
		why = tg_event_check(ev, &fuzz_limits);
	FUZZ_HOLDS(why >= TG_ACCEPT && why < TG_REJECT_COUNT);
	if (!why)
		fuzz_round_trips(arena, ev);
	if (form == TG_FORM_PROTOBUF)
		fuzz_plain(arena, bytes);
}

#endif
