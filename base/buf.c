#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAP_MIN   64
#define READ_STEP 65536

struct tg_slice tg_slice_cstr(const char *text)
{
	return (struct tg_slice){text ? text : "", text ? strlen(text) : 0};
}

bool tg_slice_eq(struct tg_slice a, struct tg_slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool tg_slice_is(struct tg_slice a, const char *text)
{
	return tg_slice_eq(a, tg_slice_cstr(text));
}

static size_t buf_max(const struct tg_buf *buf)
{
	return buf->max ? buf->max : TG_BUF_MAX_DEFAULT;
}

/* Room for need bytes in all; doubling keeps appends linear over a buffer's life. */
static int buf_grow(struct tg_buf *buf, size_t need)
{
	size_t cap = buf->cap ? buf->cap : CAP_MIN;
	char *data;

	if (need <= buf->cap)
		return 0;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	data = realloc(buf->data, cap);
	if (!data)
		return -TG_ENOMEM;
	buf->data = data;
	buf->cap = cap;
	return 0;
}

void tg_buf_release(struct tg_buf *buf)
{
	free(buf->data);
	*buf = (struct tg_buf){.max = buf->max};
}

void tg_buf_reset(struct tg_buf *buf)
{
	buf->len = 0;
}

int tg_buf_reserve(struct tg_buf *buf, size_t more)
{
	size_t max = buf_max(buf);

	if (buf->len > max || more > max - buf->len)
		return -TG_EFULL;
	return buf_grow(buf, buf->len + more);
}

int tg_buf_add(struct tg_buf *buf, const void *data, size_t len)
{
	int rc = tg_buf_reserve(buf, len);

	if (rc || len == 0)
		return rc;
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return 0;
}

int tg_buf_add_cstr(struct tg_buf *buf, const char *text)
{
	return tg_buf_add_slice(buf, tg_slice_cstr(text));
}

int tg_buf_add_slice(struct tg_buf *buf, struct tg_slice s)
{
	return tg_buf_add(buf, s.data, s.len);
}

int tg_buf_addf(struct tg_buf *buf, const char *fmt, ...)
{
	va_list args;
	int n, rc;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		return -TG_EINVAL;
	rc = tg_buf_reserve(buf, (size_t)n);
	if (!rc) /* vsnprintf also wants a place for its NUL, which is not ours to count */
		rc = buf_grow(buf, buf->len + (size_t)n + 1);
	if (rc)
		return rc;
	va_start(args, fmt);
	vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)n;
	return 0;
}

static int buf_put(struct tg_buf *buf, uint64_t v, size_t bytes)
{
	uint8_t out[8];

	assert(bytes <= sizeof(out));
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	return tg_buf_add(buf, out, bytes);
}

int tg_buf_put_u8(struct tg_buf *buf, uint8_t v)
{
	return buf_put(buf, v, 1);
}

int tg_buf_put_u16(struct tg_buf *buf, uint16_t v)
{
	return buf_put(buf, v, 2);
}

int tg_buf_put_u32(struct tg_buf *buf, uint32_t v)
{
	return buf_put(buf, v, 4);
}

int tg_buf_put_u64(struct tg_buf *buf, uint64_t v)
{
	return buf_put(buf, v, 8);
}

int tg_buf_put_f64(struct tg_buf *buf, double v)
{
	uint64_t bits;

	_Static_assert(sizeof(bits) == sizeof(v), "IEEE 754 binary64");
	memcpy(&bits, &v, sizeof(bits));
	return buf_put(buf, bits, 8);
}

int tg_buf_add_dbl(struct tg_buf *buf, double v)
{
	char text[32];

	if (isnan(v))
		return tg_buf_add_cstr(buf, "NaN");
	if (isinf(v))
		return tg_buf_add_cstr(buf, v > 0 ? "+Inf" : "-Inf");
	for (int digits = 15; digits <= 17; digits++) { /* 17 always reads back */
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return tg_buf_add_cstr(buf, text);
}

const char *tg_buf_cstr(struct tg_buf *buf)
{
	if (buf->len == 0)
		return "";
	if (buf_grow(buf, buf->len + 1))
		return NULL;
	buf->data[buf->len] = '\0';
	return buf->data;
}

static int buf_read_fd(struct tg_buf *buf, int fd)
{
	size_t max = buf_max(buf);

	for (;;) {
		size_t room = buf->len < max ? max - buf->len : 0;
		size_t want = room < READ_STEP ? room + 1 : READ_STEP; /* +1 sees a file past max */
		ssize_t n;

		if (buf_grow(buf, buf->len + want))
			return -TG_ENOMEM;
		n = read(fd, buf->data + buf->len, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -TG_ESYS;
		if (n == 0)
			return 0;
		if ((size_t)n > room)
			return -TG_EFULL;
		buf->len += (size_t)n;
	}
}

int tg_buf_read_file(struct tg_buf *buf, const char *path)
{
	size_t len = buf->len;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -TG_ENOENT : -TG_ESYS;
	rc = buf_read_fd(buf, fd);
	if (rc)
		buf->len = len;
	close(fd);
	return rc;
}

/* Table 3-7 of the Unicode standard: the second byte's range depends on the first. */
size_t tg_utf8_step(const char *data, size_t len)
{
	const uint8_t *p = (const uint8_t *)data;
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

bool tg_utf8_valid(struct tg_slice text)
{
	for (size_t i = 0; i < text.len;) {
		size_t n = tg_utf8_step(text.data + i, text.len - i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

void tg_hex(const uint8_t *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int tg_unhex(struct tg_slice text, uint8_t *ret, size_t n)
{
	if (text.len != 2 * n)
		return -TG_EPARSE;
	for (size_t i = 0; i < text.len; i++) {
		if (hex_digit(text.data[i]) < 0)
			return -TG_EPARSE;
	}
	for (size_t i = 0; i < n; i++)
		ret[i] = (uint8_t)(hex_digit(text.data[2 * i]) << 4 |
				   hex_digit(text.data[2 * i + 1]));
	return 0;
}
