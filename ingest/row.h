/* One event → one row of tongguan.event in PostgreSQL's binary COPY form. */
#ifndef TG_INGEST_ROW_H
#define TG_INGEST_ROW_H

#include "ingest/locate.h"

/* The columns in the order tg_row_write() writes them. */
#define TG_ROW_COLUMNS                                                                             \
	"uid, occurred_at, ingested_at, source, source_pos, source_id, event_id, source_kind, "    \
	"type_code, metric, value, unit, speed_kmh, heading_deg, state, geom, datum, accuracy_m, " \
	"grid_cell, street, district, region, flags, contact, payload"
#define TG_ROW_COLUMN_COUNT 25

struct tg_row {
	const tg_event_pb *ev; /* checked */
	const struct tg_place *place;
	uint8_t uid[16];
	int64_t ingested_us;
	int16_t source;     /* tongguan.source_offset.id */
	int64_t source_pos; /* the record's offset */
};

/* Appends the row; out is unchanged on failure. scratch is for the JSON of what no column holds. */
TG_MUST int tg_row_write(struct tg_buf *out, struct tg_buf *scratch, const struct tg_row *row);

/* What stands before the first row and after the last. */
TG_MUST int tg_row_head(struct tg_buf *out);
TG_MUST int tg_row_tail(struct tg_buf *out);

#endif
