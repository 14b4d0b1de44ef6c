/* What correlate says of itself on /metrics. */
#ifndef TG_CORRELATE_METRICS_H
#define TG_CORRELATE_METRICS_H

#include "base/metric.h"
#include "correlate/engine.h"

enum tg_correlate_metric {
	TG_CM_EVENTS,
	TG_CM_PROGRESS,
	TG_CM_GUARDED,
	TG_CM_LATE,
	TG_CM_REPEATS,
	TG_CM_FULL,
	TG_CM_BROKEN,
	TG_CM_WINDOW_EVENTS,
	TG_CM_WINDOW_MAX,
	TG_CM_INCIDENTS,
	TG_CM_BATCHES,
	TG_CM_FENCED,
	TG_CM_REWRITES,
	TG_CM_PACKS_REFUSED,
	TG_CM_RULES,
	TG_CM_RELOADS,
	TG_CM_BEYOND_HALO,
	TG_CM_DEVICES,
	TG_CM_PARTITIONS,
	TG_CM_QUEUED,
	TG_CM_ROW_SECONDS,
	TG_CM_MESSAGE_SECONDS,
	TG_CM_REDIS_SECONDS,
	TG_CM_DELAY_SECONDS,
	TG_CM_COUNT,
};

enum tg_told { TG_TOLD_OPEN, TG_TOLD_CLEARED, TG_TOLD_WITHDRAWN, TG_TOLD_MERGED };

extern struct tg_metric tg_correlate_metrics[TG_CM_COUNT];

/* Adds what was counted since the last call. */
void tg_correlate_note_counts(const struct tg_engine_counts *now);

#endif
