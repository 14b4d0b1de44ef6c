#include "base/csv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define ROW_MAX     ((size_t)1 << 20)
#define READ_BYTES  ((size_t)256 << 10)
#define COLUMNS_MAX 4096

struct field {
	size_t start, end; /* in the window, without the quotes */
	bool doubled;      /* holds "" still */
};

/* The window holds whole rows from the file; the row being looked at starts at `at`, so that a row
 * that turns out broken can be left by its first line. */
struct tg_csv {
	gzFile file;
	size_t total_bytes;
	struct tg_buf window;
	size_t at;
	bool ended;  /* nothing more will be read */
	bool failed; /* and not because the file was over */
	size_t line_next, line;
	struct field *fields;
	size_t field_count, field_cap;
	char *header; /* names, each NUL-terminated */
	const char **names;
	size_t name_count;
};

/* Brings more of the file into the window, after moving the current row to its front. */
static int fill(struct tg_csv *csv)
{
	struct tg_buf *w = &csv->window;
	int n, rc, status;

	if (csv->at) {
		memmove(w->data, w->data + csv->at, w->len - csv->at);
		w->len -= csv->at;
		csv->at = 0;
	}
	rc = tg_buf_reserve(w, READ_BYTES);
	if (rc)
		return rc;
	n = gzread(csv->file, w->data + w->len, (unsigned)READ_BYTES);
	if (n > 0)
		w->len += (size_t)n;
	if (n < (int)READ_BYTES) {
		csv->ended = true;
		gzerror(csv->file, &status);
		csv->failed = n < 0 || status == Z_BUF_ERROR; /* the latter: a cut .gz */
	}
	return 0;
}

/* CUT: the file ends inside quotes. */
enum scan { SCAN_ROW, SCAN_MORE, SCAN_CUT, SCAN_BAD, SCAN_NOMEM };

static int add_field(struct tg_csv *csv, struct field f)
{
	if (csv->field_count == csv->field_cap) {
		size_t cap = csv->field_cap ? csv->field_cap * 2 : 32;
		struct field *p = realloc(csv->fields, cap * sizeof(*p));

		if (!p)
			return -TG_ENOMEM;
		csv->fields = p;
		csv->field_cap = cap;
	}
	csv->fields[csv->field_count++] = f;
	return 0;
}

/* A quoted field from the byte after its quote. *pos ends behind the closing quote. */
static enum scan scan_quoted(const struct tg_csv *csv, size_t *pos, struct field *ret)
{
	const char *data = csv->window.data;
	size_t len = csv->window.len, p = *pos;

	*ret = (struct field){.start = p};
	for (;;) {
		const char *quote = p < len ? memchr(data + p, '"', len - p) : NULL;

		if (!quote)
			return csv->ended ? SCAN_CUT : SCAN_MORE;
		p = (size_t)(quote - data) + 1;
		if (p == len && !csv->ended)
			return SCAN_MORE; /* the next byte may double this quote */
		if (p == len || data[p] != '"')
			break;
		ret->doubled = true;
		p++;
	}
	ret->end = p - 1;
	*pos = p;
	return SCAN_ROW;
}

static void scan_plain(const struct tg_csv *csv, size_t *pos, struct field *ret)
{
	const char *data = csv->window.data;
	size_t p = *pos;

	while (p < csv->window.len && data[p] != ',' && data[p] != '\n')
		p++;
	*ret = (struct field){.start = *pos, .end = p};
	if (p > *pos && data[p - 1] == '\r' && (p == csv->window.len || data[p] == '\n'))
		ret->end--;
	*pos = p;
}

/* Finds the fields of the row at csv->at without changing a byte; *ret_end is where the next row
 * starts. */
static enum scan scan_row(struct tg_csv *csv, size_t *ret_end)
{
	const char *data = csv->window.data;
	size_t len = csv->window.len, p = csv->at;

	csv->field_count = 0;
	for (;;) {
		struct field f;

		if (p < len && data[p] == '"') {
			enum scan s;

			p++;
			s = scan_quoted(csv, &p, &f);
			if (s != SCAN_ROW)
				return s;
			if (p + 1 < len && data[p] == '\r' && data[p + 1] == '\n')
				p++;
			else if (p + 1 == len && data[p] == '\r' && csv->ended)
				p++;
			else if (p + 1 >= len && !csv->ended)
				return SCAN_MORE;
		} else {
			scan_plain(csv, &p, &f);
		}
		if (add_field(csv, f))
			return SCAN_NOMEM;
		if (p == len) {
			*ret_end = p;
			return csv->ended ? SCAN_ROW : SCAN_MORE;
		}
		if (data[p] == '\n') {
			*ret_end = p + 1;
			return SCAN_ROW;
		}
		if (data[p] != ',' || csv->field_count > COLUMNS_MAX)
			return SCAN_BAD; /* something behind a closing quote */
		p++;
	}
}

static void count_lines(struct tg_csv *csv, size_t end)
{
	const char *p = csv->window.data + csv->at, *stop = csv->window.data + end;

	while (p < stop && (p = memchr(p, '\n', (size_t)(stop - p)))) {
		csv->line_next++;
		p++;
	}
}

/* Leaves a broken row by the end of the line it began on. */
static int skip_line(struct tg_csv *csv)
{
	for (;;) {
		size_t left = csv->window.len - csv->at;
		const char *from = csv->window.data + csv->at;
		const char *newline = left ? memchr(from, '\n', left) : NULL;
		int rc;

		if (newline) {
			csv->at += (size_t)(newline - from) + 1;
			csv->line_next++;
			return 0;
		}
		csv->at = csv->window.len;
		if (csv->ended)
			return 0;
		rc = fill(csv);
		if (rc)
			return rc;
	}
}

/* Takes the doubled quotes out, in place: the row is whole and will not be scanned again. */
static void unquote(struct tg_csv *csv, struct field *f)
{
	char *data = csv->window.data;
	size_t out = f->start;

	for (size_t in = f->start; in < f->end; in++) {
		data[out++] = data[in];
		if (data[in] == '"')
			in++;
	}
	f->end = out;
	f->doubled = false;
}

/* 1 a row of any number of fields, 0 end, else negative. */
static int next_row(struct tg_csv *csv)
{
	size_t end = 0;
	enum scan s;
	int rc;

	for (;;) {
		if (csv->at == csv->window.len && csv->ended) {
			csv->field_count = 0;
			rc = csv->failed ? -TG_ESYS : 0;
			csv->failed = false;
			return rc;
		}
		csv->line = csv->line_next;
		s = scan_row(csv, &end);
		if (s == SCAN_MORE && csv->window.len - csv->at <= ROW_MAX) {
			rc = fill(csv);
			if (rc)
				return rc;
			continue;
		}
		if (s == SCAN_CUT && csv->failed)
			end = csv->window.len;
		else if (s != SCAN_ROW)
			break;
		count_lines(csv, end);
		csv->at = end;
		/* What reading broke off in is no row. */
		if (csv->failed && (s == SCAN_CUT || csv->window.data[end - 1] != '\n'))
			continue;
		if (csv->field_count > 1 || csv->fields[0].end > csv->fields[0].start)
			goto row;
	}
	csv->field_count = 0;
	if (s == SCAN_NOMEM)
		return -TG_ENOMEM;
	rc = skip_line(csv);
	if (rc)
		return rc;
	return -TG_EPARSE;
row:
	for (size_t i = 0; i < csv->field_count; i++) {
		if (csv->fields[i].doubled)
			unquote(csv, &csv->fields[i]);
	}
	return 1;
}

static int read_header(struct tg_csv *csv)
{
	char *to;
	int rc;

	rc = fill(csv);
	if (rc)
		return rc;
	if (csv->window.len >= 3 && memcmp(csv->window.data, "\xef\xbb\xbf", 3) == 0)
		csv->at = 3;
	rc = next_row(csv);
	if (rc <= 0)
		return rc < 0 ? rc : -TG_EPARSE;
	csv->names = calloc(csv->field_count, sizeof(*csv->names));
	csv->header = malloc(csv->at + csv->field_count);
	if (!csv->names || !csv->header)
		return -TG_ENOMEM;
	to = csv->header;
	csv->name_count = csv->field_count;
	for (size_t i = 0; i < csv->name_count; i++) {
		struct tg_slice f = tg_csv_field(csv, (int)i);

		csv->names[i] = to;
		memcpy(to, f.data, f.len);
		to[f.len] = '\0';
		to += f.len + 1;
	}
	return 0;
}

int tg_csv_open(const char *path, struct tg_csv **ret)
{
	struct tg_csv *csv;
	struct stat st;
	int rc;

	if (stat(path, &st))
		return errno == ENOENT || errno == ENOTDIR ? -TG_ENOENT : -TG_ESYS;
	if (S_ISDIR(st.st_mode))
		return -TG_ESYS;
	csv = calloc(1, sizeof(*csv));
	if (!csv)
		return -TG_ENOMEM;
	csv->line_next = 1;
	csv->total_bytes = (size_t)st.st_size;
	csv->window.max = ROW_MAX + 2 * READ_BYTES;
	csv->file = gzopen(path, "rbe");
	rc = csv->file ? 0 : -TG_ESYS;
	if (!rc)
		rc = read_header(csv);
	if (rc)
		tg_csv_close(csv);
	else
		*ret = csv;
	return rc;
}

void tg_csv_close(struct tg_csv *csv)
{
	if (!csv)
		return;
	if (csv->file)
		gzclose(csv->file);
	tg_buf_release(&csv->window);
	free(csv->fields);
	free(csv->header);
	free(csv->names);
	free(csv);
}

int tg_csv_columns(const struct tg_csv *csv)
{
	return (int)csv->name_count;
}

int tg_csv_column(const struct tg_csv *csv, const char *name)
{
	for (size_t i = 0; i < csv->name_count; i++) {
		if (strcmp(csv->names[i], name) == 0)
			return (int)i;
	}
	return -1;
}

int tg_csv_next(struct tg_csv *csv)
{
	int rc = next_row(csv);

	if (rc == 1 && csv->field_count != csv->name_count) {
		csv->field_count = 0;
		return -TG_EPARSE;
	}
	return rc;
}

struct tg_slice tg_csv_field(const struct tg_csv *csv, int column)
{
	const struct field *f;

	if (column < 0 || (size_t)column >= csv->field_count)
		return (struct tg_slice){"", 0};
	f = &csv->fields[column];
	return (struct tg_slice){csv->window.data + f->start, f->end - f->start};
}

size_t tg_csv_line(const struct tg_csv *csv)
{
	return csv->line;
}

void tg_csv_progress(const struct tg_csv *csv, size_t *ret_done, size_t *ret_total)
{
	z_off_t at = gzoffset(csv->file);

	*ret_done = at > 0 ? (size_t)at : 0;
	*ret_total = csv->total_bytes;
}
