/* The words of one source that one rule listens to, in event time, and the spans that they make: a
 * limit passed until it cleared, a silence until the next word.
 *
 * Words before the base are settled: nothing that is still to come and counts is older, so only
 * what later ones need is kept of them. From the base on everything may still change, and the spans
 * are those of the words as they are known now, whatever order they came in. */
#ifndef TG_CORRELATE_SERIES_H
#define TG_CORRELATE_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/geo.h"

#define TG_SPAN_OPEN INT64_MAX

enum tg_word_flag { TG_WORD_BEYOND = 1, TG_WORD_PAST = 2 };

struct tg_word {
	uint8_t uid[16];
	int64_t event_us;
	double value; /* NaN: no reading */
	struct tg_lonlat at;
	const char *cell; /* interned; NULL outside the grid */
	uint32_t type;    /* TG_TYPE_NONE without one */
	uint8_t flags;    /* enum tg_word_flag, by the limits that held when it came */
};

struct tg_span {
	int64_t raised_us, cleared_us; /* TG_SPAN_OPEN: stands */
	double cleared_value;          /* of the word that cleared it; NaN */
	uint32_t first, last;          /* members lie among the words [first, last] */
	bool whole;                    /* every one of them (else only the two, or those beyond) */
	bool continued;                /* raised before the base: its members are settled */
	bool told;
	uint64_t print; /* of its members */
};

struct tg_spans {
	struct tg_span *items;
	uint32_t len, cap;
};

/* Where a walk over words stands. */
struct tg_track {
	uint32_t at;   /* words before it have been walked */
	uint32_t ring; /* the first that may count: since the last clearing */
	uint32_t run;  /* number + 1 of the first of an unbroken run beyond the limit; 0: none */
	int64_t count; /* of those beyond among the last n */
	bool raised;
	int64_t raised_us;
};

struct tg_series {
	const char *source;       /* a name's text */
	struct tg_series *beside; /* the next of that name */
	struct tg_detector *owner;
	uint32_t number;       /* among the owner's */
	struct tg_word *words; /* by (event_us, uid) */
	uint32_t len, cap;
	struct tg_track base, head; /* settled up to; walked up to */
	int64_t base_us;            /* words before are settled; INT64_MIN: none is */
	struct tg_spans spans;      /* of the words from the base on */
	int64_t due_us;             /* a horizon beyond this changes it; INT64_MAX: none does */
	struct tg_series *next;     /* among those touched */
	uint32_t trigger;           /* number of the event that touched it */
	bool touched, many;         /* by more than one event */
	bool stale;                 /* a word came before where the walk stands */
	bool unsure;                /* what was told of it is not known */
	bool gone;                  /* a told span is no longer one */
	int64_t kept_floor_us;      /* restoring: of the newest stored base */
};

enum tg_put { TG_PUT_TAKEN, TG_PUT_REPEAT, TG_PUT_SETTLED, TG_PUT_NO_MEMORY };

void tg_series_release(struct tg_series *s);
/* Sorts the word in; *ret_at is where. */
enum tg_put tg_series_put(struct tg_series *s, const struct tg_word *word, uint32_t *ret_at);
/* Removes words [from, to). Tracks and spans are the caller's. */
void tg_series_cut(struct tg_series *s, uint32_t from, uint32_t to);
/* The first word at or after that time. */
uint32_t tg_series_at(const struct tg_series *s, int64_t event_us);
/* NULL when memory is out. */
struct tg_span *tg_spans_add(struct tg_spans *spans);
/* Before (t, uid), negative; after, positive. */
int tg_word_order(const struct tg_word *a, const struct tg_word *b);

#endif
