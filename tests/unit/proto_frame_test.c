/* Confluent's frame: what may stand before an event, and what is no frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "proto/frame.h"

struct framed {
	const char *name;
	enum tg_form form;
	struct tg_slice value;
	enum tg_reject why;
	struct tg_slice inner;
};

#define S(lit)                         \
	{                              \
		(lit), sizeof(lit) - 1 \
	}

static const struct framed table[] = {
	{"the first message", TG_FORM_PROTOBUF, S("\0\0\0\0\7\0event"), TG_ACCEPT, S("event")},
	{"the first message, counted", TG_FORM_PROTOBUF, S("\0\0\0\0\7\2\0event"), TG_ACCEPT,
		S("event")},
	{"a message in a message", TG_FORM_PROTOBUF, S("\0\377\377\377\377\4\2\4event"), TG_ACCEPT,
		S("event")},
	{"an index of two bytes", TG_FORM_PROTOBUF, S("\0\0\0\0\7\2\200\2event"), TG_ACCEPT,
		S("event")},
	{"an event of no bytes", TG_FORM_PROTOBUF, S("\0\0\0\0\7\0"), TG_ACCEPT, S("")},
	{"JSON has no indexes", TG_FORM_JSON, S("\0\0\0\0\7{}"), TG_ACCEPT, S("{}")},
	{"no zero byte", TG_FORM_PROTOBUF, S("\1\0\0\0\7\0event"), TG_REJECT_bad_frame, S("")},
	{"a bare event", TG_FORM_PROTOBUF, S("\n\1x\22\1y"), TG_REJECT_bad_frame, S("")},
	{"bare JSON", TG_FORM_JSON, S("{\"a\": 1}"), TG_REJECT_bad_frame, S("")},
	{"nothing", TG_FORM_PROTOBUF, S(""), TG_REJECT_bad_frame, S("")},
	{"cut in the number", TG_FORM_PROTOBUF, S("\0\0\0\0"), TG_REJECT_bad_frame, S("")},
	{"no indexes", TG_FORM_PROTOBUF, S("\0\0\0\0\7"), TG_REJECT_bad_frame, S("")},
	{"cut in the count", TG_FORM_PROTOBUF, S("\0\0\0\0\7\200"), TG_REJECT_bad_frame, S("")},
	{"an index missing", TG_FORM_PROTOBUF, S("\0\0\0\0\7\4\0"), TG_REJECT_bad_frame, S("")},
	{"a negative count", TG_FORM_PROTOBUF, S("\0\0\0\0\7\1event"), TG_REJECT_bad_frame, S("")},
	{"a negative index", TG_FORM_PROTOBUF, S("\0\0\0\0\7\2\1event"), TG_REJECT_bad_frame,
		S("")},
	{"33 indexes", TG_FORM_PROTOBUF, S("\0\0\0\0\7\102event"), TG_REJECT_bad_frame, S("")},
	{"an endless varint", TG_FORM_PROTOBUF, S("\0\0\0\0\7\377\377\377\377\377\1event"),
		TG_REJECT_bad_frame, S("")},
};

static void frame_strip__takes_a_whole_frame_and_refuses_any_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct tg_slice inner = {NULL, 0};
		enum tg_reject why = tg_frame_strip(table[i].form, table[i].value, &inner);

		if (why != table[i].why)
			fail_msg("%s: %s", table[i].name, tg_reject_name(why));
		if (!why && !tg_slice_eq(inner, table[i].inner))
			fail_msg("%s: %zu bytes left", table[i].name, inner.len);
	}
}

static void frame_strip__leaves_a_tombstone_a_tombstone(void **state)
{
	struct tg_slice inner = {"x", 1};

	(void)state;
	assert_int_equal(tg_frame_strip(TG_FORM_PROTOBUF, (struct tg_slice){NULL, 0}, &inner), 0);
	assert_null(inner.data);
}

static void frame_topic__knows_whole_names_only(void **state)
{
	(void)state;
	assert_true(tg_frame_topic("a,b.c", "b.c"));
	assert_true(tg_frame_topic(" a , b.c ", "a"));
	assert_false(tg_frame_topic("a,b.c", "b"));
	assert_false(tg_frame_topic("a,b.c", "b.c.d"));
	assert_false(tg_frame_topic("", "a"));
	assert_false(tg_frame_topic("a,,b", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_strip__takes_a_whole_frame_and_refuses_any_other),
		cmocka_unit_test(frame_strip__leaves_a_tombstone_a_tombstone),
		cmocka_unit_test(frame_topic__knows_whole_names_only),
	};

	return cmocka_run_group_tests_name("proto_frame", tests, NULL, NULL);
}
