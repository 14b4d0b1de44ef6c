#include "cmd/feed_series.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/feed_event.h"

#define ROW_MEMORY_MAX ((size_t)64 << 20)

static const char no_number[] = "there is no number";

struct series_entry {
	int64_t time_us;
	size_t start, len; /* in bytes; start also keeps equal times in the file's order */
	const char *topic;
};

struct feed_series {
	struct feed_profile *profile;
	struct feed_window window;
	struct feed_tally *tally;
	struct tg_arena arena; /* of the row at hand */
	/* What waits: the whole series when it is sorted, else the events of one row. */
	struct tg_buf bytes, entries;
	size_t at;
	bool ended;
	char *topics[FEED_TOPICS_MAX];
	size_t topic_count;
};

static struct series_entry *series_entries(const struct feed_series *s)
{
	return (struct series_entry *)(void *)s->entries.data;
}

static size_t series_count(const struct feed_series *s)
{
	return s->entries.len / sizeof(struct series_entry);
}

static void tell(struct feed_series *s, const struct feed_fault *fault)
{
	char place[FEED_PLACE_MAX];

	if (s->tally->told == FEED_TOLD_MAX)
		return;
	feed_rows_place(s->profile->rows, place);
	feed_tally_tell(s->tally, place, fault);
}

static void leave_out(struct feed_series *s, const struct feed_fault *fault)
{
	tell(s, fault);
	feed_tally_row(s->tally, fault->reason);
}

static const char *keep_topic(struct feed_series *s, const char *name, struct feed_fault *fault)
{
	size_t i = 0;

	while (i < s->topic_count && strcmp(s->topics[i], name) != 0)
		i++;
	if (i < s->topic_count)
		return s->topics[i];
	if (i == FEED_TOPICS_MAX || !(s->topics[i] = strdup(name))) {
		(void)!feed_fault_set(fault, "a feed has at most 64 topics", "%.80s", name);
		return NULL;
	}
	s->topic_count++;
	return s->topics[i];
}

static int add_event(
	struct feed_series *s, const tg_event_pb *ev, const char *topic, struct feed_fault *fault)
{
	struct series_entry e = {.time_us = ev->occurred_at_us, .start = s->bytes.len};
	int rc;

	e.topic = keep_topic(s, topic, fault);
	if (!e.topic)
		return -TG_EPARSE;
	rc = tg_event_encode(ev, &s->bytes);
	if (rc)
		return rc;
	e.len = s->bytes.len - e.start;
	return tg_buf_add(&s->entries, &e, sizeof(e));
}

/* Part i of the row: 1 an event; 0 there is no number; -TG_EPARSE with the fault set; anything
 * else: no memory. */
static int take_part(struct feed_series *s, size_t i, struct feed_scope *scope, int64_t time_us)
{
	const char *topic = NULL;
	tg_event_pb *ev = NULL;
	int rc = feed_event_make(s->profile, i, time_us, scope, &ev, &topic);

	if (rc <= 0)
		return rc;
	rc = add_event(s, ev, topic, scope->fault);
	return rc ? rc : 1;
}

/* All events of one row whose time is known. A row without any is left out for its first fault. */
static int take_parts(struct feed_series *s, struct feed_scope *scope, int64_t time_us)
{
	const char *missed[FEED_READINGS_MAX], *first = NULL;
	size_t parts = feed_event_parts(s->profile), missed_count = 0;

	for (size_t i = 0; i < parts; i++) {
		int rc = take_part(s, i, scope, time_us);

		if (rc < 0 && rc != -TG_EPARSE)
			return rc;
		if (rc == 1)
			continue;
		if (rc < 0) {
			tell(s, scope->fault);
			first = first ? first : scope->fault->reason;
		}
		missed[missed_count++] = rc < 0 ? scope->fault->reason : no_number;
	}
	if (missed_count == parts) {
		feed_tally_row(s->tally, first ? first : no_number);
		return 0;
	}
	s->tally->taken++;
	for (size_t i = 0; i < missed_count; i++)
		feed_tally_reading(s->tally, missed[i]);
	return 0;
}

/* Bad rows end here, counted; only the lack of memory is handed on. */
static int take_row(struct feed_series *s)
{
	struct feed_fault fault = {0};
	struct feed_scope scope = {s->profile->rows, &s->arena, NULL, &fault};
	int64_t time_us = 0;
	int rc;

	tg_arena_reset(&s->arena);
	rc = feed_event_wanted(s->profile, &scope);
	if (rc == 1) {
		rc = feed_time_eval(&s->profile->time, &scope, &time_us);
		if (!rc)
			rc = time_us >= s->window.from_us && time_us < s->window.to_us;
	}
	if (rc < 0)
		leave_out(s, &fault);
	s->tally->passed += rc == 0;
	return rc == 1 ? take_parts(s, &scope, time_us) : 0;
}

/* 1 a row was read, whatever became of it; 0 the file is over. */
static int read_row(struct feed_series *s, struct tg_buf *why)
{
	struct feed_fault fault = {0};
	int rc;

	if (s->window.rows_max && s->tally->rows == s->window.rows_max)
		return 0;
	rc = feed_rows_next(s->profile->rows, &fault);
	s->tally->rows += rc == 1 || rc == -TG_EPARSE;
	if (rc == -TG_EPARSE) {
		leave_out(s, &fault);
		return 1;
	}
	if (rc < 0) {
		(void)!tg_buf_addf(why, "%s: %s: %s", feed_rows_path(s->profile->rows),
			fault.reason ? fault.reason : "cannot be read", fault.detail);
		return rc;
	}
	if (rc == 0)
		return 0;
	rc = take_row(s);
	if (rc) {
		(void)!tg_buf_addf(why,
			"%s: does not fit in memory (limit 1 GiB); sort the file by time and say "
			"order: file in the profile",
			feed_rows_path(s->profile->rows));
		return rc;
	}
	return 1;
}

static int in_time(const void *a, const void *b)
{
	const struct series_entry *x = a, *y = b;

	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int load_sorted(struct feed_series *s, struct tg_buf *why)
{
	int rc;

	do
		rc = read_row(s, why);
	while (rc == 1);
	s->ended = true;
	s->tally->events = series_count(s);
	if (!rc && series_count(s))
		qsort(s->entries.data, series_count(s), sizeof(struct series_entry), in_time);
	return rc;
}

int feed_series_open(struct feed_profile *profile, const struct feed_window *window,
	struct feed_tally *tally, struct feed_series **ret, struct tg_buf *why)
{
	struct feed_series *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		feed_profile_free(profile);
		return -TG_ENOMEM;
	}
	s->profile = profile;
	s->window = *window;
	s->tally = tally;
	s->bytes.max = FEED_SERIES_BYTES_MAX;
	s->entries.max = FEED_SERIES_BYTES_MAX;
	tg_arena_init(&s->arena, 65536, ROW_MEMORY_MAX);
	tally->name = profile->name;
	rc = profile->by_time ? load_sorted(s, why) : 0;
	if (rc)
		feed_series_close(s);
	else
		*ret = s;
	return rc;
}

void feed_series_close(struct feed_series *s)
{
	if (!s)
		return;
	feed_profile_free(s->profile);
	tg_arena_release(&s->arena);
	tg_buf_release(&s->bytes);
	tg_buf_release(&s->entries);
	for (size_t i = 0; i < s->topic_count; i++)
		free(s->topics[i]);
	free(s);
}

const struct feed_profile *feed_series_profile(const struct feed_series *s)
{
	return s->profile;
}

struct feed_tally *feed_series_tally(const struct feed_series *s)
{
	return s->tally;
}

static void forget_row(struct feed_series *s)
{
	tg_buf_reset(&s->bytes);
	tg_buf_reset(&s->entries);
	s->at = 0;
}

/* The first pass of a series that follows its file: it counts nothing and tells nothing. */
static int scan_last(struct feed_series *s, int64_t *ret_us, struct tg_buf *why)
{
	struct feed_tally *tally = s->tally, silent = {.told = FEED_TOLD_MAX};
	int64_t last_us = INT64_MIN;
	int rc;

	s->tally = &silent;
	while ((rc = read_row(s, why)) == 1) {
		for (size_t i = 0; i < series_count(s); i++)
			if (series_entries(s)[i].time_us > last_us)
				last_us = series_entries(s)[i].time_us;
		forget_row(s);
	}
	s->tally = tally;
	forget_row(s);
	if (!rc)
		rc = feed_rows_rewind(s->profile->rows, why);
	if (!rc)
		*ret_us = last_us;
	return rc;
}

int feed_series_last(struct feed_series *s, int64_t *ret_us, struct tg_buf *why)
{
	size_t n = series_count(s);

	assert(s->at == 0);
	if (!s->profile->by_time)
		return scan_last(s, ret_us, why);
	*ret_us = n ? series_entries(s)[n - 1].time_us : INT64_MIN;
	return 0;
}

size_t feed_series_before(const struct feed_series *s, int64_t us)
{
	size_t low = 0, high = s->profile->by_time ? series_count(s) : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (series_entries(s)[middle].time_us < us)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int feed_series_peek(struct feed_series *s, struct feed_item *ret, struct tg_buf *why)
{
	const struct series_entry *e;

	while (s->at == series_count(s)) {
		int rc;

		if (s->ended)
			return 0;
		forget_row(s);
		rc = read_row(s, why);
		if (rc <= 0) {
			s->ended = true;
			return rc;
		}
		s->tally->events += series_count(s);
	}
	e = &series_entries(s)[s->at];
	*ret = (struct feed_item){e->time_us, e->topic, {s->bytes.data + e->start, e->len}};
	return 1;
}

void feed_series_next(struct feed_series *s)
{
	assert(s->at < series_count(s));
	s->at++;
}

double feed_series_share(const struct feed_series *s)
{
	if (!s->profile->by_time)
		return feed_rows_share(s->profile->rows);
	return series_count(s) ? (double)s->at / (double)series_count(s) : 1;
}

const char *feed_series_topic(const struct feed_series *s, size_t index)
{
	return index < s->topic_count ? s->topics[index] : NULL;
}
