/* What a profile asks of a row: templates, lookups and numbers. Read once, evaluated for each row;
 * evaluating is pure but for the arena. */
#ifndef TG_CMD_FEED_VALUE_H
#define TG_CMD_FEED_VALUE_H

#include "cmd/feed_reader.h"

#define FEED_TABLE_ROWS_MAX 1000000

/* Literal text, a column, or one of the two names that are no column. */
struct feed_part {
	enum { FEED_LITERAL, FEED_COLUMN, FEED_ROW, FEED_METRIC } kind;
	struct tg_slice literal;
	int column;
};

struct feed_template {
	const struct feed_part *parts; /* none: empty text */
	size_t count;
	bool names_metric;
};

struct feed_entry {
	const char *value, *result;
};

/* A text: a template, looked up when entries are given. Not given: value has no parts. */
struct feed_text {
	bool given, lookup, has_default;
	const char *key; /* for faults */
	struct feed_template value, otherwise;
	const struct feed_entry *entries; /* sorted by value */
	size_t entry_count;
};

struct feed_number {
	bool given;
	const char *key;
	struct feed_template value;
	double scale, offset;
	const char *const *missing;
	size_t missing_count;
};

/* Where a row is evaluated. Results live in the arena. */
struct feed_scope {
	const struct feed_rows *rows;
	struct tg_arena *arena;
	const char *metric; /* of the reading at hand, else NULL */
	struct feed_fault *fault;
};

TG_MUST int feed_template_read(
	struct feed_reader *r, const struct tg_yaml *node, struct feed_template *ret);
TG_MUST int feed_text_read(struct feed_reader *r, struct tg_yaml *node, struct feed_text *ret);
TG_MUST int feed_number_read(struct feed_reader *r, struct tg_yaml *node, struct feed_number *ret);
/* The member of that name; leaves ret not given when it is absent. */
TG_MUST int feed_text_member(
	struct feed_reader *r, struct tg_yaml *map, const char *key, struct feed_text *ret);
TG_MUST int feed_number_member(
	struct feed_reader *r, struct tg_yaml *map, const char *key, struct feed_number *ret);
/* Complains at the node when a result that is known already fails the test; what names what is
 * wanted. */
TG_MUST int feed_text_check(struct feed_reader *r, const struct tg_yaml *node,
	const struct feed_text *text, bool (*is_good)(const char *text), const char *what);
bool feed_template_is_constant(const struct feed_template *t);

/* 0, or -TG_EPARSE with the fault set. A text that is not given is empty. */
TG_MUST int feed_template_eval(
	const struct feed_template *t, const struct feed_scope *scope, const char **ret);
TG_MUST int feed_text_eval(
	const struct feed_text *text, const struct feed_scope *scope, const char **ret);
/* 1 a number, 0 missing, -TG_EPARSE with the fault set. */
TG_MUST int feed_number_eval(
	const struct feed_number *number, const struct feed_scope *scope, double *ret);
/* A whole decimal number: sign, digits, one point, exponent. Not hexadecimal, not NaN. */
bool feed_decimal_parse(const char *text, double *ret);

#endif
