/* Children of `tongguan up`: started with their own log file, user and death signal. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/up.h"

void up_arg(struct up_argv *argv, const char *fmt, ...)
{
	va_list ap;
	int n;

	assert(argv->n < UP_ARGS_MAX);
	va_start(ap, fmt);
	n = vasprintf(&argv->v[argv->n], fmt, ap);
	va_end(ap);
	assert(n >= 0);
	argv->v[++argv->n] = NULL;
}

void up_argv_release(struct up_argv *argv)
{
	for (int i = 0; i < argv->n; i++)
		free(argv->v[i]);
	argv->n = 0;
}

/* Standard input: a pipe holding the text (short: it fits the pipe), or nothing. */
static int open_input(const char *text)
{
	int ends[2];

	if (!text)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (pipe2(ends, O_CLOEXEC))
		return -1;
	if (write(ends[1], text, strlen(text)) != (ssize_t)strlen(text)) {
		close(ends[0]);
		ends[0] = -1;
	}
	close(ends[1]);
	return ends[0];
}

static void become(const struct up_spawn *how)
{
	if (how->dir && chdir(how->dir))
		_exit(126);
	if (how->uid && (setgroups(0, NULL) || setgid(how->gid) || setuid(how->uid)))
		_exit(126);
	/* After the change of user, which would clear it. */
	if (how->death_signal)
		prctl(PR_SET_PDEATHSIG, how->death_signal);
}

static void run_child(const struct up_spawn *how, int in, int log, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* A session of its own: Ctrl-C on the terminal reaches us, and we stop the rest in order.
	 */
	setsid();
	dup2(in, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	become(how);
	if (getppid() != parent)
		_exit(125); /* we died in between: no death signal will come */
	execvp(how->argv->v[0], how->argv->v);
	dprintf(STDERR_FILENO, "cannot start %s: %s\n", how->argv->v[0], strerror(errno));
	_exit(127);
}

pid_t up_spawn(const struct up_spawn *how)
{
	pid_t parent = getpid(), pid;
	int in = open_input(how->input);
	int log = open(how->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	pid = in < 0 || log < 0 ? -1 : fork();
	if (pid == 0)
		run_child(how, in, log, parent);
	if (in >= 0)
		close(in);
	if (log >= 0)
		close(log);
	return pid > 0 ? pid : -TG_ESYS;
}

int up_run(const struct up_spawn *how)
{
	pid_t pid = up_spawn(how);
	int status;

	if (pid < 0)
		return pid;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -TG_ESYS;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void up_last_line(const char *path, char out[512])
{
	FILE *f = fopen(path, "re");
	char line[512];

	out[0] = '\0';
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			strcpy(out, line);
	}
	fclose(f);
}
