/* `tongguan up`: a small graph of steps. A step is a program run to its end (once) or kept running
 * (service); it starts when the steps it needs are done, and is awaited by its exit or by a probe.
 */
#ifndef TG_CMD_UP_H
#define TG_CMD_UP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/conf.h"

#define UP_ARGS_MAX 48

struct up;

/* ---- up_proc.c: children
 * --------------------------------------------------------------------------------------- */

struct up_argv {
	char *v[UP_ARGS_MAX + 1];
	int n;
};

/* Appends a formatted argument; asserts room. */
void up_arg(struct up_argv *argv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void up_argv_release(struct up_argv *argv);

struct up_spawn {
	const struct up_argv *argv;
	const char *dir;      /* working folder or NULL */
	const char *log_path; /* stdout and stderr go here, appended */
	uid_t uid;            /* 0 = stay who we are */
	gid_t gid;
	int death_signal;  /* what the kernel sends when we die without stopping it */
	const char *input; /* text on standard input, or NULL for /dev/null */
};

/* The child's pid, or a negative TG_E…. */
TG_MUST pid_t up_spawn(const struct up_spawn *how);
/* Runs to the end; the exit status as a shell would say it (128 + signal), or negative. */
TG_MUST int up_run(const struct up_spawn *how);
/* The last line of a log file, for an error message. Never fails: "" when there is none. */
void up_last_line(const char *path, char out[512]);

/* ---- up_servers.c: command lines and probes
 * ----------------------------------------------------------------------- */

enum up_step_id {
	UP_PG_INIT,
	UP_PG,
	UP_PG_DATABASE,
	UP_MIGRATE,
	UP_PG_ACCOUNTS,
	UP_CITY,
	UP_ACCOUNTS,
	UP_REDIS,
	UP_KAFKA_FORMAT,
	UP_KAFKA,
	UP_TOPICS,
	UP_INGEST,
	UP_CORRELATE,
	UP_DISPATCH,
	UP_FEED,
	UP_SIMULATE,
	UP_STEPS,
};

enum up_kind { UP_ONCE, UP_SERVICE };

enum up_state { UP_WAITING, UP_RUNNING, UP_READY, UP_STOPPING, UP_DONE, UP_SKIPPED, UP_FAILED };

struct up_step {
	enum up_step_id id;
	const char *name; /* also the name of its log file */
	enum up_kind kind;
	unsigned needs; /* bit set of steps that must be done or ready */
	int limit_s;    /* must be ready (or ended) by then */
	/* True when there is nothing to do (another's server, done before). */
	bool (*skip)(struct up *up);
	/* Fills argv, or does the whole work itself and leaves argv empty. */
	int (*prepare)(struct up *up, struct up_argv *argv);
	bool (*probe)(struct up *up); /* services: does it answer? */
	int stop_signal;
	bool as_server; /* run as the servers' own user when we are root */

	enum up_state state;
	pid_t pid;
	int64_t began_us;
	int restarts;
	int64_t again_us; /* services: start again at this instant */
};

/* One of the roles that have an account of their own in our PostgreSQL. */
#define UP_PG_ROLES  3
#define UP_FEEDS_MAX 8

struct up {
	struct tg_conf *conf;
	const char *config_path;
	char self[PATH_MAX];    /* the program itself */
	char state[PATH_MAX];   /* up.env, logs, lock */
	char servers[PATH_MAX]; /* the servers' data: below state, or a folder of its own */
	char logs[PATH_MAX];
	char city[PATH_MAX];  /* city folder */
	char packs[PATH_MAX]; /* the city's own rules; empty: none, or the configuration says */
	char feeds[UP_FEEDS_MAX][PATH_MAX]; /* profiles, merged by time */
	size_t feeds_len;
	const char *feed_speed;
	bool simulate;     /* devices and people beside the feed */
	const char *roles; /* NULL: all */
	bool ephemeral, own_pg, own_redis, own_kafka, new_database, fresh_accounts;
	int pg_port, redis_port, kafka_port, controller_port;
	int http_port, ingest_port, correlate_port;
	char http_host[64];
	char password[40];                  /* the servers' */
	char pg_passwords[UP_PG_ROLES][40]; /* new at each start, in the order of up_pg_roles */
	char pg_url[512], redis_url[256], brokers[256];
	uid_t uid; /* the servers' user when we are root, else 0 */
	gid_t gid;
	struct up_step *steps;
	struct tg_buf accounts; /* "sign in as NAME / PASSWORD" lines */
};

extern struct up_step up_steps[UP_STEPS];
extern const char *const up_pg_roles[UP_PG_ROLES]; /* "ingest", …: the account is tongguan_NAME */

/* Adds the city folder's feeds/NAME.yaml; NULL: all of them. False when there is none. */
bool up_find_feeds(struct up *up, const char *name);
/* The named step's log file. */
void up_log_path(const struct up *up, const struct up_step *step, char out[PATH_MAX]);

/* ---- up_logs.c
 * --------------------------------------------------------------------------------------------- */

/* When the file has more than bytes_max: its text becomes PATH.1 (replacing an older one) and the
 * file is empty. 1 done, 0 nothing to do, negative when it could not be kept (it is emptied all the
 * same, if that can be). */
TG_MUST int up_rotate_log(const char *path, int64_t bytes_max);
/* That for the log of every step. */
void up_rotate_logs(const struct up *up);

/* ---- up_setup.c: folders, ports, passwords, environment
 * ---------------------------------------------------------------- */

/* State folder with a lock, the servers' folder and user, ports, addresses. 0 or negative after one
 * line saying what and how to mend. */
TG_MUST int up_setup(struct up *up);
/* Sets TONGGUAN_… for the children. */
void up_export(const struct up *up);
TG_MUST int up_write_env(const struct up *up);
void up_remove_env(const struct up *up);
void up_throw_away(const struct up *up); /* --ephemeral: the servers' data */
/* A generated password: n characters without look-alikes. */
void up_password(char *out, size_t n);

#endif
