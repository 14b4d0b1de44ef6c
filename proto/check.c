#include <math.h>
#include <string.h>

#include "proto/codec.h"

static enum tg_reject check_id(const char *id)
{
	size_t n = id ? strlen(id) : 0;

	if (n == 0)
		return TG_REJECT_missing_field;
	return n > TG_EVENT_ID_MAX ? TG_REJECT_field_too_long : TG_ACCEPT;
}

static enum tg_reject check_time(int64_t us, const struct tg_event_limits *limits)
{
	if (us > limits->arrived_us + limits->ahead_us)
		return TG_REJECT_time_ahead;
	/* Before 1970 the uid would have no time to begin with. */
	if (us < 0 || (limits->retention_us && us < limits->arrived_us - limits->retention_us))
		return TG_REJECT_time_too_old;
	return TG_ACCEPT;
}

static enum tg_reject check_location(const Tongguan__V1__Location *loc)
{
	if (!loc->has_lon || !loc->has_lat)
		return TG_REJECT_missing_field;
	if (!isfinite(loc->lon) || !isfinite(loc->lat))
		return TG_REJECT_not_finite;
	if (fabs(loc->lon) > 180)
		return TG_REJECT_lon_out_of_range;
	if (fabs(loc->lat) > 90)
		return TG_REJECT_lat_out_of_range;
	if (loc->has_datum && (loc->datum < TONGGUAN__V1__DATUM__WGS84 ||
				      loc->datum > TONGGUAN__V1__DATUM__CGCS2000))
		return TG_REJECT_bad_enum;
	if (loc->has_accuracy_m && !isfinite(loc->accuracy_m))
		return TG_REJECT_not_finite;
	return TG_ACCEPT;
}

static enum tg_reject check_type_code(const char *code)
{
	if (strlen(code) != 5 || strspn(code, "0123456789") != 5)
		return TG_REJECT_bad_type_code;
	return TG_ACCEPT;
}

static enum tg_reject check_reading(const Tongguan__V1__Reading *reading)
{
	if (!reading->metric || !reading->metric[0] || !reading->has_value)
		return TG_REJECT_missing_field;
	return isfinite(reading->value) ? TG_ACCEPT : TG_REJECT_not_finite;
}

static enum tg_reject check_position(const Tongguan__V1__Position *position)
{
	if (position->has_speed_kmh && !isfinite(position->speed_kmh))
		return TG_REJECT_not_finite;
	if (position->has_heading_deg && !isfinite(position->heading_deg))
		return TG_REJECT_not_finite;
	return TG_ACCEPT;
}

static enum tg_reject check_status(const Tongguan__V1__Status *status)
{
	if (!status->has_state)
		return TG_REJECT_missing_field;
	if (status->state < TONGGUAN__V1__DEVICE_STATE__ONLINE ||
		status->state > TONGGUAN__V1__DEVICE_STATE__FAULT)
		return TG_REJECT_bad_enum;
	return TG_ACCEPT;
}

static enum tg_reject check_payload(const tg_event_pb *ev)
{
	switch (ev->payload_case) {
	case TONGGUAN__V1__EVENT__PAYLOAD_READING: return check_reading(ev->reading);
	case TONGGUAN__V1__EVENT__PAYLOAD_REPORT:
		if (ev->report->text && strlen(ev->report->text) > TG_REPORT_TEXT_MAX)
			return TG_REJECT_field_too_long;
		return TG_ACCEPT;
	case TONGGUAN__V1__EVENT__PAYLOAD_POSITION: return check_position(ev->position);
	case TONGGUAN__V1__EVENT__PAYLOAD_STATUS: return check_status(ev->status);
	default: return TG_REJECT_no_payload;
	}
}

enum tg_reject tg_event_check(const tg_event_pb *ev, const struct tg_event_limits *limits)
{
	enum tg_reject why = check_id(ev->event_id);

	if (!why)
		why = check_id(ev->source_id);
	if (!why && !ev->has_source_kind)
		why = TG_REJECT_missing_field;
	if (!why && !tg_source_kind_name((int)ev->source_kind)[0])
		why = TG_REJECT_bad_enum;
	if (!why && !ev->has_occurred_at_us)
		why = TG_REJECT_missing_field;
	if (!why)
		why = check_time(ev->occurred_at_us, limits);
	if (!why && ev->location)
		why = check_location(ev->location);
	if (!why && ev->type_code)
		why = check_type_code(ev->type_code);
	if (!why && ev->n_attributes > TG_EVENT_ATTRIBUTES_MAX)
		why = TG_REJECT_too_many_attributes;
	if (!why)
		why = check_payload(ev);
	return why;
}
