/* Event bytes as they come from Kafka: scan, decode, check; and what ingest sends on. */
#include "tests/fuzz/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_slice bytes = {(const char *)data, len};
	struct tg_arena arena;
	tg_located_pb *located;

	tg_arena_init(&arena, 65536, FUZZ_EVENT_MEMORY);
	fuzz_event(&arena, TG_FORM_PROTOBUF, bytes);
	located = tg_located_decode(&arena, bytes);
	if (located) {
		struct tg_buf out = {0};

		FUZZ_HOLDS(tg_located_encode(located, &out) == 0);
		if (out.len)
			FUZZ_HOLDS(tg_located_decode(&arena, (struct tg_slice){out.data, out.len}));
		tg_buf_release(&out);
	}
	tg_arena_release(&arena);
	return 0;
}
