#include "proto/codec_json_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

bool jt_fail(struct json_reader *r, enum tg_reject why)
{
	r->why = why;
	return false;
}

bool jt_malformed(struct json_reader *r)
{
	return jt_fail(r, TG_REJECT_malformed_json);
}

void *jt_memory(struct json_reader *r, size_t n)
{
	void *p = tg_arena_alloc(r->arena, n);

	if (!p)
		jt_fail(r, TG_REJECT_too_large);
	return p;
}

char jt_peek(struct json_reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
	return r->p < r->end ? *r->p : 0;
}

bool jt_expect(struct json_reader *r, char c)
{
	if (jt_peek(r) != c)
		return jt_malformed(r);
	r->p++;
	return true;
}

bool jt_word(struct json_reader *r, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, text, n) != 0)
		return false;
	r->p += n;
	return true;
}

static int hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* \uXXXX after the backslash and u, with its second half when it is a surrogate. */
static bool take_unicode(struct json_reader *r, char **out)
{
	unsigned char *o = (unsigned char *)*out;
	int high, low;
	unsigned v;

	high = r->end - r->p >= 4 ? hex4(r->p) : -1;
	if (high < 0)
		return jt_malformed(r);
	r->p += 4;
	v = (unsigned)high;
	if (v == 0)
		return jt_fail(r, TG_REJECT_nul_byte);
	if (v >= 0xdc00 && v <= 0xdfff)
		return jt_fail(r, TG_REJECT_bad_utf8);
	if (v >= 0xd800 && v <= 0xdbff) {
		low = r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u' ? hex4(r->p + 2) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return jt_fail(r, TG_REJECT_bad_utf8);
		r->p += 6;
		v = 0x10000 + ((v - 0xd800) << 10) + ((unsigned)low - 0xdc00);
	}
	if (v < 0x80) {
		*o++ = (unsigned char)v;
	} else if (v < 0x800) {
		*o++ = (unsigned char)(0xc0 | v >> 6);
		*o++ = (unsigned char)(0x80 | (v & 0x3f));
	} else if (v < 0x10000) {
		*o++ = (unsigned char)(0xe0 | v >> 12);
		*o++ = (unsigned char)(0x80 | (v >> 6 & 0x3f));
		*o++ = (unsigned char)(0x80 | (v & 0x3f));
	} else {
		*o++ = (unsigned char)(0xf0 | v >> 18);
		*o++ = (unsigned char)(0x80 | (v >> 12 & 0x3f));
		*o++ = (unsigned char)(0x80 | (v >> 6 & 0x3f));
		*o++ = (unsigned char)(0x80 | (v & 0x3f));
	}
	*out = (char *)o;
	return true;
}

static bool take_escape(struct json_reader *r, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	char c;

	if (r->p == r->end)
		return jt_malformed(r);
	c = *r->p++;
	if (c == 'u')
		return take_unicode(r, out);
	at = c ? strchr(from, c) : NULL;
	if (!at)
		return jt_malformed(r);
	*(*out)++ = to[at - from];
	return true;
}

/* Past a string whose opening quote is next; no copy is made. *ret is the raw text between the
 * quotes. */
bool jt_pass_string(struct json_reader *r, struct tg_slice *ret, bool *ret_escaped)
{
	const char *start;

	if (!jt_expect(r, '"'))
		return false;
	*ret_escaped = false;
	for (start = r->p; r->p < r->end && *r->p != '"'; r->p++) {
		if ((unsigned char)*r->p < 0x20)
			return jt_malformed(r);
		if (*r->p == '\\') {
			*ret_escaped = true;
			if (++r->p == r->end)
				return jt_malformed(r);
		}
	}
	if (r->p == r->end)
		return jt_malformed(r);
	*ret = (struct tg_slice){start, (size_t)(r->p - start)};
	r->p++;
	return true;
}

/* Unescapes raw into out, which has room for raw.len + 1 bytes: no escape is shorter than what it
 * stands for. */
static bool unescape(struct json_reader *r, struct tg_slice raw, char *out)
{
	struct json_reader inner = {.p = raw.data, .end = raw.data + raw.len};

	while (inner.p < inner.end) {
		if (*inner.p != '\\') {
			*out++ = *inner.p++;
			continue;
		}
		inner.p++;
		if (!take_escape(&inner, &out))
			return jt_fail(r, inner.why);
	}
	*out = 0;
	return true;
}

/* A string of which nothing is kept must be one all the same. */
static bool escapes_hold(struct json_reader *r, struct tg_slice raw)
{
	struct json_reader inner = {.p = raw.data, .end = raw.data + raw.len};

	while ((inner.p = memchr(inner.p, '\\', (size_t)(inner.end - inner.p)))) {
		char one[4], *out = one;

		inner.p++;
		if (!take_escape(&inner, &out))
			return jt_fail(r, inner.why);
	}
	return true;
}

static bool skip_string(struct json_reader *r)
{
	struct tg_slice raw;
	bool escaped;

	return jt_pass_string(r, &raw, &escaped) && (!escaped || escapes_hold(r, raw));
}

bool jt_string(struct json_reader *r, char **ret)
{
	struct tg_slice raw;
	bool escaped;
	char *copy;

	if (!jt_pass_string(r, &raw, &escaped))
		return false;
	copy = jt_memory(r, raw.len + 1);
	if (!copy)
		return false;
	if (escaped && !unescape(r, raw, copy))
		return false;
	if (!escaped) {
		memcpy(copy, raw.data, raw.len);
		copy[raw.len] = 0;
	}
	*ret = copy;
	return true;
}

static size_t digits(struct json_reader *r)
{
	const char *start = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - start);
}

/* The text of one JSON number. The words other writers use for what JSON cannot say are named as
 * such. */
bool jt_pass_number(struct json_reader *r, struct tg_slice *ret)
{
	const char *start;

	jt_peek(r);
	start = r->p;
	if (jt_word(r, "NaN") || jt_word(r, "Infinity") || jt_word(r, "-Infinity"))
		return jt_fail(r, TG_REJECT_not_finite);
	if (r->p < r->end && *r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0')
		r->p++;
	else if (digits(r) == 0)
		return jt_malformed(r);
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (digits(r) == 0)
			return jt_malformed(r);
	}
	if (r->p < r->end && (*r->p | 0x20) == 'e') {
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (digits(r) == 0)
			return jt_malformed(r);
	}
	*ret = (struct tg_slice){start, (size_t)(r->p - start)};
	return true;
}

bool jt_double(struct json_reader *r, double *ret)
{
	struct tg_slice text;
	char small[40], *copy = small;

	if (!jt_pass_number(r, &text))
		return false;
	if (text.len >= sizeof(small)) {
		copy = jt_memory(r, text.len + 1);
		if (!copy)
			return false;
	}
	memcpy(copy, text.data, text.len);
	copy[text.len] = 0;
	*ret = strtod(copy, NULL);
	return isfinite(*ret) ? true : jt_fail(r, TG_REJECT_not_finite);
}

bool jt_enter(struct json_reader *r, char open)
{
	if (!jt_expect(r, open))
		return false;
	return ++r->depth <= TG_EVENT_DEPTH_MAX ? true : jt_fail(r, TG_REJECT_too_deep);
}

/* Before each element: *ret_more says whether there is one. first is true for the first call. */
bool jt_more(struct json_reader *r, char close, bool first, bool *ret_more)
{
	char c = jt_peek(r);

	if (c == close) {
		r->p++;
		r->depth--;
		*ret_more = false;
		return true;
	}
	if (!first && !jt_expect(r, ','))
		return false;
	if (++r->members > TG_EVENT_FIELDS_MAX)
		return jt_fail(r, TG_REJECT_too_many_fields);
	*ret_more = true;
	return true;
}

/* A member's name and colon; a name too long to be ours reads as "". */
bool jt_key(struct json_reader *r, char key[JSON_KEY_MAX])
{
	struct tg_slice raw;
	bool escaped;

	if (!jt_pass_string(r, &raw, &escaped))
		return false;
	key[0] = 0;
	if (raw.len < JSON_KEY_MAX ? !unescape(r, raw, key) : escaped && !escapes_hold(r, raw))
		return false;
	return jt_expect(r, ':');
}

static bool skip_inside(struct json_reader *r, char close)
{
	char key[JSON_KEY_MAX];
	bool go = true;

	for (bool first = true;; first = false) {
		if (!jt_more(r, close, first, &go))
			return false;
		if (!go)
			return true;
		if (close == '}' && !jt_key(r, key))
			return false;
		if (!jt_skip(r))
			return false;
	}
}

bool jt_skip(struct json_reader *r)
{
	struct tg_slice text;

	switch (jt_peek(r)) {
	case '{': return jt_enter(r, '{') && skip_inside(r, '}');
	case '[': return jt_enter(r, '[') && skip_inside(r, ']');
	case '"': return skip_string(r);
	case 't': return jt_word(r, "true") ? true : jt_malformed(r);
	case 'f': return jt_word(r, "false") ? true : jt_malformed(r);
	case 'n': return jt_word(r, "null") ? true : jt_malformed(r);
	default: return jt_pass_number(r, &text);
	}
}
