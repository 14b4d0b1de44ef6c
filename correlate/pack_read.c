/* The getters of a pack: every key is in a table, everything else is refused at its place. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "correlate/pack_impl.h"

void tg_pack_say(struct tg_pack_reader *r, int line, int column, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	if (++r->errors > TG_PACK_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	/* A full buffer loses lines, never the count that refuses the file. */
	if (tg_buf_addf(r->why, "%s:%d:%d: %s\n", r->file, line, column, what))
		return;
}

static bool is_word(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (const char *at = words; len && (at = strstr(at, text)); at += len)
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return !strchr(text, ' ');
	return false;
}

static void put_text(struct tg_pack_reader *r, const struct tg_pack_key *k, const struct tg_yaml *v)
{
	size_t len = strlen(v->text);

	if (k->type == TG_PACK_WORD && !is_word(k->words, v->text)) {
		tg_pack_say(r, v->line, v->column, "%s is one of: %s", k->name, k->words);
		return;
	}
	if (k->max > 0 && ((double)len > k->max || (double)len < k->min)) {
		tg_pack_say(r, v->line, v->column, "%s has %.0f to %.0f bytes", k->name, k->min,
			k->max);
		return;
	}
	if (k->to)
		*(char **)k->to = strdup(v->text);
}

static void put_number(
	struct tg_pack_reader *r, const struct tg_pack_key *k, const struct tg_yaml *v)
{
	double number = 0;
	int64_t whole = 0;

	if (k->type == TG_PACK_INT) {
		if (v->quoted || tg_yaml_int(v, &whole)) {
			tg_pack_say(r, v->line, v->column, "%s must be a whole number", k->name);
			return;
		}
		number = (double)whole;
	} else if (v->quoted || tg_yaml_dbl(v, &number)) {
		tg_pack_say(r, v->line, v->column, "%s must be a number", k->name);
		return;
	}
	if (!(number >= k->min && number <= k->max)) {
		tg_pack_say(r, v->line, v->column, "%s lies between %g and %g", k->name, k->min,
			k->max);
		return;
	}
	if (!k->to)
		return;
	if (k->type == TG_PACK_INT)
		*(int64_t *)k->to = whole;
	else if (k->type == TG_PACK_SECONDS)
		*(int64_t *)k->to = (int64_t)(number * (double)TG_US_PER_S + 0.5);
	else
		*(double *)k->to = number;
}

static void put(struct tg_pack_reader *r, const struct tg_pack_key *k, struct tg_yaml *v)
{
	if (k->given)
		*k->given = true;
	if (k->type == TG_PACK_ANY) {
		*(struct tg_yaml **)k->to = v;
		return;
	}
	if (v->kind != TG_YAML_SCALAR) {
		tg_pack_say(r, v->line, v->column, "%s must be a single value", k->name);
		return;
	}
	if (k->type == TG_PACK_TEXT || k->type == TG_PACK_WORD) {
		put_text(r, k, v);
	} else if (k->type == TG_PACK_BOOL) {
		if (v->quoted || tg_yaml_bool(v, k->to))
			tg_pack_say(r, v->line, v->column, "%s must be true or false", k->name);
	} else {
		put_number(r, k, v);
	}
}

void tg_pack_keys(struct tg_pack_reader *r, struct tg_yaml *map, const char *where, int line,
	int column, const struct tg_pack_key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tg_yaml *v = tg_yaml_get(map, keys[i].name);

		if (v)
			put(r, &keys[i], v);
		else if (keys[i].required)
			tg_pack_say(r, line, column, "%s needs the key %s", where, keys[i].name);
	}
	for (const struct tg_yaml *v = map->child; v; v = v->next)
		if (!v->seen)
			tg_pack_say(
				r, v->key_line, v->key_column, "%s has no key %s", where, v->key);
}
