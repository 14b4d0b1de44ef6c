/* The role: Kafka bytes in, PostGIS rows and located events out. */
#ifndef TG_INGEST_INGEST_H
#define TG_INGEST_INGEST_H

#include "base/conf.h"

/* Runs until SIGTERM or SIGINT; returns the exit code. */
int tg_ingest_run(const struct tg_conf *conf);

#endif
