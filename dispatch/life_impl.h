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
	LIFE_RESUME, /* of a paused clock, or of a stopped one whose work has come back */
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
	uint32_t targets; /* tasks whose sign and handle clocks the verbs mean */
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

/* life_clock.c */
void life_clock_apply(struct life_step *step, struct life_clock_verb verb);
/* Stops what runs or waits for a task that is over. */
void life_stop_task(struct life_step *step, size_t task);
/* due_at and the like, after everything else. */
void life_derive(struct tg_case *kase);
int life_find_clock(
	const struct tg_case *kase, enum tg_clock_kind kind, int task, bool stopped_too);

/* life_form.c and life_effect.c */
/* clang-format off */
#define LIFE_FORMS(X)                                                                              \
	X(none) X(note) X(reason) X(accept) X(edit) X(inspector) X(result) X(file) X(dispatch)     \
	X(add_assist) X(waive) X(check) X(comment) X(return_reason) X(report)
#define LIFE_EFFECTS(X)                                                                            \
	X(none) X(accept) X(edit) X(end) X(file) X(dispatch) X(uphold) X(add_assist) X(waive)      \
	X(rework) X(close) X(supervise) X(sign) X(give_back) X(complete) X(report)
#define LIFE_GUARDS(X)                                                                             \
	X(none) X(uphold) X(waive) X(tasks_closed) X(supervise) X(return_in_time) X(assists_done)
/* clang-format on */
#define X(name) void life_form_##name(struct life_step *step);
LIFE_FORMS(X)
#undef X
#define X(name) void life_effect_##name(struct life_step *step);
LIFE_EFFECTS(X)
#undef X
#define X(name)                                                                                 \
	const char *life_guard_##name(const struct tg_case *kase, const struct life_edge *edge, \
		const struct tg_city *city, const struct tg_actor *actor, int64_t now_us,       \
		int task, bool *ret_role);
LIFE_GUARDS(X)
#undef X

#endif
