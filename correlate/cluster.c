#include <stdlib.h>
#include <string.h>

#include "correlate/cluster.h"

#define REPORTERS_MAX 64

struct tg_cluster {
	const struct tg_rule *rule;
	uint32_t rule_index;
	struct tg_window *window;
	struct tg_hits around, ball;
	/* Union-find over the labels of groups: which events are known to be in one incident
	 * already. */
	uint32_t *groups;
	uint32_t groups_len, groups_cap;
	int rc;
};

int tg_cluster_new(const struct tg_rule *rule, uint32_t rule_index, struct tg_window_budget *budget,
	struct tg_cluster **ret)
{
	struct tg_cluster *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -TG_ENOMEM;
	c->rule = rule;
	c->rule_index = rule_index;
	rc = tg_window_new(rule->radius_m, budget, &c->window);
	if (rc) {
		free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void tg_cluster_free(struct tg_cluster *c)
{
	if (!c)
		return;
	tg_window_free(c->window);
	tg_hits_release(&c->around);
	tg_hits_release(&c->ball);
	free(c->groups);
	free(c);
}

void tg_cluster_adopt(struct tg_cluster *c, const struct tg_rule *rule, uint32_t rule_index)
{
	c->rule = rule;
	c->rule_index = rule_index;
}

const struct tg_window *tg_cluster_window(const struct tg_cluster *c)
{
	return c->window;
}

void tg_cluster_expire(struct tg_cluster *c, int64_t before_us)
{
	tg_window_expire(c->window, before_us);
	/* No event carries a label any more: labels can start anew. */
	if (tg_window_count(c->window) == 0)
		c->groups_len = 0;
}

static uint32_t group_root(struct tg_cluster *c, uint32_t group)
{
	while (c->groups[group] != group) {
		c->groups[group] = c->groups[c->groups[group]];
		group = c->groups[group];
	}
	return group;
}

static void join_new_group(struct tg_cluster *c, struct tg_seen *s)
{
	if (c->groups_len == c->groups_cap) {
		uint32_t cap = c->groups_cap ? c->groups_cap * 2 : 64;
		uint32_t *groups = realloc(c->groups, cap * sizeof(*groups));

		if (!groups) {
			c->rc = -TG_ENOMEM;
			return;
		}
		c->groups = groups;
		c->groups_cap = cap;
	}
	c->groups[c->groups_len] = c->groups_len;
	s->group = c->groups_len++;
}

/* Notes that member belongs to core's incident; false when that was known. */
static bool tie(struct tg_cluster *c, struct tg_seen *core, struct tg_seen *member)
{
	uint32_t a, b;

	if (core->group == TG_GROUP_NONE)
		join_new_group(c, core);
	if (c->rc)
		return false;
	if (member->group == TG_GROUP_NONE) {
		member->group = core->group;
		return true;
	}
	a = group_root(c, core->group);
	b = group_root(c, member->group);
	c->groups[b] = a;
	return a != b;
}

/* Distinct reporters among the hits not later than t, counted only as far as the rule asks. */
static bool enough_reporters(
	const struct tg_cluster *c, const struct tg_hits *hits, int64_t event_us)
{
	uint64_t seen[REPORTERS_MAX];
	int64_t n = 0;

	for (size_t i = 0; i < hits->len && n < c->rule->min_reporters; i++) {
		const struct tg_seen *s = tg_window_at(c->window, hits->seqs[i]);
		bool known = s->event_us > event_us;

		for (int64_t k = 0; k < n && !known; k++)
			known = seen[k] == s->reporter;
		if (!known)
			seen[n++] = s->reporter;
	}
	return n >= c->rule->min_reporters;
}

static void query(struct tg_cluster *c, const struct tg_seen *s, struct tg_hits *ret)
{
	int64_t window_us = c->rule->window_us;

	if (tg_window_query(
		    c->window, s->at, s->event_us - window_us, s->event_us + window_us, ret))
		c->rc = -TG_ENOMEM;
}

/* Marks the event a core if it is one now; its ball is then in c->ball. */
static bool becomes_core(struct tg_cluster *c, struct tg_seen *s)
{
	if (s->core || s->halo || s->support < c->rule->min_events)
		return false;
	query(c, s, &c->ball);
	if (c->rc || !enough_reporters(c, &c->ball, s->event_us))
		return false;
	s->core = true;
	return true;
}

/* Says the core and all its members; with every tie, or only those that were not known. */
static void tell_ball(struct tg_cluster *c, struct tg_seen *core, struct tg_findings *f, bool every)
{
	tg_findings_link(f, c->rule_index, core, NULL);
	for (size_t i = 0; i < c->ball.len; i++) {
		struct tg_seen *member = tg_window_at(c->window, c->ball.seqs[i]);

		if (tie(c, core, member) || every)
			tg_findings_link(f, c->rule_index, core, member);
	}
}

/* The event is in the window; c->around holds its neighbours within W on both sides. */
static void tell_changes(struct tg_cluster *c, uint32_t seq, struct tg_findings *f)
{
	struct tg_seen *e = tg_window_at(c->window, seq);

	for (size_t i = 0; i < c->around.len && !c->rc; i++) {
		struct tg_seen *n = tg_window_at(c->window, c->around.seqs[i]);

		if (n->core && tie(c, n, e))
			tg_findings_link(f, c->rule_index, n, e);
	}
	for (size_t i = 0; i < c->around.len && !c->rc; i++) {
		struct tg_seen *n = tg_window_at(c->window, c->around.seqs[i]);

		if (n->event_us >= e->event_us && becomes_core(c, n))
			tell_ball(c, n, f, false);
	}
}

static void count_support(struct tg_cluster *c, uint32_t seq)
{
	struct tg_seen *e = tg_window_at(c->window, seq);

	e->support = 0;
	for (size_t i = 0; i < c->around.len; i++) {
		struct tg_seen *n = tg_window_at(c->window, c->around.seqs[i]);

		if (n->event_us <= e->event_us)
			e->support++;
		if (n->event_us >= e->event_us && n != e)
			n->support++;
	}
}

/* An event out of history comes again on the topic: whatever it makes a core was never said. */
static void judge_waiting(struct tg_cluster *c, struct tg_seen *e, struct tg_findings *f)
{
	e->waiting = false;
	query(c, e, &c->around);
	for (size_t i = 0; i < c->around.len && !c->rc; i++) {
		struct tg_seen *n = tg_window_at(c->window, c->around.seqs[i]);

		if (!n->core)
			continue;
		query(c, n, &c->ball);
		tell_ball(c, n, f, true);
	}
}

/* A neighbour's copy came first, now the event itself: it counts already, but may be a core only
 * now. */
static void judge_own(struct tg_cluster *c, struct tg_seen *e, struct tg_findings *f)
{
	e->halo = false;
	if (becomes_core(c, e))
		tell_ball(c, e, f, false);
}

enum tg_cluster_verdict tg_cluster_judge(
	struct tg_cluster *c, const struct tg_seen *event, struct tg_findings *f)
{
	uint32_t seq = tg_window_find(c->window, event->uid);
	int rc;

	if (seq != TG_SEQ_NONE) {
		struct tg_seen *known = tg_window_at(c->window, seq);
		bool waiting = known->waiting, own = known->halo && !event->halo;

		if (own)
			judge_own(c, known, f);
		if (waiting)
			judge_waiting(c, known, f);
		return c->rc            ? TG_CLUSTER_FAILED
		       : waiting || own ? TG_CLUSTER_JUDGED
					: TG_CLUSTER_REPEAT;
	}
	rc = tg_window_append(c->window, event, &seq);
	if (rc)
		return rc == -TG_EFULL ? TG_CLUSTER_FULL : TG_CLUSTER_FAILED;
	query(c, tg_window_at(c->window, seq), &c->around);
	if (!c->rc) {
		count_support(c, seq);
		tell_changes(c, seq, f);
	}
	return c->rc || f->rc ? TG_CLUSTER_FAILED : TG_CLUSTER_JUDGED;
}

int tg_cluster_restore(struct tg_cluster *c, const struct tg_seen *event)
{
	uint32_t seq = tg_window_find(c->window, event->uid);

	if (seq != TG_SEQ_NONE) {
		struct tg_seen *known = tg_window_at(c->window, seq);

		known->halo = known->halo && event->halo;
		known->waiting = known->waiting && event->waiting;
		return 0;
	}
	return tg_window_append(c->window, event, &seq);
}

int tg_cluster_restored(struct tg_cluster *c)
{
	const struct tg_window *w = c->window;

	for (uint32_t seq = tg_window_first(w); seq != tg_window_end(w) && !c->rc; seq++) {
		struct tg_seen *s = tg_window_at(w, seq);

		s->core = false;
		s->group = TG_GROUP_NONE;
		query(c, s, &c->around);
		s->support = 0;
		for (size_t i = 0; i < c->around.len; i++)
			if (tg_window_at(w, c->around.seqs[i])->event_us <= s->event_us)
				s->support++;
	}
	c->groups_len = 0;
	for (uint32_t seq = tg_window_first(w); seq != tg_window_end(w) && !c->rc; seq++) {
		struct tg_seen *s = tg_window_at(w, seq);

		if (!becomes_core(c, s))
			continue;
		for (size_t i = 0; i < c->ball.len && !c->rc; i++)
			(void)tie(c, s, tg_window_at(w, c->ball.seqs[i]));
	}
	return c->rc;
}
