/* The latest frames of the live stream, by position: what a listener that was away for a moment
 * missed. */
#ifndef TG_DISPATCH_API_RING_H
#define TG_DISPATCH_API_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define TG_RING_FRAMES 4096

/* One change, ready to send. */
struct tg_frame {
	int64_t pos;
	char *bytes; /* complete SSE text; owned */
	size_t len;
	char *departments; /* ",A,B," – whose case it is; owned */
};

struct tg_ring {
	struct tg_frame frames[TG_RING_FRAMES];
	size_t first, count;
};

/* Makes the frame of one outbox row: id, event by its kind, data with the object's id, version and
 * state. -TG_EPARSE. */
TG_MUST int tg_frame_make(
	int64_t pos, struct tg_slice kind, struct tg_slice doc, struct tg_frame *ret);
void tg_frame_release(struct tg_frame *frame);
/* May a caller of this department ("" for all others) see it? */
bool tg_frame_visible(const struct tg_frame *frame, const char *department);

/* Takes what frame owns; the oldest leaves when the ring is full. pos must grow. */
void tg_ring_push(struct tg_ring *ring, struct tg_frame *frame);
void tg_ring_release(struct tg_ring *ring);
/* Does the ring hold every position after pos up to the last one pushed? */
bool tg_ring_covers(const struct tg_ring *ring, int64_t pos);
/* The i-th frame after pos, or NULL. */
const struct tg_frame *tg_ring_after(const struct tg_ring *ring, int64_t pos, size_t i);

#endif
