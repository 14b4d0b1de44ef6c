#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "correlate/example.h"
#include "correlate/rule.h"

#define PRINT_MAX 20

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

bool tg_rule_series(const struct tg_rule *rule)
{
	return rule->kind == TG_RULE_THRESHOLD || rule->kind == TG_RULE_SILENCE;
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
	/* Those that listen to sources may leave types out. */
	if (rule->all_types || (rule->types_len == 0 && tg_rule_series(rule)))
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
	if (rule->all_types && !report && !tg_rule_series(rule) &&
		(rule->kind == TG_RULE_SINGLE || type == TG_TYPE_NONE))
		return false;
	return has_type(rule, type) && tg_expr_eval(rule->where, loc);
}

static void threshold_parameters(struct tg_jw *w, const struct tg_rule *rule)
{
	tg_jw_str(w, "metric", rule->metric);
	if (rule->device_limits)
		tg_jw_str(w, "limits", "device");
	if (rule->has_limit)
		tg_jw_dbl(w, rule->above ? "above" : "below", rule->limit);
	if (rule->has_clear)
		tg_jw_dbl(w, rule->above ? "clear_below" : "clear_above", rule->clear);
	if (rule->for_us) {
		tg_jw_dbl(w, "for_s", (double)rule->for_us / (double)TG_US_PER_S);
	} else {
		tg_jw_int(w, "k", rule->k);
		tg_jw_int(w, "n", rule->n);
	}
}

static void silence_parameters(struct tg_jw *w, const struct tg_rule *rule)
{
	tg_jw_str(w, "devices", rule->devices);
	tg_jw_dbl(w, "after_s", (double)rule->after_us / (double)TG_US_PER_S);
	if (rule->schedule_text)
		tg_jw_str(w, "schedule", rule->schedule_text);
	if (rule->fold_by)
		tg_jw_str(w, "fold_by", rule->fold_by);
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
	if (rule->kind == TG_RULE_THRESHOLD)
		threshold_parameters(w, rule);
	if (rule->kind == TG_RULE_SILENCE)
		silence_parameters(w, rule);
	if (rule->where_text)
		tg_jw_str(w, "where", rule->where_text);
	tg_jw_object_end(w);
}

static const char *print_of(const struct tg_rule *rule, char ret[PRINT_MAX])
{
	snprintf(ret, PRINT_MAX, "%016llx", (unsigned long long)rule->print);
	return ret;
}

int tg_ruleset_prints(const struct tg_ruleset *set, struct tg_buf *out)
{
	struct tg_jw w;

	tg_jw_begin(&w, out);
	tg_jw_object(&w, NULL);
	for (size_t i = 0; i < set->len; i++) {
		char print[PRINT_MAX];

		tg_jw_str(&w, set->rules[i]->id, print_of(set->rules[i], print));
	}
	tg_jw_object_end(&w);
	return tg_jw_end(&w);
}

void tg_rule_json(struct tg_jw *w, const struct tg_rule *rule)
{
	char print[PRINT_MAX];

	tg_jw_object(w, rule->id);
	tg_jw_int(w, "version", rule->version);
	tg_jw_str(w, "kind", tg_rule_kind_name(rule->kind));
	tg_jw_str(w, "domain", rule->domain);
	tg_jw_int(w, "severity", rule->severity);
	tg_jw_int(w, "window_us", rule->window_us);
	tg_jw_int(w, "cooldown_us", rule->cooldown_us);
	tg_jw_str(w, "print", print_of(rule, print));
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

static void write_definition(struct tg_jw *w, const struct tg_rule *rule)
{
	char code[12];

	tg_jw_object(w, "definition");
	tg_jw_bool(w, "auto_file", rule->auto_file);
	if (rule->case_type)
		tg_jw_str(w, "case_type", rule->case_type);
	tg_jw_int(w, "condition", rule->condition);
	tg_jw_dbl(w, "lateness_s", (double)rule->lateness_us / (double)TG_US_PER_S);
	tg_jw_dbl(w, "cooldown_s", (double)rule->cooldown_us / (double)TG_US_PER_S);
	if (rule->note)
		tg_jw_str(w, "note", rule->note);
	tg_jw_array(w, "types");
	if (rule->all_types)
		tg_jw_str(w, NULL, "*");
	for (size_t i = 0; i < rule->types_len; i++) {
		snprintf(code, sizeof(code), "%05u", rule->types[i]);
		tg_jw_str(w, NULL, code);
	}
	tg_jw_array_end(w);
	write_parameters(w, rule);
	tg_jw_object_end(w);
}

void tg_rule_row(struct tg_jw *w, const struct tg_rule *rule)
{
	tg_jw_object(w, NULL);
	tg_jw_str(w, "rule_id", rule->id);
	tg_jw_int(w, "version", rule->version);
	tg_jw_str(w, "pack", rule->pack ? rule->pack : "");
	tg_jw_str(w, "kind", tg_rule_kind_name(rule->kind));
	tg_jw_str(w, "domain", rule->domain);
	tg_jw_int(w, "severity", rule->severity);
	tg_jw_str(w, "title", rule->title);
	write_definition(w, rule);
	tg_jw_object_end(w);
}

void tg_rule_free(struct tg_rule *rule)
{
	if (!rule)
		return;
	free(rule->id);
	free(rule->domain);
	free(rule->pack);
	free(rule->title);
	free(rule->note);
	free(rule->case_type);
	free(rule->where_text);
	free(rule->types);
	free(rule->metric);
	free(rule->devices);
	free(rule->schedule);
	free(rule->schedule_text);
	free(rule->fold_by);
	tg_expr_free(rule->where);
	for (size_t i = 0; i < rule->examples_len; i++)
		tg_example_release(&rule->examples[i]);
	free(rule->examples);
	free(rule);
}
