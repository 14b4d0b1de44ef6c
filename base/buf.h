/* Growable bytes with a hard limit, and slices that point into somebody else's bytes.
 *
 * A tg_buf starts as {0} or {.max = N}; max 0 means TG_BUF_MAX_DEFAULT. Appending past max returns
 * -TG_EFULL and leaves the buffer as it was. data is not NUL-terminated unless tg_buf_cstr() is
 * asked. */
#ifndef TG_BASE_BUF_H
#define TG_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TG_BUF_MAX_DEFAULT ((size_t)256 << 20)

struct tg_slice {
	const char *data;
	size_t len;
};

#define TG_SLICE(lit) ((struct tg_slice){(lit), sizeof(lit) - 1})

struct tg_slice tg_slice_cstr(const char *text); /* NULL reads as empty */
bool tg_slice_eq(struct tg_slice a, struct tg_slice b);
bool tg_slice_is(struct tg_slice a, const char *text);

struct tg_buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
};

void tg_buf_release(struct tg_buf *buf); /* frees; the buffer is {.max} again */
void tg_buf_reset(struct tg_buf *buf);   /* len = 0, memory kept */
TG_MUST int tg_buf_reserve(struct tg_buf *buf, size_t more);
TG_MUST int tg_buf_add(struct tg_buf *buf, const void *data, size_t len);
TG_MUST int tg_buf_add_cstr(struct tg_buf *buf, const char *text);
TG_MUST int tg_buf_add_slice(struct tg_buf *buf, struct tg_slice s);
TG_MUST int tg_buf_addf(struct tg_buf *buf, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Big-endian, as PostgreSQL's binary formats want them. */
TG_MUST int tg_buf_put_u8(struct tg_buf *buf, uint8_t v);
TG_MUST int tg_buf_put_u16(struct tg_buf *buf, uint16_t v);
TG_MUST int tg_buf_put_u32(struct tg_buf *buf, uint32_t v);
TG_MUST int tg_buf_put_u64(struct tg_buf *buf, uint64_t v);
TG_MUST int tg_buf_put_f64(struct tg_buf *buf, double v);
/* The shortest decimal text that reads back as v; NaN, +Inf, -Inf by these names. */
TG_MUST int tg_buf_add_dbl(struct tg_buf *buf, double v);
/* NUL-terminates without counting the NUL; "" for an empty buffer, NULL only when memory is out. */
const char *tg_buf_cstr(struct tg_buf *buf);
/* Appends the whole file. -TG_ENOENT, -TG_EFULL past max, -TG_ESYS; the buffer is then as it was.
 */
TG_MUST int tg_buf_read_file(struct tg_buf *buf, const char *path);
/* Bytes of the well-formed UTF-8 sequence at the start of text (1 – 4), 0 when it is not one:
 * overlong forms, surrogates, values past U+10FFFF and cut sequences are refused. NUL is a
 * character. */
size_t tg_utf8_step(const char *data, size_t len);
bool tg_utf8_valid(struct tg_slice text);
/* Hex of n bytes into out (2 n + 1 bytes, lower case, NUL-terminated). */
void tg_hex(const uint8_t *bytes, size_t n, char *out);
/* -TG_EPARSE unless text is exactly 2 n hex digits. */
TG_MUST int tg_unhex(struct tg_slice text, uint8_t *ret, size_t n);

#endif
