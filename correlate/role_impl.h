/* The parts of the running role: what it shares, and one partition's chain. Everything is on the
 * loop's thread. */
#ifndef TG_CORRELATE_ROLE_IMPL_H
#define TG_CORRELATE_ROLE_IMPL_H

#include <uv.h>

#include "base/conf.h"
#include "base/io/kafka.h"
#include "base/io/pg.h"
#include "base/io/service.h"
#include "correlate/city.h"
#include "correlate/engine.h"
#include "correlate/pack.h"
#include "correlate/store.h"
#include "correlate/watch.h"

#define TG_TOPIC_LOCATED   "tongguan.events.located"
#define TG_TOPIC_INCIDENTS "tongguan.incidents"

#define TG_BATCH_RECORDS_MAX 8192       /* of one partition */
#define TG_BATCH_US_MAX      20000      /* judging, before the loop turns again */
#define TG_QUEUED_MAX        40000      /* records read and not yet judged, in all */
#define TG_QUEUED_BYTES_MAX  (64 << 20) /* and their bytes */
#define TG_RESTORE_PAGE      16         /* segments */

struct tg_part;

struct tg_role {
	const struct tg_conf *conf;
	struct tg_service *svc;
	uv_loop_t *loop;
	struct tg_ruleset rules;
	struct tg_guard *guard;
	struct tg_registry *registry; /* NULL: not read yet */
	struct tg_window_budget budget;
	struct tg_engine_counts counts;
	struct tg_consumer *consumer;
	struct tg_producer *producer;
	struct tg_pg *pg;
	struct tg_store *store;
	struct tg_arena arena;  /* of one record at a time */
	struct tg_part **parts; /* of this assignment */
	size_t parts_len;
	size_t parts_alive; /* of any assignment: those not yet freed */
	size_t claiming;    /* of this assignment */
	uint64_t full_told; /* events not taken, as last logged */
	bool assigned, paused, stopping, rejoining;
	size_t queued, queued_bytes;
	uv_timer_t stop_limit;
	struct tg_city_watch city;
	uv_signal_t hangup;
	uint64_t packs_print; /* of the folder's files, as loaded */
	bool packs_whole;     /* none of them was refused */
	bool reloading;       /* no batch begins until other rules are in place */
	bool closing;
	int open; /* things that say when they are closed */
};

struct tg_message {
	char *id, *doc; /* in the part's arena */
	const char *trace;
	int state; /* enum tg_told */
};

enum tg_part_state { TG_PART_CLAIMING, TG_PART_IDLE, TG_PART_BUSY };

struct tg_part {
	struct tg_role *role;
	int32_t partition;
	enum tg_part_state state;
	bool dead;     /* revoked or fenced: callbacks only count down */
	unsigned refs; /* callbacks to come, and the timer */
	char epoch[TG_EPOCH_MAX];
	int64_t committed; /* as Redis has it */
	int64_t next;      /* first offset not yet judged */
	struct tg_engine *engine;
	struct tg_watch watch;
	bool asked_sources; /* for the record at the head of the queue */
	size_t restored;    /* segments read so far */

	int64_t recall_from_us, recall_until_us, recall_at_us;
	char recall_uid[40];
	struct tg_buf recall_types;

	struct tg_record **queue; /* a ring */
	size_t queue_head, queue_len, queue_cap;

	/* Incidents whose rule runs no more: as last asked for; told by the batch in flight. */
	struct tg_buf unruled, retire;
	bool look_back; /* other rules have come: what do they find? */
	void (*then)(struct tg_part *p);

	/* The batch in flight. */
	struct tg_findings found;
	struct tg_buf clears, batch, marks, segment;
	int64_t oldest_us; /* arrival of its oldest record */
	bool speaks;       /* it has rows to write */
	struct tg_arena arena;
	struct tg_message *messages;
	size_t messages_len, messages_sent, messages_pending;
	int64_t since_mono_us;
	uint64_t noted_ms; /* loop time the group was last told how far we are */

	/* Windows on their way back to Redis. */
	struct tg_buf *pieces;
	int64_t *piece_us;
	size_t pieces_len, pieces_cap, pieces_sent;

	uv_timer_t timer;
	int backoff_ms;
	void (*again)(struct tg_part *p);
};

/* role.c */
struct tg_part *tg_role_part(
	struct tg_role *role, int32_t partition); /* NULL: not of this assignment */
void tg_role_flow(struct tg_role *role);          /* pause or resume by what is queued */
void tg_role_claimed(struct tg_role *role);       /* a part is ready to read */
void tg_role_fenced(struct tg_part *p);
void tg_role_part_idle(struct tg_role *role);
void tg_role_part_gone(struct tg_role *role);
void tg_role_fail(struct tg_role *role, const char *why);

struct tg_engine_shared tg_role_shared(struct tg_role *role, int32_t partition);

/* load.c: what is refused is logged; -TG_ECONF when no rule can run */
TG_MUST int tg_role_load_rules(struct tg_role *role);
TG_MUST int tg_role_packs_folder(const struct tg_role *role, struct tg_buf *ret);
TG_MUST int tg_role_read_rules(
	const struct tg_role *role, double halo_m, struct tg_ruleset *ret, size_t *ret_refused);
/* reload.c: by SIGHUP, or when the folder's files have changed. Nothing changes unless every pack
 * is right. */
void tg_part_look_back(struct tg_part *p); /* idle: what other rules mean for what stands */
TG_MUST int tg_role_watch_packs(struct tg_role *role);
void tg_role_look_at_packs(struct tg_role *role);
void tg_role_reload(struct tg_role *role); /* now, or once every batch in flight is home */

/* part.c */
TG_MUST int tg_part_open(struct tg_role *role, int32_t partition, struct tg_part **ret);
void tg_part_close(struct tg_part *p);
void tg_part_empty(struct tg_part *p);                       /* drops what is queued */
void tg_part_take(struct tg_part *p, struct tg_record *rec); /* owns rec from here */
/* Every asynchronous call of a part: hold before, release first thing in its callback. False: the
 * part is gone. */
void tg_part_hold(struct tg_part *p);
TG_MUST bool tg_part_release(struct tg_part *p);
/* Calls fn after a growing pause; tg_part_done_waiting() makes the next pause short again. */
void tg_part_retry(struct tg_part *p, void (*fn)(struct tg_part *p));
void tg_part_done_waiting(struct tg_part *p);
void tg_part_ready(struct tg_part *p); /* claimed: idle from now on */
void tg_part_run(struct tg_part *p);   /* starts a batch if there is one and none is in flight */

/* claim.c */
void tg_part_claim(struct tg_part *p);
void tg_part_load_watch(struct tg_part *p); /* the last step of a claim */

/* retire.c: incidents whose rule runs no more, or by another definition than they were raised by:
 * asked for, then; told by the next batch. */
void tg_part_ask_unruled(struct tg_part *p, void (*then)(struct tg_part *p));
void tg_part_retire_begin(struct tg_part *p);              /* a batch begins */
struct tg_slice tg_part_retiring(const struct tg_part *p); /* empty: none, or no watermark yet */
void tg_part_retired(struct tg_part *p);                   /* the batch is home */

/* recall.c: stored events for windows that are longer than what is read again; then
 * tg_part_load_watch(). */
void tg_part_recall(struct tg_part *p);
/* Spans that stand whose last member was stored before that (INT64_MAX: whenever), of sources whose
 * series is not held. */
void tg_part_recall_spans(struct tg_part *p, int64_t before_us, void (*then)(struct tg_part *p));

/* chain.c: rows, messages, the one Redis call; then the part is idle */
void tg_part_chain(struct tg_part *p);
void tg_part_delivered(struct tg_part *p, int rc);
int tg_part_keep_piece(void *ctx, const struct tg_segment *segment);
TG_MUST int tg_part_watch_row(struct tg_part *p, const PGresult *res, int row);

#endif
