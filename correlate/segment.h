/* Packed segments: what one batch added to windows and series, as it lies in Redis.
 *
 * Starts with the offset and a chunk number (so that no two segments are equal), then the prints of
 * the rules and the names (cells, sources) that occur, then the events, each once with the rules
 * whose windows hold it: 56 bytes and 2 for each rule. Then floors, each of one rule: the bases
 * that follow say how its series stood there, and the words that are part of them are all that is
 * needed of what was before it. Then words of series, 59 bytes each. All numbers big-endian. */
#ifndef TG_CORRELATE_SEGMENT_H
#define TG_CORRELATE_SEGMENT_H

#include "correlate/names.h"
#include "correlate/series.h"
#include "correlate/window.h"

struct tg_segment {
	struct tg_names *names; /* cells are from here */
	uint64_t stamp;         /* of this segment, for the names' numbers */
	struct tg_buf prints, cells, events, floors, bases, words;
	uint16_t *rule_local; /* rule index → number in this segment + 1 */
	size_t rules_len;
	uint16_t prints_len, cells_len;
	uint32_t len, floors_len, bases_len, words_len;
	int64_t newest_us; /* what it holds is needed while windows reach back to this */
	int rc;
};

TG_MUST int tg_segment_init(struct tg_segment *s, struct tg_names *names, size_t rules_len);
void tg_segment_release(struct tg_segment *s);
void tg_segment_reset(struct tg_segment *s);
/* rules: indexes of the rules that keep the event; prints: by rule index. */
void tg_segment_add(struct tg_segment *s, const struct tg_seen *seen, const uint32_t *rules,
	size_t n, const uint64_t *prints);
void tg_segment_floor(struct tg_segment *s, uint32_t rule, uint64_t print, int64_t floor_us);
/* source: of the segment's names. settled: part of the base. */
void tg_segment_base(struct tg_segment *s, uint32_t rule, uint64_t print, const char *source,
	bool raised, int64_t raised_us);
void tg_segment_word(struct tg_segment *s, uint32_t rule, uint64_t print, const char *source,
	const struct tg_word *word, bool settled);
bool tg_segment_empty(const struct tg_segment *s);
/* Appends the packed bytes; s stays for reset. The first failure of all adds is returned here. */
TG_MUST int tg_segment_pack(
	const struct tg_segment *s, int64_t offset, uint32_t chunk, struct tg_buf *out);

/* Reads one back. -TG_EPARSE when the bytes are no segment; else the first failure of a callback.
 */
struct tg_segment_reader {
	void *ctx;
	/* an event with the prints of its rules */
	int (*event)(void *ctx, const struct tg_seen *seen, const uint64_t *prints, size_t n);
	int (*floor)(void *ctx, uint64_t print, int64_t floor_us);
	int (*base)(void *ctx, uint64_t print, const char *source, bool raised, int64_t raised_us);
	int (*word)(void *ctx, uint64_t print, const char *source, const struct tg_word *word,
		bool settled);
};
TG_MUST int tg_segment_read(
	struct tg_slice bytes, struct tg_names *names, const struct tg_segment_reader *reader);

#endif
