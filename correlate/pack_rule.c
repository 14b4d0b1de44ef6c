/* One rule of a pack: the common keys, then those of its kind. */
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "correlate/pack_rule.h"

#define SECONDS_MAX (366.0 * 86400)
#define DOMAINS     "pingan jianguan shichang minsheng"
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define COMMON_KEYS 13
#define KIND_KEYS   10

struct reading {
	struct tg_pack_reader *r;
	struct tg_rule *rule;
	struct tg_yaml *types, *examples, *where, *above, *below;
	bool given_where, clear_above, clear_below, given_k, given_n, given_for, given_limits;
	char *kind, *limits;
};

static void read_types(struct reading *g)
{
	struct tg_yaml *seq = g->types;
	size_t n = 0;

	if (!seq)
		return;
	if (seq->kind != TG_YAML_SEQ || !seq->child) {
		tg_pack_say(
			g->r, seq->line, seq->column, "types is a list of type codes: [\"05101\"]");
		return;
	}
	for (const struct tg_yaml *v = seq->child; v; v = v->next)
		n++;
	g->rule->types = calloc(n, sizeof(*g->rule->types));
	if (!g->rule->types) {
		tg_pack_say(g->r, seq->line, seq->column, "out of memory");
		return;
	}
	for (const struct tg_yaml *v = seq->child; v; v = v->next) {
		uint32_t number =
			v->kind == TG_YAML_SCALAR ? tg_type_number(v->text) : TG_TYPE_NONE;

		if (v->kind == TG_YAML_SCALAR && n == 1 && strcmp(v->text, "*") == 0)
			g->rule->all_types = true;
		else if (number == TG_TYPE_NONE)
			tg_pack_say(g->r, v->line, v->column,
				"a type code has 5 digits (or \"*\" alone for every type)");
		else
			g->rule->types[g->rule->types_len++] = number;
	}
}

/* Plain and quoted scalars on one line start at a known column; elsewhere the line of the scalar
 * must do. */
static void read_where(struct reading *g)
{
	struct tg_expr_error error = {0};
	const struct tg_yaml *v = g->where;
	int rc;

	if (!v)
		return;
	if (v->kind != TG_YAML_SCALAR) {
		tg_pack_say(g->r, v->line, v->column, "where is an expression");
		return;
	}
	rc = tg_expr_compile(tg_slice_cstr(v->text), &g->rule->where, &error);
	if (rc && strchr(v->text, '\n'))
		tg_pack_say(g->r, v->line + error.line, error.column, "%s", error.what);
	else if (rc)
		tg_pack_say(g->r, v->line, v->column + error.column - (v->quoted ? 0 : 1), "%s",
			error.what);
	else
		g->rule->where_text = strdup(v->text);
}

static void need(struct reading *g, bool given, const char *key)
{
	if (!given)
		tg_pack_say(g->r, g->rule->line, g->rule->column, "a %s rule needs the key %s",
			g->kind, key);
}

static size_t cluster_keys(struct reading *g, struct tg_pack_key *k)
{
	struct tg_rule *rule = g->rule;
	size_t n = 0;

	k[n++] = (struct tg_pack_key){"types", TG_PACK_ANY, .required = true, .to = &g->types};
	k[n++] = (struct tg_pack_key){"min_events", TG_PACK_INT, .required = true, .min = 1,
		.max = 1e6, .to = &rule->min_events};
	k[n++] = (struct tg_pack_key){"min_reporters", TG_PACK_INT, .required = true, .min = 1,
		.max = 64, .to = &rule->min_reporters};
	k[n++] = (struct tg_pack_key){"radius_m", TG_PACK_DOUBLE, .required = true, .min = 0.1,
		.max = 1e6, .to = &rule->radius_m};
	k[n++] = (struct tg_pack_key){"window_s", TG_PACK_SECONDS, .required = true, .min = 0.001,
		.max = SECONDS_MAX, .to = &rule->window_us};
	return n;
}

static size_t threshold_keys(struct reading *g, struct tg_pack_key *k)
{
	struct tg_rule *rule = g->rule;
	size_t n = 0;

	k[n++] = (struct tg_pack_key){
		"metric", TG_PACK_TEXT, .required = true, .min = 1, .max = 64, .to = &rule->metric};
	k[n++] = (struct tg_pack_key){"above", TG_PACK_ANY, .to = &g->above};
	k[n++] = (struct tg_pack_key){"below", TG_PACK_ANY, .to = &g->below};
	k[n++] = (struct tg_pack_key){
		"k", TG_PACK_INT, .min = 1, .max = 1000, .to = &rule->k, .given = &g->given_k};
	k[n++] = (struct tg_pack_key){
		"n", TG_PACK_INT, .min = 1, .max = 1000, .to = &rule->n, .given = &g->given_n};
	k[n++] = (struct tg_pack_key){"clear_below", TG_PACK_DOUBLE, .min = -1e308, .max = 1e308,
		.to = &rule->clear, .given = &g->clear_below};
	k[n++] = (struct tg_pack_key){"clear_above", TG_PACK_DOUBLE, .min = -1e308, .max = 1e308,
		.to = &rule->clear, .given = &g->clear_above};
	k[n++] = (struct tg_pack_key){"for_s", TG_PACK_SECONDS, .min = 0.001, .max = SECONDS_MAX,
		.to = &rule->for_us, .given = &g->given_for};
	k[n++] = (struct tg_pack_key){"limits", TG_PACK_WORD, .words = "device", .to = &g->limits,
		.given = &g->given_limits};
	k[n++] = (struct tg_pack_key){"types", TG_PACK_ANY, .to = &g->types};
	return n;
}

static size_t silence_keys(struct reading *g, struct tg_pack_key *k)
{
	struct tg_rule *rule = g->rule;
	size_t n = 0;

	k[n++] = (struct tg_pack_key){"devices", TG_PACK_TEXT, .required = true, .min = 1,
		.max = 128, .to = &rule->devices};
	k[n++] = (struct tg_pack_key){"after_s", TG_PACK_SECONDS, .required = true, .min = 0.001,
		.max = SECONDS_MAX, .to = &rule->after_us};
	k[n++] = (struct tg_pack_key){
		"schedule", TG_PACK_TEXT, .min = 1, .max = 256, .to = &rule->schedule_text};
	k[n++] = (struct tg_pack_key){
		"fold_by", TG_PACK_WORD, .words = "street district", .to = &rule->fold_by};
	return n;
}

static size_t kind_keys(struct reading *g, struct tg_pack_key *k)
{
	switch (g->rule->kind) {
	case TG_RULE_CLUSTER: return cluster_keys(g, k);
	case TG_RULE_THRESHOLD: return threshold_keys(g, k);
	case TG_RULE_SILENCE: return silence_keys(g, k);
	default:
		k[0] = (struct tg_pack_key){
			"types", TG_PACK_ANY, .required = true, .to = &g->types};
		return 1;
	}
}

static void check_cluster(struct reading *g, struct tg_yaml *map)
{
	struct tg_rule *rule = g->rule;
	double max = g->r->limits->radius_max_m;
	const struct tg_yaml *v = tg_yaml_get(map, "radius_m");

	if (v && max > 0 && rule->radius_m > max)
		tg_pack_say(g->r, v->line, v->column,
			"radius_m is larger than the city's halo_m (%g): events across a border "
			"would be missed",
			max);
	v = tg_yaml_get(map, "min_reporters");
	if (v && rule->min_events && rule->min_reporters > rule->min_events)
		tg_pack_say(g->r, v->line, v->column,
			"min_reporters cannot be more than min_events (%lld)",
			(long long)rule->min_events);
}

static void check_threshold(struct reading *g, struct tg_yaml *map)
{
	struct tg_rule *rule = g->rule;
	const struct tg_yaml *limit = g->above ? g->above : g->below;
	const struct tg_yaml *v;

	if (g->above && g->below)
		tg_pack_say(g->r, g->below->line, g->below->column,
			"a threshold rule has above or below, not both");
	rule->device_limits = g->given_limits;
	rule->has_limit = limit != NULL;
	rule->above = g->above != NULL;
	if (limit && (limit->kind != TG_YAML_SCALAR || limit->quoted ||
			     tg_yaml_dbl(limit, &rule->limit)))
		tg_pack_say(g->r, limit->line, limit->column, "%s must be a number",
			g->above ? "above" : "below");
	need(g, limit || g->given_limits, "above or below (or limits: device)");
	if (g->given_for && (g->given_k || g->given_n))
		tg_pack_say(g->r, rule->line, rule->column, "for_s stands instead of k and n");
	if (!g->given_for) {
		need(g, g->given_k, "k");
		need(g, g->given_n, "n");
	}
	v = tg_yaml_get(map, "k");
	if (v && g->given_n && rule->k > rule->n)
		tg_pack_say(g->r, v->line, v->column, "k cannot be more than n (%lld)",
			(long long)rule->n);
	rule->has_clear = g->clear_above || g->clear_below;
	if (limit && !g->given_limits) {
		need(g, rule->has_clear, g->above ? "clear_below" : "clear_above");
		v = tg_yaml_get(map, g->above ? "clear_above" : "clear_below");
		if (v)
			tg_pack_say(g->r, v->line, v->column, "a rule with %s clears with %s",
				g->above ? "above" : "below",
				g->above ? "clear_below" : "clear_above");
		else if (rule->has_clear &&
			 (rule->above ? rule->clear > rule->limit : rule->clear < rule->limit))
			tg_pack_say(g->r, rule->line, rule->column,
				"the clearing value lies beyond the limit");
	}
}

static void check_silence(struct reading *g, struct tg_yaml *map)
{
	struct tg_rule *rule = g->rule;
	const struct tg_yaml *v = tg_yaml_get(map, "schedule");
	struct tg_schedule schedule;
	const char *why = "out of memory";

	if (!rule->schedule_text)
		return;
	if (tg_schedule_parse(tg_slice_cstr(rule->schedule_text), &schedule, &why) == 0) {
		rule->schedule = malloc(sizeof(schedule));
		why = "out of memory";
	}
	if (rule->schedule)
		*rule->schedule = schedule;
	else
		tg_pack_say(g->r, v->line, v->column, "%s", why);
}

static uint64_t hash_of(const struct tg_buf *text)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES] = "tongguan rules";
	unsigned char out[crypto_shorthash_BYTES] = {0};
	uint64_t print;

	crypto_shorthash(out, (const unsigned char *)text->data, text->len, key);
	memcpy(&print, out, sizeof(print));
	return print;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* First of what decides which events a window holds, then of all else that decides what is made of
 * them. */
static void print_rule(struct tg_rule *rule)
{
	struct tg_buf text = {0};
	int rc = tg_buf_addf(
		&text, "%s\n%d\n%s\n", rule->id, rule->all_types, or_empty(rule->where_text));

	for (size_t i = 0; !rc && i < rule->types_len; i++)
		rc = tg_buf_addf(&text, "%u ", rule->types[i]);
	if (!rc)
		rule->print = hash_of(&text);
	if (!rc)
		rc = tg_buf_addf(&text, "\n%d %lld %lld %lld %.17g %lld\n", rule->kind,
			(long long)rule->lateness_us, (long long)rule->min_events,
			(long long)rule->min_reporters, rule->radius_m, (long long)rule->window_us);
	if (!rc)
		rc = tg_buf_addf(&text, "%s\n%d%d%d%d %.17g %.17g %lld %lld %lld\n",
			or_empty(rule->metric), rule->has_limit, rule->above, rule->device_limits,
			rule->has_clear, rule->limit, rule->clear, (long long)rule->k,
			(long long)rule->n, (long long)rule->for_us);
	if (!rc)
		rc = tg_buf_addf(&text, "%s\n%lld\n%s\n%s\n", or_empty(rule->devices),
			(long long)rule->after_us, or_empty(rule->schedule_text),
			or_empty(rule->fold_by));
	if (!rc)
		rule->whole_print = hash_of(&text);
	if (tg_rule_series(rule))
		rule->print = rule->whole_print;
	tg_buf_release(&text);
}

static void check_id(struct reading *g, const struct tg_yaml *id, const struct tg_ruleset *own)
{
	const struct tg_ruleset *sets[] = {own, g->r->known};

	for (size_t s = 0; s < 2; s++)
		for (size_t i = 0; i < sets[s]->len; i++)
			if (strcmp(sets[s]->rules[i]->id, g->rule->id) == 0)
				tg_pack_say(g->r, id->line, id->column,
					"the id %s stands already at %s:%d", g->rule->id,
					sets[s]->rules[i]->file, sets[s]->rules[i]->line);
	if (strspn(g->rule->id, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != strlen(g->rule->id))
		tg_pack_say(
			g->r, id->line, id->column, "an id has small letters, digits, _ - and .");
}

static void read_keys(struct reading *g, struct tg_yaml *map)
{
	struct tg_rule *rule = g->rule;
	struct tg_pack_key keys[COMMON_KEYS + KIND_KEYS] = {
		{"id", TG_PACK_TEXT, .required = true, .min = 1, .max = TG_RULE_ID_MAX,
			.to = &rule->id},
		{"version", TG_PACK_INT, .required = true, .min = 1, .max = 1e9,
			.to = &rule->version},
		{"kind", TG_PACK_WORD, .required = true,
			.words = "single cluster threshold silence", .to = &g->kind},
		{"domain", TG_PACK_WORD, .required = true, .words = DOMAINS, .to = &rule->domain},
		{"severity", TG_PACK_INT, .required = true, .min = 1, .max = 4,
			.to = &rule->severity},
		{"auto_file", TG_PACK_BOOL, .required = true, .to = &rule->auto_file},
		{"title", TG_PACK_TEXT, .min = 1, .max = 200, .to = &rule->title},
		{"case_type", TG_PACK_TEXT, .min = 5, .max = 5, .to = &rule->case_type},
		{"condition", TG_PACK_INT, .min = 1, .max = 1000, .to = &rule->condition},
		{"cooldown_s", TG_PACK_SECONDS, .min = 0, .max = SECONDS_MAX,
			.to = &rule->cooldown_us},
		{"note", TG_PACK_TEXT, .min = 1, .max = 500, .to = &rule->note},
		{"where", TG_PACK_ANY, .to = &g->where, .given = &g->given_where},
		{"examples", TG_PACK_ANY, .to = &g->examples},
	};
	const struct tg_yaml *kind = tg_yaml_get(map, "kind");
	size_t n = COMMON_KEYS;

	rule->kind = TG_RULE_KIND_COUNT;
	for (int i = 0; kind && kind->kind == TG_YAML_SCALAR && i < TG_RULE_KIND_COUNT; i++)
		if (strcmp(kind->text, tg_rule_kind_name((enum tg_rule_kind)i)) == 0)
			rule->kind = (enum tg_rule_kind)i;
	if (rule->kind < TG_RULE_KIND_COUNT) {
		n += kind_keys(g, keys + n);
	} else {
		/* Which keys are known hangs on the kind: say only what is certain. */
		for (struct tg_yaml *v = map->child; v; v = v->next)
			v->seen = true;
	}
	tg_pack_keys(g->r, map, "a rule", rule->line, rule->column, keys, n);
}

struct tg_rule *tg_pack_rule(
	struct tg_pack_reader *r, struct tg_yaml *map, const struct tg_ruleset *own)
{
	struct tg_rule *rule = calloc(1, sizeof(*rule));
	struct reading g = {.r = r, .rule = rule};
	struct tg_yaml *id;

	if (!rule) {
		tg_pack_say(r, map->line, map->column, "out of memory");
		return NULL;
	}
	if (map->kind != TG_YAML_MAP) {
		tg_pack_say(r, map->line, map->column, "a rule is a map of keys and values");
		return rule;
	}
	id = tg_yaml_get(map, "id");
	rule->line = id ? id->line : map->line;
	rule->column = id ? id->column : map->column;
	rule->condition = 1;
	rule->lateness_us = r->lateness_us;
	read_keys(&g, map);
	if (id && rule->id)
		check_id(&g, id, own);
	if (rule->case_type && tg_type_number(rule->case_type) == TG_TYPE_NONE) {
		const struct tg_yaml *v = tg_yaml_get(map, "case_type");

		tg_pack_say(r, v->line, v->column, "a type code has 5 digits");
	}
	read_types(&g);
	read_where(&g);
	if (rule->kind == TG_RULE_CLUSTER)
		check_cluster(&g, map);
	if (rule->kind == TG_RULE_THRESHOLD)
		check_threshold(&g, map);
	if (rule->kind == TG_RULE_SILENCE)
		check_silence(&g, map);
	if (g.examples)
		tg_pack_examples(r, g.examples, rule);
	free(g.kind);
	free(g.limits);
	if (rule->id)
		print_rule(rule);
	return rule;
}
