/* The rules over one partition: located events in, findings out. Pure: no clock, no server, no
 * order of arrival beyond what the tolerance for late events says. What it holds can be told as
 * segments and put back from them. */
#ifndef TG_CORRELATE_ENGINE_H
#define TG_CORRELATE_ENGINE_H

#include "correlate/cluster.h"
#include "correlate/detector.h"
#include "correlate/guard.h"
#include "correlate/segment.h"
#include "correlate/watermark.h"

/* What became of events, added up over every engine that shares it. */
struct tg_engine_counts {
	uint64_t events, progress, guarded, late, repeats, full, judged, broken;
};

struct tg_engine_shared {
	const struct tg_ruleset *rules;
	const struct tg_guard *guard;
	struct tg_window_budget *budget;
	struct tg_engine_counts *counts;
	/* Bound to the rules; NULL: no device is known. */
	const struct tg_registry *registry;
	int32_t here; /* the partition; −1: any, devices are all ours */
};

struct tg_engine;

TG_MUST int tg_engine_new(const struct tg_engine_shared *shared, struct tg_engine **ret);
void tg_engine_free(struct tg_engine *e); /* NULL is fine */
/* One located record: what it changes goes to f, what windows took to the segment. -TG_ENOMEM: the
 * engine is not to be used any more. A record that is broken is counted and skipped. */
TG_MUST int tg_engine_push(struct tg_engine *e, const tg_located_pb *loc, bool halo,
	struct tg_slice traceparent, struct tg_findings *f);
/* At the end of a batch: what the kinds that look at one source's words have to say. next: the
 * offset after it. */
TG_MUST int tg_engine_end(struct tg_engine *e, int64_t next, struct tg_findings *f);
/* After a take-over: what the rule with that print judges again up to that watermark and offset was
 * told already, and is told once more when it has come there. */
void tg_engine_told(struct tg_engine *e, uint64_t print, int64_t mark_us, int64_t next);
/* Drops what no judgement can need any more. */
void tg_engine_expire(struct tg_engine *e);
/* The registry was replaced: series are looked at again at the next end. */
void tg_engine_set_registry(struct tg_engine *e, const struct tg_registry *registry);
/* Between batches: other rules. What a rule holds stays where the definition is the same; where
 * only the limits of a cluster differ it is judged anew by them. before: the rules until now,
 * wherever they lie by now. After a failure the engine can only be freed. */
TG_MUST int tg_engine_reload(
	struct tg_engine *e, const struct tg_engine_shared *now, const struct tg_ruleset *before);
/* Nothing that is still to come and counts is older for that rule; INT64_MIN before there is a
 * watermark. */
int64_t tg_engine_horizon_us(const struct tg_engine *e, const struct tg_rule *rule);
/* Events older than that are needed by no rule; INT64_MIN: keep all. */
int64_t tg_engine_keep_from_us(const struct tg_engine *e);
struct tg_watermark *tg_engine_watermark(struct tg_engine *e);
/* What the windows and series took since the last reset of the segment. */
struct tg_segment *tg_engine_segment(struct tg_engine *e);
size_t tg_engine_window_events(const struct tg_engine *e); /* words of series too */

typedef int (*tg_snapshot_cb)(void *ctx, const struct tg_segment *segment);
/* After the end of a batch: when enough words have come since, what all series need of the time
 * before the horizon, as segments, so that what lies in Redis of that time can go. cb is not called
 * when there is nothing to do. */
TG_MUST int tg_engine_sweep(struct tg_engine *e, tg_snapshot_cb cb, void *ctx);
/* All windows and series as segments of at most about `most` events: cb for each, the segment is
 * packed by the caller. */
TG_MUST int tg_engine_snapshot(struct tg_engine *e, uint32_t most, tg_snapshot_cb cb, void *ctx);
/* Segments in any order, then tg_engine_restored(). A segment that is broken is -TG_EPARSE. */
TG_MUST int tg_engine_restore(struct tg_engine *e, struct tg_slice bytes);
/* An event out of history for the windows that want it; it may come again on the topic and is
 * judged then. */
TG_MUST int tg_engine_recall(struct tg_engine *e, const tg_located_pb *loc);
/* A span that stands, out of history, of a source whose series is not held: it is told of once
 * more. Rules that keep no series, or do not run, are left alone. */
TG_MUST int tg_engine_recall_span(struct tg_engine *e, const char *rule_id, const char *source,
	int64_t raised_us, const struct tg_word *word);
TG_MUST int tg_engine_restored(struct tg_engine *e);

#endif
