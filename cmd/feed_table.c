#include "cmd/feed_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"

/* One table being read: rows gather in a buffer and end, sorted, in the arena. */
struct table {
	struct feed_reader *r;
	const char *path;
	struct tg_csv *csv;
	struct tg_buf rows;
	size_t row_bytes;
	int (*take)(struct table *table, void *row);
	int column[3];
};

static int table_wrong(struct table *t, const char *what, const char *which)
{
	size_t line = t->csv ? tg_csv_line(t->csv) : 1;

	if (tg_buf_addf(t->r->why, "%s:%zu:1: %s%.80s", t->path, line, what, which))
		return -TG_ENOMEM;
	return -TG_EPARSE;
}

static int copy_field(struct table *t, int column, const char **ret)
{
	struct tg_slice s = feed_trim(tg_csv_field(t->csv, column));

	if (memchr(s.len ? s.data : "", '\0', s.len) || !tg_utf8_valid(s))
		return table_wrong(t, "a text is not UTF-8", "");
	*ret = tg_arena_strdup(t->r->arena, s.len ? s.data : "", s.len);
	return *ret ? 0 : table_wrong(t, "the table is too large", "");
}

static int take_entry(struct table *t, void *row)
{
	struct feed_entry *entry = row;
	int rc = copy_field(t, t->column[0], &entry->value);

	return rc ? rc : copy_field(t, t->column[1], &entry->result);
}

static int take_spot(struct table *t, void *row)
{
	struct feed_spot *spot = row;
	const char *lon = NULL, *lat = NULL;
	int rc = copy_field(t, t->column[0], &spot->value);

	if (!rc)
		rc = copy_field(t, t->column[1], &lon);
	if (!rc)
		rc = copy_field(t, t->column[2], &lat);
	if (!rc && (!feed_decimal_parse(lon, &spot->lon) || !feed_decimal_parse(lat, &spot->lat)))
		rc = table_wrong(t, "lon and lat are numbers in degrees", "");
	return rc;
}

/* Both kinds of row begin with their value. */
static int table_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int take_rows(struct table *t)
{
	int rc;

	while ((rc = tg_csv_next(t->csv)) == 1) {
		union {
			struct feed_entry entry;
			struct feed_spot spot;
		} row = {0};

		rc = t->take(t, &row);
		if (rc)
			return rc;
		if (tg_buf_add(&t->rows, &row, t->row_bytes))
			return table_wrong(t, "a table has at most a million rows", "");
	}
	return rc ? table_wrong(t, "the row is broken or the file cannot be read", "") : 0;
}

static int finish_table(struct table *t, const struct tg_yaml *node, void **ret, size_t *ret_count)
{
	size_t n = t->rows.len / t->row_bytes;
	char *rows = feed_memory(t->r, node, n + 1, t->row_bytes);

	if (!rows)
		return -TG_ENOMEM;
	if (n) {
		memcpy(rows, t->rows.data, t->rows.len);
		qsort(rows, n, t->row_bytes, table_order);
	}
	for (size_t i = 1; i < n; i++) {
		const char *at = rows + i * t->row_bytes;

		if (table_order(at - t->row_bytes, at) == 0)
			return feed_wrong(t->r, node, "%s holds \"%.80s\" twice", t->path,
				*(const char *const *)(const void *)at);
	}
	*ret = rows;
	*ret_count = n;
	return 0;
}

static int open_table(struct table *t, const struct tg_yaml *node)
{
	const char *name = NULL;
	int rc = feed_scalar(t->r, node, &name);

	if (!rc)
		rc = feed_beside(t->r, node, name, &t->path);
	if (rc)
		return rc;
	rc = tg_csv_open(t->path, &t->csv);
	if (rc == -TG_EPARSE)
		return table_wrong(t, "a table begins with the names of its columns", "");
	if (rc)
		return feed_wrong(t->r, node, "%s cannot be read: %s", t->path, tg_err_text(rc));
	t->rows.max = FEED_TABLE_ROWS_MAX * t->row_bytes;
	t->column[0] = tg_csv_column(t->csv, "value");
	return t->column[0] < 0 ? table_wrong(t, "there is no column value", "") : 0;
}

static int run_table(struct table *t, const struct tg_yaml *node, void **ret, size_t *ret_count)
{
	int rc = take_rows(t);

	return rc ? rc : finish_table(t, node, ret, ret_count);
}

static void close_table(struct table *t)
{
	tg_csv_close(t->csv);
	tg_buf_release(&t->rows);
}

int feed_table_read(struct feed_reader *r, const struct tg_yaml *node,
	const struct feed_entry **ret, size_t *ret_count)
{
	struct table t = {.r = r, .row_bytes = sizeof(struct feed_entry), .take = take_entry};
	void *rows = NULL;
	int rc = open_table(&t, node);

	if (!rc && tg_csv_columns(t.csv) < 2)
		rc = table_wrong(&t, "beside value a column with the result is wanted", "");
	if (!rc) {
		t.column[1] = t.column[0] == 0;
		rc = run_table(&t, node, &rows, ret_count);
	}
	close_table(&t);
	if (!rc)
		*ret = rows;
	return rc;
}

int feed_spots_read(struct feed_reader *r, const struct tg_yaml *node, const struct feed_spot **ret,
	size_t *ret_count)
{
	static const char *const names[] = {"value", "lon", "lat"};
	struct table t = {.r = r, .row_bytes = sizeof(struct feed_spot), .take = take_spot};
	void *rows = NULL;
	int rc = open_table(&t, node);

	for (size_t i = 1; i < 3 && !rc; i++) {
		t.column[i] = tg_csv_column(t.csv, names[i]);
		if (t.column[i] < 0)
			rc = table_wrong(&t, "there is no column ", names[i]);
	}
	if (!rc)
		rc = run_table(&t, node, &rows, ret_count);
	close_table(&t);
	if (!rc)
		*ret = rows;
	return rc;
}
