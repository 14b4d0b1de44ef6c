#include "cmd/feed_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "cmd/feed_json.h"

struct feed_rows {
	const char *path;
	enum feed_format format;
	size_t number;
	struct tg_csv *csv;
	struct feed_json *json;
};

bool feed_format_parse(const char *name, enum feed_format *ret)
{
	static const char *const names[] = {"csv", "ndjson", "geojson"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum feed_format)i;
			return true;
		}
	}
	return false;
}

static int open_csv(struct feed_rows *rows, struct tg_buf *why)
{
	int rc = tg_csv_open(rows->path, &rows->csv);
	const char *what = rc == -TG_ENOENT   ? "there is no such file"
			   : rc == -TG_EPARSE ? "it has no header row"
					      : "cannot be read";

	if (rc)
		(void)!tg_buf_addf(why, "%s: %s", rows->path, what);
	return rc;
}

int feed_rows_open(
	const char *path, enum feed_format format, struct feed_rows **ret, struct tg_buf *why)
{
	struct feed_rows *rows = calloc(1, sizeof(*rows));
	int rc;

	if (!rows)
		return -TG_ENOMEM;
	rows->path = path;
	rows->format = format;
	if (format == FEED_CSV)
		rc = open_csv(rows, why);
	else
		rc = feed_json_open(path, format == FEED_GEOJSON, &rows->json, why);
	if (rc)
		feed_rows_close(rows);
	else
		*ret = rows;
	return rc;
}

int feed_rows_rewind(struct feed_rows *rows, struct tg_buf *why)
{
	rows->number = 0;
	if (rows->json)
		return feed_json_rewind(rows->json);
	tg_csv_close(rows->csv);
	rows->csv = NULL;
	return open_csv(rows, why);
}

void feed_rows_close(struct feed_rows *rows)
{
	if (!rows)
		return;
	tg_csv_close(rows->csv);
	feed_json_close(rows->json);
	free(rows);
}

enum feed_format feed_rows_format(const struct feed_rows *rows)
{
	return rows->format;
}

const char *feed_rows_path(const struct feed_rows *rows)
{
	return rows->path;
}

int feed_rows_column(struct feed_rows *rows, const char *name)
{
	return rows->csv ? tg_csv_column(rows->csv, name) : feed_json_column(rows->json, name);
}

int feed_rows_next(struct feed_rows *rows, struct feed_fault *fault)
{
	int rc = rows->csv ? tg_csv_next(rows->csv) : feed_json_next(rows->json, fault);

	if (rc == 1 || rc == -TG_EPARSE)
		rows->number++;
	if (rows->csv && rc == -TG_EPARSE)
		return feed_fault_set(fault, "the row is broken",
			"a quote is not closed, or there are not %d fields",
			tg_csv_columns(rows->csv));
	if (rows->csv && rc < 0)
		(void)!feed_fault_set(fault, "cannot be read to its end", "%s", tg_err_text(rc));
	return rc;
}

struct tg_slice feed_rows_field(const struct feed_rows *rows, int column)
{
	return feed_trim(
		rows->csv ? tg_csv_field(rows->csv, column) : feed_json_field(rows->json, column));
}

struct tg_slice feed_trim(struct tg_slice s)
{
	while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
		s.data++;
		s.len--;
	}
	while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool feed_rows_point(const struct feed_rows *rows, double *ret_lon, double *ret_lat)
{
	return rows->json && feed_json_point(rows->json, ret_lon, ret_lat);
}

size_t feed_rows_number(const struct feed_rows *rows)
{
	return rows->number;
}

void feed_rows_place(const struct feed_rows *rows, char out[FEED_PLACE_MAX])
{
	size_t line = rows->csv ? tg_csv_line(rows->csv) : feed_json_line(rows->json);

	snprintf(out, FEED_PLACE_MAX, rows->format == FEED_GEOJSON ? "%s: feature %zu" : "%s:%zu",
		rows->path, line);
}

double feed_rows_share(const struct feed_rows *rows)
{
	size_t done, total;

	if (rows->json)
		return feed_json_share(rows->json);
	tg_csv_progress(rows->csv, &done, &total);
	return total ? (double)done / (double)total : 1;
}
