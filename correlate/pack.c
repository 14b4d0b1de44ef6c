#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/pack_impl.h"
#include "correlate/pack_rule.h"

void tg_ruleset_release(struct tg_ruleset *set)
{
	for (size_t i = 0; i < set->len; i++)
		tg_rule_free(set->rules[i]);
	for (size_t i = 0; i < set->files_len; i++)
		free(set->files[i]);
	free(set->rules);
	free(set->files);
	*set = (struct tg_ruleset){0};
}

#define LATENESS_MAX_S 1e9

static int add_rule(struct tg_ruleset *set, struct tg_rule *rule)
{
	struct tg_rule **rules = realloc(set->rules, (set->len + 1) * sizeof(struct tg_rule *));

	if (!rules)
		return -TG_ENOMEM;
	set->rules = rules;
	rules[set->len++] = rule;
	if (rule->lateness_us > set->lateness_max_us)
		set->lateness_max_us = rule->lateness_us;
	return 0;
}

static void read_rules(struct tg_pack_reader *r, struct tg_yaml *seq, struct tg_ruleset *ret)
{
	if (seq->kind != TG_YAML_SEQ || !seq->child) {
		tg_pack_say(r, seq->line, seq->column, "rules is a list of rules");
		return;
	}
	for (struct tg_yaml *v = seq->child; v; v = v->next) {
		struct tg_rule *rule;

		if (ret->len + r->known->len == TG_RULES_MAX) {
			tg_pack_say(r, v->line, v->column, "at most %d rules run together",
				TG_RULES_MAX);
			return;
		}
		rule = tg_pack_rule(r, v, ret);
		if (!rule)
			return;
		rule->file = r->file;
		if (!rule->id || add_rule(ret, rule))
			tg_rule_free(rule);
	}
}

static void read_pack(struct tg_pack_reader *r, struct tg_yaml *root, struct tg_ruleset *ret)
{
	struct tg_yaml *rules = NULL;
	char *name = NULL;
	const struct tg_pack_key keys[] = {
		{"pack", TG_PACK_TEXT, .required = true, .min = 1, .max = 64, .to = &name},
		{"version", TG_PACK_INT, .required = true, .min = 1, .max = 1e9},
		{"lateness_s", TG_PACK_SECONDS, .required = true, .min = 0, .max = LATENESS_MAX_S,
			.to = &r->lateness_us},
		{"rules", TG_PACK_ANY, .required = true, .to = &rules},
	};

	if (root->kind != TG_YAML_MAP) {
		tg_pack_say(r, root->line, root->column,
			"a pack is a map with pack, version, lateness_s and rules");
		return;
	}
	tg_pack_keys(
		r, root, "a pack", root->line, root->column, keys, sizeof(keys) / sizeof(keys[0]));
	if (rules)
		read_rules(r, rules, ret);
	for (size_t i = 0; name && i < ret->len; i++)
		ret->rules[i]->pack = strdup(name);
	free(name);
}

/* Moves what was read into the set, or nothing at all. */
static int take(struct tg_ruleset *set, struct tg_ruleset *fresh, char *file)
{
	char **files = realloc(set->files, (set->files_len + 1) * sizeof(char *));
	struct tg_rule **rules;

	if (!files)
		return -TG_ENOMEM;
	set->files = files;
	rules = realloc(set->rules, (set->len + fresh->len + 1) * sizeof(struct tg_rule *));
	if (!rules)
		return -TG_ENOMEM;
	set->rules = rules;
	set->files[set->files_len++] = file;
	for (size_t i = 0; i < fresh->len; i++)
		rules[set->len++] = fresh->rules[i];
	if (fresh->lateness_max_us > set->lateness_max_us)
		set->lateness_max_us = fresh->lateness_max_us;
	fresh->len = 0;
	return 0;
}

static int read_tree(const char *name, struct tg_yaml *root, const struct tg_pack_limits *limits,
	struct tg_ruleset *set, struct tg_buf *why)
{
	struct tg_ruleset fresh = {0};
	char *file = strdup(name);
	struct tg_pack_reader r = {.file = file, .limits = limits, .known = set, .why = why};
	int rc = file ? 0 : -TG_ENOMEM;

	if (!rc) {
		read_pack(&r, root, &fresh);
		rc = r.errors ? -TG_EPARSE : take(set, &fresh, file);
	}
	if (rc)
		free(file);
	tg_ruleset_release(&fresh);
	return rc;
}

static int finish(int rc, struct tg_yaml *root, const char *name,
	const struct tg_pack_limits *limits, struct tg_ruleset *set, struct tg_buf *why)
{
	if (rc) {
		int more = tg_buf_add_cstr(why, "\n");

		return more ? more : rc;
	}
	rc = read_tree(name, root, limits, set, why);
	tg_yaml_free(root);
	return rc;
}

int tg_pack_load(const char *path, const struct tg_pack_limits *limits, struct tg_ruleset *set,
	struct tg_buf *why)
{
	struct tg_yaml *root = NULL;
	int rc = tg_yaml_load(path, &root, why);

	return finish(rc, root, path, limits, set, why);
}

int tg_pack_parse(const char *name, struct tg_slice text, const struct tg_pack_limits *limits,
	struct tg_ruleset *set, struct tg_buf *why)
{
	struct tg_yaml *root = NULL;
	int rc = tg_yaml_parse(name, text, &root, why);

	return finish(rc, root, name, limits, set, why);
}

static int is_pack(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && dot &&
	       (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

int tg_packs_load(const char *folder, const struct tg_pack_limits *limits, struct tg_ruleset *set,
	size_t *ret_refused, struct tg_buf *why)
{
	struct dirent **entries = NULL;
	int n = scandir(folder, &entries, is_pack, alphasort);

	*ret_refused = 0;
	if (n < 0)
		return -TG_ENOENT;
	for (int i = 0; i < n; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		if (tg_pack_load(path, limits, set, why))
			(*ret_refused)++;
		free(entries[i]);
	}
	free(entries);
	return 0;
}
