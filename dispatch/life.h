/* The life of a case and its tasks: every edge as a row of life_table.inc, and one transition
 * function over them. Pure: no clock, no database, no memory but the arena of the case it is given.
 *
 * tg_life_decide() changes the snapshot in place when it accepts (and marks what has to be stored);
 * a refusal leaves it untouched, but for one: a case that has reached a named limit is refused
 * after the attempt and must be thrown away. Several decisions on one snapshot may be stored
 * together. */
#ifndef TG_DISPATCH_LIFE_H
#define TG_DISPATCH_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "dispatch/act.h"
#include "dispatch/city.h"
#include "dispatch/worktime.h"

#define TG_NO_TIME INT64_MIN

/* X(name) – names on the wire, in the order of the life. */
/* clang-format off */
#define TG_CASE_STATES(X)                                                                          \
	X(new) X(verifying) X(to_file) X(to_dispatch) X(assigned) X(handling) X(review)            \
	X(checking) X(to_close) X(closed) X(refused) X(not_filed) X(void) X(merged)
#define TG_TASK_STATES(X) X(assigned) X(signed) X(done) X(returned) X(waived) X(cancelled)
#define TG_CLOCK_KINDS(X)                                                                          \
	X(accept) X(verify) X(file) X(dispatch) X(sign) X(handle) X(check) X(close) X(total)       \
	X(reply)
/* clang-format on */

enum tg_case_state {
#define TG_X(name) TG_CASE_##name,
	TG_CASE_STATES(TG_X)
#undef TG_X
		TG_CASE_STATE_COUNT
};
enum tg_task_state {
#define TG_X(name) TG_TASK_##name,
	TG_TASK_STATES(TG_X)
#undef TG_X
		TG_TASK_STATE_COUNT
};
enum tg_clock_kind {
#define TG_X(name) TG_CLOCK_##name,
	TG_CLOCK_KINDS(TG_X)
#undef TG_X
		TG_CLOCK_KIND_COUNT
};
enum tg_clock_state { TG_CLOCK_RUNNING, TG_CLOCK_PAUSED, TG_CLOCK_STOPPED };

const char *tg_case_state_name(int state);
const char *tg_task_state_name(int state);
const char *tg_clock_kind_name(int kind);
bool tg_case_state_parse(struct tg_slice name, enum tg_case_state *ret);
bool tg_task_state_parse(struct tg_slice name, enum tg_task_state *ret);
bool tg_case_state_is_terminal(enum tg_case_state state);

#define TG_CASE_TASKS_MAX       32
#define TG_CASE_CLOCKS_MAX      48
#define TG_CLOCK_PAUSES_MAX     16
#define TG_CLOCK_EXTENSIONS_MAX 4
#define TG_CASE_LOG_MAX         8

struct tg_clock {
	int64_t id; /* 0: not stored yet */
	int task;   /* index into tasks; -1: the case's own */
	enum tg_clock_kind kind;
	enum tg_clock_state state;
	char limit[24];
	enum tg_unit unit;
	int64_t amount_us; /* extensions not included */
	char calendar[64]; /* "": continuous */
	int64_t started_us, due_us, stopped_us;
	int64_t remaining_us; /* paused or stopped: what was left, negative when late */
	struct tg_span pauses[TG_CLOCK_PAUSES_MAX];
	size_t pauses_count;
	struct tg_extension extensions[TG_CLOCK_EXTENSIONS_MAX];
	size_t extensions_count;
	bool changed;
};

/* What a department has asked for and nobody has decided yet. */
enum tg_ask_kind { TG_ASK_NONE, TG_ASK_EXTENSION, TG_ASK_SUSPENSION };
struct tg_ask {
	enum tg_ask_kind kind;
	char by[24];      /* of an extension */
	int64_t until_us; /* of a suspension */
	const char *reason, *actor;
	int64_t at_us;
};

struct tg_task {
	char id[40]; /* "" until stored */
	char department[32];
	bool lead;
	enum tg_task_state state;
	int64_t version;
	int64_t assigned_us, signed_us, due_us, done_us;
	int64_t round; /* which dispatch made it, from 1 */
	const char *result;
	struct tg_ask ask;
	int64_t extensions; /* granted */
	bool suspended;
	int64_t suspended_until_us;
	int64_t appealed_us;
	bool changed;
};

/* What an accepted decision writes into the log. */
struct tg_entry {
	int task; /* index or -1 */
	const char *action;
	const char *actor, *actor_role;
	int from_state, to_state; /* of the case; -1: none (the case begins) */
	int task_from, task_to;   /* -1: no task */
	int64_t case_version, task_version;
	const char *note; /* free words; NULL */
	json_t *detail;   /* structured; NULL. Owned by the case */
};

struct tg_case {
	char id[40]; /* "" until stored */
	char incident_id[40];
	const char *origin; /* "manual", "incident" */
	enum tg_case_state state;
	int64_t version;
	const char *domain, *type_code, *title, *text; /* NULL when unknown */
	const char *contact;                           /* of a case to be made; never read back */
	int64_t condition;                             /* 0: not filed yet */
	const char *handle_limit;                      /* frozen when filed */
	bool has_place;
	double lon, lat;
	const char *grid_cell, *street, *district;
	enum tg_urgency urgency;
	char merged_into[40]; /* "" unless merged */
	char recurs[40];      /* the case it repeats; "": none */
	/* The case at the end of that way, as it was when this one was read. */
	enum tg_case_state master_state;
	int64_t master_closed_us;
	/* Departments that had a task here before this decision. */
	const char *had[TG_CASE_TASKS_MAX * 2];
	size_t had_count;
	bool suspended, emergency;
	int64_t supervise_level, escalation_level; /* escalation -1: none yet */
	int64_t rework_count, return_count, extension_count, round;
	int64_t reported_us, filed_us, dispatched_us, done_us, closed_us;
	int64_t due_us, handle_due_us;
	int due_clock; /* index into clocks of what the case waits on; -1 */
	bool overdue;
	struct tg_task tasks[TG_CASE_TASKS_MAX];
	size_t tasks_count;
	struct tg_clock clocks[TG_CASE_CLOCKS_MAX]; /* live ones and the handling clocks */
	size_t clocks_count;
	struct tg_entry log[TG_CASE_LOG_MAX];
	size_t log_count;
	/* An entry that the case named there gets in the same transaction; detail is owned. */
	char beside[40];
	size_t beside_entry; /* which entry of ours it goes with */
	json_t *beside_detail;
	struct tg_arena arena; /* every text above */
};

struct tg_case *tg_case_new(void);       /* NULL: out of memory */
void tg_case_free(struct tg_case *kase); /* NULL is fine */
/* What SQL's case_row_doc() says (as a tree). -TG_EPARSE, -TG_ENOMEM, -TG_EFULL. */
TG_MUST int tg_case_from_doc(const json_t *doc, struct tg_case **ret);

/* What the caller learnt from the city's map for a location in the body: NULL cell = outside. */
struct tg_place {
	const char *grid_cell, *street, *district;
};

/* The case that the body's `into` names, locked too; id "": there is none such. */
struct tg_other {
	char id[40];
	const char *case_no;
	enum tg_case_state state;
	const char *type_code; /* NULL: unknown */
	bool has_place;
	double lon, lat;
};

struct tg_life_in {
	const struct tg_city *city;
	const struct tg_actor *actor;
	int64_t now_us;
	struct tg_slice action;
	int task; /* index; -1: a case action */
	bool has_version, check_version;
	int64_t version;
	const json_t *body;
	struct tg_place place;
	struct tg_other other;
};

struct tg_refusal {
	enum tg_act_status status; /* TG_ACT_DONE: accepted */
	const char *detail;        /* one sentence, static */
	json_t *errors; /* TG_ACT_INVALID: array of {field, detail}; the caller's reference */
};

/* Checks in the contract's order: role, form, state, version. */
void tg_life_decide(struct tg_case *kase, const struct tg_life_in *in, struct tg_refusal *ret);
/* T01: fills an empty case from fields. */
void tg_life_report(struct tg_case *kase, const struct tg_life_in *in, struct tg_refusal *ret);

/* T01 by the system, for an incident; with auto_file goes on to `to_dispatch` where type, cell and
 * condition are known. now_us is the instant of all of it. False: out of memory. */
struct tg_incident_msg;
/* The case that was closed for the same; id "": none. */
struct tg_recurrence {
	char id[40];
	const char *case_no;
};
TG_MUST bool tg_life_open_incident(struct tg_case *kase, const struct tg_city *city,
	const struct tg_incident_msg *msg, const struct tg_place *place,
	const struct tg_recurrence *repeats, const char *trace, int64_t now_us);
/* Has what this case was closed for come again by what the incident says now? Then it needs another
 * case. */
bool tg_life_recurred(const struct tg_case *kase, const struct tg_incident_msg *msg);
/* What became of the incident of a case: an entry, and where its incident has joined another whose
 * case is open and nothing is dispatched yet, the merging of this case into that one. other: the
 * case of the incident it was merged into; NULL: none. *ret_beside: the two cases belong beside
 * each other. False: out of memory. */
TG_MUST bool tg_life_note_incident(struct tg_case *kase, const struct tg_city *city,
	const struct tg_incident_msg *msg, const struct tg_other *other, int64_t now_us,
	bool *ret_beside);

/* Calls each() for every action this actor may do now on the case (task -1) or on one of its tasks.
 */
void tg_life_allowed(const struct tg_case *kase, const struct tg_city *city,
	const struct tg_actor *actor, int64_t now_us, int task,
	void (*each)(void *ctx, const char *action), void *ctx);
/* May this actor read the case at all? A department sees the cases in which it has or had a task.
 */
bool tg_life_visible(const struct tg_case *kase, const struct tg_actor *actor);

/* The table itself, for tests and documents. */
struct tg_edge_info {
	const char *action, *transition;
	bool on_task, implemented;
	uint32_t roles;     /* 1 << enum tg_role */
	uint32_t from;      /* 1 << enum tg_case_state */
	uint32_t task_from; /* 1 << enum tg_task_state */
};
size_t tg_life_edges(void);
struct tg_edge_info tg_life_edge(size_t i);
/* Does any edge of that name let this role act? */
bool tg_life_role_may(struct tg_slice action, bool on_task, enum tg_role role);

#endif
