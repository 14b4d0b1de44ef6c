/* Why an event is refused. A refusal is a value, not an error: it is counted, dead-lettered with
 * its name, and costs its neighbours nothing. The names are part of the public contract. */
#ifndef TG_PROTO_REJECT_H
#define TG_PROTO_REJECT_H

/* X(name, what to mend) */
#define TG_REJECTS(X)                                                                     \
	X(tombstone, "a record without a value is no event")                              \
	X(too_large, "an event has at most 1 MiB")                                        \
	X(truncated, "the protobuf bytes end inside a field or are not protobuf")         \
	X(too_deep, "nesting is limited to 32 levels")                                    \
	X(too_many_fields, "at most 4096 fields in all")                                  \
	X(malformed_json, "the value is not one JSON object of the event's form")         \
	X(bad_utf8, "text must be valid UTF-8")                                           \
	X(nul_byte, "text must not hold a NUL byte")                                      \
	X(missing_field, "event_id, source_id, source_kind and occurred_at are required") \
	X(field_too_long, "ids have 1 to 64 bytes, a report's text at most 16 KiB")       \
	X(bad_enum, "an enumeration holds a value that does not exist")                   \
	X(not_finite, "numbers must be finite")                                           \
	X(lon_out_of_range, "longitude lies between -180 and 180 degrees")                \
	X(lat_out_of_range, "latitude lies between -90 and 90 degrees")                   \
	X(time_ahead, "the event lies too far ahead of its arrival")                      \
	X(time_too_old, "the event is older than the retention")                          \
	X(bad_type_code, "a type code has 5 digits")                                      \
	X(too_many_attributes, "at most 32 attributes")                                   \
	X(no_payload, "one of reading, report, position, status is required")             \
	X(unknown_device, "without a location the device must be registered")             \
	X(bad_frame, "this topic's values begin with a frame: 0, schema number, indexes")

enum tg_reject {
	TG_ACCEPT = 0,
#define TG_X(name, text) TG_REJECT_##name,
	TG_REJECTS(TG_X)
#undef TG_X
		TG_REJECT_COUNT
};

const char *tg_reject_name(enum tg_reject why); /* "accepted" for TG_ACCEPT */
const char *tg_reject_text(enum tg_reject why);
extern const char *const
	tg_reject_labels[]; /* names without "accepted", NULL-terminated; index = value - 1 */

#endif
