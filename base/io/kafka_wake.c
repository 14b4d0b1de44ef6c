/* The loop's end of librdkafka's queues, and the options every client has. */
#include "base/io/kafka_impl.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"

static void wake_serve(struct kafka_wake *wake)
{
	if (wake->serve(wake))
		kafka_wake_now(wake);
}

static void wake_on_more(uv_idle_t *more)
{
	uv_idle_stop(more);
	wake_serve(tg_container_of(more, struct kafka_wake, more));
}

static void wake_on_tick(uv_timer_t *tick)
{
	wake_serve(tg_container_of(tick, struct kafka_wake, tick));
}

static void wake_on_event(uv_poll_t *poll, int status, int events)
{
	struct kafka_wake *wake = tg_container_of(poll, struct kafka_wake, poll);
	uint64_t count;

	(void)status;
	(void)events;
	/* EAGAIN only means that the tick was quicker. */
	if (read(wake->fd, &count, sizeof(count)) > 0)
		wake_serve(wake);
}

int kafka_wake_open(
	struct kafka_wake *wake, uv_loop_t *loop, bool (*serve)(struct kafka_wake *wake))
{
	wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wake->fd < 0)
		return -TG_ESYS;
	if (uv_poll_init(loop, &wake->poll, wake->fd)) {
		close(wake->fd);
		return -TG_ESYS;
	}
	wake->serve = serve;
	uv_idle_init(loop, &wake->more);
	uv_timer_init(loop, &wake->tick);
	wake->handles = 3;
	uv_timer_start(&wake->tick, wake_on_tick, KAFKA_TICK_MS, KAFKA_TICK_MS);
	return uv_poll_start(&wake->poll, UV_READABLE, wake_on_event) ? -TG_ESYS : 0;
}

void kafka_wake_on(struct kafka_wake *wake, rd_kafka_queue_t *queue)
{
	static const uint64_t one = 1;

	rd_kafka_queue_io_event_enable(queue, wake->fd, &one, sizeof(one));
}

void kafka_wake_now(struct kafka_wake *wake)
{
	if (!uv_is_closing((uv_handle_t *)&wake->more))
		uv_idle_start(&wake->more, wake_on_more);
}

static void wake_on_close(uv_handle_t *handle)
{
	struct kafka_wake *wake = handle->data;

	assert(wake->handles > 0);
	if (--wake->handles == 0)
		wake->closed(wake);
}

void kafka_wake_close(struct kafka_wake *wake, void (*closed)(struct kafka_wake *wake))
{
	wake->closed = closed;
	wake->poll.data = wake->more.data = wake->tick.data = wake;
	uv_close((uv_handle_t *)&wake->poll, wake_on_close);
	uv_close((uv_handle_t *)&wake->more, wake_on_close);
	uv_close((uv_handle_t *)&wake->tick, wake_on_close);
	close(wake->fd);
}

static void on_log(const rd_kafka_t *rk, int level, const char *area, const char *text)
{
	enum tg_log_level mine = level <= LOG_ERR       ? TG_ERROR
				 : level <= LOG_WARNING ? TG_WARN
				 : level <= LOG_INFO    ? TG_INFO
							: TG_DEBUG;

	/* "Connection refused" and the like come at level 3 and mend themselves. */
	if (mine == TG_ERROR && strcmp(area, "FAIL") == 0)
		mine = TG_WARN;
	tg_log(mine, "kafka client", TG_F("client", TG_S(rk ? rd_kafka_name(rk) : "")),
		TG_F("area", TG_S(area)), TG_F("text", TG_S(text)));
}

void kafka_conf_option(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[KAFKA_WHY_MAX];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) == RD_KAFKA_CONF_OK)
		return;
	tg_log(TG_ERROR, "kafka option refused", TG_F("option", TG_S(name)),
		TG_F("value", TG_S(value)), TG_F("why", TG_S(why)));
	assert(!"a Kafka option that this librdkafka does not take");
}

rd_kafka_conf_t *kafka_conf(
	const char *brokers, const char *client_id, const struct kafka_option *more)
{
	static const struct kafka_option shared[] = {
		{"log.queue", "true"}, /* log lines come on the loop's thread */
		{"log.connection.close", "false"},
		{"socket.nagle.disable", "true"},
		{"socket.keepalive.enable", "true"},
		{"reconnect.backoff.ms", "50"},
		{"reconnect.backoff.max.ms", "2000"},
		{"topic.metadata.refresh.interval.ms", "5000"},
		{"message.max.bytes", KAFKA_MESSAGE_BYTES_MAX},
		{NULL, NULL},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	if (!conf)
		return NULL;
	kafka_conf_option(conf, "bootstrap.servers", brokers);
	kafka_conf_option(conf, "client.id", client_id);
	for (const struct kafka_option *o = shared; o->name; o++)
		kafka_conf_option(conf, o->name, o->value);
	for (const struct kafka_option *o = more; o->name; o++)
		kafka_conf_option(conf, o->name, o->value);
	rd_kafka_conf_set_log_cb(conf, on_log);
	return conf;
}

int kafka_code(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR: return 0;
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT: return -TG_ETIMEOUT;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL: return -TG_EFULL;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
	case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: return -TG_ERANGE;
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: return -TG_ENOENT;
	case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
	case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
	case RD_KAFKA_RESP_ERR__DESTROY: return -TG_ECLOSED;
	default: return -TG_EKAFKA;
	}
}
