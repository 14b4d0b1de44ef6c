#include "base/io/redis_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void life_on_timer(uv_timer_t *timer);

static void deadline_on_timer(uv_timer_t *timer);

static struct redis_call *oldest(struct tg_redis *r)
{
	return tg_list_empty(&r->calls) ? NULL
					: tg_container_of(r->calls.next, struct redis_call, link);
}

/* Moves the timer only when it would fire too late: one that fires early looks again. */
static void arm_deadline(struct tg_redis *r)
{
	struct redis_call *call = oldest(r);
	uint64_t now_ms = uv_now(r->loop), left_ms;

	if (!call) {
		uv_timer_stop(&r->deadline);
		return;
	}
	left_ms = call->until_ms > now_ms ? call->until_ms - now_ms : 0;
	if (!uv_is_active((uv_handle_t *)&r->deadline) ||
		uv_timer_get_due_in(&r->deadline) > left_ms)
		uv_timer_start(&r->deadline, deadline_on_timer, left_ms, 0);
}

static void deadline_on_timer(uv_timer_t *timer)
{
	struct tg_redis *r = tg_container_of(timer, struct tg_redis, deadline);
	struct redis_call *call = oldest(r);

	if (!call)
		return;
	if (call->until_ms > uv_now(r->loop)) {
		arm_deadline(r);
		return;
	}
	snprintf(r->why, sizeof(r->why), "no answer in time");
	r->expired = call;
	r->up = false;
	redis_link_drop(r);
	r->expired = NULL;
}

static void reload(struct tg_redis *r);

static int call_code(
	const struct tg_redis *r, const struct redis_call *call, const redisReply *reply)
{
	if (!reply)
		return call == r->expired ? -TG_ETIMEOUT : -TG_ECLOSED;
	return reply->type == REDIS_REPLY_ERROR ? -TG_EREDIS : 0;
}

static void on_reply(redisAsyncContext *ac, void *data, void *privdata)
{
	struct redis_call *call = privdata;
	struct tg_redis *r = ((struct redis_link *)ac->data)->r;
	const redisReply *reply = data;
	int rc = call_code(r, call, reply);

	tg_list_remove(&call->link);
	r->calls_count--;
	arm_deadline(r);
	/* Queued before the caller hears of it, so that its next try finds the function. */
	if (rc == -TG_EREDIS && strstr(reply->str, "Function not found"))
		reload(r);
	if (call->cb)
		call->cb(call->ctx, rc, reply);
	free(call);
}

static int send_call(struct tg_redis *r, int deadline_ms, const struct tg_slice *args, size_t n,
	tg_redis_cb cb, void *ctx)
{
	struct redis_call *call;
	const char **texts;
	size_t *lens;
	int rc;

	if (n == 0 || n > REDIS_ARGS_MAX)
		return -TG_EINVAL;
	if (r->calls_count >= REDIS_PENDING_MAX)
		return -TG_EFULL;
	call = calloc(1, sizeof(*call));
	texts = malloc(n * (sizeof(*texts) + sizeof(*lens)));
	if (!call || !texts) {
		free(call);
		free(texts);
		return -TG_ENOMEM;
	}
	lens = (size_t *)(texts + n);
	for (size_t i = 0; i < n; i++) {
		texts[i] = args[i].len ? args[i].data : "";
		lens[i] = args[i].len;
	}
	*call = (struct redis_call){
		.cb = cb, .ctx = ctx, .until_ms = uv_now(r->loop) + (uint64_t)deadline_ms};
	rc = redisAsyncCommandArgv(r->link->ac, on_reply, call, (int)n, texts, lens);
	free(texts);
	if (rc != REDIS_OK) {
		free(call);
		return -TG_ECLOSED;
	}
	tg_list_push(&r->calls, &call->link);
	r->calls_count++;
	arm_deadline(r);
	return 0;
}

/* A step of setting up failed: the connection is of no use. */
static void set_up_failed(struct tg_redis *r, const char *step, const redisReply *reply)
{
	if (!r->said_down)
		tg_log(TG_ERROR, "redis refuses us", TG_F("step", TG_S(step)),
			TG_F("why", TG_S(reply ? reply->str : "connection lost")));
	r->said_down = true;
	r->up = false;
	redis_link_drop(r);
}

static void on_login(void *ctx, int rc, const redisReply *reply)
{
	if (rc == -TG_EREDIS)
		set_up_failed(ctx, "login", reply);
}

static void on_loaded(void *ctx, int rc, const redisReply *reply)
{
	struct tg_redis *r = ctx;

	r->loading = false;
	if (rc == -TG_EREDIS)
		set_up_failed(r, "function library", reply);
}

static int load(struct tg_redis *r)
{
	const struct tg_slice args[] = {TG_SLICE("FUNCTION"), TG_SLICE("LOAD"), TG_SLICE("REPLACE"),
		tg_slice_cstr(r->library)};

	return send_call(r, REDIS_CONNECT_MS, args, 4, on_loaded, r);
}

static void reload(struct tg_redis *r)
{
	if (!r->library || !r->up || r->loading)
		return;
	tg_log(TG_WARN, "redis lost its functions: loading them again");
	r->loading = load(r) == 0;
}

static void on_set_up(void *ctx, int rc, const redisReply *reply)
{
	struct tg_redis *r = ctx;

	/* -LOADING while it reads its files, for one. */
	if (rc == -TG_EREDIS)
		set_up_failed(r, "ping", reply);
	if (rc || r->closing || !r->link)
		return;
	uv_timer_stop(&r->life);
	r->up = true;
	r->backoff_ms = REDIS_BACKOFF_MIN_MS;
	if (r->said_down)
		tg_log(TG_INFO, "redis connection is back");
	r->said_down = false;
	if (r->on_up)
		r->on_up(r->ctx);
}

/* All at once: the answers come in order, the PING's last. */
void redis_connected(struct tg_redis *r)
{
	const struct redis_where *w = &r->where;
	const struct tg_slice auth[] = {
		TG_SLICE("AUTH"), tg_slice_cstr(w->user), tg_slice_cstr(w->password)};
	const struct tg_slice plain_auth[] = {TG_SLICE("AUTH"), tg_slice_cstr(w->password)};
	const struct tg_slice ping[] = {TG_SLICE("PING")};
	char db[16];
	int rc = 0;

	if (w->password[0])
		rc = w->user[0] ? send_call(r, REDIS_CONNECT_MS, auth, 3, on_login, r)
				: send_call(r, REDIS_CONNECT_MS, plain_auth, 2, on_login, r);
	if (!rc && w->db) {
		snprintf(db, sizeof(db), "%d", w->db);
		rc = send_call(r, REDIS_CONNECT_MS,
			(struct tg_slice[]){TG_SLICE("SELECT"), tg_slice_cstr(db)}, 2, on_login, r);
	}
	if (!rc && r->library) {
		rc = load(r);
		r->loading = !rc;
	}
	if (!rc)
		rc = send_call(r, REDIS_CONNECT_MS, ping, 1, on_set_up, r);
	/* On failure the limit of this try drops it: not from here, inside hiredis' connect
	 * callback. */
	(void)rc;
}

static void free_if_done(struct tg_redis *r)
{
	if (r->handles > 0)
		return;
	if (r->closed)
		r->closed(r->closed_ctx);
	free(r);
}

void redis_handle_closed(struct tg_redis *r)
{
	r->handles--;
	free_if_done(r);
}

void redis_lost(struct tg_redis *r)
{
	r->up = r->loading = false;
	uv_timer_stop(&r->deadline);
	if (r->closing)
		return;
	if (!r->said_down)
		tg_log(TG_WARN, "redis connection lost", TG_F("why", TG_S(r->why)));
	r->said_down = true;
	/* Never from here: hiredis is still at work on the old one. */
	uv_timer_start(&r->life, life_on_timer, r->backoff_ms, 0);
	r->backoff_ms =
		r->backoff_ms * 2 < REDIS_BACKOFF_MAX_MS ? r->backoff_ms * 2 : REDIS_BACKOFF_MAX_MS;
}

static void timer_on_closed(uv_handle_t *handle)
{
	redis_handle_closed(handle->data);
}

static void life_on_timer(uv_timer_t *timer)
{
	struct tg_redis *r = tg_container_of(timer, struct tg_redis, life);

	if (r->closing) {
		r->up = false;
		redis_link_drop(r);
		r->life.data = r->deadline.data = r->ping.data = r;
		uv_close((uv_handle_t *)&r->life, timer_on_closed);
		uv_close((uv_handle_t *)&r->deadline, timer_on_closed);
		uv_close((uv_handle_t *)&r->ping, timer_on_closed);
		return;
	}
	if (r->link) { /* this try took too long */
		snprintf(r->why, sizeof(r->why), "no answer while connecting");
		redis_link_drop(r);
		return;
	}
	if (redis_link_open(r))
		uv_timer_start(timer, life_on_timer, REDIS_CONNECT_MS, 0);
	else
		redis_lost(r);
}

static void ping_on_timer(uv_timer_t *timer)
{
	struct tg_redis *r = tg_container_of(timer, struct tg_redis, ping);
	const struct tg_slice ping[] = {TG_SLICE("PING")};

	/* Only the deadline matters: a half-open connection shows in no other way. */
	if (r->up && send_call(r, REDIS_PING_DEADLINE_MS, ping, 1, NULL, NULL))
		tg_log(TG_DEBUG, "redis ping not sent");
}

int tg_redis_open(uv_loop_t *loop, const char *url, const char *library, void (*on_up)(void *ctx),
	void *ctx, struct tg_redis **ret)
{
	struct tg_redis *r = calloc(1, sizeof(*r));

	if (!r)
		return -TG_ENOMEM;
	if (redis_where_parse(url, &r->where)) {
		free(r);
		return -TG_EINVAL;
	}
	r->loop = loop;
	r->library = library;
	r->on_up = on_up;
	r->ctx = ctx;
	r->backoff_ms = REDIS_BACKOFF_MIN_MS;
	tg_list_init(&r->calls);
	uv_timer_init(loop, &r->life);
	uv_timer_init(loop, &r->deadline);
	uv_timer_init(loop, &r->ping);
	r->handles = 3;
	uv_timer_start(&r->life, life_on_timer, 0, 0);
	uv_timer_start(&r->ping, ping_on_timer, REDIS_PING_EVERY_MS, REDIS_PING_EVERY_MS);
	*ret = r;
	return 0;
}

bool tg_redis_up(const struct tg_redis *r)
{
	return r->up;
}

int tg_redis_call(struct tg_redis *r, int deadline_ms, const struct tg_slice *args, size_t n,
	tg_redis_cb cb, void *ctx)
{
	assert(deadline_ms > 0);
	if (!r->up || r->closing)
		return -TG_ECLOSED;
	return send_call(r, deadline_ms, args, n, cb, ctx);
}

void tg_redis_close(struct tg_redis *r, void (*closed)(void *ctx), void *ctx)
{
	assert(!r->closing);
	r->closing = true;
	r->closed = closed;
	r->closed_ctx = ctx;
	uv_timer_start(&r->life, life_on_timer, 0, 0);
}
