#include "dispatch/api_list.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

bool tg_page_read(struct tg_rq *rq, char order, int64_t dflt, int64_t max, struct tg_page *ret)
{
	struct tg_slice text;

	*ret = (struct tg_page){0};
	if (!tg_rq_limit(rq, dflt, max, &ret->limit))
		return false;
	snprintf(ret->limit_text, sizeof(ret->limit_text), "%" PRId64, ret->limit);
	if (!tg_req_query(rq->req, "cursor", &text) || text.len == 0)
		return true;
	if (tg_cursor_read(text, order, &ret->cursor) ||
		(ret->cursor.id[0] && !tg_is_uuid(tg_slice_cstr(ret->cursor.id)))) {
		tg_rq_bad_query(rq, "cursor", "not a cursor of this list in this order");
		return false;
	}
	ret->has_cursor = true;
	ret->id = ret->cursor.id[0] ? ret->cursor.id : NULL;
	if (ret->cursor.key != INT64_MAX) {
		snprintf(ret->key_text, sizeof(ret->key_text), "%" PRId64, ret->cursor.key);
		ret->key = ret->key_text;
	}
	return true;
}

bool tg_bbox_read(struct tg_rq *rq, struct tg_bbox_text *ret)
{
	struct tg_slice text;
	struct tg_bbox box;

	memset(ret, 0, sizeof(*ret));
	if (!tg_req_query(rq->req, "bbox", &text) || text.len == 0)
		return true;
	if (tg_bbox_parse(text, &box)) {
		tg_rq_bad_query(rq, "bbox", "west,south,east,north in degrees");
		return false;
	}
	for (int i = 0; i < 4; i++) {
		const double sides[] = {box.west, box.south, box.east, box.north};

		snprintf(ret->text[i], sizeof(ret->text[i]), "%.12g", sides[i]);
		ret->side[i] = ret->text[i];
	}
	return true;
}

void tg_list_begin(struct tg_list_out *out, struct tg_rq *rq, const struct tg_page *page,
	char order, bool places)
{
	struct tg_slice accept;

	*out = (struct tg_list_out){.rq = rq, .order = order, .left = page->limit};
	out->geojson = places && tg_req_header(rq->req, "accept", &accept) &&
		       tg_accepts(accept, TG_GEOJSON_TYPE);
	tg_jw_begin(&out->w, &rq->out);
	tg_jw_object(&out->w, NULL);
	if (out->geojson)
		tg_jw_str(&out->w, "type", "FeatureCollection");
	tg_jw_array(&out->w, out->geojson ? "features" : "items");
}

static void write_feature(
	struct tg_jw *w, struct tg_slice item, double lon, double lat, struct tg_slice id)
{
	tg_jw_object(w, NULL);
	tg_jw_str(w, "type", "Feature");
	if (id.len)
		tg_jw_slice(w, "id", id);
	if (isnan(lon) || isnan(lat)) {
		tg_jw_null(w, "geometry");
	} else {
		tg_jw_object(w, "geometry");
		tg_jw_str(w, "type", "Point");
		tg_jw_array(w, "coordinates");
		tg_jw_dbl(w, NULL, lon);
		tg_jw_dbl(w, NULL, lat);
		tg_jw_array_end(w);
		tg_jw_object_end(w);
	}
	tg_jw_raw(w, "properties", item);
	tg_jw_object_end(w);
}

void tg_list_item(struct tg_list_out *out, struct tg_slice item, double lon, double lat,
	int64_t key, struct tg_slice id)
{
	if (out->geojson)
		write_feature(&out->w, item, lon, lat, id);
	else
		tg_jw_raw(&out->w, NULL, item);
	out->last = (struct tg_cursor){.order = out->order, .key = key};
	if (id.len && id.len < sizeof(out->last.id))
		memcpy(out->last.id, id.data, id.len);
	out->full = --out->left == 0;
}

void tg_list_answer(struct tg_list_out *out, int rc)
{
	char cursor[TG_CURSOR_TEXT_MAX];
	int wrc;

	tg_jw_array_end(&out->w);
	if (out->full)
		tg_cursor_write(&out->last, cursor);
	tg_jw_str(&out->w, "next_cursor", out->full ? cursor : NULL);
	tg_jw_object_end(&out->w);
	wrc = tg_jw_end(&out->w);
	tg_rq_out(out->rq, 200, out->geojson ? TG_GEOJSON_TYPE : "application/json", rc ? rc : wrc);
}
