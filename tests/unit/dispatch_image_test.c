/* What a photo's bytes are: real headers, cut, lengthened, with another name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dispatch/image.h"

#define PNG                                                                                   \
	"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0\x90\x77\x53\xde" \
	"\0\0\0\0IEND\xae\x42\x60\x82"
#define JPEG                                                                                     \
	"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xc4\0\4xx\xff\xc0\0\x11\x08\x01\xe0" \
	"\x02\x80\3\1\x22\0\2\x11\1\3\x11\1\xff\xda\0\2zz\xff\xd9"
#define WEBP_X     "RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0"
#define WEBP_L     "RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f\x7f\xc2\x77\0\0\0\0\0\0"
#define WEBP_LOSSY "RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01"

static const struct {
	const char *name, *bytes;
	size_t len;
	int rc;
	const char *type;
} rows[] = {
#define ROW(name, lit, rc, type)                     \
	{                                            \
		name, lit, sizeof(lit) - 1, rc, type \
	}
	ROW("png", PNG, 0, "image/png"),
	ROW("jpeg", JPEG, 0, "image/jpeg"),
	ROW("jpeg with zeros behind", JPEG "\0\0\0", 0, "image/jpeg"),
	ROW("webp, extended", WEBP_X, 0, "image/webp"),
	ROW("webp, lossless", WEBP_L, 0, "image/webp"),
	ROW("webp, lossy", WEBP_LOSSY, 0, "image/webp"),
	ROW("nothing", "", -TG_EPARSE, NULL),
	ROW("text", "<html><script>alert(1)</script></html> and more", -TG_EPARSE, NULL),
	ROW("gif", "GIF89a\1\0\1\0\0\0\0;;;;;;;;;;;;;;;;;;;;;;;", -TG_EPARSE, NULL),
	ROW("svg", "<svg xmlns='http://www.w3.org/2000/svg'/>       ", -TG_EPARSE, NULL),
	ROW("png with a page behind it", PNG "<script>", -TG_EPARSE, NULL),
	ROW("png of another first chunk",
		"\x89PNG\r\n\x1a\n\0\0\0\rtEXt\0\0\0\1\0\0\0\1\x08\x02\0\0\0\0\0\0\0\0\0\0\0IEND"
		"\xae\x42\x60\x82",
		-TG_EPARSE, NULL),
	ROW("png without a side",
		"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\x01\xe0\x08\x02\0\0\0\x90\x77\x53\xde\0"
		"\0\0\0IEND\xae\x42\x60\x82",
		-TG_ERANGE, NULL),
	ROW("png of four thousand million",
		"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\0\0\x01\xe0\x08\x02\0\0\0\x90\x77"
		"\x53\xde\0\0\0\0IEND\xae\x42\x60\x82",
		-TG_ERANGE, NULL),
	ROW("jpeg without a frame", "\xff\xd8\xff\xe0\0\4xx\xff\xda\0\2zz\xff\xd9", -TG_EPARSE,
		NULL),
	ROW("jpeg whose segment leads outside", "\xff\xd8\xff\xe0\xff\xffxx\xff\xd9", -TG_EPARSE,
		NULL),
	ROW("jpeg with a length of 1", "\xff\xd8\xff\xe0\0\1xx\xff\xc0\0\x11\x08\1\1\1\1\xff\xd9",
		-TG_EPARSE, NULL),
	ROW("webp that says more than it has",
		"RIFF\xff\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0", -TG_EPARSE, NULL),
	ROW("webp with a page behind it", WEBP_X "<script>", -TG_EPARSE, NULL),
	ROW("riff that is a sound", "RIFF\x16\0\0\0WAVEfmt \x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0",
		-TG_EPARSE, NULL),
#undef ROW
};

static void image__is_told_by_its_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_image image = {0};
		int rc = tg_image_look((struct tg_slice){rows[i].bytes, rows[i].len}, &image);

		if (rc != rows[i].rc)
			fail_msg("%s: %d", rows[i].name, rc);
		if (rc)
			continue;
		assert_string_equal(image.type, rows[i].type);
		assert_int_equal(image.width, 640);
		assert_int_equal(image.height, 480);
	}
}

/* Every beginning of every good picture, in a block of its own size: reading past it would be seen
 * by the sanitizers. */
static void image__cut_anywhere_is_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t n = 0; n < rows[i].len; n++) {
			struct tg_image image;
			char *cut = malloc(n + 1);
			int rc;

			memcpy(cut, rows[i].bytes, n);
			rc = tg_image_look((struct tg_slice){cut, n}, &image);
			free(cut);
			if (rc == 0 && strncmp(rows[i].name, "jpeg with", 9) != 0)
				fail_msg("%s cut at %zu", rows[i].name, n);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image__is_told_by_its_bytes),
		cmocka_unit_test(image__cut_anywhere_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
