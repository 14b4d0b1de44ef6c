/* Rule packs: YAML files → rules. Everything that is wrong is said, each as "FILE:LINE:COLUMN: what
 * to mend"; a file with anything wrong gives no rule at all, its neighbours are not touched. */
#ifndef TG_CORRELATE_PACK_H
#define TG_CORRELATE_PACK_H

#include <stddef.h>

#include "correlate/rule.h"

#define TG_PACK_ERRORS_MAX 100 /* lines said of one file */

struct tg_pack_limits {
	double radius_max_m; /* the city's halo; 0: not known, not checked */
};

/* Adds the rules of a file to the set. -TG_EPARSE with lines in why (each ends with a newline) and
 * the set unchanged. Ids are unique over the whole set. */
TG_MUST int tg_pack_load(const char *path, const struct tg_pack_limits *limits,
	struct tg_ruleset *set, struct tg_buf *why);
TG_MUST int tg_pack_parse(const char *name, struct tg_slice text,
	const struct tg_pack_limits *limits, struct tg_ruleset *set, struct tg_buf *why);
/* All *.yaml and *.yml of a folder, by name. Refused files are counted in *ret_refused and said in
 * why; the others are loaded. -TG_ENOENT when the folder cannot be read. */
TG_MUST int tg_packs_load(const char *folder, const struct tg_pack_limits *limits,
	struct tg_ruleset *set, size_t *ret_refused, struct tg_buf *why);
void tg_ruleset_release(struct tg_ruleset *set);

#endif
