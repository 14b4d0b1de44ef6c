/* The life of a case: every action × every state × every role against a table written here from the
 * specification, and the stories that need more than one step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static struct tg_actor actor(enum tg_role role)
{
	struct tg_actor a = {.role = role};

	snprintf(a.name, sizeof(a.name), "%s", tg_role_name(role));
	if (role == TG_ROLE_DEPARTMENT)
		strcpy(a.department, "JGW");
	return a;
}

static struct tg_refusal act_as(struct tg_case *kase, const struct tg_actor *who, int task,
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

static enum tg_act_status act(
	struct tg_case *kase, enum tg_role role, const char *action, const char *body)
{
	struct tg_actor who = actor(role);

	return act_as(kase, &who, -1, action, body).status;
}

static enum tg_act_status act_task(
	struct tg_case *kase, int task, const char *action, const char *body)
{
	struct tg_actor who = actor(TG_ROLE_DEPARTMENT);

	strcpy(who.department, kase->tasks[task].department);
	return act_as(kase, &who, task, action, body).status;
}

#define DONE(x) assert_int_equal((x), TG_ACT_DONE)

static struct tg_case *reported(const char *type)
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
static struct tg_case *in_state(enum tg_case_state state)
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

/* --- the table --- */

#define O    "operator "
#define L    "shift_lead "
#define D    "department "
#define I    "inspector "
#define S    "supervisor "
#define A    "leader "
#define Y    "system "
#define OPEN "new verifying to_file to_dispatch assigned handling review checking to_close "
#define ALL  OPEN "closed refused not_filed void merged "

static const struct expected {
	const char *action, *roles, *from, *to, *body;
	bool on_task;
} table[] = {
	{"accept", O L Y, "new ", "to_file", "{}", false},
	{"edit", O L, "new verifying to_file ", "=", "{\"title\":\"x\"}", false},
	{"refuse", O L, "new ", "refused", "{\"reason\":\"r\"}", false},
	{"send_verify", O L, "new ", "verifying", "{}", false},
	{"verify_result", I O L, "verifying ", "new", "{\"result\":\"true\"}", false},
	{"file", O L Y, "to_file ", "to_dispatch", "{\"condition\":1}", false},
	{"not_file", L, "to_file ", "not_filed", "{\"reason\":\"r\"}", false},
	{"dispatch", O L Y, "to_dispatch ", "assigned", dispatch_body, false},
	{"add_assist", O L, "assigned handling ", "=", "{\"department\":\"GAF\"}", false},
	{"rework", O L, "review ", "handling", "{\"reason\":\"r\"}", false},
	{"send_check", O L Y, "review ", "checking", "{}", false},
	{"check_fail", I O L, "checking ", "handling", "{}", false},
	{"check_pass", I O L, "checking ", "to_close", "{}", false},
	{"close", O L Y, "to_close ", "closed", "{}", false},
	{"void", L, OPEN, "void", "{\"note\":\"n\"}", false},
	{"remind", O L S Y, OPEN, "=", "{}", false},
	{"supervise", S Y, OPEN, "=", "{}", false},
	{"comment", O L D I S A, ALL, "=", "{\"note\":\"n\"}", false},
	/* nobody has returned it */
	{"uphold", O L, "", "=", "{\"reason\":\"r\"}", false},
	{"waive_assist", O L, "", "=", "{\"department\":\"GAF\",\"reason\":\"r\"}", false},
	{"merge", O L Y, OPEN, "merged", merge_body, false},
	{"unmerge", L, "merged ", "new", "{}", false},
	{"self_dispose", I O L, "new ", "closed", "{\"result\":\"taken down\"}", false},
	/* later versions */
	{"enter_emergency", L A Y, "", "=", "{}", false},
	{"leave_emergency", L A Y, "", "=", "{}", false},
	{"transfer", O L, "", "=", "{}", false},
	{"sign", D, "assigned ", "handling", "{}", true},
	{"return", D, "assigned handling ", "to_dispatch", "{\"reason\":\"not ours\"}", true},
	{"complete", D, "handling ", "review", "{\"result\":\"done\"}", true},
	{"comment", O L D I S A, "assigned handling review checking to_close closed ", "=",
		"{\"note\":\"n\"}", true},
	{"forward", D, "handling ", "=", "{\"unit\":\"JGW1\"}", true},
	{"request_extension", D, "assigned handling ", "=", "{\"by\":\"2wh\",\"reason\":\"r\"}",
		true},
	{"request_suspension", D, "assigned handling ", "=",
		"{\"until\":\"2026-11-27T01:00:00Z\",\"reason\":\"r\"}", true},
	/* nobody has asked, nothing is suspended, no limit was missed */
	{"grant_extension", L A, "", "=", "{}", true},
	{"deny_extension", L A, "", "=", "{\"reason\":\"r\"}", true},
	{"grant_suspension", A, "", "=", "{}", true},
	{"deny_suspension", A, "", "=", "{\"reason\":\"r\"}", true},
	{"resume", O L Y, "", "=", "{}", true},
	{"appeal", D, "", "=", "{\"reason\":\"r\"}", true},
};
#define ROWS (sizeof(table) / sizeof(table[0]))

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ' ') && p[n] == ' ')
			return true;
	return false;
}

struct search {
	const char *action;
	bool found;
};

static void on_allowed(void *ctx, const char *action)
{
	struct search *s = ctx;

	s->found |= !strcmp(s->action, action);
}

static void check_one(const struct expected *row, enum tg_case_state state, enum tg_role role)
{
	struct tg_case *kase = in_state(state);
	struct tg_actor who = actor(role);
	int task = row->on_task ? 0 : -1;
	struct search s = {.action = row->action};
	bool may = has_word(row->roles, tg_role_name(role)),
	     now_ok = has_word(row->from, tg_case_state_name((int)state));
	enum tg_act_status want = !may     ? TG_ACT_FORBIDDEN
				  : now_ok ? TG_ACT_DONE
					   : TG_ACT_NOT_ALLOWED,
			   got;
	int64_t version = kase->version;
	struct tg_refusal refusal;

	if (row->on_task && !kase->tasks_count) {
		tg_case_free(kase);
		return;
	}
	/* the body of waive cannot be right while there is nothing to waive */
	if (may && !strcmp(row->action, "waive_assist"))
		want = TG_ACT_INVALID;
	tg_life_allowed(kase, city, &who, now, task, on_allowed, &s);
	refusal = act_as(kase, &who, task, row->action, row->body);
	got = refusal.status;
	if (got != want)
		fail_msg("%s by %s in %s: got %d wanted %d (%s)", row->action, tg_role_name(role),
			tg_case_state_name((int)state), got, want,
			refusal.detail ? refusal.detail : "");
	if (s.found != (want == TG_ACT_DONE))
		fail_msg("%s by %s in %s: allowed says %d", row->action, tg_role_name(role),
			tg_case_state_name((int)state), s.found);
	if (want == TG_ACT_DONE) {
		const char *to = !strcmp(row->to, "=") ? tg_case_state_name((int)state) : row->to;

		assert_string_equal(tg_case_state_name((int)kase->state), to);
		assert_int_equal(kase->version, version + (strcmp(row->action, "comment") != 0));
	} else {
		assert_int_equal(kase->version, version);
		assert_int_equal(kase->state, state);
	}
	tg_case_free(kase);
}

static void every_action_in_every_state_by_every_role(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t r = 0; r < ROWS; r++)
		for (int s = 0; s < TG_CASE_STATE_COUNT; s++)
			for (int role = 0; role < TG_ROLE_COUNT; role++, n++)
				check_one(&table[r], (enum tg_case_state)s, (enum tg_role)role);
	print_message("%zu combinations\n", n);
}

static void the_two_tables_name_the_same_actions(void **state)
{
	(void)state;
	assert_int_equal(tg_life_edges(), ROWS);
	for (size_t i = 0; i < tg_life_edges(); i++) {
		struct tg_edge_info e = tg_life_edge(i);
		bool found = false;

		for (size_t r = 0; r < ROWS; r++)
			found |=
				table[r].on_task == e.on_task && !strcmp(table[r].action, e.action);
		assert_true(found);
	}
}

/* --- invariants after any walk --- */

static void check_invariants(const struct tg_case *kase)
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

static void on_choice(void *ctx, const char *action)
{
	struct choices *c = ctx;

	/* a rare end, so that walks get somewhere */
	if (!strcmp(action, "void") || !strcmp(action, "refuse") || !strcmp(action, "not_file") ||
		!strcmp(action, "comment") || !strcmp(action, "self_dispose") ||
		(!strcmp(action, "merge") && rand() % 20))
		return;
	c->list[c->n] = action;
	c->roles[c->n] = c->role;
	c->task[c->n++] = c->at;
}

static const char *body_for(const char *action, char out[200])
{
	static const struct {
		const char *action, *body;
	} own[] = {
		{"dispatch", "{\"tasks\":[{\"department\":\"JGW\",\"role\":\"lead\"},{"
			     "\"department\":\"CGJ\",\"role\":\"assist\"}]}"},
		{"waive_assist", "{\"department\":\"GAF\",\"reason\":\"r\"}"},
		{"add_assist", "{\"department\":\"GAF\"}"},
		{"grant_suspension", "{}"},
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (!strcmp(own[i].action, action))
			return own[i].body;
	if (!strcmp(action, "request_suspension")) {
		char until[TG_RFC3339_MAX];

		tg_rfc3339_utc(now + (int64_t)(1 + rand() % 100) * TG_US_PER_H, until);
		snprintf(out, 200, "{\"until\":\"%s\",\"reason\":\"r\"}", until);
		return out;
	}
	for (size_t r = 0; r < ROWS; r++)
		if (!strcmp(table[r].action, action))
			return table[r].body;
	fail_msg("no body for %s", action);
	return NULL;
}

static void random_walks_keep_every_invariant(void **state)
{
	const char *given = getenv("TG_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)tg_now_us();
	static const enum tg_role people[] = {
		TG_ROLE_SHIFT_LEAD, TG_ROLE_DEPARTMENT, TG_ROLE_LEADER};
	size_t steps = 0, closed = 0;

	(void)state;
	print_message("seed %u (TG_TEST_SEED)\n", seed);
	srand(seed);
	for (int walk = 0; walk < 400; walk++) {
		struct tg_case *kase = reported(walk % 2 ? "01001" : "09001");
		int64_t began = now;

		for (int step = 0; step < 60 && !tg_case_state_is_terminal(kase->state); step++) {
			struct choices c = {.at = -1};
			char body[200];
			struct tg_actor who;
			size_t pick;

			for (int task = -1; task < (int)kase->tasks_count; task++) {
				for (size_t r = 0; r < sizeof(people) / sizeof(people[0]); r++) {
					who = actor(people[r]);
					if (task >= 0 && people[r] == TG_ROLE_DEPARTMENT)
						strcpy(who.department,
							kase->tasks[task].department);
					c.at = task;
					c.role = people[r];
					tg_life_allowed(kase, city, &who, now, task, on_choice, &c);
				}
			}
			if (!c.n || kase->tasks_count > 20 || kase->clocks_count > 40 ||
				kase->rework_count > 10)
				break;
			pick = (size_t)rand() % c.n;
			who = actor(c.roles[pick]);
			if (c.task[pick] >= 0 && who.role == TG_ROLE_DEPARTMENT)
				strcpy(who.department, kase->tasks[c.task[pick]].department);
			now += (int64_t)(rand() % 7200) * TG_US_PER_S;
			/* what was allowed a while ago may be refused now: that is a refusal, never
			 * a half change */
			act_as(kase, &who, c.task[pick], c.list[pick],
				body_for(c.list[pick], body));
			check_invariants(kase);
			steps++;
		}
		closed += kase->state == TG_CASE_closed;
		tg_case_free(kase);
		now = began;
	}
	print_message("%zu steps, %zu closed\n", steps, closed);
	assert_true(closed > 10);
}

/* --- stories --- */

static const struct tg_clock *clock_of(
	const struct tg_case *kase, enum tg_clock_kind kind, int task)
{
	const struct tg_clock *found = NULL;

	for (size_t i = 0; i < kase->clocks_count; i++)
		if (kase->clocks[i].kind == kind && kase->clocks[i].task == task)
			found = &kase->clocks[i];
	assert_non_null(found);
	return found;
}

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

static void the_ladder_follows_the_working_clock(void **state)
{
	struct tg_case *kase = in_state(TG_CASE_assigned);
	json_t *change = tg_store_change(kase, city, now), *clock, *level;
	size_t i, j, seen = 0;
	/* half, four fifths and all of eight hours from Monday 09:00; then a day of the department
	 */
	static const int64_t hours[] = {6, 8, 24, 48};

	(void)state;
	assert_non_null(change);
	json_array_foreach (json_object_get(change, "clocks"), i, clock) {
		json_array_foreach (json_object_get(clock, "levels"), j, level) {
			int64_t at, want = MONDAY_9 + hours[j] * TG_US_PER_H;

			/* four fifths: 6.4 h: 12:00, 14:00 … 17:24 */
			if (j == 1)
				want = MONDAY_9 + 8 * TG_US_PER_H + 24 * TG_US_PER_MIN;
			assert_int_equal(
				tg_rfc3339_parse(tg_slice_cstr(json_string_value(
							 json_object_get(level, "fire_at"))),
					&at),
				0);
			assert_int_equal(at, want);
			assert_int_equal(json_integer_value(json_object_get(level, "level")), j);
			seen++;
		}
	}
	assert_int_equal(seen, 4);
	json_decref(change);
	tg_case_free(kase);
}

#include "tests/unit/dispatch_life_asks.h"

static int setup(void **state)
{
	(void)state;
	now = MONDAY_9;
	other = (struct tg_other){OTHER, "no", TG_CASE_new, "09001", true, 121.4, 31.2};
	city = test_city();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tg_city_free(city);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_two_tables_name_the_same_actions),
		cmocka_unit_test(every_action_in_every_state_by_every_role),
		cmocka_unit_test(random_walks_keep_every_invariant),
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
		cmocka_unit_test(the_ladder_follows_the_working_clock),
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
