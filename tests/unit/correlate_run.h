/* An engine that is run as the role runs it: batches, what Redis keeps of them, restarts from that,
 * and one book of incidents. With the numbers that tests draw. */
#ifndef TG_TESTS_CORRELATE_RUN_H
#define TG_TESTS_CORRELATE_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/book.h"
#include "correlate/engine.h"

#define RUN_STORED_MAX 8192

struct run {
	const struct tg_ruleset *set;
	const struct tg_registry *registry;
	int32_t here;
	struct tg_window_budget budget;
	struct tg_engine_counts counts;
	struct tg_guard *guard;
	struct tg_engine *engine;
	struct tg_book book;
	struct tg_findings found;
	struct tg_buf stored[RUN_STORED_MAX];
	int64_t stored_us[RUN_STORED_MAX];
	size_t stored_len, trimmed, sweeps;
};

static uint64_t rng_state;

static inline void rnd_seed(uint64_t seed)
{
	rng_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

static inline double rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (double)(rng_state >> 11) / 9007199254740992.0;
}

static inline struct tg_engine_shared run_shared(struct run *r)
{
	return (struct tg_engine_shared){
		r->set, r->guard, &r->budget, &r->counts, r->registry, r->here};
}

/* registry: NULL, no device is known. */
static inline void run_open(struct run *r, const struct tg_ruleset *set,
	const struct tg_registry *registry, int32_t here)
{
	struct tg_engine_shared shared;

	memset(r, 0, sizeof(*r));
	r->set = set;
	r->registry = registry;
	r->here = here;
	r->budget.max = 1000000;
	assert_int_equal(tg_guard_new(set, &r->guard), 0);
	shared = run_shared(r);
	assert_int_equal(tg_engine_new(&shared, &r->engine), 0);
	assert_int_equal(tg_book_init(&r->book), 0);
}

static inline void run_close(struct run *r)
{
	tg_engine_free(r->engine);
	tg_guard_free(r->guard);
	assert_int_equal(r->budget.used, 0);
	tg_book_release(&r->book);
	tg_findings_release(&r->found);
	for (size_t i = 0; i < r->stored_len; i++)
		tg_buf_release(&r->stored[i]);
}

/* Into Redis. */
static inline int run_keep_piece(void *ctx, const struct tg_segment *segment)
{
	struct run *r = ctx;

	assert_true(r->stored_len < RUN_STORED_MAX);
	r->stored_us[r->stored_len] = segment->newest_us;
	assert_int_equal(
		tg_segment_pack(segment, 1, (uint32_t)r->stored_len, &r->stored[r->stored_len]), 0);
	r->stored_len++;
	return 0;
}

static inline int run_keep_sweep(void *ctx, const struct tg_segment *segment)
{
	((struct run *)ctx)->sweeps++;
	return run_keep_piece(ctx, segment);
}

static inline void run_drop_stored(struct run *r, int64_t before_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->stored_len; i++) {
		if (r->stored_us[i] < before_us) {
			tg_buf_release(&r->stored[i]);
			r->trimmed++;
			continue;
		}
		r->stored_us[kept] = r->stored_us[i];
		r->stored[kept++] = r->stored[i];
	}
	memset(r->stored + kept, 0, (r->stored_len - kept) * sizeof(r->stored[0]));
	r->stored_len = kept;
}

/* As the role ends a batch; Redis keeps segments by their newest time. */
static inline void run_batch_end(struct run *r)
{
	struct tg_segment *s = tg_engine_segment(r->engine);
	int64_t keep_us;

	assert_int_equal(tg_engine_end(r->engine, 0, &r->found), 0);
	if (!tg_segment_empty(s))
		assert_int_equal(run_keep_piece(r, s), 0);
	tg_segment_reset(s);
	assert_int_equal(tg_book_apply(&r->book, &r->found), 0);
	tg_findings_reset(&r->found);
	tg_engine_expire(r->engine);
	assert_int_equal(tg_engine_sweep(r->engine, run_keep_sweep, r), 0);
	keep_us = tg_engine_keep_from_us(r->engine);
	if (keep_us != INT64_MAX)
		run_drop_stored(r, keep_us);
}

/* A new owner with empty memory. */
static inline void run_restart(struct run *r)
{
	struct tg_engine_shared shared = run_shared(r);
	struct tg_watermark *old = tg_engine_watermark(r->engine);
	struct tg_engine *fresh;
	struct tg_buf marks = {0};

	assert_int_equal(tg_engine_new(&shared, &fresh), 0);
	assert_int_equal(tg_watermark_encode(old, &marks), 0);
	assert_int_equal(tg_watermark_decode(tg_engine_watermark(fresh),
				 (struct tg_slice){marks.data, marks.len}),
		0);
	tg_buf_release(&marks);
	/* in any order: newest first, then the rest */
	for (size_t i = r->stored_len; i-- > 0;)
		assert_int_equal(tg_engine_restore(fresh,
					 (struct tg_slice){r->stored[i].data, r->stored[i].len}),
			0);
	assert_int_equal(tg_engine_restored(fresh), 0);
	tg_engine_free(r->engine);
	r->engine = fresh;
}

#endif
