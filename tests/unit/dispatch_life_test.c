/* Stories of a case that need more than one step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_life.h"

static void the_handling_clock_runs_from_dispatch_not_from_signing(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_assigned);
	int64_t due;

	(void)state;
	/* 1wd from Monday 09:00 at 08–12/14–18 */
	due = MONDAY_9 + 24 * TG_US_PER_H;
	assert_int_equal(clock_of(kase, TG_CLOCK_handle, 0)->due_us, due);
	assert_int_equal(kase->handle_due_us, due);
	now += TG_US_PER_H;
	DONE(act_task(kase, 0, "sign", "{}"));
	assert_int_equal(kase->due_us, due);
	assert_int_equal(clock_of(kase, TG_CLOCK_sign, 0)->state, TG_CLOCK_STOPPED);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void a_return_refused_gains_no_time(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);
	int64_t due = kase->handle_due_us;

	(void)state;
	now += TG_US_PER_H;
	DONE(act_task(kase, 0, "return", "{\"reason\":\"not ours\"}"));
	assert_int_equal(kase->state, TG_CASE_to_dispatch);
	assert_int_equal(kase->handle_due_us, TG_NO_TIME);
	assert_int_equal(clock_of(kase, TG_CLOCK_handle, 0)->remaining_us, 7 * TG_US_PER_H);
	now += TG_US_PER_H / 2;
	DONE(act(kase, TG_ROLE_OPERATOR, "uphold", "{\"reason\":\"duty list 3.2\"}"));
	/* paused half an hour, so half an hour later by the working clock, and no more */
	assert_int_equal(kase->handle_due_us, due + TG_US_PER_H / 2);
	assert_int_equal(kase->tasks[0].state, TG_TASK_assigned);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void the_second_return_is_the_shift_leads(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_assigned);

	(void)state;
	for (int i = 0; i < 2; i++) {
		DONE(act_task(kase, 0, "return", "{\"reason\":\"not ours\"}"));
		assert_int_equal(act(kase, TG_ROLE_OPERATOR, "uphold", "{\"note\":\"n\"}"),
			i ? TG_ACT_FORBIDDEN : TG_ACT_DONE);
	}
	DONE(act(kase, TG_ROLE_SHIFT_LEAD, "uphold", "{\"note\":\"final\"}"));
	assert_int_equal(act_task(kase, 0, "return", "{\"reason\":\"again\"}"), TG_ACT_NOT_ALLOWED);
	tg_case_free(kase);
}

static void a_late_first_return_is_not_taken(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);

	(void)state;
	now += 6 * TG_US_PER_H; /* 15:00: four working hours gone of eight */
	assert_int_equal(act_task(kase, 0, "return", "{\"reason\":\"late\"}"), TG_ACT_NOT_ALLOWED);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void another_department_starts_a_full_clock(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_assigned);

	(void)state;
	now += TG_US_PER_H;
	DONE(act_task(kase, 0, "return", "{\"reason\":\"not ours\"}"));
	now += TG_US_PER_H;
	DONE(act(kase, TG_ROLE_OPERATOR, "dispatch",
		"{\"tasks\":[{\"department\":\"CGJ\",\"role\":\"lead\"}]}"));
	assert_int_equal(kase->tasks[0].state, TG_TASK_returned);
	assert_int_equal(clock_of(kase, TG_CLOCK_handle, 0)->state, TG_CLOCK_STOPPED);
	assert_int_equal(clock_of(kase, TG_CLOCK_handle, 1)->amount_us, 8 * TG_US_PER_H);
	assert_int_equal(clock_of(kase, TG_CLOCK_handle, 1)->started_us, now);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void rework_resumes_what_was_left(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);

	(void)state;
	now += 2 * TG_US_PER_H; /* 11:00 */
	DONE(act_task(kase, 0, "complete", "{\"result\":\"r\"}"));
	assert_int_equal(kase->done_us, now);
	now += 4 * TG_US_PER_H; /* 15:00 */
	DONE(act(kase, TG_ROLE_OPERATOR, "rework", "{\"reason\":\"photo\"}"));
	assert_int_equal(kase->rework_count, 1);
	/* six hours from 15:00: three today, three tomorrow */
	assert_int_equal(kase->handle_due_us, MONDAY_9 + 26 * TG_US_PER_H);
	assert_int_equal(kase->due_us, kase->handle_due_us);
	assert_false(kase->overdue);
	now = MONDAY_9 + 30 * TG_US_PER_H;
	DONE(act_task(kase, 0, "complete", "{\"result\":\"late\"}"));
	assert_true(kase->overdue);
	now += TG_US_PER_H;
	DONE(act(kase, TG_ROLE_OPERATOR, "rework", "{\"reason\":\"again\"}"));
	/* nothing left: overdue since its old deadline */
	assert_int_equal(kase->handle_due_us, MONDAY_9 + 26 * TG_US_PER_H);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void verifying_pauses_the_acceptance(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_verifying);
	int64_t due;

	(void)state;
	assert_int_equal(clock_of(kase, TG_CLOCK_accept, -1)->state, TG_CLOCK_PAUSED);
	due = now + 10 * TG_US_PER_MIN + 15 * TG_US_PER_MIN;
	now += 10 * TG_US_PER_MIN;
	DONE(act(kase, TG_ROLE_INSPECTOR, "verify_result",
		"{\"result\":\"confirmed\",\"evidence\":[\"abc\"]}"));
	assert_int_equal(kase->due_us, due);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void assisting_tasks_are_bounded_and_come_first(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_to_dispatch);

	(void)state;
	DONE(act(kase, TG_ROLE_OPERATOR, "dispatch",
		"{\"tasks\":[{\"department\":\"JGW\",\"role\":\"lead\"},{\"department\":\"GAF\","
		"\"role\":\"assist\"}]}"));
	/* GAF works round the clock: its day of 24 h ends with the lead's at the latest */
	assert_true(clock_of(kase, TG_CLOCK_handle, 1)->due_us <=
		    clock_of(kase, TG_CLOCK_handle, 0)->due_us);
	DONE(act_task(kase, 0, "sign", "{}"));
	assert_int_equal(kase->state, TG_CASE_handling);
	assert_int_equal(act_task(kase, 0, "complete", "{\"result\":\"r\"}"), TG_ACT_NOT_ALLOWED);
	DONE(act_task(kase, 1, "return", "{\"reason\":\"no\"}"));
	assert_int_equal(kase->state, TG_CASE_handling);
	assert_int_equal(kase->return_count, 0);
	assert_int_equal(act_task(kase, 0, "complete", "{\"result\":\"r\"}"), TG_ACT_NOT_ALLOWED);
	DONE(act(kase, TG_ROLE_OPERATOR, "waive_assist",
		"{\"department\":\"GAF\",\"reason\":\"not needed\"}"));
	DONE(act(kase, TG_ROLE_OPERATOR, "add_assist", "{\"department\":\"CGJ\"}"));
	DONE(act_task(kase, 2, "sign", "{}"));
	DONE(act_task(kase, 2, "complete", "{\"result\":\"r\"}"));
	DONE(act_task(kase, 0, "complete", "{\"result\":\"r\"}"));
	assert_int_equal(kase->state, TG_CASE_review);
	tg_case_free(kase);
}

static void bad_bodies_change_nothing(void **state)
{
	static const struct {
		enum tg_case_state state;
		enum tg_role role;
		const char *action, *body;
	} bad[] = {
		{TG_CASE_to_file, TG_ROLE_OPERATOR, "file", "{}"},
		{TG_CASE_to_file, TG_ROLE_OPERATOR, "file", "{\"condition\":2}"},
		{TG_CASE_to_file, TG_ROLE_OPERATOR, "file", "{\"condition\":\"1\"}"},
		{TG_CASE_to_file, TG_ROLE_SHIFT_LEAD, "not_file", "{}"},
		{TG_CASE_new, TG_ROLE_OPERATOR, "accept", "{\"type_code\":\"99999\"}"},
		{TG_CASE_new, TG_ROLE_OPERATOR, "accept", "{\"location\":{\"lon\":1}}"},
		{TG_CASE_new, TG_ROLE_OPERATOR, "edit", "{}"},
		{TG_CASE_new, TG_ROLE_OPERATOR, "edit", "{\"urgency\":\"soon\"}"},
		{TG_CASE_new, TG_ROLE_OPERATOR, "comment", "{\"note\":\"  \"}"},
		{TG_CASE_new, TG_ROLE_OPERATOR, "dance", "{}"},
		{TG_CASE_new, TG_ROLE_OPERATOR, "sign", "{}"},
		{TG_CASE_to_dispatch, TG_ROLE_OPERATOR, "dispatch", "{}"},
		{TG_CASE_to_dispatch, TG_ROLE_OPERATOR, "dispatch", "{\"tasks\":[]}"},
		{TG_CASE_to_dispatch, TG_ROLE_OPERATOR, "dispatch",
			"{\"tasks\":[{\"department\":\"JGW\",\"role\":\"assist\"}]}"},
		{TG_CASE_to_dispatch, TG_ROLE_OPERATOR, "dispatch",
			"{\"tasks\":[{\"department\":\"XXX\",\"role\":\"lead\"}]}"},
		{TG_CASE_to_dispatch, TG_ROLE_OPERATOR, "dispatch",
			"{\"tasks\":[{\"department\":\"JGW\",\"role\":\"lead\"},{\"department\":"
			"\"CGJ\",\"role\":\"lead\"}]}"},
		{TG_CASE_to_dispatch, TG_ROLE_OPERATOR, "dispatch",
			"{\"tasks\":[{\"department\":\"JGW\",\"role\":\"lead\"},{\"department\":"
			"\"JGW\",\"role\":\"assist\"}]}"},
		{TG_CASE_to_dispatch, TG_ROLE_OPERATOR, "dispatch", "{\"tasks\":[7]}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tg_case *kase = in_state(bad[i].state);
		int64_t version = kase->version;
		enum tg_act_status got = act(kase, bad[i].role, bad[i].action, bad[i].body);

		if (got != TG_ACT_INVALID || kase->version != version ||
			kase->state != bad[i].state)
			fail_msg("%s %s: got %d", bad[i].action, bad[i].body, got);
		tg_case_free(kase);
	}
}

/* Also for the sanitized build: what was noted for the log goes with the refusal. */
static void a_report_that_will_not_do_opens_nothing(void **state)
{
	struct tg_actor who = actor(TG_ROLE_OPERATOR);
	struct tg_life_in in = {.city = city, .actor = &who, .now_us = now, .task = -1};
	struct tg_case *kase = tg_case_new();
	struct tg_refusal refusal;
	json_t *body = json_pack("{s:s, s:s}", "address", "the old mill", "urgency", "soon");

	(void)state;
	in.body = body;
	tg_life_report(kase, &in, &refusal);
	assert_int_equal(refusal.status, TG_ACT_INVALID);
	assert_int_equal(kase->version, 0);
	assert_int_equal(kase->log_count, 0);
	json_decref(refusal.errors);
	json_decref(body);
	tg_case_free(kase);
}

static void checks_come_in_the_contracts_order(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_new);
	struct tg_actor who = actor(TG_ROLE_OPERATOR), auditor = actor(TG_ROLE_AUDITOR);
	struct tg_life_in in = {.city = city,
		.actor = &auditor,
		.now_us = now,
		.task = -1,
		.action = TG_SLICE("file"),
		.check_version = true,
		.body = json_object()};
	struct tg_refusal refusal;

	(void)state;
	tg_life_decide(kase, &in, &refusal); /* role, form and state are all wrong */
	assert_int_equal(refusal.status, TG_ACT_FORBIDDEN);
	in.actor = &who;
	tg_life_decide(kase, &in, &refusal);
	assert_int_equal(refusal.status, TG_ACT_INVALID);
	assert_int_equal(json_array_size(refusal.errors), 2); /* condition and version */
	json_decref(refusal.errors);
	json_object_set_new((json_t *)(uintptr_t)in.body, "condition", json_integer(1));
	in.has_version = true;
	in.version = 99;
	tg_life_decide(kase, &in, &refusal);
	assert_int_equal(refusal.status, TG_ACT_NOT_ALLOWED);
	json_object_del((json_t *)(uintptr_t)in.body, "condition");
	in.action = TG_SLICE("accept");
	tg_life_decide(kase, &in, &refusal);
	assert_int_equal(refusal.status, TG_ACT_STALE);
	in.version = kase->version;
	tg_life_decide(kase, &in, &refusal);
	assert_int_equal(refusal.status, TG_ACT_DONE);
	json_decref((json_t *)(uintptr_t)in.body);
	tg_case_free(kase);
}

static void another_departments_task_does_not_exist(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_assigned);
	struct tg_actor foreign = actor(TG_ROLE_DEPARTMENT);

	(void)state;
	strcpy(foreign.department, "CGJ");
	assert_false(tg_life_visible(kase, &foreign));
	assert_int_equal(act_as(kase, &foreign, 0, "sign", "{}").status, TG_ACT_NOT_FOUND);
	strcpy(foreign.department, "JGW");
	assert_true(tg_life_visible(kase, &foreign));
	tg_case_free(kase);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_handling_clock_runs_from_dispatch_not_from_signing),
		cmocka_unit_test(a_return_refused_gains_no_time),
		cmocka_unit_test(the_second_return_is_the_shift_leads),
		cmocka_unit_test(a_late_first_return_is_not_taken),
		cmocka_unit_test(another_department_starts_a_full_clock),
		cmocka_unit_test(rework_resumes_what_was_left),
		cmocka_unit_test(verifying_pauses_the_acceptance),
		cmocka_unit_test(assisting_tasks_are_bounded_and_come_first),
		cmocka_unit_test(bad_bodies_change_nothing),
		cmocka_unit_test(a_report_that_will_not_do_opens_nothing),
		cmocka_unit_test(checks_come_in_the_contracts_order),
		cmocka_unit_test(another_departments_task_does_not_exist),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
