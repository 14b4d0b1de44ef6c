/* Whether a rule's examples hold its numbers fast: for each limit, one of them must come out
 * otherwise when the limit is a little looser. Such an example is a near miss: an event short, a
 * reporter short, a metre too far, a second too late. Without it somebody may change the number and
 * no example would notice. */
#ifndef TG_CORRELATE_NEAR_MISS_H
#define TG_CORRELATE_NEAR_MISS_H

#include "correlate/rule.h"

/* Appends a line for each limit that no example holds: "FILE:LINE: warning: RULE: …". Examples that
 * fail as the rule stands are left out. zone: the city's, for schedules; NULL: UTC. Returns how
 * many (negative: memory). */
TG_MUST int tg_near_miss_look(const struct tg_rule *rule, const char *zone, struct tg_buf *why);

#endif
