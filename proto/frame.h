/* Confluent's frame around a value: a zero byte, four bytes of schema number, and in protobuf the
 * path to the message within the schema: a count and so many indexes, as zigzag varints; a single
 * zero stands for the first message. What lies behind it is the event. Which schema it is we do not
 * ask: the registry's clients agree on a message that reads as ours, and the checks see whether it
 * does. */
#ifndef TG_PROTO_FRAME_H
#define TG_PROTO_FRAME_H

#include "proto/codec.h"

#define TG_FRAME_INDEXES_MAX 32 /* as deep as messages may lie in each other */

/* The value without its frame, in *ret; TG_REJECT_bad_frame when there is none or it is broken. A
 * value without data (a tombstone) passes as it is. */
enum tg_reject tg_frame_strip(enum tg_form form, struct tg_slice value, struct tg_slice *ret);

/* Is that topic in the comma separated list? */
bool tg_frame_topic(const char *framed_topics, const char *topic);

#endif
