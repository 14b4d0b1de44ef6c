#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "correlate/guard.h"

/* Rules of one type lie together: rules[start[type] … start[type + 1]); the last type is "none or
 * unlisted". */
struct tg_guard {
	uint32_t start[TG_TYPE_CODE_MAX + 2];
	uint32_t *rules;
	struct tg_map *metrics; /* → struct metric */
};

struct metric {
	size_t len;
	uint32_t rules[];
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

static int add_metric(struct tg_guard *g, const struct tg_rule *rule, uint32_t index)
{
	struct tg_slice key = tg_slice_cstr(rule->metric);
	struct metric *old = tg_map_get(g->metrics, key), *m;
	size_t len = old ? old->len : 0;

	m = malloc(sizeof(*m) + (len + 1) * sizeof(m->rules[0]));
	if (!m)
		return -TG_ENOMEM;
	m->len = len + 1;
	if (len)
		memcpy(m->rules, old->rules, len * sizeof(m->rules[0]));
	m->rules[len] = index;
	if (tg_map_put(g->metrics, key, m)) {
		free(m);
		return -TG_ENOMEM;
	}
	free(old);
	return 0;
}

static int add_metrics(struct tg_guard *g, const struct tg_ruleset *rules)
{
	int rc = tg_map_new(0, &g->metrics);

	for (uint32_t i = 0; i < rules->len && !rc; i++)
		if (rules->rules[i]->kind == TG_RULE_THRESHOLD)
			rc = add_metric(g, rules->rules[i], i);
	return rc;
}

int tg_guard_new(const struct tg_ruleset *rules, struct tg_guard **ret)
{
	struct tg_guard *g = calloc(1, sizeof(*g));
	bool *listed = listed_types(rules);
	uint32_t len = 0, cap = 0;

	if (!g || !listed || add_metrics(g, rules))
		goto out;
	for (uint32_t type = 0; type <= TG_TYPE_CODE_MAX; type++) {
		g->start[type] = len;
		for (uint32_t i = 0; i < rules->len; i++) {
			const struct tg_rule *rule = rules->rules[i];
			uint32_t *more;

			if (tg_rule_series(rule) ||
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
	size_t pos = 0;
	void *m;

	if (!guard)
		return;
	while (guard->metrics && (m = tg_map_next(guard->metrics, &pos, NULL)))
		free(m);
	tg_map_free(guard->metrics);
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

const uint32_t *tg_guard_metric(const struct tg_guard *guard, const char *metric, size_t *ret_len)
{
	const struct metric *m = metric && tg_map_count(guard->metrics)
					 ? tg_map_get(guard->metrics, tg_slice_cstr(metric))
					 : NULL;

	*ret_len = m ? m->len : 0;
	return m ? m->rules : NULL;
}
