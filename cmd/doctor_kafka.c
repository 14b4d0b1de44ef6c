/* Kafka: every topic, its partitions and settings; its clock as far as records tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/kafka.h"
#include "base/io/pg.h"
#include "cmd/doctor.h"

#define TOPICS_MAX      40
#define EVENT_BYTES     (INT64_C(1) << 20) /* the largest event that is accepted */
#define RETENTION_LEAST (INT64_C(24) * 3600 * 1000)

static const char *const own_topics[] = {"tongguan.events.located", "tongguan.incidents",
	"tongguan.case.events", "tongguan.audit.anchors", "tongguan.dead_letter"};

/* Partitions that were read from a topic before; 0: none. Where a topic has fewer now it was made
 * anew. */
static int partitions_read(PGconn *conn, const char *topic)
{
	PGresult *res;
	int n = 0;

	if (!conn)
		return 0;
	res = PQexecParams(conn,
		"SELECT coalesce(max(partition) + 1, 0) FROM tongguan.source_offset WHERE topic = "
		"$1",
		1, NULL, &topic, NULL, NULL, 0);
	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		n = atoi(PQgetvalue(res, 0, 0));
	PQclear(res);
	return n;
}

static bool wrong_partitions(
	const struct tg_topic_fact *f, const struct tg_conf *conf, PGconn *conn)
{
	int read = partitions_read(conn, f->name);

	if (strcmp(f->name, "tongguan.events.located") == 0 &&
		f->partitions != conf->kafka_located_partitions)
		doctor_say(DOCTOR_BAD, "topic",
			"%s has %d partitions, kafka.located_partitions says %lld: the number is "
			"fixed "
			"when the topic is made; set what it has",
			f->name, f->partitions, (long long)conf->kafka_located_partitions);
	else if (f->partitions < read)
		doctor_say(DOCTOR_BAD, "topic",
			"%s has %d partitions, %d were read before: it was made anew; let it have "
			"%d",
			f->name, f->partitions, read, read);
	else
		return false;
	return true;
}

/* What to mend, or NULL. */
static const char *wrong_setting(const struct tg_topic_fact *f, bool input, enum doctor_mark *ret)
{
	*ret = DOCTOR_BAD;
	if (!f->settings_known) {
		*ret = DOCTOR_WARN;
		return "its settings cannot be read: allow DescribeConfigs";
	}
	if (!f->log_append_time)
		return "message.timestamp.type must be LogAppendTime: arrival decides what is too "
		       "old";
	if (f->max_message_bytes > 0 && f->max_message_bytes < EVENT_BYTES)
		return "max.message.bytes is less than an event may have (1 MiB)";
	if (f->in_sync < f->min_in_sync)
		return "fewer replicas are in sync than min.insync.replicas: nothing can be "
		       "written";
	*ret = DOCTOR_WARN;
	if (f->replicas > 1 && f->min_in_sync < 2)
		return "min.insync.replicas is 1: one broker's disk may lose what was acknowledged";
	if (f->in_sync < f->replicas)
		return "a replica is not in sync";
	if (input && f->retention_ms >= 0 && f->retention_ms < RETENTION_LEAST)
		return "retention.ms is less than a day: an outage of ingest may lose records";
	return NULL;
}

static void check_topic(
	const struct tg_topic_fact *f, bool input, const struct tg_conf *conf, PGconn *conn)
{
	enum doctor_mark mark = DOCTOR_OK;
	const char *wrong;
	char kept[48] = "for ever";

	if (f->partitions <= 0) {
		doctor_say(DOCTOR_BAD, "topic",
			"%s is missing: `tongguan migrate --topics` makes topics", f->name);
		return;
	}
	if (wrong_partitions(f, conf, conn))
		return;
	wrong = wrong_setting(f, input, &mark);
	if (f->retention_ms >= 0)
		snprintf(kept, sizeof(kept), "for %lld h", (long long)f->retention_ms / 3600000);
	if (wrong)
		doctor_say(mark, "topic", "%s: %s", f->name, wrong);
	else
		doctor_say(DOCTOR_OK, "topic",
			"%s, %d partitions of %d replicas (%lld must be in sync), LogAppendTime, "
			"kept %s",
			f->name, f->partitions, f->replicas, (long long)f->min_in_sync, kept);
}

/* Kafka tells its time by its records alone: one from the future shows a clock that runs ahead; an
 * old one shows nothing, since nobody may have written since. */
static void check_clock(const char *brokers, const struct tg_topic_fact *located)
{
	int64_t newest_us, ahead_us;

	if (located->partitions <= 0 || !located->log_append_time ||
		tg_topic_newest(brokers, located->name, located->partitions, &newest_us))
		return;
	ahead_us = newest_us - tg_now_us();
	if (ahead_us > TG_US_PER_S)
		doctor_clock("Kafka", newest_us, newest_us - ahead_us, 0);
	else
		doctor_say(DOCTOR_OK, "clock",
			"Kafka is not ahead of this host: its newest record is %.3f s old",
			(double)-ahead_us / 1e6);
}

void doctor_kafka(const struct tg_conf *conf)
{
	struct tg_topic_fact facts[TOPICS_MAX] = {{0}};
	char *inputs = strdup(conf->kafka_topics), *save = NULL;
	struct tg_buf why = {0};
	PGconn *conn;
	size_t own = sizeof(own_topics) / sizeof(own_topics[0]), n = 0;

	for (size_t i = 0; i < own; i++)
		facts[n++].name = own_topics[i];
	for (char *t = inputs ? strtok_r(inputs, ", ", &save) : NULL; t && n < TOPICS_MAX;
		t = strtok_r(NULL, ", ", &save))
		facts[n++].name = t;
	if (tg_topics_look(conf->kafka_brokers, facts, n, &why)) {
		doctor_say(DOCTOR_BAD, "kafka", "%s: %s", conf->kafka_brokers, tg_buf_cstr(&why));
	} else {
		conn = tg_pg_connect_blocking(conf->postgres_url, "tongguan doctor", NULL);
		for (size_t i = 0; i < n; i++)
			check_topic(&facts[i], i >= own, conf, conn);
		PQfinish(conn);
		check_clock(conf->kafka_brokers, &facts[0]);
	}
	tg_buf_release(&why);
	free(inputs);
}
