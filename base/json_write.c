#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define DEPTH_MAX 64

void tg_jw_begin(struct tg_jw *w, struct tg_buf *out)
{
	*w = (struct tg_jw){.out = out};
}

int tg_jw_end(struct tg_jw *w)
{
	assert(w->depth == 0);
	return w->rc;
}

static void put(struct tg_jw *w, const char *data, size_t len)
{
	if (!w->rc)
		w->rc = tg_buf_add(w->out, data, len);
}

static void put_escape(struct tg_jw *w, uint8_t c)
{
	static const char short_forms[] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\')
		put(w, (char[]){'\\', (char)c}, 2);
	else if (c < sizeof(short_forms) && short_forms[c])
		put(w, (char[]){'\\', short_forms[c]}, 2);
	else
		put(w, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

static void put_string(struct tg_jw *w, struct tg_slice text)
{
	size_t plain = 0; /* start of the run that needs no change */

	put(w, "\"", 1);
	for (size_t i = 0; i < text.len;) {
		uint8_t c = (uint8_t)text.data[i];
		size_t step = c < 0x80 ? 1 : tg_utf8_step(text.data + i, text.len - i);

		if (step && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
			i += step;
			continue;
		}
		put(w, text.data + plain, i - plain);
		if (step)
			put_escape(w, c);
		else
			put(w, "\xef\xbf\xbd", 3);
		plain = ++i;
	}
	if (text.len > plain)
		put(w, text.data + plain, text.len - plain);
	put(w, "\"", 1);
}

/* What goes before a value: the comma and the key. */
static void put_key(struct tg_jw *w, const char *key)
{
	assert((key != NULL) == w->object[w->depth]);
	assert(w->depth > 0 || !w->comma[0]); /* one value at top level */
	if (w->comma[w->depth])
		put(w, ",", 1);
	w->comma[w->depth] = true;
	if (key) {
		put_string(w, tg_slice_cstr(key));
		put(w, ":", 1);
	}
}

static void enter(struct tg_jw *w, const char *key, bool object)
{
	put_key(w, key);
	put(w, object ? "{" : "[", 1);
	w->depth++;
	assert(w->depth < DEPTH_MAX);
	w->comma[w->depth] = false;
	w->object[w->depth] = object;
}

static void leave(struct tg_jw *w, bool object)
{
	assert(w->depth > 0);
	assert(w->object[w->depth] == object);
	put(w, object ? "}" : "]", 1);
	w->depth--;
}

void tg_jw_object(struct tg_jw *w, const char *key)
{
	enter(w, key, true);
}

void tg_jw_object_end(struct tg_jw *w)
{
	leave(w, true);
}

void tg_jw_array(struct tg_jw *w, const char *key)
{
	enter(w, key, false);
}

void tg_jw_array_end(struct tg_jw *w)
{
	leave(w, false);
}

void tg_jw_str(struct tg_jw *w, const char *key, const char *text)
{
	if (text)
		tg_jw_slice(w, key, tg_slice_cstr(text));
	else
		tg_jw_null(w, key);
}

void tg_jw_slice(struct tg_jw *w, const char *key, struct tg_slice text)
{
	put_key(w, key);
	put_string(w, text);
}

void tg_jw_int(struct tg_jw *w, const char *key, int64_t v)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;

	put_key(w, key);
	do {
		digits[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (v < 0)
		digits[--at] = '-';
	put(w, digits + at, sizeof(digits) - at);
}

void tg_jw_dbl(struct tg_jw *w, const char *key, double v)
{
	if (!isfinite(v)) {
		tg_jw_null(w, key);
		return;
	}
	put_key(w, key);
	if (!w->rc)
		w->rc = tg_buf_add_dbl(w->out, v);
}

void tg_jw_bool(struct tg_jw *w, const char *key, bool v)
{
	put_key(w, key);
	put(w, v ? "true" : "false", v ? 4 : 5);
}

void tg_jw_null(struct tg_jw *w, const char *key)
{
	put_key(w, key);
	put(w, "null", 4);
}

void tg_jw_time(struct tg_jw *w, const char *key, int64_t us)
{
	char text[TG_RFC3339_MAX];

	if (us == INT64_MIN) {
		tg_jw_null(w, key);
		return;
	}
	tg_rfc3339_utc(us, text);
	tg_jw_str(w, key, text);
}

void tg_jw_raw(struct tg_jw *w, const char *key, struct tg_slice json)
{
	assert(json.len > 0);
	put_key(w, key);
	put(w, json.data, json.len);
}
