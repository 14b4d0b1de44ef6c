/* Which rules could want an event, by its type: one table look-up before anything else is done with
 * it. */
#ifndef TG_CORRELATE_GUARD_H
#define TG_CORRELATE_GUARD_H

#include "correlate/rule.h"

struct tg_guard;

/* Only rules that run. */
TG_MUST int tg_guard_new(const struct tg_ruleset *rules, struct tg_guard **ret);
void tg_guard_free(struct tg_guard *guard);
/* Indexes of the rules to ask; ret_len 0: nobody wants this event. */
const uint32_t *tg_guard_rules(const struct tg_guard *guard, uint32_t type, size_t *ret_len);

#endif
