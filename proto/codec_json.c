#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

/* The shortest decimal that reads back as the same float; as a double it would show digits nobody
 * sent. */
static void write_float(struct tg_jw *w, const char *key, float v)
{
	char text[32];
	int n = 0;

	if (!isfinite(v)) {
		tg_jw_null(w, key);
		return;
	}
	for (int precision = 6; precision <= 9; precision++) {
		n = snprintf(text, sizeof(text), "%.*g", precision, (double)v);
		if (strtof(text, NULL) == v)
			break;
	}
	tg_jw_raw(w, key, (struct tg_slice){text, (size_t)n});
}

static void write_enum(struct tg_jw *w, const char *key, const ProtobufCEnumDescriptor *desc, int v)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(desc, v);
	char lower[32];
	size_t n = 0;

	if (!value)
		return;
	for (const char *p = value->name; *p && n < sizeof(lower) - 1; p++)
		lower[n++] = (char)tolower((unsigned char)*p);
	tg_jw_slice(w, key, (struct tg_slice){lower, n});
}

static void write_text(struct tg_jw *w, const char *key, const char *text)
{
	if (text)
		tg_jw_str(w, key, text);
}

static void write_location(struct tg_jw *w, const Tongguan__V1__Location *loc)
{
	tg_jw_object(w, "location");
	if (loc->has_lon)
		tg_jw_dbl(w, "lon", loc->lon);
	if (loc->has_lat)
		tg_jw_dbl(w, "lat", loc->lat);
	if (loc->has_datum)
		write_enum(w, "datum", &tongguan__v1__datum__descriptor, (int)loc->datum);
	if (loc->has_accuracy_m)
		write_float(w, "accuracy_m", loc->accuracy_m);
	tg_jw_object_end(w);
}

static void write_attributes(struct tg_jw *w, const tg_event_pb *ev)
{
	tg_jw_object(w, "attributes");
	for (size_t i = 0; i < ev->n_attributes; i++) {
		const Tongguan__V1__Attribute *a = ev->attributes[i];

		tg_jw_str(w, a->key ? a->key : "", a->value ? a->value : "");
	}
	tg_jw_object_end(w);
}

static void write_reading(struct tg_jw *w, const Tongguan__V1__Reading *reading)
{
	tg_jw_object(w, "reading");
	write_text(w, "metric", reading->metric);
	if (reading->has_value)
		tg_jw_dbl(w, "value", reading->value);
	write_text(w, "unit", reading->unit);
	write_text(w, "quality", reading->quality);
	tg_jw_object_end(w);
}

static void write_report(struct tg_jw *w, const Tongguan__V1__Report *report, bool mask)
{
	char masked[32];

	tg_jw_object(w, "report");
	write_text(w, "title", report->title);
	write_text(w, "text", report->text);
	write_text(w, "reporter_id", report->reporter_id);
	if (report->contact && mask) {
		tg_mask_contact(report->contact, masked);
		tg_jw_str(w, "contact", masked);
	} else {
		write_text(w, "contact", report->contact);
	}
	if (report->n_photo_urls) {
		tg_jw_array(w, "photo_urls");
		for (size_t i = 0; i < report->n_photo_urls; i++)
			tg_jw_str(w, NULL, report->photo_urls[i]);
		tg_jw_array_end(w);
	}
	tg_jw_object_end(w);
}

static void write_position(struct tg_jw *w, const Tongguan__V1__Position *position)
{
	tg_jw_object(w, "position");
	if (position->has_speed_kmh)
		write_float(w, "speed_kmh", position->speed_kmh);
	if (position->has_heading_deg)
		write_float(w, "heading_deg", position->heading_deg);
	tg_jw_object_end(w);
}

static void write_status(struct tg_jw *w, const Tongguan__V1__Status *status)
{
	tg_jw_object(w, "status");
	if (status->has_state)
		write_enum(w, "state", &tongguan__v1__device_state__descriptor, (int)status->state);
	tg_jw_object_end(w);
}

static void write_identity(struct tg_jw *w, const tg_event_pb *ev)
{
	write_text(w, "event_id", ev->event_id);
	write_text(w, "source_id", ev->source_id);
	if (ev->has_source_kind)
		write_enum(w, "source_kind", &tongguan__v1__source_kind__descriptor,
			(int)ev->source_kind);
	if (ev->has_occurred_at_us)
		tg_jw_time(w, "occurred_at", ev->occurred_at_us);
	write_text(w, "type_code", ev->type_code);
}

void tg_event_json_parts(struct tg_jw *w, const tg_event_pb *ev, unsigned parts, bool mask)
{
	if (parts & TG_PART_IDENTITY)
		write_identity(w, ev);
	if (parts & TG_PART_LOCATION && ev->location)
		write_location(w, ev->location);
	if (parts & TG_PART_ATTRIBUTES && ev->n_attributes)
		write_attributes(w, ev);
	if (!(parts & TG_PART_PAYLOAD))
		return;
	switch (ev->payload_case) {
	case TONGGUAN__V1__EVENT__PAYLOAD_READING: write_reading(w, ev->reading); break;
	case TONGGUAN__V1__EVENT__PAYLOAD_REPORT: write_report(w, ev->report, mask); break;
	case TONGGUAN__V1__EVENT__PAYLOAD_POSITION: write_position(w, ev->position); break;
	case TONGGUAN__V1__EVENT__PAYLOAD_STATUS: write_status(w, ev->status); break;
	default: break;
	}
}

void tg_event_json(struct tg_jw *w, const char *key, const tg_event_pb *ev, bool mask)
{
	tg_jw_object(w, key);
	tg_event_json_parts(w, ev, TG_PART_ALL, mask);
	tg_jw_object_end(w);
}
