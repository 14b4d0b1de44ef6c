/* What concerns a case beside another, or ends or moves it out of the usual order. */
#include <string.h>

#include "base/geo.h"
#include "dispatch/life_impl.h"

#define MERGE_DISTANCE_M 500.0
#define FAMILY_DIGITS    2 /* of a type code: its class */

static bool same_family(const char *a, const char *b)
{
	return !a || !b || !strncmp(a, b, FAMILY_DIGITS);
}

static const char *not_mergeable(const struct tg_case *kase, const struct tg_other *other)
{
	struct tg_lonlat here = {kase->lon, kase->lat}, there = {other->lon, other->lat};

	if (tg_case_state_is_terminal(other->state))
		return "is not open";
	if (!same_family(kase->type_code, other->type_code))
		return "is of another class of types";
	if (kase->has_place && other->has_place &&
		tg_geo_distance_m(here, there) > MERGE_DISTANCE_M)
		return "lies more than 500 m away";
	return NULL;
}

void life_form_merge(struct life_step *step)
{
	const char *into = life_body_text(step, "into"), *why;
	const struct tg_other *other = &step->in->other;

	life_form_note(step);
	if (!into) {
		life_wrong(step, "into", "is required: the id of the case that remains");
		return;
	}
	if (!strcasecmp(into, step->kase->id)) {
		life_wrong(step, "into", "is this case itself");
		return;
	}
	if (!other->id[0]) {
		life_wrong(step, "into", "there is no such case");
		return;
	}
	why = not_mergeable(step->kase, other);
	if (why)
		life_wrong(step, "into", why);
}

/* Nothing of it is lost: it stands under the other with its reports, its log and its tasks, which
 * end. An open master is in no other case, so no ring can come of it. */
void life_effect_merge(struct life_step *step)
{
	struct tg_case *kase = step->kase;
	const struct tg_other *other = &step->in->other;

	life_effect_end(step);
	strcpy(kase->merged_into, other->id);
	life_detail_str(step, "into", other->id);
	life_detail_str(step, "into_no", other->case_no);
	strcpy(kase->beside, other->id);
	kase->beside_entry = kase->log_count;
	json_decref(kase->beside_detail);
	kase->beside_detail = json_pack("{s:s}", "merged", kase->id);
	if (!kase->beside_detail)
		step->failed = true;
}

/* Begins anew: nobody leads it any more, and what was done counts for the time before. */
void life_effect_unmerge(struct life_step *step)
{
	struct tg_case *kase = step->kase;

	life_detail_str(step, "from", kase->merged_into);
	strcpy(kase->beside, kase->merged_into);
	kase->beside_entry = kase->log_count;
	json_decref(kase->beside_detail);
	kase->beside_detail = json_pack("{s:s}", "unmerged", kase->id);
	if (!kase->beside_detail)
		step->failed = true;
	kase->merged_into[0] = '\0';
	kase->round++;
	kase->closed_us = kase->done_us = kase->dispatched_us = kase->filed_us = TG_NO_TIME;
	kase->condition = 0;
	kase->handle_limit = NULL;
}

void life_effect_self_dispose(struct life_step *step)
{
	step->kase->done_us = step->kase->closed_us = step->in->now_us;
}

/* --- forwarding within a department's tree --- */

static bool is_below(const struct tg_city *city, const char *unit, const char *department)
{
	const struct tg_dept *dept = tg_city_dept(city, unit);

	/* A tree that bites its own tail was refused at loading; the count is for what came since.
	 */
	for (int depth = 0; dept && depth < TG_DEPT_DEPTH_MAX; depth++) {
		if (dept->parent && !strcmp(dept->parent, department))
			return true;
		dept = tg_city_dept(city, dept->parent);
	}
	return false;
}

void life_form_forward(struct life_step *step)
{
	const char *unit = life_body_text(step, "unit");
	const struct tg_case *kase = step->kase;

	life_form_note(step);
	if (!unit || !tg_city_dept(step->in->city, unit)) {
		life_wrong(step, "unit",
			unit ? "is no department" : "is required: a department's code");
		return;
	}
	if (!is_below(step->in->city, unit, kase->tasks[step->in->task].department))
		life_wrong(step, "unit", "is not below this department");
	for (size_t i = 0; i < kase->tasks_count; i++)
		if (life_is_open(&kase->tasks[i]) && !strcmp(kase->tasks[i].department, unit))
			life_wrong(step, "unit", "has a task of this case already");
	life_detail_str(step, "unit", unit);
}

void life_effect_forward(struct life_step *step)
{
	struct tg_task *task = &step->kase->tasks[step->in->task];
	const char *unit = life_body_text(step, "unit");

	life_detail_str(step, "from", task->department);
	if (step->kase->had_count < TG_CASE_TASKS_MAX * 2)
		step->kase->had[step->kase->had_count++] = life_keep(step, task->department);
	else
		step->failed = true;
	strcpy(task->department, unit);
}
