/* The engine as the role runs it, but for PostgreSQL and Kafka: an engine a partition, whose
 * batches take turns; while Redis has one of a partition's, the others are judged. */
#ifndef TG_BENCH_CORRELATE_ENGINE_H
#define TG_BENCH_CORRELATE_ENGINE_H

#include "bench/correlate_events.h"

/* Prints its figures, "name value" a line. */
void bench_engine(const char *redis, const char *pack, const struct bench_world *w,
	enum bench_mix mix, uint32_t events);

_Noreturn void bench_die(const char *what);
void bench_must(int rc, const char *what);
double bench_cpu_s(void);

#endif
