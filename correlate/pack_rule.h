/* Reading one rule of a pack. */
#ifndef TG_CORRELATE_PACK_RULE_H
#define TG_CORRELATE_PACK_RULE_H

#include "correlate/pack_impl.h"

/* The rule as far as it could be read, complaints in r; NULL when memory is out. own: the rules
 * read before it. */
struct tg_rule *tg_pack_rule(
	struct tg_pack_reader *r, struct tg_yaml *map, const struct tg_ruleset *own);

#endif
