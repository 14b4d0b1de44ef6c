/* The live stream, as its files see it: who listens, and how a listener that was away gets what it
 * missed. */
#ifndef TG_DISPATCH_API_LIVE_IMPL_H
#define TG_DISPATCH_API_LIVE_IMPL_H

#include <uv.h>

#include "base/list.h"
#include "dispatch/api.h"
#include "dispatch/api_ring.h"

struct tg_live {
	struct tg_api *api;
	struct tg_ring ring;
	struct tg_list listeners;
	size_t count;
	uv_timer_t timer;
	uv_timer_t flush;    /* when the outbox has told all it has */
	struct tg_buf batch; /* the frames of one flush */
	int64_t flush_ended_us, flush_took_us;
	int64_t flushed; /* listeners that wait for nothing have all up to here */
	unsigned ticks;
	unsigned asking; /* queries under way that are not a listener's own */
	bool closing;
	int timers_closed;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

struct listener {
	struct tg_list link;
	struct tg_live *live;
	struct tg_stream *stream; /* NULL: gone */
	char department[32];
	uint8_t hash[TG_TOKEN_HASH_BYTES];
	int64_t sent;         /* everything up to here was sent, or was not for this listener */
	int64_t may_catch_up; /* rows from the table before we give up */
	bool fresh;           /* asked for nothing that was before */
	bool behind;          /* reading the table; live rows wait in the ring */
	unsigned busy;        /* somebody up the stack, or a query, still holds this listener */
};

void live_maybe_closed(struct tg_live *live);
/* Frees a listener that is gone and that nobody holds (`busy`). */
void live_release(struct listener *l);
void live_send(struct listener *l, const char *text);
void live_send_frame(struct listener *l, const struct tg_frame *frame);

/* api_live_missed.c. live_catch_up() and live_ask_range() hold the listener until the answer is
 * there. */
bool live_ring_is_enough(const struct listener *l);
void live_finish_from_ring(struct listener *l);
void live_resync(struct listener *l, int64_t pos);
void live_begin_now(struct listener *l, int64_t pos);
void live_catch_up(struct listener *l);
void live_ask_range(struct listener *l);

/* api_live_vitals.c. The timer's callback: every VITALS_MS. */
void live_on_vitals_timer(uv_timer_t *timer);

#endif
