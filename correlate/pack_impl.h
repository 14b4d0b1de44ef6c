/* Reading one pack: where complaints go, and the getters that complain. */
#ifndef TG_CORRELATE_PACK_IMPL_H
#define TG_CORRELATE_PACK_IMPL_H

#include "base/yaml.h"
#include "correlate/pack.h"

struct tg_pack_reader {
	const char *file;
	const struct tg_pack_limits *limits;
	const struct tg_ruleset *known; /* rules of other files */
	struct tg_buf *why;
	int errors;
	int64_t lateness_us; /* the pack's */
};

/* "FILE:LINE:COLUMN: …\n". */
void tg_pack_say(struct tg_pack_reader *r, int line, int column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* One key of a map and where its value goes. A missing required key is reported at (line, column).
 * All numbers must lie in [min, max]; NULL targets are left alone. */
enum tg_pack_type {
	TG_PACK_TEXT,
	TG_PACK_WORD,
	TG_PACK_INT,
	TG_PACK_SECONDS,
	TG_PACK_DOUBLE,
	TG_PACK_BOOL,
	TG_PACK_ANY
};

struct tg_pack_key {
	const char *name;
	enum tg_pack_type type;
	bool required;
	double min, max;
	const char *words; /* WORD: "a b c" */
	void *to; /* char ** (TEXT, WORD), int64_t * (INT, SECONDS → µs), double *, bool *, struct
		     tg_yaml ** (ANY) */
	bool *given; /* may be NULL */
};

/* Reads the keys; an unknown one is an error at its place. where names the map in messages ("a
 * rule"). */
void tg_pack_keys(struct tg_pack_reader *r, struct tg_yaml *map, const char *where, int line,
	int column, const struct tg_pack_key *keys, size_t n);
/* The rule's examples. */
void tg_pack_examples(struct tg_pack_reader *r, struct tg_yaml *seq, struct tg_rule *rule);

#endif
