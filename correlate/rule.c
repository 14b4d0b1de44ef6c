#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "correlate/example.h"
#include "correlate/rule.h"

static const char *const kind_names[TG_RULE_KIND_COUNT] = {
	"single", "cluster", "threshold", "silence"};

const char *tg_rule_kind_name(enum tg_rule_kind kind)
{
	return kind_names[kind];
}

int64_t tg_rule_keep_us(const struct tg_rule *rule)
{
	return rule->kind == TG_RULE_CLUSTER ? 2 * rule->window_us + rule->lateness_us : 0;
}

bool tg_rule_runs(const struct tg_rule *rule)
{
	return rule->kind == TG_RULE_SINGLE || rule->kind == TG_RULE_CLUSTER;
}

uint32_t tg_type_number(const char *code)
{
	uint32_t number = 0;

	if (!code || strlen(code) != 5)
		return TG_TYPE_NONE;
	for (int i = 0; i < 5; i++) {
		if (code[i] < '0' || code[i] > '9')
			return TG_TYPE_NONE;
		number = number * 10 + (uint32_t)(code[i] - '0');
	}
	return number;
}

static bool has_type(const struct tg_rule *rule, uint32_t type)
{
	if (rule->all_types)
		return true;
	for (size_t i = 0; i < rule->types_len; i++)
		if (rule->types[i] == type)
			return true;
	return false;
}

bool tg_rule_wants(const struct tg_rule *rule, uint32_t type, const tg_located_pb *loc)
{
	bool report = loc->event->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT;

	/* Every type means every report; a cluster also counts what else has a type. Readings and
	 * positions without one must not raise an incident each, and have no copies at the
	 * neighbours' that a cluster would need. */
	if (rule->all_types && !report && (rule->kind == TG_RULE_SINGLE || type == TG_TYPE_NONE))
		return false;
	return has_type(rule, type) && tg_expr_eval(rule->where, loc);
}

static void write_parameters(struct tg_jw *w, const struct tg_rule *rule)
{
	tg_jw_object(w, "parameters");
	if (rule->kind == TG_RULE_CLUSTER) {
		tg_jw_int(w, "min_events", rule->min_events);
		tg_jw_int(w, "min_reporters", rule->min_reporters);
		tg_jw_dbl(w, "radius_m", rule->radius_m);
		tg_jw_dbl(w, "window_s", (double)rule->window_us / (double)TG_US_PER_S);
	}
	if (rule->where_text)
		tg_jw_str(w, "where", rule->where_text);
	tg_jw_object_end(w);
}

void tg_rule_json(struct tg_jw *w, const struct tg_rule *rule)
{
	tg_jw_object(w, rule->id);
	tg_jw_int(w, "version", rule->version);
	tg_jw_str(w, "kind", tg_rule_kind_name(rule->kind));
	tg_jw_str(w, "domain", rule->domain);
	tg_jw_int(w, "severity", rule->severity);
	tg_jw_int(w, "window_us", rule->window_us);
	tg_jw_object(w, "explanation");
	tg_jw_str(w, "kind", tg_rule_kind_name(rule->kind));
	tg_jw_str(w, "title", rule->title);
	if (rule->case_type)
		tg_jw_str(w, "case_type", rule->case_type);
	tg_jw_int(w, "condition", rule->condition);
	tg_jw_bool(w, "auto_file", rule->auto_file);
	write_parameters(w, rule);
	tg_jw_object_end(w);
	tg_jw_object_end(w);
}

void tg_rule_free(struct tg_rule *rule)
{
	if (!rule)
		return;
	free(rule->id);
	free(rule->domain);
	free(rule->title);
	free(rule->case_type);
	free(rule->where_text);
	free(rule->types);
	free(rule->metric);
	free(rule->devices);
	free(rule->schedule);
	free(rule->fold_by);
	tg_expr_free(rule->where);
	for (size_t i = 0; i < rule->examples_len; i++)
		tg_example_release(&rule->examples[i]);
	free(rule->examples);
	free(rule);
}
