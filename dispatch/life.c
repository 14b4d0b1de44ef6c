/* The engine over life_table.inc: who may do what, and one decision. */
#include "dispatch/life_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define S(state)  (1u << TG_CASE_##state)
#define T(state)  (1u << TG_TASK_##state)
#define ANY       ((1u << TG_CASE_STATE_COUNT) - 1)
#define T_ANY     ((1u << TG_TASK_STATE_COUNT) - 1)
#define TERMINAL  (S(closed) | S(refused) | S(not_filed) | S(void) | S(merged))
#define OPEN      (ANY & ~TERMINAL)
#define WORKING   (S(to_dispatch) | S(assigned) | S(handling)) /* there may be open tasks */
#define SAME      (-1)
#define TASK_SAME (-1)

#define ROLE(name) (1u << TG_ROLE_##name)
#define SYSTEM     ROLE(SYSTEM)
#define OPERATOR   ROLE(OPERATOR)
#define SHIFT_LEAD ROLE(SHIFT_LEAD)
#define DEPARTMENT ROLE(DEPARTMENT)
#define INSPECTOR  ROLE(INSPECTOR)
#define SUPERVISOR ROLE(SUPERVISOR)
#define LEADER     ROLE(LEADER)
#define PEOPLE     (OPERATOR | SHIFT_LEAD | DEPARTMENT | INSPECTOR | SUPERVISOR | LEADER)

#define V(verb, kind)                        \
	{                                    \
		LIFE_##verb, TG_CLOCK_##kind \
	}
#define CASE(name, transition, roles, from, to, guard, form, effect, ...)               \
	{name, transition, false, true, roles, from, T_ANY, to, -1, life_guard_##guard, \
		life_form_##form, life_effect_##effect,                                 \
		{__VA_ARGS__ __VA_OPT__(, ){LIFE_VERB_END, 0}}},
#define TASK(name, transition, roles, from, task_from, task_to, to, guard, form, effect, ...)   \
	{name, transition, true, true, roles, from, task_from, to, task_to, life_guard_##guard, \
		life_form_##form, life_effect_##effect,                                         \
		{__VA_ARGS__ __VA_OPT__(, ){LIFE_VERB_END, 0}}},
#define LATER_CASE(name, transition, roles)                                                    \
	{name, transition, false, false, roles, 0, 0, -1, -1, life_guard_none, life_form_none, \
		life_effect_none, {{LIFE_VERB_END, 0}}},
#define LATER_TASK(name, transition, roles)                                                   \
	{name, transition, true, false, roles, 0, 0, -1, -1, life_guard_none, life_form_none, \
		life_effect_none, {{LIFE_VERB_END, 0}}},

static const struct life_edge edges[] = {
#include "dispatch/life_table.inc"
};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

static const struct life_edge report_edge = {"report", "T01", false, true,
	SYSTEM | OPERATOR | SHIFT_LEAD | INSPECTOR, 0, 0, TG_CASE_new, -1, life_guard_none,
	life_form_report, life_effect_report,
	{V(START, accept), V(START, total), {LIFE_VERB_END, 0}}};

/* --- names --- */

#define TG_X(name) #name,
static const char *const case_states[] = {TG_CASE_STATES(TG_X)};
static const char *const task_states[] = {TG_TASK_STATES(TG_X)};
static const char *const clock_kinds[] = {TG_CLOCK_KINDS(TG_X)};
#undef TG_X
static const char *const roles[] = {"system", "operator", "shift_lead", "department", "inspector",
	"supervisor", "leader", "auditor", "admin"};
_Static_assert(sizeof(roles) / sizeof(roles[0]) == TG_ROLE_COUNT, "a name for every role");

static int find_name(const char *const *names, int n, struct tg_slice name)
{
	for (int i = 0; i < n; i++)
		if (tg_slice_is(name, names[i]))
			return i;
	return -1;
}

const char *tg_role_name(enum tg_role role)
{
	assert(role < TG_ROLE_COUNT);
	return roles[role];
}

bool tg_role_parse(struct tg_slice name, enum tg_role *ret)
{
	int i = find_name(roles, TG_ROLE_COUNT, name);

	if (i >= 0)
		*ret = (enum tg_role)i;
	return i >= 0;
}

const char *tg_case_state_name(int state)
{
	return state < 0 || state >= TG_CASE_STATE_COUNT ? NULL : case_states[state];
}

const char *tg_task_state_name(int state)
{
	return state < 0 || state >= TG_TASK_STATE_COUNT ? NULL : task_states[state];
}

const char *tg_clock_kind_name(int kind)
{
	return kind < 0 || kind >= TG_CLOCK_KIND_COUNT ? NULL : clock_kinds[kind];
}

bool tg_case_state_parse(struct tg_slice name, enum tg_case_state *ret)
{
	int i = find_name(case_states, TG_CASE_STATE_COUNT, name);

	if (i >= 0)
		*ret = (enum tg_case_state)i;
	return i >= 0;
}

bool tg_task_state_parse(struct tg_slice name, enum tg_task_state *ret)
{
	int i = find_name(task_states, TG_TASK_STATE_COUNT, name);

	if (i >= 0)
		*ret = (enum tg_task_state)i;
	return i >= 0;
}

bool tg_case_state_is_terminal(enum tg_case_state state)
{
	return 1u << state & TERMINAL;
}

/* --- small things --- */

void life_wrong(struct life_step *step, const char *field, const char *detail)
{
	if (!step->errors)
		step->errors = json_array();
	if (json_array_append_new(
		    step->errors, json_pack("{s:s, s:s}", "field", field, "detail", detail)))
		step->failed = true;
}

const char *life_keep(struct life_step *step, const char *text)
{
	const char *kept = tg_arena_strdup(&step->kase->arena, text, strlen(text));

	if (!kept)
		step->failed = true;
	return kept ? kept : "";
}

void life_detail_str(struct life_step *step, const char *key, const char *text)
{
	if (!step->detail)
		step->detail = json_object();
	if (text && json_object_set_new(step->detail, key, json_string(text)))
		step->failed = true;
}

int life_lead(const struct tg_case *kase)
{
	int lead = -1;

	for (size_t i = 0; i < kase->tasks_count; i++)
		if (kase->tasks[i].lead && kase->tasks[i].round == kase->round)
			lead = (int)i;
	return lead;
}

struct tg_task *life_add_task(struct life_step *step, const char *department, bool lead)
{
	struct tg_case *kase = step->kase;
	struct tg_task *task;

	if (kase->tasks_count == TG_CASE_TASKS_MAX) {
		step->failed = true;
		return NULL;
	}
	task = &kase->tasks[kase->tasks_count++];
	*task = (struct tg_task){.lead = lead,
		.state = TG_TASK_assigned,
		.version = 1,
		.assigned_us = step->in->now_us,
		.signed_us = TG_NO_TIME,
		.due_us = TG_NO_TIME,
		.done_us = TG_NO_TIME,
		.suspended_until_us = TG_NO_TIME,
		.appealed_us = TG_NO_TIME,
		.round = kase->round,
		.changed = true};
	assert(strlen(department) < sizeof(task->department));
	strcpy(task->department, department);
	return task;
}

/* --- deciding --- */

static const struct life_edge *find_edge(struct tg_slice action, bool on_task)
{
	for (size_t i = 0; i < EDGES; i++)
		if (edges[i].on_task == on_task && tg_slice_is(action, edges[i].action))
			return &edges[i];
	return NULL;
}

static bool is_theirs(const struct tg_case *kase, const struct tg_actor *actor, int task)
{
	return actor->role != TG_ROLE_DEPARTMENT || task < 0 ||
	       !strcmp(kase->tasks[task].department, actor->department);
}

/* Role apart: NULL when the edge may be taken now. */
static const char *barred(const struct life_edge *edge, const struct tg_case *kase,
	const struct tg_city *city, const struct tg_actor *actor, int64_t now_us, int task,
	bool *ret_role)
{
	*ret_role = false;
	if (!edge->implemented)
		return "this version has no such transition";
	if (!(edge->from & 1u << kase->state))
		return "not in this state";
	if (edge->on_task && !(edge->task_from & 1u << kase->tasks[task].state))
		return "not in this state of the task";
	if (edge->on_task && kase->tasks[task].suspended && edge->guard != life_guard_suspended &&
		edge->form != life_form_comment)
		return "the task is suspended; resume it first";
	return edge->guard(kase, edge, city, actor, now_us, task, ret_role);
}

/* What each form reads, beside action, version and note. */
static const struct {
	life_form form;
	const char *fields; /* each with a blank after it */
} form_fields[] = {
	{life_form_reason, "reason "},
	{life_form_accept, "type_code location "},
	{life_form_edit, "type_code title location urgency "},
	{life_form_inspector, "inspector "},
	{life_form_result, "result evidence photos "},
	{life_form_file, "condition "},
	{life_form_dispatch, "tasks "},
	{life_form_add_assist, "department "},
	{life_form_waive, "department reason "},
	{life_form_check, "evidence photos "},
	{life_form_comment, "photos "},
	{life_form_return_reason, "reason evidence "},
	{life_form_merge, "into "},
	{life_form_forward, "unit "},
	{life_form_ask_extension, "by reason evidence "},
	{life_form_grant_extension, "by "},
	{life_form_ask_suspension, "until reason evidence "},
	{life_form_grant_suspension, "until "},
};

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ' ') && p[n] == ' ')
			return true;
	return false;
}

static void check_members(struct life_step *step)
{
	const char *fields = "", *name;
	json_t *value;

	for (size_t i = 0; i < sizeof(form_fields) / sizeof(form_fields[0]); i++)
		if (form_fields[i].form == step->edge->form)
			fields = form_fields[i].fields;
	json_object_foreach ((json_t *)(uintptr_t)step->in->body, name, value)
		if (!has_word("action version note ", name) && !has_word(fields, name))
			life_wrong(step, name, "is not a member of this action");
}

static void check_form(struct life_step *step)
{
	if (step->edge != &report_edge)
		check_members(step);
	step->edge->form(step);
	if (step->in->check_version && !step->in->has_version)
		life_wrong(step, "version", "the version this action was decided on is required");
}

static bool version_matches(const struct life_step *step)
{
	const struct tg_life_in *in = step->in;

#ifdef TG_BREAK_VERSION_UNCHECKED
	return true;
#endif
	if (!in->check_version)
		return true;
	return in->version ==
	       (in->task >= 0 ? step->kase->tasks[in->task].version : step->kase->version);
}

static void write_entry(struct life_step *step, int from, int task_from, bool counts)
{
	struct tg_case *kase = step->kase;
	struct tg_task *task = step->in->task >= 0 ? &kase->tasks[step->in->task] : NULL;
	struct tg_entry *e;

	if (kase->log_count == TG_CASE_LOG_MAX) {
		step->failed = true;
		json_decref(step->detail);
		return;
	}
	if (counts)
		kase->version++;
	if (task && counts) {
		task->version++;
		task->changed = true;
	}
	if (task && task_from != (int)task->state) {
		life_detail_str(step, "task_from", tg_task_state_name(task_from));
		life_detail_str(step, "task_to", tg_task_state_name((int)task->state));
	}
	e = &kase->log[kase->log_count++];
	*e = (struct tg_entry){.task = step->in->task,
		.action = step->edge->action,
		.actor = life_keep(step, step->in->actor->name),
		.actor_role = tg_role_name(step->in->actor->role),
		.from_state = from,
		.to_state = (int)kase->state,
		.task_from = task ? task_from : -1,
		.task_to = task ? (int)task->state : -1,
		.case_version = kase->version,
		.task_version = task ? task->version : 0,
		.note = step->note,
		.detail = step->detail};
}

static void take(struct life_step *step, int from)
{
	const struct life_edge *edge = step->edge;
	struct tg_case *kase = step->kase;
	int at = step->in->task, task_from = at >= 0 ? (int)kase->tasks[at].state : -1;
	int lead = life_lead(kase);

	step->targets = at >= 0 ? 1u << at : lead >= 0 ? 1u << lead : 0;
	step->clock_us = step->in->now_us;
	if (edge->task_to >= 0)
		kase->tasks[at].state = (enum tg_task_state)edge->task_to;
	if (edge->to >= 0 && (!edge->on_task || kase->tasks[at].lead))
		kase->state = (enum tg_case_state)edge->to;
	edge->effect(step);
	for (const struct life_clock_verb *v = edge->clocks; v->verb != LIFE_VERB_END; v++)
		life_clock_apply(step, *v);
	if (step->in->actor->role == TG_ROLE_DEPARTMENT)
		life_answered(step);
	life_say_clocks(step);
	write_entry(step, from, task_from, strcmp(edge->action, "comment") != 0);
	life_derive(kase);
}

static void decide(struct life_step *step, struct tg_refusal *ret)
{
	const struct tg_life_in *in = step->in;
	const char *why;
	bool role;

	check_form(step);
	if (step->errors) {
		*ret = (struct tg_refusal){
			TG_ACT_INVALID, "some values are not acceptable", step->errors};
		json_decref(step->detail);
		return;
	}
	why = barred(step->edge, step->kase, in->city, in->actor, in->now_us, in->task, &role);
	if (why || !version_matches(step)) {
		json_decref(step->detail);
		*ret = (struct tg_refusal){!why   ? TG_ACT_STALE
					   : role ? TG_ACT_FORBIDDEN
						  : TG_ACT_NOT_ALLOWED,
			why ? why : "somebody was faster: the version has moved on", NULL};
		return;
	}
	take(step, (int)step->kase->state);
	*ret = (struct tg_refusal){TG_ACT_DONE, NULL, NULL};
	if (step->failed)
		*ret = (struct tg_refusal){TG_ACT_INVALID, "a limit of the case is reached",
			json_pack("[{s:s, s:s}]", "field", "action", "detail",
				"the case cannot hold more of this")};
}

void tg_life_decide(struct tg_case *kase, const struct tg_life_in *in, struct tg_refusal *ret)
{
	struct life_step step = {
		.kase = kase, .in = in, .edge = find_edge(in->action, in->task >= 0)};

	if (!step.edge) {
		life_wrong(&step, "action",
			find_edge(in->action, in->task < 0)
				? in->task < 0 ? "an action of a task, not of the case"
					       : "an action of the case, not of a task"
				: "unknown");
		*ret = (struct tg_refusal){TG_ACT_INVALID, "no such action", step.errors};
		return;
	}
	if (!(step.edge->roles & 1u << in->actor->role)) {
		*ret = (struct tg_refusal){TG_ACT_FORBIDDEN, "not an action of this role", NULL};
		return;
	}
	if (!is_theirs(kase, in->actor, in->task)) {
		*ret = (struct tg_refusal){TG_ACT_NOT_FOUND, "another department's task", NULL};
		return;
	}
	decide(&step, ret);
}

void tg_life_report(struct tg_case *kase, const struct tg_life_in *in, struct tg_refusal *ret)
{
	struct life_step step = {.kase = kase, .in = in, .edge = &report_edge};

	assert(kase->version == 0);
	assert(in->task < 0);
	if (!(report_edge.roles & 1u << in->actor->role)) {
		*ret = (struct tg_refusal){TG_ACT_FORBIDDEN, "not an action of this role", NULL};
		return;
	}
	check_form(&step);
	if (step.errors) {
		*ret = (struct tg_refusal){
			TG_ACT_INVALID, "some values are not acceptable", step.errors};
		json_decref(step.detail);
		return;
	}
	take(&step, -1);
	*ret = (struct tg_refusal){step.failed ? TG_ACT_UNAVAILABLE : TG_ACT_DONE, NULL, NULL};
}

/* --- what may be done --- */

void tg_life_allowed(const struct tg_case *kase, const struct tg_city *city,
	const struct tg_actor *actor, int64_t now_us, int task,
	void (*each)(void *ctx, const char *action), void *ctx)
{
	for (size_t i = 0; i < EDGES; i++) {
		const struct life_edge *edge = &edges[i];
		bool role;

		if (edge->on_task != (task >= 0) || !(edge->roles & 1u << actor->role) ||
			!is_theirs(kase, actor, task))
			continue;
		if (!barred(edge, kase, city, actor, now_us, task, &role))
			each(ctx, edge->action);
	}
}

bool tg_life_visible(const struct tg_case *kase, const struct tg_actor *actor)
{
	if (actor->role != TG_ROLE_DEPARTMENT)
		return true;
	for (size_t i = 0; i < kase->tasks_count; i++)
		if (!strcmp(kase->tasks[i].department, actor->department))
			return true;
	for (size_t i = 0; i < kase->had_count; i++)
		if (!strcmp(kase->had[i], actor->department))
			return true;
	return false;
}

size_t tg_life_edges(void)
{
	return EDGES;
}

struct tg_edge_info tg_life_edge(size_t i)
{
	assert(i < EDGES);
	return (struct tg_edge_info){edges[i].action, edges[i].transition, edges[i].on_task,
		edges[i].implemented, edges[i].roles, edges[i].from, edges[i].task_from};
}

bool tg_life_role_may(struct tg_slice action, bool on_task, enum tg_role role)
{
	const struct life_edge *edge = find_edge(action, on_task);

	return edge && edge->roles & 1u << role;
}
