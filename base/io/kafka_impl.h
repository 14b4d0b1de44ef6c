/* What the kafka_*.c files share. Not for anybody else.
 *
 * librdkafka has threads of its own; the loop meets it only through its queues. Each client has one
 * eventfd that librdkafka writes when a queue goes from empty to non-empty. The descriptor is
 * non-blocking, else a librdkafka thread could stall while it holds the queue's lock. */
#ifndef TG_BASE_IO_KAFKA_IMPL_H
#define TG_BASE_IO_KAFKA_IMPL_H

#include <librdkafka/rdkafka.h>

#include "base/io/kafka.h"
#include "base/list.h"

#define KAFKA_TICK_MS           100
#define KAFKA_WHY_MAX           256
#define KAFKA_PREFETCH          6000      /* records; or so many bytes, whatever comes first */
#define KAFKA_STIRS             2         /* wakings of a full prefetch */
#define KAFKA_MESSAGE_BYTES_MAX "8454144" /* 8 MiB and what frames it */

struct kafka_wake {
	uv_poll_t poll;
	uv_idle_t more;
	uv_timer_t tick; /* serves also what no event announces: time limits, a paused group
			    member's duties */
	int fd;
	int handles;
	/* Takes a bounded amount of work; true when some may be left: librdkafka will not announce
	 * it again. */
	bool (*serve)(struct kafka_wake *wake);
	void (*closed)(struct kafka_wake *wake);
};

TG_MUST int kafka_wake_open(
	struct kafka_wake *wake, uv_loop_t *loop, bool (*serve)(struct kafka_wake *wake));
void kafka_wake_on(struct kafka_wake *wake, rd_kafka_queue_t *queue);
void kafka_wake_now(struct kafka_wake *wake);
/* Only after rd_kafka_destroy(): until then a thread may write to the descriptor. */
void kafka_wake_close(struct kafka_wake *wake, void (*closed)(struct kafka_wake *wake));

/* Ends with a {NULL, NULL} row. */
struct kafka_option {
	const char *name, *value;
};

/* Options all clients share, then `more`. NULL when memory is out; an unknown option is our own
 * mistake. */
rd_kafka_conf_t *kafka_conf(
	const char *brokers, const char *client_id, const struct kafka_option *more);
void kafka_conf_option(rd_kafka_conf_t *conf, const char *name, const char *value);
int kafka_code(rd_kafka_resp_err_t err);

struct kafka_record {
	struct tg_record pub;
	struct tg_list link; /* in the owner's held or spare ones */
	struct tg_consumer *owner;
};

/* Takes message. NULL when memory is out. */
struct kafka_record *kafka_record_new(
	struct tg_consumer *owner, size_t part, rd_kafka_message_t *message);
void kafka_records_release(struct tg_consumer *owner);

/* A question that blocks, asked on a thread of uv's pool. */
struct kafka_ask {
	uv_work_t work;
	rd_kafka_t *rk;
	struct tg_consumer *owner;
	char topic[128];
	int32_t partition;
	int64_t stamp_us;
	rd_kafka_topic_partition_list_t *list; /* of what is asked about several at once */
	int rc;
	int64_t low, high;
	tg_watermarks_cb cb;
	void *ctx;
};

struct tg_consumer {
	uv_loop_t *loop;
	struct kafka_wake wake;
	rd_kafka_t *rk;
	rd_kafka_conf_t *options; /* for a client that takes over from one that failed for good */
	rd_kafka_queue_t *queue, *close_queue;
	rd_kafka_topic_partition_list_t *topics;
	struct tg_consumer_ops ops;
	void *ctx;

	bool offered; /* on_assign was called and not yet on_revoke */
	struct tg_partition
		*parts; /* what the group gave us; offset: the least that may still come */
	bool *stuck;    /* of parts: out of range, not read until sought */
	size_t parts_count, parts_last;
	const rd_kafka_topic_t *last_topic; /* librdkafka's handle of parts_last's topic */
	bool assigned;                      /* tg_consumer_assign() has answered */
	bool reassign; /* librdkafka's list is not ours any more: it gets ours before the next
			  record is taken */

	bool paused;
	bool paused_deep; /* librdkafka was told: it drops its prefetch, so only when a pause is
			     long */
	uint64_t paused_at_ms;
	struct tg_list held;  /* came after a pause all the same; goes out first */
	struct tg_list spare; /* records to be used again: a warm consumer never calls malloc */
	int64_t taken_us;

	size_t prefetch_bytes; /* what librdkafka stops fetching at */
	size_t mean_bytes;     /* of the records of late */
	int stirs;             /* librdkafka was woken since the prefetch was full */
	bool stirring;         /* and is being so */

	bool connected;
	uint64_t probe_at_ms;
	bool probing;

	bool fatal;     /* this client does nothing any more: see consumer_renew() */
	bool renewing;  /* it is being destroyed */
	size_t records; /* handed out, not yet freed */
	size_t asks;
	enum { CONSUMER_OPEN, CONSUMER_CLOSE_ASKED, CONSUMER_LEAVING, CONSUMER_DESTROYING } phase;
	uint64_t close_until_ms;
	uv_work_t destroy;
};

/* kafka_assign.c */
void consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
	rd_kafka_topic_partition_list_t *list, void *opaque);
/* NULL when the partition is not ours now. */
struct tg_partition *consumer_part(struct tg_consumer *c, const char *topic, int32_t partition);
struct tg_partition *consumer_part_of(struct tg_consumer *c, const rd_kafka_message_t *m);
/* The assignment is gone: on_revoke, when there was one. */
void consumer_take_away(struct tg_consumer *c);
void consumer_drop_held(struct tg_consumer *c);
void consumer_stick(struct tg_consumer *c, const struct tg_partition *part);
void consumer_reassign(struct tg_consumer *c);
void consumer_pause_deep(struct tg_consumer *c);

/* kafka_ask.c */
void consumer_probe(struct tg_consumer *c);
void consumer_stir(struct tg_consumer *c);

#endif
