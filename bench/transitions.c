/* Asks for transitions as fast as they are answered: some connections, each with cases of its own,
 * one request at a time. Prints how many were done, refused, and the times they took.
 *
 *   transitions HOST PORT TOKEN SECONDS CONNECTIONS < case ids, one a line, each at version 1 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CASES_MAX 4096
#define CONNS_MAX 64
#define TIMES_MAX 1000000
#define ANSWER    65536

struct worker {
	pthread_t thread;
	int first;
	long done, refused, n;
	float *ms;
};

static char ids[CASES_MAX][40];
static long versions[CASES_MAX];
static int cases, conns, port;
static const char *host, *token;
static double until;

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *why)
{
	fprintf(stderr, "transitions: %s\n", why);
	exit(1);
}

static int dial(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (inet_pton(AF_INET, host, &sa.sin_addr) != 1 ||
		connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("cannot connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* One whole answer into text; its status. */
static int answer(int fd, char *text)
{
	size_t len = 0, want = 0;
	const char *body = NULL, *length;

	while (!body || len < want) {
		ssize_t n = recv(fd, text + len, ANSWER - 1 - len, 0);

		if (n <= 0)
			die("the connection has ended");
		len += (size_t)n;
		text[len] = '\0';
		if (!body && (body = strstr(text, "\r\n\r\n"))) {
			length = strstr(text, "Content-Length: ");
			if (!length)
				die("an answer without a length");
			want = (size_t)(body + 4 - text) + strtoul(length + 16, NULL, 10);
			if (want >= ANSWER)
				die("the answer is too long");
		}
	}
	return atoi(text + 9);
}

static void ask(struct worker *w, int fd, char *text, int at)
{
	char body[128], request[1024];
	double began = now_s();
	int n, status;

	n = snprintf(body, sizeof(body), "{\"action\":\"remind\",\"version\":%ld,\"note\":\"bench\"}",
		versions[at]);
	n = snprintf(request, sizeof(request),
		"POST /api/v1/cases/%s/actions HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer "
		"%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		ids[at], token, n, body);
	if (send(fd, request, (size_t)n, 0) != n)
		die("cannot send");
	status = answer(fd, text);
	if (status == 200) {
		versions[at]++;
		w->done++;
		if (w->n < TIMES_MAX)
			w->ms[w->n++] = (float)((now_s() - began) * 1000);
	} else { /* somebody else's, an escalation say */
		const char *is = strstr(text, "\"version\":");

		if (status != 409 || !is)
			die(text);
		versions[at] = atol(is + 10);
		w->refused++;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	char *text = malloc(ANSWER);
	int fd = dial();

	while (now_s() < until)
		for (int at = w->first; at < cases && now_s() < until; at += conns)
			ask(w, fd, text, at);
	close(fd);
	free(text);
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct worker workers[CONNS_MAX] = {0};
	long done = 0, refused = 0, n = 0;
	double began, took;
	float *all;

	if (argc != 6)
		die("usage: transitions HOST PORT TOKEN SECONDS CONNECTIONS");
	host = argv[1];
	port = atoi(argv[2]);
	token = argv[3];
	conns = atoi(argv[5]);
	while (cases < CASES_MAX && scanf("%39s", ids[cases]) == 1)
		versions[cases++] = 1;
	if (conns < 1 || conns > CONNS_MAX || cases < conns)
		die("1 to 64 connections, and a case for each");
	began = now_s();
	until = began + atof(argv[4]);
	for (int i = 0; i < conns; i++) {
		workers[i].first = i;
		workers[i].ms = malloc(TIMES_MAX * sizeof(float));
		if (!workers[i].ms || pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("no thread");
	}
	all = malloc((size_t)conns * TIMES_MAX * sizeof(float));
	for (int i = 0; i < conns; i++) {
		pthread_join(workers[i].thread, NULL);
		done += workers[i].done;
		refused += workers[i].refused;
		memcpy(all + n, workers[i].ms, (size_t)workers[i].n * sizeof(float));
		n += workers[i].n;
	}
	took = now_s() - began;
	qsort(all, (size_t)n, sizeof(*all), by_size);
	printf("done %ld\nrefused %ld\nper_s %.0f\np50_ms %.2f\np99_ms %.2f\n", done, refused,
		(double)done / took, all[n / 2], all[n * 99 / 100]);
	return 0;
}
