/* The steps of `tongguan up`: the table, and what is too small for a file of its own. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/up_steps.h"

#define NAME "up"

#define BIT(id) (1u << (id))

void up_log_path(const struct up *up, const struct up_step *step, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.*s/%s.log", PATH_MAX - 64, up->logs, step->name);
}

int up_write_file(const struct up *up, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%.*s/%s", PATH_MAX - 64, up->servers, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
		(up->uid && fchown(fd, up->uid, up->gid)))
		rc = -TG_ESYS;
	if (rc)
		tg_cmd_fail(NAME, "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

int up_make_folder(const struct up *up, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.*s/%s", PATH_MAX - 64, up->servers, name);
	if ((mkdir(path, 0700) == 0 || errno == EEXIST) &&
		(!up->uid || chown(path, up->uid, up->gid) == 0))
		return 0;
	tg_cmd_fail(NAME, "cannot make %s: %s", path, strerror(errno));
	return -TG_ESYS;
}

bool up_has_file(const struct up *up, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.*s/%s", PATH_MAX - 64, up->servers, name);
	return access(path, F_OK) == 0;
}

bool up_need_program(const char *path, const char *package)
{
	if (access(path, X_OK) == 0)
		return true;
	tg_cmd_fail(NAME, "%s is missing: apt-get install %s, or run `make deps`", path, package);
	return false;
}

ssize_t up_ask(int port, const void *question, size_t len, char *answer, size_t size)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct timeval wait = {.tv_usec = 300000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
		send(fd, question, len, MSG_NOSIGNAL) >= 0)
		n = recv(fd, answer, size - 1, 0);
	if (n >= 0)
		answer[n] = '\0';
	close(fd);
	return n;
}

/* ---- Redis ---- */

static bool others_redis(struct up *up)
{
	return !up->own_redis;
}

static int redis_start(struct up *up, struct up_argv *argv)
{
	char text[PATH_MAX + 512];

	if (!up_need_program("/usr/bin/redis-server", "redis-server") ||
		up_make_folder(up, "redis"))
		return -TG_ENOENT;
	snprintf(text, sizeof(text),
		"bind 127.0.0.1\nport %d\ndir %.*s/redis\nrequirepass %s\nappendonly yes\nsave "
		"\"\"\n"
		"auto-aof-rewrite-percentage 100\nauto-aof-rewrite-min-size 64mb\n"
		"maxmemory-policy noeviction\ndaemonize no\nlogfile \"\"\nloglevel "
		"warning\ntcp-keepalive 10\n",
		up->redis_port, PATH_MAX - 64, up->servers, up->password);
	if (up_write_file(up, "redis.conf", text))
		return -TG_ESYS;
	up_arg(argv, "/usr/bin/redis-server");
	up_arg(argv, "%s/redis.conf", up->servers);
	return 0;
}

static bool redis_answers(struct up *up)
{
	char question[96], answer[64];
	int n = snprintf(question, sizeof(question), "AUTH %s\r\nPING\r\n", up->password);

	return up_ask(up->redis_port, question, (size_t)n, answer, sizeof(answer)) > 0 &&
	       strncmp(answer, "+OK", 3) == 0;
}

/* ---- roles and feed ---- */

static bool left_out(const struct up *up, const char *name)
{
	return up->roles && !strstr(up->roles, name);
}

static bool no_ingest(struct up *up)
{
	return left_out(up, "ingest");
}

static bool no_correlate(struct up *up)
{
	return left_out(up, "correlate");
}

static bool no_dispatch(struct up *up)
{
	return left_out(up, "dispatch");
}

static int role(struct up *up, struct up_argv *argv, const char *name)
{
	up_arg(argv, "%s", up->self);
	up_arg(argv, "%s", name);
	if (up->config_path) {
		up_arg(argv, "--config");
		up_arg(argv, "%s", up->config_path);
	}
	return 0;
}

static int role_ingest(struct up *up, struct up_argv *argv)
{
	return role(up, argv, "ingest");
}

static int role_correlate(struct up *up, struct up_argv *argv)
{
	return role(up, argv, "correlate");
}

static int role_dispatch(struct up *up, struct up_argv *argv)
{
	return role(up, argv, "dispatch");
}

static bool is_ready(int port)
{
	static const char question[] =
		"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
	char answer[64];

	return up_ask(port, question, sizeof(question) - 1, answer, sizeof(answer)) > 12 &&
	       strncmp(answer + 9, "200", 3) == 0;
}

static bool ingest_ready(struct up *up)
{
	return is_ready(up->ingest_port);
}

static bool correlate_ready(struct up *up)
{
	return is_ready(up->correlate_port);
}

static bool dispatch_ready(struct up *up)
{
	return is_ready(up->http_port);
}

static bool no_feed(struct up *up)
{
	return !up->feeds_len;
}

static int feed(struct up *up, struct up_argv *argv)
{
	up_arg(argv, "%s", up->self);
	up_arg(argv, "feed");
	for (size_t i = 0; i < up->feeds_len; i++)
		up_arg(argv, "%s", up->feeds[i]);
	up_arg(argv, "--speed");
	up_arg(argv, "%s", up->feed_speed);
	up_arg(argv, "--shift-to");
	up_arg(argv, "now");
	return 0;
}

#define SIMULATED_HOURS "24"

static bool no_simulation(struct up *up)
{
	return !up->simulate;
}

static int simulation(struct up *up, struct up_argv *argv)
{
	up_arg(argv, "%s", up->self);
	up_arg(argv, "simulate");
	up_arg(argv, "--city");
	up_arg(argv, "%s", up->city);
	if (up->packs[0]) {
		up_arg(argv, "--packs");
		up_arg(argv, "%s", up->packs);
	}
	up_arg(argv, "--hours");
	up_arg(argv, SIMULATED_HOURS);
	up_arg(argv, "--ledger");
	up_arg(argv, "%s/ledger.ndjson", up->state);
	return 0;
}

bool up_find_feeds(struct up *up, const char *name)
{
	char pattern[PATH_MAX];
	glob_t found;
	int n = snprintf(pattern, sizeof(pattern), "%s/feeds/%s.yaml", up->city, name ? name : "*");

	if (n < 0 || n >= (int)sizeof(pattern) || glob(pattern, 0, NULL, &found))
		return false;
	for (size_t i = 0; i < found.gl_pathc && up->feeds_len < UP_FEEDS_MAX; i++)
		snprintf(up->feeds[up->feeds_len++], PATH_MAX, "%s", found.gl_pathv[i]);
	globfree(&found);
	return up->feeds_len > 0;
}

#define ROLES_NEED (BIT(UP_PG_ACCOUNTS) | BIT(UP_CITY) | BIT(UP_TOPICS) | BIT(UP_REDIS))
#define FEED_NEEDS (BIT(UP_INGEST) | BIT(UP_CORRELATE) | BIT(UP_DISPATCH) | BIT(UP_ACCOUNTS))

/* id, name, kind, needs, limit in seconds, skip, prepare, probe, signal that stops it, runs as the
 * servers' user */
#define STEP(i, n, k, ne, l, s, pr, p, sig, srv) \
	[i] = {.id = i,                          \
		.name = n,                       \
		.kind = k,                       \
		.needs = ne,                     \
		.limit_s = l,                    \
		.skip = s,                       \
		.prepare = pr,                   \
		.probe = p,                      \
		.stop_signal = sig,              \
		.as_server = srv}

#define ONCE(i, n, ne, l, s, pr, srv)            STEP(i, n, UP_ONCE, ne, l, s, pr, NULL, SIGTERM, srv)
#define SERVICE(i, n, ne, l, s, pr, p, sig, srv) STEP(i, n, UP_SERVICE, ne, l, s, pr, p, sig, srv)

struct up_step up_steps[UP_STEPS] = {
	ONCE(UP_PG_INIT, "postgres-init", 0, 60, up_pg_exists, up_pg_init, true),
	SERVICE(UP_PG, "postgres", BIT(UP_PG_INIT), 60, up_others_pg, up_pg_start, up_pg_answers,
		SIGINT, true),
	ONCE(UP_PG_DATABASE, "database", BIT(UP_PG), 30, up_others_pg, up_pg_database, false),
	ONCE(UP_MIGRATE, "migrate", BIT(UP_PG_DATABASE), 120, NULL, up_migrate, false),
	ONCE(UP_PG_ACCOUNTS, "db-accounts", BIT(UP_MIGRATE), 30, up_others_pg, up_pg_accounts,
		false),
	ONCE(UP_CITY, "city", BIT(UP_MIGRATE), 180, NULL, up_city, false),
	ONCE(UP_ACCOUNTS, "accounts", BIT(UP_CITY), 60, NULL, up_accounts, false),
	SERVICE(UP_REDIS, "redis", 0, 30, others_redis, redis_start, redis_answers, SIGTERM, true),
	ONCE(UP_KAFKA_FORMAT, "kafka-format", 0, 60, up_kafka_formatted, up_kafka_format, true),
	SERVICE(UP_KAFKA, "kafka", BIT(UP_KAFKA_FORMAT), 90, up_others_kafka, up_kafka_start,
		up_kafka_answers, SIGTERM, true),
	ONCE(UP_TOPICS, "topics", BIT(UP_KAFKA), 60, NULL, up_topics, false),
	SERVICE(UP_INGEST, "ingest", ROLES_NEED, 60, no_ingest, role_ingest, ingest_ready, SIGTERM,
		false),
	SERVICE(UP_CORRELATE, "correlate", ROLES_NEED, 60, no_correlate, role_correlate,
		correlate_ready, SIGTERM, false),
	SERVICE(UP_DISPATCH, "dispatch", ROLES_NEED, 60, no_dispatch, role_dispatch, dispatch_ready,
		SIGTERM, false),
	ONCE(UP_FEED, "feed", FEED_NEEDS, 0, no_feed, feed, false),
	ONCE(UP_SIMULATE, "simulate", FEED_NEEDS, 0, no_simulation, simulation, false),
};
