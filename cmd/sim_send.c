/* Publishing a script: at once, or each event when it arrives. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/io/kafka.h"
#include "cmd/cmd.h"
#include "cmd/feed_progress.h"
#include "cmd/sim.h"

#define NAME             "simulate"
#define BURST_MAX        1000
#define WAIT_MS_MAX      60000
#define TOPIC_TIMEOUT_MS 5000
#define TOPIC_MAX        128

enum { TIMER_PACE, TIMER_PROGRESS, TIMER_COUNT };
enum { SIGNAL_INT, SIGNAL_TERM, SIGNAL_COUNT };

struct send {
	const struct sim_plan *plan;
	uv_loop_t loop;
	uv_timer_t timers[TIMER_COUNT];
	uv_signal_t signals[SIGNAL_COUNT];
	struct tg_producer *producer;
	char topics[TONGGUAN__V1__SOURCE_KIND__SYSTEM + 1][TOPIC_MAX]; /* by kind */
	size_t next, delivered, refused;
	struct feed_progress progress;
	struct feed_progress_now now;
	bool full, closing, stopped;
};

/* The input topic whose name ends like that; the last one when none does. */
static void choose_topic(const char *topics, const char *end, char ret[TOPIC_MAX])
{
	const char *at = topics;

	while (*at) {
		size_t n = strcspn(at, ",");

		snprintf(ret, TOPIC_MAX, "%.*s", (int)n, at);
		if (strlen(ret) >= strlen(end) && strcmp(ret + strlen(ret) - strlen(end), end) == 0)
			return;
		at += n + (at[n] == ',');
	}
}

static void choose_topics(struct send *s, const struct tg_conf *conf)
{
	static const char *const ends[] = {[TONGGUAN__V1__SOURCE_KIND__SENSOR] = "sensor.readings",
		[TONGGUAN__V1__SOURCE_KIND__VEHICLE] = "vehicle.positions",
		[TONGGUAN__V1__SOURCE_KIND__INSPECTOR] = "inspector.reports",
		[TONGGUAN__V1__SOURCE_KIND__CITIZEN] = "citizen.reports",
		[TONGGUAN__V1__SOURCE_KIND__VIDEO] = "sensor.readings",
		[TONGGUAN__V1__SOURCE_KIND__SYSTEM] = "citizen.reports"};

	for (int kind = 1; kind <= TONGGUAN__V1__SOURCE_KIND__SYSTEM; kind++)
		choose_topic(conf->kafka_topics, ends[kind], s->topics[kind]);
}

static bool topics_exist(struct send *s, const struct tg_conf *conf)
{
	for (int kind = 1; kind <= TONGGUAN__V1__SOURCE_KIND__SYSTEM; kind++) {
		if (tg_producer_partitions(s->producer, s->topics[kind], TOPIC_TIMEOUT_MS) > 0)
			continue;
		tg_cmd_fail(NAME,
			"Kafka at %s does not answer or has no topic %s (tongguan migrate --topics "
			"makes the topics)",
			conf->kafka_brokers, s->topics[kind]);
		return false;
	}
	return true;
}

static void send_end(struct send *s)
{
	if (s->closing)
		return;
	s->closing = true;
	uv_stop(&s->loop);
}

static void on_pace(uv_timer_t *timer);

static void pace_in(struct send *s, uint64_t ms)
{
	uv_timer_start(&s->timers[TIMER_PACE], on_pace, ms, 0);
}

static void end_when_delivered(struct send *s)
{
	if (s->next == s->plan->script.len && tg_producer_in_flight(s->producer) == 0)
		send_end(s);
}

/* False: no more for now. */
static bool pump(struct send *s)
{
	const struct sim_script *script = &s->plan->script;
	const struct sim_event *e = &script->events[s->next];
	int64_t wait_us;
	int rc;

	if (s->next == script->len) {
		end_when_delivered(s);
		return false;
	}
	wait_us = s->plan->live ? e->arrive_us - tg_now_us() : 0;
	if (wait_us > 0) {
		uint64_t ms = (uint64_t)(wait_us + 999) / 1000;

		pace_in(s, ms < WAIT_MS_MAX ? ms : WAIT_MS_MAX);
		return false;
	}
	rc = tg_producer_send(s->producer, s->topics[e->kind], -1,
		(struct tg_slice){script->bytes.data + e->key, e->key_len},
		(struct tg_slice){script->bytes.data + e->value, e->value_len}, NULL, 0, NULL);
	if (rc) {
		s->full = true;
		return false;
	}
	s->next++;
	s->now.events++;
	s->now.clock_us = e->at_us;
	return true;
}

static void on_pace(uv_timer_t *timer)
{
	struct send *s = timer->data;

	for (int i = 0; i < BURST_MAX; i++)
		if (!pump(s))
			return;
	pace_in(s, 0);
}

static void on_delivery(void *ctx, void *tag, int rc)
{
	struct send *s = ctx;

	(void)tag;
	if (rc)
		s->refused++;
	else
		s->delivered++;
	if (s->closing)
		return;
	if (s->full) {
		s->full = false;
		pace_in(s, 0);
	}
	end_when_delivered(s);
}

static void on_progress(uv_timer_t *timer)
{
	struct send *s = timer->data;

	s->now.share = (double)s->next / (double)(s->plan->script.len + 1);
	feed_progress_show(&s->progress, &s->now);
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct send *s = handle->data;

	(void)signum;
	s->stopped = true;
	send_end(s);
}

static void start_handles(struct send *s)
{
	static const int numbers[] = {[SIGNAL_INT] = SIGINT, [SIGNAL_TERM] = SIGTERM};
	uint64_t every_ms;

	for (int i = 0; i < TIMER_COUNT; i++) {
		uv_timer_init(&s->loop, &s->timers[i]);
		s->timers[i].data = s;
	}
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		uv_signal_init(&s->loop, &s->signals[i]);
		s->signals[i].data = s;
		uv_signal_start(&s->signals[i], on_signal, numbers[i]);
	}
	feed_progress_init(&s->progress);
	every_ms = feed_progress_every_ms(&s->progress);
	uv_timer_start(&s->timers[TIMER_PROGRESS], on_progress, every_ms, every_ms);
}

static void close_handles(struct send *s)
{
	for (int i = 0; i < TIMER_COUNT; i++)
		uv_close((uv_handle_t *)&s->timers[i], NULL);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
	while (uv_loop_close(&s->loop) == UV_EBUSY)
		uv_run(&s->loop, UV_RUN_DEFAULT);
}

int sim_send(const struct sim_plan *plan, const struct tg_conf *conf)
{
	struct send *s = calloc(1, sizeof(*s));
	int code = TG_EXIT_FAILED;

	if (!s || uv_loop_init(&s->loop)) {
		free(s);
		return tg_cmd_fail(NAME, "no memory");
	}
	s->plan = plan;
	s->now.clock_us = INT64_MIN;
	signal(SIGPIPE, SIG_IGN);
	choose_topics(s, conf);
	start_handles(s);
	if (tg_producer_open(&s->loop, conf->kafka_brokers, "tongguan-simulate", on_delivery, s,
		    &s->producer)) {
		tg_cmd_fail(NAME, "Kafka's client cannot be started");
	} else {
		if (topics_exist(s, conf)) {
			pace_in(s, 0);
			uv_run(&s->loop, UV_RUN_DEFAULT);
			code = TG_EXIT_DONE;
		}
		s->closing = true;
		tg_producer_close(s->producer);
	}
	feed_progress_end(&s->progress);
	close_handles(s);
	if (code == TG_EXIT_DONE)
		fprintf(stderr, "tongguan simulate: %zu of %zu events sent%s\n", s->delivered,
			plan->script.len, s->stopped ? "; stopped" : "");
	if (code == TG_EXIT_DONE && !s->stopped && s->delivered != plan->script.len)
		code = TG_EXIT_FAILED;
	free(s);
	return code;
}
