/* tongguan doctor: the configuration and every server it needs, one line each, with what to mend.
 */
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/io/kafka.h"
#include "base/io/pg.h"
#include "cmd/cmd.h"

#define NAME "doctor"

static const char usage[] = "usage: tongguan doctor [--config FILE]\n\n"
			    "Checks PostgreSQL with PostGIS and the schema, Redis and its eviction "
			    "policy, and Kafka's topics.\n"
			    "Exit 0 when all is well, 1 when something is to mend.\n";

static int faults;

static void good(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void bad(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(const char *mark, const char *what, const char *fmt, va_list ap)
{
	printf("%-5s %-12s ", mark, what);
	vprintf(fmt, ap);
	putchar('\n');
}

static void good(const char *what, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("ok", what, fmt, ap);
	va_end(ap);
}

static void bad(const char *what, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("MEND", what, fmt, ap);
	va_end(ap);
	faults++;
}

/* One value, or "" when the query fails. */
static void value_of(PGconn *conn, const char *sql, char out[128])
{
	PGresult *res = PQexec(conn, sql);

	out[0] = '\0';
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		snprintf(out, 128, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
}

static void check_postgres(const char *url)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(url, "tongguan doctor", &why);
	char text[128];

	if (!conn) {
		bad("postgresql", "%s", tg_buf_cstr(&why));
		tg_buf_release(&why);
		return;
	}
	tg_buf_release(&why);
	value_of(conn, "SHOW server_version", text);
	if (PQserverVersion(conn) < 140000)
		bad("postgresql", "version %s: 14 or newer is needed", text);
	else
		good("postgresql", "version %s", text);
	value_of(conn, "SELECT extversion FROM pg_extension WHERE extname = 'postgis'", text);
	if (!text[0])
		bad("postgis", "is not in this database: run `tongguan migrate` as a user who may "
			       "create extensions");
	else if (strtod(text, NULL) < 3.1)
		bad("postgis", "version %s: 3.1 or newer is needed", text);
	else
		good("postgis", "version %s", text);
	value_of(conn,
		"SELECT count(*) || ' migrations, the last ' || max(name) FROM "
		"public.tongguan_migration",
		text);
	if (!text[0])
		bad("schema", "is missing: run `tongguan migrate`");
	else
		good("schema", "%s", text);
	value_of(conn,
		"SELECT name_zh || ' (' || division || '), version ' || version FROM tongguan.city",
		text);
	if (!text[0])
		bad("city", "none is loaded: run `tongguan city load DIR`");
	else
		good("city", "%s", text);
	PQfinish(conn);
}

/* "redis://[:password@]host:port[/db]" */
static redisContext *redis_open(const char *url, char *password, size_t size)
{
	struct timeval limit = {.tv_sec = 3};
	char host[128] = "127.0.0.1";
	const char *at, *rest = strstr(url, "://");
	int port = 6379;

	password[0] = '\0';
	if (strncmp(url, "unix://", 7) == 0)
		return redisConnectUnixWithTimeout(url + 7, limit);
	rest = rest ? rest + 3 : url;
	at = strchr(rest, '@');
	if (at && rest[0] == ':')
		snprintf(password, size, "%.*s", (int)(at - rest - 1), rest + 1);
	if (sscanf(at ? at + 1 : rest, "%127[^:/]:%d", host, &port) < 1)
		return NULL;
	return redisConnectWithTimeout(host, port, limit);
}

static void check_redis(const char *url)
{
	char password[128];
	redisContext *redis = redis_open(url, password, sizeof(password));
	redisReply *reply = NULL;

	if (!redis || redis->err) {
		bad("redis", "%s: %s", url, redis ? redis->errstr : "the address cannot be read");
		goto out;
	}
	if (password[0])
		freeReplyObject(redisCommand(redis, "AUTH %s", password));
	reply = redisCommand(redis, "CONFIG GET maxmemory-policy");
	if (!reply || reply->type == REDIS_REPLY_ERROR)
		bad("redis", "%s", reply ? reply->str : redis->errstr);
	else if (reply->elements != 2 || strcmp(reply->element[1]->str, "noeviction") != 0)
		bad("redis", "maxmemory-policy must be noeviction: windows would vanish");
	else
		good("redis", "answers, noeviction");
	if (reply)
		freeReplyObject(reply);
out:
	if (redis)
		redisFree(redis);
}

static void check_kafka(const struct tg_conf *conf)
{
	char *topics = strdup(conf->kafka_topics), *save = NULL;
	struct tg_producer *p = NULL;
	uv_loop_t loop;
	int n;

	uv_loop_init(&loop);
	if (tg_producer_open(&loop, conf->kafka_brokers, "tongguan-doctor", NULL, NULL, &p)) {
		bad("kafka", "%s: cannot be opened", conf->kafka_brokers);
		goto out;
	}
	for (char *t = strtok_r(topics, ", ", &save); t; t = strtok_r(NULL, ", ", &save)) {
		n = tg_producer_partitions(p, t, 5000);
		if (n <= 0)
			bad("kafka",
				"%s: topic %s cannot be seen: is the broker up? `tongguan migrate "
				"--topics` makes topics",
				conf->kafka_brokers, t);
		else
			good("kafka", "topic %s, %d partitions", t, n);
	}
	tg_producer_close(p);
	uv_run(&loop, UV_RUN_DEFAULT);
out:
	uv_loop_close(&loop);
	free(topics);
}

int cmd_doctor(int argc, char **argv)
{
	struct tg_conf conf;
	int rc = tg_cmd_begin(&argc, argv, usage, true, &conf);

	if (rc >= 0)
		return rc;
	if (argc > 1)
		return tg_cmd_usage(NAME, "what is '%s'?", argv[1]);
	check_postgres(conf.postgres_url);
	check_redis(conf.redis_url);
	check_kafka(&conf);
	tg_conf_release(&conf);
	return faults ? TG_EXIT_FAILED : TG_EXIT_DONE;
}
