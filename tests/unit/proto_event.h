/* One event that is right in every field, for tests that then break one thing. Static: no two at a
 * time. */
#ifndef TG_TESTS_PROTO_EVENT_H
#define TG_TESTS_PROTO_EVENT_H

#include "proto/codec.h"

#define PROTO_EVENT_US INT64_C(1700000000123456)

struct proto_event {
	tg_event_pb ev;
	Tongguan__V1__Location location;
	Tongguan__V1__Reading reading;
	Tongguan__V1__Report report;
	Tongguan__V1__Position position;
	Tongguan__V1__Status status;
	Tongguan__V1__Attribute attribute;
	Tongguan__V1__Attribute *attributes[TG_EVENT_ATTRIBUTES_MAX + 1];
};

/* A reading of device "d-1" with a WGS 84 place. */
static inline tg_event_pb *proto_event_reading(struct proto_event *e)
{
	tongguan__v1__event__init(&e->ev);
	tongguan__v1__location__init(&e->location);
	tongguan__v1__reading__init(&e->reading);
	tongguan__v1__report__init(&e->report);
	tongguan__v1__position__init(&e->position);
	tongguan__v1__status__init(&e->status);
	tongguan__v1__attribute__init(&e->attribute);
	e->attribute.key = "k";
	e->attribute.value = "v";
	for (int i = 0; i <= TG_EVENT_ATTRIBUTES_MAX; i++)
		e->attributes[i] = &e->attribute;
	e->ev.event_id = "e-1";
	e->ev.source_id = "d-1";
	e->ev.has_source_kind = true;
	e->ev.source_kind = TONGGUAN__V1__SOURCE_KIND__SENSOR;
	e->ev.has_occurred_at_us = true;
	e->ev.occurred_at_us = PROTO_EVENT_US;
	e->location.has_lon = e->location.has_lat = true;
	e->location.lon = 121.5;
	e->location.lat = 31.25;
	e->ev.location = &e->location;
	e->reading.metric = "water.level";
	e->reading.has_value = true;
	e->reading.value = 27.5;
	e->ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_READING;
	e->ev.reading = &e->reading;
	e->report.title = "title";
	e->report.text = "text";
	e->report.contact = "13812345678";
	return &e->ev;
}

static inline tg_event_pb *proto_event_report(struct proto_event *e)
{
	proto_event_reading(e);
	e->ev.source_kind = TONGGUAN__V1__SOURCE_KIND__CITIZEN;
	e->ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
	e->ev.report = &e->report;
	return &e->ev;
}

#endif
