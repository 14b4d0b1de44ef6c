/* How far each source partition has come in event time: ingest alone can tell a quiet source from a
 * stalled one. */
#ifndef TG_INGEST_PROGRESS_H
#define TG_INGEST_PROGRESS_H

#include "ingest/forward.h"
#include "ingest/source.h"

/* Says what is due now: at once when a partition has become idle, else every second. live: records
 * arrive (the consumer is neither paused nor cut off), so that an end of log seen before still is
 * one. */
void tg_progress_tick(struct tg_source *source, struct tg_forward *fw, bool live);

#endif
