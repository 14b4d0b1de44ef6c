/* base/io/service as processes: what they print, answer, and end with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io/http.h"
#include "base/io/service.h"
#include "base/log.h"

enum manner { ORDERLY, NEVER_STOPS, FAILS_LATER, REFUSES_START };

struct role {
	enum manner manner;
	struct tg_service *svc;
	uv_timer_t later;
};

static void on_later(uv_timer_t *timer)
{
	struct role *role = timer->data;

	uv_timer_stop(timer);
	if (role->manner == FAILS_LATER)
		tg_service_fail(role->svc, "as the test wants it");
}

static void on_passage(void *ctx, struct tg_request *req)
{
	(void)ctx;
	tg_reply(req, 200, "text/plain", TG_SLICE("role\n"));
}

static int role_start(void *ctx, struct tg_service *svc)
{
	static const struct tg_route routes[] = {{TG_GET, "/role", on_passage}};
	struct role *role = ctx;

	role->svc = svc;
	if (role->manner == REFUSES_START)
		return -TG_ECONF;
	uv_timer_init(tg_service_loop(svc), &role->later);
	role->later.data = role;
	uv_timer_start(&role->later, on_later, 20, 0);
	return tg_http_route(tg_service_http(svc), routes, 1, role);
}

static bool role_ready(void *ctx, struct tg_buf *why)
{
	(void)ctx;
	return tg_buf_add_cstr(why, "the moon is not full") != 0;
}

static void role_stop(void *ctx)
{
	struct role *role = ctx;

	if (role->manner == NEVER_STOPS)
		return;
	uv_close((uv_handle_t *)&role->later, NULL);
	tg_service_stopped(role->svc);
}

struct child {
	pid_t pid;
	int out;
	char address[64];
};

static struct child child_start(enum manner manner, const char *listen)
{
	static const struct tg_service_ops ops = {"tester", role_start, role_ready, role_stop};
	struct child child = {0};
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		static struct role role;

		role.manner = manner;
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		tg_log_init("tester", TG_ERROR);
		_exit(tg_service_run(&ops, &role, listen));
	}
	close(fds[1]);
	child.out = fds[0];
	return child;
}

/* Reads the line "tester http://HOST:PORT"; false when the child ended without one. */
static bool child_address(struct child *child)
{
	char line[128] = "";
	size_t len = 0;

	while (len < sizeof(line) - 1 && read(child->out, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
	return sscanf(line, "tester http://%63s", child->address) == 1;
}

static int child_end(struct child *child)
{
	int status;

	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	close(child->out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const char *fetch(const struct child *child, const char *path)
{
	static char text[65536];
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), len;
	size_t got = 0;
	ssize_t n;

	sa.sin_port = htons((uint16_t)atoi(strrchr(child->address, ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	len = snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path);
	assert_int_equal(write(fd, text, (size_t)len), len);
	while (got < sizeof(text) - 1 && (n = read(fd, text + got, sizeof(text) - 1 - got)) > 0)
		got += (size_t)n;
	text[got] = '\0';
	close(fd);
	return text;
}

static void service__answers_and_stops_in_order(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct child child = child_start(ORDERLY, "127.0.0.1:0");
		const char *text;

		assert_true(child_address(&child));
		assert_non_null(strstr(fetch(&child, "/healthz"), "HTTP/1.1 200 OK"));
		text = fetch(&child, "/readyz");
		assert_non_null(strstr(text, "HTTP/1.1 503 "));
		assert_non_null(strstr(text, "Retry-After: "));
		assert_non_null(strstr(text, "the moon is not full"));
		assert_non_null(strstr(fetch(&child, "/metrics"), "process_"));
		assert_non_null(strstr(fetch(&child, "/role"), "role\n"));
		kill(child.pid, signals[i]);
		assert_int_equal(child_end(&child), 0);
	}
}

static void service__a_taken_port_ends_it_with_1(void **state)
{
	struct child first = child_start(ORDERLY, "127.0.0.1:0"), second;

	(void)state;
	assert_true(child_address(&first));
	second = child_start(ORDERLY, first.address);
	assert_false(child_address(&second));
	assert_int_equal(child_end(&second), 1);
	kill(first.pid, SIGTERM);
	assert_int_equal(child_end(&first), 0);
}

static void service__a_refused_start_and_a_failure_end_it_with_1(void **state)
{
	struct child refused = child_start(REFUSES_START, "127.0.0.1:0");
	struct child failing = child_start(FAILS_LATER, "127.0.0.1:0");

	(void)state;
	assert_false(child_address(&refused));
	assert_int_equal(child_end(&refused), 1);
	assert_true(child_address(&failing));
	assert_int_equal(child_end(&failing), 1);
}

static void service__one_that_does_not_stop_is_ended_in_time(void **state)
{
	struct child child = child_start(NEVER_STOPS, "127.0.0.1:0");

	(void)state;
	assert_true(child_address(&child));
	kill(child.pid, SIGTERM);
	alarm(11);
	assert_int_equal(child_end(&child), 1);
	alarm(0);
}

static void fault__kills_at_the_third_passage_and_says_so(void **state)
{
	char path[] = "/tmp/tg-fault-XXXXXX", text[64] = "";
	int fd = mkstemp(path);
	char self[512];
	pid_t pid;
	int status;

	(void)state;
	assert_true(fd >= 0);
	self[readlink("/proc/self/exe", self, sizeof(self) - 1)] = '\0';
	pid = fork();
	if (pid == 0) {
		/* The point is read when a program starts. */
		setenv("TONGGUAN_FAULT_POINT", "here:3", 1);
		setenv("TONGGUAN_FAULT_FILE", path, 1);
		execl(self, self, "faulty", (char *)NULL);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 11);
	assert_string_equal(text, "fault here\n");
	close(fd);
	unlink(path);
}

/* As a program under a fault point: passes it three times. */
static int faulty(void)
{
	tg_fault_point("there");
	tg_fault_point("her");
	for (int i = 0; i < 3; i++)
		tg_fault_point("here");
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(service__answers_and_stops_in_order),
		cmocka_unit_test(service__a_taken_port_ends_it_with_1),
		cmocka_unit_test(service__a_refused_start_and_a_failure_end_it_with_1),
		cmocka_unit_test(service__one_that_does_not_stop_is_ended_in_time),
		cmocka_unit_test(fault__kills_at_the_third_passage_and_says_so),
	};

	if (argc > 1 && strcmp(argv[1], "faulty") == 0)
		return faulty();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
