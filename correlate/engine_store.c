/* What an engine holds, told as segments and put back from them, and what of it Redis need not keep
 * any longer. */
#include <string.h>

#include "base/clock.h"
#include "correlate/engine_impl.h"

#define SWEEP_WORDS_MIN 2000
#define SWEEP_US        (2 * TG_US_PER_H) /* of event time */
#define SWEEP_PIECE     16384

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
	int64_t mark_us = tg_watermark_us(&e->watermark);

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
	engine_see(e, loc, type, false, &seen);
	seen.waiting = true;
	for (size_t i = 0; i < len && !rc && engine_has_place(&seen); i++)
		if (e->clusters[asked[i]] &&
			tg_rule_wants(e->shared.rules->rules[asked[i]], type, loc))
			rc = tg_cluster_restore(e->clusters[asked[i]], &seen);
	return rc == -TG_EFULL ? 0 : rc;
}

int tg_engine_recall_span(struct tg_engine *e, const char *rule_id, const char *source,
	int64_t raised_us, const struct tg_word *word)
{
	struct tg_name *name = tg_names_get(e->names, source);
	struct tg_word kept = *word;
	int rc = 0;

	kept.cell = tg_names_text(e->names, word->cell);
	if (!name || (word->cell && word->cell[0] && !kept.cell))
		return -TG_ENOMEM;
	for (size_t i = 0; i < e->shared.rules->len && !rc; i++)
		if (e->detectors[i] && strcmp(e->shared.rules->rules[i]->id, rule_id) == 0)
			rc = tg_detector_recall_span(e->detectors[i], name->text, raised_us, &kept);
	if (rc == -TG_EFULL) {
		e->shared.counts->full++;
		rc = 0;
	}
	e->since++;
	return rc;
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
