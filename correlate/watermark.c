#include <stdlib.h>
#include <string.h>

#include "correlate/reader.h"
#include "correlate/watermark.h"

#define FORM 1

void tg_watermark_release(struct tg_watermark *w)
{
	free(w->marks);
	*w = (struct tg_watermark){.least_us = TG_WATERMARK_NONE};
}

int64_t tg_watermark_us(const struct tg_watermark *w)
{
	return w->len ? w->least_us : TG_WATERMARK_NONE;
}

static struct tg_source_mark *find(struct tg_watermark *w, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < w->len; i++) {
		size_t at = (w->last + i) % w->len;

		if (w->marks[at].partition == partition && strcmp(w->marks[at].topic, topic) == 0) {
			w->last = at;
			return &w->marks[at];
		}
	}
	return NULL;
}

static int add(struct tg_watermark *w, const char *topic, int32_t partition, int64_t event_us)
{
	struct tg_source_mark *marks, *m;

	if (w->len == TG_SOURCES_MAX || strlen(topic) >= sizeof(m->topic))
		return -TG_EFULL;
	marks = realloc(w->marks, (w->len + 1) * sizeof(*marks));
	if (!marks)
		return -TG_ENOMEM;
	w->marks = marks;
	m = &marks[w->len++];
	*m = (struct tg_source_mark){.partition = partition, .event_us = event_us};
	memcpy(m->topic, topic, strlen(topic) + 1);
	/* A source that turns up late must not take back what was judged by the others. */
	if (w->len == 1)
		w->least_us = event_us;
	else if (event_us < w->least_us)
		m->event_us = w->least_us;
	return 0;
}

int tg_watermark_expect(struct tg_watermark *w, const char *topic, int32_t partition)
{
	return find(w, topic, partition) ? 0 : add(w, topic, partition, TG_WATERMARK_NONE);
}

bool tg_watermark_knows(struct tg_watermark *w, const char *topic, int32_t partition)
{
	return find(w, topic, partition) != NULL;
}

int tg_watermark_note(
	struct tg_watermark *w, const char *topic, int32_t partition, int64_t event_us)
{
	struct tg_source_mark *m = find(w, topic, partition);
	int64_t before;

	if (!m)
		return add(w, topic, partition, event_us);
	if (event_us <= m->event_us)
		return 0;
	before = m->event_us;
	m->event_us = event_us;
	if (before > w->least_us)
		return 0;
	w->least_us = event_us;
	for (size_t i = 0; i < w->len; i++)
		if (w->marks[i].event_us < w->least_us)
			w->least_us = w->marks[i].event_us;
	return 0;
}

int tg_watermark_encode(const struct tg_watermark *w, struct tg_buf *out)
{
	int rc = tg_buf_put_u8(out, FORM);

	if (!rc)
		rc = tg_buf_put_u64(out, (uint64_t)w->least_us);
	if (!rc)
		rc = tg_buf_put_u16(out, (uint16_t)w->len);
	for (size_t i = 0; i < w->len && !rc; i++) {
		const struct tg_source_mark *m = &w->marks[i];
		size_t len = strlen(m->topic);

		rc = tg_buf_put_u8(out, (uint8_t)len);
		if (!rc)
			rc = tg_buf_add(out, m->topic, len);
		if (!rc)
			rc = tg_buf_put_u32(out, (uint32_t)m->partition);
		if (!rc)
			rc = tg_buf_put_u64(out, (uint64_t)m->event_us);
	}
	return rc;
}

int tg_watermark_decode(struct tg_watermark *w, struct tg_slice bytes)
{
	struct tg_reader r = {bytes.data, bytes.len, false};
	struct tg_watermark fresh = {0};
	uint64_t n;
	int rc = 0;

	tg_watermark_release(w);
	if (tg_read_uint(&r, 1) != FORM)
		return -TG_EPARSE;
	fresh.least_us = (int64_t)tg_read_uint(&r, 8);
	n = tg_read_uint(&r, 2);
	if (n)
		fresh.marks = calloc(n, sizeof(*fresh.marks));
	for (uint64_t i = 0; i < n && fresh.marks && !r.bad; i++) {
		struct tg_source_mark *m = &fresh.marks[fresh.len++];
		size_t len = (size_t)tg_read_uint(&r, 1);
		const char *topic = tg_read_bytes(&r, len);

		if (topic && len < sizeof(m->topic))
			memcpy(m->topic, topic, len);
		m->partition = (int32_t)tg_read_uint(&r, 4);
		m->event_us = (int64_t)tg_read_uint(&r, 8);
	}
	if (r.bad || r.len || fresh.len != n)
		rc = -TG_EPARSE;
	if (rc)
		tg_watermark_release(&fresh);
	*w = fresh;
	return rc;
}
