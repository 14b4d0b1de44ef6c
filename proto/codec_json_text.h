/* Reading JSON text, bounded: strings, numbers, members. Not for anybody but codec_json_read.c. */
#ifndef TG_PROTO_CODEC_JSON_TEXT_H
#define TG_PROTO_CODEC_JSON_TEXT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "proto/reject.h"

#define JSON_KEY_MAX 64 /* longer member names are none of ours */

/* Every jt_…() that returns bool returns false after setting why; nothing is looked at after
 * that. */
struct json_reader {
	const char *p, *end;
	struct tg_arena *arena;
	int depth, members;
	enum tg_reject why;
};

bool jt_fail(struct json_reader *r, enum tg_reject why); /* always false */
bool jt_malformed(struct json_reader *r);                /* always false */
void *jt_memory(struct json_reader *r, size_t n);        /* NULL: too_large */
char jt_peek(struct json_reader *r);                     /* past white space; 0 at the end */
bool jt_expect(struct json_reader *r, char c);
bool jt_word(
	struct json_reader *r, const char *text); /* takes it when it is next; sets no reason */
/* The raw text between the quotes; no copy. */
bool jt_pass_string(struct json_reader *r, struct tg_slice *ret, bool *ret_escaped);
bool jt_string(struct json_reader *r, char **ret);
bool jt_pass_number(struct json_reader *r, struct tg_slice *ret);
bool jt_double(struct json_reader *r, double *ret);
bool jt_enter(struct json_reader *r, char open);
/* Before each element: *ret_more says whether there is one. first is true for the first call. */
bool jt_more(struct json_reader *r, char close, bool first, bool *ret_more);
/* A member's name and colon; a name too long to be ours reads as "". */
bool jt_key(struct json_reader *r, char key[JSON_KEY_MAX]);
bool jt_skip(struct json_reader *r);

#endif
