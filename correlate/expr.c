/* Compiling an expression: a recursive descent that writes its program as it reads. `or` binds
 * weakest, then `and`, then `not`, then comparisons. Depth and length have limits, so no text can
 * exhaust the stack. */
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/expr_impl.h"

enum token {
	END,
	NAME,
	NUMBER,
	TEXT,
	EQ,
	NE,
	LT,
	LE,
	GT,
	GE,
	AND,
	OR,
	NOT,
	IN,
	TRUE_,
	FALSE_,
	OPEN,
	CLOSE,
	LIST,
	LIST_END,
	COMMA,
	DOT,
	BAD
};

struct parser {
	struct tg_slice in;
	size_t at;    /* next byte to read */
	size_t start; /* of the current token */
	enum token now;
	double number;
	struct tg_slice text; /* name, or a literal without its quotes */
	int depth;
	struct tg_expr *expr;
	struct tg_expr_error *error;
	int rc;
};

static const struct {
	const char *name;
	enum tg_expr_type type;
} fields[] = {
#define TG_X(id, text, type) {text, type},
	TG_EXPR_FIELDS(TG_X)
#undef TG_X
};

#define TG_X(id, text, type) ", " text
static const char field_names[] = TG_EXPR_FIELDS(TG_X);
#undef TG_X

const char *tg_expr_fields(void)
{
	return field_names + 2;
}

__attribute__((format(printf, 3, 4))) static int fail_at(
	struct parser *p, size_t at, const char *fmt, ...)
{
	va_list ap;

	if (p->rc)
		return p->rc;
	p->rc = -TG_EPARSE;
	p->error->line = 1;
	p->error->column = 1;
	for (size_t i = 0; i < at && i < p->in.len; i++) {
		p->error->column++;
		if (p->in.data[i] == '\n') {
			p->error->line++;
			p->error->column = 1;
		}
	}
	va_start(ap, fmt);
	vsnprintf(p->error->what, sizeof(p->error->what), fmt, ap);
	va_end(ap);
	p->now = BAD;
	return p->rc;
}

#define fail(p, ...) fail_at((p), (p)->start, __VA_ARGS__)

static int no_memory(struct parser *p)
{
	fail(p, "out of memory");
	return p->rc = -TG_ENOMEM;
}

/* A text literal in single or double quotes; \\ \" \' \n \t inside. */
static void read_text(struct parser *p)
{
	char quote = p->in.data[p->at++];
	char *out = tg_arena_alloc(&p->expr->arena, p->in.len);
	size_t len = 0;

	if (!out) {
		no_memory(p);
		return;
	}
	while (p->at < p->in.len && p->in.data[p->at] != quote) {
		char c = p->in.data[p->at++];

		if (c == '\\') {
			c = p->at < p->in.len ? p->in.data[p->at++] : '\0';
			if (c == 'n' || c == 't') {
				c = c == 'n' ? '\n' : '\t';
			} else if (c != '\\' && c != '"' && c != '\'') {
				fail_at(p, p->at - 1,
					"after a backslash only \\ \" ' n t may stand");
				return;
			}
		}
		out[len++] = c;
	}
	if (p->at == p->in.len) {
		fail(p, "this text is not closed");
		return;
	}
	p->at++;
	p->text = (struct tg_slice){out, len};
	p->now = TEXT;
}

static void read_number(struct parser *p)
{
	char copy[64];
	size_t len = 0;
	char *end;

	while (p->at + len < p->in.len && len < sizeof(copy) - 1) {
		char c = p->in.data[p->at + len];
		bool sign = c == '-' || c == '+';

		if (!isdigit((unsigned char)c) && c != '.' && c != 'e' && c != 'E' &&
			!(sign && (len == 0 || copy[len - 1] == 'e' || copy[len - 1] == 'E')))
			break;
		copy[len++] = c;
	}
	copy[len] = '\0';
	p->number = strtod(copy, &end);
	if (end != copy + len || p->number - p->number != 0) {
		fail(p, "'%s' is no number", copy);
		return;
	}
	p->at += len;
	p->now = NUMBER;
}

static void read_word(struct parser *p)
{
	static const struct {
		const char *word;
		enum token token;
	} words[] = {{"and", AND}, {"or", OR}, {"not", NOT}, {"in", IN}, {"true", TRUE_},
		{"false", FALSE_}};

	while (p->at < p->in.len &&
		(isalnum((unsigned char)p->in.data[p->at]) || p->in.data[p->at] == '_'))
		p->at++;
	p->text = (struct tg_slice){p->in.data + p->start, p->at - p->start};
	p->now = NAME;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (tg_slice_is(p->text, words[i].word))
			p->now = words[i].token;
}

static void read_sign(struct parser *p)
{
	static const struct {
		const char *sign;
		enum token token;
	} signs[] = {{"==", EQ}, {"!=", NE}, {"<=", LE}, {">=", GE}, {"&&", AND}, {"||", OR},
		{"<", LT}, {">", GT}, {"!", NOT}, {"(", OPEN}, {")", CLOSE}, {"[", LIST},
		{"]", LIST_END}, {",", COMMA}, {".", DOT}};

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		size_t len = strlen(signs[i].sign);

		if (p->in.len - p->at >= len &&
			memcmp(p->in.data + p->at, signs[i].sign, len) == 0) {
			p->at += len;
			p->now = signs[i].token;
			return;
		}
	}
	if (p->in.data[p->at] == '=')
		fail(p, "write == to compare");
	else
		fail(p, "a character that no expression has");
}

static void next(struct parser *p)
{
	if (p->rc)
		return;
	while (p->at < p->in.len && isspace((unsigned char)p->in.data[p->at]))
		p->at++;
	p->start = p->at;
	if (p->at == p->in.len) {
		p->now = END;
		return;
	}
	char c = p->in.data[p->at];

	if (c == '"' || c == '\'')
		read_text(p);
	else if (isdigit((unsigned char)c) || c == '-' || c == '+')
		read_number(p);
	else if (isalpha((unsigned char)c) || c == '_')
		read_word(p);
	else
		read_sign(p);
}

/* NULL when the program is full. */
static struct tg_expr_step *emit(struct parser *p, enum tg_expr_op op)
{
	if (p->rc)
		return NULL;
	if (p->expr->len == TG_EXPR_STEPS_MAX) {
		fail(p, "the expression is too long (%d steps)", TG_EXPR_STEPS_MAX);
		return NULL;
	}
	struct tg_expr_step *s = &p->expr->steps[p->expr->len++];

	*s = (struct tg_expr_step){.op = op};
	return s;
}

static void read_attribute_key(struct parser *p, struct tg_expr_operand *ret)
{
	next(p);
	if (p->now != LIST) {
		fail(p, "write attributes[\"key\"]");
		return;
	}
	next(p);
	if (p->now != TEXT) {
		fail(p, "an attribute's key stands in quotes");
		return;
	}
	ret->text = p->text;
	next(p);
	if (p->now != LIST_END)
		fail(p, "a ] is missing");
}

static void read_field(struct parser *p, struct tg_expr_operand *ret)
{
	char name[64];
	size_t begin = p->start, len = p->text.len;
	bool report = tg_slice_is(p->text, "report");

	if (report) {
		next(p);
		if (p->now == DOT)
			next(p);
		if (p->now != NAME) {
			fail(p, "report. wants title, text or reporter_id");
			return;
		}
		len = p->at - begin;
	}
	snprintf(name, sizeof(name), "%.*s", (int)len, p->in.data + begin);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0) {
			*ret = (struct tg_expr_operand){
				.field = (enum tg_expr_field)i, .type = fields[i].type};
			if (i == TG_EXPR_ATTRIBUTE_FIELD)
				read_attribute_key(p, ret);
			next(p);
			return;
		}
	fail_at(p, begin, "'%s' is no field; known: %.80s ...", name, tg_expr_fields());
}

static void read_operand(struct parser *p, struct tg_expr_operand *ret)
{
	*ret = (struct tg_expr_operand){.field = TG_EXPR_CONSTANT};
	if (p->now == NUMBER) {
		ret->type = TG_EXPR_NUMBER;
		ret->number = p->number;
		next(p);
	} else if (p->now == TEXT) {
		ret->type = TG_EXPR_TEXT;
		ret->text = p->text;
		next(p);
	} else if (p->now == NAME) {
		read_field(p, ret);
	} else {
		fail(p, "a field, a number or a text is missing here");
	}
}

static const char *type_name(enum tg_expr_type type)
{
	return type == TG_EXPR_NUMBER ? "a number" : "a text";
}

/* A wrong name of a kind of source would be silently false for ever. */
static void check_pair(struct parser *p, size_t at, const struct tg_expr_operand *a,
	const struct tg_expr_operand *b)
{
	int kind;

	if (p->rc)
		return;
	if (a->type != b->type)
		fail_at(p, at, "%s is compared with %s", type_name(a->type), type_name(b->type));
	else if (a->field == TG_EXPR_SOURCE_KIND_FIELD && b->field == TG_EXPR_CONSTANT &&
		 !tg_source_kind_parse(b->text, &kind))
		fail_at(p, at,
			"source_kind is sensor, vehicle, inspector, citizen, video or system");
}

static void read_list(struct parser *p, const struct tg_expr_operand *a, bool negated)
{
	struct tg_expr_step *s = emit(p, TG_EXPR_IN);
	struct tg_expr_operand items[256];
	size_t len = 0;

	if (p->now != LIST)
		fail(p, "`in` wants a list: in [1, 2]");
	if (p->rc)
		return;
	do {
		next(p);
		size_t at = p->start;

		if (p->now == LIST_END && len == 0)
			break;
		if (len == sizeof(items) / sizeof(items[0])) {
			fail(p, "a list has at most 256 items");
			return;
		}
		read_operand(p, &items[len]);
		if (!p->rc && items[len].field != TG_EXPR_CONSTANT)
			fail_at(p, at, "a list holds numbers or texts, not fields");
		check_pair(p, at, a, &items[len++]);
	} while (p->now == COMMA);
	if (p->now != LIST_END)
		fail(p, "a ] or , is missing");
	if (p->rc)
		return;
	next(p);
	s->a = *a;
	s->flag = negated;
	s->list_len = len;
	s->list = tg_arena_alloc(&p->expr->arena, len * sizeof(*items));
	if (!s->list)
		no_memory(p);
	else
		memcpy(s->list, items, len * sizeof(*items));
}

static void read_method(struct parser *p, const struct tg_expr_operand *a)
{
	enum tg_expr_op op;

	next(p);
	if (p->now == NAME && tg_slice_is(p->text, "contains")) {
		op = TG_EXPR_CONTAINS;
	} else if (p->now == NAME && tg_slice_is(p->text, "startsWith")) {
		op = TG_EXPR_STARTS;
	} else if (p->now == NAME && tg_slice_is(p->text, "endsWith")) {
		op = TG_EXPR_ENDS;
	} else {
		fail(p, "known here: contains, startsWith, endsWith");
		return;
	}
	if (a->type != TG_EXPR_TEXT)
		fail(p, "a number has no such function");
	next(p);
	if (p->now != OPEN)
		fail(p, "a ( is missing");
	next(p);
	if (p->now != TEXT)
		fail(p, "a text in quotes is missing here");
	struct tg_expr_step *s = emit(p, op);

	if (!s)
		return;
	s->a = *a;
	s->b = (struct tg_expr_operand){
		.field = TG_EXPR_CONSTANT, .type = TG_EXPR_TEXT, .text = p->text};
	next(p);
	if (p->now != CLOSE)
		fail(p, "a ) is missing");
	next(p);
}

static void read_comparison(struct parser *p)
{
	static const enum tg_expr_op ops[] = {[EQ] = TG_EXPR_EQ,
		[NE] = TG_EXPR_NE,
		[LT] = TG_EXPR_LT,
		[LE] = TG_EXPR_LE,
		[GT] = TG_EXPR_GT,
		[GE] = TG_EXPR_GE};
	struct tg_expr_operand a, b;
	enum token op;
	bool negated;
	size_t at;

	read_operand(p, &a);
	negated = p->now == NOT;
	if (negated) {
		next(p);
		if (p->now != IN)
			fail(p, "`in` must follow `not` here");
	}
	if (p->now == IN) {
		next(p);
		read_list(p, &a, negated);
		return;
	}
	if (p->now == DOT) {
		read_method(p, &a);
		return;
	}
	op = p->now;
	if (op < EQ || op > GE) {
		fail(p, "a comparison is missing: == != < <= > >= or in");
		return;
	}
	next(p);
	at = p->start;
	read_operand(p, &b);
	check_pair(p, at, &a, &b);
	struct tg_expr_step *s = emit(p, ops[op]);

	if (s) {
		s->a = a;
		s->b = b;
	}
}

static void read_or(struct parser *p);

static void read_unary(struct parser *p)
{
	if (++p->depth > TG_EXPR_DEPTH_MAX)
		fail(p, "nesting is limited to %d levels", TG_EXPR_DEPTH_MAX);
	if (p->now == NOT) {
		next(p);
		read_unary(p);
		(void)emit(p, TG_EXPR_NOT);
	} else if (p->now == OPEN) {
		next(p);
		read_or(p);
		if (p->now != CLOSE)
			fail(p, "a ) is missing");
		next(p);
	} else if (p->now == TRUE_ || p->now == FALSE_) {
		struct tg_expr_step *s = emit(p, TG_EXPR_SET);

		if (s)
			s->flag = p->now == TRUE_;
		next(p);
	} else if (p->now != BAD) {
		read_comparison(p);
	}
	p->depth--;
}

/* a OP b OP c: after each operand but the last, leave when the answer is known. */
static void read_chain(struct parser *p, enum token op, void (*inner)(struct parser *p))
{
	inner(p);
	while (p->now == op) {
		size_t jump = p->expr->len;
		struct tg_expr_step *s = emit(p, TG_EXPR_JUMP_IF);

		if (!s)
			return;
		s->flag = op == OR;
		next(p);
		inner(p);
		p->expr->steps[jump].to = (uint32_t)p->expr->len;
	}
}

static void read_and(struct parser *p)
{
	read_chain(p, AND, read_unary);
}

static void read_or(struct parser *p)
{
	read_chain(p, OR, read_and);
}

int tg_expr_compile(struct tg_slice text, struct tg_expr **ret, struct tg_expr_error *ret_error)
{
	struct tg_expr *expr = calloc(1, sizeof(*expr));
	struct parser p = {.in = text, .expr = expr, .error = ret_error};

	if (!expr)
		return -TG_ENOMEM;
	tg_arena_init(&expr->arena, 4096, (size_t)8 << 20);
	expr->steps = calloc(TG_EXPR_STEPS_MAX, sizeof(*expr->steps));
	if (!expr->steps)
		no_memory(&p);
	if (text.len > TG_EXPR_BYTES_MAX)
		fail(&p, "an expression has at most %d bytes", TG_EXPR_BYTES_MAX);
	next(&p);
	if (!p.rc && p.now == END)
		fail(&p, "the expression is empty");
	if (!p.rc)
		read_or(&p);
	if (!p.rc && p.now != END)
		fail(&p, "the expression should end here");
	if (p.rc) {
		tg_expr_free(expr);
		return p.rc;
	}
	*ret = expr;
	return 0;
}

void tg_expr_free(struct tg_expr *expr)
{
	if (!expr)
		return;
	tg_arena_release(&expr->arena);
	free(expr->steps);
	free(expr);
}
