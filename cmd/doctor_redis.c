/* Redis: version, eviction, persistence, memory, clock. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/clock.h"
#include "cmd/doctor.h"

#define REDIS_LEAST 7.0 /* functions */

/* "redis://[:password@]host:port[/db]" */
static redisContext *redis_open(const char *url, char *password, size_t size)
{
	struct timeval limit = {.tv_sec = 3};
	char host[128] = "127.0.0.1";
	const char *at, *rest = strstr(url, "://");
	redisContext *redis;
	int port = 6379;

	password[0] = '\0';
	if (strncmp(url, "unix://", 7) == 0)
		return redisConnectUnixWithTimeout(url + 7, limit);
	rest = rest ? rest + 3 : url;
	at = strrchr(rest, '@');
	if (at && rest[0] == ':')
		snprintf(password, size, "%.*s", (int)(at - rest - 1), rest + 1);
	if (sscanf(at ? at + 1 : rest, "%127[^:/]:%d", host, &port) < 1)
		return NULL;
	redis = redisConnectWithTimeout(host, port, limit);
	if (redis && !redis->err)
		redisSetTimeout(redis, limit);
	return redis;
}

/* The value of one setting; "" when the server does not tell. */
static void setting(redisContext *redis, const char *name, char out[128])
{
	redisReply *reply = redisCommand(redis, "CONFIG GET %s", name);

	out[0] = '\0';
	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		snprintf(out, 128, "%s", reply->element[1]->str);
	if (reply)
		freeReplyObject(reply);
}

/* One "name:value" line of INFO. */
static void fact(const redisReply *info, const char *name, char out[128])
{
	char line[96];
	const char *at;

	out[0] = '\0';
	if (!info || info->type != REDIS_REPLY_STRING)
		return;
	snprintf(line, sizeof(line), "\n%s:", name);
	at = strstr(info->str, line);
	if (at)
		snprintf(out, 128, "%.*s", (int)strcspn(at + strlen(line), "\r\n"),
			at + strlen(line));
}

static void check_policy(redisContext *redis)
{
	char policy[128];

	setting(redis, "maxmemory-policy", policy);
	if (!policy[0])
		doctor_say(DOCTOR_WARN, "redis",
			"does not say its maxmemory-policy: make sure it is noeviction");
	else if (strcmp(policy, "noeviction") != 0)
		doctor_say(DOCTOR_BAD, "redis",
			"maxmemory-policy is %s: windows would vanish; set it to noeviction",
			policy);
	else
		doctor_say(DOCTOR_OK, "redis", "maxmemory-policy noeviction");
}

static void check_persistence(redisContext *redis, const redisReply *info)
{
	char aof[128], save[128], written[128], saved[128];

	setting(redis, "appendonly", aof);
	setting(redis, "save", save);
	fact(info, "aof_last_write_status", written);
	fact(info, "rdb_last_bgsave_status", saved);
	if (strcmp(aof, "yes") == 0 && strcmp(written, "err") == 0)
		doctor_say(DOCTOR_BAD, "redis",
			"cannot write its append-only file: is its disk full?");
	else if (strcmp(saved, "err") == 0)
		doctor_say(DOCTOR_BAD, "redis", "cannot save: is its disk full?");
	else if (strcmp(aof, "yes") == 0)
		doctor_say(DOCTOR_OK, "redis", "appendonly yes");
	else if (save[0])
		doctor_say(DOCTOR_WARN, "redis",
			"keeps snapshots only: after a crash windows are built again from Kafka; "
			"appendonly yes spares that");
	else
		doctor_say(DOCTOR_WARN, "redis",
			"keeps nothing: after a restart windows are built again from Kafka; set "
			"appendonly yes");
}

static void check_memory(const redisReply *info)
{
	char used[128], limit[128];

	fact(info, "used_memory", used);
	fact(info, "maxmemory", limit);
	if (strtod(limit, NULL) > 0 && strtod(used, NULL) > 0.8 * strtod(limit, NULL))
		doctor_say(DOCTOR_WARN, "redis",
			"uses %s of %s bytes: raise maxmemory, or writes will be refused", used,
			limit);
}

static void check_clock(redisContext *redis)
{
	int64_t before_us = tg_now_us(), after_us;
	redisReply *reply = redisCommand(redis, "TIME");

	after_us = tg_now_us();
	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		doctor_clock("Redis",
			strtoll(reply->element[0]->str, NULL, 10) * TG_US_PER_S +
				strtoll(reply->element[1]->str, NULL, 10),
			(before_us + after_us) / 2, (after_us - before_us) / 2);
	if (reply)
		freeReplyObject(reply);
}

static void check_all(redisContext *redis)
{
	redisReply *info = redisCommand(redis, "INFO");
	char version[128];

	fact(info, "redis_version", version);
	if (!version[0])
		doctor_say(DOCTOR_BAD, "redis", "%s",
			info && info->type == REDIS_REPLY_ERROR ? info->str : "does not answer");
	else
		doctor_say(strtod(version, NULL) < REDIS_LEAST ? DOCTOR_BAD : DOCTOR_OK, "redis",
			"version %s%s", version,
			strtod(version, NULL) < REDIS_LEAST ? ": 7.0 or newer is needed" : "");
	if (version[0]) {
		check_policy(redis);
		check_persistence(redis, info);
		check_memory(info);
		check_clock(redis);
	}
	if (info)
		freeReplyObject(info);
}

void doctor_redis(const struct tg_conf *conf)
{
	char password[256];
	redisContext *redis = redis_open(conf->redis_url, password, sizeof(password));

	if (!redis || redis->err) {
		doctor_say(DOCTOR_BAD, "redis", "%s",
			redis ? redis->errstr : "redis.url cannot be read");
	} else {
		redisReply *reply = password[0] ? redisCommand(redis, "AUTH %s", password) : NULL;

		if (reply)
			freeReplyObject(reply);
		check_all(redis);
	}
	if (redis)
		redisFree(redis);
}
