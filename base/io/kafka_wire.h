/* The bytes a Kafka producer exchanges with a broker (Kafka protocol guide; record batches of magic
 * 2, KIP-98): pure functions, no sockets. Integers are big-endian, varints zigzag.
 *
 * Requests are versions that every broker since 0.11 takes, Kafka 4 included. */
#ifndef TG_BASE_IO_KAFKA_WIRE_H
#define TG_BASE_IO_KAFKA_WIRE_H

#include "base/io/kafka.h"

enum wire_api {
	WIRE_PRODUCE = 0,
	WIRE_METADATA = 3,
	WIRE_INIT_PRODUCER_ID = 22,
};

/* A broker's answer to one partition, as far as a producer minds. */
enum wire_error {
	WIRE_OK = 0,
	WIRE_UNKNOWN_PARTITION = 3,
	WIRE_TOO_LARGE = 10,
	WIRE_INVALID_TOPIC = 17,
	WIRE_LIST_TOO_LARGE = 18,
	WIRE_TOPIC_FORBIDDEN = 29,
	WIRE_CLUSTER_FORBIDDEN = 31,
	WIRE_INVALID_TIMESTAMP = 32,
	WIRE_OUT_OF_SEQUENCE = 45,
	WIRE_DUPLICATE = 46,
	WIRE_STALE_PRODUCER_EPOCH = 47,
	WIRE_UNKNOWN_PRODUCER = 59,
	WIRE_INVALID_RECORD = 87,
	WIRE_FENCED = 90,
};

/* What is done about an error: the batch was taken; it is sent again as it is; cut in two; under a
 * new producer id; or it can never be taken. */
enum wire_verdict {
	WIRE_TAKEN,
	WIRE_AGAIN,
	WIRE_CUT,
	WIRE_NEW_ID,
	WIRE_REFUSED,
};

enum wire_verdict wire_judge(int error);
const char *wire_error_name(int error);

/* --- requests: a frame with its length, client_id in every header --- */

/* Header of a request; wire_end() writes the length of the whole frame, `more` bytes that are sent
 * behind it counted. */
TG_MUST int wire_begin(
	struct tg_buf *out, enum wire_api api, int32_t correlation, struct tg_slice client_id);
void wire_end(struct tg_buf *out, size_t more);
TG_MUST int wire_put_text(struct tg_buf *out, struct tg_slice text);
TG_MUST int wire_metadata(struct tg_buf *out, const struct tg_slice *topics, size_t n);
TG_MUST int wire_init_producer_id(struct tg_buf *out);
/* Before its topics; each is a text, a count of partitions and for each of those wire_partition()
 * and its batch. */
TG_MUST int wire_produce(struct tg_buf *out, int32_t timeout_ms, uint32_t topics);
TG_MUST int wire_partition(struct tg_buf *out, int32_t partition, size_t batch_len);

/* --- answers --- */

/* Reads from a frame; past its end everything reads as 0 and `broken` is set. */
struct wire_reader {
	const char *at, *end;
	bool broken;
};

int64_t wire_int(struct wire_reader *r, size_t bytes);
struct tg_slice wire_text(struct wire_reader *r); /* NULL data: null */
void wire_skip(struct wire_reader *r, size_t bytes);

/* --- record batches --- */

#define WIRE_BATCH_HEADER 61

/* What a record is made of; data NULL: null. */
struct wire_message {
	struct tg_slice key, value;
	const struct tg_header *headers;
	size_t headers_count;
	size_t bytes; /* that they take, by wire_measure() */
};

#define WIRE_RECORD_HEAD 17 /* bytes in front of them, at most */

void wire_measure(struct wire_message *message);
/* Appends one record to a batch whose header is still missing. */
TG_MUST int wire_record(struct tg_buf *batch, int32_t at, const struct wire_message *message);
/* Copies the next of another batch's records under a new place; r has begun behind its header.
 * batch NULL: it is only stepped over, and -TG_ENOMEM. -TG_EPARSE: those bytes are no record. */
TG_MUST int wire_record_copy(struct tg_buf *batch, int32_t at, struct wire_reader *r);

/* The record that r stands before: how long it is, and its key (data NULL: null). */
TG_MUST int wire_record_peek(struct wire_reader r, size_t *ret_len, struct tg_slice *ret_key);

struct wire_producer {
	int64_t id; /* -1: none yet */
	int16_t epoch;
};

/* Writes the header in front of `records` records: the batch may go out. Again for other numbers.
 */
void wire_seal(struct tg_buf *batch, int32_t records, int64_t stamp_ms,
	const struct wire_producer *producer, int32_t sequence);

/* Which of n partitions a key belongs to, as the Java client has it. key.data is not NULL. */
int32_t wire_partition_of(struct tg_slice key, int32_t n);

#endif
