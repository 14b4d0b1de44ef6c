#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "correlate/engine.h"
#include "correlate/threshold.h"

struct tg_engine {
	struct tg_engine_shared shared;
	struct tg_cluster **clusters;   /* by rule index; NULL for other kinds */
	struct tg_detector **detectors; /* the same for threshold and silence */
	uint64_t *prints;
	uint32_t *keepers; /* scratch: rules whose window took the event */
	struct tg_watermark watermark;
	struct tg_names *names;
	struct tg_segment segment;
	int64_t floor_us; /* what lies in Redis of series before it is needed no more */
	size_t since;     /* words stored since that was settled */
	size_t swept;     /* words that the last sweep stored */
};

#define SWEEP_WORDS_MIN 2000
#define SWEEP_US        (2 * TG_US_PER_H) /* of event time */
#define SWEEP_PIECE     16384

/* The holdings of a set of rules: empty ones. */
static int make_windows(struct tg_engine *e)
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

static void free_windows(struct tg_engine *e)
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
	rc = make_windows(e);
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
	free_windows(e);
	tg_watermark_release(&e->watermark);
	tg_segment_release(&e->segment);
	tg_names_free(e->names);
	free(e);
}

static int64_t mark_of(const struct tg_engine *e)
{
	return tg_watermark_us(&e->watermark);
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

static void see(struct tg_engine *e, const tg_located_pb *loc, uint32_t type, bool halo,
	struct tg_seen *ret)
{
	*ret = (struct tg_seen){
		.event_us = loc->event->occurred_at_us,
		.at = {loc->has_lon ? loc->lon : NAN, loc->has_lat ? loc->lat : NAN},
		.reporter = reporter_hash(tg_event_reporter(loc->event)),
		.cell = tg_names_get(
			e->names, loc->grid_cell && loc->grid_cell[0] ? loc->grid_cell : NULL),
		.type = type,
		.halo = halo,
		.group = TG_GROUP_NONE,
	};
	memcpy(ret->uid, loc->uid.data, sizeof(ret->uid));
}

static bool has_place(const struct tg_seen *s)
{
	return fabs(s->at.lon) <= 180 && fabs(s->at.lat) <= 90;
}

/* True when the window took it. */
static bool judge_cluster(
	struct tg_engine *e, uint32_t i, const struct tg_seen *seen, struct tg_findings *f)
{
	struct tg_engine_counts *counts = e->shared.counts;

	if (!has_place(seen))
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
	bool placed, triggered;
	const char *source; /* interned, once somebody keeps it */
	struct tg_word word;
};

static bool ask_guard(struct tg_engine *e, struct asking *a)
{
	const tg_event_pb *ev = a->loc->event;

	a->typed = tg_guard_rules(e->shared.guard, a->type, &a->typed_len);
	/* A neighbour's copy is no word of its source here. */
	if (a->halo)
		return a->typed_len != 0;
	if (ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_READING && ev->reading->has_value)
		a->metric = tg_guard_metric(e->shared.guard, ev->reading->metric, &a->metric_len);
	a->device = e->shared.registry && ev->source_id
			    ? tg_registry_find(e->shared.registry, ev->source_id)
			    : NULL;
	if (a->device && (e->shared.here < 0 || a->device->partition == e->shared.here)) {
		a->listeners = a->device->listeners;
		a->listeners_len = a->device->listeners_len;
	}
	return a->typed_len || a->metric_len || a->listeners_len;
}

static bool make_word(struct tg_engine *e, struct asking *a)
{
	const tg_located_pb *loc = a->loc;
	const tg_event_pb *ev = loc->event;

	if (a->source)
		return true;
	a->source = tg_names_get(e->names, ev->source_id ? ev->source_id : "");
	a->word = (struct tg_word){
		.event_us = ev->occurred_at_us,
		.value = ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_READING &&
					 ev->reading->has_value
				 ? ev->reading->value
				 : NAN,
		.at = {loc->has_lon ? loc->lon : NAN, loc->has_lat ? loc->lat : NAN},
		.cell = tg_names_get(
			e->names, loc->grid_cell && loc->grid_cell[0] ? loc->grid_cell : NULL),
		.type = a->type,
	};
	memcpy(a->word.uid, loc->uid.data, sizeof(a->word.uid));
	return a->source != NULL;
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
	switch (tg_detector_take(e->detectors[i], a->source, &a->word,
		tg_engine_horizon_us(e, rule), (uint32_t)f->traces_len)) {
	case TG_DETECTOR_TAKEN:
		counts->judged++;
		e->since++;
		tg_segment_word(&e->segment, i, rule->print, a->source, &a->word, false);
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

	see(e, a->loc, a->type, a->halo, &seen);
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
		.mark_us = mark_of(e),
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

struct snapshot {
	struct tg_segment segment;
	uint32_t most;
	tg_snapshot_cb cb;
	void *ctx;
};

static int snapshot_open(struct snapshot *s, const struct tg_engine *e)
{
	int rc = tg_segment_init(&s->segment, e->names, e->shared.rules->len);

	if (!rc)
		tg_segment_reset(&s->segment);
	return rc;
}

static int flush_snapshot(struct snapshot *s)
{
	int rc = tg_segment_empty(&s->segment) ? 0 : s->cb(s->ctx, &s->segment);

	tg_segment_reset(&s->segment);
	return rc;
}

static int snapshot_window(const struct tg_engine *e, uint32_t rule, struct snapshot *s)
{
	const struct tg_window *w = tg_cluster_window(e->clusters[rule]);
	int rc = 0;

	for (uint32_t seq = tg_window_first(w); seq != tg_window_end(w) && !rc; seq++) {
		tg_segment_add(&s->segment, tg_window_at(w, seq), &rule, 1, e->prints);
		if (s->segment.len == s->most)
			rc = flush_snapshot(s);
	}
	return rc ? rc : flush_snapshot(s);
}

static int snapshot_series(
	struct tg_engine *e, uint32_t rule, bool pending, struct snapshot *s, size_t *ret_words)
{
	size_t next = 0;
	bool more = true;
	int rc = 0;

	while (more && !rc) {
		more = tg_detector_store(e->detectors[rule], &next, s->most, pending, &s->segment);
		*ret_words += s->segment.words_len + s->segment.bases_len;
		rc = s->segment.words_len + s->segment.bases_len >= s->most ? flush_snapshot(s) : 0;
	}
	return rc;
}

/* Settles all series up to their rules' horizons; the least of them is the floor. */
static void settle_all(struct tg_engine *e)
{
	int64_t floor_us = INT64_MAX;

	for (uint32_t i = 0; i < e->shared.rules->len; i++) {
		int64_t us;

		if (!e->detectors[i])
			continue;
		us = tg_engine_horizon_us(e, e->shared.rules->rules[i]);
		tg_detector_settle(e->detectors[i], us);
		if (us < floor_us)
			floor_us = us;
	}
	e->floor_us = floor_us == INT64_MAX ? INT64_MIN : floor_us;
	e->since = 0;
}

static int snapshot_all_series(struct tg_engine *e, bool pending, struct snapshot *s)
{
	size_t words = 0;
	int rc = 0;

	settle_all(e);
	for (uint32_t i = 0; i < e->shared.rules->len && !rc; i++)
		if (e->detectors[i])
			rc = snapshot_series(e, i, pending, s, &words);
	e->swept = words;
	return rc ? rc : flush_snapshot(s);
}

/* When as many words have come as a sweep writes, so that it costs at most as much as they did; or
 * when what lies in Redis reaches far back only because of few. */
static bool sweep_is_due(const struct tg_engine *e)
{
	int64_t mark_us = mark_of(e);

	if (mark_us == TG_WATERMARK_NONE || e->since + e->swept == 0)
		return false;
	if (e->floor_us == INT64_MIN || (e->since >= SWEEP_WORDS_MIN && e->since >= e->swept))
		return true;
	return mark_us - e->floor_us > e->shared.rules->lateness_max_us + SWEEP_US;
}

int tg_engine_sweep(struct tg_engine *e, tg_snapshot_cb cb, void *ctx)
{
	struct snapshot s = {.most = SWEEP_PIECE, .cb = cb, .ctx = ctx};
	int rc;

	if (!sweep_is_due(e))
		return 0;
	rc = snapshot_open(&s, e);
	if (!rc)
		rc = snapshot_all_series(e, false, &s);
	tg_segment_release(&s.segment);
	return rc;
}

int tg_engine_snapshot(struct tg_engine *e, uint32_t most, tg_snapshot_cb cb, void *ctx)
{
	struct snapshot s = {.most = most, .cb = cb, .ctx = ctx};
	int rc = snapshot_open(&s, e);

	for (uint32_t i = 0; i < e->shared.rules->len && !rc; i++)
		if (e->clusters[i])
			rc = snapshot_window(e, i, &s);
	if (!rc)
		rc = snapshot_all_series(e, true, &s);
	tg_segment_release(&s.segment);
	return rc;
}

static int restore_event(void *ctx, const struct tg_seen *seen, const uint64_t *prints, size_t n)
{
	struct tg_engine *e = ctx;
	int rc = 0;

	for (size_t k = 0; k < n && !rc; k++)
		for (uint32_t i = 0; i < e->shared.rules->len && !rc; i++)
			if (e->clusters[i] && e->prints[i] == prints[k])
				rc = tg_cluster_restore(e->clusters[i], seen);
	if (rc == -TG_EFULL) {
		e->shared.counts->full++;
		rc = 0;
	}
	return rc;
}

/* NULL: the rule is no longer there, or is another now. */
static struct tg_detector *detector_of(const struct tg_engine *e, uint64_t print)
{
	for (uint32_t i = 0; i < e->shared.rules->len; i++)
		if (e->detectors[i] && e->prints[i] == print)
			return e->detectors[i];
	return NULL;
}

void tg_engine_told(struct tg_engine *e, uint64_t print, int64_t mark_us, int64_t next)
{
	struct tg_detector *d = detector_of(e, print);

	if (d)
		tg_detector_told(d, mark_us, next);
}

static int restore_floor(void *ctx, uint64_t print, int64_t floor_us)
{
	struct tg_detector *d = detector_of(ctx, print);

	if (d)
		tg_detector_put_floor(d, floor_us);
	return 0;
}

static int restore_base(
	void *ctx, uint64_t print, const char *source, bool raised, int64_t raised_us)
{
	struct tg_detector *d = detector_of(ctx, print);

	return d ? tg_detector_put_base(d, source, raised, raised_us) : 0;
}

static int restore_word(
	void *ctx, uint64_t print, const char *source, const struct tg_word *word, bool settled)
{
	struct tg_engine *e = ctx;
	struct tg_detector *d = detector_of(e, print);
	int rc = d ? tg_detector_put_word(d, source, word, settled) : 0;

	if (rc == -TG_EFULL) {
		e->shared.counts->full++;
		rc = 0;
	}
	e->since++;
	return rc;
}

int tg_engine_restore(struct tg_engine *e, struct tg_slice bytes)
{
	const struct tg_segment_reader reader = {
		e, restore_event, restore_floor, restore_base, restore_word};

	return tg_segment_read(bytes, e->names, &reader);
}

int tg_engine_recall(struct tg_engine *e, const tg_located_pb *loc)
{
	struct tg_seen seen;
	const uint32_t *asked;
	size_t len;
	uint32_t type = tg_type_number(loc->event->type_code);
	int rc = 0;

	asked = tg_guard_rules(e->shared.guard, type, &len);
	if (len == 0 || loc->uid.len != sizeof(seen.uid))
		return 0;
	see(e, loc, type, false, &seen);
	seen.waiting = true;
	for (size_t i = 0; i < len && !rc && has_place(&seen); i++)
		if (e->clusters[asked[i]] &&
			tg_rule_wants(e->shared.rules->rules[asked[i]], type, loc))
			rc = tg_cluster_restore(e->clusters[asked[i]], &seen);
	return rc == -TG_EFULL ? 0 : rc;
}

int tg_engine_restored(struct tg_engine *e)
{
	int rc = 0;

	for (size_t i = 0; i < e->shared.rules->len && !rc; i++) {
		if (e->clusters[i])
			rc = tg_cluster_restored(e->clusters[i]);
		if (e->detectors[i])
			tg_detector_restored(e->detectors[i]);
	}
	return rc;
}

/* ---- other rules ---- */

static int give_event(struct tg_cluster *to, const struct tg_cluster *from)
{
	const struct tg_window *w = tg_cluster_window(from);
	int rc = 0;

	for (uint32_t seq = tg_window_first(w); seq != tg_window_end(w) && !rc; seq++)
		rc = tg_cluster_restore(to, tg_window_at(w, seq));
	return rc == -TG_EFULL ? 0 : rc ? rc : tg_cluster_restored(to);
}

/* What the rule `from` of old held goes to rule `to` of e. */
static int hand_over(struct tg_engine *e, uint32_t to, struct tg_engine *old, uint32_t from)
{
	const struct tg_rule *is = e->shared.rules->rules[to],
			     *was = old->shared.rules->rules[from];

	if (e->detectors[to] && old->detectors[from] && is->whole_print == was->whole_print) {
		tg_detector_free(e->detectors[to]);
		e->detectors[to] = old->detectors[from];
		old->detectors[from] = NULL;
		tg_detector_adopt(e->detectors[to], is, to);
	} else if (e->clusters[to] && old->clusters[from] && is->whole_print == was->whole_print) {
		tg_cluster_free(e->clusters[to]);
		e->clusters[to] = old->clusters[from];
		old->clusters[from] = NULL;
		tg_cluster_adopt(e->clusters[to], is, to);
	} else if (e->clusters[to] && old->clusters[from] && is->print == was->print) {
		return give_event(e->clusters[to], old->clusters[from]);
	}
	return 0;
}

int tg_engine_reload(
	struct tg_engine *e, const struct tg_engine_shared *now, const struct tg_ruleset *before)
{
	struct tg_engine old = *e;
	int rc;

	old.shared.rules = before;
	e->shared = *now;
	e->floor_us = INT64_MIN; /* a rule that waits longer may reach behind it */
	tg_segment_release(&e->segment);
	rc = make_windows(e);
	if (!rc)
		rc = tg_segment_init(&e->segment, e->names, now->rules->len);
	if (!rc)
		tg_segment_reset(&e->segment);
	for (uint32_t i = 0; i < now->rules->len && !rc; i++)
		for (uint32_t k = 0; k < old.shared.rules->len && !rc; k++)
			if (strcmp(now->rules->rules[i]->id, old.shared.rules->rules[k]->id) == 0)
				rc = hand_over(e, i, &old, k);
	free_windows(&old);
	return rc;
}
