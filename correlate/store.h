/* Where windows outlive their owner: Redis. The only file that names keys and functions.
 *
 * Every call may be repeated: a lost answer is not a lost effect. Callbacks come exactly once for
 * each call that returned 0. */
#ifndef TG_CORRELATE_STORE_H
#define TG_CORRELATE_STORE_H

#include <uv.h>

#include "base/buf.h"

struct tg_store;

TG_MUST int tg_store_open(uv_loop_t *loop, const char *url, struct tg_store **ret);
bool tg_store_up(const struct tg_store *store);
void tg_store_close(struct tg_store *store, void (*closed)(void *ctx), void *ctx);

/* Takes the partition: older owners are fenced from now on. offset −1: nothing is stored. epoch is
 * text to hand back. */
#define TG_EPOCH_MAX 24
typedef void (*tg_claim_cb)(
	void *ctx, int rc, int64_t offset, const char *epoch, struct tg_slice watermarks);
TG_MUST int tg_store_claim(struct tg_store *store, int32_t partition, tg_claim_cb cb, void *ctx);

/* One page of segments by rank [from, from + n). each for every segment, then done with how many
 * there were. */
typedef int (*tg_segment_bytes_cb)(void *ctx, struct tg_slice bytes);
typedef void (*tg_page_cb)(void *ctx, int rc, size_t n);
TG_MUST int tg_store_page(struct tg_store *store, int32_t partition, const char *epoch, size_t from,
	size_t n, tg_segment_bytes_cb each, tg_page_cb done, void *ctx);

enum tg_verdict { TG_STORE_OK, TG_STORE_FENCED, TG_STORE_MISSING, TG_STORE_FAILED };
typedef void (*tg_verdict_cb)(void *ctx, enum tg_verdict verdict);

struct tg_commit {
	int32_t partition;
	const char *epoch;
	int64_t expected, next;
	struct tg_slice watermarks;
	int64_t trim_us;             /* INT64_MIN: nothing */
	struct tg_slice segment;     /* empty: none */
	int64_t segment_us;          /* its newest event */
	const struct tg_buf *pieces; /* further segments, each with its newest event */
	const int64_t *piece_us;
	size_t pieces_len;
};
TG_MUST int tg_store_commit(
	struct tg_store *store, const struct tg_commit *c, tg_verdict_cb cb, void *ctx);

/* One piece of all windows; the partition counts as missing until the last one. */
struct tg_rewrite {
	int32_t partition;
	const char *epoch;
	bool first, last;
	int64_t offset;
	struct tg_slice watermarks;
	struct tg_slice segment; /* empty: none */
	int64_t segment_us;
};
TG_MUST int tg_store_rewrite(
	struct tg_store *store, const struct tg_rewrite *w, tg_verdict_cb cb, void *ctx);

#endif
