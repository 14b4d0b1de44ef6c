#include "cmd/feed_replay.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/paced.h"
#include "proto/codec.h"

#define NAME "feed"

#define EVENT_MEMORY_MAX ((size_t)64 << 20)

struct replay {
	const struct feed_plan *plan;
	struct feed_series *const *series;
	size_t count;
	struct paced paced;
	const char *topics[FEED_SERIES_MAX * FEED_TOPICS_MAX]; /* known to exist */
	size_t topic_count;
	int64_t first_us;             /* original time of the first event */
	int64_t start_us, start_mono; /* when the replay began */
	int64_t shift_us;             /* at max */
	struct tg_arena arena;        /* of the event at hand */
	struct tg_buf value, why;
	bool failed;
};

static enum paced_step replay_fail(struct replay *rp, const char *what)
{
	progress_end(&rp->paced.progress);
	tg_cmd_fail(NAME, "%s", what);
	rp->failed = true;
	return PACED_FAILED;
}

/* ---- one event ---- */

/* Asked once, before its first event. */
static int check_topic(struct replay *rp, const char *topic)
{
	for (size_t i = 0; i < rp->topic_count; i++)
		if (strcmp(rp->topics[i], topic) == 0)
			return 0;
	if (!paced_topic_exists(&rp->paced, rp->plan->brokers, topic)) {
		rp->failed = true;
		return -TG_ENOENT;
	}
	rp->topics[rp->topic_count++] = topic;
	return 0;
}

static int64_t after_start_us(const struct replay *rp, int64_t time_us)
{
	return (int64_t)((double)(time_us - rp->first_us) / rp->plan->speed);
}

static int add_original_time(struct replay *rp, const struct feed_series *series, tg_event_pb *ev)
{
	struct tg_zone *zone = feed_series_profile(series)->time.zone;
	Tongguan__V1__Attribute **all, *added;
	char text[TG_RFC3339_MAX];

	all = tg_arena_alloc(&rp->arena, (ev->n_attributes + 1) * sizeof(*all));
	added = tg_arena_alloc(&rp->arena, sizeof(*added));
	if (!all || !added)
		return -TG_ENOMEM;
	if (zone)
		tg_rfc3339_local(zone, ev->occurred_at_us, text);
	else
		tg_rfc3339_utc(ev->occurred_at_us, text);
	tongguan__v1__attribute__init(added);
	added->key = tg_arena_strdup(&rp->arena, "original_time", strlen("original_time"));
	added->value = tg_arena_strdup(&rp->arena, text, strlen(text));
	if (!added->key || !added->value)
		return -TG_ENOMEM;
	if (ev->n_attributes)
		memcpy(all, ev->attributes, ev->n_attributes * sizeof(*all));
	all[ev->n_attributes++] = added;
	ev->attributes = all;
	return 0;
}

/* The packed event as it is to be sent, in rp->value. */
static int move_event(struct replay *rp, const struct feed_series *series,
	const struct feed_item *item, tg_event_pb **ret)
{
	int rc;

	tg_arena_reset(&rp->arena);
	if (tg_event_decode(&rp->arena, TG_FORM_PROTOBUF, item->packed, ret))
		return -TG_ENOMEM; /* we packed it ourselves */
	if (!rp->plan->keep_time) {
		rc = add_original_time(rp, series, *ret);
		if (rc)
			return rc;
		(*ret)->occurred_at_us = rp->plan->max
						 ? item->time_us + rp->shift_us
						 : rp->start_us + after_start_us(rp, item->time_us);
	}
	tg_buf_reset(&rp->value);
	return tg_event_encode(*ret, &rp->value);
}

/* 0 sent; -TG_EFULL: the same one again after a delivery. */
static int send_item(struct replay *rp, struct feed_series *series, const struct feed_item *item)
{
	tg_event_pb *ev;
	int rc = check_topic(rp, item->topic);

	if (rc)
		return rc;
	rc = move_event(rp, series, item, &ev);
	if (rc)
		return rc;
	return tg_producer_send(rp->paced.producer, item->topic, -1, tg_slice_cstr(ev->source_id),
		(struct tg_slice){rp->value.data, rp->value.len}, NULL, 0,
		feed_series_tally(series));
}

/* ---- the order of events ---- */

/* The series whose head is the earliest: 1, 0 when all are over, negative when one cannot be read.
 */
static int earliest(struct replay *rp, struct feed_series **ret, struct feed_item *ret_item)
{
	int found = 0;

	for (size_t i = 0; i < rp->count; i++) {
		struct feed_item item;
		int rc = feed_series_peek(rp->series[i], &item, &rp->why);

		if (rc < 0)
			return rc;
		if (rc == 0 || (found && item.time_us >= ret_item->time_us))
			continue;
		found = 1;
		*ret = rp->series[i];
		*ret_item = item;
	}
	return found;
}

/* Microseconds until the event is due; late ones go at once. */
static int64_t until_due_us(const struct replay *rp, const struct feed_item *item)
{
	return rp->plan->max ? 0
			     : rp->start_mono + after_start_us(rp, item->time_us) - tg_mono_us();
}

/* Sends the head. */
static enum paced_step pump(void *ctx, int64_t *wait_us)
{
	struct replay *rp = ctx;
	struct feed_series *series = NULL;
	struct feed_item item = {0};
	int rc = earliest(rp, &series, &item);

	if (rc < 0)
		return replay_fail(rp, tg_buf_cstr(&rp->why));
	if (rc == 0)
		return PACED_OVER;
	*wait_us = until_due_us(rp, &item);
	if (*wait_us > 0)
		return PACED_LATER;
	rc = send_item(rp, series, &item);
	if (rc == -TG_EFULL)
		return PACED_FULL;
	if (rc)
		return rp->failed ? PACED_FAILED : replay_fail(rp, tg_err_text(rc));
	rp->paced.now.events++;
	rp->paced.now.clock_us = item.time_us;
	rp->paced.now.zone = feed_series_profile(series)->time.zone;
	feed_series_next(series);
	return PACED_SENT;
}

static void on_delivered(void *ctx, void *tag, int rc, bool closing)
{
	struct feed_tally *tally = tag;

	(void)ctx;
	if (rc == 0)
		tally->sent++;
	else if (!closing)
		tally->refused++; /* the producer has logged why */
}

static double share(void *ctx)
{
	const struct replay *rp = ctx;
	double sum = 0;

	for (size_t i = 0; i < rp->count; i++)
		sum += feed_series_share(rp->series[i]);
	return sum / (double)rp->count;
}

/* ---- start and end ---- */

static int find_bounds(struct replay *rp)
{
	struct feed_series *series;
	struct feed_item item = {0};
	int64_t last_us = INT64_MIN;
	int rc;

	for (size_t i = 0; i < rp->count && rp->plan->max && !rp->plan->keep_time; i++) {
		int64_t us;

		rc = feed_series_last(rp->series[i], &us, &rp->why);
		if (rc)
			return rc;
		last_us = us > last_us ? us : last_us;
	}
	rc = earliest(rp, &series, &item);
	if (rc < 0)
		return rc;
	rp->first_us = item.time_us;
	rp->start_us = tg_now_us();
	rp->start_mono = tg_mono_us();
	rp->shift_us = last_us == INT64_MIN ? 0 : rp->start_us - last_us;
	return 0;
}

/* Before the clock starts: what is known of the topics is asked now. */
static int check_topics(struct replay *rp)
{
	const char *topic;

	for (size_t i = 0; i < rp->count; i++) {
		for (size_t k = 0; (topic = feed_series_topic(rp->series[i], k)); k++) {
			int rc = check_topic(rp, topic);

			if (rc)
				return rc;
		}
	}
	return 0;
}

/* Ingest alone judges age; what it will refuse is said before it does. */
static void tell_old(const struct replay *rp)
{
	int64_t days = rp->plan->retention_days, shift_us = rp->plan->keep_time ? 0 : rp->shift_us;
	size_t old = 0;

	if (!days || (!rp->plan->max && !rp->plan->keep_time))
		return;
	for (size_t i = 0; i < rp->count; i++)
		old += feed_series_before(
			rp->series[i], rp->start_us - shift_us - days * TG_US_PER_DAY);
	if (old)
		fprintf(stderr,
			"tongguan feed: %zu events will be older than %" PRId64
			" days: ingest refuses them (time_too_old) unless it runs with a larger "
			"TONGGUAN_INGEST_RETENTION_DAYS, 0 for no limit\n",
			old, days);
}

static void replay_go(struct replay *rp)
{
	if (check_topics(rp))
		return;
	if (find_bounds(rp)) {
		replay_fail(rp, tg_buf_cstr(&rp->why));
		return;
	}
	if (rp->plan->max && !rp->plan->keep_time)
		fprintf(stderr, "tongguan feed: at --speed max the last row happens now and the "
				"rows arrive faster than they happened: windows get denser\n");
	tell_old(rp);
	paced_run(&rp->paced);
	if (rp->paced.stopped)
		fprintf(stderr, "tongguan feed: stopped\n");
}

static bool all_confirmed(const struct replay *rp)
{
	uint64_t sent = 0;

	for (size_t i = 0; i < rp->count; i++)
		sent += feed_series_tally(rp->series[i])->sent;
	return sent == rp->paced.now.events;
}

int feed_replay_run(struct feed_series *const *series, size_t count, const struct feed_plan *plan)
{
	static const struct paced_how how = {.name = NAME,
		.client = "tongguan-feed",
		.pump = pump,
		.delivered = on_delivered,
		.share = share};
	struct replay *rp = calloc(1, sizeof(*rp));
	int code;

	if (!rp)
		return tg_cmd_fail(NAME, "no memory");
	rp->plan = plan;
	rp->series = series;
	rp->count = count;
	tg_arena_init(&rp->arena, 65536, EVENT_MEMORY_MAX);
	code = paced_open(&rp->paced, &how, plan->brokers, rp);
	if (code == TG_EXIT_DONE) {
		replay_go(rp);
		paced_close(&rp->paced);
		if (rp->failed || !all_confirmed(rp))
			code = TG_EXIT_FAILED;
	}
	tg_arena_release(&rp->arena);
	tg_buf_release(&rp->value);
	tg_buf_release(&rp->why);
	free(rp);
	return code;
}
