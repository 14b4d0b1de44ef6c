/* What a detector needs of the time before a floor, as segments, and putting it back. */
#include "correlate/detector_impl.h"
#include "correlate/threshold.h"

/* A threshold's series of which nothing is left says nothing. */
static bool is_empty(const struct tg_detector *d, const struct tg_series *s)
{
	return s->len == 0 && !s->base.raised && s->spans.len == 0 && !s->touched &&
	       (d->rule->kind == TG_RULE_THRESHOLD || s->due_us == INT64_MAX);
}

void tg_detector_settle(struct tg_detector *d, int64_t floor_us)
{
	d->floor_us = floor_us;
	for (uint32_t i = d->len; i--;) {
		struct tg_series *s = d->all[i];

		detector_settle_series(d, s, floor_us);
		if (d->rule->kind == TG_RULE_THRESHOLD && s->base.at == s->len &&
			tg_threshold_needed(d->rule, s) == s->len) {
			detector_fewer(d, s->len);
			s->len = s->base.at = s->base.ring = 0;
			s->head = s->base;
		}
		if (is_empty(d, s))
			detector_drop(d, s);
	}
}

static void store_series(
	const struct tg_detector *d, const struct tg_series *s, bool pending, struct tg_segment *to)
{
	uint32_t from = d->rule->kind == TG_RULE_THRESHOLD ? tg_threshold_needed(d->rule, s) : 0;
	uint32_t until = pending ? s->len : s->base.at;

	if (s->base.raised || from < s->base.at)
		tg_segment_base(to, d->rule_index, d->rule->print, s->source, s->base.raised,
			s->base.raised_us);
	for (uint32_t i = from; i < until; i++)
		tg_segment_word(
			to, d->rule_index, d->rule->print, s->source, &s->words[i], i < s->base.at);
}

bool tg_detector_store(
	struct tg_detector *d, size_t *next, uint32_t most, bool pending, struct tg_segment *to)
{
	if (*next == 0 || to->floors_len == 0)
		tg_segment_floor(to, d->rule_index, d->rule->print, d->floor_us);
	while (to->words_len + to->bases_len < most) {
		if (*next >= d->len)
			return false;
		store_series(d, d->all[(*next)++], pending, to);
	}
	return true;
}

static struct tg_series *series_back(struct tg_detector *d, const char *source)
{
	return detector_series(d, source, INT64_MIN);
}

/* A newer base makes an older one void. */
static void newer_base(struct tg_detector *d, struct tg_series *s, int64_t floor_us)
{
	uint32_t at = 0;

	if (floor_us <= s->kept_floor_us)
		return;
	s->kept_floor_us = floor_us;
	s->base.raised = false;
	at = tg_series_at(s, floor_us);
	detector_fewer(d, at);
	tg_series_cut(s, 0, at);
}

void tg_detector_put_floor(struct tg_detector *d, int64_t floor_us)
{
	d->piece_floor_us = floor_us;
	if (floor_us > d->floor_us)
		d->floor_us = floor_us;
}

int tg_detector_put_base(struct tg_detector *d, const char *source, bool raised, int64_t raised_us)
{
	struct tg_series *s = series_back(d, source);

	if (!s)
		return -TG_ENOMEM;
	newer_base(d, s, d->piece_floor_us);
	if (d->piece_floor_us == s->kept_floor_us) {
		s->base.raised = raised;
		s->base.raised_us = raised_us;
	}
	return 0;
}

int tg_detector_put_word(
	struct tg_detector *d, const char *source, const struct tg_word *word, bool settled)
{
	struct tg_series *s = series_back(d, source);
	uint32_t at;

	if (!s)
		return -TG_ENOMEM;
	if (settled ? d->piece_floor_us < s->kept_floor_us : word->event_us < s->kept_floor_us)
		return 0;
	if (d->budget->used >= d->budget->max)
		return -TG_EFULL;
	switch (tg_series_put(s, word, &at)) {
	case TG_PUT_TAKEN: detector_more(d); return 0;
	case TG_PUT_NO_MEMORY: return -TG_ENOMEM;
	default: return 0;
	}
}

/* A base of its own for this series, just after the instant that says so. A silence is judged from
 * the last word once more; a limit stays passed until a reading clears it. */
int tg_detector_recall_span(
	struct tg_detector *d, const char *source, int64_t raised_us, const struct tg_word *word)
{
	bool threshold = d->rule->kind == TG_RULE_THRESHOLD;
	struct tg_series *s;
	uint32_t at;

	if (detector_find(d, source))
		return 0;
	if (d->budget->used >= d->budget->max)
		return -TG_EFULL;
	s = series_back(d, source);
	if (!s || (!threshold && tg_series_put(s, word, &at) != TG_PUT_TAKEN))
		return -TG_ENOMEM;
	if (!threshold)
		detector_more(d);
	s->base_us = s->kept_floor_us = (threshold ? raised_us : word->event_us) + 1;
	s->base.at = s->len;
	s->base.raised = threshold;
	s->base.raised_us = raised_us;
	s->head = s->base;
	s->stale = s->unsure = true;
	detector_touch(d, s);
	return 0;
}

/* What lies before the floor and is part of no base there is needed no more. */
static void forget_before(struct tg_detector *d, struct tg_series *s)
{
	uint32_t at;

	if (s->kept_floor_us >= d->floor_us)
		return;
	at = tg_series_at(s, d->floor_us);
	detector_fewer(d, at);
	tg_series_cut(s, 0, at);
	s->base.raised = false;
}

void tg_detector_restored(struct tg_detector *d)
{
	d->unsure = true;
	for (uint32_t i = d->len; i--;) {
		struct tg_series *s = d->all[i];

		forget_before(d, s);
		s->base_us = s->kept_floor_us > d->floor_us ? s->kept_floor_us : d->floor_us;
		s->base.at = tg_series_at(s, s->base_us);
		if (d->rule->kind == TG_RULE_THRESHOLD)
			tg_threshold_recount(d->rule, s);
		s->head = s->base;
		s->stale = s->unsure = true;
		if (s->len == 0 && !s->base.raised)
			detector_drop(d, s);
		else
			detector_touch(d, s);
	}
}
