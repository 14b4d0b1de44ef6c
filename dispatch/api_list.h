/* Lists: {items, next_cursor}, or a GeoJSON FeatureCollection of the same items when the client
 * asks for one. */
#ifndef TG_DISPATCH_API_LIST_H
#define TG_DISPATCH_API_LIST_H

#include <stdbool.h>

#include "dispatch/api.h"

#define TG_GEOJSON_TYPE "application/geo+json"

struct tg_list_out {
	struct tg_rq *rq;
	struct tg_jw w;
	bool geojson;
	int64_t left; /* items that may still come */
	char order;
	struct tg_cursor last;
	bool full; /* a next page may exist */
};

/* What a list's query string asks of every list alike. */
struct tg_page {
	int64_t limit;
	bool has_cursor;
	struct tg_cursor cursor;
	/* the same as query parameters; NULL without a cursor. key is NULL for rows without a key
	 */
	char limit_text[24], key_text[24];
	const char *key, *id;
};

/* Reads limit= and cursor=. False: answered. */
TG_MUST bool tg_page_read(
	struct tg_rq *rq, char order, int64_t dflt, int64_t max, struct tg_page *ret);

/* bbox= as four parameters, or four NULLs. False: answered. */
struct tg_bbox_text {
	char text[4][32];
	const char *side[4];
};
TG_MUST bool tg_bbox_read(struct tg_rq *rq, struct tg_bbox_text *ret);

void tg_list_begin(struct tg_list_out *out, struct tg_rq *rq, const struct tg_page *page,
	char order, bool places);
/* One item with its sort key and id; lon, lat NaN: no place. item is a JSON object. */
void tg_list_item(struct tg_list_out *out, struct tg_slice item, double lon, double lat,
	int64_t key, struct tg_slice id);
/* Answers. rc: what went wrong while the items were made, or 0. */
void tg_list_answer(struct tg_list_out *out, int rc);

#endif
