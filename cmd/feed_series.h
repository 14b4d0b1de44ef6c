/* The events of one feed in the order in which they are sent, made from its rows as they are needed
 * (order: file) or all at once and sorted (order: time). */
#ifndef TG_CMD_FEED_SERIES_H
#define TG_CMD_FEED_SERIES_H

#include "cmd/feed_profile.h"

/* Packed events of one feed that may wait in memory: order: time holds a whole file. */
#define FEED_SERIES_BYTES_MAX ((size_t)1 << 30)
#define FEED_TOPICS_MAX       64

struct feed_window {
	int64_t from_us, to_us; /* of original times; to itself is out */
	uint64_t rows_max;      /* read no more than these; 0: all */
};

struct feed_item {
	int64_t time_us; /* original */
	const char *topic;
	struct tg_slice packed; /* valid until the next call of next */
};

struct feed_series;

/* Takes the profile, also on failure. With by_time it reads the whole file here. tally must outlive
 * the series. */
TG_MUST int feed_series_open(struct feed_profile *profile, const struct feed_window *window,
	struct feed_tally *tally, struct feed_series **ret, struct tg_buf *why);
void feed_series_close(struct feed_series *series); /* NULL is fine */
const struct feed_profile *feed_series_profile(const struct feed_series *series);
struct feed_tally *feed_series_tally(const struct feed_series *series);
/* The latest time of all. A series that follows its file is read once through for that. */
TG_MUST int feed_series_last(struct feed_series *series, int64_t *ret_us, struct tg_buf *why);
/* How many events happened before us, originally. A series that follows its file answers 0: it has
 * not been read. */
size_t feed_series_before(const struct feed_series *series, int64_t us);
/* 1 the item at the head, 0 the series is over; negative: reading failed, one line in why. */
TG_MUST int feed_series_peek(struct feed_series *series, struct feed_item *ret, struct tg_buf *why);
void feed_series_next(struct feed_series *series);
/* 0 to 1. */
double feed_series_share(const struct feed_series *series);
/* The topics met so far; index from 0, NULL behind the last. */
const char *feed_series_topic(const struct feed_series *series, size_t index);

#endif
