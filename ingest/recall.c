#include "ingest/recall.h"

#include <sodium.h>
#include <string.h>

#include "base/json.h"

enum column { POS, VALUE, KEY, HEADERS };

static int read_hex(struct tg_arena *arena, struct tg_slice text, struct tg_slice *ret)
{
	size_t len, max = text.len / 2;
	unsigned char *bytes = tg_arena_alloc(arena, max + 1);

	if (!bytes)
		return -TG_EFULL;
	if (sodium_hex2bin(bytes, max + 1, text.data, text.len, NULL, &len, NULL))
		return -TG_EPARSE;
	*ret = (struct tg_slice){(char *)bytes, len};
	return 0;
}

/* "\x…"; NULL gives no data, which is not the empty value. */
static int read_bytea(
	struct tg_arena *arena, const PGresult *res, int row, int column, struct tg_slice *ret)
{
	struct tg_slice text = tg_pg_text(res, row, column);

	*ret = (struct tg_slice){0};
	if (tg_pg_null(res, row, column))
		return 0;
	if (text.len < 2)
		return -TG_EPARSE;
	return read_hex(arena, (struct tg_slice){text.data + 2, text.len - 2}, ret);
}

/* {"name": …, "value": …}, or "hex" where the value is no text, or neither when it has none. */
static int read_header(struct tg_arena *arena, const json_t *item, struct tg_header *ret)
{
	const char *name, *value;

	*ret = (struct tg_header){0};
	if (!tg_json_str(item, "name", &name, NULL))
		return -TG_EPARSE;
	ret->name = tg_arena_strdup(arena, name, strlen(name));
	if (!ret->name)
		return -TG_EFULL;
	if (tg_json_str(item, "hex", &value, NULL))
		return read_hex(arena, tg_slice_cstr(value), &ret->value);
	if (!tg_json_str(item, "value", &value, NULL))
		return 0;
	ret->value = (struct tg_slice){tg_arena_strdup(arena, value, strlen(value)), strlen(value)};
	return ret->value.data ? 0 : -TG_EFULL;
}

static int read_headers(struct tg_arena *arena, struct tg_slice text, struct tg_record *ret)
{
	struct tg_header *headers;
	json_t *list;
	size_t n;
	int rc = tg_json_parse(text, &list, NULL);

	if (rc)
		return rc;
	n = json_array_size(list);
	headers = tg_arena_alloc(arena, n * sizeof(*headers));
	rc = headers ? 0 : -TG_EFULL;
	for (size_t i = 0; !rc && i < n; i++)
		rc = read_header(arena, json_array_get(list, i), &headers[i]);
	json_decref(list);
	ret->own = headers;
	ret->own_count = rc ? 0 : n;
	return rc;
}

int tg_recall_record(struct tg_arena *arena, const PGresult *res, int row, struct tg_record *ret)
{
	struct tg_record rec = {.offset = tg_pg_i64(res, row, POS), .stamp_us = -1};
	int rc = read_bytea(arena, res, row, VALUE, &rec.value);

	if (!rc)
		rc = read_bytea(arena, res, row, KEY, &rec.key);
	if (!rc)
		rc = read_headers(arena, tg_pg_text(res, row, HEADERS), &rec);
	if (!rc)
		*ret = rec;
	return rc;
}
