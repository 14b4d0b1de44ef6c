/* The reader of the event's JSON form. Straight from text to the message in the arena: no tree
 * between. */
#ifndef TG_PROTO_CODEC_JSON_H
#define TG_PROTO_CODEC_JSON_H

#include <stdbool.h>

#include "proto/codec.h"

/* One event object; with envelope set a CloudEvents 1.0 object whose `data` is the event and whose
 * id, source and time fill what the event leaves empty. Unknown members are passed over, null is
 * absence, and a member given twice is malformed. */
enum tg_reject tg_event_read_json(
	struct tg_arena *arena, bool envelope, struct tg_slice text, tg_event_pb **ret);

#endif
