#include "cmd/feed_value.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/feed_table.h"

/* ---- templates ---- */

static int add_column(
	struct feed_reader *r, const struct tg_yaml *node, const char *name, struct feed_part *part)
{
	if (strcmp(name, "@row") == 0) {
		part->kind = FEED_ROW;
	} else if (strcmp(name, "@metric") == 0) {
		part->kind = FEED_METRIC;
	} else if (name[0] == '@') {
		return feed_wrong(r, node, "there is {@row} and {@metric}, but no {%.80s}", name);
	} else {
		part->kind = FEED_COLUMN;
		part->column = feed_rows_column(r->rows, name);
		if (part->column < 0)
			return feed_wrong(r, node, "%s has no column \"%.80s\"",
				feed_rows_path(r->rows), name);
	}
	return 0;
}

/* From the byte after "{" of a column; *p ends behind its "}". */
static int read_column(
	struct feed_reader *r, const struct tg_yaml *node, const char **p, struct feed_part *part)
{
	const char *end = strchr(*p, '}');
	size_t n = end ? (size_t)(end - *p) : 0;
	char *name;

	if (!end)
		return feed_wrong(r, node, "a { stands without its } (a brace itself is {{)");
	if (!n || memchr(*p, '{', n))
		return feed_wrong(r, node, "between { and } the name of a column is wanted");
	name = feed_memory(r, node, n + 1, 1);
	if (!name)
		return -TG_ENOMEM;
	memcpy(name, *p, n);
	*p = end + 1;
	return add_column(r, node, name, part);
}

/* A run of text, or one brace of a doubled pair. */
static int read_literal(
	struct feed_reader *r, const struct tg_yaml *node, const char **p, struct feed_part *part)
{
	size_t n = strcspn(*p, "{}");

	part->kind = FEED_LITERAL;
	part->literal = (struct tg_slice){*p, n ? n : 1};
	*p += n;
	if (n)
		return 0;
	if ((*p)[1] != (*p)[0])
		return feed_wrong(r, node, "a } stands without its { (a brace itself is }})");
	*p += 2;
	return 0;
}

static int read_template(
	struct feed_reader *r, const struct tg_yaml *node, struct feed_template *ret)
{
	size_t parts_max = 2;
	struct feed_part *parts;

	if (node->kind != TG_YAML_SCALAR)
		return feed_wrong(r, node, "a template is wanted here, such as \"{column}\"");
	for (const char *p = node->text; *p; p++)
		parts_max += *p == '{' || *p == '}' ? 2 : 0;
	parts = feed_memory(r, node, parts_max, sizeof(*parts));
	if (!parts)
		return -TG_ENOMEM;
	*ret = (struct feed_template){.parts = parts};
	for (const char *p = node->text; *p;) {
		struct feed_part *part = &parts[ret->count];
		bool column = p[0] == '{' && p[1] != '{';
		int rc;

		p += column;
		rc = column ? read_column(r, node, &p, part) : read_literal(r, node, &p, part);
		if (rc)
			return rc;
		assert(ret->count < parts_max);
		ret->count++;
		ret->names_metric |= part->kind == FEED_METRIC;
	}
	return 0;
}

int feed_template_read(struct feed_reader *r, const struct tg_yaml *node, struct feed_template *ret)
{
	int rc = read_template(r, node, ret);

	if (!rc && !ret->count)
		rc = feed_wrong(r, node, "a text is wanted here, this is empty");
	return rc;
}

bool feed_template_is_constant(const struct feed_template *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->parts[i].kind != FEED_LITERAL)
			return false;
	return true;
}

static struct tg_slice part_text(
	const struct feed_part *part, const struct feed_scope *scope, char number[24])
{
	switch (part->kind) {
	case FEED_COLUMN: return feed_rows_field(scope->rows, part->column);
	case FEED_ROW:
		snprintf(number, 24, "%zu", feed_rows_number(scope->rows));
		return tg_slice_cstr(number);
	case FEED_METRIC: return tg_slice_cstr(scope->metric);
	case FEED_LITERAL:
	default: return part->literal;
	}
}

int feed_template_eval(
	const struct feed_template *t, const struct feed_scope *scope, const char **ret)
{
	char number[24], *text, *to;
	size_t len = 0;

	for (size_t i = 0; i < t->count; i++)
		len += part_text(&t->parts[i], scope, number).len;
	to = text = tg_arena_alloc(scope->arena, len + 1);
	if (!text)
		return feed_fault_set(scope->fault, "the row is too large", "%s", "");
	for (size_t i = 0; i < t->count; i++) {
		struct tg_slice s = part_text(&t->parts[i], scope, number);

		if (s.len)
			memcpy(to, s.data, s.len);
		to += s.len;
	}
	*to = '\0';
	if (memchr(text, '\0', len))
		return feed_fault_set(scope->fault, "a text holds a NUL byte", "%.60s", text);
	if (!tg_utf8_valid((struct tg_slice){text, len}))
		return feed_fault_set(scope->fault, "a text is not UTF-8", "%s", "");
	*ret = text;
	return 0;
}

/* ---- lookups ---- */

static int by_value(const void *a, const void *b)
{
	return strcmp(((const struct feed_entry *)a)->value, ((const struct feed_entry *)b)->value);
}

static int read_map(struct feed_reader *r, const struct tg_yaml *node, struct feed_text *ret)
{
	struct feed_entry *entries;
	size_t n = 0;

	if (node->kind != TG_YAML_MAP)
		return feed_wrong(r, node, "a map is wanted here: {value: result}");
	for (const struct tg_yaml *c = node->child; c; c = c->next, n++)
		if (c->kind != TG_YAML_SCALAR)
			return feed_wrong(r, c, "a text is wanted here");
	entries = feed_memory(r, node, n, sizeof(*entries));
	if (!entries)
		return -TG_ENOMEM;
	for (const struct tg_yaml *c = node->child; c; c = c->next)
		entries[ret->entry_count++] = (struct feed_entry){c->key, c->text};
	ret->entries = entries;
	qsort(entries, n, sizeof(*entries), by_value);
	return 0;
}

static int read_text_map(struct feed_reader *r, struct tg_yaml *node, struct feed_text *ret)
{
	struct tg_yaml *value, *map = NULL, *table = NULL, *otherwise = NULL;
	int rc = feed_check_keys(r, node, "value map table default");

	if (!rc)
		rc = feed_need(r, node, "value", &value);
	if (!rc)
		rc = feed_template_read(r, value, &ret->value);
	if (rc)
		return rc;
	ret->lookup = true;
	map = tg_yaml_get(node, "map");
	table = tg_yaml_get(node, "table");
	otherwise = tg_yaml_get(node, "default");
	if (!map == !table)
		return feed_wrong(r, node, "a lookup has either map or table");
	rc = map ? read_map(r, map, ret)
		 : feed_table_read(r, table, &ret->entries, &ret->entry_count);
	if (!rc && otherwise) {
		ret->has_default = true;
		rc = read_template(r, otherwise, &ret->otherwise);
	}
	return rc;
}

int feed_text_read(struct feed_reader *r, struct tg_yaml *node, struct feed_text *ret)
{
	*ret = (struct feed_text){.given = true, .key = node->key ? node->key : "text"};
	if (node->kind == TG_YAML_MAP)
		return read_text_map(r, node, ret);
	if (node->kind != TG_YAML_SCALAR)
		return feed_wrong(
			r, node, "a text or a lookup {value, map or table} is wanted here");
	return feed_template_read(r, node, &ret->value);
}

int feed_text_member(
	struct feed_reader *r, struct tg_yaml *map, const char *key, struct feed_text *ret)
{
	struct tg_yaml *node = tg_yaml_get(map, key);

	return node ? feed_text_read(r, node, ret) : 0;
}

static const char *constant_text(struct feed_reader *r, const struct feed_template *t)
{
	struct feed_fault unused;
	struct feed_scope scope = {.arena = r->arena, .fault = &unused};
	const char *text;

	return feed_template_eval(t, &scope, &text) ? "" : text;
}

int feed_text_check(struct feed_reader *r, const struct tg_yaml *node, const struct feed_text *text,
	bool (*is_good)(const char *text), const char *what)
{
	const struct feed_template *sure = text->lookup ? &text->otherwise : &text->value;
	const char *bad = NULL;

	for (size_t i = 0; i < text->entry_count && !bad; i++)
		if (!is_good(text->entries[i].result))
			bad = text->entries[i].result;
	if (!bad && sure->count && feed_template_is_constant(sure)) {
		bad = constant_text(r, sure);
		if (is_good(bad))
			bad = NULL;
	}
	return bad ? feed_wrong(r, node, "\"%.80s\" is not %s", bad, what) : 0;
}

int feed_text_eval(const struct feed_text *text, const struct feed_scope *scope, const char **ret)
{
	const struct feed_entry *found;
	struct feed_entry wanted = {0};
	int rc = feed_template_eval(&text->value, scope, &wanted.value);

	if (rc)
		return rc;
	if (!text->lookup) {
		*ret = wanted.value;
		return 0;
	}
	found = text->entry_count ? bsearch(&wanted, text->entries, text->entry_count,
					    sizeof(wanted), by_value)
				  : NULL;
	if (found) {
		*ret = found->result;
		return 0;
	}
	if (text->has_default)
		return feed_template_eval(&text->otherwise, scope, ret);
	return feed_fault_set(scope->fault, "a value stands in no table", "%s \"%.80s\"", text->key,
		wanted.value);
}

/* ---- numbers ---- */

static int read_factor(
	struct feed_reader *r, struct tg_yaml *map, const char *key, double without, double *ret)
{
	struct tg_yaml *node = tg_yaml_get(map, key);

	*ret = without;
	if (node && tg_yaml_dbl(node, ret))
		return feed_wrong(r, node, "a number is wanted here");
	return 0;
}

int feed_number_read(struct feed_reader *r, struct tg_yaml *node, struct feed_number *ret)
{
	struct tg_yaml *value, *missing;
	double unused;
	int rc;

	*ret = (struct feed_number){
		.given = true, .key = node->key ? node->key : "number", .scale = 1};
	if (node->kind != TG_YAML_MAP) {
		rc = feed_template_read(r, node, &ret->value);
		value = node;
	} else {
		rc = feed_check_keys(r, node, "value scale offset missing");
		if (!rc)
			rc = feed_need(r, node, "value", &value);
		if (!rc)
			rc = feed_template_read(r, value, &ret->value);
		if (!rc)
			rc = read_factor(r, node, "scale", 1, &ret->scale);
		if (!rc)
			rc = read_factor(r, node, "offset", 0, &ret->offset);
		missing = tg_yaml_get(node, "missing");
		if (!rc && missing)
			rc = feed_texts(r, missing, &ret->missing, &ret->missing_count);
	}
	if (!rc && feed_template_is_constant(&ret->value) &&
		!feed_decimal_parse(constant_text(r, &ret->value), &unused))
		rc = feed_wrong(r, value, "a number or a template of one is wanted here");
	return rc;
}

int feed_number_member(
	struct feed_reader *r, struct tg_yaml *map, const char *key, struct feed_number *ret)
{
	struct tg_yaml *node = tg_yaml_get(map, key);

	return node ? feed_number_read(r, node, ret) : 0;
}

bool feed_decimal_parse(const char *text, double *ret)
{
	static const char digits[] = "0123456789";
	const char *p = text + (*text == '-' || *text == '+');
	size_t whole = strspn(p, digits), fraction = 0;
	double v;

	p += whole;
	if (*p == '.') {
		fraction = strspn(++p, digits);
		p += fraction;
	}
	if (whole + fraction == 0)
		return false;
	if (*p == 'e' || *p == 'E') {
		p += 1 + (p[1] == '-' || p[1] == '+');
		if (!strspn(p, digits))
			return false;
		p += strspn(p, digits);
	}
	if (*p)
		return false;
	v = strtod(text, NULL);
	if (!isfinite(v))
		return false;
	*ret = v;
	return true;
}

int feed_number_eval(const struct feed_number *number, const struct feed_scope *scope, double *ret)
{
	const char *text;
	double v;
	int rc = feed_template_eval(&number->value, scope, &text);

	if (rc)
		return rc;
	if (!*text)
		return 0;
	for (size_t i = 0; i < number->missing_count; i++)
		if (strcmp(text, number->missing[i]) == 0)
			return 0;
	if (!feed_decimal_parse(text, &v))
		return feed_fault_set(
			scope->fault, "a value is no number", "%s \"%.80s\"", number->key, text);
	v = v * number->scale + number->offset;
	if (!isfinite(v))
		return feed_fault_set(
			scope->fault, "a value is no number", "%s is too large", number->key);
	*ret = v;
	return 1;
}
