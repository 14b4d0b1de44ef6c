#include "cmd/feed_replay.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/io/kafka.h"
#include "cmd/cmd.h"
#include "cmd/feed_progress.h"
#include "proto/codec.h"

#define NAME "feed"

#define BURST_MAX        1000 /* events between two looks at the loop */
#define WAIT_MS_MAX      60000
#define TOPIC_TIMEOUT_MS 5000
#define EVENT_MEMORY_MAX ((size_t)64 << 20)

enum { TIMER_PACE, TIMER_PROGRESS, TIMER_COUNT };
enum { SIGNAL_INT, SIGNAL_TERM, SIGNAL_COUNT };

struct replay {
	const struct feed_plan *plan;
	struct feed_series *const *series;
	size_t count;
	uv_loop_t loop;
	uv_timer_t timers[TIMER_COUNT];
	uv_signal_t signals[SIGNAL_COUNT];
	struct tg_producer *producer;
	const char *topics[FEED_SERIES_MAX * FEED_TOPICS_MAX]; /* known to exist */
	size_t topic_count;
	int64_t first_us;             /* original time of the first event */
	int64_t start_us, start_mono; /* when the replay began */
	int64_t shift_us;             /* at max */
	struct tg_arena arena;        /* of the event at hand */
	struct tg_buf value, why;
	struct feed_progress progress;
	struct feed_progress_now now;
	bool full;    /* waits for Kafka to take something */
	bool sent;    /* nothing more to send; waits for what is under way */
	bool closing; /* waits no more */
	bool failed;
};

static void replay_end(struct replay *rp)
{
	if (rp->closing)
		return;
	rp->closing = true;
	uv_stop(&rp->loop);
}

static void replay_fail(struct replay *rp, const char *what)
{
	feed_progress_end(&rp->progress);
	tg_cmd_fail(NAME, "%s", what);
	rp->failed = true;
	replay_end(rp);
}

/* ---- one event ---- */

/* A topic that nobody made would swallow its events until a time limit: ask once before the first.
 */
static int check_topic(struct replay *rp, const char *topic)
{
	char what[512];

	for (size_t i = 0; i < rp->topic_count; i++)
		if (strcmp(rp->topics[i], topic) == 0)
			return 0;
	if (tg_producer_partitions(rp->producer, topic, TOPIC_TIMEOUT_MS) <= 0) {
		snprintf(what, sizeof(what),
			"Kafka at %s does not answer or has no topic %s (tongguan migrate --topics "
			"makes the topics)",
			rp->plan->brokers, topic);
		replay_fail(rp, what);
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
	return tg_producer_send(rp->producer, item->topic, -1, tg_slice_cstr(ev->source_id),
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

static void end_when_delivered(struct replay *rp)
{
	if (rp->sent && tg_producer_in_flight(rp->producer) == 0)
		replay_end(rp);
}

static void on_pace(uv_timer_t *timer);

static void pace_in(struct replay *rp, uint64_t ms)
{
	uv_timer_start(&rp->timers[TIMER_PACE], on_pace, ms, 0);
}

/* Microseconds until the event is due; late ones go at once. */
static int64_t wait_us(const struct replay *rp, const struct feed_item *item)
{
	return rp->plan->max ? 0
			     : rp->start_mono + after_start_us(rp, item->time_us) - tg_mono_us();
}

/* Sends the head. False when the pump is to stop here: it was armed again, or the replay is over.
 */
static bool pump(struct replay *rp)
{
	struct feed_series *series = NULL;
	struct feed_item item = {0};
	int rc = earliest(rp, &series, &item);
	int64_t us;

	if (rc < 0) {
		replay_fail(rp, tg_buf_cstr(&rp->why));
		return false;
	}
	if (rc == 0) {
		rp->sent = true;
		end_when_delivered(rp);
		return false;
	}
	us = wait_us(rp, &item);
	if (us > 0) {
		uint64_t ms = (uint64_t)(us + 999) / 1000;

		pace_in(rp, ms < WAIT_MS_MAX ? ms : WAIT_MS_MAX);
		return false;
	}
	rc = send_item(rp, series, &item);
	if (rc == -TG_EFULL) {
		rp->full = true;
		return false;
	}
	if (rc) {
		if (!rp->closing)
			replay_fail(rp, tg_err_text(rc));
		return false;
	}
	rp->now.events++;
	rp->now.clock_us = item.time_us;
	rp->now.zone = feed_series_profile(series)->time.zone;
	feed_series_next(series);
	return true;
}

static void on_pace(uv_timer_t *timer)
{
	struct replay *rp = timer->data;

	uv_update_time(&rp->loop);
	for (int n = 0; n < BURST_MAX; n++)
		if (!pump(rp))
			return;
	pace_in(rp, 0);
}

static void on_delivery(void *ctx, void *tag, int rc)
{
	struct replay *rp = ctx;
	struct feed_tally *tally = tag;

	if (rc == 0)
		tally->sent++;
	else if (!rp->closing)
		tally->refused++; /* the producer has logged why */
	if (rp->closing)
		return;
	if (rp->full) {
		rp->full = false;
		pace_in(rp, 0);
	}
	end_when_delivered(rp);
}

/* ---- progress and signals ---- */

static void on_progress(uv_timer_t *timer)
{
	struct replay *rp = timer->data;
	double share = 0;

	for (size_t i = 0; i < rp->count; i++)
		share += feed_series_share(rp->series[i]);
	rp->now.share = share / (double)rp->count;
	feed_progress_show(&rp->progress, &rp->now);
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct replay *rp = handle->data;

	(void)signum;
	feed_progress_end(&rp->progress);
	fprintf(stderr, "tongguan feed: stopped\n");
	replay_end(rp);
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

static void start_handles(struct replay *rp)
{
	static const int numbers[] = {[SIGNAL_INT] = SIGINT, [SIGNAL_TERM] = SIGTERM};
	uint64_t every_ms;

	for (int i = 0; i < TIMER_COUNT; i++) {
		uv_timer_init(&rp->loop, &rp->timers[i]);
		rp->timers[i].data = rp;
	}
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		uv_signal_init(&rp->loop, &rp->signals[i]);
		rp->signals[i].data = rp;
		uv_signal_start(&rp->signals[i], on_signal, numbers[i]);
	}
	feed_progress_init(&rp->progress);
	every_ms = feed_progress_every_ms(&rp->progress);
	uv_timer_start(&rp->timers[TIMER_PROGRESS], on_progress, every_ms, every_ms);
}

static void close_handles(struct replay *rp)
{
	for (int i = 0; i < TIMER_COUNT; i++)
		uv_close((uv_handle_t *)&rp->timers[i], NULL);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		uv_close((uv_handle_t *)&rp->signals[i], NULL);
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
	pace_in(rp, 0);
	uv_run(&rp->loop, UV_RUN_DEFAULT);
}

static bool all_confirmed(const struct replay *rp)
{
	uint64_t sent = 0;

	for (size_t i = 0; i < rp->count; i++)
		sent += feed_series_tally(rp->series[i])->sent;
	return sent == rp->now.events;
}

int feed_replay_run(struct feed_series *const *series, size_t count, const struct feed_plan *plan)
{
	struct replay *rp = calloc(1, sizeof(*rp));
	int code = TG_EXIT_FAILED;

	if (!rp || uv_loop_init(&rp->loop)) {
		free(rp);
		return tg_cmd_fail(NAME, "no memory");
	}
	rp->plan = plan;
	rp->series = series;
	rp->count = count;
	rp->now.clock_us = INT64_MIN;
	tg_arena_init(&rp->arena, 65536, EVENT_MEMORY_MAX);
	signal(SIGPIPE, SIG_IGN);
	start_handles(rp);
	if (tg_producer_open(
		    &rp->loop, plan->brokers, "tongguan-feed", on_delivery, rp, &rp->producer)) {
		replay_fail(rp, "Kafka's client cannot be started");
	} else {
		replay_go(rp);
		rp->closing = true;
		tg_producer_close(rp->producer);
		code = rp->failed || !all_confirmed(rp) ? TG_EXIT_FAILED : TG_EXIT_DONE;
	}
	feed_progress_end(&rp->progress);
	close_handles(rp);
	/* A run that was stopped before it began returns once without having closed anything. */
	while (uv_loop_close(&rp->loop) == UV_EBUSY)
		uv_run(&rp->loop, UV_RUN_DEFAULT);
	tg_arena_release(&rp->arena);
	tg_buf_release(&rp->value);
	tg_buf_release(&rp->why);
	free(rp);
	return code;
}
