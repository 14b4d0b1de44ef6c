/* One rule's window over one partition: the events of the last while, findable by place and time
 * and by uid.
 *
 * The one interface behind which windows stand: append, expire, query, snapshot (by walking),
 * restore (by appending what a walk gave). An event is named by its sequence number, a name that
 * holds until the next append. */
#ifndef TG_CORRELATE_WINDOW_H
#define TG_CORRELATE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/geo.h"

#define TG_SEQ_NONE   UINT32_MAX
#define TG_GROUP_NONE UINT32_MAX

/* What a window keeps of an event; first what a look around reads of all that are near. */
struct tg_seen {
	uint8_t uid[16];
	int64_t event_us;
	struct tg_lonlat at;
	/* the window's */
	uint64_t place;
	uint32_t place_next, uid_next;
	/* the detector's */
	uint32_t support;  /* events within R and [t − W, t], itself included */
	uint32_t group;    /* label of the incident it belongs to here, or TG_GROUP_NONE */
	uint64_t reporter; /* hash */
	const char *cell;  /* interned; NULL outside the grid */
	uint32_t type;     /* TG_TYPE_NONE without one */
	bool halo;         /* a neighbour's copy: counts, is never a core here */
	bool core;         /* the detector's */
	bool waiting;      /* restored from history but not yet judged */
};

/* How many events all windows of the process hold, and may. */
struct tg_window_budget {
	size_t used, max;
};

struct tg_hits {
	uint32_t *seqs;
	size_t len, cap;
};

struct tg_window;

TG_MUST int tg_window_new(double radius_m, struct tg_window_budget *budget, struct tg_window **ret);
void tg_window_free(struct tg_window *w); /* NULL is fine */
/* The caller has looked for the uid before. -TG_EFULL at the budget's max, window unchanged;
 * -TG_ENOMEM. */
TG_MUST int tg_window_append(struct tg_window *w, const struct tg_seen *seen, uint32_t *ret_seq);
/* Valid until the next append. */
struct tg_seen *tg_window_at(const struct tg_window *w, uint32_t seq);
uint32_t tg_window_find(const struct tg_window *w, const uint8_t uid[16]); /* TG_SEQ_NONE */
/* Forgets events older than that, in the order of arrival: one that came before an older one may
 * stay a little longer. */
void tg_window_expire(struct tg_window *w, int64_t before_us);
size_t tg_window_count(const struct tg_window *w);
/* Walk: from tg_window_first() while != tg_window_end(), seq + 1 each. */
uint32_t tg_window_first(const struct tg_window *w);
uint32_t tg_window_end(const struct tg_window *w);
/* All events within the window's radius of a place (haversine) and in [from_us, to_us]. ret is
 * emptied first. */
TG_MUST int tg_window_query(struct tg_window *w, struct tg_lonlat at, int64_t from_us,
	int64_t to_us, struct tg_hits *ret);
void tg_hits_release(struct tg_hits *hits);

#endif
