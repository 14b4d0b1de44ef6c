#include "cmd/paced.h"

#include <signal.h>

#include "cmd/cmd.h"

#define BURST_MAX        1000 /* events between two looks at the loop */
#define WAIT_MS_MAX      60000
#define TOPIC_TIMEOUT_MS 5000

static void end(struct paced *p)
{
	if (p->closing)
		return;
	p->closing = true;
	uv_stop(&p->loop);
}

static void end_when_delivered(struct paced *p)
{
	if (p->over && tg_producer_in_flight(p->producer) == 0)
		end(p);
}

static void on_pace(uv_timer_t *timer);

static void pace_in(struct paced *p, uint64_t ms)
{
	uv_timer_start(&p->timers[PACED_PACE], on_pace, ms, 0);
}

static void pace_in_us(struct paced *p, int64_t us)
{
	uint64_t ms = us > 0 ? (uint64_t)(us + 999) / 1000 : 0;

	pace_in(p, ms < WAIT_MS_MAX ? ms : WAIT_MS_MAX);
}

static void on_pace(uv_timer_t *timer)
{
	struct paced *p = timer->data;
	int64_t wait_us = 0;
	enum paced_step step = PACED_SENT;

	uv_update_time(&p->loop);
	for (int n = 0; n < BURST_MAX && step == PACED_SENT; n++)
		step = p->how->pump(p->ctx, &wait_us);
	switch (step) {
	case PACED_SENT: pace_in(p, 0); break;
	case PACED_LATER: pace_in_us(p, wait_us); break;
	case PACED_FULL: p->full = true; break;
	case PACED_OVER:
		p->over = true;
		end_when_delivered(p);
		break;
	case PACED_FAILED: end(p); break;
	}
}

static void on_delivery(void *ctx, void *tag, int rc)
{
	struct paced *p = ctx;

	p->how->delivered(p->ctx, tag, rc, p->closing);
	if (p->closing)
		return;
	if (p->full) {
		p->full = false;
		pace_in(p, 0);
	}
	end_when_delivered(p);
}

static void on_progress(uv_timer_t *timer)
{
	struct paced *p = timer->data;

	p->now.share = p->how->share(p->ctx);
	progress_show(&p->progress, p->how->name, &p->now);
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct paced *p = handle->data;

	(void)signum;
	p->stopped = true;
	end(p);
}

static void start_handles(struct paced *p)
{
	static const int numbers[] = {[PACED_INT] = SIGINT, [PACED_TERM] = SIGTERM};
	uint64_t every_ms;

	for (int i = 0; i < PACED_TIMERS; i++) {
		uv_timer_init(&p->loop, &p->timers[i]);
		p->timers[i].data = p;
	}
	for (int i = 0; i < PACED_SIGNALS; i++) {
		uv_signal_init(&p->loop, &p->signals[i]);
		p->signals[i].data = p;
		uv_signal_start(&p->signals[i], on_signal, numbers[i]);
	}
	progress_init(&p->progress);
	every_ms = progress_every_ms(&p->progress);
	uv_timer_start(&p->timers[PACED_PROGRESS], on_progress, every_ms, every_ms);
}

/* A run that was stopped before it began returns once without having closed anything. */
static void close_handles(struct paced *p)
{
	for (int i = 0; i < PACED_TIMERS; i++)
		uv_close((uv_handle_t *)&p->timers[i], NULL);
	for (int i = 0; i < PACED_SIGNALS; i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
	while (uv_loop_close(&p->loop) == UV_EBUSY)
		uv_run(&p->loop, UV_RUN_DEFAULT);
}

int paced_open(struct paced *p, const struct paced_how *how, const char *brokers, void *ctx)
{
	*p = (struct paced){.how = how, .ctx = ctx, .now.clock_us = INT64_MIN};
	if (uv_loop_init(&p->loop))
		return tg_cmd_fail(how->name, "no memory");
	signal(SIGPIPE, SIG_IGN);
	start_handles(p);
	if (tg_producer_open(&p->loop, brokers, how->client, 0, on_delivery, p, &p->producer) == 0)
		return TG_EXIT_DONE;
	progress_end(&p->progress);
	close_handles(p);
	return tg_cmd_fail(how->name, "Kafka's client cannot be started");
}

bool paced_topic_exists(struct paced *p, const char *brokers, const char *topic)
{
	if (tg_producer_partitions(p->producer, topic, TOPIC_TIMEOUT_MS) > 0)
		return true;
	tg_cmd_fail(p->how->name,
		"Kafka at %s does not answer or has no topic %s (tongguan migrate --topics makes "
		"the topics)",
		brokers, topic);
	return false;
}

void paced_run(struct paced *p)
{
	pace_in(p, 0);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	progress_end(&p->progress);
}

void paced_close(struct paced *p)
{
	p->closing = true;
	tg_producer_close(p->producer);
	progress_end(&p->progress);
	close_handles(p);
}
