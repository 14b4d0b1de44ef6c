#include "ingest/row.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/clock.h"

/* All fields of a row but its texts: the room is reserved once and then only written to. */
#define FIXED_BYTES 512
#define EWKB_POINT  UINT32_C(0x20000001) /* a point that carries its SRID */
#define SRID        4326
#define EWKB_BYTES  25

static const char copy_signature[] = "PGCOPY\n\377\r\n"; /* and its NUL */

struct writer {
	char *p;
	int columns;
};

static void put_be(struct writer *w, uint64_t v, unsigned bytes)
{
	switch (bytes) {
	case 2: v = __builtin_bswap16((uint16_t)v); break;
	case 4: v = __builtin_bswap32((uint32_t)v); break;
	default: v = __builtin_bswap64(v); break;
	}
	memcpy(w->p, &v, bytes);
	w->p += bytes;
}

static void field(struct writer *w, uint64_t v, unsigned bytes)
{
	w->columns++;
	put_be(w, bytes, 4);
	put_be(w, v, bytes);
}

static void null(struct writer *w)
{
	w->columns++;
	put_be(w, UINT32_MAX, 4);
}

static void bytes(struct writer *w, const void *data, size_t n)
{
	w->columns++;
	put_be(w, n, 4);
	memcpy(w->p, data, n);
	w->p += n;
}

static void text(struct writer *w, const char *s)
{
	if (s)
		bytes(w, s, strlen(s));
	else
		null(w);
}

static void timestamp(struct writer *w, int64_t us)
{
	field(w, (uint64_t)(us - TG_PG_EPOCH_US), 8);
}

static void float8(struct writer *w, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	field(w, bits, 8);
}

static void float4(struct writer *w, bool has, float v)
{
	uint32_t bits;

	if (!has) {
		null(w);
		return;
	}
	memcpy(&bits, &v, sizeof(bits));
	field(w, bits, 4);
}

static void point(struct writer *w, const struct tg_place *place)
{
	uint8_t ewkb[EWKB_BYTES] = {1 /* little endian */};
	const uint32_t type = htole32(EWKB_POINT), srid = htole32(SRID);
	uint64_t x, y;

	if (!place->known) {
		null(w);
		return;
	}
	memcpy(&x, &place->lon, sizeof(x));
	memcpy(&y, &place->lat, sizeof(y));
	x = htole64(x);
	y = htole64(y);
	memcpy(ewkb + 1, &type, sizeof(type));
	memcpy(ewkb + 5, &srid, sizeof(srid));
	memcpy(ewkb + 9, &x, sizeof(x));
	memcpy(ewkb + 17, &y, sizeof(y));
	bytes(w, ewkb, sizeof(ewkb));
}

static void identity(struct writer *w, const struct tg_row *row)
{
	const tg_event_pb *ev = row->ev;

	bytes(w, row->uid, sizeof(row->uid));
	timestamp(w, ev->occurred_at_us);
	timestamp(w, row->ingested_us);
	field(w, (uint16_t)row->source, 2);
	field(w, (uint64_t)row->source_pos, 8);
	text(w, ev->source_id);
	text(w, ev->event_id);
	field(w, (uint16_t)ev->source_kind, 2);
	text(w, ev->type_code);
}

static void payload_columns(struct writer *w, const tg_event_pb *ev)
{
	static const Tongguan__V1__Position no_position;
	const Tongguan__V1__Position *position = &no_position;

	if (ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_READING) {
		text(w, ev->reading->metric);
		float8(w, ev->reading->value);
		text(w, ev->reading->unit);
	} else {
		null(w);
		null(w);
		null(w);
	}
	if (ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_POSITION)
		position = ev->position;
	float4(w, position->has_speed_kmh, position->speed_kmh);
	float4(w, position->has_heading_deg, position->heading_deg);
	if (ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_STATUS)
		field(w, (uint16_t)ev->status->state, 2);
	else
		null(w);
}

static void place_columns(struct writer *w, const struct tg_row *row)
{
	const Tongguan__V1__Location *loc = row->ev->location;
	const struct tg_place *place = row->place;

	point(w, place);
	if (loc && loc->has_datum)
		field(w, (uint16_t)loc->datum, 2);
	else
		null(w);
	float4(w, loc && loc->has_accuracy_m, loc ? loc->accuracy_m : 0);
	text(w, place->grid_cell);
	text(w, place->street);
	text(w, place->district);
	if (place->known)
		field(w, (uint32_t)place->region, 4);
	else
		null(w);
	field(w, (uint16_t)place->flags, 2);
}

static bool moved_by_datum(const Tongguan__V1__Location *loc)
{
	return loc && loc->has_datum &&
	       (loc->datum == TONGGUAN__V1__DATUM__GCJ02 ||
		       loc->datum == TONGGUAN__V1__DATUM__BD09);
}

/* The members of the JSON form that the columns do not hold; the view puts the two together again.
 */
static unsigned parts_aside(const tg_event_pb *ev)
{
	unsigned parts = 0;

	if (moved_by_datum(ev->location))
		parts |= TG_PART_LOCATION;
	if (ev->n_attributes)
		parts |= TG_PART_ATTRIBUTES;
	switch (ev->payload_case) {
	case TONGGUAN__V1__EVENT__PAYLOAD_READING:
		if (ev->reading->quality)
			parts |= TG_PART_PAYLOAD;
		break;
	case TONGGUAN__V1__EVENT__PAYLOAD_POSITION:
		if (!ev->position->has_speed_kmh && !ev->position->has_heading_deg)
			parts |= TG_PART_PAYLOAD;
		break;
	case TONGGUAN__V1__EVENT__PAYLOAD_REPORT: parts |= TG_PART_PAYLOAD; break;
	default: break;
	}
	return parts;
}

static int write_aside(struct tg_buf *scratch, const tg_event_pb *ev, unsigned parts)
{
	struct tg_jw w;

	tg_buf_reset(scratch);
	tg_jw_begin(&w, scratch);
	tg_jw_object(&w, NULL);
	tg_event_json_parts(&w, ev, parts, /* mask= */ true);
	tg_jw_object_end(&w);
	return tg_jw_end(&w);
}

static size_t text_bytes(const tg_event_pb *ev, const struct tg_place *place, const char *contact)
{
	const bool reading = ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_READING;
	const char *const texts[] = {ev->source_id, ev->event_id, ev->type_code, place->grid_cell,
		place->street, place->district, contact, reading ? ev->reading->metric : NULL,
		reading ? ev->reading->unit : NULL};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		n += texts[i] ? strlen(texts[i]) : 0;
	return n;
}

int tg_row_write(struct tg_buf *out, struct tg_buf *scratch, const struct tg_row *row)
{
	const tg_event_pb *ev = row->ev;
	const char *contact = ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT
				      ? ev->report->contact
				      : NULL;
	unsigned parts = parts_aside(ev);
	struct writer w = {0};
	int rc = 0;

	scratch->len = 0;
	if (parts)
		rc = write_aside(scratch, ev, parts);
	if (!rc)
		rc = tg_buf_reserve(
			out, FIXED_BYTES + text_bytes(ev, row->place, contact) + scratch->len);
	if (rc)
		return rc;
	w.p = out->data + out->len;
	put_be(&w, TG_ROW_COLUMN_COUNT, 2);
	identity(&w, row);
	payload_columns(&w, ev);
	place_columns(&w, row);
	text(&w, contact);
	if (parts) {
		w.columns++;
		put_be(&w, scratch->len + 1, 4);
		*w.p++ = 1; /* jsonb's own version */
		memcpy(w.p, scratch->data, scratch->len);
		w.p += scratch->len;
	} else {
		null(&w);
	}
	assert(w.columns == TG_ROW_COLUMN_COUNT);
	out->len = (size_t)(w.p - out->data);
	assert(out->len <= out->cap);
	return 0;
}

int tg_row_head(struct tg_buf *out)
{
	static const char flags_and_extension[8];
	int rc = tg_buf_add(out, copy_signature, sizeof(copy_signature));

	return rc ? rc : tg_buf_add(out, flags_and_extension, sizeof(flags_and_extension));
}

int tg_row_tail(struct tg_buf *out)
{
	return tg_buf_put_u16(out, UINT16_MAX);
}
