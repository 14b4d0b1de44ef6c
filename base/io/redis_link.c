/* hiredis on the loop. Unlike the adapter that comes with it, a poll error is passed on as
 * "readable" (and "writable" while connecting): hiredis then finds the error in the socket and
 * settles its callbacks, instead of never. */
#include "base/io/redis_impl.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KEEPALIVE_IDLE_S     10
#define KEEPALIVE_INTERVAL_S 3
#define KEEPALIVE_COUNT      3
#define USER_TIMEOUT_MS      10000

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct redis_link *link = tg_container_of(poll, struct redis_link, poll);

	if (status < 0)
		events = UV_READABLE | (link->connected ? 0 : UV_WRITABLE);
	if (events & UV_READABLE && link->ac)
		redisAsyncHandleRead(link->ac);
	/* Reading may have ended it: the hook `cleanup` then cleared ac. */
	if (events & UV_WRITABLE && link->ac)
		redisAsyncHandleWrite(link->ac);
}

static void want(struct redis_link *link, int events)
{
	if (link->want == events || uv_is_closing((uv_handle_t *)&link->poll))
		return;
	link->want = events;
	if (events)
		uv_poll_start(&link->poll, events, on_poll);
	else
		uv_poll_stop(&link->poll);
}

static void add_read(void *data)
{
	struct redis_link *link = data;

	want(link, link->want | UV_READABLE);
}

static void del_read(void *data)
{
	struct redis_link *link = data;

	want(link, link->want & ~UV_READABLE);
}

static void add_write(void *data)
{
	struct redis_link *link = data;

	want(link, link->want | UV_WRITABLE);
}

static void del_write(void *data)
{
	struct redis_link *link = data;

	want(link, link->want & ~UV_WRITABLE);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct redis_link *link = tg_container_of((uv_poll_t *)handle, struct redis_link, poll);

	redis_handle_closed(link->r);
	free(link);
}

/* The context is being freed, its pending calls are answered, its socket is not yet closed:
 * whatever was the reason, this comes exactly once. */
static void cleanup(void *data)
{
	struct redis_link *link = data;
	struct tg_redis *r = link->r;

	if (link->ac->errstr && link->ac->errstr[0])
		snprintf(r->why, sizeof(r->why), "%s", link->ac->errstr);
	link->ac = NULL;
	uv_close((uv_handle_t *)&link->poll, on_poll_closed);
	r->link = NULL;
	redis_lost(r);
}

static void on_connect(const redisAsyncContext *ac, int status)
{
	struct redis_link *link = ac->data;

	if (status != REDIS_OK)
		return; /* hiredis frees the context now: cleanup follows */
	link->connected = true;
	redis_connected(link->r);
}

static void tune(int fd)
{
	int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S,
	    count = KEEPALIVE_COUNT, timeout_ms = USER_TIMEOUT_MS;

	/* Fails on a Unix socket, which needs none of it. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

bool redis_link_open(struct tg_redis *r)
{
	/* The name is resolved here, blocking. */
	redisAsyncContext *ac = r->where.port ? redisAsyncConnect(r->where.host, r->where.port)
					      : redisAsyncConnectUnix(r->where.host);
	struct redis_link *link = ac && !ac->err ? calloc(1, sizeof(*link)) : NULL;

	if (!link || uv_poll_init(r->loop, &link->poll, ac->c.fd)) {
		snprintf(
			r->why, sizeof(r->why), "%s", ac && ac->err ? ac->errstr : "out of memory");
		free(link);
		if (ac)
			redisAsyncFree(ac);
		return false;
	}
	tune(ac->c.fd);
	link->r = r;
	link->ac = ac;
	r->link = link;
	r->handles++;
	ac->data = link;
	ac->ev.data = link;
	ac->ev.addRead = add_read;
	ac->ev.delRead = del_read;
	ac->ev.addWrite = add_write;
	ac->ev.delWrite = del_write;
	ac->ev.cleanup = cleanup;
	redisAsyncSetConnectCallback(ac, on_connect);
	return true;
}

void redis_link_drop(struct tg_redis *r)
{
	if (r->link && r->link->ac)
		redisAsyncFree(r->link->ac);
}
