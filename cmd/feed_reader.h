/* Reading a profile: what every key's reader needs, and how it complains: always at a place in the
 * file. */
#ifndef TG_CMD_FEED_READER_H
#define TG_CMD_FEED_READER_H

#include "base/arena.h"
#include "base/yaml.h"
#include "cmd/feed_rows.h"

struct feed_reader {
	const char *path;       /* of the profile */
	struct feed_rows *rows; /* its file, for the columns */
	struct tg_arena *arena; /* lives as long as the profile */
	struct tg_buf *why;
};

/* Appends "PATH:LINE:COLUMN: what to mend" of the node, or of its key; returns -TG_EPARSE. */
int feed_wrong(struct feed_reader *r, const struct tg_yaml *node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int feed_wrong_key(struct feed_reader *r, const struct tg_yaml *node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* node must be a map with no other keys than these, separated by blanks. */
TG_MUST int feed_check_keys(struct feed_reader *r, const struct tg_yaml *node, const char *keys);
/* The member of that name, which must be there. */
TG_MUST int feed_need(
	struct feed_reader *r, struct tg_yaml *map, const char *key, struct tg_yaml **ret);
/* node must be a text that is not empty. */
TG_MUST int feed_scalar(struct feed_reader *r, const struct tg_yaml *node, const char **ret);
/* node must be a list of texts. */
TG_MUST int feed_texts(struct feed_reader *r, const struct tg_yaml *node, const char *const **ret,
	size_t *ret_count);
/* File names are relative to the profile. In the arena. */
TG_MUST int feed_beside(
	struct feed_reader *r, const struct tg_yaml *node, const char *name, const char **ret);
/* Zeroed memory of the arena; NULL after a complaint at the node. */
void *feed_memory(struct feed_reader *r, const struct tg_yaml *node, size_t count, size_t size);

#endif
