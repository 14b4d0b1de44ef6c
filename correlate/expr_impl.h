/* The compiled form, shared by the compiler and the evaluator. */
#ifndef TG_CORRELATE_EXPR_IMPL_H
#define TG_CORRELATE_EXPR_IMPL_H

#include <stdint.h>

#include "correlate/expr.h"

/* X(name, text in a rule, type) */
#define TG_EXPR_FIELDS(X)                               \
	X(TYPE_CODE, "type_code", TG_EXPR_TEXT)         \
	X(SOURCE_KIND, "source_kind", TG_EXPR_TEXT)     \
	X(SOURCE_ID, "source_id", TG_EXPR_TEXT)         \
	X(EVENT_ID, "event_id", TG_EXPR_TEXT)           \
	X(METRIC, "metric", TG_EXPR_TEXT)               \
	X(VALUE, "value", TG_EXPR_NUMBER)               \
	X(UNIT, "unit", TG_EXPR_TEXT)                   \
	X(QUALITY, "quality", TG_EXPR_TEXT)             \
	X(GRID_CELL, "grid_cell", TG_EXPR_TEXT)         \
	X(STREET, "street", TG_EXPR_TEXT)               \
	X(DISTRICT, "district", TG_EXPR_TEXT)           \
	X(LON, "lon", TG_EXPR_NUMBER)                   \
	X(LAT, "lat", TG_EXPR_NUMBER)                   \
	X(ACCURACY, "accuracy_m", TG_EXPR_NUMBER)       \
	X(SPEED, "speed_kmh", TG_EXPR_NUMBER)           \
	X(HEADING, "heading_deg", TG_EXPR_NUMBER)       \
	X(TITLE, "report.title", TG_EXPR_TEXT)          \
	X(TEXT, "report.text", TG_EXPR_TEXT)            \
	X(REPORTER, "report.reporter_id", TG_EXPR_TEXT) \
	X(ATTRIBUTE, "attributes", TG_EXPR_TEXT)

enum tg_expr_type { TG_EXPR_BOOL, TG_EXPR_NUMBER, TG_EXPR_TEXT };

enum tg_expr_field {
#define TG_X(name, text, type) TG_EXPR_##name##_FIELD,
	TG_EXPR_FIELDS(TG_X)
#undef TG_X
		TG_EXPR_FIELD_COUNT,
	TG_EXPR_CONSTANT, /* the operand is a literal */
};

/* Every step but the jumps sets the one accumulator. */
enum tg_expr_op {
	TG_EXPR_SET,     /* acc = flag */
	TG_EXPR_NOT,     /* acc = !acc */
	TG_EXPR_JUMP_IF, /* to `to` when acc == flag (and/or stop early) */
	TG_EXPR_EQ,
	TG_EXPR_NE,
	TG_EXPR_LT,
	TG_EXPR_LE,
	TG_EXPR_GT,
	TG_EXPR_GE,
	TG_EXPR_IN, /* b is `list`; flag: negated */
	TG_EXPR_CONTAINS,
	TG_EXPR_STARTS,
	TG_EXPR_ENDS,
};

struct tg_expr_operand {
	enum tg_expr_field field;
	enum tg_expr_type type;
	double number;
	struct tg_slice text; /* a literal, or the attribute's key */
};

struct tg_expr_step {
	enum tg_expr_op op;
	bool flag;
	uint32_t to;
	struct tg_expr_operand a, b;
	struct tg_expr_operand *list;
	size_t list_len;
};

struct tg_expr {
	struct tg_arena arena; /* holds all texts and lists */
	struct tg_expr_step *steps;
	size_t len;
};

#endif
