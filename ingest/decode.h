/* One Kafka record → one checked event, or the name of what is wrong with it. Pure. */
#ifndef TG_INGEST_DECODE_H
#define TG_INGEST_DECODE_H

#include "base/io/kafka.h"
#include "proto/codec.h"

struct tg_decode_limits {
	int64_t ahead_us, retention_us;
	const char *framed_topics; /* comma separated; see proto/frame.h */
};

struct tg_decoded {
	tg_event_pb *ev;
	/* The event as it came, packed and without a frame, when that holds nothing that ev does
	 * not show; else empty.
	 */
	struct tg_slice packed;
};

/* now_us: ingest's clock, which counts as the arrival when the topic does not stamp records itself.
 */
enum tg_reject tg_decode(struct tg_arena *arena, const struct tg_record *rec,
	const struct tg_decode_limits *limits, int64_t now_us, struct tg_decoded *ret);

/* For a record that was accepted and stored before: what depends on the clock is not asked again.
 */
enum tg_reject tg_decode_again(struct tg_arena *arena, const struct tg_record *rec,
	const struct tg_decode_limits *limits, struct tg_decoded *ret);

/* When the record reached Kafka, as far as that is known. */
int64_t tg_record_arrival_us(const struct tg_record *rec, int64_t now_us);

#endif
