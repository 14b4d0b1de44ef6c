#include "correlate/detector_impl.h"

#include <stdlib.h>
#include <string.h>

#include "correlate/silence.h"
#include "correlate/threshold.h"

int tg_detector_new(const struct tg_rule *rule, uint32_t rule_index,
	struct tg_window_budget *budget, struct tg_detector **ret)
{
	struct tg_detector *d = calloc(1, sizeof(*d));

	if (!d)
		return -TG_ENOMEM;
	d->rule = rule;
	d->rule_index = rule_index;
	d->budget = budget;
	d->due_us = INT64_MAX;
	d->floor_us = d->piece_floor_us = d->told_us = d->told_next = INT64_MIN;
	*ret = d;
	return 0;
}

void detector_fewer(struct tg_detector *d, size_t fewer)
{
	d->words -= fewer;
	d->budget->used -= fewer;
}

void detector_more(struct tg_detector *d)
{
	d->words++;
	d->budget->used++;
}

void detector_drop(struct tg_detector *d, struct tg_series *s)
{
	struct tg_series **at = &tg_name_of(s->source)->series, *last = d->all[--d->len];

	while (*at != s)
		at = &(*at)->beside;
	*at = s->beside;
	d->all[s->number] = last;
	last->number = s->number;
	detector_fewer(d, s->len);
	tg_series_release(s);
	free(s);
}

void tg_detector_free(struct tg_detector *d)
{
	if (!d)
		return;
	while (d->len)
		detector_drop(d, d->all[d->len - 1]);
	free(d->all);
	free(d);
}

void tg_detector_adopt(struct tg_detector *d, const struct tg_rule *rule, uint32_t rule_index)
{
	d->rule = rule;
	d->rule_index = rule_index;
}

size_t tg_detector_words(const struct tg_detector *d)
{
	return d->words;
}

size_t tg_detector_count(const struct tg_detector *d)
{
	return d->len;
}

struct tg_series *detector_find(const struct tg_detector *d, const char *source)
{
	struct tg_series *s = tg_name_of(source)->series;

	while (s && s->owner != d)
		s = s->beside;
	return s;
}

static struct tg_series *add_series(struct tg_detector *d, const char *source)
{
	struct tg_name *name = tg_name_of(source);
	struct tg_series *s;

	if (d->len == d->cap) {
		uint32_t cap = d->cap ? d->cap * 2 : 16;
		struct tg_series **all = realloc(d->all, cap * sizeof(struct tg_series *));

		if (!all)
			return NULL;
		d->all = all;
		d->cap = cap;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->source = source;
	s->owner = d;
	s->beside = name->series;
	name->series = s;
	s->number = d->len;
	d->all[d->len++] = s;
	return s;
}

struct tg_series *detector_series(struct tg_detector *d, const char *source, int64_t base_us)
{
	struct tg_series *s = detector_find(d, source);

	if (s)
		return s;
	s = add_series(d, source);
	if (!s)
		return NULL;
	s->base_us = base_us;
	s->kept_floor_us = INT64_MIN;
	s->due_us = INT64_MAX;
	s->unsure = d->unsure;
	return s;
}

void detector_touch(struct tg_detector *d, struct tg_series *s)
{
	if (s->touched)
		return;
	s->touched = true;
	s->many = false;
	s->trigger = 0;
	s->next = d->touched;
	d->touched = s;
}

static void touch_by(struct tg_detector *d, struct tg_series *s, uint32_t trigger)
{
	detector_touch(d, s);
	s->many |= s->trigger && s->trigger != trigger;
	s->trigger = trigger;
}

enum tg_detector_verdict tg_detector_take(struct tg_detector *d, const char *source,
	const struct tg_word *word, int64_t horizon_us, uint32_t trigger)
{
	struct tg_series *s;
	uint32_t at;

	if (word->event_us < horizon_us)
		return TG_DETECTOR_LATE;
	if (d->budget->used >= d->budget->max)
		return TG_DETECTOR_FULL;
	s = detector_series(d, source, horizon_us);
	if (!s)
		return TG_DETECTOR_FAILED;
	switch (tg_series_put(s, word, &at)) {
	case TG_PUT_REPEAT:
	case TG_PUT_SETTLED: return TG_DETECTOR_REPEAT;
	case TG_PUT_NO_MEMORY: return TG_DETECTOR_FAILED;
	case TG_PUT_TAKEN: break;
	}
	detector_more(d);
	s->stale |= at < s->head.at;
	touch_by(d, s, trigger);
	return TG_DETECTOR_TAKEN;
}

/* ---- the end of a batch ---- */

static const char *area_of(const struct tg_rule *rule, const struct tg_device *device)
{
	if (!rule->fold_by || !device)
		return NULL;
	return strcmp(rule->fold_by, "street") == 0 ? device->street : device->district;
}

static const struct tg_limits *limits_of(const struct tg_rule *rule, const struct tg_device *device)
{
	return rule->device_limits && device ? tg_device_limits(device, rule->metric) : NULL;
}

static bool counts(const struct tg_rule *rule, const struct tg_span *span, const struct tg_word *w,
	uint32_t at)
{
	return at == span->first || at == span->last ||
	       (span->whole && rule->kind == TG_RULE_THRESHOLD && (w->flags & TG_WORD_BEYOND));
}

static void tell(struct tg_detector *d, struct tg_series *s, const struct tg_device *device,
	struct tg_findings *f)
{
	const char *area = area_of(d->rule, device);
	struct tg_story story = {.rule = d->rule_index,
		.source = s->source,
		.area = area ? area : s->source,
		.limits = limits_of(d->rule, device),
		.from_us = s->base_us,
		.trigger = s->many ? 0 : s->trigger};

	/* What came before the first word that was ever heard here is not ours to unsay. */
	if (story.from_us == INT64_MIN && s->len)
		story.from_us = s->words[0].event_us;
	tg_findings_story(f, &story);
	for (uint32_t i = 0; i < s->spans.len; i++) {
		struct tg_span *span = &s->spans.items[i];

		tg_findings_span(f, span);
		for (uint32_t at = span->first; !span->continued && at <= span->last; at++)
			if (counts(d->rule, span, &s->words[at], at))
				tg_findings_word(f, &s->words[at]);
		span->told = true;
	}
	s->gone = s->unsure = false;
}

static bool news(const struct tg_series *s)
{
	if (s->gone || s->unsure)
		return true;
	for (uint32_t i = 0; i < s->spans.len; i++)
		if (!s->spans.items[i].told)
			return true;
	return false;
}

/* Silence is the registry's: of a device that it does not know, or whose words come to another
 * partition, nothing is expected here. */
static bool is_ours(const struct tg_detector *d, const struct tg_device *device, int32_t here)
{
	return d->rule->kind != TG_RULE_SILENCE ||
	       (device && (here < 0 || device->partition == here));
}

static int judge(struct tg_detector *d, struct tg_series *s, const struct tg_zone *zone, bool ours,
	int64_t horizon_us)
{
	if (d->rule->kind == TG_RULE_THRESHOLD)
		return tg_threshold_judge(d->rule, s);
	if (ours)
		return tg_silence_judge(d->rule, zone, s, horizon_us);
	tg_silence_strike(s, horizon_us);
	return 0;
}

void detector_settle_series(struct tg_detector *d, struct tg_series *s, int64_t horizon_us)
{
	if (horizon_us == INT64_MIN)
		return;
	detector_fewer(d, d->rule->kind == TG_RULE_THRESHOLD
				  ? tg_threshold_settle(d->rule, s, horizon_us)
				  : tg_silence_settle(d->rule, s, horizon_us));
}

static int end_series(struct tg_detector *d, struct tg_series *s, const struct tg_detector_end *end,
	struct tg_findings *f)
{
	const struct tg_registry *registry = end->registry;
	const struct tg_device *device =
		registry ? tg_registry_device(registry, tg_name_of(s->source)) : NULL;
	bool ours = is_ours(d, device, end->here);
	int rc = judge(d, s, registry ? registry->zone : NULL, ours, end->horizon_us);

	s->touched = false;
	if (rc)
		return rc;
	if (!f)
		s->unsure = true;
	else if (news(s))
		tell(d, s, device, f);
	if (!ours && f) {
		detector_drop(d, s);
		return 0;
	}
	detector_settle_series(d, s, end->horizon_us);
	if (s->due_us < d->due_us)
		d->due_us = s->due_us;
	return 0;
}

static void touch_due(struct tg_detector *d, int64_t horizon_us)
{
	if (horizon_us <= d->due_us)
		return;
	d->due_us = INT64_MAX;
	for (uint32_t i = 0; i < d->len; i++) {
		struct tg_series *s = d->all[i];

		if (s->due_us < horizon_us)
			detector_touch(d, s);
		else if (s->due_us < d->due_us)
			d->due_us = s->due_us;
	}
}

static void touch_unsure(struct tg_detector *d)
{
	for (uint32_t i = 0; i < d->len; i++)
		if (d->all[i]->unsure)
			detector_touch(d, d->all[i]);
}

int tg_detector_end(struct tg_detector *d, const struct tg_detector_end *end, struct tg_findings *f)
{
	bool speaks = end->mark_us > d->told_us ||
		      (end->mark_us == d->told_us && end->next >= d->told_next);
	int rc = 0;

	if (speaks && d->silent)
		touch_unsure(d);
	d->silent = !speaks;
	touch_due(d, end->horizon_us);
	while (d->touched && !rc) {
		struct tg_series *s = d->touched;

		d->touched = s->next;
		rc = end_series(d, s, end, speaks ? f : NULL);
	}
	return rc ? rc : f->rc;
}

void tg_detector_told(struct tg_detector *d, int64_t mark_us, int64_t next)
{
	d->told_us = mark_us;
	d->told_next = next;
	d->unsure = true;
}

void tg_detector_touch_all(struct tg_detector *d)
{
	for (uint32_t i = 0; i < d->len; i++)
		detector_touch(d, d->all[i]);
}
