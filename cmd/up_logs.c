/* Log files of `tongguan up` stay below a limit: what is written to is copied aside and emptied,
 * since the servers and roles keep their file open (for appending, so they go on at its new end).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/up.h"

/* All that is there now, and what comes while we copy. What is written between the last look and
 * the emptying is lost: some lines of a log, some microseconds. */
static int copy_all(int from, int to)
{
	ssize_t n;

	do {
		n = sendfile(to, from, NULL, (size_t)1 << 20);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -TG_ESYS : 0;
}

int up_rotate_log(const char *path, int64_t bytes_max)
{
	char old[PATH_MAX], fresh[PATH_MAX];
	struct stat st;
	int from, to, rc;

	if (stat(path, &st) || st.st_size <= bytes_max)
		return 0;
	if (snprintf(old, sizeof(old), "%s.1", path) >= PATH_MAX ||
		snprintf(fresh, sizeof(fresh), "%s.new", path) >= PATH_MAX)
		return -TG_ERANGE;
	from = open(path, O_RDWR | O_CLOEXEC);
	to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	rc = from < 0 || to < 0 ? -TG_ESYS : copy_all(from, to);
	/* A full disk is no reason to let the file grow. */
	if (from >= 0 && ftruncate(from, 0))
		rc = -TG_ESYS;
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	if (rc || rename(fresh, old)) {
		unlink(fresh);
		return rc ? rc : -TG_ESYS;
	}
	return 1;
}

void up_rotate_logs(const struct up *up)
{
	char path[PATH_MAX];

	for (int i = 0; i < UP_STEPS; i++) {
		up_log_path(up, &up->steps[i], path);
		if (up_rotate_log(path, up->conf->log_file_bytes_max) < 0)
			fprintf(stderr, "tongguan up: %s grows and could not be put aside\n", path);
	}
}
