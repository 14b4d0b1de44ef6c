/* A city folder on its way into the database: read and checked whole (city_read.c, city_tables.c),
 * then stored in one transaction (city_store.c). Each table is held as the JSON array that its
 * INSERT takes. */
#ifndef TG_CMD_CITY_H
#define TG_CMD_CITY_H

#include <jansson.h>

#include "base/buf.h"
#include "base/yaml.h"

#define CITY_COMPLAINTS_MAX 25

struct city {
	const char *dir;
	json_t *head; /* {name_zh, name_en, division, zone, cell_m, region_m, halo_m, boundary
			 (GeoJSON geometry text)} */
	json_t *calendars, *days, *depts, *types, *conditions, *streets, *cells,
		*devices;         /* arrays of objects */
	struct tg_buf complaints; /* "FILE:ROW: what to mend" lines */
	int complaints_count;
	struct tg_buf warnings;
};

/* Reads and checks every file of city->dir. 0; -TG_ECONF with city->complaints; -TG_ENOMEM. */
TG_MUST int city_read(struct city *city);
/* The tables in CSV: departments, catalogue, conditions, calendar days, devices. Complaints are
 * collected. */
void city_read_tables(struct city *city);
/* One transaction; raises city.version. 0 or -TG_EPG with the reason in why. */
TG_MUST int city_store(const struct city *city, const char *postgres_url, struct tg_buf *why);
void city_release(struct city *city);

void city_complain(struct city *city, const char *file, size_t row, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Appends "DIR/name" to out; false when there is no such file. */
bool city_path(const struct city *city, const char *name, struct tg_buf *out);
/* "2h", "4wh", "0.5wd", "7nd". */
bool city_is_limit(struct tg_slice text);
/* The object of `array` whose text member `key` is `text`; NULL when there is none. */
json_t *city_find(const json_t *array, const char *key, struct tg_slice text);

#endif
