#include "correlate/near_miss.h"

#include <math.h>
#include <stddef.h>

#include "base/clock.h"
#include "correlate/example.h"

#define A_LITTLE_M  2.0
#define A_LITTLE_US (2 * TG_US_PER_S)
#define A_LITTLE    1e-6 /* of a reading */

/* Makes one limit of the copy looser; false when the rule has no such limit, or when it says
 * nothing beyond the others. */
static bool fewer_events(struct tg_rule *r)
{
	/* So many reporters take so many events anyway. */
	if (r->kind != TG_RULE_CLUSTER || r->min_events <= r->min_reporters || r->min_events < 2)
		return false;
	r->min_events--;
	return true;
}

static bool fewer_reporters(struct tg_rule *r)
{
	if (r->kind != TG_RULE_CLUSTER || r->min_reporters < 2)
		return false;
	r->min_reporters--;
	return true;
}

static bool wider(struct tg_rule *r)
{
	r->radius_m += A_LITTLE_M;
	return r->kind == TG_RULE_CLUSTER;
}

static bool longer(struct tg_rule *r)
{
	r->window_us += A_LITTLE_US;
	return r->kind == TG_RULE_CLUSTER;
}

static bool fewer_readings(struct tg_rule *r)
{
	if (r->kind != TG_RULE_THRESHOLD || r->for_us || r->k < 2)
		return false;
	r->k--;
	return true;
}

static bool sooner(struct tg_rule *r)
{
	if (r->kind != TG_RULE_THRESHOLD || r->for_us <= A_LITTLE_US)
		return false;
	r->for_us -= A_LITTLE_US;
	return true;
}

static bool nearer(struct tg_rule *r)
{
	double little = fmax(A_LITTLE, fabs(r->limit) * A_LITTLE);

	r->limit += r->above ? -little : little;
	return r->kind == TG_RULE_THRESHOLD && r->has_limit;
}

static bool less_patient(struct tg_rule *r)
{
	if (r->kind != TG_RULE_SILENCE || r->after_us <= A_LITTLE_US)
		return false;
	r->after_us -= A_LITTLE_US;
	return true;
}

static const struct {
	const char *key, *example;
	bool (*loosen)(struct tg_rule *r);
} limits[] = {
	{"min_events", "an event less than it takes", fewer_events},
	{"min_reporters", "a reporter less than it takes", fewer_reporters},
	{"radius_m", "the last event a metre too far", wider},
	{"window_s", "the last event a second too late", longer},
	{"k", "a reading less than it takes", fewer_readings},
	{"for_s", "a second less than it takes", sooner},
	{"above or below", "readings just at the limit", nearer},
	{"after_s", "heard again a second before", less_patient},
};

/* 1: some example comes out otherwise. */
static int noticed(const struct tg_rule *rule, const struct tg_rule *looser, const char *zone)
{
	struct tg_buf aside = {0};
	int rc = 0;

	for (size_t i = 0; i < rule->examples_len && !rc; i++) {
		rc = tg_example_run(rule, &rule->examples[i], zone, &aside);
		if (rc > 0)
			rc = 0;
		else if (rc == 0)
			rc = tg_example_run(looser, &rule->examples[i], zone, &aside);
	}
	tg_buf_release(&aside);
	return rc;
}

/* A single rule has no numbers: what it must leave alone is an event that it does not take. */
static bool takes_all(const struct tg_rule *rule)
{
	for (size_t i = 0; i < rule->examples_len; i++) {
		const struct tg_example *ex = &rule->examples[i];
		size_t taken = 0;

		for (size_t k = 0; k < ex->expect_len; k++)
			taken += ex->expect[k].len;
		if (taken < ex->events_len)
			return false;
	}
	return true;
}

static int say(const struct tg_rule *rule, const char *key, const char *example, struct tg_buf *why)
{
	return tg_buf_addf(why,
		"%s:%d:%d: warning: %s: no example holds %s: add a near miss (%s)\n", rule->file,
		rule->line, rule->column, rule->id, key, example);
}

int tg_near_miss_look(const struct tg_rule *rule, const char *zone, struct tg_buf *why)
{
	int bare = 0, rc = 0;

	if (rule->kind == TG_RULE_SINGLE && takes_all(rule)) {
		bare++;
		rc = say(rule, rule->where ? "types and where" : "types",
			"an event that it leaves alone", why);
	}
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && rc >= 0; i++) {
		struct tg_rule looser = *rule;

		if (!limits[i].loosen(&looser))
			continue;
		rc = noticed(rule, &looser, zone);
		if (rc == 0) {
			bare++;
			rc = say(rule, limits[i].key, limits[i].example, why);
		}
	}
	return rc < 0 ? rc : bare;
}
