/* How far event time has come: per source partition the newest time seen, over all of them the
 * least. */
#ifndef TG_CORRELATE_WATERMARK_H
#define TG_CORRELATE_WATERMARK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define TG_WATERMARK_NONE INT64_MIN /* nothing seen yet */
#define TG_SOURCES_MAX    4096

struct tg_source_mark {
	char topic[128];
	int32_t partition;
	int64_t event_us;
};

struct tg_watermark {
	struct tg_source_mark *marks;
	size_t len, last; /* last: the one noted last, tried first */
	int64_t least_us;
};

void tg_watermark_release(struct tg_watermark *w);
/* Never moves back. -TG_EFULL past TG_SOURCES_MAX sources. */
TG_MUST int tg_watermark_note(
	struct tg_watermark *w, const char *topic, int32_t partition, int64_t event_us);
/* A source that will be heard of: until then there is no watermark, if there is none yet. One that
 * turns up when time has been told already starts there. */
TG_MUST int tg_watermark_expect(struct tg_watermark *w, const char *topic, int32_t partition);
bool tg_watermark_knows(struct tg_watermark *w, const char *topic, int32_t partition);
int64_t tg_watermark_us(const struct tg_watermark *w); /* TG_WATERMARK_NONE before the first */
TG_MUST int tg_watermark_encode(const struct tg_watermark *w, struct tg_buf *out);
/* Replaces w. -TG_EPARSE leaves it empty. */
TG_MUST int tg_watermark_decode(struct tg_watermark *w, struct tg_slice bytes);

#endif
