#include "cmd/feed_event.h"

#include <string.h>

size_t feed_event_parts(const struct feed_profile *profile)
{
	return profile->payload == FEED_READINGS ? profile->reading_count : 1;
}

static bool is_one_of(const struct feed_only *only, const char *text)
{
	for (size_t i = 0; i < only->text_count; i++)
		if (strcmp(text, only->texts[i]) == 0)
			return true;
	return false;
}

int feed_event_wanted(const struct feed_profile *profile, const struct feed_scope *scope)
{
	for (size_t i = 0; i < profile->only_count; i++) {
		const char *text;
		int rc = feed_template_eval(&profile->only[i].value, scope, &text);

		if (rc)
			return rc;
		if (!is_one_of(&profile->only[i], text))
			return 0;
	}
	return 1;
}

static int no_memory(const struct feed_scope *scope)
{
	return feed_fault_set(scope->fault, "the row is too large", "%s", "");
}

/* An event's field: empty is absent. */
static int take_text(const struct feed_text *text, const struct feed_scope *scope, char **ret)
{
	const char *value;
	int rc;

	if (!text->given)
		return 0;
	rc = feed_text_eval(text, scope, &value);
	if (rc)
		return rc;
	/* protobuf-c has no const texts; nobody writes into this one. */
	*ret = *value ? (char *)(uintptr_t)value : NULL;
	return 0;
}

static bool names_metric(const struct feed_text *text)
{
	return text->value.names_metric || text->otherwise.names_metric;
}

static int take_ids(const struct feed_profile *p, const struct feed_reading *reading,
	const struct feed_scope *scope, tg_event_pb *ev)
{
	const struct feed_text *event_id =
		reading && reading->event_id.given ? &reading->event_id : &p->event_id;
	const struct feed_text *source_id =
		reading && reading->source_id.given ? &reading->source_id : &p->source_id;
	size_t id_len, metric_len;
	char *joined;
	int rc = take_text(event_id, scope, &ev->event_id);

	if (!rc)
		rc = take_text(source_id, scope, &ev->source_id);
	if (rc || p->reading_count < 2 || names_metric(event_id) || !ev->event_id)
		return rc;
	id_len = strlen(ev->event_id);
	metric_len = strlen(scope->metric);
	joined = tg_arena_alloc(scope->arena, id_len + metric_len + 2);
	if (!joined)
		return no_memory(scope);
	memcpy(joined, ev->event_id, id_len);
	joined[id_len] = '/';
	memcpy(joined + id_len + 1, scope->metric, metric_len + 1);
	ev->event_id = joined;
	return 0;
}

static int take_kind(const struct feed_profile *p, const struct feed_scope *scope, tg_event_pb *ev)
{
	const char *name;
	int kind, rc = feed_text_eval(&p->source_kind, scope, &name);

	if (rc)
		return rc;
	kind = feed_kind_of(name);
	if (kind < 0)
		return feed_fault_set(scope->fault, "the source_kind is none", "\"%.80s\"", name);
	ev->has_source_kind = 1;
	ev->source_kind = (Tongguan__V1__SourceKind)kind;
	return 0;
}

static int take_place(const struct feed_profile *p, const struct feed_reading *reading,
	const struct feed_scope *scope, tg_event_pb *ev)
{
	const struct feed_place *place =
		reading && reading->place.kind != FEED_NO_PLACE ? &reading->place : &p->place;
	double lon = p->fixed.lon, lat = p->fixed.lat;
	int rc = feed_place_eval(place, scope, &lon, &lat);
	bool fixed = rc == 0 && p->fixed.given && p->payload != FEED_REPORT;

	if (rc < 0 || (rc == 0 && !fixed))
		return rc;
	ev->location = tg_arena_alloc(scope->arena, sizeof(*ev->location));
	if (!ev->location)
		return no_memory(scope);
	tongguan__v1__location__init(ev->location);
	ev->location->has_lon = ev->location->has_lat = ev->location->has_datum = 1;
	ev->location->lon = lon;
	ev->location->lat = lat;
	ev->location->datum = fixed ? TONGGUAN__V1__DATUM__WGS84 : place->datum;
	ev->location->has_accuracy_m = !fixed && place->accuracy_m > 0;
	ev->location->accuracy_m = fixed ? 0 : (float)place->accuracy_m;
	return 0;
}

static int take_attributes(
	const struct feed_profile *p, const struct feed_scope *scope, tg_event_pb *ev)
{
	if (!p->attribute_count)
		return 0;
	ev->attributes =
		tg_arena_alloc(scope->arena, p->attribute_count * sizeof(ev->attributes[0]));
	if (!ev->attributes)
		return no_memory(scope);
	for (size_t i = 0; i < p->attribute_count; i++) {
		Tongguan__V1__Attribute *a = tg_arena_alloc(scope->arena, sizeof(*a));
		int rc;

		if (!a)
			return no_memory(scope);
		tongguan__v1__attribute__init(a);
		a->key = (char *)(uintptr_t)p->attributes[i].name;
		rc = take_text(&p->attributes[i].value, scope, &a->value);
		if (rc)
			return rc;
		if (a->value)
			ev->attributes[ev->n_attributes++] = a;
	}
	return 0;
}

/* ---- what it says ---- */

static int make_report(
	const struct feed_profile *p, const struct feed_scope *scope, tg_event_pb *ev)
{
	Tongguan__V1__Report *report = tg_arena_alloc(scope->arena, sizeof(*report));
	int rc;

	if (!report)
		return no_memory(scope);
	tongguan__v1__report__init(report);
	ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
	ev->report = report;
	rc = take_text(&p->title, scope, &report->title);
	if (!rc)
		rc = take_text(&p->text, scope, &report->text);
	if (!rc)
		rc = take_text(&p->reporter_id, scope, &report->reporter_id);
	if (!rc)
		rc = take_text(&p->contact, scope, &report->contact);
	return rc ? rc : 1;
}

static int make_reading(const struct feed_reading *from, struct feed_scope *scope, tg_event_pb *ev)
{
	Tongguan__V1__Reading *reading = tg_arena_alloc(scope->arena, sizeof(*reading));
	int rc;

	if (!reading)
		return no_memory(scope);
	tongguan__v1__reading__init(reading);
	ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_READING;
	ev->reading = reading;
	rc = feed_number_eval(&from->value, scope, &reading->value);
	if (rc <= 0)
		return rc;
	reading->has_value = 1;
	rc = take_text(&from->metric, scope, &reading->metric);
	if (!rc)
		rc = take_text(&from->unit, scope, &reading->unit);
	if (!rc)
		rc = take_text(&from->quality, scope, &reading->quality);
	scope->metric = reading->metric ? reading->metric : "";
	return rc ? rc : 1;
}

/* A number that is not there stays absent. */
static int take_float(const struct feed_number *number, const struct feed_scope *scope,
	protobuf_c_boolean *ret_has, float *ret)
{
	double v;
	int rc = number->given ? feed_number_eval(number, scope, &v) : 0;

	if (rc <= 0)
		return rc;
	*ret_has = 1;
	*ret = (float)v;
	return 0;
}

static int make_position(
	const struct feed_profile *p, const struct feed_scope *scope, tg_event_pb *ev)
{
	Tongguan__V1__Position *position = tg_arena_alloc(scope->arena, sizeof(*position));
	int rc;

	if (!position)
		return no_memory(scope);
	tongguan__v1__position__init(position);
	ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_POSITION;
	ev->position = position;
	rc = take_float(&p->speed_kmh, scope, &position->has_speed_kmh, &position->speed_kmh);
	if (!rc)
		rc = take_float(
			&p->heading_deg, scope, &position->has_heading_deg, &position->heading_deg);
	return rc ? rc : 1;
}

static int make_status(
	const struct feed_profile *p, const struct feed_scope *scope, tg_event_pb *ev)
{
	Tongguan__V1__Status *status = tg_arena_alloc(scope->arena, sizeof(*status));
	const char *name;
	int state, rc;

	if (!status)
		return no_memory(scope);
	tongguan__v1__status__init(status);
	rc = feed_text_eval(&p->state, scope, &name);
	if (rc)
		return rc;
	state = feed_state_of(name);
	if (state < 0)
		return feed_fault_set(scope->fault, "the state is none", "\"%.80s\"", name);
	status->has_state = 1;
	status->state = (Tongguan__V1__DeviceState)state;
	ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_STATUS;
	ev->status = status;
	return 1;
}

static int make_payload(const struct feed_profile *p, const struct feed_reading *reading,
	struct feed_scope *scope, tg_event_pb *ev)
{
	switch (p->payload) {
	case FEED_READINGS: return make_reading(reading, scope, ev);
	case FEED_POSITION: return make_position(p, scope, ev);
	case FEED_STATUS: return make_status(p, scope, ev);
	case FEED_REPORT:
	default: return make_report(p, scope, ev);
	}
}

/* Ingest's own check, so that nothing is sent to be refused. The time may still move. */
static int check_event(const tg_event_pb *ev, const struct feed_scope *scope)
{
	const struct tg_event_limits limits = {.arrived_us = ev->occurred_at_us};
	enum tg_reject why = tg_event_check(ev, &limits);

	return why ? feed_fault_set(scope->fault, tg_reject_text(why), "%s", tg_reject_name(why))
		   : 0;
}

int feed_event_make(const struct feed_profile *p, size_t part, int64_t time_us,
	struct feed_scope *scope, tg_event_pb **ret, const char **ret_topic)
{
	const struct feed_reading *reading =
		p->payload == FEED_READINGS ? &p->readings[part] : NULL;
	tg_event_pb *ev = tg_arena_alloc(scope->arena, sizeof(*ev));
	int rc;

	if (!ev)
		return no_memory(scope);
	tongguan__v1__event__init(ev);
	ev->has_occurred_at_us = 1;
	ev->occurred_at_us = time_us;
	scope->metric = NULL;
	rc = make_payload(p, reading, scope, ev); /* first: it names the metric */
	if (rc <= 0)
		return rc;
	rc = take_ids(p, reading, scope, ev);
	if (!rc)
		rc = take_kind(p, scope, ev);
	if (!rc)
		rc = take_text(&p->type_code, scope, &ev->type_code);
	if (!rc)
		rc = take_place(p, reading, scope, ev);
	if (!rc)
		rc = take_attributes(p, scope, ev);
	if (!rc)
		rc = feed_text_eval(&p->topic, scope, ret_topic);
	if (!rc && !**ret_topic)
		rc = feed_fault_set(scope->fault, "the topic is empty", "%s", "");
	if (!rc)
		rc = check_event(ev, scope);
	if (rc)
		return rc;
	*ret = ev;
	return 1;
}
