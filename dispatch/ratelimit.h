/* Token buckets by key (an access token's hash, an address), with a bounded number of keys. */
#ifndef TG_DISPATCH_RATELIMIT_H
#define TG_DISPATCH_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct tg_bucket {
	double level;  /* what may be taken now */
	int64_t at_us; /* monotonic instant of level; 0: a full bucket */
};

/* Takes one if there is one. Else false, and the µs until there will be. Pure but for the bucket.
 */
bool tg_bucket_take(
	struct tg_bucket *b, double per_s, double burst, int64_t mono_us, int64_t *ret_wait_us);
/* Is there one to take? Takes nothing. */
bool tg_bucket_has(const struct tg_bucket *b, double per_s, double burst, int64_t mono_us,
	int64_t *ret_wait_us);

struct tg_ratelimit;
/* per_s 0: no limit. keys_max: beyond it full buckets are forgotten; if none is full a new key is
 * refused for a second rather than let through, so that inventing keys buys nothing. */
TG_MUST int tg_ratelimit_new(
	double per_s, double burst, size_t keys_max, struct tg_ratelimit **ret);
void tg_ratelimit_free(struct tg_ratelimit *rl);
bool tg_ratelimit_take(
	struct tg_ratelimit *rl, struct tg_slice key, int64_t mono_us, int64_t *ret_wait_us);
bool tg_ratelimit_has(
	struct tg_ratelimit *rl, struct tg_slice key, int64_t mono_us, int64_t *ret_wait_us);

#endif
