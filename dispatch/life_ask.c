/* Extensions, suspensions and appeals: what a department asks for, and what somebody grants. */
#include <string.h>

#include "dispatch/life_impl.h"

#define REASON_BYTES_MAX  200
#define SUSPENSION_US_MAX (366 * TG_US_PER_DAY)

static struct tg_clock *handling(const struct life_step *step)
{
	int at = life_find_clock(step->kase, TG_CLOCK_handle, step->in->task, false);

	return at < 0 ? NULL : &step->kase->clocks[at];
}

static const struct tg_calendar *calendar_of(const struct life_step *step, const struct tg_clock *k)
{
	return k->calendar[0] ? tg_city_calendar(step->in->city, k->calendar) : NULL;
}

/* Until when an assisting task may be extended: as long as its lead has time. */
static int64_t latest(const struct life_step *step)
{
	const struct tg_case *kase = step->kase;
	int lead = life_lead(kase), at;

	if (lead < 0 || kase->tasks[step->in->task].lead)
		return INT64_MAX;
	at = life_find_clock(kase, TG_CLOCK_handle, lead, false);
	return at >= 0 && kase->clocks[at].state == TG_CLOCK_RUNNING ? kase->clocks[at].due_us
								     : INT64_MAX;
}

/* --- extensions --- */

/* The limit under `by`, as counted time of the task's clock. False: said what is wrong, or there is
 * no clock (then the guard says so). */
static bool read_by(struct life_step *step, const char *text, int64_t *ret_us)
{
	const struct tg_clock *k = handling(step);
	const struct tg_calendar *cal;
	struct tg_limit limit;
	int64_t us;

	if (strlen(text) >= sizeof(step->kase->tasks[0].ask.by) ||
		tg_limit_parse(tg_slice_cstr(text), &limit)) {
		life_wrong(step, "by", "must be a limit: 2h, 4wh, 1wd, 2nd");
		return false;
	}
	if (!k)
		return false;
	cal = calendar_of(step, k);
	if (tg_unit_is_working(limit.unit) != (cal != NULL)) {
		life_wrong(step, "by",
			"must count as the limit does: both working time, or both continuous");
		return false;
	}
	us = tg_limit_amount_us(&limit, cal);
	if (us > k->amount_us)
		life_wrong(step, "by", "is longer than the limit itself");
	else if (k->state == TG_CLOCK_RUNNING && tg_work_add(cal, k->due_us, us) > latest(step))
		life_wrong(step, "by", "an assisting task ends with the lead's at the latest");
	else
		*ret_us = us;
	return true;
}

void life_form_ask_extension(struct life_step *step)
{
	const char *by = life_body_text(step, "by");
	int64_t us;

	life_form_return_reason(step);
	if (by)
		read_by(step, by, &us);
	else
		life_wrong(step, "by", "is required: a limit such as 2wh");
	life_detail_str(step, "by", by);
}

/* What is granted: the body's, else what was asked for. */
static const char *granted_by(const struct life_step *step)
{
	const char *by = life_body_text(step, "by");
	const struct tg_ask *ask = &step->kase->tasks[step->in->task].ask;

	return by ? by : ask->kind == TG_ASK_EXTENSION ? ask->by : NULL;
}

void life_form_grant_extension(struct life_step *step)
{
	const char *by = granted_by(step);
	const json_t *given = json_object_get(step->in->body, "by");
	int64_t us;

	life_form_note(step);
	if (given && !json_is_null(given) && !json_is_string(given))
		life_wrong(step, "by", "must be a limit: 2h, 4wh, 1wd, 2nd");
	else if (by)
		read_by(step, by, &us);
	life_detail_str(step, "by", by);
}

static void ask(struct life_step *step, enum tg_ask_kind kind)
{
	struct tg_ask *a = &step->kase->tasks[step->in->task].ask;

	*a = (struct tg_ask){.kind = kind,
		.until_us = TG_NO_TIME,
		.reason = life_keep(step, life_body_text(step, "reason")),
		.actor = life_keep(step, step->in->actor->name),
		.at_us = step->in->now_us};
}

void life_effect_ask_extension(struct life_step *step)
{
	ask(step, TG_ASK_EXTENSION);
	strcpy(step->kase->tasks[step->in->task].ask.by, life_body_text(step, "by"));
}

void life_effect_extend(struct life_step *step)
{
	struct tg_task *task = &step->kase->tasks[step->in->task];
	struct tg_clock *k = handling(step);
	struct tg_extension *e;
	int64_t us = 0;

	if (!read_by(step, granted_by(step), &us) ||
		k->extensions_count == TG_CLOCK_EXTENSIONS_MAX) {
		step->failed = true;
		return;
	}
	e = &k->extensions[k->extensions_count++];
	e->at_us = step->in->now_us;
	e->amount_us = us;
	strcpy(e->limit, granted_by(step));
	k->due_us = tg_work_add(calendar_of(step, k), k->due_us, us);
	k->changed = true;
	task->extensions++;
	step->kase->extension_count++;
	life_settle(task);
}

void life_effect_deny(struct life_step *step)
{
	struct tg_task *task = &step->kase->tasks[step->in->task];

	life_detail_str(
		step, "asked", task->ask.kind == TG_ASK_EXTENSION ? "extension" : "suspension");
	task->ask.kind = TG_ASK_NONE;
}

/* --- suspensions --- */

/* False: absent, or said what is wrong. */
static bool read_until(struct life_step *step, bool required, int64_t *ret_us)
{
	const json_t *given = json_object_get(step->in->body, "until");
	int64_t us;

	if (!given || json_is_null(given)) {
		if (required)
			life_wrong(step, "until", "is required: an RFC 3339 time");
		return false;
	}
	if (!json_is_string(given) ||
		tg_rfc3339_parse(tg_slice_cstr(json_string_value(given)), &us)) {
		life_wrong(step, "until", "must be an RFC 3339 time");
		return false;
	}
	*ret_us = us;
	return true;
}

static void check_until(struct life_step *step, int64_t us)
{
	char text[TG_RFC3339_MAX];

	if (us <= step->in->now_us)
		life_wrong(step, "until", "lies in the past");
	else if (us - step->in->now_us > SUSPENSION_US_MAX)
		life_wrong(step, "until", "is more than a year away");
	tg_rfc3339_utc(us, text);
	life_detail_str(step, "until", text);
}

void life_form_ask_suspension(struct life_step *step)
{
	int64_t us;

	life_form_return_reason(step);
	if (read_until(step, true, &us))
		check_until(step, us);
}

/* Until when it is granted: the body's word, else what was asked for. */
static bool granted_until(struct life_step *step, int64_t *ret_us)
{
	const struct tg_ask *a = &step->kase->tasks[step->in->task].ask;

	if (read_until(step, false, ret_us))
		return true;
	*ret_us = a->until_us;
	return !step->errors && a->kind == TG_ASK_SUSPENSION;
}

void life_form_grant_suspension(struct life_step *step)
{
	int64_t us;

	life_form_note(step);
	if (granted_until(step, &us))
		check_until(step, us);
}

void life_effect_ask_suspension(struct life_step *step)
{
	int64_t us = TG_NO_TIME;

	read_until(step, true, &us);
	ask(step, TG_ASK_SUSPENSION);
	step->kase->tasks[step->in->task].ask.until_us = us;
}

void life_effect_suspend(struct life_step *step)
{
	struct tg_task *task = &step->kase->tasks[step->in->task];
	int64_t us = TG_NO_TIME;

	granted_until(step, &us);
	life_settle(task);
	task->suspended = true;
	task->suspended_until_us = us;
}

/* The system may come late, but time goes on from when it was to. */
void life_effect_resume(struct life_step *step)
{
	struct tg_task *task = &step->kase->tasks[step->in->task];
	int64_t until = task->suspended_until_us;

	if (step->in->actor->role == TG_ROLE_SYSTEM && until != TG_NO_TIME &&
		until < step->clock_us)
		step->clock_us = until;
	life_settle(task);
}

/* --- appeals --- */

void life_effect_appeal(struct life_step *step)
{
	step->kase->tasks[step->in->task].appealed_us = step->in->now_us;
}
