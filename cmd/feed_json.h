/* Rows that are JSON objects: the lines of an NDJSON file, or the features of a GeoJSON
 * FeatureCollection, which is held in memory whole. */
#ifndef TG_CMD_FEED_JSON_H
#define TG_CMD_FEED_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "cmd/feed_tally.h"

struct feed_json;

TG_MUST int feed_json_open(
	const char *path, bool collection, struct feed_json **ret, struct tg_buf *why);
TG_MUST int feed_json_rewind(struct feed_json *json);
void feed_json_close(struct feed_json *json); /* NULL is fine */
/* A path a.b of the object; in a collection a property, -1 when no feature has it. */
int feed_json_column(struct feed_json *json, const char *name);
TG_MUST int feed_json_next(struct feed_json *json, struct feed_fault *fault);
/* Numbers and truth values as text; null as empty; an array or an object as JSON. */
struct tg_slice feed_json_field(const struct feed_json *json, int column);
bool feed_json_point(const struct feed_json *json, double *ret_lon, double *ret_lat);
size_t feed_json_line(const struct feed_json *json); /* the feature's number in a collection */
double feed_json_share(const struct feed_json *json);

#endif
