/* When a row happened: text → instant. */
#ifndef TG_CMD_FEED_TIME_H
#define TG_CMD_FEED_TIME_H

#include "base/clock.h"
#include "cmd/feed_value.h"

enum feed_time_format { FEED_ISO, FEED_EPOCH_S, FEED_EPOCH_MS, FEED_EPOCH_US, FEED_PATTERN };

struct feed_time {
	struct feed_template value;
	enum feed_time_format format;
	const char *pattern;  /* as of strptime(3) */
	bool pattern_offset;  /* it holds %z */
	struct tg_zone *zone; /* NULL: the text carries its offset */
};

/* The zone is freed by feed_time_release(), also after a failure. */
TG_MUST int feed_time_read(struct feed_reader *r, struct tg_yaml *node, struct feed_time *ret);
void feed_time_release(struct feed_time *time);

/* An hour that occurs twice is its first; a time that a jump skips is moved on by the jump's
 * length. NULL on success, else what is wrong with the text. Pure. */
const char *feed_time_parse(const struct feed_time *time, const char *text, int64_t *ret_us);
/* 0, or -TG_EPARSE with the fault set. */
TG_MUST int feed_time_eval(
	const struct feed_time *time, const struct feed_scope *scope, int64_t *ret_us);

#endif
