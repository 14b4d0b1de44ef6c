/* A rule's own examples: events → the incidents that it must raise from them. */
#ifndef TG_CORRELATE_EXAMPLE_H
#define TG_CORRELATE_EXAMPLE_H

#include "base/arena.h"
#include "correlate/rule.h"

#define TG_EXAMPLE_EVENTS_MAX 256
#define TG_EXAMPLE_EXPECT_MAX 64

struct tg_expected {
	uint16_t members[TG_EXAMPLE_EVENTS_MAX]; /* indexes of events, ascending */
	size_t len;
	const char *state; /* "open", "cleared"; NULL: not asked */
};

/* A device as the registry would have it; sources that are not listed have no limits and lie where
 * their first event does. */
struct tg_example_device {
	const char *id, *street, *district, *limits; /* limits: JSON */
};

struct tg_example {
	struct tg_arena arena; /* owns all below */
	const char *name;
	int line;
	tg_located_pb **events; /* in file order, which is the order of arrival */
	size_t events_len;
	struct tg_expected *expect;
	size_t expect_len;
	struct tg_example_device *devices;
	size_t devices_len;
	int64_t until_us; /* how far event time comes in the end; INT64_MIN: to the last event */
};

void tg_example_release(struct tg_example *ex);
/* Runs the rule alone over the example; zone (NULL: UTC) is for schedules. 0: as expected; 1: not,
 * with what was raised and what was wanted in why; negative: memory. */
TG_MUST int tg_example_run(const struct tg_rule *rule, const struct tg_example *ex,
	const char *zone, struct tg_buf *why);

#endif
