/* The producer where nobody runs the loop: at start-up, and at its end. */
#include "base/io/kafka_produce.h"

#include "base/log.h"

#define CLOSE_FLUSH_MS 3000
#define POLL_MS        20
#define LINKS_MAX      64
#define NOWHERE_MS     500 /* a topic just made is not known to every broker at once */

static size_t pump_wait(struct tg_producer *p, struct pollfd *fds, struct kafka_link **of)
{
	size_t n = 0;

	tg_list_foreach (it, &p->links) {
		struct kafka_link *link = tg_container_of(it, struct kafka_link, entry);

		if (n == LINKS_MAX)
			break;
		fds[n].fd = kafka_link_wants(link, &fds[n].events);
		fds[n].revents = 0;
		of[n] = link;
		n += fds[n].fd >= 0;
	}
	poll(fds, (nfds_t)n, POLL_MS);
	return n;
}

static void set_pumping(struct tg_producer *p, bool on)
{
	p->pumping = on;
	tg_list_foreach (it, &p->links)
		tg_container_of(it, struct kafka_link, entry)->blocking = on;
}

/* Serves the sockets itself until done() or the time is up. */
static void pump(struct tg_producer *p, int limit_ms, bool (*done)(void *ctx), void *ctx)
{
	uint64_t until_ms = kafka_now_ms() + (uint64_t)limit_ms;
	struct pollfd fds[LINKS_MAX];
	struct kafka_link *of[LINKS_MAX];

	set_pumping(p, true);
	while (!done(ctx) && kafka_now_ms() < until_ms) {
		size_t n;

		producer_step(p);
		n = pump_wait(p, fds, of);
		for (size_t i = 0; i < n; i++)
			if (fds[i].revents && of[i]->fd == fds[i].fd)
				kafka_link_serve(of[i], fds[i].revents);
	}
	set_pumping(p, false);
}

struct question {
	struct producer_topic *topic;
	uint64_t nowhere_ms; /* when "there is none" is believed */
};

static bool question_answered(void *ctx)
{
	const struct question *q = ctx;

	return q->topic->told && (q->topic->error == 0 || kafka_now_ms() >= q->nowhere_ms);
}

int tg_producer_partitions(struct tg_producer *p, const char *name, int timeout_ms)
{
	struct question q = {route_topic(p, name), kafka_now_ms() + NOWHERE_MS};

	if (!q.topic)
		return -TG_ENOMEM;
	q.topic->told = false;
	route_want(p);
	pump(p, timeout_ms, question_answered, &q);
	if (!q.topic->told)
		return -TG_ETIMEOUT;
	return q.topic->error ? -TG_ENOENT : q.topic->known;
}

static bool nothing_in_flight(void *ctx)
{
	return ((const struct tg_producer *)ctx)->in_flight == 0;
}

static void give_up(struct tg_producer *p, struct producer_part *part)
{
	while (batch_first(part))
		batch_end(p, part, NO_OFFSET, -TG_ECLOSED);
}

static void on_timer_closed(uv_handle_t *handle)
{
	producer_gone(handle->data);
}

void tg_producer_close(struct tg_producer *p)
{
	p->closing = true;
	pump(p, CLOSE_FLUSH_MS, nothing_in_flight, p);
	if (p->in_flight)
		tg_log(TG_WARN, "kafka messages given up at stop",
			TG_F("messages", TG_I(p->in_flight)));
	tg_list_foreach (it, &p->topics) {
		struct producer_topic *topic = tg_container_of(it, struct producer_topic, entry);

		give_up(p, &topic->nowhere);
		for (int32_t i = 0; i < topic->count; i++)
			give_up(p, &topic->parts[i]);
	}
	p->linger.data = p->tick.data = p;
	uv_close((uv_handle_t *)&p->linger, on_timer_closed);
	uv_close((uv_handle_t *)&p->tick, on_timer_closed);
	route_close(p);
}
