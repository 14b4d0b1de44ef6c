#include "ingest/deadletter.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "proto/codec_scan.h"

#define ORIGIN_HEADERS 4 /* reason, source_topic, source_partition, source_offset */
#define HEADERS_KEPT   (UINT8_MAX - ORIGIN_HEADERS)

enum param { TOPICS, PARTITIONS, OFFSETS, REASONS, DETAILS, RECEIVED, KEYS, VALUES, HEADERS };
_Static_assert(HEADERS + 1 == TG_DEAD_PARAMS, "one array a column");

static bool is_text(struct tg_slice s)
{
	return tg_scan_text(s) == TG_ACCEPT;
}

static int hex(struct tg_buf *out, struct tg_slice bytes)
{
	static const char digits[] = "0123456789abcdef";
	int rc = tg_buf_reserve(out, 2 * bytes.len);

	if (rc)
		return rc;
	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t byte = (uint8_t)bytes.data[i];

		out->data[out->len++] = digits[byte >> 4];
		out->data[out->len++] = digits[byte & 15];
	}
	return 0;
}

static int header_json(struct tg_jw *w, struct tg_buf *scratch, const struct tg_header *h)
{
	struct tg_slice name = tg_slice_cstr(h->name);
	int rc;

	tg_jw_object(w, NULL);
	tg_jw_slice(w, "name", is_text(name) ? name : TG_SLICE("?"));
	if (!h->value.data) {
		tg_jw_null(w, "value");
	} else if (is_text(h->value)) {
		tg_jw_slice(w, "value", h->value);
	} else {
		tg_buf_reset(scratch);
		rc = hex(scratch, h->value);
		if (rc)
			return rc;
		tg_jw_slice(w, "hex", (struct tg_slice){scratch->data, scratch->len});
	}
	tg_jw_object_end(w);
	return 0;
}

static int headers_json(struct tg_batch *batch, const struct tg_header *headers, size_t n)
{
	struct tg_jw w;
	int rc = 0, written;

	tg_jw_begin(&w, &batch->bytes);
	tg_jw_array(&w, NULL);
	for (size_t i = 0; !rc && i < n; i++)
		rc = header_json(&w, &batch->scratch, &headers[i]);
	tg_jw_array_end(&w);
	written = rc ? rc : tg_jw_end(&w);
	return written;
}

static int add_origin(struct tg_batch *batch, const struct tg_record *rec, enum tg_reject why)
{
	char number[24];
	int rc, n;

	rc = tg_batch_add_header(batch, "reason", tg_slice_cstr(tg_reject_name(why)));
	if (!rc)
		rc = tg_batch_add_header(batch, "source_topic", tg_slice_cstr(rec->topic));
	n = snprintf(number, sizeof(number), "%d", rec->partition);
	if (!rc)
		rc = tg_batch_add_header(
			batch, "source_partition", (struct tg_slice){number, (size_t)n});
	n = snprintf(number, sizeof(number), "%lld", (long long)rec->offset);
	if (!rc)
		rc = tg_batch_add_header(
			batch, "source_offset", (struct tg_slice){number, (size_t)n});
	return rc;
}

/* Key topic/partition/offset, the original value, the original headers and then where it came from.
 */
static int add_message(struct tg_batch *batch, const struct tg_record *rec, enum tg_reject why,
	const struct tg_header *headers, size_t n, size_t *ret_value_at)
{
	struct tg_buf *bytes = &batch->bytes;
	struct tg_out out = {.kind = TG_OUT_DEAD, .partition = -1, .at = bytes->len};
	int rc = tg_buf_addf(
		bytes, "%s/%d/%lld", rec->topic, rec->partition, (long long)rec->offset);

	if (rc)
		return rc;
	out.key_len = (uint32_t)(bytes->len - out.at);
	out.tombstone = !rec->value.data;
	out.value_len = (uint32_t)rec->value.len;
	*ret_value_at = bytes->len;
	rc = tg_buf_add_slice(bytes, rec->value);
	for (size_t i = 0; !rc && i < n; i++)
		rc = tg_batch_add_header(batch, headers[i].name, headers[i].value);
	if (!rc)
		rc = add_origin(batch, rec, why);
	out.headers = (uint8_t)(n + ORIGIN_HEADERS);
	return rc ? rc : tg_batch_add_out(batch, &out);
}

static int add_row(struct tg_batch *batch, const struct tg_record *rec, struct tg_dead *dead,
	const struct tg_header *headers, size_t n)
{
	struct tg_buf *bytes = &batch->bytes;
	int rc;

	dead->no_key = !rec->key.data;
	dead->no_value = !rec->value.data;
	dead->key_at = bytes->len;
	dead->key_len = (uint32_t)rec->key.len;
	dead->value_len = (uint32_t)rec->value.len;
	rc = tg_buf_add_slice(bytes, rec->key);
	dead->headers_at = bytes->len;
	if (!rc)
		rc = headers_json(batch, headers, n);
	dead->headers_len = (uint32_t)(bytes->len - dead->headers_at);
	return rc ? rc : tg_buf_add(&batch->deads, dead, sizeof(*dead));
}

int tg_dead_add(struct tg_batch *batch, const struct tg_record *rec, size_t part,
	enum tg_reject why, int64_t received_us, bool stored)
{
	struct tg_dead dead = {
		.part = part, .offset = rec->offset, .received_us = received_us, .why = why};
	size_t bytes_len = batch->bytes.len, outs_len = batch->outs.len, outs = batch->outs_count;
	struct tg_header headers[HEADERS_KEPT];
	size_t n = tg_record_headers(rec, headers, HEADERS_KEPT);
	int rc = add_message(batch, rec, why, headers, n, &dead.value_at);

	if (!rc && !stored)
		rc = add_row(batch, rec, &dead, headers, n);
	if (rc) {
		batch->bytes.len = bytes_len;
		batch->outs.len = outs_len;
		batch->outs_count = outs;
	} else if (!stored) {
		batch->deads_count++;
	}
	return rc;
}

/* An element of a text array: quoted, with quotes and backslashes escaped. */
static int add_text(struct tg_buf *out, struct tg_slice s)
{
	int rc = tg_buf_add(out, "\"", 1);

	for (size_t i = 0; !rc && i < s.len; i++) {
		if (s.data[i] == '"' || s.data[i] == '\\')
			rc = tg_buf_add(out, "\\", 1);
		if (!rc)
			rc = tg_buf_add(out, &s.data[i], 1);
	}
	return rc ? rc : tg_buf_add(out, "\"", 1);
}

static int add_bytea(struct tg_buf *out, bool absent, struct tg_slice s)
{
	int rc;

	if (absent)
		return tg_buf_add_cstr(out, "NULL");
	rc = tg_buf_add_cstr(out, "\"\\\\x");
	if (!rc)
		rc = hex(out, s);
	return rc ? rc : tg_buf_add(out, "\"", 1);
}

static int add_params(const struct tg_batch *batch, const struct tg_dead *dead, const char *topic,
	int32_t partition, struct tg_buf p[TG_DEAD_PARAMS])
{
	const char *bytes = batch->bytes.data;
	int rc = add_text(&p[TOPICS], tg_slice_cstr(topic));

	if (!rc)
		rc = tg_buf_addf(&p[PARTITIONS], "%d", partition);
	if (!rc)
		rc = tg_buf_addf(&p[OFFSETS], "%lld", (long long)dead->offset);
	if (!rc)
		rc = add_text(&p[REASONS], tg_slice_cstr(tg_reject_name(dead->why)));
	if (!rc)
		rc = add_text(&p[DETAILS], tg_slice_cstr(tg_reject_text(dead->why)));
	if (!rc)
		rc = tg_buf_addf(&p[RECEIVED], "%lld", (long long)dead->received_us);
	if (!rc)
		rc = add_bytea(&p[KEYS], dead->no_key,
			(struct tg_slice){bytes + dead->key_at, dead->key_len});
	if (!rc)
		rc = add_bytea(&p[VALUES], dead->no_value,
			(struct tg_slice){bytes + dead->value_at, dead->value_len});
	if (!rc)
		rc = add_text(&p[HEADERS],
			(struct tg_slice){bytes + dead->headers_at, dead->headers_len});
	return rc;
}

int tg_dead_params(const struct tg_batch *batch, tg_part_name name, void *ctx,
	struct tg_buf params[TG_DEAD_PARAMS])
{
	int rc = 0;

	for (int i = 0; i < TG_DEAD_PARAMS; i++)
		tg_buf_reset(&params[i]);
	for (size_t d = 0; !rc && d < batch->deads_count; d++) {
		const struct tg_dead *dead = tg_batch_dead(batch, d);
		int32_t partition;
		const char *topic = name(ctx, dead->part, &partition);

		for (int i = 0; !rc && i < TG_DEAD_PARAMS; i++)
			rc = tg_buf_add(&params[i], d ? "," : "{", 1);
		if (!rc)
			rc = add_params(batch, dead, topic, partition, params);
	}
	for (int i = 0; !rc && i < TG_DEAD_PARAMS; i++) {
		rc = tg_buf_add(&params[i], "}", 1);
		if (!rc && !tg_buf_cstr(&params[i]))
			rc = -TG_ENOMEM;
	}
	return rc;
}
