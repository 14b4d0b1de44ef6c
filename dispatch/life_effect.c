/* What an edge changes beyond states and clocks. */
#include <string.h>

#include "dispatch/life_impl.h"

#define TITLE_FROM_TEXT_MAX 90

bool life_is_open(const struct tg_task *task)
{
	return task->state == TG_TASK_assigned || task->state == TG_TASK_signed;
}

void life_settle(struct tg_task *task)
{
	task->ask.kind = TG_ASK_NONE;
	task->suspended = false;
	task->suspended_until_us = TG_NO_TIME;
	task->changed = true;
}

const char *life_body_text(const struct life_step *step, const char *key)
{
	const char *text = NULL;

	return tg_json_str(step->in->body, key, &text, NULL) && text[0] ? text : NULL;
}

static void put_type(struct life_step *step)
{
	const struct tg_type *type =
		tg_city_type(step->in->city, life_body_text(step, "type_code"));
	struct tg_case *kase = step->kase;

	if (!type || (kase->type_code && !strcmp(kase->type_code, type->code)))
		return;
	kase->type_code = life_keep(step, type->code);
	kase->domain = life_keep(step, type->domain);
	life_detail_str(step, "type_code", type->code);
}

static void put_place(struct life_step *step)
{
	const json_t *loc = json_object_get(step->in->body, "location");
	const struct tg_place *place = &step->in->place;
	struct tg_case *kase = step->kase;

	if (!json_is_object(loc) || !place->grid_cell)
		return;
	tg_json_dbl(loc, "lon", &kase->lon, NULL);
	tg_json_dbl(loc, "lat", &kase->lat, NULL);
	kase->has_place = true;
	kase->grid_cell = life_keep(step, place->grid_cell);
	kase->street = place->street ? life_keep(step, place->street) : NULL;
	kase->district = place->district ? life_keep(step, place->district) : NULL;
	life_detail_str(step, "grid_cell", kase->grid_cell);
}

void life_effect_none(struct life_step *step)
{
	(void)step;
}

void life_effect_accept(struct life_step *step)
{
	put_type(step);
	put_place(step);
}

void life_effect_edit(struct life_step *step)
{
	const char *title = life_body_text(step, "title"),
		   *urgency = life_body_text(step, "urgency");

	put_type(step);
	put_place(step);
	if (title)
		step->kase->title = life_keep(step, title);
	if (urgency && tg_urgency_parse(tg_slice_cstr(urgency), &step->kase->urgency))
		life_detail_str(step, "urgency", urgency);
}

void life_cancel(struct tg_task *task)
{
	life_settle(task);
	task->state = TG_TASK_cancelled;
	task->version++;
}

/* A life that ends before its work is done takes its tasks with it. */
void life_effect_end(struct life_step *step)
{
	struct tg_case *kase = step->kase;

	kase->closed_us = step->in->now_us;
	for (size_t i = 0; i < kase->tasks_count; i++)
		if (life_is_open(&kase->tasks[i]))
			life_cancel(&kase->tasks[i]);
}

void life_effect_close(struct life_step *step)
{
	step->kase->closed_us = step->in->now_us;
}

void life_effect_file(struct life_step *step)
{
	const struct tg_type *type = tg_city_type(step->in->city, step->kase->type_code);
	struct tg_case *kase = step->kase;
	const struct tg_condition *condition;

	kase->condition = json_integer_value(json_object_get(step->in->body, "condition"));
	condition = tg_type_condition(type, kase->condition);
	kase->handle_limit = life_keep(step, condition->handle_limit);
	kase->filed_us = step->in->now_us;
	if (!step->detail)
		step->detail = json_object();
	/* What the catalogue said on that day, words and all. */
	if (json_object_set_new(step->detail, "filed",
		    json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "condition",
			    (json_int_t)kase->condition, "limit", condition->handle_limit,
			    "filing_zh", condition->filing_zh, "filing_en", condition->filing_en,
			    "close_zh", condition->close_zh, "close_en", condition->close_en)))
		step->failed = true;
}

/* On a second dispatch: open tasks that are not asked for again end; a wanted assistant goes on as
 * it was. */
static void retire_tasks(struct life_step *step, const json_t *list, size_t before)
{
	struct tg_case *kase = step->kase;

	for (size_t i = 0; i < before; i++) {
		struct tg_task *task = &kase->tasks[i];
		bool kept = false;

		for (size_t j = 0; j < json_array_size(list) && life_is_open(task); j++) {
			const json_t *item = json_array_get(list, j);

			kept |= !task->lead &&
				!strcmp(json_string_value(json_object_get(item, "role")),
					"assist") &&
				!strcmp(json_string_value(json_object_get(item, "department")),
					task->department);
		}
		if (kept) {
			task->round = kase->round;
			task->changed = true;
			continue;
		}
		life_stop_task(step, i);
		if (life_is_open(task))
			life_cancel(task);
	}
}

static bool goes_on(const struct tg_case *kase, const char *department, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (life_is_open(&kase->tasks[i]) && !strcmp(kase->tasks[i].department, department))
			return true;
	return false;
}

void life_effect_dispatch(struct life_step *step)
{
	const json_t *list = json_object_get(step->in->body, "tasks");
	struct tg_case *kase = step->kase;
	size_t before = kase->tasks_count, i;
	json_t *item;

	kase->round++;
	kase->dispatched_us = step->in->now_us;
	retire_tasks(step, list, before);
	step->targets = 0;
	json_array_foreach (list, i, item) {
		const char *code = json_string_value(json_object_get(item, "department"));
		bool lead = !strcmp(json_string_value(json_object_get(item, "role")), "lead");

		if (goes_on(kase, code, before))
			continue;
		if (life_add_task(step, code, lead))
			step->targets |= 1u << (kase->tasks_count - 1);
	}
	if (!step->detail)
		step->detail = json_object();
	if (json_object_set_new(step->detail, "tasks", json_deep_copy(list)))
		step->failed = true;
}

void life_effect_uphold(struct life_step *step)
{
	struct tg_task *task = &step->kase->tasks[life_lead(step->kase)];

	task->state = TG_TASK_assigned;
	task->signed_us = TG_NO_TIME;
	task->version++;
	task->changed = true;
}

void life_effect_add_assist(struct life_step *step)
{
	const char *code = life_body_text(step, "department");

	step->targets = 0;
	if (life_add_task(step, code, false))
		step->targets = 1u << (step->kase->tasks_count - 1);
}

void life_effect_waive(struct life_step *step)
{
	const char *code = life_body_text(step, "department");
	struct tg_case *kase = step->kase;

	step->targets = 0;
	for (size_t i = 0; i < kase->tasks_count; i++) {
		struct tg_task *task = &kase->tasks[i];

		if (task->lead || strcmp(task->department, code) ||
			(!life_is_open(task) && task->state != TG_TASK_returned))
			continue;
		life_settle(task);
		task->state = TG_TASK_waived;
		task->version++;
		step->targets |= 1u << i;
	}
}

void life_effect_rework(struct life_step *step)
{
	struct tg_case *kase = step->kase;
	struct tg_task *task = &kase->tasks[life_lead(kase)];

	kase->rework_count++;
	kase->done_us = TG_NO_TIME;
	task->state = TG_TASK_signed;
	task->done_us = TG_NO_TIME;
	task->version++;
	task->changed = true;
}

/* Whoever leads owes an answer; a second reminder sets the time anew. */
void life_effect_remind(struct life_step *step)
{
	int lead = life_lead(step->kase);

	if (lead < 0 || !life_is_open(&step->kase->tasks[lead]))
		return;
	step->targets = 1u << lead;
	life_clock_apply(step, (struct life_clock_verb){LIFE_STOP, TG_CLOCK_reply});
	life_clock_apply(step, (struct life_clock_verb){LIFE_START, TG_CLOCK_reply});
}

void life_effect_supervise(struct life_step *step)
{
	step->kase->supervise_level++;
	life_effect_remind(step);
}

void life_effect_sign(struct life_step *step)
{
	step->kase->tasks[step->in->task].signed_us = step->in->now_us;
}

void life_effect_give_back(struct life_step *step)
{
	life_settle(&step->kase->tasks[step->in->task]);
	if (step->kase->tasks[step->in->task].lead)
		step->kase->return_count++;
}

void life_effect_complete(struct life_step *step)
{
	struct tg_case *kase = step->kase;
	struct tg_task *task = &kase->tasks[step->in->task];

	life_settle(task);
	task->done_us = step->in->now_us;
	task->result = life_keep(step, life_body_text(step, "result"));
	if (task->lead)
		kase->done_us = step->in->now_us;
}

/* --- T01 --- */

/* At most so many bytes, never half a character. */
static const char *shortened(struct life_step *step, const char *text)
{
	size_t n = strcspn(text, "\r\n");
	char cut[TITLE_FROM_TEXT_MAX + 1];

	if (n > TITLE_FROM_TEXT_MAX)
		for (n = TITLE_FROM_TEXT_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	memcpy(cut, text, n);
	cut[n] = '\0';
	return life_keep(step, cut);
}

void life_effect_report(struct life_step *step)
{
	struct tg_case *kase = step->kase;
	const char *title = life_body_text(step, "title"), *text = life_body_text(step, "text");
	const struct tg_type *type;

	kase->state = TG_CASE_new;
	kase->origin = "manual";
	kase->reported_us = step->in->now_us;
	put_type(step);
	put_place(step);
	type = tg_city_type(step->in->city, kase->type_code);
	kase->urgency = type ? type->urgency : TG_NORMAL;
	if (life_body_text(step, "urgency"))
		tg_urgency_parse(tg_slice_cstr(life_body_text(step, "urgency")), &kase->urgency);
	if (title)
		kase->title = life_keep(step, title);
	else if (type)
		kase->title = life_keep(step, type->name_zh);
	else
		kase->title = shortened(step, text ? text : "?");
	kase->text = text ? life_keep(step, text) : NULL;
	kase->contact = life_body_text(step, "contact")
				? life_keep(step, life_body_text(step, "contact"))
				: NULL;
}
