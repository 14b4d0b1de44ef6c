/* Which rules could want an event, by its type and its metric: one table look-up before anything
 * else is done with it. */
#ifndef TG_CORRELATE_GUARD_H
#define TG_CORRELATE_GUARD_H

#include "correlate/rule.h"

struct tg_guard;

TG_MUST int tg_guard_new(const struct tg_ruleset *rules, struct tg_guard **ret);
void tg_guard_free(struct tg_guard *guard);
/* Indexes of the single and cluster rules to ask; ret_len 0: none wants this event. */
const uint32_t *tg_guard_rules(const struct tg_guard *guard, uint32_t type, size_t *ret_len);
/* The same of threshold rules. */
const uint32_t *tg_guard_metric(const struct tg_guard *guard, const char *metric, size_t *ret_len);

#endif
