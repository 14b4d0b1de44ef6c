/* YAML 1.1 subset by libyaml's events → a small tree in which every node knows its line and column,
 * so that a checker can point. No aliases, no tags, depth and size bounded. Scalars stay text;
 * typed getters convert exactly. */
#ifndef TG_BASE_YAML_H
#define TG_BASE_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum tg_yaml_kind { TG_YAML_SCALAR, TG_YAML_SEQ, TG_YAML_MAP };

struct tg_yaml {
	enum tg_yaml_kind kind;
	int line, column; /* 1-based */
	const char *text; /* scalar; NUL-terminated */
	bool quoted;      /* scalar was quoted */
	const char *key;  /* when the parent is a map */
	int key_line, key_column;
	struct tg_yaml *child; /* first child of SEQ or MAP, in file order */
	struct tg_yaml *next;  /* next sibling */
	bool seen;             /* for checkers: mark what was understood */
};

/* The tree is one allocation family freed by tg_yaml_free. A duplicate key is an error at the
 * second one. Failure: -TG_EPARSE with "FILE:LINE:COLUMN: what to mend" appended to why. */
TG_MUST int tg_yaml_load(const char *path, struct tg_yaml **ret, struct tg_buf *why);
TG_MUST int tg_yaml_parse(
	const char *name, struct tg_slice text, struct tg_yaml **ret, struct tg_buf *why);
void tg_yaml_free(struct tg_yaml *root);
struct tg_yaml *tg_yaml_get(
	struct tg_yaml *map, const char *key); /* NULL when absent; marks seen */
/* Exact conversions: the whole scalar must be that number; "1e3x" is refused. -TG_EPARSE else. */
TG_MUST int tg_yaml_int(const struct tg_yaml *node, int64_t *ret);
TG_MUST int tg_yaml_dbl(const struct tg_yaml *node, double *ret);
TG_MUST int tg_yaml_bool(const struct tg_yaml *node, bool *ret);

#endif
