/* What one batch found, before it is told to anybody: reports that are incidents of their own, and
 * groups of events that one incident must hold. Groups that share an event are united here, so that
 * a batch speaks once of each. */
#ifndef TG_CORRELATE_FINDINGS_H
#define TG_CORRELATE_FINDINGS_H

#include "correlate/registry.h"
#include "correlate/rule.h"
#include "correlate/series.h"
#include "correlate/window.h"

#define TG_TRACE_MAX 64

struct tg_finding {
	uint32_t rule; /* index in the set */
	struct tg_seen seen;
	uint32_t parent;  /* union-find */
	uint32_t next;    /* next member of the same group, or TG_SEQ_NONE */
	uint32_t trigger; /* number of the event that said so; 0: none */
	bool many;        /* more than one event did */
};

struct tg_single {
	uint32_t rule;
	struct tg_seen seen;
	uint32_t trigger;
};

/* From from_us on the spans of that source for that rule are these and no others. Spans that began
 * before are as they were told, but one that is said to continue may have ended. */
struct tg_story {
	uint32_t rule;
	const char *source, *area;      /* area: what folds; the source itself where nothing does */
	const struct tg_limits *limits; /* the device's own, where those count */
	int64_t from_us;
	uint32_t trigger;
	uint32_t spans, spans_len; /* in the findings' spans */
};

struct tg_told_span {
	int64_t raised_us, cleared_us; /* TG_SPAN_OPEN */
	double cleared_value;          /* NaN */
	bool continued;                /* no members: they were told */
	uint32_t words, words_len;     /* in the findings' words */
};

struct tg_findings {
	struct tg_finding *nodes;
	size_t len, cap;
	struct tg_single *singles;
	size_t singles_len, singles_cap;
	uint32_t *slots; /* hash of (rule, uid) → node + 1 */
	size_t slots_cap;
	char (*traces)[TG_TRACE_MAX]; /* traceparent of trigger i + 1; "" without one */
	size_t traces_len, traces_cap;
	struct tg_story *stories;
	size_t stories_len, stories_cap;
	struct tg_told_span *spans;
	size_t spans_len, spans_cap;
	struct tg_word *words;
	size_t words_len, words_cap;
	int rc; /* the first failure; what was found is then not whole */
};

void tg_findings_release(struct tg_findings *f);
void tg_findings_reset(struct tg_findings *f);
bool tg_findings_empty(const struct tg_findings *f);
/* What follows is said by a new event. */
void tg_findings_trigger(struct tg_findings *f, struct tg_slice traceparent);
void tg_findings_single(struct tg_findings *f, uint32_t rule, const struct tg_seen *seen);
/* core is a core; member (may be NULL) belongs to its incident. */
void tg_findings_link(struct tg_findings *f, uint32_t rule, const struct tg_seen *core,
	const struct tg_seen *member);
/* A story, then each of its spans, each followed by its members. */
void tg_findings_story(struct tg_findings *f, const struct tg_story *story);
void tg_findings_span(struct tg_findings *f, const struct tg_span *span);
void tg_findings_word(struct tg_findings *f, const struct tg_word *word);
/* Chains the members of each group: *ret_heads gets the first of each (cap entries at most len).
 * Returns how many. */
size_t tg_findings_groups(struct tg_findings *f, uint32_t *heads);
/* The group's one traceparent, or NULL. root: any member. */
const char *tg_findings_trace(const struct tg_findings *f, uint32_t node);
/* Where the batch lies in its topic: what Redis has, and what it will have. */
struct tg_batch_span {
	int32_t partition;
	int64_t from, next;
	int64_t mark_us;   /* the watermark; INT64_MIN: none yet */
	const char *epoch; /* of the owner, as text */
};

/* What a batch says of incidents besides its findings; as JSON text, or empty. */
struct tg_batch_ends {
	struct tg_slice clears; /* [{id, before_us}] */
	struct tg_slice retire; /* [{id, why}]: their rule runs no more, or is another now */
};

/* The document for incident_apply. */
TG_MUST int tg_findings_json(struct tg_findings *f, const struct tg_ruleset *rules,
	const struct tg_batch_span *span, const struct tg_batch_ends *ends, struct tg_buf *out);

#endif
