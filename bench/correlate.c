/* The correlate bench's own program. Figures on stdout, "name value" a line.
 *
 * fill BROKERS EVENTS MIX PARTITIONS LON LAT LON LAT REGION_M: the events into
 *   tongguan.events.located
 * devices LON LAT LON LAT: "id lon lat", one registered device a line
 * engine REDIS PACK EVENTS MIX: engines from a record's bytes to what Redis has acknowledged
 * zadd REDIS EVENTS: the roofline, one ZADD an event, 500 in a pipeline */
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/redis_impl.h"
#include "bench/correlate_engine.h"

#define PIPELINE 500
#define TOPIC    "tongguan.events.located"

static struct bench_world world_of(char **box, double region_m, int32_t partitions)
{
	struct bench_world w = {
		.min = {strtod(box[0], NULL), strtod(box[1], NULL)},
		.max = {strtod(box[2], NULL), strtod(box[3], NULL)},
		.partitions = partitions,
		.start_us = tg_now_us() - 1800 * TG_US_PER_S,
	};

	tg_regions_init(&w.regions, w.min, w.max, region_m);
	return w;
}

static char *box[] = {"-71.19", "42.23", "-70.99", "42.40"}; /* 16 by 19 km */

/* ---- into Kafka ---- */

static rd_kafka_t *producer(const char *brokers)
{
	static const char *const options[][2] = {{"linger.ms", "20"},
		{"batch.num.messages", "10000"}, {"queue.buffering.max.messages", "500000"}};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[256];
	rd_kafka_t *rk;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)))
		bench_die(why);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (rd_kafka_conf_set(conf, options[i][0], options[i][1], why, sizeof(why)))
			bench_die(why);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (!rk)
		bench_die(why);
	return rk;
}

static void fill(const char *brokers, const struct bench_world *w, enum bench_mix mix, uint32_t n)
{
	rd_kafka_t *rk = producer(brokers);
	struct tg_buf bytes = {0};

	for (uint32_t i = 0; i < n; i++) {
		struct bench_event e;
		rd_kafka_resp_err_t err;

		bench_event(w, mix, i, &e);
		tg_buf_reset(&bytes);
		bench_must(tg_located_encode(&e.loc, &bytes), "encode");
		do {
			err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(TOPIC),
				RD_KAFKA_V_PARTITION(e.partition),
				RD_KAFKA_V_VALUE(bytes.data, bytes.len),
				RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
			rd_kafka_poll(rk, err ? 20 : 0);
		} while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL);
		if (err)
			bench_die(rd_kafka_err2str(err));
	}
	if (rd_kafka_flush(rk, 120000))
		bench_die("not all events were acknowledged");
	rd_kafka_destroy(rk);
	tg_buf_release(&bytes);
}

static void devices(const struct bench_world *w)
{
	for (uint32_t d = 0; d < BENCH_DEVICES; d++) {
		struct tg_lonlat at = bench_device_at(w, d);

		printf("device-%05u %.17g %.17g\n", d, at.lon, at.lat);
	}
}

/* ---- the roofline ---- */

static redisContext *connect_to(const char *url)
{
	struct redis_where where;
	redisContext *c;

	bench_must(redis_where_parse(url, &where), "address of Redis");
	c = where.port ? redisConnect(where.host, where.port) : redisConnectUnix(where.host);
	if (!c || c->err)
		bench_die(c ? c->errstr : "out of memory");
	if (where.password[0])
		freeReplyObject(redisCommand(c, "AUTH %s", where.password));
	return c;
}

/* A window each of ten rules, as sorted sets by time; the members are the events' 16 bytes. */
static void zadd(const char *url, uint32_t n)
{
	struct bench_world w = world_of(box, 4000, 8);
	redisContext *c = connect_to(url);
	uint8_t(*uids)[16] = calloc(n, sizeof(*uids));
	double began, cpu;

	if (!uids)
		bench_die("out of memory");
	for (uint32_t i = 0; i < n; i++) {
		struct bench_event e;

		bench_event(&w, BENCH_WANTED, i, &e);
		memcpy(uids[i], e.uid, sizeof(uids[i]));
	}
	freeReplyObject(redisCommand(c, "FLUSHDB"));
	began = (double)tg_mono_us();
	cpu = bench_cpu_s();
	for (uint32_t i = 0; i < n;) {
		uint32_t pending = 0;

		for (; i < n && pending < PIPELINE; i++, pending++) {
			char key[24], score[24];
			const char *args[] = {"ZADD", key, score, (const char *)uids[i]};
			size_t lens[4] = {4, 0, 0, sizeof(uids[i])};

			lens[1] = (size_t)snprintf(key, sizeof(key), "bench:%u", i % 10);
			lens[2] = (size_t)snprintf(score, sizeof(score), "%lld",
				(long long)(w.start_us / 1000 + i / 5));
			redisAppendCommandArgv(c, 4, args, lens);
		}
		while (pending--) {
			void *reply = NULL;

			if (redisGetReply(c, &reply) != REDIS_OK ||
				((redisReply *)reply)->type != REDIS_REPLY_INTEGER)
				bench_die("Redis has refused a ZADD");
			freeReplyObject(reply);
		}
	}
	printf("rate %f\ncpu_us %f\n", n / (((double)tg_mono_us() - began) / 1e6),
		(bench_cpu_s() - cpu) / n * 1e6);
	freeReplyObject(redisCommand(c, "FLUSHDB"));
	redisFree(c);
}

static enum bench_mix mix_of(const char *name)
{
	return strcmp(name, "none") == 0 ? BENCH_NONE : BENCH_WANTED;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "fill") == 0 && argc == 11) {
		struct bench_world w = world_of(argv + 6, strtod(argv[10], NULL), atoi(argv[5]));

		fill(argv[2], &w, mix_of(argv[4]), (uint32_t)atoi(argv[3]));
	} else if (strcmp(what, "devices") == 0 && argc == 6) {
		struct bench_world w = world_of(argv + 2, 4000, 1);

		devices(&w);
	} else if (strcmp(what, "engine") == 0 && argc == 6) {
		struct bench_world w = world_of(box, 4000, 8);

		bench_engine(argv[2], argv[3], &w, mix_of(argv[5]), (uint32_t)atoi(argv[4]));
	} else if (strcmp(what, "zadd") == 0 && argc == 4) {
		zadd(argv[2], (uint32_t)atoi(argv[3]));
	} else {
		bench_die("usage: see the head of bench/correlate.c");
	}
	return 0;
}
