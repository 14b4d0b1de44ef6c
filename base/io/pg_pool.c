#include "base/io/pg_impl.h"

#include <assert.h>
#include <stdlib.h>

struct pool_slot {
	struct tg_pg_pool *pool;
	struct tg_pg *pg;
	bool taken; /* until given back and, if need be, rolled back */
};

struct pool_waiter {
	struct tg_list link;
	uint64_t until_ms; /* loop time */
	tg_pg_taken_cb cb;
	void *ctx;
};

struct tg_pg_pool {
	uv_loop_t *loop;
	struct tg_list waiters; /* first come, first served */
	size_t waiters_count;
	uv_timer_t timer;   /* the earliest until_ms */
	uv_idle_t kick;     /* callbacks run from the loop, never from inside take or give */
	bool closing, shut; /* asked to; and begun, on the loop's next turn */
	int open;           /* connections and handles not yet closed */
	void (*closed)(void *ctx);
	void *closed_ctx;
	int slots_count;
	struct pool_slot slots[];
};

static void pool_serve(struct tg_pg_pool *pool);
static void pool_shut(struct tg_pg_pool *pool);

static void pool_on_kick(uv_idle_t *kick)
{
	struct tg_pg_pool *pool = tg_container_of(kick, struct tg_pg_pool, kick);

	uv_idle_stop(kick);
	pool_serve(pool);
	if (pool->closing)
		pool_shut(pool);
}

static void pool_on_timer(uv_timer_t *timer)
{
	pool_serve(tg_container_of(timer, struct tg_pg_pool, timer));
}

static void pool_kick(struct tg_pg_pool *pool)
{
	if (!uv_is_closing((uv_handle_t *)&pool->kick))
		uv_idle_start(&pool->kick, pool_on_kick);
}

static void pool_on_up(void *ctx, struct tg_pg *pg)
{
	struct pool_slot *slot = ctx;

	(void)pg;
	pool_kick(slot->pool);
}

int tg_pg_pool_open(
	uv_loop_t *loop, const char *url, const char *app, int connections, struct tg_pg_pool **ret)
{
	static const struct tg_pg_ops ops = {.on_up = pool_on_up};
	struct tg_pg_pool *pool;
	int rc = 0;

	assert(connections > 0);
	pool = calloc(1, sizeof(*pool) + (size_t)connections * sizeof(pool->slots[0]));
	if (!pool)
		return -TG_ENOMEM;
	pool->loop = loop;
	tg_list_init(&pool->waiters);
	uv_timer_init(loop, &pool->timer);
	uv_idle_init(loop, &pool->kick);
	pool->open = 2;
	for (int i = 0; i < connections && !rc; i++) {
		struct pool_slot *slot = &pool->slots[i];

		slot->pool = pool;
		rc = tg_pg_open(loop, url, app, &ops, slot, &slot->pg);
		pool->slots_count += !rc;
	}
	pool->open += pool->slots_count;
	if (rc) {
		tg_pg_pool_close(pool, NULL, NULL);
		return rc;
	}
	*ret = pool;
	return 0;
}

static struct pool_slot *free_slot(struct tg_pg_pool *pool)
{
	for (int i = 0; i < pool->slots_count; i++)
		if (!pool->slots[i].taken && tg_pg_up(pool->slots[i].pg))
			return &pool->slots[i];
	return NULL;
}

static void waiter_answer(struct tg_pg_pool *pool, struct pool_waiter *w, int rc, struct tg_pg *pg)
{
	tg_list_remove(&w->link);
	pool->waiters_count--;
	w->cb(w->ctx, rc, pg);
	free(w);
}

/* Hands out what is free, turns away who waited long enough, sleeps until the next who will have.
 */
static void pool_serve(struct tg_pg_pool *pool)
{
	uint64_t now_ms = uv_now(pool->loop), next_ms = UINT64_MAX;
	size_t present = pool->waiters_count; /* those who come meanwhile get a turn of their own */
	struct tg_list *it = pool->waiters.next;

	for (size_t i = 0; i < present; i++) {
		struct pool_waiter *w = tg_container_of(it, struct pool_waiter, link);
		struct pool_slot *slot = pool->closing ? NULL : free_slot(pool);

		it = it->next;
		if (pool->closing) {
			waiter_answer(pool, w, -TG_ECLOSED, NULL);
		} else if (slot) {
			slot->taken = true;
			slot->pg->leased = true;
			waiter_answer(pool, w, 0, slot->pg);
		} else if (w->until_ms <= now_ms) {
			waiter_answer(pool, w, -TG_ETIMEOUT, NULL);
		} else if (w->until_ms < next_ms) {
			next_ms = w->until_ms;
		}
	}
	if (pool->waiters_count > 0 && free_slot(pool))
		pool_kick(pool);
	if (next_ms != UINT64_MAX && !uv_is_closing((uv_handle_t *)&pool->timer))
		uv_timer_start(&pool->timer, pool_on_timer, next_ms - now_ms, 0);
}

int tg_pg_pool_take(struct tg_pg_pool *pool, int wait_ms, tg_pg_taken_cb cb, void *ctx)
{
	struct pool_waiter *w;

	assert(wait_ms >= 0);
	if (pool->closing)
		return -TG_ECLOSED;
	if (pool->waiters_count >= TG_PG_WAITERS_MAX)
		return -TG_EFULL;
	w = malloc(sizeof(*w));
	if (!w)
		return -TG_ENOMEM;
	*w = (struct pool_waiter){
		.until_ms = uv_now(pool->loop) + (uint64_t)wait_ms, .cb = cb, .ctx = ctx};
	tg_list_push(&pool->waiters, &w->link);
	pool->waiters_count++;
	pool_kick(pool);
	return 0;
}

static void pool_on_closed(void *ctx)
{
	struct tg_pg_pool *pool = ctx;

	assert(pool->open > 0);
	if (--pool->open > 0)
		return;
	if (pool->closed)
		pool->closed(pool->closed_ctx);
	free(pool);
}

static void slot_return(struct pool_slot *slot)
{
	slot->taken = false;
	slot->pg->leased = false;
	slot->pg->lease_broken = false;
	if (slot->pool->shut)
		tg_pg_close(slot->pg, pool_on_closed, slot->pool);
	else
		pool_kick(slot->pool);
}

static void pool_on_rolled_back(void *ctx, int rc, const PGresult *res)
{
	struct pool_slot *slot = ctx;

	(void)res;
	if (rc && rc != -TG_ECLOSED)
		tg_pg_reset(slot->pg); /* whatever is wrong with it ends with the session */
	slot_return(slot);
}

void tg_pg_pool_give(struct tg_pg_pool *pool, struct tg_pg *pg)
{
	struct pool_slot *slot = pg->ctx;

	assert(slot->pool == pool);
	assert(slot->taken);
	if (pg->lease_broken && pg->pending == 0) {
		slot_return(slot);
	} else if (pg_clean(pg)) {
		slot_return(slot);
	} else if (tg_pg_exec(pg, "ROLLBACK", pool_on_rolled_back, slot)) {
		/* No memory for one more request: end the session instead. */
		tg_pg_reset(pg);
		slot_return(slot);
	}
}

bool tg_pg_pool_up(const struct tg_pg_pool *pool)
{
	for (int i = 0; i < pool->slots_count; i++)
		if (tg_pg_up(pool->slots[i].pg))
			return true;
	return false;
}

static void pool_on_handle_closed(uv_handle_t *handle)
{
	pool_on_closed(handle->data);
}

/* A connection that is out is broken under its holder, who gets -TG_ECLOSED for all it asks, and
 * closed when it comes back: its address stays valid until then. */
static void pool_shut(struct tg_pg_pool *pool)
{
	assert(!pool->shut);
	pool->shut = true;
	for (int i = 0; i < pool->slots_count; i++) {
		struct pool_slot *slot = &pool->slots[i];

		if (!slot->taken) {
			tg_pg_close(slot->pg, pool_on_closed, pool);
			continue;
		}
		slot->pg->lease_broken = true;
		tg_pg_reset(slot->pg);
		pg_kick(slot->pg);
	}
	pool->timer.data = pool;
	pool->kick.data = pool;
	uv_close((uv_handle_t *)&pool->timer, pool_on_handle_closed);
	uv_close((uv_handle_t *)&pool->kick, pool_on_handle_closed);
}

void tg_pg_pool_close(struct tg_pg_pool *pool, void (*closed)(void *ctx), void *ctx)
{
	assert(!pool->closing);
	pool->closing = true;
	pool->closed = closed;
	pool->closed_ctx = ctx;
	pool_kick(pool);
}
