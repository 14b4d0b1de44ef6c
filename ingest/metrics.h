/* What ingest tells about itself. */
#ifndef TG_INGEST_METRICS_H
#define TG_INGEST_METRICS_H

#include "base/metric.h"

enum tg_ingest_metric {
	TG_M_RECORDS,
	TG_M_ROWS,
	TG_M_BATCHES,
	TG_M_BATCH_ROWS,
	TG_M_REFUSED,
	TG_M_DUPLICATES,
	TG_M_REUSED,
	TG_M_LOCATED,
	TG_M_HALO,
	TG_M_AGAIN,
	TG_M_RECALLED,
	TG_M_UNDELIVERED,
	TG_M_STAGED,
	TG_M_RETRIED,
	TG_M_FENCED,
	TG_M_STAGE_SECONDS,
	TG_M_LAG,
	TG_M_LAG_PARTITION,
	TG_M_UNFORWARDED,
	TG_M_PARTITIONS,
	TG_M_BELOW_FLOOR,
	TG_M_AHEAD,
	TG_M_FLOOR,
	TG_M_DROPPED,
	TG_M_DROP_BUSY,
	TG_M_NEEDED,
	TG_M_EVIDENCE,
	TG_M_SWEPT,
	TG_M_SUMMARIZED,
	TG_M_COUNT
};

enum tg_ingest_stage {
	TG_STAGE_WAIT,
	TG_STAGE_OFFSETS,
	TG_STAGE_COPY,
	TG_STAGE_COMMIT,
	TG_STAGE_PUBLISH
};

extern struct tg_metric tg_ingest_metrics[TG_M_COUNT];

/* Adds one observation of a stage that began at mono_us; returns now. */
int64_t tg_ingest_stage(enum tg_ingest_stage stage, int64_t since_mono_us);

#endif
