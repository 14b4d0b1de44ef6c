/* Big-endian bytes back into numbers; past the end everything reads as 0 and bad is set. */
#ifndef TG_CORRELATE_READER_H
#define TG_CORRELATE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tg_reader {
	const char *data;
	size_t len;
	bool bad;
};

static inline const char *tg_read_bytes(struct tg_reader *r, size_t n)
{
	const char *at = r->data;

	if (r->bad || r->len < n) {
		r->bad = true;
		return NULL;
	}
	r->data += n;
	r->len -= n;
	return at;
}

/* n of 1 to 8 bytes. */
static inline uint64_t tg_read_uint(struct tg_reader *r, size_t n)
{
	const char *at = tg_read_bytes(r, n);
	uint64_t v = 0;

	for (size_t i = 0; at && i < n; i++)
		v = v << 8 | (unsigned char)at[i];
	return v;
}

static inline double tg_read_f64(struct tg_reader *r)
{
	uint64_t bits = tg_read_uint(r, 8);
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

#endif
