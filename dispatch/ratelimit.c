#include "dispatch/ratelimit.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"

struct tg_ratelimit {
	double per_s, burst;
	size_t keys_max;
	struct tg_map *buckets; /* key → struct tg_bucket */
};

static double level_at(const struct tg_bucket *b, double per_s, double burst, int64_t mono_us)
{
	if (b->at_us == 0)
		return burst;
	return fmin(burst, b->level + per_s * (double)(mono_us - b->at_us) / (double)TG_US_PER_S);
}

bool tg_bucket_has(const struct tg_bucket *b, double per_s, double burst, int64_t mono_us,
	int64_t *ret_wait_us)
{
	double level = level_at(b, per_s, burst, mono_us);

	if (level >= 1)
		return true;
	*ret_wait_us = (int64_t)ceil((1 - level) / per_s * (double)TG_US_PER_S);
	return false;
}

bool tg_bucket_take(
	struct tg_bucket *b, double per_s, double burst, int64_t mono_us, int64_t *ret_wait_us)
{
	if (!tg_bucket_has(b, per_s, burst, mono_us, ret_wait_us))
		return false;
	b->level = level_at(b, per_s, burst, mono_us) - 1;
	b->at_us = mono_us;
	return true;
}

int tg_ratelimit_new(double per_s, double burst, size_t keys_max, struct tg_ratelimit **ret)
{
	struct tg_ratelimit *rl = calloc(1, sizeof(*rl));
	int rc;

	if (!rl)
		return -TG_ENOMEM;
	rl->per_s = per_s;
	rl->burst = burst;
	rl->keys_max = keys_max;
	rc = tg_map_new(keys_max, &rl->buckets);
	if (rc) {
		free(rl);
		return rc;
	}
	*ret = rl;
	return 0;
}

void tg_ratelimit_free(struct tg_ratelimit *rl)
{
	struct tg_slice key;
	struct tg_bucket *b;
	size_t pos = 0;

	if (!rl)
		return;
	while ((b = tg_map_next(rl->buckets, &pos, &key)))
		free(b);
	tg_map_free(rl->buckets);
	free(rl);
}

/* A full bucket says nothing that a missing one does not. */
static void forget_full(struct tg_ratelimit *rl, int64_t mono_us)
{
	struct tg_slice key;
	struct tg_bucket *b;
	size_t pos = 0;

	while ((b = tg_map_next(rl->buckets, &pos, &key)))
		if (level_at(b, rl->per_s, rl->burst, mono_us) >= rl->burst)
			free(tg_map_remove(rl->buckets, key));
}

static struct tg_bucket *bucket_of(struct tg_ratelimit *rl, struct tg_slice key, int64_t mono_us)
{
	struct tg_bucket *b = tg_map_get(rl->buckets, key);

	if (b)
		return b;
	if (tg_map_count(rl->buckets) >= rl->keys_max)
		forget_full(rl, mono_us);
	b = calloc(1, sizeof(*b));
	if (b && tg_map_put(rl->buckets, key, b)) {
		free(b);
		b = NULL;
	}
	return b;
}

bool tg_ratelimit_take(
	struct tg_ratelimit *rl, struct tg_slice key, int64_t mono_us, int64_t *ret_wait_us)
{
	struct tg_bucket *b;

	if (rl->per_s <= 0)
		return true;
	b = bucket_of(rl, key, mono_us);
	if (b)
		return tg_bucket_take(b, rl->per_s, rl->burst, mono_us, ret_wait_us);
	*ret_wait_us = TG_US_PER_S;
	return false;
}

bool tg_ratelimit_has(
	struct tg_ratelimit *rl, struct tg_slice key, int64_t mono_us, int64_t *ret_wait_us)
{
	const struct tg_bucket *b;

	if (rl->per_s <= 0)
		return true;
	b = tg_map_get(rl->buckets, key);
	return !b || tg_bucket_has(b, rl->per_s, rl->burst, mono_us, ret_wait_us);
}
