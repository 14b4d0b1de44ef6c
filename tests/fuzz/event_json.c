/* Events in JSON, bare and in a CloudEvents envelope. What we take, another reader takes too. */
#include "tests/fuzz/event.h"

/* jansson has no number beyond a double and no key of more than its limit; nor have we asked. */
static void taken_elsewhere(struct tg_slice text)
{
	json_error_t error;
	json_t *doc = json_loadb(text.data, text.len, JSON_ALLOW_NUL, &error);

	if (!doc && !strstr(error.text, "too big") && !strstr(error.text, "overflow")) {
		fprintf(stderr, "jansson: %s\n", error.text);
		abort();
	}
	json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum tg_form forms[] = {TG_FORM_JSON, TG_FORM_CLOUDEVENTS};
	struct tg_slice text = {(const char *)data, len};
	struct tg_arena arena;

	tg_arena_init(&arena, 65536, FUZZ_EVENT_MEMORY);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		tg_event_pb *ev;

		if (tg_event_decode(&arena, forms[i], text, &ev) == TG_ACCEPT)
			taken_elsewhere(text);
		fuzz_event(&arena, forms[i], text);
		tg_arena_reset(&arena);
	}
	tg_arena_release(&arena);
	return 0;
}
