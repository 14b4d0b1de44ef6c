/* The rows of record batches that wait for their partition's broker. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/kafka_produce.h"

#define BATCH_BYTES ((size_t)256 << 10) /* one larger message has a batch of its own */
#define BATCH_FIRST ((size_t)4 << 10)
#define SPARE_MAX   32
#define RUNS_FIRST  4

void batch_free(struct batch *batch)
{
	tg_buf_release(&batch->bytes);
	free(batch->runs);
	free(batch);
}

static struct batch *batch_new(struct tg_producer *p)
{
	struct batch *batch;

	if (tg_list_empty(&p->spare)) {
		batch = calloc(1, sizeof(*batch));
		if (!batch)
			return NULL;
		tg_list_init(&batch->entry);
	} else {
		batch = tg_container_of(p->spare.next, struct batch, entry);
		tg_list_remove(&batch->entry);
		p->spare_count--;
	}
	if (tg_buf_reserve(&batch->bytes, BATCH_FIRST)) {
		batch_free(batch);
		return NULL;
	}
	batch->stamp_ms = tg_now_us() / 1000;
	batch->since_ms = uv_now(p->loop);
	return batch;
}

static void batch_recycle(struct tg_producer *p, struct batch *batch)
{
	if (p->spare_count == SPARE_MAX || batch->bytes.cap > 2 * BATCH_BYTES) {
		batch_free(batch);
		return;
	}
	tg_buf_reset(&batch->bytes);
	batch->records = 0;
	batch->sealed = false;
	batch->runs_count = 0;
	tg_list_push(p->spare.next, &batch->entry); /* the warmest is taken next */
	p->spare_count++;
}

struct batch *batch_first(const struct producer_part *part)
{
	return tg_list_empty(&part->batches)
		       ? NULL
		       : tg_container_of(part->batches.next, struct batch, entry);
}

bool batch_full(const struct batch *batch)
{
	return batch->bytes.len >= BATCH_BYTES / 2;
}

/* The batch of a part that takes `room` more bytes. */
static struct batch *batch_open(struct tg_producer *p, struct producer_part *part, size_t room)
{
	struct batch *last = tg_container_of(part->batches.prev, struct batch, entry);

	if (!tg_list_empty(&part->batches) && !last->sealed &&
		last->bytes.len + room <= BATCH_BYTES)
		return last;
	last = batch_new(p);
	if (last)
		tg_list_push(&part->batches, &last->entry);
	return last;
}

static int count_record(struct batch *batch, void *tag)
{
	struct batch_run *run = batch->runs_count ? &batch->runs[batch->runs_count - 1] : NULL;

	if (!run || run->tag != tag) {
		if (batch->runs_count == batch->runs_cap) {
			size_t cap = batch->runs_cap ? 2 * batch->runs_cap : RUNS_FIRST;
			struct batch_run *grown = reallocarray(batch->runs, cap, sizeof(*grown));

			if (!grown)
				return -TG_ENOMEM;
			batch->runs = grown;
			batch->runs_cap = cap;
		}
		run = &batch->runs[batch->runs_count++];
		*run = (struct batch_run){tag, 0};
	}
	run->records++;
	batch->records++;
	return 0;
}

/* A record was written behind `len` bytes: counted, or taken back. */
static int keep_record(struct tg_producer *p, struct batch *batch, size_t len, int rc, void *tag)
{
	if (!rc)
		rc = count_record(batch, tag);
	if (rc) {
		batch->bytes.len = len;
		return rc;
	}
	p->bytes += batch->bytes.len - len;
	return 0;
}

static void drop(struct tg_producer *p, struct batch *batch)
{
	p->bytes -= batch->bytes.len;
	tg_list_remove(&batch->entry);
	batch_recycle(p, batch);
}

int batch_add(struct tg_producer *p, struct producer_part *part, const struct wire_message *message,
	void *tag)
{
	struct batch *batch =
		batch_open(p, part, message->bytes + WIRE_RECORD_HEAD + WIRE_BATCH_HEADER);
	size_t len;
	int rc;

	if (!batch)
		return -TG_ENOMEM;
	len = batch->bytes.len;
	rc = wire_record(&batch->bytes, batch->records, message);
	rc = keep_record(p, batch, len, rc, tag);
	if (!batch->records)
		drop(p, batch);
	return rc;
}

void batch_end(struct tg_producer *p, struct producer_part *part, int64_t offset, int rc)
{
	struct batch *batch = batch_first(part);

	tg_list_remove(&batch->entry);
	p->bytes -= batch->bytes.len;
	for (size_t i = 0; i < batch->runs_count; i++) {
		const struct batch_run *run = &batch->runs[i];

		for (uint32_t k = 0; k < run->records; k++) {
			p->in_flight--;
			p->delivered_at = offset++;
			if (p->on_delivery)
				p->on_delivery(p->ctx, run->tag, rc);
		}
	}
	batch_recycle(p, batch);
}

/* --- records that move --- */

/* Walks over the records of a batch. */
struct walk {
	struct wire_reader r;
	const struct batch_run *run;
	uint32_t used; /* records of run that are behind us */
};

static struct walk walk_of(const struct batch *batch)
{
	const char *from = batch->bytes.data + WIRE_BATCH_HEADER;

	return (struct walk){{from, batch->bytes.data + batch->bytes.len, false}, batch->runs, 0};
}

/* The next record goes to another batch, or is reported when memory is out. */
static void walk_move(struct tg_producer *p, struct walk *w, struct batch *to)
{
	void *tag = w->run->tag;
	size_t len = to ? to->bytes.len : 0;
	int rc = wire_record_copy(to ? &to->bytes : NULL, to ? to->records : 0, &w->r);

	if (to)
		rc = keep_record(p, to, len, rc, tag);
	if (++w->used == w->run->records) {
		w->run++;
		w->used = 0;
	}
	if (!rc)
		return;
	p->in_flight--;
	if (p->on_delivery)
		p->on_delivery(p->ctx, tag, rc);
}

void batch_cut(struct tg_producer *p, struct producer_part *part)
{
	struct batch *whole = batch_first(part), *halves[2] = {batch_new(p), batch_new(p)};
	struct walk w = walk_of(whole);

	for (int32_t i = 0; i < whole->records; i++)
		walk_move(p, &w, halves[i >= whole->records / 2]);
	for (int i = 0; i < 2; i++) {
		if (!halves[i])
			continue;
		tg_list_push(&whole->entry, &halves[i]->entry);
		if (!halves[i]->records)
			drop(p, halves[i]);
	}
	drop(p, whole);
}

static void place_batch(struct tg_producer *p, struct producer_topic *topic, struct batch *from)
{
	struct walk w = walk_of(from);

	for (int32_t i = 0; i < from->records; i++) {
		struct tg_slice key = {0};
		size_t room = 0;
		int bad = wire_record_peek(w.r, &room, &key); /* ours: never */
		struct producer_part *part = &topic->parts[route_partition(topic, key)];
		struct batch *to = bad ? NULL : batch_open(p, part, room + WIRE_BATCH_HEADER);

		walk_move(p, &w, to);
		if (to && !to->records)
			drop(p, to);
	}
	drop(p, from);
}

void batch_place(struct tg_producer *p, struct producer_topic *topic)
{
	struct batch *from;

	while ((from = batch_first(&topic->nowhere)))
		place_batch(p, topic, from);
}
