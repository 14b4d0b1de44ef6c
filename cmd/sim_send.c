/* Publishing a script: at once, or each event when it arrives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/paced.h"
#include "cmd/sim.h"

#define NAME      "simulate"
#define TOPIC_MAX 128

struct send {
	const struct sim_plan *plan;
	struct paced paced;
	char topics[TONGGUAN__V1__SOURCE_KIND__SYSTEM + 1][TOPIC_MAX]; /* by kind */
	size_t next, delivered;
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
	for (int kind = 1; kind <= TONGGUAN__V1__SOURCE_KIND__SYSTEM; kind++)
		if (!paced_topic_exists(&s->paced, conf->kafka_brokers, s->topics[kind]))
			return false;
	return true;
}

static enum paced_step pump(void *ctx, int64_t *wait_us)
{
	struct send *s = ctx;
	const struct sim_script *script = &s->plan->script;
	const struct sim_event *e = &script->events[s->next];

	if (s->next == script->len)
		return PACED_OVER;
	*wait_us = s->plan->live ? e->arrive_us - tg_now_us() : 0;
	if (*wait_us > 0)
		return PACED_LATER;
	if (tg_producer_send(s->paced.producer, s->topics[e->kind], -1,
		    (struct tg_slice){script->bytes.data + e->key, e->key_len},
		    (struct tg_slice){script->bytes.data + e->value, e->value_len}, NULL, 0, NULL))
		return PACED_FULL;
	s->next++;
	s->paced.now.events++;
	s->paced.now.clock_us = e->at_us;
	return PACED_SENT;
}

static void on_delivered(void *ctx, void *tag, int rc, bool closing)
{
	struct send *s = ctx;

	(void)tag;
	(void)closing;
	s->delivered += rc == 0; /* of the others the producer has logged why */
}

static double share(void *ctx)
{
	const struct send *s = ctx;

	return (double)s->next / (double)(s->plan->script.len + 1);
}

static int report(const struct send *s)
{
	size_t all = s->plan->script.len;

	fprintf(stderr, "tongguan simulate: %zu of %zu events sent%s\n", s->delivered, all,
		s->paced.stopped ? "; stopped" : "");
	return s->paced.stopped || s->delivered == all ? TG_EXIT_DONE : TG_EXIT_FAILED;
}

int sim_send(const struct sim_plan *plan, const struct tg_conf *conf)
{
	static const struct paced_how how = {.name = NAME,
		.client = "tongguan-simulate",
		.pump = pump,
		.delivered = on_delivered,
		.share = share};
	struct send *s = calloc(1, sizeof(*s));
	int code;

	if (!s)
		return tg_cmd_fail(NAME, "no memory");
	s->plan = plan;
	choose_topics(s, conf);
	code = paced_open(&s->paced, &how, conf->kafka_brokers, s);
	if (code == TG_EXIT_DONE) {
		bool found = topics_exist(s, conf);

		if (found)
			paced_run(&s->paced);
		paced_close(&s->paced);
		code = found ? report(s) : TG_EXIT_FAILED;
	}
	free(s);
	return code;
}
