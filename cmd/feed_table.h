/* CSV tables that a profile looks values up in. */
#ifndef TG_CMD_FEED_TABLE_H
#define TG_CMD_FEED_TABLE_H

#include "cmd/feed_value.h"

struct feed_spot {
	const char *value;
	double lon, lat;
};

/* node holds the file's name. Columns value and, taken as the result, the first other one. Sorted
 * by value; a value that stands twice is refused. At most FEED_TABLE_ROWS_MAX rows. */
TG_MUST int feed_table_read(struct feed_reader *r, const struct tg_yaml *node,
	const struct feed_entry **ret, size_t *ret_count);
/* Columns value, lon, lat. */
TG_MUST int feed_spots_read(struct feed_reader *r, const struct tg_yaml *node,
	const struct feed_spot **ret, size_t *ret_count);

#endif
