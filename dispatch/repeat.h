/* Which cases a new one may repeat: ranked by nearness, age, type and words. The weights were
 * learnt from a year of reports whose duplicates a city had named; they are the tables in repeat.c.
 * Pure. */
#ifndef TG_DISPATCH_REPEAT_H
#define TG_DISPATCH_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TG_REPEAT_DISTANCE_M 150.0
#define TG_REPEAT_SHOWN      3
#define TG_REPEAT_LINE       (-4.05) /* a score below is not suggested */
#define TG_REPEAT_WORDS_MAX  160     /* of one text */
#define TG_REPEAT_SHARED     3       /* rarest shared words that are named */

/* How long a thing of a type lies about: a pit, a lamp; a parked car, a noise; either. */
enum tg_lasting { TG_LASTING_LONG, TG_LASTING_SHORT, TG_LASTING_MIXED };
enum tg_lasting tg_lasting_parse(const char *name); /* "long", "short", else mixed */

struct tg_report {
	const char *type_code; /* NULL: unknown */
	enum tg_lasting lasting;
	double lon, lat;
	int64_t reported_us, closed_us; /* closed_us INT64_MIN: open */
	bool merged;                    /* closed as a duplicate of another */
	const char *text;
};

/* How rare words are: of `texts` seen so far. */
struct tg_repeat_words;
TG_MUST int tg_repeat_words_new(
	const struct tg_slice *texts, size_t n, struct tg_repeat_words **ret);
void tg_repeat_words_free(struct tg_repeat_words *words);

struct tg_repeat {
	size_t at; /* which of the earlier ones */
	double score, distance_m;
	int64_t age_us;
	bool same_type, same_place, open;
	char shared[TG_REPEAT_SHARED][32];
	size_t shared_count;
};

/* Scores every earlier one, in their order. out has room for n. */
void tg_repeat_score(const struct tg_report *fresh, const struct tg_report *earlier, size_t n,
	int64_t now_us, const struct tg_repeat_words *words, struct tg_repeat *out);

#endif
