/* JSON: an append-only writer for what we send, a bounded reader (over jansson) for what we get.
 * No other file includes jansson.h except those that walk a tg_json tree through this header. */
#ifndef TG_BASE_JSON_H
#define TG_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "base/buf.h"

/* Writer: commas and escaping are its business, nesting is yours (asserted in tg_jw_end).
 * An error (buffer full) is sticky: check tg_jw_end(). key NULL inside arrays and at top level
 * (asserted). Bytes that are not UTF-8 are written as U+FFFD, so the output is always valid. */
struct tg_jw {
	struct tg_buf *out;
	int rc;
	int depth;
	bool comma[64];  /* a value stands already at this depth */
	bool object[64]; /* this depth wants keys */
};

void tg_jw_begin(struct tg_jw *w, struct tg_buf *out);
TG_MUST int tg_jw_end(struct tg_jw *w); /* 0 or the first error */
void tg_jw_object(struct tg_jw *w, const char *key);
void tg_jw_object_end(struct tg_jw *w);
void tg_jw_array(struct tg_jw *w, const char *key);
void tg_jw_array_end(struct tg_jw *w);
void tg_jw_str(struct tg_jw *w, const char *key, const char *text); /* NULL text → null */
void tg_jw_slice(struct tg_jw *w, const char *key, struct tg_slice text);
void tg_jw_int(struct tg_jw *w, const char *key, int64_t v);
void tg_jw_dbl(
	struct tg_jw *w, const char *key, double v); /* shortest that reads back; NaN/inf → null */
void tg_jw_bool(struct tg_jw *w, const char *key, bool v);
void tg_jw_null(struct tg_jw *w, const char *key);
void tg_jw_time(struct tg_jw *w, const char *key, int64_t us); /* RFC 3339 UTC; INT64_MIN → null */
void tg_jw_raw(struct tg_jw *w, const char *key, struct tg_slice json); /* already JSON */

/* Reader: duplicate keys and depth over 32 are refused. The error text names line and column; why
 * may be NULL. The top level is an object or an array. Caller: json_decref. */
TG_MUST int tg_json_parse(struct tg_slice text, json_t **ret, struct tg_buf *why);
/* Getters on an object: false when absent or null; -> wrong type also false with *wrong = true (may
 * be NULL); *wrong is never set to false, so one flag can gather several calls. An integer is also
 * a double, not the reverse. */
bool tg_json_str(const json_t *obj, const char *key, const char **ret, bool *wrong);
bool tg_json_int(const json_t *obj, const char *key, int64_t *ret, bool *wrong);
bool tg_json_dbl(const json_t *obj, const char *key, double *ret, bool *wrong);
bool tg_json_bool(const json_t *obj, const char *key, bool *ret, bool *wrong);

#endif
