/* What the detector's files share: detector.c judges and tells, detector_store.c stores and puts
 * back. */
#ifndef TG_CORRELATE_DETECTOR_IMPL_H
#define TG_CORRELATE_DETECTOR_IMPL_H

#include "correlate/detector.h"

struct tg_detector {
	const struct tg_rule *rule;
	uint32_t rule_index;
	struct tg_window_budget *budget;
	struct tg_series **all;
	uint32_t len, cap;
	struct tg_series *touched;
	size_t words;
	int64_t due_us;             /* a horizon beyond this changes some series */
	bool unsure;                /* series that are new may have been told of before */
	bool silent;                /* the last end told nothing */
	int64_t told_us, told_next; /* up to there all was told before */
	int64_t floor_us,
		piece_floor_us; /* restoring: the newest, and that of the segment at hand */
};

/* detector.c */
void detector_more(struct tg_detector *d); /* one word */
void detector_fewer(struct tg_detector *d, size_t fewer);
/* NULL: the source has no series here. */
struct tg_series *detector_find(const struct tg_detector *d, const char *source);
/* The same, made when it is not there; NULL when memory is out. */
struct tg_series *detector_series(struct tg_detector *d, const char *source, int64_t base_us);
/* Whoever walks over all series and may drop the one at hand goes from the last to the first: the
 * last takes the place of one that is dropped. */
void detector_drop(struct tg_detector *d, struct tg_series *s);
void detector_touch(struct tg_detector *d, struct tg_series *s);
void detector_settle_series(struct tg_detector *d, struct tg_series *s, int64_t horizon_us);

#endif
