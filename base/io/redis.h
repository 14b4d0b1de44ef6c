/* Redis on the loop, by hiredis (RESP2) with an adapter and deadlines of our own. The only wrapper
 * of hiredis.
 *
 * Reconnects by itself (backoff 50 ms … 2 s). Every call has a deadline; when the oldest call
 * passes it the connection is dropped and every pending call is answered with -TG_ETIMEOUT or
 * -TG_ECLOSED, exactly once each. */
#ifndef TG_BASE_IO_REDIS_H
#define TG_BASE_IO_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"

struct tg_redis;

/* rc 0: reply is valid during the call (may be an array or nil). -TG_EREDIS: reply is an error
 * reply. */
typedef void (*tg_redis_cb)(void *ctx, int rc, const redisReply *reply);

/* url redis://[:password@]host:port[/db] or unix:///path. library: Redis function library source to
 * have loaded (FUNCTION LOAD REPLACE on connect and again after "Function not found"), or NULL. It
 * must stay valid. */
TG_MUST int tg_redis_open(uv_loop_t *loop, const char *url, const char *library,
	void (*on_up)(void *ctx), void *ctx, struct tg_redis **ret);
bool tg_redis_up(const struct tg_redis *r);
/* args are copied before it returns. -TG_ECLOSED when not connected (cb not called). */
TG_MUST int tg_redis_call(struct tg_redis *r, int deadline_ms, const struct tg_slice *args,
	size_t n, tg_redis_cb cb, void *ctx);
void tg_redis_close(struct tg_redis *r, void (*closed)(void *ctx), void *ctx);

#endif
