/* Looks at bytes before anything is allocated for them. protobuf-c neither limits nesting nor
 * checks text, and PostgreSQL refuses a whole COPY for one bad string: so both are settled here. */
#ifndef TG_PROTO_CODEC_SCAN_H
#define TG_PROTO_CODEC_SCAN_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "proto/reject.h"

/* Walks the wire form of desc's message: truncated, too_deep, too_many_fields, bad_utf8, nul_byte.
 * What passes is unpacked by protobuf-c in bounded memory (groups excepted: it refuses those). */
enum tg_reject tg_scan_wire(const ProtobufCMessageDescriptor *desc, struct tg_slice bytes);

/* nul_byte, bad_utf8 (overlong forms, surrogates and values over U+10FFFF included), or TG_ACCEPT.
 */
enum tg_reject tg_scan_text(struct tg_slice text);

#endif
