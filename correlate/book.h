/* Incidents in memory, kept by the same rules as the database keeps them: for examples, tests and
 * runs over history. */
#ifndef TG_CORRELATE_BOOK_H
#define TG_CORRELATE_BOOK_H

#include "base/map.h"
#include "correlate/findings.h"

/* A span as it was told last. */
struct tg_book_span {
	uint32_t rule;
	char *source, *area;
	int64_t raised_us, cleared_us;
	struct tg_seen *members;
	size_t len;
};

struct tg_entry {
	uint32_t rule;
	bool merged, cleared;
	int64_t first_us, last_us;
	struct tg_seen *members;
	size_t len, cap;
};

struct tg_book {
	struct tg_map *by_event; /* rule index and uid → entry */
	struct tg_entry *
		*entries; /* in the order they were raised; merged ones stay, without members */
	size_t len, cap;
	struct tg_book_span *spans;
	size_t spans_len, spans_cap;
};

TG_MUST int tg_book_init(struct tg_book *book);
void tg_book_release(struct tg_book *book);
TG_MUST int tg_book_apply(struct tg_book *book, struct tg_findings *f);
/* Clears the rule's incidents whose last member and window lie strictly before. */
void tg_book_clear(struct tg_book *book, uint32_t rule, int64_t window_us, int64_t before_us);
/* After the last apply: the entries of what was told as spans, by what they are now. Those of one
 * rule and area that overlap, or follow each other within the rule's cool-down, are one. */
TG_MUST int tg_book_finish(struct tg_book *book, const struct tg_ruleset *rules);

#endif
