/* What the life_*.c files share. Not for anybody else. */
#ifndef TG_DISPATCH_LIFE_IMPL_H
#define TG_DISPATCH_LIFE_IMPL_H

#include "dispatch/life.h"

enum life_verb {
	LIFE_VERB_END, /* the table's rows end with it */
	LIFE_START,
	LIFE_START_LEAD, /* only when the lead's task is in hand */
	LIFE_STOP,
	LIFE_PAUSE,
	LIFE_RESUME,  /* of a paused clock, or of a stopped one whose work has come back */
	LIFE_UNPAUSE, /* of a paused clock only */
	LIFE_STOP_ALL,
};

struct life_clock_verb {
	enum life_verb verb;
	enum tg_clock_kind kind;
};
#define LIFE_VERBS_MAX 4

struct life_step;
struct life_edge;

/* May this happen now? NULL: yes; else why not. *ret_role: it is the role that stands in the way.
 */
typedef const char *(*life_guard)(const struct tg_case *kase, const struct life_edge *edge,
	const struct tg_city *city, const struct tg_actor *actor, int64_t now_us, int task,
	bool *ret_role);
/* Checks the body: life_wrong() for each bad field. */
typedef void (*life_form)(struct life_step *step);
/* Changes the snapshot beyond states and clocks. */
typedef void (*life_effect)(struct life_step *step);

struct life_edge {
	const char *action, *transition;
	bool on_task, implemented;
	uint32_t roles, from, task_from;
	int to, task_to; /* -1: stays */
	life_guard guard;
	life_form form;
	life_effect effect;
	struct life_clock_verb clocks[LIFE_VERBS_MAX + 1];
};

struct life_step {
	struct tg_case *kase;
	const struct tg_life_in *in;
	const struct life_edge *edge;
	json_t *errors; /* array */
	json_t *detail; /* object, for the log */
	const char *note;
	uint32_t targets; /* tasks whose clocks the verbs mean */
	int64_t clock_us; /* the instant the verbs mean: now, or when it should have been */
	bool failed;      /* memory or a named limit */
};

void life_wrong(struct life_step *step, const char *field, const char *detail);
/* A copy that lives as long as the case. */
const char *life_keep(struct life_step *step, const char *text);
void life_detail_str(struct life_step *step, const char *key, const char *text);
/* The lead's task of the running round, or -1. */
int life_lead(const struct tg_case *kase);
/* New entry; NULL when the named limit is reached. */
struct tg_task *life_add_task(struct life_step *step, const char *department, bool lead);

bool life_is_open(const struct tg_task *task);
/* Nothing is asked for and nothing suspended any more: the task is over, or comes back. */
void life_settle(struct tg_task *task);
void life_cancel(struct tg_task *task);
/* A text of the body; NULL when absent or empty. */
const char *life_body_text(const struct life_step *step, const char *key);

/* life_clock.c */
void life_clock_apply(struct life_step *step, struct life_clock_verb verb);
/* Stops what runs or waits for a task that is over. */
void life_stop_task(struct life_step *step, size_t task);
/* Notes for the log where every clock of a task that has changed stands now. */
void life_say_clocks(struct life_step *step);
/* A department has said something: the clock of a reminder has its answer. */
void life_answered(struct life_step *step);
/* due_at and the like, after everything else. */
void life_derive(struct tg_case *kase);
int life_find_clock(
	const struct tg_case *kase, enum tg_clock_kind kind, int task, bool stopped_too);

/* life_form.c and life_effect.c */
/* clang-format off */
#define LIFE_FORMS(X)                                                                              \
	X(none) X(note) X(reason) X(accept) X(edit) X(inspector) X(result) X(file) X(dispatch)     \
	X(add_assist) X(waive) X(check) X(comment) X(return_reason) X(report) X(merge) X(forward)  \
	X(ask_extension) X(grant_extension) X(ask_suspension) X(grant_suspension)
#define LIFE_EFFECTS(X)                                                                            \
	X(none) X(accept) X(edit) X(end) X(file) X(dispatch) X(uphold) X(add_assist) X(waive)      \
	X(rework) X(close) X(remind) X(supervise) X(sign) X(give_back) X(complete) X(report)       \
	X(merge) X(unmerge) X(self_dispose) X(forward) X(ask_extension) X(extend) X(deny)          \
	X(ask_suspension) X(suspend) X(resume) X(appeal)
#define LIFE_GUARDS(X)                                                                             \
	X(none) X(dispatch) X(uphold) X(waive) X(tasks_closed) X(supervise) X(return_in_time)      \
	X(assists_done) X(unmerge) X(self_dispose) X(ask_extension) X(asked_extension)             \
	X(grant_extension) X(ask_suspension) X(asked_suspension) X(suspended) X(appeal)
/* clang-format on */
#define X(name) void life_form_##name(struct life_step *step);
LIFE_FORMS(X)
#undef X
#define X(name) void life_effect_##name(struct life_step *step);
LIFE_EFFECTS(X)
#undef X
#define LIFE_GUARD(name)                                                                        \
	const char *life_guard_##name(const struct tg_case *kase, const struct life_edge *edge, \
		const struct tg_city *city, const struct tg_actor *actor, int64_t now_us,       \
		int task, bool *ret_role)
#define X(name) LIFE_GUARD(name);
LIFE_GUARDS(X)
#undef X
/* First line of a guard that needs few of them. */
#define LIFE_GUARD_UNUSED \
	((void)edge, (void)city, (void)actor, (void)now_us, (void)task, (void)ret_role)

#endif
