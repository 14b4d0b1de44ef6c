#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/csv.h"

static char path[64];

static void write_plain(struct tg_slice text)
{
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/tg-csv-%d.csv", (int)getpid());
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
	fclose(f);
}

/* All rows in one text: fields in <>, a row a line with its line number, "!line" for an error. */
static const char *dump(struct tg_csv *csv, struct tg_buf *out)
{
	int rc;

	tg_buf_reset(out);
	while ((rc = tg_csv_next(csv)) != 0) {
		assert_int_equal(tg_buf_addf(out, "%s%zu", rc < 0 ? "!" : "", tg_csv_line(csv)), 0);
		for (int i = 0; rc == 1 && i < tg_csv_columns(csv); i++) {
			struct tg_slice f = tg_csv_field(csv, i);

			assert_int_equal(tg_buf_addf(out, "<%.*s>", (int)f.len, f.data), 0);
		}
		assert_int_equal(tg_buf_add_cstr(out, "\n"), 0);
	}
	assert_int_equal(tg_csv_next(csv), 0); /* the end stays the end */
	return tg_buf_cstr(out);
}

static void csv__reads_these_files(void **state)
{
	static const struct {
		struct tg_slice text;
		const char *want;
	} rows[] = {
		{TG_SLICE("a,b\n1,2\n3,4\n"), "2<1><2>\n3<3><4>\n"},
		{TG_SLICE("a,b\r\n1,2\r\n3,4"), "2<1><2>\n3<3><4>\n"},
		{TG_SLICE("a,b\r\n\"1\",\"2\"\r\n\"3\",4\r"), "2<1><2>\n3<3><4>\n"},
		{TG_SLICE("\xef\xbb\xbf"
			  "a,b\n,\n"),
			"2<><>\n"},
		{TG_SLICE("a,b\n\"x\ny\",\"say \"\"no\"\"\"\n5,6\n"),
			"2<x\ny><say \"no\">\n4<5><6>\n"},
		{TG_SLICE("a,b\n\n\n1,2\n\n"), "4<1><2>\n"},
		{TG_SLICE("a,b\n1\n1,2,3\n4,5\n"), "!2\n!3\n4<4><5>\n"},
		{TG_SLICE("a,b\n\"1,2\n3,4\n5,6\n"), "!2\n3<3><4>\n4<5><6>\n"},
		{TG_SLICE("a,b\n\"1\"x,2\n3,4\n"), "!2\n3<3><4>\n"},
		{TG_SLICE("a,b\nx\"y,2\n"), "2<x\"y><2>\n"},
		{TG_SLICE("a,b\n\"\",\"\"\"\"\n"), "2<><\">\n"},
		{TG_SLICE("a\n\"\"\n1\n"), "3<1>\n"},
		{TG_SLICE("a,b"), ""},
		{TG_SLICE("a,b\n1,\"2"), "!2\n"},
		{TG_SLICE("a,b\n1,2\r3\n"), "2<1><2\r3>\n"},
		{TG_SLICE("a,b\n街道,统\n"), "2<街道><统>\n"},
	};
	struct tg_buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_csv *csv;

		write_plain(rows[i].text);
		assert_int_equal(tg_csv_open(path, &csv), 0);
		assert_string_equal(dump(csv, &out), rows[i].want);
		tg_csv_close(csv);
	}
	unlink(path);
	tg_buf_release(&out);
}

static void csv_column__finds_names_of_the_header(void **state)
{
	struct tg_csv *csv;

	(void)state;
	write_plain(TG_SLICE("id,\"open\ndt\",\"a\"\"b\"\n7,8,9\n"));
	assert_int_equal(tg_csv_open(path, &csv), 0);
	assert_int_equal(tg_csv_columns(csv), 3);
	assert_int_equal(tg_csv_column(csv, "id"), 0);
	assert_int_equal(tg_csv_column(csv, "open\ndt"), 1);
	assert_int_equal(tg_csv_column(csv, "a\"b"), 2);
	assert_int_equal(tg_csv_column(csv, "none"), -1);
	assert_int_equal(tg_csv_next(csv), 1);
	assert_int_equal(tg_csv_line(csv), 3);
	assert_true(tg_slice_is(tg_csv_field(csv, 2), "9"));
	assert_true(tg_slice_is(tg_csv_field(csv, -1), ""));
	assert_true(tg_slice_is(tg_csv_field(csv, 3), ""));
	tg_csv_close(csv);
	unlink(path);
}

static void csv_open__refuses_what_has_no_header(void **state)
{
	struct tg_csv *csv;

	(void)state;
	assert_int_equal(tg_csv_open("/nowhere/x.csv", &csv), -TG_ENOENT);
	assert_int_equal(tg_csv_open("/tmp", &csv), -TG_ESYS);
	write_plain(TG_SLICE(""));
	assert_int_equal(tg_csv_open(path, &csv), -TG_EPARSE);
	write_plain(TG_SLICE("\n\n"));
	assert_int_equal(tg_csv_open(path, &csv), -TG_EPARSE);
	write_plain(TG_SLICE("\"a,b\n"));
	assert_int_equal(tg_csv_open(path, &csv), -TG_EPARSE);
	unlink(path);
}

/* Rows whose lengths walk over every place a 256 KiB block can end, among them one over the row
 * limit. */
static void make_large(struct tg_buf *text, int rows)
{
	static char fill[3000];

	memset(fill, 'z', sizeof(fill));
	assert_int_equal(tg_buf_add_cstr(text, "n,quoted,fill\r\n"), 0);
	for (int i = 0; i < rows; i++)
		assert_int_equal(tg_buf_addf(text, "%d,\"a \"\"%d\"\"\r\nb\",%.*s\r\n", i, i,
					 i * 37 % 2999, fill),
			0);
}

static void check_large(struct tg_csv *csv, int rows)
{
	size_t done, total;
	char want[64];

	for (int i = 0; i < rows; i++) {
		assert_int_equal(tg_csv_next(csv), 1);
		assert_int_equal(tg_csv_line(csv), 2 * i + 2);
		snprintf(want, sizeof(want), "%d", i);
		assert_true(tg_slice_is(tg_csv_field(csv, 0), want));
		snprintf(want, sizeof(want), "a \"%d\"\r\nb", i);
		assert_true(tg_slice_is(tg_csv_field(csv, 1), want));
		assert_int_equal(tg_csv_field(csv, 2).len, i * 37 % 2999);
	}
	assert_int_equal(tg_csv_next(csv), 0);
	tg_csv_progress(csv, &done, &total);
	assert_int_equal(done, total);
	assert_true(total > 0);
}

static void csv__streams_large_files_plain_and_gzipped(void **state)
{
	struct tg_buf text = {0};
	char packed[80];
	struct tg_csv *csv;
	gzFile gz;

	(void)state;
	make_large(&text, 3000);
	write_plain((struct tg_slice){text.data, text.len});
	assert_int_equal(tg_csv_open(path, &csv), 0);
	check_large(csv, 3000);
	tg_csv_close(csv);

	snprintf(packed, sizeof(packed), "%s.gz", path);
	gz = gzopen(packed, "wb");
	assert_non_null(gz);
	assert_int_equal(gzwrite(gz, text.data, (unsigned)text.len), (int)text.len);
	gzclose(gz);
	assert_int_equal(tg_csv_open(packed, &csv), 0);
	check_large(csv, 3000);
	tg_csv_close(csv);

	/* a cut .gz: whole rows, then one error, then the end */
	assert_int_equal(truncate(packed, 10000), 0);
	if (tg_csv_open(packed, &csv) == 0) {
		int rc;

		while ((rc = tg_csv_next(csv)) == 1)
			assert_int_equal(tg_csv_field(csv, 2).len,
				atoi(tg_csv_field(csv, 0).data) * 37 % 2999);
		assert_int_equal(rc, -TG_ESYS);
		assert_int_equal(tg_csv_next(csv), 0);
		tg_csv_close(csv);
	} else {
		fail();
	}
	unlink(packed);
	unlink(path);
	tg_buf_release(&text);
}

static void csv__steps_over_a_row_past_the_limit(void **state)
{
	struct tg_buf text = {0}, out = {0};
	struct tg_csv *csv;

	(void)state;
	assert_int_equal(tg_buf_add_cstr(&text, "a,b\n1,2\n\"never closed,3\n"), 0);
	for (int i = 0; i < 400000; i++)
		assert_int_equal(tg_buf_add_cstr(&text, "x,yz\n"), 0);
	assert_int_equal(tg_buf_add_cstr(&text, "w,"), 0);
	for (int i = 0; i < 400000; i++)
		assert_int_equal(tg_buf_add_cstr(&text, "long "), 0);
	assert_int_equal(tg_buf_add_cstr(&text, "\n8,9\n"), 0);
	write_plain((struct tg_slice){text.data, text.len});
	assert_int_equal(tg_csv_open(path, &csv), 0);
	dump(csv, &out);
	assert_ptr_equal(strstr(out.data, "2<1><2>\n!3\n4<x><yz>\n5<x><yz>\n"), out.data);
	assert_non_null(strstr(out.data, "\n400003<x><yz>\n!400004\n400005<8><9>\n"));
	tg_csv_close(csv);
	unlink(path);
	tg_buf_release(&text);
	tg_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(csv__reads_these_files),
		cmocka_unit_test(csv_column__finds_names_of_the_header),
		cmocka_unit_test(csv_open__refuses_what_has_no_header),
		cmocka_unit_test(csv__streams_large_files_plain_and_gzipped),
		cmocka_unit_test(csv__steps_over_a_row_past_the_limit),
	};

	return cmocka_run_group_tests_name("base_csv", tests, NULL, NULL);
}
