/* For tests of base/io: run the loop until something is true. A test never sleeps: it waits for its
 * event and fails when that does not come within the limit. */
#ifndef TG_TESTS_IO_LOOP_H
#define TG_TESTS_IO_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define IO_LIMIT_MS 20000

static inline void io_on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static inline void io_on_closed(uv_handle_t *handle)
{
	free(handle);
}

/* True as soon as done(ctx) is. The tick only makes uv_run() return now and then. */
static inline bool io_until(uv_loop_t *loop, bool (*done)(void *ctx), void *ctx, uint64_t limit_ms)
{
	uint64_t end = uv_hrtime() + limit_ms * 1000000;
	uv_timer_t *tick = malloc(sizeof(*tick));
	bool ok;

	assert_non_null(tick);
	uv_timer_init(loop, tick);
	uv_timer_start(tick, io_on_tick, 5, 5);
	while (!(ok = done(ctx)) && uv_hrtime() < end)
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)tick, io_on_closed);
	uv_run(loop, UV_RUN_NOWAIT);
	return ok;
}

static inline bool io_is_set(void *flag)
{
	return *(volatile bool *)flag;
}

#define IO_WAIT(loop, flag) assert_true(io_until((loop), io_is_set, &(flag), IO_LIMIT_MS))

/* Skips the test where the runner has named no such server. */
#define IO_NEED(address)        \
	do {                    \
		if (!(address)) \
			skip(); \
	} while (0)

static inline void io_set(void *flag)
{
	*(bool *)flag = true;
}

/* Everything was closed: nothing keeps the loop. */
static inline void io_loop_end(uv_loop_t *loop)
{
	uv_timer_t *tick = malloc(sizeof(*tick));
	uint64_t end = uv_hrtime() + (uint64_t)IO_LIMIT_MS * 1000000;

	assert_non_null(tick);
	uv_timer_init(loop, tick);
	uv_timer_start(tick, io_on_tick, 5, 5);
	uv_unref((uv_handle_t *)tick);
	while (uv_loop_alive(loop) && uv_hrtime() < end)
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)tick, io_on_closed);
	uv_run(loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_loop_close(loop), 0);
}

#endif
