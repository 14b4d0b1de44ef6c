/* A feed profile and its file: the input is both, divided by a line "%%". The format is the
 * profile's. A table of places, t.csv, lies beside. */
#include "cmd/feed_series.h"
#include "proto/codec.h"
#include "tests/fuzz/fuzz.h"

static const char *const names[] = {"p.yaml", "f", "t.csv", NULL};
static const char table[] = "value,lon,lat\nnorth,10.5,57.5\nsouth,10,50\n";

static void walk(struct feed_series *series, struct feed_tally *tally)
{
	struct tg_arena arena;
	struct feed_item item;
	struct tg_buf why = {0};
	uint64_t events = 0;
	int64_t last_us = INT64_MIN, latest_us = INT64_MIN;
	int rc, known = feed_series_last(series, &latest_us, &why);

	tg_arena_init(&arena, 65536, (size_t)16 << 20);
	while ((rc = feed_series_peek(series, &item, &why)) == 1) {
		tg_event_pb *ev;

		FUZZ_HOLDS(
			tg_event_decode(&arena, TG_FORM_PROTOBUF, item.packed, &ev) == TG_ACCEPT);
		FUZZ_HOLDS(ev->occurred_at_us == item.time_us);
		FUZZ_HOLDS(known || item.time_us <= latest_us);
		FUZZ_HOLDS(!feed_series_profile(series)->by_time || item.time_us >= last_us);
		last_us = item.time_us;
		events++;
		tg_arena_reset(&arena);
		feed_series_next(series);
	}
	FUZZ_HOLDS(rc < 0 || events == tally->events);
	FUZZ_HOLDS(tally->rows == tally->taken + tally->left_out + tally->passed);
	tg_arena_release(&arena);
	tg_buf_release(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct feed_window window = {INT64_MIN, INT64_MAX, 0};
	const uint8_t *divide = len ? memmem(data, len, "\n%%\n", 4) : NULL;
	struct feed_tally tally = {.told = FEED_TOLD_MAX};
	struct feed_profile *profile = NULL;
	struct feed_series *series = NULL;
	struct tg_buf why = {0};
	static char path[256], file[256];
	size_t head;

	if (!divide)
		return -1;
	if (!fuzz_names) {
		fuzz_folder_make(names);
		fuzz_write("t.csv", table, sizeof(table) - 1);
		fuzz_path("p.yaml", path);
		fuzz_path("f", file);
	}
	head = (size_t)(divide - data) + 1;
	fuzz_write("p.yaml", data, head);
	fuzz_write("f", data + head + 3, len - head - 3);
	if (feed_profile_load(path, file, NULL, &profile, &why)) {
		FUZZ_HOLDS(why.len > 0);
	} else if (feed_series_open(profile, &window, &tally, &series, &why)) {
		FUZZ_HOLDS(why.len > 0);
	} else {
		walk(series, &tally);
		feed_series_close(series);
	}
	tg_buf_release(&why);
	return 0;
}
