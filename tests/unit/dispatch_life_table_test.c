/* Every action × every state × every role against a table written here from the specification, and
 * random walks through all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dispatch_life.h"

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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_two_tables_name_the_same_actions),
		cmocka_unit_test(every_action_in_every_state_by_every_role),
		cmocka_unit_test(random_walks_keep_every_invariant),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
