#include "ingest/forward.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/service.h"
#include "base/list.h"
#include "base/log.h"
#include "ingest/metrics.h"

#define TOPIC_LOCATED "tongguan.events.located"
#define TOPIC_DEAD    "tongguan.dead_letter"
#define CONTENT_TYPE  "application/x-protobuf"

#define TURN_MESSAGES   128
#define TICKETS         64
#define QUEUE_MAX       4 /* more batches than there are */
#define LOOK_UP_MS      5000
#define HEADERS_OF_OURS 2

/* A batch on its way: every message carries its ticket as tag. Tickets are retired in the order of
 * their batches. */
struct ticket {
	unsigned generation;
	size_t pending; /* handed over, not yet answered */
	bool open;      /* more messages may follow */
	bool dropped;
	struct tg_span *spans;
	size_t spans_count, spans_cap;
	int64_t since_mono_us;
};

struct tg_forward {
	struct tg_producer *producer;
	struct tg_forward_ops ops;
	void *ctx;
	int32_t partitions;
	struct tg_batch *queue[QUEUE_MAX];
	size_t queue_count;
	struct ticket tickets[TICKETS]; /* a ring */
	size_t tickets_first, tickets_count;
	struct ticket *now; /* of queue[0] once begun */
	uv_idle_t turn;
	struct tg_buf progress;
	bool closing; /* what is given up now counts as undelivered */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void on_turn(uv_idle_t *idle);

static void wake(struct tg_forward *fw)
{
	if (!uv_is_closing((uv_handle_t *)&fw->turn))
		uv_idle_start(&fw->turn, on_turn);
}

static void retire(struct tg_forward *fw)
{
	while (fw->tickets_count) {
		struct ticket *t = &fw->tickets[fw->tickets_first];

		if (t->open || t->pending)
			return;
		fw->tickets_first = (fw->tickets_first + 1) % TICKETS;
		fw->tickets_count--;
		if (t->dropped)
			continue;
		tg_ingest_stage(TG_STAGE_PUBLISH, t->since_mono_us);
		tg_fault_point("ingest_after_publish");
		fw->ops.on_delivered(fw->ctx, t->generation, t->spans, t->spans_count);
	}
}

/* Too large for its topic: it stands in the database, and waiting for it would stop everything. For
 * any other reason it has to be sent again, with all that came after it. */
static void undelivered(struct tg_forward *fw, struct ticket *t, int rc)
{
	tg_metric_add(&tg_ingest_metrics[TG_M_UNDELIVERED], 1);
	tg_log(TG_ERROR, "message refused by Kafka", TG_F("why", TG_S(tg_err_text(rc))));
	if (rc == -TG_ERANGE || t->dropped)
		return;
	t->dropped = true; /* its offsets are not forwarded */
	fw->ops.on_undelivered(fw->ctx, t->generation);
}

static void on_delivery(void *ctx, void *tag, int rc)
{
	struct tg_forward *fw = ctx;
	struct ticket *t = tag;

	if (fw->closing)
		return;
	if (t) {
		assert(t->pending > 0);
		t->pending--;
		if (rc)
			undelivered(fw, t, rc);
		retire(fw);
	}
	if (fw->queue_count)
		wake(fw);
}

static bool ticket_take(struct tg_forward *fw, const struct tg_batch *batch)
{
	struct ticket *t = &fw->tickets[(fw->tickets_first + fw->tickets_count) % TICKETS];

	if (fw->tickets_count == TICKETS)
		return false;
	if (batch->spans_count > t->spans_cap) {
		struct tg_span *grown = reallocarray(t->spans, batch->spans_count, sizeof(*grown));

		if (!grown)
			return false;
		t->spans = grown;
		t->spans_cap = batch->spans_count;
	}
	memcpy(t->spans, batch->spans, batch->spans_count * sizeof(*t->spans));
	t->spans_count = batch->spans_count;
	t->generation = batch->generation;
	t->pending = 0;
	t->open = true;
	t->dropped = false;
	t->since_mono_us = tg_mono_us();
	fw->tickets_count++;
	fw->now = t;
	return true;
}

static size_t read_headers(const char *p, size_t n, struct tg_header *ret)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t len;

		ret[i].name = p;
		p += strlen(p) + 1;
		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		ret[i].value = (struct tg_slice){0};
		if (len == TG_NO_HEADER_VALUE)
			continue;
		ret[i].value = (struct tg_slice){p, len};
		p += len;
	}
	return n;
}

static int send_out(struct tg_forward *fw, const struct tg_batch *batch, const struct tg_out *out)
{
	struct tg_header headers[UINT8_MAX + HEADERS_OF_OURS];
	const char *at = batch->bytes.data + out->at;
	struct tg_slice key = {at, out->key_len}, value = {at + out->key_len, out->value_len};
	size_t n = read_headers(at + out->key_len + out->value_len, out->headers, headers);

	if (out->tombstone)
		value = (struct tg_slice){0};
	if (out->kind != TG_OUT_DEAD)
		headers[n++] = (struct tg_header){"content-type", TG_SLICE(CONTENT_TYPE)};
	if (out->kind == TG_OUT_HALO)
		headers[n++] = (struct tg_header){"halo", TG_SLICE("1")};
	return tg_producer_send(fw->producer, out->kind == TG_OUT_DEAD ? TOPIC_DEAD : TOPIC_LOCATED,
		out->partition, key, value, headers, n, fw->now);
}

static void count(const struct tg_out *out)
{
	if (out->kind == TG_OUT_LOCATED)
		tg_metric_add(&tg_ingest_metrics[TG_M_LOCATED], 1);
	else if (out->kind == TG_OUT_HALO)
		tg_metric_add(&tg_ingest_metrics[TG_M_HALO], 1);
}

/* True when queue[0] has been handed over whole. False: a turn's worth was sent, or the producer
 * takes no more now. */
static bool send_some(struct tg_forward *fw, struct tg_batch *batch, bool *ret_full)
{
	for (int n = 0; n < TURN_MESSAGES; n++) {
		const struct tg_out *out;
		int rc;

		if (batch->outs_sent == batch->outs_count)
			return true;
		out = tg_batch_out(batch, batch->outs_sent);
		rc = send_out(fw, batch, out);
		if (rc == -TG_ENOENT || tg_err_retry(rc)) {
			*ret_full = true;
			return false;
		}
		batch->outs_sent++;
		if (rc) {
			tg_metric_add(&tg_ingest_metrics[TG_M_UNDELIVERED], 1);
			tg_log(TG_ERROR, "message cannot be sent",
				TG_F("why", TG_S(tg_err_text(rc))));
			continue;
		}
		fw->now->pending++;
		count(out);
	}
	return false;
}

static void on_turn(uv_idle_t *idle)
{
	struct tg_forward *fw = tg_container_of(idle, struct tg_forward, turn);
	struct tg_batch *batch = fw->queue_count ? fw->queue[0] : NULL;
	bool full = false;

	if (!batch || (!fw->now && !ticket_take(fw, batch))) {
		uv_idle_stop(idle); /* a delivery or the next batch wakes us */
		return;
	}
	if (!send_some(fw, batch, &full)) {
		if (full)
			uv_idle_stop(idle);
		return;
	}
	fw->queue_count--;
	memmove(fw->queue, fw->queue + 1, fw->queue_count * sizeof(fw->queue[0]));
	fw->now->open = false;
	fw->now = NULL;
	fw->ops.on_sent(fw->ctx, batch);
	retire(fw);
}

void tg_forward_send(struct tg_forward *fw, struct tg_batch *batch)
{
	assert(fw->queue_count < QUEUE_MAX);
	fw->queue[fw->queue_count++] = batch;
	wake(fw);
}

#ifdef TG_BREAK_FORWARD_BEFORE_COMMIT /* broken on purpose: published before it is stored */
void tg_forward_early(struct tg_forward *fw, const struct tg_batch *batch)
{
	for (size_t i = 0; i < batch->outs_count; i++) {
		if (send_out(fw, batch, tg_batch_out(batch, i)))
			return;
	}
}
#endif

void tg_forward_drop(struct tg_forward *fw)
{
	struct tg_batch *queue[QUEUE_MAX];
	size_t n = fw->queue_count;

	for (size_t i = 0; i < fw->tickets_count; i++)
		fw->tickets[(fw->tickets_first + i) % TICKETS].dropped = true;
	if (fw->now)
		fw->now->open = false;
	fw->now = NULL;
	memcpy(queue, fw->queue, sizeof(queue));
	fw->queue_count = 0;
	for (size_t i = 0; i < n; i++)
		fw->ops.on_sent(fw->ctx, queue[i]);
	retire(fw);
}

void tg_forward_nudge(struct tg_forward *fw)
{
	if (fw->queue_count)
		wake(fw);
}

bool tg_forward_idle(const struct tg_forward *fw)
{
	return fw->queue_count == 0 && fw->tickets_count == 0;
}

int tg_forward_progress(
	struct tg_forward *fw, const char *topic, int32_t partition, int64_t progress_us)
{
	const struct tg_header headers[] = {{"content-type", TG_SLICE(CONTENT_TYPE)}};
	tg_located_pb record = TONGGUAN__V1__LOCATED_EVENT__INIT;
	int rc;

	record.source_topic = (char *)topic;
	record.has_source_partition = true;
	record.source_partition = partition;
	record.has_progress_us = true;
	record.progress_us = progress_us;
	tg_buf_reset(&fw->progress);
	rc = tg_located_encode(&record, &fw->progress);
	for (int32_t p = 0; !rc && p < fw->partitions; p++)
		rc = tg_producer_send(fw->producer, TOPIC_LOCATED, p, (struct tg_slice){0},
			(struct tg_slice){fw->progress.data, fw->progress.len}, headers, 1, NULL);
	return rc;
}

int tg_forward_open(uv_loop_t *loop, const struct tg_conf *conf, const struct tg_forward_ops *ops,
	void *ctx, struct tg_forward **ret)
{
	struct tg_forward *fw = calloc(1, sizeof(*fw));
	int rc;

	if (!fw)
		return -TG_ENOMEM;
	fw->ops = *ops;
	fw->ctx = ctx;
	rc = tg_producer_open(loop, conf->kafka_brokers, "tongguan-ingest", conf->ingest_linger_ms,
		on_delivery, fw, &fw->producer);
	if (rc) {
		free(fw);
		return rc;
	}
	uv_idle_init(loop, &fw->turn);
	*ret = fw;
	return 0;
}

int tg_forward_partitions(struct tg_forward *fw)
{
	int n = tg_producer_partitions(fw->producer, TOPIC_LOCATED, LOOK_UP_MS);

	if (n > 0)
		fw->partitions = n;
	return n;
}

static void on_turn_closed(uv_handle_t *handle)
{
	struct tg_forward *fw = tg_container_of((uv_idle_t *)handle, struct tg_forward, turn);

	for (int i = 0; i < TICKETS; i++)
		free(fw->tickets[i].spans);
	tg_buf_release(&fw->progress);
	fw->closed(fw->closed_ctx);
	free(fw);
}

void tg_forward_close(struct tg_forward *fw, void (*closed)(void *ctx), void *ctx)
{
	fw->closed = closed;
	fw->closed_ctx = ctx;
	fw->closing = true;
	tg_producer_close(fw->producer);
	uv_close((uv_handle_t *)&fw->turn, on_turn_closed);
}
