/* The verbs of the clocks. A running clock has a deadline; a paused one has the counted time that
 * is left; neither is ever computed again from the original limit. */
#include "dispatch/life_impl.h"

#include <assert.h>
#include <string.h>

static bool is_task_clock(enum tg_clock_kind kind)
{
	return kind == TG_CLOCK_sign || kind == TG_CLOCK_handle || kind == TG_CLOCK_reply;
}

int life_find_clock(const struct tg_case *kase, enum tg_clock_kind kind, int task, bool stopped_too)
{
	int found = -1;

	for (size_t i = 0; i < kase->clocks_count; i++) {
		const struct tg_clock *k = &kase->clocks[i];

		if (k->kind == kind && k->task == task &&
			(stopped_too || k->state != TG_CLOCK_STOPPED))
			found = (int)i;
	}
	return found;
}

static const char *limit_text(const struct life_step *step, enum tg_clock_kind kind)
{
	const struct tg_case *kase = step->kase;
	const struct tg_type *type = tg_city_type(step->in->city, kase->type_code);

	if (kind == TG_CLOCK_accept && type)
		return type->accept_limit;
	if (kind == TG_CLOCK_dispatch && type)
		return type->dispatch_limit;
	if (kind == TG_CLOCK_handle)
		return kase->handle_limit ? kase->handle_limit : "1wd";
	if (kind == TG_CLOCK_total)
		return "365nd"; /* it only measures */
	return tg_city_stage_limit(step->in->city, tg_clock_kind_name((int)kind), kase->urgency);
}

static const struct tg_calendar *calendar_of(const struct life_step *step, int task)
{
	const struct tg_city *city = step->in->city;
	const struct tg_dept *dept =
		task >= 0 ? tg_city_dept(city, step->kase->tasks[task].department) : NULL;

	return dept ? dept->calendar : tg_city_centre_calendar(city);
}

/* NULL: continuous, or a calendar that is gone (then the time runs through). */
static const struct tg_calendar *clock_calendar(
	const struct life_step *step, const struct tg_clock *k)
{
	return k->calendar[0] ? tg_city_calendar(step->in->city, k->calendar) : NULL;
}

static void bound_by_lead(struct life_step *step, struct tg_clock *k, const struct tg_calendar *cal)
{
	int lead = life_lead(step->kase),
	    at = lead < 0 ? -1 : life_find_clock(step->kase, TG_CLOCK_handle, lead, false);

	if (k->task < 0 || k->task == lead || at < 0 || k->kind != TG_CLOCK_handle)
		return;
	if (step->kase->clocks[at].state == TG_CLOCK_RUNNING &&
		step->kase->clocks[at].due_us < k->due_us) {
		k->due_us = step->kase->clocks[at].due_us > k->started_us
				    ? step->kase->clocks[at].due_us
				    : k->started_us;
		k->amount_us = tg_work_count(cal, k->started_us, k->due_us);
	}
}

static void start(struct life_step *step, enum tg_clock_kind kind, int task)
{
	struct tg_case *kase = step->kase;
	const struct tg_calendar *cal = calendar_of(step, task);
	const char *text = limit_text(step, kind);
	struct tg_limit limit;
	struct tg_clock *k;

	if (kase->clocks_count == TG_CASE_CLOCKS_MAX ||
		tg_limit_parse(tg_slice_cstr(text), &limit)) {
		step->failed = true;
		return;
	}
	if (!tg_unit_is_working(limit.unit))
		cal = NULL;
	k = &kase->clocks[kase->clocks_count++];
	*k = (struct tg_clock){.task = task,
		.kind = kind,
		.state = TG_CLOCK_RUNNING,
		.unit = limit.unit,
		.amount_us = tg_limit_amount_us(&limit, cal),
		.started_us = step->in->now_us,
		.stopped_us = TG_NO_TIME,
		.changed = true};
	assert(strlen(text) < sizeof(k->limit));
	strcpy(k->limit, text);
	if (cal) {
		assert(strlen(tg_calendar_name(cal)) < sizeof(k->calendar));
		strcpy(k->calendar, tg_calendar_name(cal));
	}
	k->due_us = tg_work_add(cal, k->started_us, k->amount_us);
	if (k->due_us == INT64_MAX)
		step->failed = true; /* a calendar that never opens */
	bound_by_lead(step, k, cal);
}

static void halt(struct life_step *step, struct tg_clock *k, enum tg_clock_state state)
{
	int64_t now = step->in->now_us;

	if (k->state == TG_CLOCK_RUNNING)
		k->remaining_us = tg_work_count(clock_calendar(step, k), now, k->due_us);
	if (k->state == TG_CLOCK_RUNNING && state == TG_CLOCK_PAUSED) {
		if (k->pauses_count == TG_CLOCK_PAUSES_MAX) {
			step->failed = true;
			return;
		}
		k->pauses[k->pauses_count++] = (struct tg_span){now, INT64_MAX};
	}
	if (state == TG_CLOCK_STOPPED) {
		k->stopped_us = now;
		if (k->state == TG_CLOCK_PAUSED && k->pauses_count)
			k->pauses[k->pauses_count - 1].to_us = now;
		if (k->kind == TG_CLOCK_handle && k->task == life_lead(step->kase) &&
			k->state == TG_CLOCK_RUNNING && now > k->due_us)
			step->kase->overdue = true;
	}
	k->state = state;
	k->changed = true;
}

static void resume(struct life_step *step, struct tg_clock *k)
{
	int64_t now = step->clock_us;

	if (k->state == TG_CLOCK_STOPPED) {
		if (k->pauses_count == TG_CLOCK_PAUSES_MAX) {
			step->failed = true;
			return;
		}
		k->pauses[k->pauses_count++] = (struct tg_span){k->stopped_us, now};
		k->stopped_us = TG_NO_TIME;
	} else if (k->pauses_count) {
		k->pauses[k->pauses_count - 1].to_us = now;
	}
	if (k->remaining_us > 0)
		k->due_us = tg_work_add(clock_calendar(step, k), now, k->remaining_us);
	k->state = TG_CLOCK_RUNNING; /* nothing left: it is overdue since its old deadline */
	k->changed = true;
}

static void apply_one(
	struct life_step *step, enum life_verb verb, enum tg_clock_kind kind, int task)
{
	struct tg_case *kase = step->kase;
	int at = life_find_clock(kase, kind, task, verb == LIFE_RESUME);

	switch (verb) {
	case LIFE_START:
	case LIFE_START_LEAD: start(step, kind, task); break;
	case LIFE_STOP:
		if (at >= 0)
			halt(step, &kase->clocks[at], TG_CLOCK_STOPPED);
		break;
	case LIFE_PAUSE:
		if (at >= 0)
			halt(step, &kase->clocks[at], TG_CLOCK_PAUSED);
		break;
	case LIFE_RESUME:
		if (at >= 0 && kase->clocks[at].state != TG_CLOCK_RUNNING)
			resume(step, &kase->clocks[at]);
		break;
	case LIFE_UNPAUSE:
		if (at >= 0 && kase->clocks[at].state == TG_CLOCK_PAUSED)
			resume(step, &kase->clocks[at]);
		break;
	case LIFE_STOP_ALL:
	case LIFE_VERB_END: assert(!"not one clock's"); break;
	}
}

void life_stop_task(struct life_step *step, size_t task)
{
	apply_one(step, LIFE_STOP, TG_CLOCK_sign, (int)task);
	apply_one(step, LIFE_STOP, TG_CLOCK_handle, (int)task);
	apply_one(step, LIFE_STOP, TG_CLOCK_reply, (int)task);
}

void life_answered(struct life_step *step)
{
	struct tg_case *kase = step->kase;

	for (size_t i = 0; i < kase->clocks_count; i++)
		if (kase->clocks[i].kind == TG_CLOCK_reply &&
			kase->clocks[i].state != TG_CLOCK_STOPPED)
			halt(step, &kase->clocks[i], TG_CLOCK_STOPPED);
}

void life_clock_apply(struct life_step *step, struct life_clock_verb verb)
{
	struct tg_case *kase = step->kase;
	int at = step->in->task;

	if (verb.verb == LIFE_STOP_ALL) {
		for (size_t i = 0; i < kase->clocks_count; i++)
			if (kase->clocks[i].state != TG_CLOCK_STOPPED)
				halt(step, &kase->clocks[i], TG_CLOCK_STOPPED);
		return;
	}
	if (verb.verb == LIFE_START_LEAD && (at < 0 || !kase->tasks[at].lead))
		return;
	if (!is_task_clock(verb.kind)) {
		apply_one(step, verb.verb, verb.kind, -1);
		return;
	}
	/* The lead first: it bounds the others. */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < kase->tasks_count; i++)
			if (step->targets & 1u << i && kase->tasks[i].lead == (pass == 0))
				apply_one(step, verb.verb, verb.kind, (int)i);
}

/* --- what the log says of them --- */

static json_t *said(const struct tg_case *kase, const struct tg_clock *k)
{
	static const char *const states[] = {"running", "paused", "stopped"};
	const struct tg_task *task = &kase->tasks[k->task];
	char due[TG_RFC3339_MAX];

	tg_rfc3339_utc(k->due_us, due);
	return json_pack("{s:s, s:s*, s:s, s:I, s:s, s:s}", "clock",
		tg_clock_kind_name((int)k->kind), "task_id", task->id[0] ? task->id : NULL,
		"department", task->department, "round", (json_int_t)task->round, "state",
		states[k->state], "due_at", due);
}

void life_say_clocks(struct life_step *step)
{
	const struct tg_case *kase = step->kase;
	json_t *list = NULL;

	for (size_t i = 0; i < kase->clocks_count; i++) {
		const struct tg_clock *k = &kase->clocks[i];
		json_t *one;

		if (!k->changed || k->task < 0)
			continue;
		one = said(kase, k);
		if (one && k->state != TG_CLOCK_RUNNING)
			json_object_set_new(one, "left_us", json_integer(k->remaining_us));
		if (!list)
			list = json_array();
		if (json_array_append_new(list, one))
			step->failed = true;
	}
	if (!list)
		return;
	if (!step->detail)
		step->detail = json_object();
	if (json_object_set_new(step->detail, "clocks", list))
		step->failed = true;
}

/* --- what follows from the clocks --- */

static int waits_on(const struct tg_case *kase)
{
	static const int kinds[TG_CASE_STATE_COUNT] = {[TG_CASE_new] = TG_CLOCK_accept,
		[TG_CASE_verifying] = TG_CLOCK_verify,
		[TG_CASE_to_file] = TG_CLOCK_file,
		[TG_CASE_to_dispatch] = TG_CLOCK_dispatch,
		[TG_CASE_assigned] = TG_CLOCK_sign,
		[TG_CASE_handling] = TG_CLOCK_handle,
		[TG_CASE_review] = TG_CLOCK_check,
		[TG_CASE_checking] = TG_CLOCK_check,
		[TG_CASE_to_close] = TG_CLOCK_close};
	enum tg_clock_kind kind = (enum tg_clock_kind)kinds[kase->state];

	if (tg_case_state_is_terminal(kase->state))
		return -1;
	return life_find_clock(kase, kind, is_task_clock(kind) ? life_lead(kase) : -1, false);
}

void life_derive(struct tg_case *kase)
{
	int lead = life_lead(kase),
	    at = lead < 0 ? -1 : life_find_clock(kase, TG_CLOCK_handle, lead, true);

	kase->due_clock = waits_on(kase);
	kase->due_us =
		kase->due_clock >= 0 && kase->clocks[kase->due_clock].state == TG_CLOCK_RUNNING
			? kase->clocks[kase->due_clock].due_us
			: TG_NO_TIME;
	kase->handle_due_us = at < 0 || kase->clocks[at].state == TG_CLOCK_PAUSED
				      ? TG_NO_TIME
				      : kase->clocks[at].due_us;
	kase->suspended = lead >= 0 && kase->tasks[lead].suspended;
	for (size_t i = 0; i < kase->tasks_count; i++) {
		struct tg_task *task = &kase->tasks[i];
		int k = life_find_clock(kase, TG_CLOCK_handle, (int)i, true);
		int64_t due = k < 0 || kase->clocks[k].state == TG_CLOCK_PAUSED
				      ? TG_NO_TIME
				      : kase->clocks[k].due_us;

		if (task->due_us != due) {
			task->due_us = due;
			task->changed = true;
		}
	}
}
