/* The kinds that look at one source's words in order of time, for one rule over one partition: its
 * series, which of them were touched, and what is to be told of them. Order-free as the cluster
 * kind is: within the tolerance a late word gives what it would have given in order. */
#ifndef TG_CORRELATE_DETECTOR_H
#define TG_CORRELATE_DETECTOR_H

#include "correlate/findings.h"
#include "correlate/registry.h"
#include "correlate/segment.h"
#include "correlate/series.h"

struct tg_detector;

TG_MUST int tg_detector_new(const struct tg_rule *rule, uint32_t rule_index,
	struct tg_window_budget *budget, struct tg_detector **ret);
void tg_detector_free(struct tg_detector *d);
/* After a reload: the same definition, read again. */
void tg_detector_adopt(struct tg_detector *d, const struct tg_rule *rule, uint32_t rule_index);
size_t tg_detector_words(const struct tg_detector *d);
size_t tg_detector_count(const struct tg_detector *d);

enum tg_detector_verdict {
	TG_DETECTOR_TAKEN,
	TG_DETECTOR_REPEAT,
	TG_DETECTOR_LATE,
	TG_DETECTOR_FULL,
	TG_DETECTOR_FAILED
};

/* source: interned. trigger: number of the event in the findings. */
enum tg_detector_verdict tg_detector_take(struct tg_detector *d, const char *source,
	const struct tg_word *word, int64_t horizon_us, uint32_t trigger);
/* Where a batch ends. */
struct tg_detector_end {
	const struct tg_registry *registry; /* NULL: no device is known */
	int32_t here;                       /* the partition, −1 for any */
	int64_t horizon_us;
	int64_t mark_us, next; /* the watermark, and the offset after it */
};
/* Judges what was touched and what the horizon has passed, tells what is new and settles the rest.
 */
TG_MUST int tg_detector_end(
	struct tg_detector *d, const struct tg_detector_end *end, struct tg_findings *f);
/* Up to there all was told before; nothing is until a batch ends there or later. */
void tg_detector_told(struct tg_detector *d, int64_t mark_us, int64_t next);
/* Every series is looked at again at the next end: the registry has changed. */
void tg_detector_touch_all(struct tg_detector *d);

/* Settles every series up to this floor, so that what came before it can be forgotten. */
void tg_detector_settle(struct tg_detector *d, int64_t floor_us);
/* After that: what is settled and still needed; pending: and all words since. next starts at 0 and
 * names where to go on; true while there is more. */
bool tg_detector_store(
	struct tg_detector *d, size_t *next, uint32_t most, bool pending, struct tg_segment *s);

/* Putting back what was stored, in any order, but a segment's floors first, then its bases, then
 * its words; then restored(). */
void tg_detector_put_floor(struct tg_detector *d, int64_t floor_us);
TG_MUST int tg_detector_put_base(
	struct tg_detector *d, const char *source, bool raised, int64_t raised_us);
TG_MUST int tg_detector_put_word(
	struct tg_detector *d, const char *source, const struct tg_word *word, bool settled);
/* This span stands, and word is the last of its members: for a source that nothing is known of. */
TG_MUST int tg_detector_recall_span(
	struct tg_detector *d, const char *source, int64_t raised_us, const struct tg_word *word);
void tg_detector_restored(struct tg_detector *d);

#endif
