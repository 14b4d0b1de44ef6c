/* What the sink*.c files share. Not for anybody else. */
#ifndef TG_INGEST_SINK_IMPL_H
#define TG_INGEST_SINK_IMPL_H

#include "ingest/sink.h"

#define SINK_RETRY_MIN_MS   20
#define SINK_DAYS_KNOWN_MAX 146112 /* to the year 2370 */

/* Of a transaction, in this order; those that a batch does not need are passed over. */
enum sink_step {
	SINK_IDLE,
	SINK_TABLE,
	SINK_OPEN,
	SINK_DEAD,
	SINK_STAGE,
	SINK_COPY,
	SINK_MERGE,
	SINK_COMMIT,
	SINK_ROLLBACK,
	SINK_RESTING,
};

struct tg_sink {
	uv_loop_t *loop;
	struct tg_pg *pg;
	struct tg_sink_ops ops;
	void *ctx;

	enum sink_step step;
	const struct tg_batch *batch; /* NULL: offsets only */
	struct tg_buf open; /* the message that opens the transaction: BEGIN and the move; then,
			     * when nothing has to come between, the COPY */
	size_t open_len;    /* without the COPY */
	struct tg_buf dead_params[TG_DEAD_PARAMS];
	size_t day_at;
	char partition_days[24];
	tg_sink_cb cb;
	void *cb_ctx;
	bool abort;
	int after_rollback; /* 0: try again; else the answer */
	size_t rows_new;    /* of the batch's rows those that were not stored before */
	bool staged;        /* this transaction goes through the staging table */
	int staged_left;
	int64_t step_mono_us, began_mono_us;

	uv_timer_t retry;
	uint64_t retry_ms;
	char trouble[128];
	uint8_t days_known[SINK_DAYS_KNOWN_MAX / 8]; /* those whose partition is there */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* Answers the caller; the sink is idle then. */
void sink_finish(struct tg_sink *sink, int rc);
/* Writes BEGIN and the move of n offsets, with nothing after it. */
TG_MUST int sink_open_text(struct tg_buf *out, const struct tg_move *moves, size_t n);

#endif
