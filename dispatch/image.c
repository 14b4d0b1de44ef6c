#include "dispatch/image.h"

#include <string.h>

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static uint32_t le24(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

/* A frame header: all SOF markers but DHT (C4), JPG (C8) and DAC (CC). */
static bool is_frame(uint8_t marker)
{
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
	       marker != 0xcc;
}

/* Segments up to the frame header; the picture ends with EOI. */
static int look_jpeg(const uint8_t *p, size_t n, struct tg_image *ret)
{
	size_t at = 2, end = n;

	while (end > 4 && p[end - 1] == 0) /* some cameras pad */
		end--;
	if (end < 4 || p[end - 2] != 0xff || p[end - 1] != 0xd9)
		return -TG_EPARSE;
	while (at + 4 <= n && p[at] == 0xff) {
		uint8_t marker = p[at + 1];
		size_t len = be16(p + at + 2);

		if (marker == 0xff) { /* fill */
			at++;
			continue;
		}
		if (len < 2 || marker == 0xda || marker == 0xd9)
			return -TG_EPARSE;
		if (is_frame(marker)) {
			if (at + 9 > n || len < 8)
				return -TG_EPARSE;
			*ret = (struct tg_image){"image/jpeg", be16(p + at + 7), be16(p + at + 5)};
			return 0;
		}
		at += 2 + len;
	}
	return -TG_EPARSE;
}

static int look_png(const uint8_t *p, size_t n, struct tg_image *ret)
{
	static const uint8_t end[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};

	if (n < 45 || be32(p + 8) != 13 || memcmp(p + 12, "IHDR", 4) != 0 ||
		memcmp(p + n - sizeof(end), end, sizeof(end)) != 0)
		return -TG_EPARSE;
	*ret = (struct tg_image){"image/png", be32(p + 16), be32(p + 20)};
	return 0;
}

static int look_webp(const uint8_t *p, size_t n, struct tg_image *ret)
{
	uint64_t said = (uint64_t)le24(p + 4) | (uint64_t)p[7] << 24;
	uint32_t w, h;

	if (n < 30 || said + 8 > n || said + 9 < n) /* one byte of padding may follow */
		return -TG_EPARSE;
	if (memcmp(p + 12, "VP8X", 4) == 0) {
		w = le24(p + 24) + 1;
		h = le24(p + 27) + 1;
	} else if (memcmp(p + 12, "VP8L", 4) == 0 && p[20] == 0x2f) {
		w = (le24(p + 21) & 0x3fff) + 1;
		h = (le24(p + 22) >> 6 & 0x3fff) + 1;
	} else if (memcmp(p + 12, "VP8 ", 4) == 0 && memcmp(p + 23, "\x9d\x01\x2a", 3) == 0) {
		w = (uint32_t)(p[26] | p[27] << 8) & 0x3fff;
		h = (uint32_t)(p[28] | p[29] << 8) & 0x3fff;
	} else {
		return -TG_EPARSE;
	}
	*ret = (struct tg_image){"image/webp", w, h};
	return 0;
}

int tg_image_look(struct tg_slice bytes, struct tg_image *ret)
{
	const uint8_t *p = (const uint8_t *)bytes.data;
	size_t n = bytes.len;
	int rc = -TG_EPARSE;

	if (n >= 12 && memcmp(p, "\xff\xd8\xff", 3) == 0)
		rc = look_jpeg(p, n, ret);
	else if (n >= 12 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
		rc = look_png(p, n, ret);
	else if (n >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
		rc = look_webp(p, n, ret);
	if (rc)
		return rc;
	return ret->width == 0 || ret->height == 0 || ret->width > TG_IMAGE_SIDE_MAX ||
			       ret->height > TG_IMAGE_SIDE_MAX
		       ? -TG_ERANGE
		       : 0;
}
