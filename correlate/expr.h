/* Rule expressions: `source_kind == "citizen" and (value > 40 or attributes["floor"] in ["1",
 * "2"])`.
 *
 * Compiled once, typed, to a flat program; evaluation is total: no loop, no allocation, no failure.
 * Operators: == != < <= > >=, in [..], not in [..], and && or || not !, parentheses; text also has
 * .contains("…"), .startsWith("…"), .endsWith("…"). Fields are those of tg_expr_fields(). A number
 * that an event does not carry (or NaN) makes every comparison false, != too; a text that it does
 * not carry is empty. Text compares by bytes. */
#ifndef TG_CORRELATE_EXPR_H
#define TG_CORRELATE_EXPR_H

#include <stdbool.h>

#include "base/buf.h"
#include "proto/codec.h"

#define TG_EXPR_BYTES_MAX 4096
#define TG_EXPR_STEPS_MAX 512
#define TG_EXPR_DEPTH_MAX 32

struct tg_expr;

struct tg_expr_error {
	int line, column; /* 1-based, within the text */
	char what[160];
};

/* -TG_EPARSE with where and what to mend in *ret_error; -TG_ENOMEM. */
TG_MUST int tg_expr_compile(
	struct tg_slice text, struct tg_expr **ret, struct tg_expr_error *ret_error);
void tg_expr_free(struct tg_expr *expr); /* NULL is fine */
/* Pure. loc->event must be set. A NULL expression is true. */
bool tg_expr_eval(const struct tg_expr *expr, const tg_located_pb *loc);
/* Names of all fields, comma separated, for messages and documents. */
const char *tg_expr_fields(void);

#endif
