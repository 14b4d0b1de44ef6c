/* A city folder on its way into the database: read and checked whole, then stored in one
 * transaction. Each table is held as the JSON array that its INSERT takes.
 *
 * city_read.c city.yaml · city_shape.c the GeoJSON files · city_tables.c departments, catalogue,
 * conditions · city_days.c calendar · city_devices.c devices, streets without shapes ·
 * city_duty.c who is on duty · city_check.c what PostGIS knows better · city_store.c the
 * transaction */
#ifndef TG_CMD_CITY_H
#define TG_CMD_CITY_H

#include <jansson.h>
#include <libpq-fe.h>

#include "base/buf.h"
#include "base/csv.h"
#include "base/yaml.h"

#define CITY_COMPLAINTS_MAX 25

struct city {
	const char *dir;
	json_t *head; /* {name_zh, name_en, division, zone, cell_m, region_m, halo_m, boundary
			 (array of GeoJSON geometry texts)} */
	json_t *calendars, *days, *duty, *depts, *types, *conditions, *streets, *cells, *zones,
		*devices; /* arrays of objects */
	/* Key → row of the arrays above: type_code; code and every name; code; device_id. */
	json_t *type_keys, *dept_keys, *street_keys, *device_keys;
	bool depts_whole, types_whole; /* read: else who names one of them is not complained of */
	json_t *shapes;                /* for the check: {level, file, row, id, geom, loose} */
	struct tg_buf complaints;      /* "FILE:ROW: what; what to mend" lines */
	int complaints_count;
	struct tg_buf warnings;
};

/* Reads and checks every file of city->dir as far as that needs no database. 0; -TG_ECONF with
 * city->complaints; -TG_ENOMEM. */
TG_MUST int city_read(struct city *city);
/* The parts of it, in this order: each may look at what the ones before have read. */
void city_read_shapes(struct city *city, const char *boundary, const char *grid);
void city_read_tables(struct city *city);
void city_read_days(struct city *city);
void city_read_devices(struct city *city);
void city_read_duty(struct city *city);
/* Rings that cross themselves, shapes of one level that overlap, devices far outside: complaints.
 * -TG_EPG with the reason in why when the database cannot be asked. */
TG_MUST int city_check(struct city *city, PGconn *conn, struct tg_buf *why);
/* One transaction; raises city.version. 0; -TG_EPG, -TG_ECONF (the roles could not take it up) with
 * the reason in why: nothing is changed then. */
TG_MUST int city_store(const struct city *city, PGconn *conn, struct tg_buf *why);
void city_release(struct city *city);

/* row 0: the file as a whole. Of a CSV or YAML file the line, of GeoJSON the feature. */
void city_complain(struct city *city, const char *file, size_t row, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void city_warn(struct city *city, const char *file, size_t row, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Appends "DIR/name" to out; false when there is no such file. */
bool city_path(const struct city *city, const char *name, struct tg_buf *out);
/* "2h", "4wh", "0.5wd", "7nd"; more than nothing. */
bool city_is_limit(struct tg_slice text);
/* "08:00-12:00", within one day, not empty. */
bool city_is_period(const char *text);
/* A number in [low, high]. */
bool city_number(struct tg_slice text, double low, double high, double *ret);

/* keys: an object. NULL when absent. */
json_t *city_key(const json_t *keys, struct tg_slice key);
void city_key_set(json_t *keys, struct tg_slice key, json_t *row);
/* The calendar of that name; NULL when there is none. */
json_t *city_calendar(const struct city *city, struct tg_slice name);

/* ---- CSV
 * ----------------------------------------------------------------------------------------------------------
 */

typedef void (*city_row_reader)(struct city *city, struct tg_csv *csv, const char *file);

/* Calls read for each row that is whole. False when the file is missing (complained of when
 * required) or lacks one of the columns (NULL-terminated). */
bool city_rows(struct city *city, const char *file, const char *const *columns, bool required,
	city_row_reader read);
struct tg_slice city_cell(const struct tg_csv *csv, const char *column);
/* Text, or null when empty. */
void city_set(json_t *row, const char *key, struct tg_slice value);
/* The first of the two that holds anything. */
void city_set_or(json_t *row, const char *key, struct tg_slice value, struct tg_slice fallback);
/* Is text one of names (NULL-terminated)? */
bool city_one_of(struct tg_slice text, const char *const *names);
/* The parts of a text divided by blanks, | or ;. *at: start with 0. False at the end. */
bool city_part(struct tg_slice text, size_t *at, struct tg_slice *ret);

#endif
