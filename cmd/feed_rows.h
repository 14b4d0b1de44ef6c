/* The rows of a file, whatever its format: CSV, NDJSON (one object a line) or GeoJSON (the features
 * of one collection). .gz is unpacked on the way. CSV and NDJSON are streamed. */
#ifndef TG_CMD_FEED_ROWS_H
#define TG_CMD_FEED_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "cmd/feed_tally.h"

enum feed_format { FEED_CSV, FEED_NDJSON, FEED_GEOJSON };

#define FEED_PLACE_MAX 512

struct feed_rows;

/* false when the name is none of csv, ndjson, geojson. */
bool feed_format_parse(const char *name, enum feed_format *ret);

/* path stays the caller's and must outlive the rows. Failure: one line "PATH: what is wrong" in
 * why. */
TG_MUST int feed_rows_open(
	const char *path, enum feed_format format, struct feed_rows **ret, struct tg_buf *why);
/* From the first row again; the columns stay as they are. */
TG_MUST int feed_rows_rewind(struct feed_rows *rows, struct tg_buf *why);
void feed_rows_close(struct feed_rows *rows);
enum feed_format feed_rows_format(const struct feed_rows *rows);
const char *feed_rows_path(const struct feed_rows *rows);
/* Before the first row. CSV: the column's index. GeoJSON: a property. Both -1 when the file has no
 * such. NDJSON: a path a.b, never -1. Other negatives below -1 do not occur; memory out is -1 too.
 */
int feed_rows_column(struct feed_rows *rows, const char *name);
/* 1 a row; 0 end; -TG_EPARSE: this row is no row (fault says why), the next call goes on; anything
 * else: reading failed, with a fault. */
TG_MUST int feed_rows_next(struct feed_rows *rows, struct feed_fault *fault);
/* Without the blanks around it; until the next call of next. */
struct tg_slice feed_rows_field(const struct feed_rows *rows, int column);
/* Without blanks and tabs around it. */
struct tg_slice feed_trim(struct tg_slice s);
/* GeoJSON: the point of the feature at hand; false when it has none. */
bool feed_rows_point(const struct feed_rows *rows, double *ret_lon, double *ret_lat);
/* Rows read so far, broken ones too: {@row}. */
size_t feed_rows_number(const struct feed_rows *rows);
/* "PATH:LINE", or "PATH: feature N". */
void feed_rows_place(const struct feed_rows *rows, char out[FEED_PLACE_MAX]);
/* Part of the file that was read, 0 to 1. */
double feed_rows_share(const struct feed_rows *rows);

#endif
