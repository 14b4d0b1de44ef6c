#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/engine_impl.h"
#include "correlate/threshold.h"

/* The holdings of a set of rules: empty ones. */
int engine_make_windows(struct tg_engine *e)
{
	const struct tg_ruleset *rules = e->shared.rules;
	int rc = 0;

	e->clusters = calloc(rules->len + 1, sizeof(struct tg_cluster *));
	e->detectors = calloc(rules->len + 1, sizeof(struct tg_detector *));
	e->prints = calloc(rules->len + 1, sizeof(*e->prints));
	e->keepers = calloc(rules->len + 1, sizeof(*e->keepers));
	if (!e->clusters || !e->detectors || !e->prints || !e->keepers)
		return -TG_ENOMEM;
	for (uint32_t i = 0; i < rules->len && !rc; i++) {
		const struct tg_rule *rule = rules->rules[i];

		e->prints[i] = rule->print;
		if (rule->kind == TG_RULE_CLUSTER)
			rc = tg_cluster_new(rule, i, e->shared.budget, &e->clusters[i]);
		else if (tg_rule_series(rule))
			rc = tg_detector_new(rule, i, e->shared.budget, &e->detectors[i]);
	}
	return rc;
}

void engine_free_windows(struct tg_engine *e)
{
	for (size_t i = 0; e->clusters && i < e->shared.rules->len; i++)
		tg_cluster_free(e->clusters[i]);
	for (size_t i = 0; e->detectors && i < e->shared.rules->len; i++)
		tg_detector_free(e->detectors[i]);
	free(e->clusters);
	free(e->detectors);
	free(e->prints);
	free(e->keepers);
}

int tg_engine_new(const struct tg_engine_shared *shared, struct tg_engine **ret)
{
	struct tg_engine *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -TG_ENOMEM;
	e->shared = *shared;
	e->floor_us = INT64_MIN;
	rc = engine_make_windows(e);
	if (!rc)
		rc = tg_names_new(&e->names);
	if (!rc)
		rc = tg_segment_init(&e->segment, e->names, shared->rules->len);
	if (rc) {
		tg_engine_free(e);
		return rc;
	}
	tg_segment_reset(&e->segment);
	*ret = e;
	return 0;
}

void tg_engine_free(struct tg_engine *e)
{
	if (!e)
		return;
	engine_free_windows(e);
	tg_watermark_release(&e->watermark);
	tg_segment_release(&e->segment);
	tg_names_free(e->names);
	free(e);
}

struct tg_watermark *tg_engine_watermark(struct tg_engine *e)
{
	return &e->watermark;
}

struct tg_segment *tg_engine_segment(struct tg_engine *e)
{
	return &e->segment;
}

int64_t tg_engine_horizon_us(const struct tg_engine *e, const struct tg_rule *rule)
{
	int64_t us = tg_watermark_us(&e->watermark);

	return us == TG_WATERMARK_NONE ? INT64_MIN : us - rule->lateness_us;
}

/* A judgement at H looks back W for cores, and each of those W further for its support. */
static int64_t keep_from(const struct tg_engine *e, const struct tg_rule *rule)
{
	int64_t us = tg_engine_horizon_us(e, rule);

	return us == INT64_MIN ? INT64_MIN : us - 2 * rule->window_us;
}

int64_t tg_engine_keep_from_us(const struct tg_engine *e)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < e->shared.rules->len; i++) {
		if (e->clusters[i] && keep_from(e, e->shared.rules->rules[i]) < least)
			least = keep_from(e, e->shared.rules->rules[i]);
		if (e->detectors[i] && e->since + e->swept && e->floor_us < least)
			least = e->floor_us;
	}
	return least;
}

void tg_engine_expire(struct tg_engine *e)
{
	for (size_t i = 0; i < e->shared.rules->len; i++)
		if (e->clusters[i])
			tg_cluster_expire(e->clusters[i], keep_from(e, e->shared.rules->rules[i]));
}

size_t tg_engine_window_events(const struct tg_engine *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->shared.rules->len; i++) {
		if (e->clusters[i])
			n += tg_window_count(tg_cluster_window(e->clusters[i]));
		if (e->detectors[i])
			n += tg_detector_words(e->detectors[i]);
	}
	return n;
}

/* Fixed key: the same reporter must be the same number in every process and after every restart. */
static uint64_t reporter_hash(const char *reporter)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES] = "tongguan people";
	unsigned char out[crypto_shorthash_BYTES];
	uint64_t hash;

	crypto_shorthash(out, (const unsigned char *)reporter, strlen(reporter), key);
	memcpy(&hash, out, sizeof(hash));
	return hash;
}

void engine_see(struct tg_engine *e, const tg_located_pb *loc, uint32_t type, bool halo,
	struct tg_seen *ret)
{
	*ret = (struct tg_seen){
		.event_us = loc->event->occurred_at_us,
		.at = {loc->has_lon ? loc->lon : NAN, loc->has_lat ? loc->lat : NAN},
		.reporter = reporter_hash(tg_event_reporter(loc->event)),
		.cell = tg_names_text(e->names, loc->grid_cell),
		.type = type,
		.halo = halo,
		.group = TG_GROUP_NONE,
	};
	memcpy(ret->uid, loc->uid.data, sizeof(ret->uid));
}

bool engine_has_place(const struct tg_seen *s)
{
	return fabs(s->at.lon) <= 180 && fabs(s->at.lat) <= 90;
}

/* True when the window took it. */
static bool judge_cluster(
	struct tg_engine *e, uint32_t i, const struct tg_seen *seen, struct tg_findings *f)
{
	struct tg_engine_counts *counts = e->shared.counts;

	if (!engine_has_place(seen))
		return false;
	if (seen->event_us < tg_engine_horizon_us(e, e->shared.rules->rules[i])) {
		counts->late++;
		return false;
	}
	switch (tg_cluster_judge(e->clusters[i], seen, f)) {
	case TG_CLUSTER_JUDGED: counts->judged++; return true;
	case TG_CLUSTER_REPEAT: counts->repeats++; return false;
	case TG_CLUSTER_FULL: counts->full++; return false;
	case TG_CLUSTER_FAILED: f->rc = -TG_ENOMEM; return false;
	}
	return false;
}

static int note_time(struct tg_engine *e, const tg_located_pb *loc, int64_t event_us)
{
	return tg_watermark_note(&e->watermark, loc->source_topic ? loc->source_topic : "",
		loc->source_partition, event_us);
}

/* What an event could be wanted for. */
struct asking {
	const tg_located_pb *loc;
	uint32_t type;
	bool halo;
	const uint32_t *typed, *metric, *listeners; /* rule indexes */
	size_t typed_len, metric_len, listeners_len;
	const struct tg_device *device;
	struct tg_name *source; /* NULL: no word of it was ever kept */
	bool heard;             /* word is made */
	struct tg_word word;
};

/* Names are only made for sources whose words are kept: the others may be any number. */
static void ask_source(struct tg_engine *e, struct asking *a)
{
	const struct tg_registry *registry = e->shared.registry;
	const char *id = a->loc->event->source_id ? a->loc->event->source_id : "";

	a->source = tg_names_find(e->names, id);
	if (registry)
		a->device = a->source ? tg_registry_device(registry, a->source)
				      : tg_registry_find(registry, id);
}

static bool ask_guard(struct tg_engine *e, struct asking *a)
{
	const tg_event_pb *ev = a->loc->event;

	a->typed = tg_guard_rules(e->shared.guard, a->type, &a->typed_len);
	/* A neighbour's copy is no word of its source here. */
	if (a->halo)
		return a->typed_len != 0;
	if (ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_READING && ev->reading->has_value)
		a->metric = tg_guard_metric(e->shared.guard, ev->reading->metric, &a->metric_len);
	ask_source(e, a);
	if (a->device && (e->shared.here < 0 || a->device->partition == e->shared.here)) {
		a->listeners = a->device->listeners;
		a->listeners_len = a->device->listeners_len;
	}
	return a->typed_len || a->metric_len || a->listeners_len;
}

/* A device hardly moves: its cell is the one it was last in. */
static const char *cell_of(struct tg_engine *e, struct tg_name *source, const char *cell)
{
	if (!source->cell || !cell || strcmp(source->cell, cell) != 0)
		source->cell = tg_names_text(e->names, cell);
	return source->cell;
}

static bool make_word(struct tg_engine *e, struct asking *a)
{
	const tg_located_pb *loc = a->loc;
	const tg_event_pb *ev = loc->event;

	if (a->heard)
		return true;
	if (!a->source)
		a->source = tg_names_get(e->names, ev->source_id ? ev->source_id : "");
	if (!a->source)
		return false;
	a->heard = true;
	a->word = (struct tg_word){
		.event_us = ev->occurred_at_us,
		.value = ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_READING &&
					 ev->reading->has_value
				 ? ev->reading->value
				 : NAN,
		.at = {loc->has_lon ? loc->lon : NAN, loc->has_lat ? loc->lat : NAN},
		.cell = cell_of(e, a->source, loc->grid_cell),
		.type = a->type,
	};
	memcpy(a->word.uid, loc->uid.data, sizeof(a->word.uid));
	return true;
}

/* One rule that looks at a source's words. */
static void hear(struct tg_engine *e, uint32_t i, struct asking *a, struct tg_findings *f)
{
	const struct tg_rule *rule = e->shared.rules->rules[i];
	struct tg_engine_counts *counts = e->shared.counts;

	if (!tg_rule_wants(rule, a->type, a->loc))
		return;
	if (!make_word(e, a)) {
		f->rc = -TG_ENOMEM;
		return;
	}
	if (rule->kind == TG_RULE_THRESHOLD)
		a->word.flags = tg_threshold_flags(rule,
			rule->device_limits && a->device ? tg_device_limits(a->device, rule->metric)
							 : NULL,
			a->word.value);
	else
		a->word.flags = 0;
	switch (tg_detector_take(e->detectors[i], a->source->text, &a->word,
		tg_engine_horizon_us(e, rule), (uint32_t)f->traces_len)) {
	case TG_DETECTOR_TAKEN:
		counts->judged++;
		e->since++;
		tg_segment_word(&e->segment, i, rule->print, a->source->text, &a->word, false);
		break;
	case TG_DETECTOR_REPEAT: counts->repeats++; break;
	case TG_DETECTOR_LATE: counts->late++; break;
	case TG_DETECTOR_FULL: counts->full++; break;
	case TG_DETECTOR_FAILED: f->rc = -TG_ENOMEM; break;
	}
}

/* The rules that go by type: one report, or events that lie near each other. */
static void ask_typed(struct tg_engine *e, const struct asking *a, struct tg_findings *f)
{
	const struct tg_rule *const *rules = (const struct tg_rule *const *)e->shared.rules->rules;
	struct tg_seen seen;
	size_t kept = 0;

	engine_see(e, a->loc, a->type, a->halo, &seen);
	for (size_t i = 0; i < a->typed_len; i++) {
		uint32_t rule = a->typed[i];

		if (!tg_rule_wants(rules[rule], a->type, a->loc))
			continue;
		if (e->clusters[rule]) {
			if (judge_cluster(e, rule, &seen, f))
				e->keepers[kept++] = rule;
		} else if (!a->halo) {
			tg_findings_single(f, rule, &seen);
		}
	}
	if (kept)
		tg_segment_add(&e->segment, &seen, e->keepers, kept, e->prints);
}

int tg_engine_push(struct tg_engine *e, const tg_located_pb *loc, bool halo,
	struct tg_slice traceparent, struct tg_findings *f)
{
	struct tg_engine_counts *counts = e->shared.counts;
	struct asking a = {.loc = loc, .halo = halo};

	if (!loc->event) {
		counts->progress++;
		return loc->has_progress_us ? note_time(e, loc, loc->progress_us) : 0;
	}
	if (loc->uid.len != sizeof(a.word.uid)) {
		counts->broken++;
		return 0;
	}
	counts->events++;
	if (note_time(e, loc, loc->event->occurred_at_us))
		return -TG_ENOMEM;
	a.type = tg_type_number(loc->event->type_code);
	if (!ask_guard(e, &a)) {
		counts->guarded++;
		return 0;
	}
	tg_findings_trigger(f, traceparent);
	if (a.typed_len)
		ask_typed(e, &a, f);
	for (size_t i = 0; i < a.metric_len; i++)
		hear(e, a.metric[i], &a, f);
	for (size_t i = 0; i < a.listeners_len; i++)
		hear(e, a.listeners[i], &a, f);
	return f->rc;
}

int tg_engine_end(struct tg_engine *e, int64_t next, struct tg_findings *f)
{
	struct tg_detector_end end = {.registry = e->shared.registry,
		.here = e->shared.here,
		.mark_us = tg_watermark_us(&e->watermark),
		.next = next};
	int rc = 0;

	for (uint32_t i = 0; i < e->shared.rules->len && !rc; i++) {
		if (!e->detectors[i])
			continue;
		end.horizon_us = tg_engine_horizon_us(e, e->shared.rules->rules[i]);
		rc = tg_detector_end(e->detectors[i], &end, f);
	}
	return rc;
}

void tg_engine_set_registry(struct tg_engine *e, const struct tg_registry *registry)
{
	e->shared.registry = registry;
	for (uint32_t i = 0; i < e->shared.rules->len; i++)
		if (e->detectors[i] && e->shared.rules->rules[i]->kind == TG_RULE_SILENCE)
			tg_detector_touch_all(e->detectors[i]);
}
