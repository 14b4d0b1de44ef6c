/* What the redis*.c files share. Not for anybody else. */
#ifndef TG_BASE_IO_REDIS_IMPL_H
#define TG_BASE_IO_REDIS_IMPL_H

#include <hiredis/async.h>

#include "base/io/redis.h"
#include "base/list.h"

#define REDIS_CONNECT_MS       5000 /* until it is up: connecting, AUTH, SELECT, FUNCTION LOAD */
#define REDIS_PING_EVERY_MS    5000
#define REDIS_PING_DEADLINE_MS 3000
#define REDIS_BACKOFF_MIN_MS   50
#define REDIS_BACKOFF_MAX_MS   2000
#define REDIS_PENDING_MAX      65536
#define REDIS_ARGS_MAX         4096

/* Where a Redis lives: redis://[user][:password]@host:port[/db] or unix:///path. */
struct redis_where {
	char host[256]; /* or the socket's path */
	char user[128], password[256];
	int port; /* 0: a Unix socket */
	int db;
};

TG_MUST int redis_where_parse(const char *url, struct redis_where *ret);

/* The loop's side of one hiredis context. It outlives the context until its poll handle is closed.
 */
struct redis_link {
	uv_poll_t poll;
	struct tg_redis *r;
	redisAsyncContext *ac; /* NULL once hiredis has freed it */
	int want;
	bool connected;
};

struct redis_call {
	struct tg_list link;
	tg_redis_cb cb;
	void *ctx;
	uint64_t until_ms;
};

struct tg_redis {
	uv_loop_t *loop;
	struct redis_where where;
	const char *library;
	void (*on_up)(void *ctx);
	void *ctx;
	struct redis_link *link;
	bool up, closing, loading, said_down;
	uint64_t backoff_ms;
	uv_timer_t life;     /* the next try, or the limit of the present one, or closing */
	uv_timer_t deadline; /* the oldest call's */
	uv_timer_t ping;
	int handles;
	struct tg_list calls; /* in the order they were sent, which is the order of the answers */
	size_t calls_count;
	struct redis_call *expired;
	char why[128];
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* redis_link.c: starts to connect; false when that failed at once. */
bool redis_link_open(struct tg_redis *r);
/* Frees the context: every pending call is answered, then redis_lost() is called. Never from
 * hiredis' connect callback. */
void redis_link_drop(struct tg_redis *r);

/* redis.c */
void redis_connected(struct tg_redis *r);
void redis_lost(struct tg_redis *r);
void redis_handle_closed(struct tg_redis *r);

#endif
