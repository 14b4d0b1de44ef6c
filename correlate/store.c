#include "correlate/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/redis.h"
#include "window_lua.h"

#define CALL_MS     5000
#define PAGE_MS     20000
#define ARGS_MAX    16
#define NUMBER_MAX  24
#define NUMBERS_MAX 4

struct tg_store {
	struct tg_redis *redis;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* A call on its way. */
struct call {
	size_t n;
	char meta[32], seg[32];
	size_t numbers_len;
	tg_claim_cb claim;
	tg_segment_bytes_cb each;
	tg_page_cb page;
	tg_verdict_cb verdict;
	void *ctx;
	char (*numbers)[NUMBER_MAX]; /* behind args, in the same memory */
	struct tg_slice args[];
};

int tg_store_open(uv_loop_t *loop, const char *url, struct tg_store **ret)
{
	struct tg_store *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -TG_ENOMEM;
	rc = tg_redis_open(loop, url, tg_lua_window, NULL, NULL, &s->redis);
	if (rc) {
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

bool tg_store_up(const struct tg_store *store)
{
	return tg_redis_up(store->redis);
}

static void on_closed(void *ctx)
{
	struct tg_store *s = ctx;

	s->closed(s->closed_ctx);
	free(s);
}

void tg_store_close(struct tg_store *store, void (*closed)(void *ctx), void *ctx)
{
	store->closed = closed;
	store->closed_ctx = ctx;
	tg_redis_close(store->redis, on_closed, store);
}

static void arg(struct call *c, struct tg_slice s)
{
	c->args[c->n++] = s;
}

static void arg_number(struct call *c, int64_t v)
{
	char *to = c->numbers[c->numbers_len++];

	snprintf(to, NUMBER_MAX, "%" PRId64, v);
	arg(c, tg_slice_cstr(to));
}

/* FCALL name 2 meta seg; room for so many segments */
static struct call *call_new(const char *function, int32_t partition, size_t segments, void *ctx)
{
	size_t args = ARGS_MAX + 2 * segments, numbers = NUMBERS_MAX + segments;
	struct call *c = calloc(1, sizeof(*c) + args * sizeof(c->args[0]) + numbers * NUMBER_MAX);

	if (!c)
		return NULL;
	c->numbers = (char(*)[NUMBER_MAX])(void *)(c->args + args);
	c->ctx = ctx;
	snprintf(c->meta, sizeof(c->meta), "tg:{p%" PRId32 "}:meta", partition);
	snprintf(c->seg, sizeof(c->seg), "tg:{p%" PRId32 "}:seg", partition);
	arg(c, TG_SLICE("FCALL"));
	arg(c, tg_slice_cstr(function));
	arg(c, TG_SLICE("2"));
	arg(c, tg_slice_cstr(c->meta));
	arg(c, tg_slice_cstr(c->seg));
	return c;
}

static int call_send(struct tg_store *s, struct call *c, int deadline_ms, tg_redis_cb cb)
{
	int rc = tg_redis_call(s->redis, deadline_ms, c->args, c->n, cb, c);

	if (rc)
		free(c);
	return rc;
}

static struct tg_slice text_of(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS)
		return TG_SLICE("");
	return (struct tg_slice){reply->str, (size_t)reply->len};
}

static void on_claimed(void *ctx, int rc, const redisReply *reply)
{
	struct call *c = ctx;
	char epoch[TG_EPOCH_MAX] = "", offset[NUMBER_MAX] = "";
	struct tg_slice watermarks = TG_SLICE("");

	if (!rc && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3))
		rc = -TG_EREDIS;
	if (!rc) {
		snprintf(offset, sizeof(offset), "%.*s", (int)text_of(reply->element[0]).len,
			text_of(reply->element[0]).data);
		snprintf(epoch, sizeof(epoch), "%.*s", (int)text_of(reply->element[1]).len,
			text_of(reply->element[1]).data);
		watermarks = text_of(reply->element[2]);
	}
	c->claim(c->ctx, rc, offset[0] ? strtoll(offset, NULL, 10) : -1, epoch, watermarks);
	free(c);
}

int tg_store_claim(struct tg_store *store, int32_t partition, tg_claim_cb cb, void *ctx)
{
	struct call *c = call_new("tg_claim", partition, 0, ctx);

	if (!c)
		return -TG_ENOMEM;
	c->claim = cb;
	return call_send(store, c, CALL_MS, on_claimed);
}

static void on_page(void *ctx, int rc, const redisReply *reply)
{
	struct call *c = ctx;
	size_t n = 0;

	if (rc == -TG_EREDIS && reply && strncmp(reply->str, "FENCED", 6) == 0)
		rc = -TG_EFENCED;
	if (!rc && reply->type != REDIS_REPLY_ARRAY)
		rc = -TG_EREDIS;
	for (size_t i = 0; !rc && i < reply->elements; i++, n++)
		rc = c->each(c->ctx, text_of(reply->element[i]));
	c->page(c->ctx, rc, n);
	free(c);
}

int tg_store_page(struct tg_store *store, int32_t partition, const char *epoch, size_t from,
	size_t n, tg_segment_bytes_cb each, tg_page_cb done, void *ctx)
{
	struct call *c = call_new("tg_restore", partition, 0, ctx);

	if (!c)
		return -TG_ENOMEM;
	c->each = each;
	c->page = done;
	arg(c, tg_slice_cstr(epoch));
	arg_number(c, (int64_t)from);
	arg_number(c, (int64_t)(from + n - 1));
	return call_send(store, c, PAGE_MS, on_page);
}

static void on_verdict(void *ctx, int rc, const redisReply *reply)
{
	struct call *c = ctx;
	struct tg_slice text = rc ? TG_SLICE("") : text_of(reply);
	enum tg_verdict v = TG_STORE_FAILED;

	if (tg_slice_is(text, "OK"))
		v = TG_STORE_OK;
	else if (tg_slice_is(text, "FENCED"))
		v = TG_STORE_FENCED;
	else if (tg_slice_is(text, "MISSING"))
		v = TG_STORE_MISSING;
	c->verdict(c->ctx, v);
	free(c);
}

static void arg_segment(struct call *c, struct tg_slice segment, int64_t newest_us)
{
	if (segment.len == 0)
		return;
	arg_number(c, newest_us / 1000);
	arg(c, segment);
}

#ifdef TG_BREAK_NO_FENCE
static void on_forced(void *ctx, int rc, const redisReply *reply)
{
	(void)ctx;
	(void)rc;
	(void)reply;
}

/* A deliberately broken build, for the proof that its test would notice: every owner is right. */
static void break_fence(struct tg_store *store, const struct tg_commit *m)
{
	char meta[32], offset[NUMBER_MAX];

	snprintf(meta, sizeof(meta), "tg:{p%" PRId32 "}:meta", m->partition);
	snprintf(offset, sizeof(offset), "%" PRId64, m->expected);
	const struct tg_slice args[] = {TG_SLICE("HSET"), tg_slice_cstr(meta), TG_SLICE("epoch"),
		tg_slice_cstr(m->epoch), TG_SLICE("offset"), tg_slice_cstr(offset)};

	(void)!tg_redis_call(store->redis, CALL_MS, args, 6, on_forced, NULL);
}
#endif

int tg_store_commit(struct tg_store *store, const struct tg_commit *m, tg_verdict_cb cb, void *ctx)
{
	struct call *c = call_new("tg_commit", m->partition, 1 + m->pieces_len, ctx);

	if (!c)
		return -TG_ENOMEM;
#ifdef TG_BREAK_NO_FENCE
	break_fence(store, m);
#endif
	c->verdict = cb;
	arg_number(c, m->expected);
	arg(c, tg_slice_cstr(m->epoch));
	arg_number(c, m->next);
	arg(c, m->watermarks);
	/* Times before 1970 round towards zero: a little more is kept then, never less. */
	if (m->trim_us > INT64_MIN)
		arg_number(c, m->trim_us / 1000 - 1);
	else
		arg(c, TG_SLICE(""));
	arg_segment(c, m->segment, m->segment_us);
	for (size_t i = 0; i < m->pieces_len; i++)
		arg_segment(
			c, (struct tg_slice){m->pieces[i].data, m->pieces[i].len}, m->piece_us[i]);
	return call_send(store, c, CALL_MS, on_verdict);
}

int tg_store_rewrite(
	struct tg_store *store, const struct tg_rewrite *w, tg_verdict_cb cb, void *ctx)
{
	struct call *c = call_new("tg_rewrite", w->partition, 1, ctx);

	if (!c)
		return -TG_ENOMEM;
	c->verdict = cb;
	arg(c, tg_slice_cstr(w->epoch));
	arg(c, w->first ? TG_SLICE("1") : TG_SLICE("0"));
	arg(c, w->last ? TG_SLICE("1") : TG_SLICE("0"));
	arg_number(c, w->offset);
	arg(c, w->watermarks);
	arg_segment(c, w->segment, w->segment_us);
	return call_send(store, c, CALL_MS, on_verdict);
}
