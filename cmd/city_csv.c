/* The CSV tables of a city folder, row by row, and the small texts in them. */
#include <stdlib.h>
#include <string.h>

#include "cmd/city.h"

struct tg_slice city_cell(const struct tg_csv *csv, const char *column)
{
	return tg_csv_field(csv, tg_csv_column(csv, column));
}

void city_set(json_t *row, const char *key, struct tg_slice value)
{
	json_t *text = value.len ? json_stringn(value.data, value.len) : json_null();

	json_object_set_new(row, key, text ? text : json_null());
}

void city_set_or(json_t *row, const char *key, struct tg_slice value, struct tg_slice fallback)
{
	city_set(row, key, value.len ? value : fallback);
}

bool city_one_of(struct tg_slice text, const char *const *names)
{
	for (; *names; names++)
		if (tg_slice_is(text, *names))
			return true;
	return false;
}

bool city_part(struct tg_slice text, size_t *at, struct tg_slice *ret)
{
	size_t i = *at, from;

	while (i < text.len && strchr(" |;", text.data[i]))
		i++;
	from = i;
	while (i < text.len && !strchr(" |;", text.data[i]))
		i++;
	*at = i;
	*ret = (struct tg_slice){text.data + from, i - from};
	return i > from;
}

/* Nothing of a text that no database would store. */
static bool is_text(struct city *city, const struct tg_csv *csv, const char *file)
{
	for (int i = 0; i < tg_csv_columns(csv); i++) {
		struct tg_slice field = tg_csv_field(csv, i);

		if (tg_utf8_valid(field) && !memchr(field.data, '\0', field.len))
			continue;
		city_complain(city, file, tg_csv_line(csv),
			"field %d is not UTF-8 text; save the file as UTF-8", i + 1);
		return false;
	}
	return true;
}

static void read_all(struct city *city, struct tg_csv *csv, const char *file, city_row_reader read)
{
	int rc;

	while ((rc = tg_csv_next(csv)) != 0) {
		if (rc == -TG_ESYS)
			city_complain(city, file, 0, "cannot be read to its end; copy it again");
		else if (rc < 0)
			city_complain(city, file, tg_csv_line(csv),
				"the row has another number of fields than the header, or an open "
				"quote; mend the row");
		else if (is_text(city, csv, file))
			read(city, csv, file);
	}
}

bool city_rows(struct city *city, const char *file, const char *const *columns, bool required,
	city_row_reader read)
{
	struct tg_buf path = {0};
	struct tg_csv *csv = NULL;
	bool whole = false, there = city_path(city, file, &path);

	if (there && tg_csv_open(path.data, &csv))
		city_complain(city, file, 1, "there is no header; write the columns' names there");
	else if (!there && required)
		city_complain(city, file, 0, "is missing; write it");
	if (csv) {
		whole = true;
		for (; *columns; columns++) {
			if (tg_csv_column(csv, *columns) >= 0)
				continue;
			city_complain(city, file, 1, "column %s is missing; add it", *columns);
			whole = false;
		}
		if (whole)
			read_all(city, csv, file, read);
	}
	tg_csv_close(csv);
	tg_buf_release(&path);
	return whole;
}

bool city_is_limit(struct tg_slice text)
{
	static const char *const units[] = {"h", "wh", "wd", "nd", NULL};
	size_t n = 0;
	double number;

	while (n < text.len &&
		((text.data[n] >= '0' && text.data[n] <= '9') || (text.data[n] == '.' && n > 0)))
		n++;
	return n > 0 && text.data[n - 1] != '.' &&
	       city_number((struct tg_slice){text.data, n}, 1e-6, 1e6, &number) &&
	       city_one_of((struct tg_slice){text.data + n, text.len - n}, units);
}

bool city_number(struct tg_slice text, double low, double high, double *ret)
{
	char copy[40], *end;
	double v;

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	v = strtod(copy, &end);
	if (*end != '\0' || !(v >= low && v <= high))
		return false;
	*ret = v; /* only then: a caller goes on with what it had */
	return true;
}

json_t *city_key(const json_t *keys, struct tg_slice key)
{
	return key.len ? json_object_getn(keys, key.data, key.len) : NULL;
}

void city_key_set(json_t *keys, struct tg_slice key, json_t *row)
{
	if (json_object_setn(keys, key.data, key.len, row))
		abort(); /* the text is UTF-8: only memory can be at its end */
}
