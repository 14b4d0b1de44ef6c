/* Reports: for each rule what it is for, and what it just must not take for that. A lot's events
 * can be counted by no rule together with another lot's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/sim.h"
#include "correlate/example.h"

#define TRIES_MAX    400
#define HOTLINE      "sim-12345"
#define SPREAD       0.4 /* of the radius: any two are within it */
#define WINDOW_SHARE 0.6 /* of the window that a hit takes */
#define SOLE_SPAN_US TG_US_PER_S
#define NEAR_M       0.01 /* events at one place are not at one point */

uint32_t sim_type(const tg_event_pb *ev)
{
	return ev->type_code ? tg_type_number(ev->type_code) : TG_TYPE_NONE;
}

bool sim_wants(const struct tg_rule *rule, const tg_event_pb *ev, struct tg_lonlat at)
{
	tg_located_pb loc;

	tongguan__v1__located_event__init(&loc);
	loc.event = (tg_event_pb *)(uintptr_t)ev;
	loc.has_lon = loc.has_lat = true;
	loc.lon = at.lon;
	loc.lat = at.lat;
	return tg_rule_wants(rule, sim_type(ev), &loc);
}

/* ---- one event of a lot ---- */

/* The first event of the rule's own examples that belongs to something; NULL. */
static const tg_event_pb *example_of(const struct tg_rule *rule)
{
	for (size_t i = 0; i < rule->examples_len; i++) {
		const struct tg_example *ex = &rule->examples[i];

		if (ex->expect_len && ex->expect[0].len)
			return ex->events[ex->expect[0].members[0]]->event;
	}
	return NULL;
}

static void begin_event(struct sim_lot_event *e, const tg_event_pb *like)
{
	tongguan__v1__event__init(&e->ev);
	tongguan__v1__location__init(&e->location);
	tongguan__v1__report__init(&e->report);
	e->ev.source_id = HOTLINE;
	e->ev.has_source_kind = true;
	e->ev.source_kind = TONGGUAN__V1__SOURCE_KIND__CITIZEN;
	if (like) {
		e->ev.source_kind = like->source_kind;
		e->ev.type_code = like->type_code;
		e->ev.attributes = like->attributes;
		e->ev.n_attributes = like->n_attributes;
		if (like->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT) {
			e->report.title = like->report->title;
			e->report.text = like->report->text;
		}
	}
	e->ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
}

/* The lot's arrays may have moved: pointers into an event are set when it lies still. */
static void tie(struct sim_lot_event *e)
{
	e->ev.location = &e->location;
	e->ev.report = &e->report;
	e->report.reporter_id = e->reporter;
}

static char *any_type(struct sim_plan *plan, const struct tg_rule *rule)
{
	static const char none[] = "";
	const struct sim_city *city = plan->city;
	size_t i;

	if (!city->types_len)
		return (char *)(uintptr_t)none;
	i = sim_below(&plan->script.random, city->types_len);
	for (size_t k = 0; rule && !rule->all_types && k < city->types_len; k++) {
		uint32_t code = tg_type_number(city->types[(i + k) % city->types_len]);

		for (size_t t = 0; t < rule->types_len; t++)
			if (rule->types[t] == code)
				return city->types[(i + k) % city->types_len];
	}
	return city->types[i];
}

static char *type_beside(struct sim_plan *plan, const struct tg_rule *rule)
{
	const struct sim_city *city = plan->city;

	for (int i = 0; i < TRIES_MAX && city->types_len; i++) {
		char *code = city->types[sim_below(&plan->script.random, city->types_len)];
		bool listed = false;

		for (size_t t = 0; t < rule->types_len; t++)
			listed |= rule->types[t] == tg_type_number(code);
		if (!listed)
			return code;
	}
	return NULL;
}

/* An event that the rule counts, of one of its types; false: none can be made from its examples. */
static bool make_event(struct sim_plan *plan, const struct tg_rule *rule, struct sim_lot_event *e,
	struct tg_lonlat at)
{
	const tg_event_pb *like = example_of(rule);

	begin_event(e, like);
	tie(e);
	e->ev.type_code = any_type(plan, rule);
	if (sim_wants(rule, &e->ev, at))
		return true;
	if (like)
		e->ev.type_code = like->type_code;
	return e->ev.type_code && sim_wants(rule, &e->ev, at);
}

static void place_event(struct sim_lot_event *e, struct tg_lonlat at, int64_t at_us)
{
	e->at = at;
	e->location.has_lon = e->location.has_lat = true;
	e->location.lon = at.lon;
	e->location.lat = at.lat;
	e->ev.has_occurred_at_us = true;
	e->ev.occurred_at_us = at_us;
}

/* ---- a lot ---- */

struct shape {
	size_t events, people;
	double spread_m; /* around the lot's middle */
	int64_t span_us; /* from the first to the last */
	double apart_m;  /* of the last event; 0: among the others */
	bool exact_span; /* first and last are that far apart */
};

static struct shape shape_of(
	struct sim_plan *plan, const struct tg_rule *rule, enum sim_twist twist)
{
	struct sim_random *r = &plan->script.random;
	struct shape s = {1, 1, 0, SOLE_SPAN_US, 0, false};
	int64_t whole_us = plan->to_us - plan->from_us;

	if (rule->kind != TG_RULE_CLUSTER)
		return s;
	s.events = (size_t)rule->min_events;
	s.people = (size_t)rule->min_reporters;
	s.spread_m = rule->radius_m * SPREAD;
	s.span_us = (int64_t)((double)rule->window_us * WINDOW_SHARE);
	if (s.span_us > whole_us / 2)
		s.span_us = whole_us / 2;
	if (twist == SIM_hit)
		s.events += sim_below(r, 3);
	if (twist == SIM_fewer)
		s.events--;
	if (twist == SIM_same_people)
		s.people--;
	if (twist == SIM_apart) {
		s.spread_m = NEAR_M;
		s.apart_m = rule->radius_m + 1;
	}
	if (twist == SIM_late) {
		s.span_us = rule->window_us + TG_US_PER_S;
		s.exact_span = true;
	}
	return s;
}

static bool fits(const struct sim_plan *plan, const struct tg_rule *rule, enum sim_twist twist)
{
	int64_t whole_us = plan->to_us - plan->from_us;

	switch (twist) {
	case SIM_hit: return rule->kind != TG_RULE_CLUSTER || rule->min_events + 2 <= SIM_LOT_MAX;
	case SIM_other_type: return rule->kind == TG_RULE_SINGLE && !rule->all_types;
	case SIM_fewer: return rule->kind == TG_RULE_CLUSTER && rule->min_events > 1;
	case SIM_same_people: return rule->kind == TG_RULE_CLUSTER && rule->min_reporters > 1;
	case SIM_apart: return rule->kind == TG_RULE_CLUSTER && rule->min_events > 1;
	case SIM_late:
		return rule->kind == TG_RULE_CLUSTER && rule->min_events > 1 &&
		       rule->window_us + TG_US_PER_S < whole_us;
	default: return false;
	}
}

static bool fill(struct sim_plan *plan, struct sim_lot *lot, const struct shape *s)
{
	struct sim_random *r = &plan->script.random;
	size_t serial = plan->lots_len;

	for (size_t i = 0; i < s->events; i++) {
		struct sim_lot_event *e = &lot->events[i];
		bool last = i + 1 == s->events;
		double angle = sim_between(r, 0, 2 * M_PI);
		double far = last && s->apart_m > 0 ? s->apart_m : s->spread_m * sim_unit(r);
		double share = s->exact_span && i == 0 ? 0
			       : s->exact_span && last ? 1
						       : sim_unit(r);

		if (lot->rule && !make_event(plan, lot->rule, e, lot->at))
			return false;
		if (!lot->rule) {
			begin_event(e, NULL);
			e->ev.type_code = any_type(plan, NULL);
		}
		if (lot->twist == SIM_other_type && lot->rule) {
			e->ev.type_code = type_beside(plan, lot->rule);
			if (!e->ev.type_code)
				return false;
		}
		snprintf(e->reporter, sizeof(e->reporter), "%s-p%zu-%zu", plan->script.run, serial,
			i % s->people);
		place_event(e, sim_move(lot->at, cos(angle) * far, sin(angle) * far),
			lot->from_us + (int64_t)((double)s->span_us * share));
		tie(e);
	}
	lot->len = s->events;
	lot->reach_m = fmax(s->apart_m, s->spread_m) + 1;
	lot->to_us = lot->from_us + s->span_us;
	return true;
}

static void see_who_wants(const struct sim_plan *plan, struct sim_lot *lot)
{
	for (size_t k = 0; k < plan->rules->len; k++) {
		lot->wants[k] = false;
		for (size_t i = 0; i < lot->len && !lot->wants[k]; i++)
			lot->wants[k] = sim_wants(
				plan->rules->rules[k], &lot->events[i].ev, lot->events[i].at);
	}
}

/* Can no rule count events of both? */
static bool strangers(const struct sim_plan *plan, const struct sim_lot *a, const struct sim_lot *b)
{
	double away_m = tg_geo_distance_m(a->at, b->at) - a->reach_m - b->reach_m;
	int64_t gap_us = a->from_us > b->to_us ? a->from_us - b->to_us : b->from_us - a->to_us;

	for (size_t k = 0; k < plan->rules->len; k++) {
		const struct tg_rule *rule = plan->rules->rules[k];

		if (rule->kind == TG_RULE_CLUSTER && a->wants[k] && b->wants[k] &&
			away_m <= rule->radius_m + 1 && gap_us <= rule->window_us + TG_US_PER_S)
			return false;
	}
	return true;
}

static bool alone(const struct sim_plan *plan, const struct sim_lot *lot)
{
	for (size_t i = 0; i < plan->lots_len; i++)
		if (!strangers(plan, lot, plan->lots[i]))
			return false;
	return true;
}

static bool settle(struct sim_plan *plan, struct sim_lot *lot, const struct shape *s)
{
	struct sim_random *r = &plan->script.random;
	double slack = (double)(plan->to_us - plan->from_us - s->span_us);

	for (int i = 0; i < TRIES_MAX && slack > 0; i++) {
		lot->at = sim_city_point(plan->city, r);
		lot->from_us = plan->from_us + (int64_t)(slack * sim_unit(r));
		if (!fill(plan, lot, s))
			return false;
		see_who_wants(plan, lot);
		if (alone(plan, lot))
			return true;
	}
	return false;
}

static int keep(struct sim_plan *plan, struct sim_lot *lot)
{
	if (plan->lots_len == plan->lots_cap) {
		size_t cap = plan->lots_cap ? plan->lots_cap * 2 : 256;
		struct sim_lot **more = realloc(plan->lots, cap * sizeof(*more));

		if (!more)
			return -TG_ENOMEM;
		plan->lots = more;
		plan->lots_cap = cap;
	}
	plan->lots[plan->lots_len++] = lot;
	for (size_t i = 0; i < lot->len; i++) {
		lot->events[i].index = sim_script_add(&plan->script, &lot->events[i].ev);
		if (lot->events[i].index < 0)
			return -TG_ENOMEM;
	}
	return 0;
}

static void drop(struct sim_lot *lot)
{
	if (lot)
		free(lot->wants);
	free(lot);
}

static int plant(struct sim_plan *plan, const struct tg_rule *rule, enum sim_twist twist)
{
	struct sim_lot *lot = calloc(1, sizeof(*lot));
	struct shape s = {1, 1, 0, SOLE_SPAN_US, 0, false};

	if (lot)
		lot->wants = calloc(plan->rules->len + 1, sizeof(*lot->wants));
	if (!lot || !lot->wants) {
		drop(lot);
		return -TG_ENOMEM;
	}
	if (rule)
		s = shape_of(plan, rule, twist);
	lot->rule = rule;
	lot->twist = twist;
	if (!settle(plan, lot, &s)) {
		plan->no_room++;
		drop(lot);
		return 0;
	}
	if (rule)
		(*sim_planted(plan, rule, twist))++;
	return keep(plan, lot);
}

int sim_plant_reports(struct sim_plan *plan)
{
	double hours = (double)(plan->to_us - plan->from_us) / (double)TG_US_PER_H;
	size_t noise = (size_t)(plan->noise_an_hour * hours);
	int rc = 0;

	for (size_t round = 0; round < plan->rounds; round++)
		for (size_t k = 0; k < plan->rules->len && !rc; k++)
			for (int t = 0; t < SIM_TWIST_COUNT && !rc; t++)
				if ((plan->rules->rules[k]->kind == TG_RULE_SINGLE ||
					    plan->rules->rules[k]->kind == TG_RULE_CLUSTER) &&
					fits(plan, plan->rules->rules[k], t))
					rc = plant(plan, plan->rules->rules[k], t);
	for (size_t i = 0; i < noise && !rc; i++)
		rc = plant(plan, NULL, SIM_other_type);
	for (size_t i = 0; i < plan->lots_len && !rc; i++)
		rc = sim_truth_of_lot(plan, i);
	return rc;
}
