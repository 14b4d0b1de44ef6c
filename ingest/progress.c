#include "ingest/progress.h"

#include "base/clock.h"

#define SAY_EVERY_US      TG_US_PER_S
#define SAY_IDLE_EVERY_US 50000 /* a partition that comes and goes is not said each time */

/* Nothing read is still on its way, and there was nothing more to read. */
static bool idle(const struct tg_part *part)
{
	return part->at_end && part->sent_pos >= part->read_pos;
}

/* INT64_MIN: nothing is known yet. */
static int64_t progress_us(const struct tg_part *part, bool is_idle, int64_t now_us)
{
	int64_t us = part->high_us;

	if (is_idle)
		return now_us;
	/* A source whose clock runs ahead must not make the others late. */
	return us > now_us ? now_us : us;
}

void tg_progress_tick(struct tg_source *source, struct tg_forward *fw, bool live)
{
	int64_t now_us = tg_now_us(), mono_us = tg_mono_us();

	for (size_t i = 0; i < tg_source_count(source); i++) {
		struct tg_part *part = tg_source_part(source, i);
		bool is_idle = live && idle(part);
		int64_t since = mono_us - part->said_mono_us;
		int64_t us = progress_us(part, is_idle, now_us);

		if (us < part->said_us)
			us = part->said_us;
		if (us == INT64_MIN)
			continue;
		if (since < SAY_EVERY_US &&
			(!is_idle || part->said_idle || since < SAY_IDLE_EVERY_US)) {
			part->said_idle &= is_idle;
			continue;
		}
		if (tg_forward_progress(fw, part->topic, part->partition, us))
			return; /* the producer is full: at the next tick */
		part->said_us = us;
		part->said_mono_us = mono_us;
		part->said_idle = is_idle;
	}
}
