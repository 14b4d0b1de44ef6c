/* What the tests of a case's life share: a case in any state, one act by anybody, the clock of a
 * task, and what must hold after any step. Include cmocka first. */
#ifndef TG_TESTS_DISPATCH_LIFE_H
#define TG_TESTS_DISPATCH_LIFE_H

#include "dispatch/life.h"
#include "dispatch/store.h"
#include "tests/unit/dispatch_city.h"

static struct tg_city *city;
/* Monday 23 November 2026, 09:00 in Shanghai. */
#define MONDAY_9 (INT64_C(1795395600) * TG_US_PER_S)

static int64_t now;
/* What the case of a `merge` is to go into. */
static struct tg_other other;
#define OTHER "01890000-0000-7000-8000-000000000001"

static inline struct tg_actor actor(enum tg_role role)
{
	struct tg_actor a = {.role = role};

	snprintf(a.name, sizeof(a.name), "%s", tg_role_name(role));
	if (role == TG_ROLE_DEPARTMENT)
		strcpy(a.department, "JGW");
	return a;
}

static inline struct tg_refusal act_as(struct tg_case *kase, const struct tg_actor *who, int task,
	const char *action, const char *body)
{
	struct tg_refusal refusal = {0};
	struct tg_life_in in = {.city = city,
		.actor = who,
		.now_us = now,
		.action = tg_slice_cstr(action),
		.task = task,
		.check_version = true,
		.has_version = true,
		.version = task >= 0 ? kase->tasks[task].version : kase->version,
		.place = {"C1", "S1", "D"},
		.other = other};
	json_t *doc = NULL;

	assert_int_equal(tg_json_parse(tg_slice_cstr(body), &doc, NULL), 0);
	in.body = doc;
	tg_life_decide(kase, &in, &refusal);
	json_decref(doc);
	json_decref(refusal.errors);
	refusal.errors = NULL;
	while (kase->log_count > 1) /* nobody stores it here */
		json_decref(kase->log[--kase->log_count].detail);
	return refusal;
}

static inline enum tg_act_status act(
	struct tg_case *kase, enum tg_role role, const char *action, const char *body)
{
	struct tg_actor who = actor(role);

	return act_as(kase, &who, -1, action, body).status;
}

static inline enum tg_act_status act_task(
	struct tg_case *kase, int task, const char *action, const char *body)
{
	struct tg_actor who = actor(TG_ROLE_DEPARTMENT);

	strcpy(who.department, kase->tasks[task].department);
	return act_as(kase, &who, task, action, body).status;
}

#define DONE(x) assert_int_equal((x), TG_ACT_DONE)

static inline struct tg_case *reported(const char *type)
{
	struct tg_actor who = actor(TG_ROLE_OPERATOR);
	struct tg_life_in in = {
		.city = city, .actor = &who, .now_us = now, .task = -1, .place = {"C1", "S1", "D"}};
	struct tg_case *kase = tg_case_new();
	struct tg_refusal refusal;
	json_t *doc = json_pack("{s:s, s:s, s:{s:f, s:f}}", "type_code", type, "title", "t",
		"location", "lon", 121.4, "lat", 31.2);

	in.body = doc;
	tg_life_report(kase, &in, &refusal);
	assert_int_equal(refusal.status, TG_ACT_DONE);
	json_decref(doc);
	return kase;
}

static const char merge_body[] = "{\"into\":\"" OTHER "\"}";
static const char dispatch_body[] = "{\"tasks\":[{\"department\":\"JGW\",\"role\":\"lead\"}]}";

/* A case of type 09001 (1wd) in that state, led by JGW. */
static inline struct tg_case *in_state(enum tg_case_state state)
{
	struct tg_case *kase = reported("09001");

	if (state == TG_CASE_new)
		return kase;
	if (state == TG_CASE_refused)
		return DONE(act(kase, TG_ROLE_OPERATOR, "refuse", "{\"reason\":\"r\"}")), kase;
	if (state == TG_CASE_verifying)
		return DONE(act(kase, TG_ROLE_OPERATOR, "send_verify", "{}")), kase;
	if (state == TG_CASE_void)
		return DONE(act(kase, TG_ROLE_SHIFT_LEAD, "void", "{\"reason\":\"r\"}")), kase;
	if (state == TG_CASE_merged)
		return DONE(act(kase, TG_ROLE_OPERATOR, "merge", merge_body)), kase;
	DONE(act(kase, TG_ROLE_OPERATOR, "accept", "{}"));
	if (state == TG_CASE_to_file)
		return kase;
	if (state == TG_CASE_not_filed)
		return DONE(act(kase, TG_ROLE_SHIFT_LEAD, "not_file", "{\"reason\":\"r\"}")), kase;
	DONE(act(kase, TG_ROLE_OPERATOR, "file", "{\"condition\":1}"));
	if (state == TG_CASE_to_dispatch)
		return kase;
	DONE(act(kase, TG_ROLE_OPERATOR, "dispatch", dispatch_body));
	if (state == TG_CASE_assigned)
		return kase;
	DONE(act_task(kase, 0, "sign", "{}"));
	if (state == TG_CASE_handling)
		return kase;
	DONE(act_task(kase, 0, "complete", "{\"result\":\"done\"}"));
	if (state == TG_CASE_review)
		return kase;
	DONE(act(kase, TG_ROLE_OPERATOR, "send_check", "{}"));
	if (state == TG_CASE_checking)
		return kase;
	DONE(act(kase, TG_ROLE_INSPECTOR, "check_pass", "{}"));
	if (state == TG_CASE_to_close)
		return kase;
	DONE(act(kase, TG_ROLE_SHIFT_LEAD, "close", "{}"));
	assert_int_equal(kase->state, state);
	return kase;
}

static inline void check_invariants(const struct tg_case *kase)
{
	int leads = 0, handling = 0;

	for (size_t i = 0; i < kase->tasks_count; i++) {
		const struct tg_task *t = &kase->tasks[i];

		leads += t->lead && (t->state == TG_TASK_assigned || t->state == TG_TASK_signed ||
					    t->state == TG_TASK_done);
		handling = 0;
		for (size_t k = 0; k < kase->clocks_count; k++)
			handling += kase->clocks[k].task == (int)i &&
				    kase->clocks[k].kind == TG_CLOCK_handle &&
				    kase->clocks[k].state != TG_CLOCK_STOPPED;
		if (t->state == TG_TASK_assigned || t->state == TG_TASK_signed)
			assert_int_equal(handling, 1);
		if (t->state == TG_TASK_done || t->state == TG_TASK_cancelled ||
			t->state == TG_TASK_waived)
			assert_int_equal(handling, 0);
	}
	assert_true(leads <= 1);
	if (kase->state == TG_CASE_assigned || kase->state == TG_CASE_handling ||
		kase->state == TG_CASE_review)
		assert_int_equal(leads, 1);
	for (size_t k = 0; k < kase->clocks_count; k++) {
		if (kase->clocks[k].task >= 0 && kase->tasks[kase->clocks[k].task].suspended &&
			kase->clocks[k].kind != TG_CLOCK_reply)
			assert_int_not_equal(kase->clocks[k].state, TG_CLOCK_RUNNING);
		if (tg_case_state_is_terminal(kase->state))
			assert_int_equal(kase->clocks[k].state, TG_CLOCK_STOPPED);
		assert_true(kase->clocks[k].due_us >= kase->clocks[k].started_us);
	}
	if (!tg_case_state_is_terminal(kase->state))
		assert_true(kase->suspended || kase->due_us != TG_NO_TIME);
}

struct choices {
	const char *list[400];
	int task[400];
	enum tg_role roles[400];
	size_t n;
	int at;
	enum tg_role role;
};

static inline const struct tg_clock *clock_of(
	const struct tg_case *kase, enum tg_clock_kind kind, int task)
{
	const struct tg_clock *found = NULL;

	for (size_t i = 0; i < kase->clocks_count; i++)
		if (kase->clocks[i].kind == kind && kase->clocks[i].task == task)
			found = &kase->clocks[i];
	assert_non_null(found);
	return found;
}

static inline enum tg_act_status as_role(
	struct tg_case *kase, enum tg_role role, int task, const char *action, const char *body)
{
	struct tg_actor who = actor(role);

	return act_as(kase, &who, task, action, body).status;
}

static inline int setup(void **state)
{
	(void)state;
	now = MONDAY_9;
	other = (struct tg_other){OTHER, "no", TG_CASE_new, "09001", true, 121.4, 31.2};
	city = test_city();
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	tg_city_free(city);
	return 0;
}

#endif
