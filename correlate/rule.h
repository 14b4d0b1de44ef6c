/* A rule as a value. Read from a pack, never changed afterwards. */
#ifndef TG_CORRELATE_RULE_H
#define TG_CORRELATE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "correlate/expr.h"
#include "correlate/schedule.h"

#define TG_RULES_MAX     4096
#define TG_RULE_ID_MAX   64
#define TG_TYPE_CODE_MAX 100000 /* five digits */
#define TG_TYPE_NONE     UINT32_MAX

enum tg_rule_kind {
	TG_RULE_SINGLE,
	TG_RULE_CLUSTER,
	TG_RULE_THRESHOLD,
	TG_RULE_SILENCE,
	TG_RULE_KIND_COUNT
};

struct tg_example;

struct tg_rule {
	char *id;
	int64_t version;
	enum tg_rule_kind kind;
	char *domain;
	int64_t severity; /* 1 (worst) – 4 */
	bool auto_file;
	char *pack;      /* the name of its pack */
	char *title;     /* NULL: the type's name */
	char *note;      /* who set its numbers and why; NULL */
	char *case_type; /* NULL: the earliest core's type */
	int64_t condition;
	int64_t cooldown_us;
	struct tg_expr *where; /* NULL: always true */
	char *where_text;
	int64_t lateness_us; /* the pack's */

	bool all_types;  /* types: ["*"] */
	uint32_t *types; /* codes as numbers */
	size_t types_len;

	/* cluster */
	int64_t min_events, min_reporters;
	double radius_m;
	int64_t window_us;

	/* threshold */
	char *metric;
	bool has_limit, above;
	bool device_limits;
	double limit;
	bool has_clear;
	double clear;
	int64_t k, n;
	int64_t for_us; /* 0: k of n */

	/* silence */
	char *devices; /* glob */
	int64_t after_us;
	struct tg_schedule *schedule; /* NULL: always expected */
	char *schedule_text;
	char *fold_by; /* NULL: each device for itself */

	struct tg_example *examples;
	size_t examples_len;

	const char *file; /* owned by the set */
	int line, column; /* of its id */
	/* Of what decides which events the window holds: equal prints can share a stored window.
	 * For kinds that keep series: of all that decides what they make of their words. */
	uint64_t print;
	uint64_t whole_print; /* of the whole definition but its title, examples and place */
};

struct tg_ruleset {
	struct tg_rule **rules; /* owned */
	size_t len;
	char **files; /* owned */
	size_t files_len;
	int64_t lateness_max_us;
};

const char *tg_rule_kind_name(enum tg_rule_kind kind);
/* Two windows and the tolerance: what a restore needs to find every core again. 0 for kinds without
 * a window. */
int64_t tg_rule_keep_us(const struct tg_rule *rule);
/* True for the kinds that look at one source's words in order of time. */
bool tg_rule_series(const struct tg_rule *rule);
/* False at once for threshold and silence: those are asked by metric and by source. */
bool tg_rule_wants(const struct tg_rule *rule, uint32_t type, const tg_located_pb *loc);
/* "05101" → 5101; TG_TYPE_NONE when absent or not five digits. */
uint32_t tg_type_number(const char *code);
/* The definition that travels with a batch: version, kind, domain, severity, window_us,
 * explanation. */
void tg_rule_json(struct tg_jw *w, const struct tg_rule *rule);
/* {rule_id: print} of all of them. */
TG_MUST int tg_ruleset_prints(const struct tg_ruleset *set, struct tg_buf *out);
/* A row of the table of rules. */
void tg_rule_row(struct tg_jw *w, const struct tg_rule *rule);
void tg_rule_free(struct tg_rule *rule); /* NULL is fine */

#endif
