/* Other rules for an engine: what a rule holds stays where the definition is the same. */
#include <string.h>

#include "correlate/engine_impl.h"

static int give_event(struct tg_cluster *to, const struct tg_cluster *from)
{
	const struct tg_window *w = tg_cluster_window(from);
	int rc = 0;

	for (uint32_t seq = tg_window_first(w); seq != tg_window_end(w) && !rc; seq++)
		rc = tg_cluster_restore(to, tg_window_at(w, seq));
	return rc == -TG_EFULL ? 0 : rc ? rc : tg_cluster_restored(to);
}

/* What the rule `from` of old held goes to rule `to` of e. */
static int hand_over(struct tg_engine *e, uint32_t to, struct tg_engine *old, uint32_t from)
{
	const struct tg_rule *is = e->shared.rules->rules[to],
			     *was = old->shared.rules->rules[from];

	if (e->detectors[to] && old->detectors[from] && is->whole_print == was->whole_print) {
		tg_detector_free(e->detectors[to]);
		e->detectors[to] = old->detectors[from];
		old->detectors[from] = NULL;
		tg_detector_adopt(e->detectors[to], is, to);
	} else if (e->clusters[to] && old->clusters[from] && is->whole_print == was->whole_print) {
		tg_cluster_free(e->clusters[to]);
		e->clusters[to] = old->clusters[from];
		old->clusters[from] = NULL;
		tg_cluster_adopt(e->clusters[to], is, to);
	} else if (e->clusters[to] && old->clusters[from] && is->print == was->print) {
		return give_event(e->clusters[to], old->clusters[from]);
	}
	return 0;
}

int tg_engine_reload(
	struct tg_engine *e, const struct tg_engine_shared *now, const struct tg_ruleset *before)
{
	struct tg_engine old = *e;
	int rc;

	old.shared.rules = before;
	e->shared = *now;
	e->floor_us = INT64_MIN; /* a rule that waits longer may reach behind it */
	tg_segment_release(&e->segment);
	rc = engine_make_windows(e);
	if (!rc)
		rc = tg_segment_init(&e->segment, e->names, now->rules->len);
	if (!rc)
		tg_segment_reset(&e->segment);
	for (uint32_t i = 0; i < now->rules->len && !rc; i++)
		for (uint32_t k = 0; k < old.shared.rules->len && !rc; k++)
			if (strcmp(now->rules->rules[i]->id, old.shared.rules->rules[k]->id) == 0)
				rc = hand_over(e, i, &old, k);
	engine_free_windows(&old);
	return rc;
}
