/* tongguan doctor: the configuration and everything it needs, one line each, with what to mend. */
#include "cmd/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "cmd/cmd.h"

#define NAME         "doctor"
#define CLOCK_WARN_S 1.0
#define CLOCK_BAD_S  30.0
#define DISK_WARN    0.10 /* of the disk, or … */
#define DISK_WARN_GB 4.0  /* … whichever is less, down to … */
#define DISK_BAD_GB  0.5

static const char usage[] =
	"usage: tongguan doctor [--config FILE]\n\n"
	"Looks at programs and libraries, PostgreSQL with PostGIS, schema, accounts and city, "
	"Redis,\n"
	"Kafka's topics and their settings, the clocks of all of them, and the space on their "
	"disks.\n"
	"A line each: ok, warn (it works, and will not always) or bad, with what to mend. Exit 0\n"
	"unless something is bad, then 1.\n";

static int counts[3];

void doctor_say(enum doctor_mark mark, const char *what, const char *fmt, ...)
{
	static const char *const marks[] = {"ok", "warn", "bad"};
	va_list ap;

	counts[mark]++;
	printf("%-5s %-12s ", marks[mark], what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void doctor_clock(const char *what, int64_t theirs_us, int64_t ours_us, int64_t slack_us)
{
	double off_s = (double)(theirs_us - ours_us) / 1e6, size_s = off_s < 0 ? -off_s : off_s;
	double slack_s = (double)slack_us / 1e6;
	enum doctor_mark mark = size_s - slack_s > CLOCK_BAD_S    ? DOCTOR_BAD
				: size_s - slack_s > CLOCK_WARN_S ? DOCTOR_WARN
								  : DOCTOR_OK;

	doctor_say(mark, "clock", "%s %+.3f s against this host (within %.3f s)%s", what, off_s,
		slack_s,
		mark == DOCTOR_OK ? ""
				  : ": let NTP set both, deadlines and arrival times depend on it");
}

void doctor_disk(const char *what, const char *where, double free_bytes, double all_bytes)
{
	double free_gb = free_bytes / 1e9, warn_gb = all_bytes / 1e9 * DISK_WARN;
	enum doctor_mark mark = DOCTOR_OK;

	if (warn_gb > DISK_WARN_GB)
		warn_gb = DISK_WARN_GB;
	if (free_gb < DISK_BAD_GB)
		mark = DOCTOR_BAD;
	else if (free_gb < warn_gb)
		mark = DOCTOR_WARN;
	doctor_say(mark, "disk", "%s (%s): %.1f of %.1f GB free%s", what, where, free_gb,
		all_bytes / 1e9,
		mark == DOCTOR_OK ? "" : ": make room, or keep less (ingest.retention_days)");
}

static void check_state(const struct tg_conf *conf)
{
	struct statvfs fs;
	double unit;

	/* Before the first `up` there is no state folder: then the disk of the folder it will be
	 * in. */
	if (statvfs(conf->state_dir, &fs) && statvfs(".", &fs)) {
		doctor_say(
			DOCTOR_WARN, "disk", "state.dir %s cannot be looked at", conf->state_dir);
		return;
	}
	unit = (double)fs.f_frsize;
	doctor_disk("state.dir", conf->state_dir, unit * (double)fs.f_bavail,
		unit * (double)fs.f_blocks);
}

int cmd_doctor(int argc, char **argv)
{
	struct tg_conf conf;
	int rc = tg_cmd_begin(&argc, argv, usage, true, &conf);

	if (rc >= 0)
		return rc;
	if (argc > 1) {
		tg_conf_release(&conf);
		return tg_cmd_usage(NAME, "what is '%s'?", argv[1]);
	}
	doctor_programs(&conf);
	check_state(&conf);
	doctor_postgres(&conf);
	doctor_redis(&conf);
	doctor_kafka(&conf);
	tg_conf_release(&conf);
	printf("%d ok, %d warn, %d bad\n", counts[DOCTOR_OK], counts[DOCTOR_WARN],
		counts[DOCTOR_BAD]);
	return counts[DOCTOR_BAD] ? TG_EXIT_FAILED : TG_EXIT_DONE;
}
