#include "base/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"

#define TEXT_MAX  ((size_t)4 << 20)
#define TREE_MAX  ((size_t)64 << 20)
#define DEPTH_MAX 32
#define KEYS_MAX  4096 /* of one map; they are compared pairwise */

/* The root is the first member, so that tg_yaml_free finds the arena that holds all other nodes. */
struct tree {
	struct tg_yaml root;
	struct tg_arena arena;
};

struct loader {
	const char *name;
	struct tg_slice text;
	struct tg_buf *why;
	struct tree *tree;
	yaml_parser_t parser;
	int depth;
};

static int complain(struct loader *l, size_t line, size_t column, const char *what)
{
	int rc = tg_buf_addf(l->why, "%s:%zu:%zu: %s", l->name, line + 1, column + 1, what);

	return rc == -TG_ENOMEM ? rc : -TG_EPARSE;
}

static int complain_at(struct loader *l, const yaml_event_t *ev, const char *what)
{
	return complain(l, ev->start_mark.line, ev->start_mark.column, what);
}

/* libyaml gives its reader's errors an offset in bytes but no line. */
static int complain_parser(struct loader *l)
{
	const yaml_parser_t *p = &l->parser;
	size_t line = 0, column = 0;
	char what[256];

	if (p->error == YAML_MEMORY_ERROR)
		return -TG_ENOMEM;
	if (p->error != YAML_READER_ERROR) {
		snprintf(what, sizeof(what), "%s%s%s", p->problem ? p->problem : "not YAML",
			p->context ? " " : "", p->context ? p->context : "");
		return complain(l, p->problem_mark.line, p->problem_mark.column, what);
	}
	for (size_t i = 0; i < p->problem_offset && i < l->text.len; i++, column++) {
		if (l->text.data[i] == '\n') {
			line++;
			column = (size_t)-1;
		}
	}
	return complain(l, line, column, p->problem);
}

static int next_event(struct loader *l, yaml_event_t *ev)
{
	return yaml_parser_parse(&l->parser, ev) ? 0 : complain_parser(l);
}

static int check_plain(
	struct loader *l, const yaml_event_t *ev, const void *anchor, const void *tag)
{
	if (anchor)
		return complain_at(l, ev, "anchors (&name) are not used here");
	if (tag)
		return complain_at(l, ev, "tags (!name) are not used here");
	return 0;
}

static int copy_scalar(struct loader *l, const yaml_event_t *ev, const char **ret)
{
	const char *text = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	int rc = check_plain(l, ev, ev->data.scalar.anchor, ev->data.scalar.tag);

	if (rc)
		return rc;
	if (memchr(text, '\0', len))
		return complain_at(l, ev, "a text must not hold a NUL character");
	*ret = tg_arena_strdup(&l->tree->arena, text, len);
	return *ret ? 0 : complain_at(l, ev, "the file holds too much");
}

static int load_node(struct loader *l, yaml_event_t *ev, struct tg_yaml *node);

/* Takes the key's event, then reads the value that must follow. */
static int load_pair(
	struct loader *l, const yaml_event_t *key, const struct tg_yaml *map, struct tg_yaml *node)
{
	yaml_event_t ev;
	int rc;

	if (key->type != YAML_SCALAR_EVENT)
		return complain_at(l, key, "a key must be a plain text");
	rc = copy_scalar(l, key, &node->key);
	if (rc)
		return rc;
	node->key_line = (int)key->start_mark.line + 1;
	node->key_column = (int)key->start_mark.column + 1;
	for (const struct tg_yaml *other = map->child; other; other = other->next) {
		char what[160];

		if (strcmp(other->key, node->key) != 0)
			continue;
		snprintf(what, sizeof(what), "the key \"%.80s\" stands already on line %d",
			node->key, other->key_line);
		return complain_at(l, key, what);
	}
	rc = next_event(l, &ev);
	if (rc)
		return rc;
	rc = load_node(l, &ev, node);
	yaml_event_delete(&ev);
	return rc;
}

static int load_child(
	struct loader *l, yaml_event_t *ev, struct tg_yaml *parent, struct tg_yaml **tail)
{
	struct tg_yaml *node = tg_arena_alloc(&l->tree->arena, sizeof(*node));
	int rc;

	if (!node)
		return complain_at(l, ev, "the file holds too much");
	*node = (struct tg_yaml){0};
	rc = parent->kind == TG_YAML_MAP ? load_pair(l, ev, parent, node) : load_node(l, ev, node);
	if (rc)
		return rc;
	if (*tail)
		(*tail)->next = node;
	else
		parent->child = node;
	*tail = node;
	return 0;
}

static int load_children(struct loader *l, struct tg_yaml *parent, yaml_event_type_t end)
{
	struct tg_yaml *tail = NULL;
	yaml_event_t ev;
	int rc = 0, n = 0;

	while (!rc) {
		rc = next_event(l, &ev);
		if (rc)
			break;
		if (ev.type == end) {
			yaml_event_delete(&ev);
			break;
		}
		if (parent->kind == TG_YAML_MAP && ++n > KEYS_MAX)
			rc = complain_at(l, &ev, "too many keys in one map");
		else
			rc = load_child(l, &ev, parent, &tail);
		yaml_event_delete(&ev);
	}
	return rc;
}

static int load_node(struct loader *l, yaml_event_t *ev, struct tg_yaml *node)
{
	yaml_event_type_t end;
	int rc;

	node->line = (int)ev->start_mark.line + 1;
	node->column = (int)ev->start_mark.column + 1;
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		node->kind = TG_YAML_SCALAR;
		node->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		return copy_scalar(l, ev, &node->text);
	case YAML_SEQUENCE_START_EVENT:
		node->kind = TG_YAML_SEQ;
		end = YAML_SEQUENCE_END_EVENT;
		rc = check_plain(
			l, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		node->kind = TG_YAML_MAP;
		end = YAML_MAPPING_END_EVENT;
		rc = check_plain(l, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
		break;
	default: return complain_at(l, ev, "aliases (*name) are not used here");
	}
	if (rc)
		return rc;
	if (l->depth >= DEPTH_MAX)
		return complain_at(l, ev, "nested too deeply");
	l->depth++;
	rc = load_children(l, node, end);
	l->depth--;
	return rc;
}

/* Stream start, one document, stream end. */
static int load_stream(struct loader *l)
{
	static const yaml_event_type_t order[] = {YAML_STREAM_START_EVENT,
		YAML_DOCUMENT_START_EVENT, YAML_NO_EVENT, YAML_DOCUMENT_END_EVENT,
		YAML_STREAM_END_EVENT};
	int rc = 0;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !rc; i++) {
		yaml_event_t ev;

		rc = next_event(l, &ev);
		if (rc)
			break;
		if (order[i] == YAML_NO_EVENT)
			rc = load_node(l, &ev, &l->tree->root);
		else if (ev.type == YAML_STREAM_END_EVENT && order[i] != ev.type)
			rc = complain_at(l, &ev, "the file is empty");
		else if (ev.type == YAML_DOCUMENT_START_EVENT && order[i] != ev.type)
			rc = complain_at(l, &ev, "only one document (---) may stand in a file");
		yaml_event_delete(&ev);
	}
	return rc;
}

int tg_yaml_parse(const char *name, struct tg_slice text, struct tg_yaml **ret, struct tg_buf *why)
{
	struct loader l = {.name = name, .text = text, .why = why};
	int rc;

	if (text.len > TEXT_MAX)
		return complain(&l, 0, 0, "the file is larger than 4 MiB");
	l.tree = calloc(1, sizeof(*l.tree));
	if (!l.tree)
		return -TG_ENOMEM;
	tg_arena_init(&l.tree->arena, 65536, TREE_MAX);
	if (!yaml_parser_initialize(&l.parser)) {
		tg_yaml_free(&l.tree->root);
		return -TG_ENOMEM;
	}
	yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
		&l.parser, (const uint8_t *)(text.len ? text.data : ""), text.len);
	rc = load_stream(&l);
	yaml_parser_delete(&l.parser);
	if (rc)
		tg_yaml_free(&l.tree->root);
	else
		*ret = &l.tree->root;
	return rc;
}

int tg_yaml_load(const char *path, struct tg_yaml **ret, struct tg_buf *why)
{
	struct tg_buf text = {.max = TEXT_MAX};
	int rc = tg_buf_read_file(&text, path);

	if (rc && rc != -TG_ENOMEM) {
		rc = tg_buf_addf(why, "%s:1:1: cannot be read: %s", path,
			rc == -TG_EFULL ? "it is larger than 4 MiB" : strerror(errno));
		rc = rc == -TG_ENOMEM ? rc : -TG_EPARSE;
	} else if (!rc) {
		rc = tg_yaml_parse(path, (struct tg_slice){text.data, text.len}, ret, why);
	}
	tg_buf_release(&text);
	return rc;
}

void tg_yaml_free(struct tg_yaml *root)
{
	struct tree *tree = (struct tree *)(void *)root;

	if (!tree)
		return;
	tg_arena_release(&tree->arena);
	free(tree);
}

struct tg_yaml *tg_yaml_get(struct tg_yaml *map, const char *key)
{
	if (map->kind != TG_YAML_MAP)
		return NULL;
	for (struct tg_yaml *n = map->child; n; n = n->next) {
		if (strcmp(n->key, key) == 0) {
			n->seen = true;
			return n;
		}
	}
	return NULL;
}

static bool is_plain_scalar(const struct tg_yaml *node)
{
	return node->kind == TG_YAML_SCALAR && !node->quoted;
}

static const char *skip_digits(const char *p)
{
	return p + strspn(p, "0123456789");
}

/* The end of an integer part: "0", or digits that do not begin with 0 (YAML 1.1 reads 010 as
 * eight). */
static const char *integer_end(const char *p)
{
	const char *digits = p + (*p == '-'), *end = skip_digits(digits);

	return end == digits || (*digits == '0' && end > digits + 1) ? NULL : end;
}

int tg_yaml_int(const struct tg_yaml *node, int64_t *ret)
{
	const char *end;
	long long v;

	if (!is_plain_scalar(node))
		return -TG_EPARSE;
	end = integer_end(node->text);
	if (!end || *end)
		return -TG_EPARSE;
	errno = 0;
	v = strtoll(node->text, NULL, 10);
	if (errno)
		return -TG_EPARSE;
	*ret = v;
	return 0;
}

int tg_yaml_dbl(const struct tg_yaml *node, double *ret)
{
	const char *p, *digits;
	double v;

	if (!is_plain_scalar(node))
		return -TG_EPARSE;
	p = integer_end(node->text);
	if (p && *p == '.') {
		digits = p + 1;
		p = skip_digits(digits);
		p = p == digits ? NULL : p;
	}
	if (p && (*p == 'e' || *p == 'E')) {
		digits = p + 1 + (p[1] == '-' || p[1] == '+');
		p = skip_digits(digits);
		p = p == digits ? NULL : p;
	}
	if (!p || *p)
		return -TG_EPARSE;
	v = strtod(node->text, NULL);
	if (!isfinite(v))
		return -TG_EPARSE;
	*ret = v;
	return 0;
}

int tg_yaml_bool(const struct tg_yaml *node, bool *ret)
{
	bool yes;

	if (!is_plain_scalar(node))
		return -TG_EPARSE;
	yes = strcmp(node->text, "true") == 0;
	if (!yes && strcmp(node->text, "false") != 0)
		return -TG_EPARSE;
	*ret = yes;
	return 0;
}
