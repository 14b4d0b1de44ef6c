#include "correlate/silence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int add_silence(struct tg_series *s, uint32_t at, int64_t raised_us)
{
	struct tg_span *span = tg_spans_add(&s->spans);

	if (!span)
		return -TG_ENOMEM;
	span->raised_us = raised_us;
	span->cleared_us = at + 1 < s->len ? s->words[at + 1].event_us : TG_SPAN_OPEN;
	span->cleared_value = NAN;
	span->first = span->last = at;
	memcpy(&span->print, s->words[at].uid + 8, sizeof(span->print));
	return 0;
}

static void compare(struct tg_series *s, const struct tg_spans *before)
{
	for (uint32_t i = 0; i < before->len; i++) {
		const struct tg_span *old = &before->items[i];
		bool found = !old->told;

		for (uint32_t k = 0; k < s->spans.len && !found; k++) {
			struct tg_span *now = &s->spans.items[k];

			found = now->raised_us == old->raised_us && now->print == old->print;
			now->told |= found && now->cleared_us == old->cleared_us;
		}
		s->gone |= !found;
	}
}

int tg_silence_judge(const struct tg_rule *rule, const struct tg_zone *zone, struct tg_series *s,
	int64_t horizon_us)
{
	struct tg_spans before = s->spans;
	int rc = 0;

	s->spans = (struct tg_spans){0};
	s->due_us = INT64_MAX;
	for (uint32_t i = 0; i < s->len && !rc; i++) {
		int64_t heard_us = s->words[i].event_us;
		int64_t next_us = i + 1 < s->len ? s->words[i + 1].event_us : INT64_MAX, due_us;

		if (next_us != INT64_MAX && next_us - heard_us <= rule->after_us)
			continue;
		due_us = tg_schedule_after(rule->schedule, zone, heard_us, rule->after_us);
		if (next_us <= due_us)
			continue;
		if (horizon_us > due_us)
			rc = add_silence(s, i, due_us);
		else if (due_us < s->due_us)
			s->due_us = due_us;
	}
	compare(s, &before);
	free(before.items);
	return rc;
}

/* Between two words that are no longer apart than after_s no silence can be: those between them
 * tell nothing. What is settled is told; of it only the last word matters. */
uint32_t tg_silence_settle(const struct tg_rule *rule, struct tg_series *s, int64_t horizon_us)
{
	uint32_t kept = 0, dropped, from;
	struct tg_spans left = {0};

	if (horizon_us > s->base_us)
		s->base_us = horizon_us;
	from = tg_series_at(s, s->base_us);
	from = from ? from - 1 : 0;
	for (uint32_t i = from; i < s->len; i++) {
		bool idle =
			kept && i + 1 < s->len &&
			s->words[i + 1].event_us - s->words[kept - 1].event_us <= rule->after_us;

		if (!idle)
			s->words[kept++] = s->words[i];
	}
	dropped = s->len - kept;
	s->len = kept;
	s->base.at = tg_series_at(s, s->base_us);
	left = s->spans;
	s->spans.len = 0;
	for (uint32_t i = 0; i < left.len; i++)
		if (left.items[i].cleared_us >= s->base_us)
			s->spans.items[s->spans.len++] = left.items[i];
	return dropped;
}

void tg_silence_strike(struct tg_series *s, int64_t horizon_us)
{
	s->due_us = INT64_MAX;
	for (uint32_t i = 0; i < s->spans.len; i++) {
		struct tg_span *span = &s->spans.items[i];

		if (span->cleared_us != TG_SPAN_OPEN || horizon_us <= span->raised_us)
			continue;
		span->cleared_us = horizon_us;
		span->continued = true;
		span->told = false;
	}
}
