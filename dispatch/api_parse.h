/* The pure half of the HTTP side: what stands in a query string, a cursor or a header → values. No
 * request, no server. */
#ifndef TG_DISPATCH_API_PARSE_H
#define TG_DISPATCH_API_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define TG_CURSOR_ID_MAX   40
#define TG_CURSOR_TEXT_MAX 120
#define TG_TOKEN_TEXT_MAX  64

/* Where a list goes on: the sort key and the id of the last row shown. Opaque to clients. */
struct tg_cursor {
	char order;  /* which list and order wrote it: another one's cursor is refused */
	int64_t key; /* µs or a number; INT64_MAX: rows without a key, which come last */
	char id[TG_CURSOR_ID_MAX];
};

void tg_cursor_write(const struct tg_cursor *c, char out[TG_CURSOR_TEXT_MAX]);
/* -TG_EPARSE: not a cursor of this order. */
TG_MUST int tg_cursor_read(struct tg_slice text, char order, struct tg_cursor *ret);

struct tg_bbox {
	double west, south, east, north;
};

/* "west,south,east,north" in degrees, west <= east, south <= north. -TG_EPARSE. */
TG_MUST int tg_bbox_parse(struct tg_slice text, struct tg_bbox *ret);

/* Whole decimal number within [min, max]. -TG_EPARSE. */
TG_MUST int tg_number_parse(struct tg_slice text, int64_t min, int64_t max, int64_t *ret);
TG_MUST int tg_flag_parse(struct tg_slice text, bool *ret); /* "true" or "false" */

/* 8-4-4-4-12 hex digits. */
bool tg_is_uuid(struct tg_slice text);

/* 64 hex digits in lower case: what a photo is called. */
#define TG_PHOTO_HEX 64
bool tg_is_photo_hash(struct tg_slice text);

/* Is name in the NULL-terminated list? */
bool tg_name_in(struct tg_slice name, const char *const *list);
/* "a,b,c" → PostgreSQL's array text "{a,b,c}". Every part must be in the list. -TG_EPARSE;
 * -TG_EFULL: out too small. */
TG_MUST int tg_names_array(
	struct tg_slice text, const char *const *list, char *out, size_t out_size);

/* Text for ILIKE with \ % _ made literal and % around it. -TG_EFULL. */
TG_MUST int tg_like_pattern(struct tg_slice text, char *out, size_t out_size);

/* The least that can be searched for. text is UTF-8. */
bool tg_has_two_characters(const char *text);

/* Where a credential came from. */
enum tg_token_kind { TG_TOKEN_NONE, TG_TOKEN_SESSION, TG_TOKEN_LASTING };
/* The kind a token's own prefix says; NONE for anything that no token of ours can be. */
enum tg_token_kind tg_token_kind(struct tg_slice token);
/* "Bearer TOKEN" (scheme in any case) → TOKEN; false for another scheme or an empty token. */
bool tg_bearer_parse(struct tg_slice header, struct tg_slice *ret);

/* Does an Accept header ask for this media type by name (q=0 counts as no)? */
bool tg_accepts(struct tg_slice header, const char *media);
/* Is the Content-Type this media type, whatever its parameters? */
bool tg_media_is(struct tg_slice header, const char *media);
/* Does If-None-Match hold this entity tag (given with its quotes) or *? Weak tags compare by their
 * text. */
bool tg_etag_matches(struct tg_slice header, const char *etag);

#endif
