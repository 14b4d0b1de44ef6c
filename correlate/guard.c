#include <stdlib.h>
#include <string.h>

#include "correlate/guard.h"

/* Rules of one type lie together: rules[start[type] … start[type + 1]); the last type is "none or
 * unlisted". */
struct tg_guard {
	uint32_t start[TG_TYPE_CODE_MAX + 2];
	uint32_t *rules;
};

static bool wants_type(const struct tg_rule *rule, uint32_t type)
{
	for (size_t i = 0; i < rule->types_len; i++)
		if (rule->types[i] == type)
			return true;
	return rule->all_types;
}

/* Types that no rule names share the row of "unlisted". */
static bool *listed_types(const struct tg_ruleset *rules)
{
	bool *listed = calloc(TG_TYPE_CODE_MAX + 1, sizeof(*listed));

	for (size_t i = 0; listed && i < rules->len; i++)
		for (size_t k = 0; k < rules->rules[i]->types_len; k++)
			listed[rules->rules[i]->types[k]] = true;
	return listed;
}

int tg_guard_new(const struct tg_ruleset *rules, struct tg_guard **ret)
{
	struct tg_guard *g = calloc(1, sizeof(*g));
	bool *listed = listed_types(rules);
	uint32_t len = 0, cap = 0;

	if (!g || !listed)
		goto out;
	for (uint32_t type = 0; type <= TG_TYPE_CODE_MAX; type++) {
		g->start[type] = len;
		for (uint32_t i = 0; i < rules->len; i++) {
			const struct tg_rule *rule = rules->rules[i];
			uint32_t *more;

			if (!tg_rule_runs(rule) ||
				!(listed[type] ? wants_type(rule, type) : rule->all_types))
				continue;
			if (len == cap) {
				cap = cap ? cap * 2 : 64;
				more = realloc(g->rules, cap * sizeof(*more));
				if (!more)
					goto out;
				g->rules = more;
			}
			g->rules[len++] = i;
		}
	}
	g->start[TG_TYPE_CODE_MAX + 1] = len;
	free(listed);
	*ret = g;
	return 0;
out:
	free(listed);
	tg_guard_free(g);
	return -TG_ENOMEM;
}

void tg_guard_free(struct tg_guard *guard)
{
	if (!guard)
		return;
	free(guard->rules);
	free(guard);
}

const uint32_t *tg_guard_rules(const struct tg_guard *guard, uint32_t type, size_t *ret_len)
{
	if (type >= TG_TYPE_CODE_MAX)
		type = TG_TYPE_CODE_MAX;
	*ret_len = guard->start[type + 1] - guard->start[type];
	return guard->rules + guard->start[type];
}
