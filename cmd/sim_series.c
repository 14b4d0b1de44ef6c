/* The devices' readings: calm ones at each device's own pace, and in them what threshold and
 * silence rules are for, and what they just must not take for that. */
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/sim.h"

#define TRIES_MAX   200
#define METRICS_MAX 8
#define NOISE       0.05 /* of the distance to the limit */
#define MARGIN      2    /* calm readings around a plant, beside the rule's n */

struct band {
	const char *metric;
	double low, high; /* calm for every rule lies between; infinite: no limit */
};

struct cut {
	size_t after; /* the last reading heard */
	int64_t gap_us;
	bool exact; /* one is heard at its very end */
};

struct series {
	const struct sim_device *device;
	size_t ticks;
	int64_t first_us;
	struct band bands[METRICS_MAX];
	size_t bands_len;
	double *values[METRICS_MAX]; /* by tick */
	bool *busy;                  /* by tick */
	struct cut *cuts;
	size_t cuts_len;
	struct sim_reading *readings; /* of one metric, in order */
	size_t readings_len;
};

/* A device with limits on both sides is taken beyond the upper one. */
static bool limit_of(
	const struct tg_rule *rule, const struct sim_device *device, struct sim_limit *ret)
{
	const json_t *metric = json_object_get(device->limits, rule->metric);
	const json_t *above = json_object_get(metric, "above");
	const json_t *below = json_object_get(metric, "below");

	if (!rule->device_limits)
		*ret = (struct sim_limit){rule->above, rule->limit};
	else if (above || below)
		*ret = (struct sim_limit){above != NULL, json_number_value(above ? above : below)};
	else
		return false;
	return true;
}

static void begin_reading(const struct sim_device *device, tg_event_pb *ev,
	Tongguan__V1__Location *location, Tongguan__V1__Reading *reading)
{
	tongguan__v1__event__init(ev);
	tongguan__v1__location__init(location);
	tongguan__v1__reading__init(reading);
	ev->source_id = (char *)(uintptr_t)device->id;
	ev->has_source_kind = ev->has_occurred_at_us = true;
	ev->source_kind = (Tongguan__V1__SourceKind)device->kind;
	location->has_lon = location->has_lat = true;
	location->lon = device->at.lon;
	location->lat = device->at.lat;
	ev->location = location;
	ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_READING;
	ev->reading = reading;
	reading->has_value = true;
}

/* Does the rule follow this metric of this device? */
static bool follows(const struct tg_rule *rule, const struct sim_device *device, const char *metric)
{
	Tongguan__V1__Location location;
	Tongguan__V1__Reading reading;
	tg_located_pb loc;
	tg_event_pb ev;
	struct sim_limit limit;

	if (rule->kind != TG_RULE_THRESHOLD || strcmp(rule->metric, metric) != 0 ||
		!limit_of(rule, device, &limit))
		return false;
	begin_reading(device, &ev, &location, &reading);
	reading.metric = (char *)(uintptr_t)metric;
	tongguan__v1__located_event__init(&loc);
	loc.event = &ev;
	return tg_expr_eval(rule->where, &loc);
}

static bool listens(const struct tg_rule *rule, const struct sim_device *device)
{
	return rule->kind == TG_RULE_SILENCE && !rule->schedule &&
	       fnmatch(rule->devices, device->id, 0) == 0;
}

/* ---- calm ---- */

static void narrow(struct band *band, bool above, double limit)
{
	if (above && limit < band->high)
		band->high = limit;
	if (!above && limit > band->low)
		band->low = limit;
}

static void find_bands(const struct tg_ruleset *rules, struct series *s)
{
	const char *metric;
	json_t *limits;

	json_object_foreach ((json_t *)(uintptr_t)s->device->limits, metric, limits) {
		const json_t *above = json_object_get(limits, "above"),
			     *below = json_object_get(limits, "below");
		struct band *band = &s->bands[s->bands_len];

		if (s->bands_len == METRICS_MAX)
			return;
		s->bands_len++;
		*band = (struct band){metric, -INFINITY, INFINITY};
		if (above)
			narrow(band, true, json_number_value(above));
		if (below)
			narrow(band, false, json_number_value(below));
		for (size_t k = 0; k < rules->len; k++) {
			const struct tg_rule *rule = rules->rules[k];

			if (!follows(rule, s->device, metric) || rule->device_limits)
				continue;
			narrow(band, rule->above, rule->limit);
			if (rule->has_clear)
				narrow(band, rule->above, rule->clear);
		}
	}
}

static double calm_value(const struct band *band, struct sim_random *r)
{
	double noise = sim_between(r, -NOISE, NOISE);

	if (isinf(band->low) && isinf(band->high))
		return noise;
	if (isinf(band->low))
		return band->high - (0.5 + noise) * fmax(fabs(band->high), 1);
	if (isinf(band->high))
		return band->low + (0.5 + noise) * fmax(fabs(band->low), 1);
	return (band->low + band->high) / 2 + noise * (band->high - band->low);
}

static int series_begin(struct sim_plan *plan, struct series *s, const struct sim_device *device)
{
	*s = (struct series){.device = device};
	s->first_us = plan->from_us +
		      (int64_t)(sim_unit(&plan->script.random) * (double)device->every_us);
	s->ticks = s->first_us < plan->to_us
			   ? (size_t)((plan->to_us - s->first_us) / device->every_us)
			   : 0;
	s->busy = calloc(s->ticks + 1, sizeof(*s->busy));
	s->cuts = calloc(s->ticks + 1, sizeof(*s->cuts));
	s->readings = calloc(s->ticks * 2 + 1, sizeof(*s->readings));
	if (!s->busy || !s->cuts || !s->readings)
		return -TG_ENOMEM;
	find_bands(plan->rules, s);
	for (size_t m = 0; m < s->bands_len; m++) {
		s->values[m] = calloc(s->ticks + 1, sizeof(*s->values[m]));
		if (!s->values[m])
			return -TG_ENOMEM;
		for (size_t i = 0; i < s->ticks; i++)
			s->values[m][i] = calm_value(&s->bands[m], &plan->script.random);
	}
	return 0;
}

static void series_release(struct series *s)
{
	for (size_t m = 0; m < s->bands_len; m++)
		free(s->values[m]);
	free(s->busy);
	free(s->cuts);
	free(s->readings);
}

/* ---- plants ---- */

/* A stretch of ticks that nothing else uses; the first of it, or SIZE_MAX. */
static size_t take_stretch(struct sim_random *r, struct series *s, size_t len)
{
	for (int i = 0; i < TRIES_MAX && len < s->ticks; i++) {
		size_t at = sim_below(r, s->ticks - len), k = 0;

		while (k < len && !s->busy[at + k])
			k++;
		if (k < len)
			continue;
		memset(s->busy + at, 1, len * sizeof(*s->busy));
		return at;
	}
	return SIZE_MAX;
}

static bool plant_beyond(struct sim_plan *plan, const struct tg_rule *rule, struct series *s,
	size_t metric, enum sim_twist twist)
{
	int64_t every_us = s->device->every_us;
	size_t count = rule->for_us ? (size_t)((rule->for_us + every_us - 1) / every_us) + 1
				    : (size_t)rule->k;
	size_t margin = MARGIN + (size_t)(rule->for_us ? 0 : rule->n), at;
	struct sim_limit limit;
	double away;

	if (!limit_of(rule, s->device, &limit))
		return false;
	away = 0.3 * fmax(fabs(limit.value), 1);
	if (twist == SIM_short_of)
		count--;
	at = take_stretch(&plan->script.random, s, count + 2 * margin);
	if (at == SIZE_MAX)
		return false;
	for (size_t i = 0; i < count; i++)
		s->values[metric][at + margin + i] = limit.value + (limit.above ? away : -away);
	return true;
}

static bool plant_silence(
	struct sim_plan *plan, const struct tg_rule *rule, struct series *s, enum sim_twist twist)
{
	int64_t every_us = s->device->every_us;
	bool exact = twist == SIM_just_heard;
	int64_t gap_us = exact ? rule->after_us - TG_US_PER_S : rule->after_us + every_us;
	size_t at;

	if (rule->after_us <= every_us + TG_US_PER_S)
		return false;
	at = take_stretch(&plan->script.random, s, (size_t)(gap_us / every_us) + 4);
	if (at == SIZE_MAX)
		return false;
	s->cuts[s->cuts_len++] = (struct cut){at + 1, gap_us, exact};
	return true;
}

static bool plant_in(
	struct sim_plan *plan, const struct tg_rule *rule, struct series *s, enum sim_twist twist)
{
	if (rule->kind == TG_RULE_SILENCE)
		return listens(rule, s->device) && plant_silence(plan, rule, s, twist);
	for (size_t m = 0; m < s->bands_len; m++)
		if (follows(rule, s->device, s->bands[m].metric) &&
			plant_beyond(plan, rule, s, m, twist))
			return true;
	return false;
}

static void plant(struct sim_plan *plan, const struct tg_rule *rule, struct series *all, size_t n,
	enum sim_twist twist)
{
	size_t from = n ? sim_below(&plan->script.random, n) : 0;

	for (size_t i = 0; i < n; i++) {
		if (plant_in(plan, rule, &all[(from + i) % n], twist)) {
			(*sim_planted(plan, rule, twist))++;
			return;
		}
	}
	plan->no_room++;
}

static void plant_all(struct sim_plan *plan, struct series *all, size_t n)
{
	for (size_t round = 0; round < plan->rounds; round++) {
		for (size_t k = 0; k < plan->rules->len; k++) {
			const struct tg_rule *rule = plan->rules->rules[k];

			if (rule->kind == TG_RULE_THRESHOLD) {
				plant(plan, rule, all, n, SIM_hit);
				plant(plan, rule, all, n, SIM_short_of);
			} else if (rule->kind == TG_RULE_SILENCE && !rule->schedule) {
				plant(plan, rule, all, n, SIM_hit);
				plant(plan, rule, all, n, SIM_just_heard);
			}
		}
	}
}

/* ---- the readings ---- */

static int64_t tick_us(const struct series *s, size_t i)
{
	return s->first_us + (int64_t)i * s->device->every_us;
}

/* Is it within a silence? *ret_end is set when the silence ends with a reading of its own here. */
static bool is_cut(const struct series *s, size_t tick, int64_t *ret_end_us)
{
	*ret_end_us = INT64_MIN;
	for (size_t c = 0; c < s->cuts_len; c++) {
		const struct cut *cut = &s->cuts[c];
		int64_t end_us = tick_us(s, cut->after) + cut->gap_us;

		if (tick == cut->after + 1 && cut->exact)
			*ret_end_us = end_us;
		if (tick > cut->after && tick_us(s, tick) <= end_us)
			return true;
	}
	return false;
}

static int say(struct sim_plan *plan, struct series *s, size_t metric, int64_t at_us, double value)
{
	struct sim_reading *r = &s->readings[s->readings_len++];
	Tongguan__V1__Location location;
	Tongguan__V1__Reading reading;
	tg_event_pb ev;

	begin_reading(s->device, &ev, &location, &reading);
	ev.occurred_at_us = at_us;
	reading.metric = (char *)(uintptr_t)s->bands[metric].metric;
	reading.value = value;
	*r = (struct sim_reading){at_us, sim_script_add(&plan->script, &ev), value, true};
	return r->index < 0 ? (int)r->index : 0;
}

static int say_metric(struct sim_plan *plan, struct series *s, size_t metric)
{
	int rc = 0;

	s->readings_len = 0;
	for (size_t i = 0; i < s->ticks && !rc; i++) {
		int64_t end_us;
		bool cut = is_cut(s, i, &end_us);

		if (!cut)
			rc = say(plan, s, metric, tick_us(s, i), s->values[metric][i]);
		if (!rc && end_us != INT64_MIN)
			rc = say(plan, s, metric, end_us,
				calm_value(&s->bands[metric], &plan->script.random));
	}
	for (size_t k = 0; k < plan->rules->len && !rc; k++) {
		const struct tg_rule *rule = plan->rules->rules[k];
		struct sim_limit limit;

		if (follows(rule, s->device, s->bands[metric].metric) &&
			limit_of(rule, s->device, &limit))
			rc = sim_truth_of_series(
				plan, rule, s->device, limit, s->readings, s->readings_len);
		/* All metrics of a device fall silent together: its first tells. */
		if (!rc && metric == 0 && listens(rule, s->device))
			rc = sim_truth_of_silence(
				plan, rule, s->device, s->readings, s->readings_len);
	}
	return rc;
}

static int keep_tails(struct sim_plan *plan, const struct series *all, size_t n)
{
	struct sim_truth *truth = &plan->truth;

	truth->tails = calloc(n + 1, sizeof(*truth->tails));
	if (!truth->tails)
		return -TG_ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (all[i].readings_len)
			truth->tails[truth->tails_len++] = (struct sim_tail){
				all[i].device->id, all[i].readings[all[i].readings_len - 1].at_us};
	return 0;
}

int sim_plant_series(struct sim_plan *plan)
{
	size_t n = 0;
	struct series *all = calloc(plan->city->devices_len + 1, sizeof(*all));
	int rc = all ? 0 : -TG_ENOMEM;

	for (size_t i = 0; i < plan->city->devices_len && !rc; i++)
		rc = series_begin(plan, &all[n++], &plan->city->devices[i]);
	if (!rc)
		plant_all(plan, all, n);
	for (size_t i = 0; i < n && !rc; i++)
		for (size_t m = 0; m < all[i].bands_len && !rc; m++)
			rc = say_metric(plan, &all[i], m);
	if (!rc)
		rc = keep_tails(plan, all, n);
	for (size_t i = 0; i < n; i++)
		series_release(&all[i]);
	free(all);
	return rc;
}
