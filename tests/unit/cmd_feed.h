/* For the tests of the feed: its parts (the commands are in no library), and a folder to write
 * profiles and files into. */
#ifndef TG_TESTS_CMD_FEED_H
#define TG_TESTS_CMD_FEED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/feed_event.c"
#include "cmd/feed_json.c"
#include "cmd/feed_place.c"
#include "cmd/feed_profile.c"
#include "cmd/feed_reader.c"
#include "cmd/feed_rows.c"
#include "cmd/feed_series.c"
#include "cmd/feed_table.c"
#include "cmd/feed_tally.c"
#include "cmd/feed_time.c"
#include "cmd/feed_value.c"

static char feed_dir[] = "/tmp/tg-feed-XXXXXX";

static inline int feed_dir_make(void **state)
{
	(void)state;
	return mkdtemp(feed_dir) && chdir(feed_dir) == 0 ? 0 : -1;
}

static inline int feed_dir_remove(void **state)
{
	static const char *const names[] = {"p.yaml", "f.csv", "t.csv"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	return chdir("/") || rmdir(feed_dir) ? -1 : 0;
}

static inline void feed_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

/* The lines every profile needs; `time` and `topic` are in more when they matter. */
#define FEED_HEAD "feed: p\nfile: f.csv\nformat: csv\n"
#define FEED_BASE                                   \
	FEED_HEAD                                   \
	"topic: t\n"                                \
	"time: {value: \"{t}\", format: epoch_s}\n" \
	"event_id: \"{id}\"\nsource_id: s\nsource_kind: sensor\n"

/* A profile written and loaded; the line of complaint in why when it is refused. */
static inline int feed_load(const char *yaml, struct feed_profile **ret, struct tg_buf *why)
{
	feed_file("p.yaml", yaml);
	return feed_profile_load("p.yaml", NULL, NULL, ret, why);
}

/* All events of a profile over rows, decoded, in order. */
struct feed_all {
	struct feed_tally tally;
	struct tg_arena arena;
	tg_event_pb *events[64];
	const char *topics[64];
	size_t count;
	struct feed_series *series;
};

static inline void feed_all_make(
	struct feed_all *all, const char *yaml, const char *rows, const struct feed_window *window)
{
	static const struct feed_window always = {INT64_MIN, INT64_MAX, 0};
	struct feed_profile *profile = NULL;
	struct tg_buf why = {0};
	struct feed_item item;

	*all = (struct feed_all){.tally.told = FEED_TOLD_MAX};
	tg_arena_init(&all->arena, 65536, (size_t)16 << 20);
	feed_file("f.csv", rows);
	if (feed_load(yaml, &profile, &why))
		fail_msg("%s", tg_buf_cstr(&why));
	assert_int_equal(feed_series_open(profile, window ? window : &always, &all->tally,
				 &all->series, &why),
		0);
	while (feed_series_peek(all->series, &item, &why) == 1) {
		assert_in_range(all->count, 0, 63);
		assert_int_equal(tg_event_decode(&all->arena, TG_FORM_PROTOBUF, item.packed,
					 &all->events[all->count]),
			TG_ACCEPT);
		assert_int_equal(all->events[all->count]->occurred_at_us, item.time_us);
		all->topics[all->count++] = item.topic;
		feed_series_next(all->series);
	}
	assert_int_equal(why.len, 0);
}

static inline void feed_all_release(struct feed_all *all)
{
	feed_series_close(all->series);
	tg_arena_release(&all->arena);
}

#endif
