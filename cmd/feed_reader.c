#include "cmd/feed_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int complain_at(struct feed_reader *r, int line, int column, const char *fmt, va_list ap)
{
	char what[400];

	vsnprintf(what, sizeof(what), fmt, ap);
	if (tg_buf_addf(r->why, "%s:%d:%d: %s", r->path, line, column, what))
		return -TG_ENOMEM;
	return -TG_EPARSE;
}

int feed_wrong(struct feed_reader *r, const struct tg_yaml *node, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = complain_at(r, node->line, node->column, fmt, ap);
	va_end(ap);
	return rc;
}

int feed_wrong_key(struct feed_reader *r, const struct tg_yaml *node, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = complain_at(r, node->key_line, node->key_column, fmt, ap);
	va_end(ap);
	return rc;
}

static bool is_among(const char *keys, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = keys; *p;) {
		size_t len = strcspn(p, " ");

		if (len == n && memcmp(p, key, n) == 0)
			return true;
		p += len;
		p += strspn(p, " ");
	}
	return false;
}

int feed_check_keys(struct feed_reader *r, const struct tg_yaml *node, const char *keys)
{
	if (node->kind != TG_YAML_MAP)
		return feed_wrong(r, node, "a map is wanted here, with the keys: %s", keys);
	for (const struct tg_yaml *n = node->child; n; n = n->next)
		if (!is_among(keys, n->key))
			return feed_wrong_key(
				r, n, "there is no key \"%.80s\" here, only: %s", n->key, keys);
	return 0;
}

int feed_need(struct feed_reader *r, struct tg_yaml *map, const char *key, struct tg_yaml **ret)
{
	*ret = tg_yaml_get(map, key);
	return *ret ? 0 : feed_wrong(r, map, "the key \"%s\" is missing", key);
}

int feed_scalar(struct feed_reader *r, const struct tg_yaml *node, const char **ret)
{
	if (node->kind != TG_YAML_SCALAR)
		return feed_wrong(r, node, "a text is wanted here");
	if (!node->text[0])
		return feed_wrong(r, node, "a text is wanted here, this is empty");
	*ret = node->text;
	return 0;
}

int feed_texts(struct feed_reader *r, const struct tg_yaml *node, const char *const **ret,
	size_t *ret_count)
{
	const char **texts;
	size_t n = 0;

	if (node->kind != TG_YAML_SEQ)
		return feed_wrong(r, node, "a list of texts is wanted here: [a, b]");
	for (const struct tg_yaml *c = node->child; c; c = c->next, n++)
		if (c->kind != TG_YAML_SCALAR)
			return feed_wrong(r, c, "a text is wanted here");
	texts = feed_memory(r, node, n, sizeof(*texts));
	if (!texts)
		return -TG_ENOMEM;
	n = 0;
	for (const struct tg_yaml *c = node->child; c; c = c->next)
		texts[n++] = c->text;
	*ret = texts;
	*ret_count = n;
	return 0;
}

int feed_beside(
	struct feed_reader *r, const struct tg_yaml *node, const char *name, const char **ret)
{
	const char *slash = strrchr(r->path, '/');
	size_t folder = slash && name[0] != '/' ? (size_t)(slash - r->path) + 1 : 0;
	char *path = feed_memory(r, node, folder + strlen(name) + 1, 1);

	if (!path)
		return -TG_ENOMEM;
	memcpy(path, r->path, folder);
	strcpy(path + folder, name);
	*ret = path;
	return 0;
}

void *feed_memory(struct feed_reader *r, const struct tg_yaml *node, size_t count, size_t size)
{
	void *p = size && count > SIZE_MAX / size ? NULL : tg_arena_alloc(r->arena, count * size);

	if (!p) {
		(void)!feed_wrong(r, node, "the profile and its tables hold too much");
		return NULL;
	}
	memset(p, 0, count * size);
	return p;
}
