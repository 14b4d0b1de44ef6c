/* tongguan up: runs the graph of steps, prints a line a step, keeps services alive, stops
 * everything in order. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/share.h"
#include "cmd/cmd.h"
#include "cmd/up.h"

#define NAME           "up"
#define TICK_MS        25 /* how often a probe is asked while something starts */
#define STOP_LIMIT_US  (12 * TG_US_PER_S)
#define AGAIN_FIRST_US (200 * INT64_C(1000)) /* a service that died starts again after this … */
#define AGAIN_MAX_US   (10 * TG_US_PER_S)    /* … doubled each time, at most */
#define LOGS_EVERY_MS  2000                  /* how often the size of the logs is looked at */
#define STEADY_US      (30 * TG_US_PER_S)    /* living this long forgives earlier deaths */

static const char usage[] =
	"usage: tongguan up [--city DIR|NAME] [--feed NAME|none] [--speed N|max] [--simulate] "
	"[--ephemeral] [--config FILE]\n\n"
	"Starts private PostgreSQL+PostGIS, Redis and Apache Kafka on free loopback ports (or uses "
	"the servers that the\n"
	"configuration names), loads a city, starts ingest, correlate and dispatch, replays the "
	"city's data, and prints the\n"
	"console's address and the demo accounts. Ctrl-C stops everything it started.\n"
	"  --city DIR|NAME  a city folder, or one that ships (default boston)\n"
	"  --feed NAME      feeds/NAME.yaml of the city folder (default all of them; none: no "
	"feed)\n"
	"  --speed N|max    how fast recorded time runs in the feed (default 60)\n"
	"  --simulate       beside it the city's devices and people, live for a day (tongguan "
	"simulate)\n"
	"  --roles LIST     only these of ingest,correlate,dispatch (none: just the servers)\n"
	"  --ephemeral      fresh data, thrown away at the end\n";

static sig_atomic_t asked_to_stop;

static bool settled(const struct up_step *s)
{
	return s->state == UP_READY || s->state == UP_DONE || s->state == UP_SKIPPED;
}

static bool may_start(const struct up_step *s)
{
	for (int i = 0; i < UP_STEPS; i++)
		if ((s->needs & (1u << i)) && !settled(&up_steps[i]))
			return false;
	return true;
}

static void say(const struct up_step *s, const char *what)
{
	double took_s = (double)(tg_mono_us() - s->began_us) / 1e6;

	printf("  %-14s %-10s %6.1f s\n", s->name, what, took_s);
	fflush(stdout);
}

static void say_failed(struct up *up, struct up_step *s, const char *how)
{
	char log[PATH_MAX], last[512];

	up_log_path(up, s, log);
	up_last_line(log, last);
	s->state = UP_FAILED;
	fprintf(stderr, "tongguan up: %s %s: %s (all of it: %s)\n", s->name, how, last, log);
}

static int begin(struct up *up, struct up_step *s)
{
	struct up_argv argv = {.n = 0};
	char log[PATH_MAX];
	struct up_spawn how = {.argv = &argv, .log_path = log, .death_signal = s->stop_signal};
	int rc;

	s->began_us = tg_mono_us();
	s->again_us = 0;
	if (s->skip && s->skip(up)) {
		s->state = UP_SKIPPED;
		return 0;
	}
	up_log_path(up, s, log);
	if (s->as_server) {
		how.uid = up->uid;
		how.gid = up->gid;
		how.dir = up->servers;
	}
	rc = s->prepare(up, &argv);
	if (!rc && argv.n == 0) { /* done in here */
		s->state = UP_DONE;
		say(s, "done");
	} else if (!rc) {
		s->pid = up_spawn(&how);
		s->state = UP_RUNNING;
		rc = s->pid < 0 ? s->pid : 0;
	}
	if (rc)
		s->state = UP_FAILED;
	up_argv_release(&argv);
	return rc;
}

static struct up_step *step_of(pid_t pid)
{
	for (int i = 0; i < UP_STEPS; i++)
		if (up_steps[i].pid == pid)
			return &up_steps[i];
	return NULL;
}

/* A service that was ready and died starts again; one that never became ready has failed. */
static int service_died(struct up *up, struct up_step *s, const char *how)
{
	int64_t wait_us = AGAIN_FIRST_US;

	if (s->state == UP_RUNNING && s->restarts == 0) {
		say_failed(up, s, how);
		return -TG_ESYS;
	}
	if (tg_mono_us() - s->began_us > STEADY_US)
		s->restarts = 0;
	for (int i = 0; i < s->restarts && wait_us < AGAIN_MAX_US; i++)
		wait_us *= 2;
	s->restarts++;
	s->again_us = tg_mono_us() + wait_us;
	s->state = UP_WAITING;
	say(s, how);
	return 0;
}

static int reaped(struct up *up, pid_t pid, int status)
{
	struct up_step *s = step_of(pid);
	char how[48];

	if (!s)
		return 0;
	s->pid = 0;
	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "died (signal %d)", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "ended with %d", WEXITSTATUS(status));
	if (s->state == UP_STOPPING) {
		s->state = UP_DONE;
		return 0;
	}
	if (s->kind == UP_SERVICE)
		return service_died(up, s, how);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		s->state = UP_DONE;
		say(s, "done");
		return 0;
	}
	say_failed(up, s, how);
	/* A broken feed leaves the city running. */
	return s->id == UP_FEED || s->id == UP_SIMULATE ? 0 : -TG_ESYS;
}

static int reap(struct up *up)
{
	int status, rc = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (reaped(up, pid, status))
			rc = -TG_ESYS;
	return rc;
}

/* Starts what may start, asks what is starting. */
static int advance(struct up *up)
{
	int64_t now = tg_mono_us();

	for (int i = 0; i < UP_STEPS; i++) {
		struct up_step *s = &up_steps[i];

		if (s->state == UP_WAITING && now >= s->again_us && may_start(s) && begin(up, s))
			return -TG_ESYS;
		if (s->state == UP_RUNNING && s->probe && s->probe(up)) {
			s->state = UP_READY;
			say(s, "ready");
		}
		if (s->state == UP_RUNNING && s->limit_s &&
			now - s->began_us > s->limit_s * TG_US_PER_S) {
			say_failed(up, s, "did not become ready in time");
			return -TG_ETIMEOUT;
		}
	}
	return 0;
}

static bool all_started(void)
{
	for (int i = 0; i < UP_FEED; i++)
		if (!settled(&up_steps[i]))
			return false;
	return true;
}

static bool anything_starting(void)
{
	for (int i = 0; i < UP_STEPS; i++) {
		const struct up_step *s = &up_steps[i];

		if (s->state == UP_WAITING ||
			(s->state == UP_RUNNING && (s->probe || s->id != UP_FEED)))
			return true;
	}
	return false;
}

static void announce(struct up *up, int64_t began_us)
{
	printf("ready after %.1f s\n\nconsole http://%s:%d\n",
		(double)(tg_mono_us() - began_us) / 1e6, up->http_host, up->http_port);
	if (up->accounts.len)
		fwrite(up->accounts.data, 1, up->accounts.len, stdout);
	else
		printf("  the accounts are those of the first run (`tongguan user passwd NAME` "
		       "sets another password)\n");
	printf("addresses of the servers: %s/up.env   logs: %s\nCtrl-C stops everything.\n\n",
		up->state, up->logs);
	fflush(stdout);
}

/* ---- stopping
 * ------------------------------------------------------------------------------------------------------------
 */

static void stop_step(struct up *up, struct up_step *s)
{
	int64_t began = tg_mono_us();
	bool killed = false;

	if (s->pid <= 0)
		return;
	s->state = UP_STOPPING;
	s->began_us = began;
	kill(s->pid, s->stop_signal);
	while (s->pid > 0) {
		siginfo_t info;

		if (!killed && tg_mono_us() - began > STOP_LIMIT_US) {
			kill(s->pid, SIGKILL);
			killed = true;
		}
		/* waitid without reaping has no time limit; SIGCHLD is blocked, so wait for that.
		 */
		sigset_t set;
		struct timespec wait = {.tv_nsec = 200000000};
		sigemptyset(&set);
		sigaddset(&set, SIGCHLD);
		sigtimedwait(&set, &info, &wait);
		(void)reap(up);
	}
	say(s, killed ? "killed" : "stopped");
}

static void stop_all(struct up *up)
{
	static const enum up_step_id order[] = {UP_FEED, UP_DISPATCH, UP_CORRELATE, UP_INGEST,
		UP_ACCOUNTS, UP_PG_ACCOUNTS, UP_TOPICS, UP_CITY, UP_MIGRATE, UP_KAFKA_FORMAT,
		UP_KAFKA, UP_REDIS, UP_PG_INIT, UP_PG};

	up_remove_env(up);
	printf("stopping\n");
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		stop_step(up, &up_steps[order[i]]);
	if (up->ephemeral)
		up_throw_away(up);
}

/* ---- main
 * ----------------------------------------------------------------------------------------------------------------
 */

static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void read_signals(int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			asked_to_stop = 1;
}

static int run(struct up *up)
{
	struct pollfd waiting = {.fd = open_signals(), .events = POLLIN};
	int64_t began_us = tg_mono_us(), logs_us = began_us;
	bool announced = false;
	int rc = waiting.fd < 0 ? -TG_ESYS : 0;

	while (!rc && !asked_to_stop) {
		rc = advance(up);
		if (!rc && !announced && all_started()) {
			rc = up_write_env(up);
			announce(up, began_us);
			announced = true;
		}
		if (rc)
			break;
		poll(&waiting, 1, anything_starting() ? TICK_MS : LOGS_EVERY_MS);
		if (tg_mono_us() - logs_us > LOGS_EVERY_MS * INT64_C(1000)) {
			up_rotate_logs(up);
			logs_us = tg_mono_us();
		}
		read_signals(waiting.fd);
		rc = reap(up);
	}
	stop_all(up);
	close(waiting.fd);
	return rc ? TG_EXIT_FAILED : TG_EXIT_DONE;
}

static int find_city(struct up *up, const char *name)
{
	struct tg_buf path = {0};
	char shipped[256];
	int rc;

	if (strchr(name, '/') && realpath(name, up->city))
		return 0;
	snprintf(shipped, sizeof(shipped), "schema/cities/%.200s", name);
	rc = strchr(name, '/') ? -TG_ENOENT : tg_share_path(shipped, &path);
	if (!rc)
		snprintf(up->city, sizeof(up->city), "%s", tg_buf_cstr(&path));
	tg_buf_release(&path);
	return rc ? tg_cmd_usage(NAME, "there is no city folder '%s'", name) : 0;
}

/* Type codes differ between cities, so a city may bring the rules that go with them. */
static void find_packs(struct up *up)
{
	int n = snprintf(up->packs, sizeof(up->packs), "%s/packs", up->city);

	if (tg_conf_is_set(up->conf, "correlate", "packs") || n >= (int)sizeof(up->packs) ||
		access(up->packs, R_OK))
		up->packs[0] = '\0';
}

struct options {
	const char *city, *feed, *speed, *roles;
	bool ephemeral, simulate;
};

static int read_options(int argc, char **argv, struct options *opt)
{
	const struct {
		const char *name;
		const char **value;
	} known[] = {{"--city", &opt->city}, {"--feed", &opt->feed}, {"--speed", &opt->speed},
		{"--roles", &opt->roles}};

	for (int i = 1; i < argc; i++) {
		bool ephemeral = strcmp(argv[i], "--ephemeral") == 0;
		bool simulate = strcmp(argv[i], "--simulate") == 0;
		bool found = ephemeral || simulate;

		opt->ephemeral |= ephemeral;
		opt->simulate |= simulate;
		for (size_t k = 0; !found && k < sizeof(known) / sizeof(known[0]); k++) {
			found = strcmp(argv[i], known[k].name) == 0;
			if (found && i + 1 == argc)
				return tg_cmd_usage(NAME, "%s wants a value", argv[i]);
			if (found)
				*known[k].value = argv[++i];
		}
		if (!found)
			return tg_cmd_usage(NAME, "what is '%s'?", argv[i]);
	}
	return 0;
}

static const char *config_of(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--config") == 0)
			return argv[i + 1];
	return NULL;
}

int cmd_up(int argc, char **argv)
{
	static struct up up;
	struct tg_conf conf;
	struct options opt = {.city = "boston", .speed = "60"};
	int rc;

	up.config_path = config_of(argc, argv);
	rc = tg_cmd_begin(&argc, argv, usage, true, &conf);
	if (rc >= 0)
		return rc;
	rc = read_options(argc, argv, &opt);
	if (rc)
		return rc;
	if (sodium_init() < 0 || readlink("/proc/self/exe", up.self, sizeof(up.self) - 1) <= 0)
		return tg_cmd_fail(NAME, "the system does not let us start");
	up.conf = &conf;
	up.steps = up_steps;
	up.ephemeral = opt.ephemeral;
	up.feed_speed = opt.speed;
	up.simulate = opt.simulate;
	up.roles = opt.roles;
	up.own_pg = !tg_conf_is_set(&conf, "postgres", "url");
	up.own_redis = !tg_conf_is_set(&conf, "redis", "url");
	up.own_kafka = !tg_conf_is_set(&conf, "kafka", "brokers");
	rc = find_city(&up, opt.city);
	if (rc)
		return rc;
	find_packs(&up);
	if (!opt.feed)
		up_find_feeds(&up, NULL);
	else if (strcmp(opt.feed, "none") != 0 && !up_find_feeds(&up, opt.feed))
		return tg_cmd_usage(NAME, "the city has no feeds/%s.yaml", opt.feed);
	if (up_setup(&up))
		return TG_EXIT_FAILED;
	up_export(&up);
	rc = run(&up);
	tg_buf_release(&up.accounts);
	tg_conf_release(&conf);
	return rc;
}
