/* Where a row happened: coordinates in it, a table of places, or a feature's geometry. */
#ifndef TG_CMD_FEED_PLACE_H
#define TG_CMD_FEED_PLACE_H

#include "cmd/feed_table.h"
#include "cmd/feed_value.h"
#include "event.pb-c.h"

#define FEED_IGNORE_DEG 0.000001 /* two places this near are one */

struct feed_place {
	enum { FEED_NO_PLACE, FEED_COLUMNS, FEED_SPOTS, FEED_GEOMETRY } kind;
	struct feed_number lon, lat;
	struct feed_template value;
	const struct feed_spot *spots; /* sorted by value */
	size_t spot_count;
	Tongguan__V1__Datum datum;
	double accuracy_m; /* of every place given; 0: not known */
	const struct feed_point {
		double lon, lat;
	} * ignored;
	size_t ignored_count;
};

/* The member location of map; leaves ret without a place when it is absent. */
TG_MUST int feed_place_member(struct feed_reader *r, struct tg_yaml *map, struct feed_place *ret);
/* 1 found, 0 nothing found, -TG_EPARSE with the fault set. */
TG_MUST int feed_place_eval(const struct feed_place *place, const struct feed_scope *scope,
	double *ret_lon, double *ret_lat);

#endif
