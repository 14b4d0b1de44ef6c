#include "ingest/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* One record may pass a batch's own limit: the largest event, each of its bytes escaped, and its
 * copies. */
#define SLACK_BYTES ((size_t)64 << 20)
#define NO_TIME     INT64_MIN

int tg_batch_new(size_t rows_max, size_t bytes_max, struct tg_batch **ret)
{
	struct tg_batch *batch = calloc(1, sizeof(*batch));

	assert(rows_max > 0);
	if (!batch)
		return -TG_ENOMEM;
	batch->rows_max = rows_max;
	batch->bytes_max = bytes_max;
	batch->rows.max = batch->bytes.max = bytes_max + SLACK_BYTES;
	batch->scratch.max = SLACK_BYTES;
	*ret = batch;
	return 0;
}

void tg_batch_free(struct tg_batch *batch)
{
	if (!batch)
		return;
	tg_buf_release(&batch->rows);
	tg_buf_release(&batch->bytes);
	tg_buf_release(&batch->outs);
	tg_buf_release(&batch->deads);
	tg_buf_release(&batch->scratch);
	free(batch->spans);
	free(batch);
}

int tg_batch_reset(struct tg_batch *batch, unsigned generation, size_t partitions)
{
	if (partitions > batch->spans_cap) {
		struct tg_span *grown = reallocarray(batch->spans, partitions, sizeof(*grown));

		if (!grown)
			return -TG_ENOMEM;
		batch->spans = grown;
		batch->spans_cap = partitions;
	}
	for (size_t i = 0; i < partitions; i++)
		batch->spans[i] = (struct tg_span){.high_us = NO_TIME};
	batch->spans_count = partitions;
	batch->generation = generation;
	tg_buf_reset(&batch->rows);
	tg_buf_reset(&batch->bytes);
	tg_buf_reset(&batch->outs);
	tg_buf_reset(&batch->deads);
	batch->rows_count = batch->outs_count = batch->deads_count = batch->outs_sent = 0;
	batch->days_count = 0;
	batch->first_mono_us = 0;
	return tg_row_head(&batch->rows);
}

bool tg_batch_empty(const struct tg_batch *batch)
{
	return batch->first_mono_us == 0;
}

bool tg_batch_full(const struct tg_batch *batch)
{
	return batch->rows_count >= batch->rows_max || batch->rows.len >= batch->bytes_max ||
	       batch->bytes.len >= 2 * batch->bytes_max ||
	       batch->outs_count >= 4 * batch->rows_max || batch->deads_count >= batch->rows_max ||
	       batch->days_count == TG_BATCH_DAYS_MAX;
}

int tg_batch_add_row(struct tg_batch *batch, const struct tg_row *row)
{
	int rc = tg_row_write(&batch->rows, &batch->scratch, row);

	if (!rc)
		batch->rows_count++;
	return rc;
}

int tg_batch_add_out(struct tg_batch *batch, const struct tg_out *out)
{
	int rc = tg_buf_add(&batch->outs, out, sizeof(*out));

	if (!rc)
		batch->outs_count++;
	return rc;
}

int tg_batch_add_header(struct tg_batch *batch, const char *name, struct tg_slice value)
{
	uint32_t len = value.data ? (uint32_t)value.len : TG_NO_HEADER_VALUE;
	int rc = tg_buf_add(&batch->bytes, name, strlen(name) + 1);

	if (!rc)
		rc = tg_buf_add(&batch->bytes, &len, sizeof(len));
	return rc ? rc : tg_buf_add_slice(&batch->bytes, value);
}

static int add_decimal(struct tg_buf *bytes, uint32_t v)
{
	char text[10], *p = text + sizeof(text);

	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	return tg_buf_add(bytes, p, (size_t)(text + sizeof(text) - p));
}

/* The key says what keeps a message with its neighbours: its region, or its source. */
static int add_key(struct tg_buf *bytes, const struct tg_located_out *located)
{
	if (located->place->by_source)
		return tg_buf_add_cstr(bytes, located->source_id);
	return add_decimal(bytes, (uint32_t)located->place->region);
}

static int add_message(
	struct tg_batch *batch, const struct tg_located_out *located, struct tg_out *out)
{
	struct tg_buf *bytes = &batch->bytes;
	int rc = add_key(bytes, located);

	if (rc)
		return rc;
	out->key_len = (uint32_t)(bytes->len - out->at);
	rc = located->raw.len ? tg_located_encode_around(located->loc, located->raw, bytes)
			      : tg_located_encode(located->loc, bytes);
	if (rc)
		return rc;
	out->value_len = (uint32_t)(bytes->len - out->at) - out->key_len;
	if (!located->traceparent.len)
		return 0;
	out->headers = 1;
	return tg_batch_add_header(batch, "traceparent", located->traceparent);
}

int tg_batch_add_located(struct tg_batch *batch, const struct tg_located_out *located)
{
	const struct tg_place *place = located->place;
	size_t bytes_len = batch->bytes.len, outs_len = batch->outs.len, outs = batch->outs_count;
	struct tg_out out = {
		.kind = TG_OUT_LOCATED, .partition = place->partition, .at = batch->bytes.len};
	int rc = add_message(batch, located, &out);

	if (!rc)
		rc = tg_batch_add_out(batch, &out);
	out.kind = TG_OUT_HALO;
	for (int i = 0; !rc && i < place->halo_count; i++) {
		out.partition = place->halo[i];
		rc = tg_batch_add_out(batch, &out);
	}
	if (rc) {
		batch->bytes.len = bytes_len;
		batch->outs.len = outs_len;
		batch->outs_count = outs;
	}
	return rc;
}

void tg_batch_advance(struct tg_batch *batch, size_t part, int64_t offset, int64_t occurred_us)
{
	struct tg_span *span = &batch->spans[part];

	assert(part < batch->spans_count);
	assert(offset >= span->next);
	if (!batch->first_mono_us)
		batch->first_mono_us = tg_mono_us();
	span->next = offset + 1;
	if (occurred_us > span->high_us)
		span->high_us = occurred_us;
}

void tg_batch_need_day(struct tg_batch *batch, uint32_t day)
{
	for (size_t i = batch->days_count; i > 0; i--) {
		if (batch->days[i - 1] == day)
			return;
	}
	assert(batch->days_count < TG_BATCH_DAYS_MAX);
	batch->days[batch->days_count++] = day;
}
