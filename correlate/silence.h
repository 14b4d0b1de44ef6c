/* The silence kind over one series. Pure.
 *
 * A source that was heard at a and then not for after_s (of the time in which it is expected to
 * speak) is silent from a + after_s until it is heard again. Only a horizon that has passed that
 * moment says so: nothing heard before it is still to come. The member is what was heard last. */
#ifndef TG_CORRELATE_SILENCE_H
#define TG_CORRELATE_SILENCE_H

#include "base/clock.h"
#include "correlate/rule.h"
#include "correlate/series.h"

TG_MUST int tg_silence_judge(const struct tg_rule *rule, const struct tg_zone *zone,
	struct tg_series *s, int64_t horizon_us);
/* After judging. Drops what no silence can begin or end with; returns how many words. */
uint32_t tg_silence_settle(const struct tg_rule *rule, struct tg_series *s, int64_t horizon_us);
/* The source is nobody's any more: what stands ends. */
void tg_silence_strike(struct tg_series *s, int64_t horizon_us);

#endif
