/* What one transaction stores and what is published after it: COPY rows, dead letters, messages,
 * and how far each partition comes by it. Filled while another is in flight; emptied in one call,
 * its memory kept. */
#ifndef TG_INGEST_BATCH_H
#define TG_INGEST_BATCH_H

#include "base/io/kafka.h"
#include "ingest/row.h"

#define TG_BATCH_DAYS_MAX 512

/* Of one partition: the batch holds everything up to `next`. */
struct tg_span {
	int64_t next;    /* 0: nothing of this partition */
	int64_t high_us; /* highest occurred_at; INT64_MIN: none */
};

enum tg_out_kind { TG_OUT_LOCATED, TG_OUT_HALO, TG_OUT_DEAD };

/* A message to be published. In bytes at `at`: key, value, then per header its name with NUL,
 * length (4 bytes, native) and value. */
struct tg_out {
	enum tg_out_kind kind;
	int32_t partition; /* of events.located; -1: by key */
	size_t at;
	uint32_t key_len, value_len;
	bool tombstone; /* the value is NULL, not empty */
	uint8_t headers;
};

/* A row of tongguan.dead_letter. Positions in bytes. */
struct tg_dead {
	size_t part; /* index of the partition */
	int64_t offset, received_us;
	enum tg_reject why;
	size_t key_at, value_at, headers_at;
	uint32_t key_len, value_len, headers_len;
	bool no_key, no_value;
};

struct tg_located_out {
	const tg_located_pb *loc;
	struct tg_slice raw; /* the packed event to wrap; empty: loc->event is packed */
	const char *source_id;
	const struct tg_place *place;
	struct tg_slice traceparent; /* empty: none */
};

struct tg_batch {
	size_t rows_max, bytes_max;
	unsigned generation; /* of the assignment it belongs to */
	struct tg_buf rows;  /* binary COPY, head included */
	size_t rows_count;
	struct tg_buf bytes;       /* what outs and deads point into */
	struct tg_buf outs, deads; /* arrays of struct tg_out, struct tg_dead */
	size_t outs_count, deads_count;
	struct tg_span *spans; /* one a partition of the assignment */
	size_t spans_count, spans_cap;
	uint32_t days[TG_BATCH_DAYS_MAX]; /* since 1970, UTC: those that its rows lie in */
	size_t days_count;
	struct tg_buf scratch;
	int64_t first_mono_us; /* when it got its first record */
	size_t outs_sent;      /* forward's own */
};

TG_MUST int tg_batch_new(size_t rows_max, size_t bytes_max, struct tg_batch **ret);
void tg_batch_free(struct tg_batch *batch);
TG_MUST int tg_batch_reset(struct tg_batch *batch, unsigned generation, size_t partitions);
bool tg_batch_empty(const struct tg_batch *batch); /* no partition moves by it */
bool tg_batch_full(const struct tg_batch *batch);  /* send it before anything is added */

/* Each appends wholly or not at all. -TG_EFULL, -TG_ENOMEM: unchanged. */
TG_MUST int tg_batch_add_row(struct tg_batch *batch, const struct tg_row *row);
/* Goes to the place's partition and its halo. */
TG_MUST int tg_batch_add_located(struct tg_batch *batch, const struct tg_located_out *located);
/* The record at offset of that partition is dealt with. */
void tg_batch_advance(struct tg_batch *batch, size_t part, int64_t offset, int64_t occurred_us);
void tg_batch_need_day(struct tg_batch *batch, uint32_t day);

/* In place of a length: the header has no value, which is not the empty one. */
#define TG_NO_HEADER_VALUE UINT32_MAX
/* For who writes messages into the batch. */
TG_MUST int tg_batch_add_header(struct tg_batch *batch, const char *name, struct tg_slice value);
TG_MUST int tg_batch_add_out(struct tg_batch *batch, const struct tg_out *out);

static inline struct tg_out *tg_batch_out(const struct tg_batch *batch, size_t i)
{
	return (struct tg_out *)(void *)batch->outs.data + i;
}

static inline struct tg_dead *tg_batch_dead(const struct tg_batch *batch, size_t i)
{
	return (struct tg_dead *)(void *)batch->deads.data + i;
}

#endif
