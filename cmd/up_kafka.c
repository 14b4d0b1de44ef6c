/* Apache Kafka of `tongguan up`: one broker that is its own controller (deploy/kafka/README.md says
 * why so). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/share.h"
#include "cmd/cmd.h"
#include "cmd/up_steps.h"

#define NAME "up"

static const char kafka_fixed[] =
	"process.roles=broker,controller\nnode.id=1\n"
	"listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
	"inter.broker.listener.name=BROKER\ncontroller.listener.names=CONTROLLER\n"
	"auto.create.topics.enable=false\nnum.partitions=4\n"
	"default.replication.factor=1\nmin.insync.replicas=1\n"
	"log.message.timestamp.type=LogAppendTime\n"
	"message.max.bytes=8388608\nreplica.fetch.max.bytes=8388608\n"
	"offsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\n"
	"transaction.state.log.num.partitions=1\ntransaction.state.log.replication.factor=1\n"
	"transaction.state.log.min.isr=1\n"
	"share.coordinator.state.topic.num.partitions=1\nshare.coordinator.state.topic.replication."
	"factor=1\n"
	"share.coordinator.state.topic.min.isr=1\n"
	"group.initial.rebalance.delay.ms=0\n"
	"broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=300\n"
	"num.network.threads=2\nnum.io.threads=2\nbackground.threads=2\nnum.recovery.threads.per."
	"data.dir=1\n"
	"log.segment.bytes=67108864\nlog.cleaner.dedupe.buffer.size=16777216\n";

bool up_others_kafka(struct up *up)
{
	return !up->own_kafka;
}

bool up_kafka_formatted(struct up *up)
{
	return !up->own_kafka || up_has_file(up, "kafka/meta.properties");
}

static int write_properties(struct up *up)
{
	char text[PATH_MAX + sizeof(kafka_fixed) + 512];
	int c = up->controller_port, b = up->kafka_port;

	snprintf(text, sizeof(text),
		"%scontroller.quorum.voters=1@127.0.0.1:%d\n"
		"listeners=BROKER://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\n"
		"advertised.listeners=BROKER://127.0.0.1:%d\nlog.dirs=%s/kafka\n"
		"log.retention.hours=%lld\nlog.retention.bytes=%lld\n",
		kafka_fixed, c, b, c, b, up->servers, (long long)up->conf->kafka_retention_h,
		(long long)up->conf->kafka_retention_bytes);
	return up_write_file(up, "kafka.properties", text);
}

/* java and its argument file; the class and its arguments come after. */
static int kafka_java(struct up *up, struct up_argv *argv)
{
	struct tg_buf args = {0};
	int rc = -TG_ENOENT;

	if (!up_need_program("/usr/bin/java", "openjdk-17-jre-headless"))
		return rc;
	if (tg_share_path("build/deps/kafka/java.args", &args)) {
		tg_cmd_fail(NAME, "Apache Kafka's jars are missing: run `make deps`");
		goto out;
	}
	rc = up_make_folder(up, "kafka");
	if (!rc)
		rc = write_properties(up);
	if (rc)
		goto out;
	up_arg(argv, "/usr/bin/java");
	up_arg(argv, "@%s", tg_buf_cstr(&args));
out:
	tg_buf_release(&args);
	return rc;
}

int up_kafka_format(struct up *up, struct up_argv *argv)
{
	int rc = kafka_java(up, argv);
	char id[23];

	if (rc)
		return rc;
	/* 22 letters are 16 bytes of URL-safe base64 when the last is one of A, Q, g, w. */
	up_password(id, 21);
	up_arg(argv, "kafka.tools.StorageTool");
	up_arg(argv, "format");
	up_arg(argv, "-t");
	up_arg(argv, "%sg", id);
	up_arg(argv, "-c");
	up_arg(argv, "%s/kafka.properties", up->servers);
	return 0;
}

int up_kafka_start(struct up *up, struct up_argv *argv)
{
	int rc = kafka_java(up, argv);

	if (rc)
		return rc;
	up_arg(argv, "kafka.Kafka");
	up_arg(argv, "%s/kafka.properties", up->servers);
	return 0;
}

/* An ApiVersions request, version 0: a TCP connection alone may come before the broker serves. */
bool up_kafka_answers(struct up *up)
{
	static const unsigned char request[] = {
		0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 1, 0, 2, 'u', 'p'};
	char answer[64];

	return up_ask(up->kafka_port, request, sizeof(request), answer, sizeof(answer)) > 8;
}

int up_topics(struct up *up, struct up_argv *argv)
{
	up_arg(argv, "%s", up->self);
	up_arg(argv, "migrate");
	up_arg(argv, "--topics-only");
	return 0;
}
