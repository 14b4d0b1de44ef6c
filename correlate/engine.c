#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/engine.h"

struct tg_engine {
	struct tg_engine_shared shared;
	struct tg_cluster **clusters; /* by rule index; NULL for other kinds */
	uint64_t *prints;
	uint32_t *keepers; /* scratch: rules whose window took the event */
	struct tg_watermark watermark;
	struct tg_names *names;
	struct tg_segment segment;
};

static int make_windows(struct tg_engine *e)
{
	const struct tg_ruleset *rules = e->shared.rules;
	int rc = 0;

	e->clusters = calloc(rules->len + 1, sizeof(struct tg_cluster *));
	e->prints = calloc(rules->len + 1, sizeof(*e->prints));
	e->keepers = calloc(rules->len + 1, sizeof(*e->keepers));
	if (!e->clusters || !e->prints || !e->keepers)
		return -TG_ENOMEM;
	for (uint32_t i = 0; i < rules->len && !rc; i++) {
		e->prints[i] = rules->rules[i]->print;
		if (rules->rules[i]->kind == TG_RULE_CLUSTER)
			rc = tg_cluster_new(rules->rules[i], i, e->shared.budget, &e->clusters[i]);
	}
	return rc;
}

int tg_engine_new(const struct tg_engine_shared *shared, struct tg_engine **ret)
{
	struct tg_engine *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -TG_ENOMEM;
	e->shared = *shared;
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
	for (size_t i = 0; e->clusters && i < e->shared.rules->len; i++)
		tg_cluster_free(e->clusters[i]);
	free(e->clusters);
	free(e->prints);
	free(e->keepers);
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

	for (size_t i = 0; i < e->shared.rules->len; i++)
		if (e->clusters[i] && keep_from(e, e->shared.rules->rules[i]) < least)
			least = keep_from(e, e->shared.rules->rules[i]);
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

	for (size_t i = 0; i < e->shared.rules->len; i++)
		if (e->clusters[i])
			n += tg_window_count(tg_cluster_window(e->clusters[i]));
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

int tg_engine_push(struct tg_engine *e, const tg_located_pb *loc, bool halo,
	struct tg_slice traceparent, struct tg_findings *f)
{
	struct tg_engine_counts *counts = e->shared.counts;
	const struct tg_rule *const *rules = (const struct tg_rule *const *)e->shared.rules->rules;
	struct tg_seen seen;
	const uint32_t *asked;
	size_t len, kept = 0;
	uint32_t type;

	if (!loc->event) {
		counts->progress++;
		return loc->has_progress_us ? note_time(e, loc, loc->progress_us) : 0;
	}
	if (loc->uid.len != sizeof(seen.uid)) {
		counts->broken++;
		return 0;
	}
	counts->events++;
	if (note_time(e, loc, loc->event->occurred_at_us))
		return -TG_ENOMEM;
	type = tg_type_number(loc->event->type_code);
	asked = tg_guard_rules(e->shared.guard, type, &len);
	if (len == 0) {
		counts->guarded++;
		return 0;
	}
	see(e, loc, type, halo, &seen);
	tg_findings_trigger(f, traceparent);
	for (size_t i = 0; i < len; i++) {
		if (!tg_rule_wants(rules[asked[i]], type, loc))
			continue;
		if (e->clusters[asked[i]]) {
			if (judge_cluster(e, asked[i], &seen, f))
				e->keepers[kept++] = asked[i];
		} else if (!halo) {
			tg_findings_single(f, asked[i], &seen);
		}
	}
	if (kept)
		tg_segment_add(&e->segment, &seen, e->keepers, kept, e->prints);
	return f->rc;
}

struct snapshot {
	struct tg_segment segment;
	uint32_t most;
	tg_snapshot_cb cb;
	void *ctx;
};

static int flush_snapshot(struct snapshot *s)
{
	int rc = s->segment.len ? s->cb(s->ctx, &s->segment) : 0;

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

int tg_engine_snapshot(const struct tg_engine *e, uint32_t most, tg_snapshot_cb cb, void *ctx)
{
	struct snapshot s = {.most = most, .cb = cb, .ctx = ctx};
	int rc = tg_segment_init(&s.segment, e->names, e->shared.rules->len);

	if (!rc)
		tg_segment_reset(&s.segment);
	for (uint32_t i = 0; i < e->shared.rules->len && !rc; i++)
		if (e->clusters[i])
			rc = snapshot_window(e, i, &s);
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

int tg_engine_restore(struct tg_engine *e, struct tg_slice bytes)
{
	return tg_segment_read(bytes, e->names, restore_event, e);
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

	for (size_t i = 0; i < e->shared.rules->len && !rc; i++)
		if (e->clusters[i])
			rc = tg_cluster_restored(e->clusters[i]);
	return rc;
}
