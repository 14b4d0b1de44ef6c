/* What may stand in the way of an edge, beyond states and roles. */
#include <string.h>

#include "dispatch/life_impl.h"

#define RETURNS_MAX        2
#define SUPERVISE_MAX      3
#define FIRST_RETURN_US    (2 * TG_US_PER_H) /* of working time */
#define FIRST_RETURN_SHARE 4                 /* or this part of the limit */
#define EXTENSIONS_MAX     2
#define UNMERGE_US         (7 * TG_US_PER_DAY)

LIFE_GUARD(none)
{
	(void)kase;
	LIFE_GUARD_UNUSED;
	return NULL;
}

/* After the second return one person rules, whichever way. */
LIFE_GUARD(dispatch)
{
	LIFE_GUARD_UNUSED;
	if (kase->return_count < RETURNS_MAX || actor->role != TG_ROLE_OPERATOR)
		return NULL;
	*ret_role = true;
	return "the second return is decided by the shift lead";
}

LIFE_GUARD(uphold)
{
	int lead = life_lead(kase);

	if (lead < 0 || kase->tasks[lead].state != TG_TASK_returned)
		return "no department has returned this case";
	return life_guard_dispatch(kase, edge, city, actor, now_us, task, ret_role);
}

LIFE_GUARD(waive)
{
	LIFE_GUARD_UNUSED;
	for (size_t i = 0; i < kase->tasks_count; i++)
		if (!kase->tasks[i].lead &&
			(life_is_open(&kase->tasks[i]) || kase->tasks[i].state == TG_TASK_returned))
			return NULL;
	return "there is no assisting task to waive";
}

LIFE_GUARD(tasks_closed)
{
	LIFE_GUARD_UNUSED;
	for (size_t i = 0; i < kase->tasks_count; i++)
		if (life_is_open(&kase->tasks[i]))
			return "a task is still open";
	return NULL;
}

LIFE_GUARD(supervise)
{
	LIFE_GUARD_UNUSED;
	return kase->supervise_level < SUPERVISE_MAX
		       ? NULL
		       : "it is supervised at the highest level already";
}

LIFE_GUARD(return_in_time)
{
	const struct tg_dept *dept = tg_city_dept(city, kase->tasks[task].department);
	int at = life_find_clock(kase, TG_CLOCK_handle, task, false);
	const struct tg_clock *k = at < 0 ? NULL : &kase->clocks[at];
	int64_t left;

	LIFE_GUARD_UNUSED;
	if (!kase->tasks[task].lead || !k || k->state != TG_CLOCK_RUNNING)
		return NULL;
	if (kase->return_count >= RETURNS_MAX)
		return "it has been returned twice; the second decision is final";
	if (kase->return_count > 0)
		return NULL;
	left = tg_work_count(
		k->calendar[0] ? tg_city_calendar(city, k->calendar) : NULL, now_us, k->due_us);
	if (k->amount_us - left <= k->amount_us / FIRST_RETURN_SHARE)
		return NULL;
	if (dept && tg_work_count(dept->calendar, k->started_us, now_us) <= FIRST_RETURN_US)
		return NULL;
	return "a first return comes within 2 working hours or a quarter of the limit";
}

LIFE_GUARD(assists_done)
{
	LIFE_GUARD_UNUSED;
	for (size_t i = 0; kase->tasks[task].lead && i < kase->tasks_count; i++) {
		const struct tg_task *t = &kase->tasks[i];

		if (!t->lead && (life_is_open(t) ||
					(t->state == TG_TASK_returned && t->round == kase->round)))
			return "an assisting task is neither done nor waived";
	}
	return NULL;
}

/* --- what a department asks for --- */

static const struct tg_clock *handling(const struct tg_case *kase, int task)
{
	int at = life_find_clock(kase, TG_CLOCK_handle, task, false);

	return at < 0 ? NULL : &kase->clocks[at];
}

LIFE_GUARD(ask_extension)
{
	const struct tg_clock *k = handling(kase, task);

	LIFE_GUARD_UNUSED;
	if (!k || k->state != TG_CLOCK_RUNNING)
		return "its handling clock does not run";
	if (now_us > k->due_us)
		return "the limit has run out; an extension is asked for before that";
	if (kase->tasks[task].extensions >= EXTENSIONS_MAX)
		return "it has been extended twice already";
	if (kase->tasks[task].ask.kind != TG_ASK_NONE)
		return "a request of this task has yet to be decided";
	return NULL;
}

LIFE_GUARD(asked_extension)
{
	const struct tg_task *t = &kase->tasks[task];

	LIFE_GUARD_UNUSED;
	if (t->ask.kind != TG_ASK_EXTENSION)
		return "nobody has asked for an extension of this task";
	if (t->extensions > 0 && actor->role == TG_ROLE_SHIFT_LEAD) {
		*ret_role = true;
		return "a second extension is decided by the leader";
	}
	return NULL;
}

LIFE_GUARD(grant_extension)
{
	const struct tg_clock *k = handling(kase, task);

	if (k && k->state == TG_CLOCK_RUNNING && now_us > k->due_us &&
		kase->tasks[task].ask.kind == TG_ASK_EXTENSION)
		return "the limit has run out; an extension is granted before that";
	return life_guard_asked_extension(kase, edge, city, actor, now_us, task, ret_role);
}

LIFE_GUARD(ask_suspension)
{
	const struct tg_clock *k = handling(kase, task);

	LIFE_GUARD_UNUSED;
	if (!k || k->state != TG_CLOCK_RUNNING)
		return "its handling clock does not run";
	if (kase->tasks[task].ask.kind != TG_ASK_NONE)
		return "a request of this task has yet to be decided";
	return NULL;
}

LIFE_GUARD(asked_suspension)
{
	LIFE_GUARD_UNUSED;
	return kase->tasks[task].ask.kind == TG_ASK_SUSPENSION
		       ? NULL
		       : "nobody has asked for a suspension of this task";
}

LIFE_GUARD(suspended)
{
	LIFE_GUARD_UNUSED;
	return kase->tasks[task].suspended ? NULL : "the task is not suspended";
}

LIFE_GUARD(appeal)
{
	int at = life_find_clock(kase, TG_CLOCK_handle, task, true);

	LIFE_GUARD_UNUSED;
	if (kase->tasks[task].appealed_us != TG_NO_TIME)
		return "this department has appealed already";
	return at >= 0 && kase->clocks[at].remaining_us < 0
		       ? NULL
		       : "its limit was kept: nothing to appeal";
}

/* --- cases as a whole --- */

LIFE_GUARD(unmerge)
{
	LIFE_GUARD_UNUSED;
	if (!tg_case_state_is_terminal(kase->master_state) ||
		kase->master_closed_us == TG_NO_TIME ||
		now_us - kase->master_closed_us < UNMERGE_US)
		return NULL;
	return "the case it was merged into ended more than 7 days ago";
}

LIFE_GUARD(self_dispose)
{
	const struct tg_type *type = tg_city_type(city, kase->type_code);

	LIFE_GUARD_UNUSED;
	if (!type || !kase->grid_cell)
		return "its type and place have to be known first";
	return type->self_dispose ? NULL : "this type is not disposed of on the spot";
}
