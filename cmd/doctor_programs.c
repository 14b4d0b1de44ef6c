/* What this program was built with and runs on, and what `tongguan up` would start. */
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "base/io/kafka.h"
#include "base/share.h"
#include "cmd/doctor.h"

#define UV_LEAST ((1 << 16) | (44 << 8))

static void check_libraries(void)
{
	int pq = PQlibVersion();

	doctor_say(uv_version() >= UV_LEAST ? DOCTOR_OK : DOCTOR_BAD, "libraries",
		"librdkafka %s, libpq %d.%d, libuv %s, hiredis %d.%d.%d, protobuf-c %s%s",
		tg_kafka_library(), pq / 10000, pq % 10000, uv_version_string(), HIREDIS_MAJOR,
		HIREDIS_MINOR, HIREDIS_PATCH, protobuf_c_version(),
		uv_version() >= UV_LEAST ? "" : ": libuv 1.44 or newer is needed");
}

void doctor_programs(const struct tg_conf *conf)
{
	static const struct {
		const char *section, *key, *path, *package;
	} programs[] = {
		{"postgres", "url", "/usr/lib/postgresql/15/bin/postgres",
			"postgresql-15 postgresql-15-postgis-3"},
		{"redis", "url", "/usr/bin/redis-server", "redis-server"},
		{"kafka", "brokers", "/usr/bin/java", "openjdk-17-jre-headless"},
	};
	struct tg_buf path = {0};

	check_libraries();
	/* Only where `up` would start one of its own. */
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		bool there = access(programs[i].path, X_OK) == 0;

		if (tg_conf_is_set(conf, programs[i].section, programs[i].key))
			continue;
		doctor_say(there ? DOCTOR_OK : DOCTOR_WARN, "programs",
			there ? "%s%.0s"
			      : "%s is missing, `tongguan up` needs it: apt-get install %s",
			programs[i].path, programs[i].package);
	}
	if (!tg_conf_is_set(conf, "kafka", "brokers")) {
		bool there = tg_share_path("build/deps/kafka/java.args", &path) == 0;

		doctor_say(there ? DOCTOR_OK : DOCTOR_WARN, "programs", "%s",
			there ? "Apache Kafka's jars"
			      : "Apache Kafka's jars are missing, `tongguan up` needs them: run "
				"`make deps`");
	}
	tg_buf_release(&path);
}
