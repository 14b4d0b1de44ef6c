/* The incidents whose clearing a partition's owner waits for. */
#ifndef TG_CORRELATE_WATCH_H
#define TG_CORRELATE_WATCH_H

#include "base/map.h"
#include "correlate/engine.h"

struct tg_watch {
	struct tg_map *open; /* incident id → struct watched */
	int64_t due_us;      /* no watermark at or below it clears anything */
};

TG_MUST int tg_watch_init(struct tg_watch *w);
void tg_watch_release(struct tg_watch *w);
/* Puts it on the list or brings it up to date. lateness_us: of its rule. */
TG_MUST int tg_watch_put(struct tg_watch *w, struct tg_slice id, int64_t last_us, int64_t window_us,
	int64_t lateness_us);
void tg_watch_drop(struct tg_watch *w, struct tg_slice id);
/* Appends [{id, before_us}] of all that is due at that watermark and takes it off the list: the
 * answer puts back what is still open. Returns how many (negative: memory); nothing is appended for
 * 0. */
TG_MUST int tg_watch_due(struct tg_watch *w, int64_t watermark_us, struct tg_buf *out);

#endif
