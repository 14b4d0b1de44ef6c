/* Sends series to their topics as if they happened now, several of them merged by time. */
#ifndef TG_CMD_FEED_REPLAY_H
#define TG_CMD_FEED_REPLAY_H

#include "cmd/feed_series.h"

#define FEED_SERIES_MAX 16

struct feed_plan {
	const char *brokers;
	bool max;       /* as fast as Kafka takes them; the last one happens now */
	double speed;   /* else: recorded seconds a second */
	bool keep_time; /* do not move the series */
	/* What ingest keeps (its option retention_days, 0: all), to say beforehand what it will
	 * refuse. */
	int64_t retention_days;
};

/* Runs until everything is acknowledged, or SIGINT or SIGTERM ends it. Returns the exit code: 1
 * when Kafka refused or did not confirm something or a file could not be read to its end. */
int feed_replay_run(struct feed_series *const *series, size_t count, const struct feed_plan *plan);

#endif
