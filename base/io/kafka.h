/* Kafka consumer and producer on the loop; everything runs on the loop's thread. Consumer and
 * administration wrap librdkafka, nobody else does; the producer speaks the protocol itself.
 *
 * Consumer: offsets live outside Kafka. A rebalance calls on_assign; the role looks its offsets up
 * (asynchronously) and answers with tg_consumer_assign(); until then nothing is delivered. Records
 * arrive one by one with the generation of their assignment; records of a revoked generation are
 * dropped here. on_revoke must answer at once by dropping its queues (fencing decides the rest).
 * auto.offset.reset=error: an offset outside the log is reported by on_out_of_range and nothing is
 * consumed from that partition until tg_consumer_seek(). */
#ifndef TG_BASE_IO_KAFKA_H
#define TG_BASE_IO_KAFKA_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"

#define TG_HEADERS_MAX 32

struct tg_header {
	const char *name; /* NUL-terminated */
	struct tg_slice value;
};

struct tg_partition {
	char topic[128];
	int32_t partition;
	int64_t offset; /* next to read; on_assign gives -1; -1 in assign and seek: the log's start
			 */
};

/* Slices live until tg_record_free(). A NULL value (tombstone) has value.data == NULL. */
struct tg_record {
	const char *topic;
	int32_t partition;
	int64_t offset;
	int64_t stamp_us;  /* the record's timestamp */
	bool stamp_is_log; /* LogAppendTime, not the producer's */
	struct tg_slice key, value;
	size_t part;      /* index of its partition in on_assign's list */
	int64_t taken_us; /* wall clock when it came to the loop, to a few milliseconds */
	void *raw;
	/* Instead of raw, of a record that did not come from Kafka: its headers, yours. */
	const struct tg_header *own;
	size_t own_count;
};

/* The last header of that name; false when absent. */
bool tg_record_header(const struct tg_record *rec, const char *name, struct tg_slice *ret);
/* All headers into out (at most max); returns how many. */
size_t tg_record_headers(const struct tg_record *rec, struct tg_header *out, size_t max);
void tg_record_free(struct tg_record *rec); /* frees rec too; NULL is fine */

struct tg_consumer;

struct tg_consumer_ops {
	void (*on_assign)(void *ctx, const struct tg_partition *parts, size_t n);
	void (*on_revoke)(void *ctx);
	/* rec is yours; free it with tg_record_free(). */
	void (*on_record)(void *ctx, struct tg_record *rec);
	/* The partition's end was reached at next offset (all records below it were handed out). */
	void (*on_end)(void *ctx, const char *topic, int32_t partition, int64_t next);
	void (*on_out_of_range)(void *ctx, const char *topic, int32_t partition, int64_t offset);
	void (*on_closed)(void *ctx); /* after tg_consumer_close() */
};

struct tg_consumer_conf {
	const char *brokers, *group, *client_id;
	const char *const *topics;
	size_t topics_count;
	int queued_kbytes; /* prefetch limit in all; 0 = 4096 */
	/* "host:port" this process listens on. It names a static member of the group
	 * (group.instance.id), so that a process killed and started again takes its partitions back
	 * at once, not after the session has run out. NULL or port 0: a member like any other. */
	const char *listen;
};

TG_MUST int tg_consumer_open(uv_loop_t *loop, const struct tg_consumer_conf *conf,
	const struct tg_consumer_ops *ops, void *ctx, struct tg_consumer **ret);
/* Answer to on_assign, with offsets set. Calling it for a generation that is gone is harmless. */
void tg_consumer_assign(struct tg_consumer *c, const struct tg_partition *parts, size_t n);
void tg_consumer_seek(struct tg_consumer *c, const char *topic, int32_t partition, int64_t offset);
/* Pause hands out no record until resume (the consumer stays in its group). Idempotent. */
void tg_consumer_pause(struct tg_consumer *c);
void tg_consumer_resume(struct tg_consumer *c);
/* Leave the assignment and take it again (after being fenced): on_revoke, then on_assign come. */
void tg_consumer_rejoin(struct tg_consumer *c);
/* Copy for monitoring only: commits to the group without waiting. */
void tg_consumer_note_offsets(struct tg_consumer *c, const struct tg_partition *parts, size_t n);
/* Asks the broker for first and next offset of a partition, off the loop's thread. cb exactly once.
 */
typedef void (*tg_watermarks_cb)(void *ctx, int rc, int64_t low, int64_t high);
TG_MUST int tg_consumer_watermarks(struct tg_consumer *c, const char *topic, int32_t partition,
	tg_watermarks_cb cb, void *ctx);
/* The offset of the first record at or after stamp_us (log end when none). cb exactly once. */
TG_MUST int tg_consumer_offset_at(struct tg_consumer *c, const char *topic, int32_t partition,
	int64_t stamp_us, tg_watermarks_cb cb, void *ctx); /* low = high = the offset */
bool tg_consumer_connected(const struct tg_consumer *c);
void tg_consumer_close(struct tg_consumer *c); /* on_closed follows; then c is gone */

/* Producer: idempotent, acks=all, no transactions. All partitions of a broker share a request, one
 * at a time. What is sent within linger_ms goes into the same; 0: no waiting, what comes while a
 * request is under way makes the next. */
struct tg_producer;

typedef void (*tg_delivery_cb)(void *ctx, void *tag, int rc);

TG_MUST int tg_producer_open(uv_loop_t *loop, const char *brokers, const char *client_id,
	int64_t linger_ms, tg_delivery_cb on_delivery, void *ctx, struct tg_producer **ret);
/* Copies key, value and headers. partition -1 = by key. on_delivery(tag) comes exactly once per
 * accepted message, in order per partition, and must not close the producer; it retries for ever
 * while the process lives. A message fails for good when it is refused: -TG_ERANGE too large,
 * -TG_ENOENT no such topic or partition, -TG_EKAFKA whatever else. At once: -TG_ERANGE, -TG_ENOENT
 * (there may be that partition later), -TG_EFULL: 4 MiB are under way, try again after a delivery;
 * -TG_ECLOSED: it is being closed. value.data NULL = tombstone. */
TG_MUST int tg_producer_send(struct tg_producer *p, const char *topic, int32_t partition,
	struct tg_slice key, struct tg_slice value, const struct tg_header *headers,
	size_t headers_count, void *tag);
/* Inside on_delivery with rc 0: the offset the message got. */
int64_t tg_producer_delivered_at(const struct tg_producer *p);
size_t tg_producer_in_flight(const struct tg_producer *p);
/* Number of partitions of a topic; blocks at most timeout_ms: start-up only. Negative on failure.
 */
int tg_producer_partitions(struct tg_producer *p, const char *topic, int timeout_ms);
void tg_producer_close(struct tg_producer *p); /* waits at most 3 s for what is in flight */

/* Topics, for `up` and `migrate --topics`; blocking, start-up only. Existing topics are left alone.
 */
struct tg_topic_spec {
	const char *name;
	int partitions;
	int64_t max_message_bytes;
	int64_t retention_ms; /* -1 for ever, 0 = the broker's default */
};
TG_MUST int tg_topics_create(
	const char *brokers, const struct tg_topic_spec *specs, size_t n, struct tg_buf *why);

/* What a topic is like, for `doctor`; blocking. */
struct tg_topic_fact {
	const char *name;      /* set by who asks */
	int partitions;        /* negative: there is no such topic */
	int replicas, in_sync; /* of the partition with the fewest */
	bool settings_known;
	bool log_append_time;
	int64_t retention_ms, retention_bytes, min_in_sync, max_message_bytes;
};
/* Fills n facts. -TG_EKAFKA and one line in why when the brokers do not answer. */
TG_MUST int tg_topics_look(
	const char *brokers, struct tg_topic_fact *facts, size_t n, struct tg_buf *why);
/* The timestamp of the newest record of a topic; -TG_ENOENT when it has none. */
TG_MUST int tg_topic_newest(
	const char *brokers, const char *topic, int partitions, int64_t *ret_us);
/* Every record of a topic that there is now, partition by partition in order; value is valid during
 * the call; each() gives false to stop. Blocking. -TG_ENOENT: there is no such topic; -TG_EKAFKA,
 * -TG_ETIMEOUT and one line in why. */
TG_MUST int tg_topic_read(const char *brokers, const char *topic,
	bool (*each)(void *ctx, struct tg_slice value), void *ctx, struct tg_buf *why);
const char *tg_kafka_library(void); /* version of librdkafka */

#endif
