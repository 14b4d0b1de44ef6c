/* What the rules must make of what was planted, by brute force over their definitions. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/sim.h"

static struct sim_expect *expect(struct sim_truth *truth)
{
	if (truth->len == truth->cap) {
		size_t cap = truth->cap ? truth->cap * 2 : 256;
		struct sim_expect *more = realloc(truth->list, cap * sizeof(*more));

		if (!more)
			return NULL;
		truth->list = more;
		truth->cap = cap;
	}
	truth->list[truth->len] = (struct sim_expect){.first = truth->uids.len / 16};
	return &truth->list[truth->len++];
}

static int add_uid(struct sim_plan *plan, struct sim_expect *e, int64_t index)
{
	e->len++;
	return tg_buf_add(&plan->truth.uids, plan->script.events[index].uid, 16);
}

static int64_t arrival(const struct sim_plan *plan, int64_t index)
{
	return plan->script.events[index].arrive_us;
}

/* ---- clusters: an event is a core if there are enough events and reporters before and near it;
 * its members are those within radius and window; cores that share a member are one ---- */

static bool near(
	const struct tg_rule *rule, const struct sim_lot_event *a, const struct sim_lot_event *b)
{
	return tg_geo_distance_m(a->at, b->at) <= rule->radius_m;
}

static bool counts_for(
	const struct tg_rule *rule, const struct sim_lot_event *core, const struct sim_lot_event *e)
{
	int64_t before_us = core->ev.occurred_at_us - e->ev.occurred_at_us;

	return before_us >= 0 && before_us <= rule->window_us && near(rule, core, e);
}

static bool belongs_to(
	const struct tg_rule *rule, const struct sim_lot_event *core, const struct sim_lot_event *e)
{
	return llabs(core->ev.occurred_at_us - e->ev.occurred_at_us) <= rule->window_us &&
	       near(rule, core, e);
}

struct judged {
	const struct tg_rule *rule;
	const struct sim_lot_event *of[SIM_LOT_MAX]; /* those that the rule wants */
	size_t len;
	bool core[SIM_LOT_MAX];
	size_t group[SIM_LOT_MAX]; /* of a member; SIZE_MAX */
	int64_t decided_us[SIM_LOT_MAX];
};

static bool is_core(const struct sim_plan *plan, struct judged *j, size_t i)
{
	int64_t events = 0, people = 0;

	j->decided_us[i] = INT64_MIN;
	for (size_t k = 0; k < j->len; k++) {
		bool met = false;

		if (!counts_for(j->rule, j->of[i], j->of[k]))
			continue;
		events++;
		for (size_t m = 0; m < k && !met; m++)
			met = counts_for(j->rule, j->of[i], j->of[m]) &&
			      strcmp(j->of[m]->reporter, j->of[k]->reporter) == 0;
		people += !met;
		if (arrival(plan, j->of[k]->index) > j->decided_us[i])
			j->decided_us[i] = arrival(plan, j->of[k]->index);
	}
	return events >= j->rule->min_events && people >= j->rule->min_reporters;
}

static void join(struct judged *j, size_t from, size_t to)
{
	for (size_t k = 0; k < j->len; k++)
		if (j->group[k] == from)
			j->group[k] = to;
}

static void gather(struct judged *j, size_t core)
{
	size_t own = core + SIM_LOT_MAX; /* a name that no event has */

	for (size_t k = 0; k < j->len; k++) {
		if (!belongs_to(j->rule, j->of[core], j->of[k]))
			continue;
		if (j->group[k] != SIZE_MAX && j->group[k] != own)
			join(j, j->group[k], own);
		j->group[k] = own;
	}
}

static int tell(struct sim_plan *plan, const struct judged *j, size_t lot, size_t group)
{
	struct sim_expect *e = expect(&plan->truth);
	int rc = e ? 0 : -TG_ENOMEM;

	if (rc)
		return rc;
	e->rule = j->rule;
	e->plant = lot;
	e->twist = plan->lots[lot]->twist;
	e->decided_us = INT64_MAX;
	for (size_t k = 0; k < j->len && !rc; k++) {
		if (j->group[k] != group)
			continue;
		if (j->core[k] && j->decided_us[k] < e->decided_us)
			e->decided_us = j->decided_us[k];
		rc = add_uid(plan, e, j->of[k]->index);
	}
	return rc;
}

static int judge_cluster(struct sim_plan *plan, struct judged *j, size_t lot)
{
	int rc = 0;

	for (size_t i = 0; i < j->len; i++)
		j->group[i] = SIZE_MAX;
	for (size_t i = 0; i < j->len; i++) {
		j->core[i] = is_core(plan, j, i);
		if (j->core[i])
			gather(j, i);
	}
	for (size_t i = 0; i < j->len && !rc; i++) {
		bool first = j->group[i] != SIZE_MAX;

		for (size_t k = 0; k < i && first; k++)
			first = j->group[k] != j->group[i];
		if (first)
			rc = tell(plan, j, lot, j->group[i]);
	}
	return rc;
}

static int judge_single(struct sim_plan *plan, struct judged *j, size_t lot)
{
	int rc = 0;

	for (size_t i = 0; i < j->len && !rc; i++) {
		j->group[i] = i;
		j->core[i] = true;
		j->decided_us[i] = arrival(plan, j->of[i]->index);
		for (size_t k = 0; k < j->len; k++)
			j->group[k] = k;
		rc = tell(plan, j, lot, i);
	}
	return rc;
}

int sim_truth_of_lot(struct sim_plan *plan, size_t lot)
{
	const struct sim_lot *of = plan->lots[lot];
	struct judged *j = malloc(sizeof(*j));
	int rc = j ? 0 : -TG_ENOMEM;

	for (size_t k = 0; k < plan->rules->len && !rc; k++) {
		j->rule = plan->rules->rules[k];
		j->len = 0;
		for (size_t i = 0; i < of->len; i++)
			if (sim_wants(j->rule, &of->events[i].ev, of->events[i].at))
				j->of[j->len++] = &of->events[i];
		if (j->rule->kind == TG_RULE_CLUSTER)
			rc = judge_cluster(plan, j, lot);
		else if (j->rule->kind == TG_RULE_SINGLE)
			rc = judge_single(plan, j, lot);
	}
	free(j);
	return rc;
}

/* ---- readings ---- */

static bool beyond(struct sim_limit limit, double value)
{
	return limit.above ? value > limit.value : value < limit.value;
}

static bool calm(const struct tg_rule *rule, struct sim_limit limit, double value)
{
	double clear = rule->has_clear ? rule->clear : limit.value;

	return limit.above ? value < clear : value > clear;
}

static int raise_at(struct sim_plan *plan, const struct tg_rule *rule,
	const struct sim_device *device, const struct sim_reading *deciding)
{
	struct sim_expect *e = expect(&plan->truth);

	if (!e)
		return -TG_ENOMEM;
	e->rule = rule;
	e->plant = SIZE_MAX;
	e->twist = SIM_hit;
	e->device = device->id;
	e->at_us = deciding->at_us;
	e->decided_us = arrival(plan, deciding->index);
	return 0;
}

/* k of the last n readings since the last clear; or every one of them for so long. */
static bool enough(const struct tg_rule *rule, struct sim_limit limit, const struct sim_reading *r,
	size_t since, size_t i)
{
	int64_t count = 0;
	size_t k = i;

	if (rule->for_us) {
		while (k > since && beyond(limit, r[k - 1].value))
			k--;
		return beyond(limit, r[i].value) && r[i].at_us - r[k].at_us >= rule->for_us;
	}
	for (k = since; k <= i; k++)
		if ((int64_t)(i - k) < rule->n)
			count += beyond(limit, r[k].value);
	return count >= rule->k;
}

int sim_truth_of_series(struct sim_plan *plan, const struct tg_rule *rule,
	const struct sim_device *device, struct sim_limit limit, const struct sim_reading *r,
	size_t n)
{
	bool raised = false;
	size_t since = 0;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		if (raised && calm(rule, limit, r[i].value)) {
			raised = false;
			since = i + 1;
		} else if (!raised && enough(rule, limit, r, since, i)) {
			raised = true;
			rc = raise_at(plan, rule, device, &r[i]);
		}
	}
	return rc;
}

int sim_truth_of_silence(struct sim_plan *plan, const struct tg_rule *rule,
	const struct sim_device *device, const struct sim_reading *r, size_t n)
{
	int rc = 0;

	for (size_t i = 1; i < n && !rc; i++)
		if (r[i].at_us - r[i - 1].at_us > rule->after_us)
			rc = raise_at(plan, rule, device, &r[i - 1]);
	return rc;
}
