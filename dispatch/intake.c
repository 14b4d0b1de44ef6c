/* The flow of incident messages: offsets from the database, a bounded queue, one batch in flight,
 * and a message that the database refuses is found and left out. */
#include "dispatch/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dispatch/intake_impl.h"
#include "dispatch/metrics.h"

#define INTAKE_TOPIC     "tongguan.incidents"
#define INTAKE_QUEUE_MAX 2000
#define INTAKE_QUEUE_LOW 500
#define INTAKE_RETRY_MS  500
#define INTAKE_TRACE_MAX 128

static const char sql_offsets[] =
	"SELECT topic, partition, next FROM tongguan.consumer_offset WHERE consumer = $1";

struct tg_intake {
	struct tg_dispatch *d;
	struct tg_consumer *consumer;
	struct tg_list queue;
	size_t queued;
	struct intake_batch batch;
	bool busy, revoked; /* revoked: the batch in flight belongs to an assignment that is gone */
	size_t at_most;     /* items a batch may have: 1 while looking for a poisonous one */
	uv_timer_t timer;
	struct tg_partition *parts; /* assigned, waiting for their offsets */
	size_t parts_count;
	uint64_t generation;
	size_t asking; /* look-ups whose answer is still to come: they hold on to us */
	bool gone;     /* all else is closed */
	void (*closed)(void *ctx);
	void *closed_ctx;
};

void intake_item_free(struct intake_item *item)
{
	json_decref(item->doc);
	free(item->trace);
	free(item);
}

static void run(struct tg_intake *in);

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void retry(struct tg_intake *in)
{
	if (!in->closed)
		uv_timer_start(&in->timer, on_timer, INTAKE_RETRY_MS, 0);
}

/* --- batches --- */

static void shut(struct tg_intake *in);

static void drop_batch(struct tg_intake *in)
{
	for (size_t i = 0; i < in->batch.count; i++)
		intake_item_free(in->batch.items[i]);
	in->batch.count = 0;
}

static void put_back(struct tg_intake *in)
{
	for (size_t i = in->batch.count; i > 0; i--) {
		tg_list_push(in->queue.next, &in->batch.items[i - 1]->link);
		in->queued++;
	}
	in->batch.count = 0;
}

static void leave_out(struct tg_intake *in, struct intake_item *item)
{
	tg_log(TG_ERROR, "an incident message is left out: the database refuses it",
		TG_F("topic", TG_S(item->topic)), TG_F("partition", TG_I(item->partition)),
		TG_F("offset", TG_I(item->offset)),
		TG_F("incident_id", TG_S(item->msg.incident_id)));
	json_decref(item->doc);
	item->doc = NULL; /* its offset still has to move */
	in->at_most = INTAKE_BATCH_MAX;
}

static void on_batch(void *ctx)
{
	struct tg_intake *in = ctx;
	bool failed = in->batch.rc != 0;

	in->busy = false;
	if (!failed || in->revoked) {
		drop_batch(in);
	} else if (in->batch.poison && in->batch.count == 1) {
		leave_out(in, in->batch.items[0]);
		put_back(in);
		failed = false;
	} else {
		if (in->batch.poison)
			in->at_most = 1;
		failed = !in->batch.poison;
		put_back(in);
	}
	in->revoked = false;
	if (in->closed)
		shut(in);
	else if (failed)
		retry(in);
	else
		run(in);
}

static void run(struct tg_intake *in)
{
	struct intake_batch *b = &in->batch;

	if (in->busy || in->closed || tg_list_empty(&in->queue))
		return;
	if (!in->d->city) {
		retry(in);
		return;
	}
	while (b->count < in->at_most && !tg_list_empty(&in->queue)) {
		struct intake_item *item =
			tg_container_of(in->queue.next, struct intake_item, link);

		tg_list_remove(&item->link);
		in->queued--;
		b->items[b->count++] = item;
	}
	if (in->queued < INTAKE_QUEUE_LOW)
		tg_consumer_resume(in->consumer);
	in->busy = true;
	intake_batch_run(b, on_batch, in);
}

/* --- records --- */

static void refuse(const struct tg_record *rec, const char *why)
{
	tg_log(TG_WARN, "an incident message is refused", TG_F("topic", TG_S(rec->topic)),
		TG_F("partition", TG_I(rec->partition)), TG_F("offset", TG_I(rec->offset)),
		TG_F("why", TG_S(why)));
}

static bool is_uuid_text(const char *text)
{
	size_t n = strlen(text);

	return n == 36 && strspn(text, "0123456789abcdefABCDEF-") == n && text[8] == '-' &&
	       text[13] == '-' && text[18] == '-' && text[23] == '-';
}

static void parse(struct intake_item *item, const struct tg_record *rec)
{
	struct tg_buf why = {0};
	int rc = rec->value.data ? tg_json_parse(rec->value, &item->doc, &why)
				 : tg_buf_add_cstr(&why, "a tombstone");

	if (!rc && item->doc)
		rc = tg_incident_parse(item->doc, &item->msg, &why);
	if (!rc && item->doc && !is_uuid_text(item->msg.incident_id)) {
		rc = -TG_EPARSE;
		(void)!tg_buf_add_cstr(&why, "incident_id: must be a uuid");
	}
	if (rc || !item->doc) {
		refuse(rec, tg_buf_cstr(&why));
		json_decref(item->doc);
		item->doc = NULL;
	}
	tg_buf_release(&why);
}

static void on_record(void *ctx, struct tg_record *rec)
{
	struct tg_intake *in = ctx;
	struct intake_item *item = calloc(1, sizeof(*item));
	struct tg_slice trace;

	if (!item)
		abort();
	strncpy(item->topic, rec->topic, sizeof(item->topic) - 1);
	item->partition = rec->partition;
	item->offset = rec->offset;
	parse(item, rec);
	if (tg_record_header(rec, "traceparent", &trace) && trace.len <= INTAKE_TRACE_MAX)
		item->trace = strndup(trace.data, trace.len);
	tg_record_free(rec);
	tg_list_push(&in->queue, &item->link);
	if (++in->queued >= INTAKE_QUEUE_MAX)
		tg_consumer_pause(in->consumer);
	run(in);
}

static void on_end(void *ctx, const char *topic, int32_t partition, int64_t next)
{
	(void)ctx, (void)topic, (void)partition, (void)next;
}

/* --- assignment --- */

static void drop_queue(struct tg_intake *in)
{
	tg_list_foreach_safe (it, next, &in->queue) {
		tg_list_remove(it);
		intake_item_free(tg_container_of(it, struct intake_item, link));
	}
	in->queued = 0;
}

static void on_revoke(void *ctx)
{
	struct tg_intake *in = ctx;

	in->generation++;
	drop_queue(in);
	in->revoked = in->busy;
	tg_consumer_resume(in->consumer);
}

/* A question asked under one assignment; its answer is for that one only. */
struct lookup {
	struct tg_intake *in;
	uint64_t generation;
	struct tg_partition part;
};

static struct lookup *lookup_new(struct tg_intake *in)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		abort();
	lookup->in = in;
	lookup->generation = in->generation;
	in->asking++;
	return lookup;
}

static void free_when_gone(struct tg_intake *in);

/* The intake if the answer still matters, else NULL. */
static struct tg_intake *lookup_end(struct lookup *lookup)
{
	struct tg_intake *in = lookup->in;
	bool ours = lookup->generation == in->generation && !in->closed;

	free(lookup);
	in->asking--;
	if (!ours)
		free_when_gone(in);
	return ours ? in : NULL;
}

static void ask_offsets(struct tg_intake *in);

static void on_offsets(void *ctx, int rc, const PGresult *res)
{
	struct tg_intake *in = lookup_end(ctx);

	if (!in)
		return;
	if (rc) {
		ask_offsets(in); /* the connection answers again when it is up */
		return;
	}
	for (size_t p = 0; p < in->parts_count; p++) {
		in->parts[p].offset = 0;
		for (int row = 0; row < PQntuples(res); row++)
			if (tg_slice_is(tg_pg_text(res, row, 0), in->parts[p].topic) &&
				tg_pg_i64(res, row, 1) == in->parts[p].partition)
				in->parts[p].offset = tg_pg_i64(res, row, 2);
	}
	tg_consumer_assign(in->consumer, in->parts, in->parts_count);
}

static void ask_offsets(struct tg_intake *in)
{
	struct lookup *lookup = lookup_new(in);
	const char *params[] = {in->d->conf->dispatch_group};

	if (tg_pg_query(in->d->read, sql_offsets, params, 1, on_offsets, lookup)) {
		lookup_end(lookup);
		tg_consumer_rejoin(in->consumer);
	}
}

static void on_assign(void *ctx, const struct tg_partition *parts, size_t n)
{
	struct tg_intake *in = ctx;

	in->generation++;
	free(in->parts);
	in->parts = calloc(n ? n : 1, sizeof(*parts));
	if (!in->parts)
		abort();
	memcpy(in->parts, parts, n * sizeof(*parts));
	in->parts_count = n;
	ask_offsets(in);
}

/* The log begins later, or was made anew: whatever is there is read from its beginning; repeats are
 * harmless. */
static void on_watermarks(void *ctx, int rc, int64_t low, int64_t high)
{
	struct tg_partition part = ((struct lookup *)ctx)->part;
	struct tg_intake *in = lookup_end(ctx);

	(void)high;
	if (in && rc)
		tg_consumer_rejoin(in->consumer);
	else if (in)
		tg_consumer_seek(in->consumer, part.topic, part.partition, low);
}

static void on_out_of_range(void *ctx, const char *topic, int32_t partition, int64_t offset)
{
	struct tg_intake *in = ctx;
	struct lookup *lookup = lookup_new(in);

	strncpy(lookup->part.topic, topic, sizeof(lookup->part.topic) - 1);
	lookup->part.partition = partition;
	tg_log(TG_WARN, "an offset outside the log: reading from its beginning",
		TG_F("topic", TG_S(topic)), TG_F("partition", TG_I(partition)),
		TG_F("offset", TG_I(offset)));
	if (tg_consumer_watermarks(in->consumer, topic, partition, on_watermarks, lookup)) {
		lookup_end(lookup);
		tg_consumer_rejoin(in->consumer);
	}
}

/* --- life --- */

static void free_when_gone(struct tg_intake *in)
{
	void (*closed)(void *ctx) = in->closed;
	void *ctx = in->closed_ctx;

	if (!in->gone || in->asking)
		return;
	drop_queue(in);
	free(in->parts);
	free(in);
	closed(ctx);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_intake *in = handle->data;

	in->gone = true;
	free_when_gone(in);
}

static void on_consumer_closed(void *ctx)
{
	struct tg_intake *in = ctx;

	uv_close((uv_handle_t *)&in->timer, on_timer_closed);
}

static void shut(struct tg_intake *in)
{
	drop_batch(in);
	tg_consumer_close(in->consumer);
}

int tg_intake_open(struct tg_dispatch *d, struct tg_intake **ret)
{
	static const struct tg_consumer_ops ops = {
		on_assign, on_revoke, on_record, on_end, on_out_of_range, on_consumer_closed};
	static const char *const topics[] = {INTAKE_TOPIC};
	struct tg_consumer_conf conf = {.brokers = d->conf->kafka_brokers,
		.group = d->conf->dispatch_group,
		.client_id = "tongguan-dispatch",
		.topics = topics,
		.topics_count = 1,
		.listen = d->conf->http_listen};
	struct tg_intake *in = calloc(1, sizeof(*in));
	int rc;

	if (!in)
		return -TG_ENOMEM;
	in->d = d;
	in->batch.d = d;
	in->at_most = INTAKE_BATCH_MAX;
	tg_list_init(&in->queue);
	rc = tg_consumer_open(d->loop, &conf, &ops, in, &in->consumer);
	if (rc) {
		free(in);
		return rc;
	}
	uv_timer_init(d->loop, &in->timer);
	in->timer.data = in;
	*ret = in;
	return 0;
}

bool tg_intake_connected(const struct tg_intake *in)
{
	return tg_consumer_connected(in->consumer);
}

void tg_intake_close(struct tg_intake *in, void (*closed)(void *ctx), void *ctx)
{
	in->closed = closed;
	in->closed_ctx = ctx;
	in->generation++;
	uv_timer_stop(&in->timer);
	if (!in->busy)
		shut(in);
}
