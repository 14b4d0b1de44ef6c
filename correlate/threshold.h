/* The threshold kind over one series. Pure.
 *
 * Of the last n readings since the last clearing k lie beyond the limit (or: an unbroken run beyond
 * it has lasted for_s from its first to this reading): a span is raised, and those k readings (the
 * run's first and this one) are its members. The first reading past the clearing value ends it. */
#ifndef TG_CORRELATE_THRESHOLD_H
#define TG_CORRELATE_THRESHOLD_H

#include "correlate/registry.h"
#include "correlate/rule.h"
#include "correlate/series.h"

/* enum tg_word_flag of a reading. limits: the device's, for rules that take them; NULL: none, and
 * nothing is beyond. */
uint8_t tg_threshold_flags(
	const struct tg_rule *rule, const struct tg_limits *limits, double value);
/* Brings the spans up to date after words were put. */
TG_MUST int tg_threshold_judge(const struct tg_rule *rule, struct tg_series *s);
/* Everything before horizon_us is settled. Returns how many words are needed no more and were
 * dropped. */
uint32_t tg_threshold_settle(const struct tg_rule *rule, struct tg_series *s, int64_t horizon_us);
/* The first settled word that later ones need. */
uint32_t tg_threshold_needed(const struct tg_rule *rule, const struct tg_series *s);
/* Of a series put back whose words before base.at are those needed: counts them. */
void tg_threshold_recount(const struct tg_rule *rule, struct tg_series *s);

#endif
