/* Running a compiled expression: one accumulator, forward jumps only. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "correlate/expr_impl.h"

/* The payload is one of several in the same memory: ask which before looking. */
static const Tongguan__V1__Reading *reading_of(const tg_event_pb *ev)
{
	return ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_READING ? ev->reading : NULL;
}

static const Tongguan__V1__Report *report_of(const tg_event_pb *ev)
{
	return ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT ? ev->report : NULL;
}

static const Tongguan__V1__Position *position_of(const tg_event_pb *ev)
{
	return ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_POSITION ? ev->position : NULL;
}

static struct tg_slice attribute_of(const tg_event_pb *ev, struct tg_slice key)
{
	for (size_t i = 0; i < ev->n_attributes; i++)
		if (ev->attributes[i]->key && tg_slice_is(key, ev->attributes[i]->key))
			return tg_slice_cstr(ev->attributes[i]->value);
	return TG_SLICE("");
}

static struct tg_slice text_of(const struct tg_expr_operand *o, const tg_located_pb *loc)
{
	const tg_event_pb *ev = loc->event;
	const Tongguan__V1__Reading *reading = reading_of(ev);
	const Tongguan__V1__Report *report = report_of(ev);

	switch (o->field) {
	case TG_EXPR_CONSTANT: return o->text;
	case TG_EXPR_TYPE_CODE_FIELD: return tg_slice_cstr(ev->type_code);
	case TG_EXPR_SOURCE_KIND_FIELD:
		return tg_slice_cstr(tg_source_kind_name((int)ev->source_kind));
	case TG_EXPR_SOURCE_ID_FIELD: return tg_slice_cstr(ev->source_id);
	case TG_EXPR_EVENT_ID_FIELD: return tg_slice_cstr(ev->event_id);
	case TG_EXPR_METRIC_FIELD: return tg_slice_cstr(reading ? reading->metric : NULL);
	case TG_EXPR_UNIT_FIELD: return tg_slice_cstr(reading ? reading->unit : NULL);
	case TG_EXPR_QUALITY_FIELD: return tg_slice_cstr(reading ? reading->quality : NULL);
	case TG_EXPR_GRID_CELL_FIELD: return tg_slice_cstr(loc->grid_cell);
	case TG_EXPR_STREET_FIELD: return tg_slice_cstr(loc->street);
	case TG_EXPR_DISTRICT_FIELD: return tg_slice_cstr(loc->district);
	case TG_EXPR_TITLE_FIELD: return tg_slice_cstr(report ? report->title : NULL);
	case TG_EXPR_TEXT_FIELD: return tg_slice_cstr(report ? report->text : NULL);
	case TG_EXPR_REPORTER_FIELD: return tg_slice_cstr(report ? report->reporter_id : NULL);
	case TG_EXPR_ATTRIBUTE_FIELD: return attribute_of(ev, o->text);
	default: break;
	}
	assert(!"a number read as text");
	return TG_SLICE("");
}

static double number_of(const struct tg_expr_operand *o, const tg_located_pb *loc)
{
	const tg_event_pb *ev = loc->event;
	const Tongguan__V1__Reading *reading = reading_of(ev);
	const Tongguan__V1__Position *position = position_of(ev);

	switch (o->field) {
	case TG_EXPR_CONSTANT: return o->number;
	case TG_EXPR_VALUE_FIELD: return reading && reading->has_value ? reading->value : NAN;
	case TG_EXPR_LON_FIELD: return loc->has_lon ? loc->lon : NAN;
	case TG_EXPR_LAT_FIELD: return loc->has_lat ? loc->lat : NAN;
	case TG_EXPR_ACCURACY_FIELD:
		return ev->location && ev->location->has_accuracy_m
			       ? (double)ev->location->accuracy_m
			       : NAN;
	case TG_EXPR_SPEED_FIELD:
		return position && position->has_speed_kmh ? (double)position->speed_kmh : NAN;
	case TG_EXPR_HEADING_FIELD:
		return position && position->has_heading_deg ? (double)position->heading_deg : NAN;
	default: break;
	}
	assert(!"a text read as number");
	return NAN;
}

/* NaN: none of <, =, > holds, so every operator must be false; 2 stands for that. */
static int order(
	const struct tg_expr_operand *a, const struct tg_expr_operand *b, const tg_located_pb *loc)
{
	if (a->type == TG_EXPR_NUMBER) {
		double x = number_of(a, loc), y = number_of(b, loc);

		return isunordered(x, y) ? 2 : isgreater(x, y) - isless(x, y);
	}
	struct tg_slice x = text_of(a, loc), y = text_of(b, loc);
	size_t len = x.len < y.len ? x.len : y.len;
	int c = len ? memcmp(x.data, y.data, len) : 0;

	if (c == 0)
		return (x.len > y.len) - (x.len < y.len);
	return c < 0 ? -1 : 1;
}

static bool is_in(const struct tg_expr_step *s, const tg_located_pb *loc)
{
	for (size_t i = 0; i < s->list_len; i++) {
		int c = order(&s->a, &s->list[i], loc);

		if (c == 2)
			return false;
		if (c == 0)
			return !s->flag;
	}
	return s->flag;
}

static bool part_of(const struct tg_expr_step *s, const tg_located_pb *loc)
{
	struct tg_slice whole = text_of(&s->a, loc), part = s->b.text;

	if (part.len == 0)
		return true;
	if (part.len > whole.len)
		return false;
	if (s->op == TG_EXPR_STARTS)
		return memcmp(whole.data, part.data, part.len) == 0;
	if (s->op == TG_EXPR_ENDS)
		return memcmp(whole.data + (whole.len - part.len), part.data, part.len) == 0;
	return memmem(whole.data, whole.len, part.data, part.len) != NULL;
}

bool tg_expr_eval(const struct tg_expr *expr, const tg_located_pb *loc)
{
	bool acc = true;

	if (!expr)
		return true;
	for (size_t at = 0; at < expr->len; at++) {
		const struct tg_expr_step *s = &expr->steps[at];

		switch (s->op) {
		case TG_EXPR_SET: acc = s->flag; break;
		case TG_EXPR_NOT: acc = !acc; break;
		case TG_EXPR_JUMP_IF:
			if (acc == s->flag)
				at = s->to - 1;
			break;
		case TG_EXPR_EQ: acc = order(&s->a, &s->b, loc) == 0; break;
		case TG_EXPR_NE: {
			int c = order(&s->a, &s->b, loc);

			acc = c == -1 || c == 1;
			break;
		}
		case TG_EXPR_LT: acc = order(&s->a, &s->b, loc) == -1; break;
		case TG_EXPR_LE: acc = order(&s->a, &s->b, loc) <= 0; break;
		case TG_EXPR_GT: acc = order(&s->a, &s->b, loc) == 1; break;
		case TG_EXPR_GE: {
			int c = order(&s->a, &s->b, loc);

			acc = c == 0 || c == 1;
			break;
		}
		case TG_EXPR_IN: acc = is_in(s, loc); break;
		case TG_EXPR_CONTAINS:
		case TG_EXPR_STARTS:
		case TG_EXPR_ENDS: acc = part_of(s, loc); break;
		}
	}
	return acc;
}
