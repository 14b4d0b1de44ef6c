#include "dispatch/api_parse.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One letter of format, so that a later form can be told from this one. */
#define CURSOR_FORM       'a'
#define BASE64            sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define CURSOR_PLAIN_MAX  80
#define TOKEN_SECRET_TEXT 43 /* 32 bytes in base64url */

void tg_cursor_write(const struct tg_cursor *c, char out[TG_CURSOR_TEXT_MAX])
{
	char plain[CURSOR_PLAIN_MAX];
	int n = snprintf(
		plain, sizeof(plain), "%c%c%" PRId64 ":%s", CURSOR_FORM, c->order, c->key, c->id);

	assert(n > 0);
	assert((size_t)n < sizeof(plain));
	sodium_bin2base64(out, TG_CURSOR_TEXT_MAX, (const unsigned char *)plain, (size_t)n, BASE64);
}

int tg_cursor_read(struct tg_slice text, char order, struct tg_cursor *ret)
{
	char plain[CURSOR_PLAIN_MAX + 1], *end = NULL;
	size_t len = 0;
	struct tg_cursor c = {.order = order};

	if (text.len >= TG_CURSOR_TEXT_MAX ||
		sodium_base642bin((unsigned char *)plain, sizeof(plain) - 1, text.data, text.len,
			NULL, &len, NULL, BASE64))
		return -TG_EPARSE;
	plain[len] = '\0';
	if (len < 4 || strlen(plain) != len || plain[0] != CURSOR_FORM || plain[1] != order)
		return -TG_EPARSE;
	errno = 0;
	c.key = strtoll(plain + 2, &end, 10);
	if (errno || end == plain + 2 || *end != ':' || strlen(end + 1) >= sizeof(c.id))
		return -TG_EPARSE;
	strcpy(c.id, end + 1);
	*ret = c;
	return 0;
}

static int take_degrees(const char **at, char stop, double limit, double *ret)
{
	char *end;
	double v = strtod(*at, &end);

	if (end == *at || *end != stop || !isfinite(v) || fabs(v) > limit)
		return -TG_EPARSE;
	*at = end + (stop != '\0');
	*ret = v;
	return 0;
}

int tg_bbox_parse(struct tg_slice text, struct tg_bbox *ret)
{
	char copy[128];
	const char *at = copy;
	struct tg_bbox b;

	if (text.len == 0 || text.len >= sizeof(copy))
		return -TG_EPARSE;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	/* strtod would also take hex, spaces and names */
	if (strspn(copy, "0123456789+-.eE,") != text.len)
		return -TG_EPARSE;
	if (take_degrees(&at, ',', 180, &b.west) || take_degrees(&at, ',', 90, &b.south) ||
		take_degrees(&at, ',', 180, &b.east) || take_degrees(&at, '\0', 90, &b.north))
		return -TG_EPARSE;
	if (b.west > b.east || b.south > b.north)
		return -TG_EPARSE;
	*ret = b;
	return 0;
}

int tg_number_parse(struct tg_slice text, int64_t min, int64_t max, int64_t *ret)
{
	char copy[24], *end;
	int64_t v;

	if (text.len == 0 || text.len >= sizeof(copy))
		return -TG_EPARSE;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (strspn(copy + (copy[0] == '-'), "0123456789") != text.len - (copy[0] == '-'))
		return -TG_EPARSE;
	errno = 0;
	v = strtoll(copy, &end, 10);
	if (errno || end == copy || *end || v < min || v > max)
		return -TG_EPARSE;
	*ret = v;
	return 0;
}

int tg_flag_parse(struct tg_slice text, bool *ret)
{
	if (!tg_slice_is(text, "true") && !tg_slice_is(text, "false"))
		return -TG_EPARSE;
	*ret = tg_slice_is(text, "true");
	return 0;
}

bool tg_is_uuid(struct tg_slice text)
{
	if (text.len != 36)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text.data[i] != '-'
			 : !memchr("0123456789abcdefABCDEF", text.data[i], 22))
			return false;
	}
	return true;
}

bool tg_is_photo_hash(struct tg_slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!strchr("0123456789abcdef", text.data[i]) || !text.data[i])
			return false;
	return text.len == TG_PHOTO_HEX;
}

bool tg_name_in(struct tg_slice name, const char *const *list)
{
	for (; *list; list++)
		if (tg_slice_is(name, *list))
			return true;
	return false;
}

int tg_names_array(struct tg_slice text, const char *const *list, char *out, size_t out_size)
{
	const char *at = text.data, *end = text.data + text.len;

	if (text.len == 0)
		return -TG_EPARSE;
	if (text.len + 3 > out_size)
		return -TG_EFULL;
	for (;;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		struct tg_slice part = {at, (size_t)((comma ? comma : end) - at)};

		if (!tg_name_in(part, list))
			return -TG_EPARSE;
		if (!comma)
			break;
		at = comma + 1;
	}
	out[0] = '{';
	memcpy(out + 1, text.data, text.len);
	out[text.len + 1] = '}';
	out[text.len + 2] = '\0';
	return 0;
}

int tg_like_pattern(struct tg_slice text, char *out, size_t out_size)
{
	size_t n = 0;

	if (2 * text.len + 3 > out_size)
		return -TG_EFULL;
	out[n++] = '%';
	for (size_t i = 0; i < text.len; i++) {
		if (memchr("\\%_", text.data[i], 3))
			out[n++] = '\\';
		out[n++] = text.data[i];
	}
	out[n++] = '%';
	out[n] = '\0';
	return 0;
}

bool tg_has_two_characters(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80; /* not a continuation byte */
	return n >= 2;
}

enum tg_token_kind tg_token_kind(struct tg_slice token)
{
	if (token.len != 4 + TOKEN_SECRET_TEXT || memcmp(token.data, "tg", 2) != 0 ||
		token.data[3] != '_')
		return TG_TOKEN_NONE;
	for (size_t i = 4; i < token.len; i++) {
		char c = token.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '-' || c == '_'))
			return TG_TOKEN_NONE;
	}
	if (token.data[2] == 's')
		return TG_TOKEN_SESSION;
	return token.data[2] == 't' ? TG_TOKEN_LASTING : TG_TOKEN_NONE;
}

bool tg_bearer_parse(struct tg_slice header, struct tg_slice *ret)
{
	size_t at = 7;

	if (header.len < at || strncasecmp(header.data, "Bearer ", at) != 0)
		return false;
	while (at < header.len && header.data[at] == ' ')
		at++;
	if (at == header.len)
		return false;
	*ret = (struct tg_slice){header.data + at, header.len - at};
	return true;
}

static struct tg_slice trim(struct tg_slice s)
{
	while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
		s.data++, s.len--;
	while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Cuts the part before sep off text; false when nothing is left. */
static bool cut(struct tg_slice *text, char sep, struct tg_slice *ret_part)
{
	const char *at;

	if (!text->data)
		return false;
	at = memchr(text->data, sep, text->len);
	*ret_part = trim((struct tg_slice){text->data, at ? (size_t)(at - text->data) : text->len});
	if (at)
		*text = (struct tg_slice){at + 1, text->len - (size_t)(at + 1 - text->data)};
	else
		*text = (struct tg_slice){0};
	return true;
}

static bool same_media(struct tg_slice part, const char *media)
{
	return part.len == strlen(media) && strncasecmp(part.data, media, part.len) == 0;
}

static bool is_zero_weight(struct tg_slice part)
{
	if (part.len < 3 || strncasecmp(part.data, "q=0", 3) != 0)
		return false;
	for (size_t i = 3; i < part.len; i++)
		if (part.data[i] != '.' && part.data[i] != '0')
			return false;
	return true;
}

bool tg_accepts(struct tg_slice header, const char *media)
{
	struct tg_slice range, part;

	while (cut(&header, ',', &range)) {
		if (!cut(&range, ';', &part) || !same_media(part, media))
			continue;
		while (cut(&range, ';', &part))
			if (is_zero_weight(part))
				return false;
		return true;
	}
	return false;
}

bool tg_media_is(struct tg_slice header, const char *media)
{
	struct tg_slice part;

	return cut(&header, ';', &part) && same_media(part, media);
}

bool tg_etag_matches(struct tg_slice header, const char *etag)
{
	struct tg_slice part;

	while (cut(&header, ',', &part)) {
		if (part.len > 2 && memcmp(part.data, "W/", 2) == 0)
			part = (struct tg_slice){part.data + 2, part.len - 2};
		if (tg_slice_is(part, "*") || tg_slice_is(part, etag))
			return true;
	}
	return false;
}
