/* Stories of what departments ask for, and of cases beside each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_life.h"

static const char by_2wh[] = "{\"by\":\"2wh\",\"reason\":\"parts\"}";

static void an_extension_adds_to_the_deadline_there_is(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);
	int64_t due = kase->handle_due_us;

	(void)state;
	now += TG_US_PER_H;
	DONE(act_task(kase, 0, "request_extension", by_2wh));
	assert_int_equal(kase->tasks[0].ask.kind, TG_ASK_EXTENSION);
	assert_int_equal(act_task(kase, 0, "request_extension", by_2wh), TG_ACT_NOT_ALLOWED);
	DONE(as_role(kase, TG_ROLE_SHIFT_LEAD, 0, "grant_extension", "{}"));
	/* Tuesday 09:00, and two working hours more */
	assert_int_equal(kase->handle_due_us, due + 2 * TG_US_PER_H);
	assert_int_equal(kase->tasks[0].extensions, 1);
	assert_int_equal(kase->extension_count, 1);
	assert_int_equal(kase->tasks[0].ask.kind, TG_ASK_NONE);
	DONE(act_task(kase, 0, "request_extension", by_2wh));
	assert_int_equal(
		as_role(kase, TG_ROLE_SHIFT_LEAD, 0, "grant_extension", "{}"), TG_ACT_FORBIDDEN);
	DONE(as_role(kase, TG_ROLE_LEADER, 0, "grant_extension", "{\"by\":\"1wh\"}"));
	/* 11:00, and one more: the end of the morning */
	assert_int_equal(kase->handle_due_us, due + 3 * TG_US_PER_H);
	assert_int_equal(act_task(kase, 0, "request_extension", by_2wh), TG_ACT_NOT_ALLOWED);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void an_extension_comes_before_the_breach_and_is_no_longer_than_the_limit(void **state)
{
	static const char *const bad[] = {"{\"by\":\"9wh\",\"reason\":\"r\"}",
		"{\"by\":\"2h\",\"reason\":\"r\"}", "{\"by\":\"soon\",\"reason\":\"r\"}",
		"{\"reason\":\"r\"}", "{\"by\":2,\"reason\":\"r\"}"};
	struct tg_case *kase = in_state(TG_CASE_handling);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(act_task(kase, 0, "request_extension", bad[i]), TG_ACT_INVALID);
	DONE(act_task(kase, 0, "request_extension", "{\"by\":\"1wd\",\"reason\":\"r\"}"));
	now = kase->handle_due_us + 1;
	assert_int_equal(
		as_role(kase, TG_ROLE_SHIFT_LEAD, 0, "grant_extension", "{}"), TG_ACT_NOT_ALLOWED);
	DONE(as_role(kase, TG_ROLE_SHIFT_LEAD, 0, "deny_extension", "{\"reason\":\"late\"}"));
	assert_int_equal(act_task(kase, 0, "request_extension", by_2wh), TG_ACT_NOT_ALLOWED);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void an_assisting_task_is_extended_to_the_leads_end_at_most(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);

	(void)state;
	now += 2 * TG_US_PER_H;
	DONE(act(kase, TG_ROLE_OPERATOR, "add_assist", "{\"department\":\"CGJ\"}"));
	/* bounded by the lead's Tuesday 09:00 */
	assert_int_equal(kase->tasks[1].due_us, kase->handle_due_us);
	assert_int_equal(act_task(kase, 1, "request_extension", by_2wh), TG_ACT_INVALID);
	DONE(act_task(kase, 0, "request_extension", by_2wh));
	DONE(as_role(kase, TG_ROLE_LEADER, 0, "grant_extension", "{}"));
	DONE(act_task(kase, 1, "request_extension", by_2wh));
	DONE(as_role(kase, TG_ROLE_LEADER, 1, "grant_extension", "{}"));
	assert_int_equal(kase->tasks[1].due_us, kase->handle_due_us);
	now = MONDAY_9;
	tg_case_free(kase);
}

#define HOUR(n) (MONDAY_9 + (n)*TG_US_PER_H)

/* One working day from Friday 16:00, one hour of it used when it is suspended at 17:00; resumed on
 * Monday 09:00 it ends at 18:00, also when the system comes ten minutes late. */
static void a_suspension_over_a_weekend_costs_no_working_time(void **state)
{
	for (int late = 0; late < 2; late++) {
		struct tg_case *kase;

		(void)state;
		now = HOUR(-65); /* Friday 16:00 */
		kase = in_state(TG_CASE_handling);
		now = HOUR(-64);
		DONE(act_task(kase, 0, "request_suspension",
			"{\"until\":\"2026-11-23T09:00:00+08:00\",\"reason\":\"frost\"}"));
		DONE(as_role(kase, TG_ROLE_LEADER, 0, "grant_suspension", "{}"));
		assert_true(kase->suspended);
		assert_int_equal(kase->due_us, TG_NO_TIME);
		assert_int_equal(clock_of(kase, TG_CLOCK_handle, 0)->remaining_us, 7 * TG_US_PER_H);
		assert_int_equal(kase->tasks[0].suspended_until_us, MONDAY_9);
		now = MONDAY_9 + late * 10 * TG_US_PER_MIN;
		DONE(as_role(kase, late ? TG_ROLE_SYSTEM : TG_ROLE_OPERATOR, 0, "resume", "{}"));
		assert_int_equal(kase->handle_due_us, HOUR(9));
		assert_false(kase->suspended);
		assert_int_equal(kase->tasks[0].suspended_until_us, TG_NO_TIME);
		now = MONDAY_9;
		tg_case_free(kase);
	}
}

static const char until_friday[] =
	"{\"until\":\"2026-11-27T01:00:00Z\",\"reason\":\"no owner yet\"}";

static void a_suspended_task_waits(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_assigned);

	(void)state;
	DONE(act_task(kase, 0, "request_suspension", until_friday));
	DONE(as_role(kase, TG_ROLE_LEADER, 0, "grant_suspension",
		"{\"until\":\"2026-11-26T01:00:00Z\"}"));
	assert_int_equal(clock_of(kase, TG_CLOCK_sign, 0)->state, TG_CLOCK_PAUSED);
	assert_int_equal(act_task(kase, 0, "sign", "{}"), TG_ACT_NOT_ALLOWED);
	assert_int_equal(act_task(kase, 0, "return", "{\"reason\":\"r\"}"), TG_ACT_NOT_ALLOWED);
	DONE(act_task(kase, 0, "comment", "{\"note\":\"still frozen\"}"));
	DONE(act(kase, TG_ROLE_OPERATOR, "remind", "{}"));
	DONE(as_role(kase, TG_ROLE_SHIFT_LEAD, 0, "resume", "{}"));
	assert_int_equal(clock_of(kase, TG_CLOCK_sign, 0)->state, TG_CLOCK_RUNNING);
	DONE(act_task(kase, 0, "sign", "{}"));
	DONE(act_task(kase, 0, "request_suspension", until_friday));
	DONE(as_role(kase, TG_ROLE_LEADER, 0, "grant_suspension", "{}"));
	DONE(as_role(kase, TG_ROLE_SHIFT_LEAD, 0, "resume", "{}"));
	/* what was signed stays signed */
	assert_int_equal(clock_of(kase, TG_CLOCK_sign, 0)->state, TG_CLOCK_STOPPED);
	DONE(act_task(kase, 0, "request_suspension", until_friday));
	DONE(as_role(kase, TG_ROLE_LEADER, 0, "grant_suspension", "{}"));
	DONE(act(kase, TG_ROLE_SHIFT_LEAD, "void", "{\"reason\":\"r\"}"));
	assert_false(kase->suspended);
	check_invariants(kase);
	tg_case_free(kase);
}

static void the_lead_alone_suspends_the_case(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);

	(void)state;
	DONE(act(kase, TG_ROLE_OPERATOR, "add_assist", "{\"department\":\"CGJ\"}"));
	DONE(act_task(kase, 1, "request_suspension", until_friday));
	DONE(as_role(kase, TG_ROLE_LEADER, 1, "grant_suspension", "{}"));
	assert_false(kase->suspended);
	assert_true(kase->tasks[1].suspended);
	assert_int_equal(act_task(kase, 0, "complete", "{\"result\":\"r\"}"), TG_ACT_NOT_ALLOWED);
	DONE(act(kase, TG_ROLE_OPERATOR, "waive_assist",
		"{\"department\":\"CGJ\",\"reason\":\"not needed\"}"));
	assert_false(kase->tasks[1].suspended);
	DONE(act_task(kase, 0, "complete", "{\"result\":\"r\"}"));
	check_invariants(kase);
	tg_case_free(kase);
}

static void a_request_may_be_denied(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);
	int64_t due = kase->handle_due_us;

	(void)state;
	DONE(act_task(kase, 0, "request_suspension", until_friday));
	assert_int_equal(
		as_role(kase, TG_ROLE_LEADER, 0, "grant_extension", "{}"), TG_ACT_NOT_ALLOWED);
	DONE(as_role(kase, TG_ROLE_LEADER, 0, "deny_suspension", "{\"reason\":\"no\"}"));
	assert_int_equal(kase->tasks[0].ask.kind, TG_ASK_NONE);
	assert_int_equal(kase->handle_due_us, due);
	assert_int_equal(act_task(kase, 0, "request_suspension",
				 "{\"until\":\"2026-11-20T01:00:00Z\",\"reason\":\"r\"}"),
		TG_ACT_INVALID);
	assert_int_equal(act_task(kase, 0, "request_suspension",
				 "{\"until\":\"2028-11-20T01:00:00Z\",\"reason\":\"r\"}"),
		TG_ACT_INVALID);
	tg_case_free(kase);
}

static void what_will_not_do_as_the_other_case_is_said(void **state)
{
	const struct tg_other good = other;
	struct tg_case *kase = in_state(TG_CASE_handling);

	(void)state;
	strcpy(kase->id, "01890000-0000-7000-8000-000000000002");
	other.id[0] = '\0';
	assert_int_equal(act(kase, TG_ROLE_OPERATOR, "merge", merge_body), TG_ACT_INVALID);
	other = good;
	other.state = TG_CASE_closed;
	assert_int_equal(act(kase, TG_ROLE_OPERATOR, "merge", merge_body), TG_ACT_INVALID);
	other = good;
	other.type_code = "01001";
	assert_int_equal(act(kase, TG_ROLE_OPERATOR, "merge", merge_body), TG_ACT_INVALID);
	other = good;
	other.lat += 0.0046; /* 511 m */
	assert_int_equal(act(kase, TG_ROLE_OPERATOR, "merge", merge_body), TG_ACT_INVALID);
	other = good;
	assert_int_equal(act(kase, TG_ROLE_OPERATOR, "merge", "{}"), TG_ACT_INVALID);
	assert_int_equal(act(kase, TG_ROLE_OPERATOR, "merge",
				 "{\"into\":\"01890000-0000-7000-8000-000000000002\"}"),
		TG_ACT_INVALID);
	other.lat += 0.0044; /* 489 m */
	other.type_code = "09002";
	DONE(act(kase, TG_ROLE_OPERATOR, "merge", merge_body));
	assert_string_equal(kase->merged_into, OTHER);
	assert_string_equal(kase->beside, OTHER);
	check_invariants(kase);
	other = good;
	tg_case_free(kase);
}

static void a_case_taken_out_of_another_begins_anew(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_review);

	(void)state;
	DONE(act(kase, TG_ROLE_OPERATOR, "merge", merge_body));
	assert_int_equal(kase->tasks[0].state, TG_TASK_done);
	kase->master_state = TG_CASE_closed;
	kase->master_closed_us = now - 7 * TG_US_PER_DAY;
	assert_int_equal(act(kase, TG_ROLE_SHIFT_LEAD, "unmerge", "{}"), TG_ACT_NOT_ALLOWED);
	kase->master_closed_us++;
	DONE(act(kase, TG_ROLE_SHIFT_LEAD, "unmerge", "{}"));
	assert_int_equal(kase->due_us, now + 15 * TG_US_PER_MIN);
	assert_int_equal(kase->closed_us, TG_NO_TIME);
	assert_string_equal(kase->merged_into, "");
	DONE(act(kase, TG_ROLE_OPERATOR, "accept", "{}"));
	DONE(act(kase, TG_ROLE_OPERATOR, "file", "{\"condition\":1}"));
	DONE(act(kase, TG_ROLE_OPERATOR, "dispatch", dispatch_body));
	assert_int_equal(kase->tasks_count, 2);
	assert_int_equal(clock_of(kase, TG_CLOCK_handle, 1)->started_us, now);
	DONE(act_task(kase, 1, "sign", "{}"));
	tg_case_free(kase);
}

static void a_reminder_wants_an_answer(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_new);
	const struct tg_clock *k;

	(void)state;
	DONE(act(kase, TG_ROLE_OPERATOR, "remind", "{}"));
	for (size_t i = 0; i < kase->clocks_count; i++) /* nobody leads it yet */
		assert_int_not_equal(kase->clocks[i].kind, TG_CLOCK_reply);
	tg_case_free(kase);
	kase = in_state(TG_CASE_handling);
	DONE(act(kase, TG_ROLE_OPERATOR, "remind", "{}"));
	k = clock_of(kase, TG_CLOCK_reply, 0);
	assert_int_equal(k->due_us, now + 2 * TG_US_PER_H);
	now += TG_US_PER_H;
	DONE(act(kase, TG_ROLE_SUPERVISOR, "supervise", "{}"));
	assert_int_equal(k->state, TG_CLOCK_STOPPED);
	k = clock_of(kase, TG_CLOCK_reply, 0);
	assert_int_equal(k->due_us, now + 2 * TG_US_PER_H);
	DONE(as_role(kase, TG_ROLE_OPERATOR, 0, "comment", "{\"note\":\"and?\"}"));
	assert_int_equal(k->state, TG_CLOCK_RUNNING);
	DONE(act_task(kase, 0, "comment", "{\"note\":\"on our way\"}"));
	assert_int_equal(k->state, TG_CLOCK_STOPPED);
	now = MONDAY_9;
	tg_case_free(kase);
}

static void only_some_types_are_disposed_of_on_the_spot(void **state)
{
	struct tg_case *kase = reported("01001");

	(void)state;
	assert_int_equal(act(kase, TG_ROLE_INSPECTOR, "self_dispose", "{\"result\":\"r\"}"),
		TG_ACT_NOT_ALLOWED);
	tg_case_free(kase);
	kase = reported("09001");
	DONE(act(kase, TG_ROLE_INSPECTOR, "self_dispose", "{\"result\":\"r\"}"));
	assert_int_equal(kase->state, TG_CASE_closed);
	assert_int_equal(kase->done_us, now);
	check_invariants(kase);
	tg_case_free(kase);
}

static void an_appeal_is_made_once_and_only_of_a_missed_limit(void **state)
{
	for (int late = 0; late < 2; late++) {
		struct tg_case *kase = in_state(TG_CASE_handling);

		(void)state;
		now += late ? 48 * TG_US_PER_H : TG_US_PER_H;
		DONE(act_task(kase, 0, "complete", "{\"result\":\"r\"}"));
		assert_int_equal(
			act_task(kase, 0, "appeal", "{\"reason\":\"r\"}"), TG_ACT_NOT_ALLOWED);
		DONE(act(kase, TG_ROLE_OPERATOR, "send_check", "{}"));
		DONE(act(kase, TG_ROLE_INSPECTOR, "check_pass", "{}"));
		DONE(act(kase, TG_ROLE_OPERATOR, "close", "{}"));
		assert_int_equal(act_task(kase, 0, "appeal", "{\"reason\":\"r\"}"),
			late ? TG_ACT_DONE : TG_ACT_NOT_ALLOWED);
		assert_int_equal(
			act_task(kase, 0, "appeal", "{\"reason\":\"r\"}"), TG_ACT_NOT_ALLOWED);
		assert_int_equal(kase->overdue, late);
		now = MONDAY_9;
		tg_case_free(kase);
	}
}

static void a_task_goes_down_the_tree_and_its_clock_runs_on(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);
	struct tg_actor above = actor(TG_ROLE_DEPARTMENT);
	int64_t due = kase->handle_due_us;

	(void)state;
	assert_int_equal(act_task(kase, 0, "forward", "{\"unit\":\"CGJ\"}"), TG_ACT_INVALID);
	assert_int_equal(act_task(kase, 0, "forward", "{\"unit\":\"XXX\"}"), TG_ACT_INVALID);
	assert_int_equal(act_task(kase, 0, "forward", "{\"unit\":\"JGW\"}"), TG_ACT_INVALID);
	DONE(act_task(kase, 0, "forward", "{\"unit\":\"JGW1\"}"));
	assert_string_equal(kase->tasks[0].department, "JGW1");
	assert_int_equal(kase->handle_due_us, due);
	/* it sees the case still, but the task is another's */
	assert_true(tg_life_visible(kase, &above));
	assert_int_equal(
		act_as(kase, &above, 0, "complete", "{\"result\":\"r\"}").status, TG_ACT_NOT_FOUND);
	DONE(act_task(kase, 0, "complete", "{\"result\":\"r\"}"));
	tg_case_free(kase);
}

static void who_has_returned_it_does_not_get_it_anew(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_handling);

	(void)state;
	DONE(act_task(kase, 0, "return", "{\"reason\":\"not ours\"}"));
	assert_int_equal(act(kase, TG_ROLE_OPERATOR, "dispatch", dispatch_body), TG_ACT_INVALID);
	DONE(act(kase, TG_ROLE_OPERATOR, "dispatch",
		"{\"tasks\":[{\"department\":\"CGJ\",\"role\":\"lead\"}]}"));
	DONE(act_task(kase, 1, "return", "{\"reason\":\"nor ours\"}"));
	/* the second time one person rules, whichever way */
	assert_int_equal(act(kase, TG_ROLE_OPERATOR, "dispatch", dispatch_body), TG_ACT_FORBIDDEN);
	DONE(act(kase, TG_ROLE_SHIFT_LEAD, "dispatch", dispatch_body));
	assert_int_equal(act_task(kase, 2, "return", "{\"reason\":\"r\"}"), TG_ACT_NOT_ALLOWED);
	tg_case_free(kase);
}

static void unknown_members_are_refused(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_new);

	(void)state;
	assert_int_equal(
		act(kase, TG_ROLE_OPERATOR, "accept", "{\"condition\":1}"), TG_ACT_INVALID);
	assert_int_equal(
		act(kase, TG_ROLE_OPERATOR, "accept", "{\"typecode\":\"09001\"}"), TG_ACT_INVALID);
	DONE(act(kase, TG_ROLE_OPERATOR, "accept",
		"{\"action\":\"accept\",\"version\":1,\"note\":\"n\",\"type_code\":\"09001\"}"));
	tg_case_free(kase);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_extension_adds_to_the_deadline_there_is),
		cmocka_unit_test(
			an_extension_comes_before_the_breach_and_is_no_longer_than_the_limit),
		cmocka_unit_test(an_assisting_task_is_extended_to_the_leads_end_at_most),
		cmocka_unit_test(a_suspension_over_a_weekend_costs_no_working_time),
		cmocka_unit_test(a_suspended_task_waits),
		cmocka_unit_test(the_lead_alone_suspends_the_case),
		cmocka_unit_test(a_request_may_be_denied),
		cmocka_unit_test(what_will_not_do_as_the_other_case_is_said),
		cmocka_unit_test(a_case_taken_out_of_another_begins_anew),
		cmocka_unit_test(a_reminder_wants_an_answer),
		cmocka_unit_test(only_some_types_are_disposed_of_on_the_spot),
		cmocka_unit_test(an_appeal_is_made_once_and_only_of_a_missed_limit),
		cmocka_unit_test(a_task_goes_down_the_tree_and_its_clock_runs_on),
		cmocka_unit_test(who_has_returned_it_does_not_get_it_anew),
		cmocka_unit_test(unknown_members_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
