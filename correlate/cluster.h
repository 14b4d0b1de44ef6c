/* The cluster kind, order-free: whatever order the events come in (within the tolerance), the same
 * cores and members are found, and each newly found tie is said once.
 *
 * A core has, among the events of [t − W, t] within R of it (itself included), at least N with D
 * distinct reporters. Its members are the events within R and |t − t'| ≤ W. Cores that share a
 * member are one incident. A neighbour's copy counts and is a member, but its own partition judges
 * whether it is a core. */
#ifndef TG_CORRELATE_CLUSTER_H
#define TG_CORRELATE_CLUSTER_H

#include "correlate/findings.h"

struct tg_cluster;

enum tg_cluster_verdict {
	TG_CLUSTER_JUDGED,
	TG_CLUSTER_REPEAT,
	TG_CLUSTER_FULL,
	TG_CLUSTER_FAILED
};

TG_MUST int tg_cluster_new(const struct tg_rule *rule, uint32_t rule_index,
	struct tg_window_budget *budget, struct tg_cluster **ret);
void tg_cluster_free(struct tg_cluster *c);
/* After a reload: the same definition, read again. */
void tg_cluster_adopt(struct tg_cluster *c, const struct tg_rule *rule, uint32_t rule_index);
/* Takes one event, in time, and says what it changed. */
enum tg_cluster_verdict tg_cluster_judge(
	struct tg_cluster *c, const struct tg_seen *event, struct tg_findings *f);
/* Puts back an event that was judged before (or, waiting, one from history that may come again and
 * is judged then). After the last one tg_cluster_restored() finds every core again. */
TG_MUST int tg_cluster_restore(struct tg_cluster *c, const struct tg_seen *event);
TG_MUST int tg_cluster_restored(struct tg_cluster *c);
void tg_cluster_expire(struct tg_cluster *c, int64_t before_us);
const struct tg_window *tg_cluster_window(const struct tg_cluster *c);

#endif
