/* The consumer group, and for each partition we own where it stands: in the database, in reading,
 * in publishing.
 *
 * Offsets live in the database. An assignment is first looked up (where does each log begin and
 * end), then taken there (which fences whoever had it), and only then read from `forwarded` on. */
#ifndef TG_INGEST_SOURCE_H
#define TG_INGEST_SOURCE_H

#include <uv.h>

#include "base/io/kafka.h"
#include "base/io/pg.h"
#include "proto/reject.h"

struct tg_dead_ref {
	int64_t offset;
	enum tg_reject why;
};

struct tg_part {
	char topic[128];
	int32_t partition;
	int64_t low, high; /* of the log, when last asked */
	/* as the database has them */
	int32_t id;
	int64_t epoch, next, forwarded;
	/* forwarded <= done_pos <= sent_pos <= read_pos */
	int64_t read_pos; /* next to read; below `next` it is only published again */
	int64_t sent_pos; /* everything below was handed to the producer */
	int64_t done_pos; /* everything below was delivered */
	int64_t high_us;  /* highest occurred_at handed to the producer; INT64_MIN: none yet */
	int64_t said_us;  /* last progress said */
	int64_t said_mono_us;
	bool said_idle;
	int64_t gap_pos, gap_end; /* due to be published, stored, and not in the log any more */
	int64_t short_next; /* the log ended before this `next` when last taken; 0: it did not */
	bool at_end;        /* read_pos is the log's end */
	bool anew;          /* the log is shorter than what is stored: it is another log */
	struct tg_dead_ref *dead; /* refused in [forwarded, next), by offset */
	size_t dead_count;
};

struct tg_source;

struct tg_source_ops {
	/* The assignment is looked up: call tg_source_take() when the database can answer. */
	void (*on_want_take)(void *ctx);
	/* The partitions are gone, or must be taken anew: drop everything that belongs to them. */
	void (*on_lost)(void *ctx);
	/* Something is due that the log no longer has: see tg_source_gap(). */
	void (*on_gap)(void *ctx);
	/* Reading begins: pause or resume. */
	void (*on_running)(void *ctx);
	/* rec is yours. */
	void (*on_record)(void *ctx, size_t part, struct tg_record *rec);
	void (*on_end)(void *ctx, size_t part);
	void (*on_closed)(void *ctx);
};

struct tg_source_conf {
	const char *brokers, *group;
	const char *topics; /* comma separated */
	const char *listen; /* names this process in the group; see struct tg_consumer_conf */
};

TG_MUST int tg_source_open(uv_loop_t *loop, const struct tg_source_conf *conf,
	const struct tg_source_ops *ops, void *ctx, struct tg_source **ret);
unsigned tg_source_generation(const struct tg_source *s);
bool tg_source_running(const struct tg_source *s);
bool tg_source_wants_take(const struct tg_source *s);
bool tg_source_joined(
	const struct tg_source *s); /* the group has given us partitions, or none on purpose */
size_t tg_source_count(const struct tg_source *s);
struct tg_part *tg_source_part(struct tg_source *s, size_t i);
/* Text arrays for tongguan.offsets_take(), valid until the next call. */
TG_MUST int tg_source_take_params(
	struct tg_source *s, const char **topics, const char **partitions, const char **starts);
/* Is there a log made anew, and is all that was due of the old one published? */
bool tg_source_anew(const struct tg_source *s, bool *ret_published);
/* Those, in the form of the take but with the logs' ends, for tongguan.offsets_anew(). */
TG_MUST int tg_source_anew_params(
	struct tg_source *s, const char **topics, const char **partitions, const char **ends);
void tg_source_anew_done(struct tg_source *s); /* asked, with whatever success: compare again */
/* The answer to the take. rc != 0: asked again when tg_source_wants_take() is looked at next. */
void tg_source_taken(struct tg_source *s, unsigned generation, int rc, const PGresult *res);

/* The next partition with a gap: index, or the count when all are closed. After on_gap. */
size_t tg_source_gap(const struct tg_source *s);
bool tg_source_has_gaps(const struct tg_source *s); /* nothing is read until they are closed */
/* All gaps are closed: reading begins. */
void tg_source_gaps_closed(struct tg_source *s);

/* The database went away or Kafka refused a message: the same partitions are looked up and taken
 * anew. */
void tg_source_retake(struct tg_source *s);
/* Fenced, or asleep for too long: the group says who owns what. */
void tg_source_rejoin(struct tg_source *s);
void tg_source_pause(struct tg_source *s);
void tg_source_resume(struct tg_source *s);
bool tg_source_paused(const struct tg_source *s);
/* For monitoring: copies the stored offsets to the group, asks how long the logs are. */
void tg_source_report(struct tg_source *s);
void tg_source_close(struct tg_source *s);

#endif
