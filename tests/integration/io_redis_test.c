/* base/io/redis against a real Redis 7: TONGGUAN_REDIS_URL. Uses keys and a function of its own
 * names only; the one FLUSHALL and FUNCTION FLUSH of these tests mean that the server must be a
 * private one. */
#include "tests/io_loop.h"

#include <signal.h>
#include <string.h>

#include "base/io/redis.h"
#include "base/log.h"

static const char library[] = "#!lua name=io_test\n"
			      "redis.register_function('io_test_sum', function(keys, args)\n"
			      "  return {keys[1], tonumber(args[1]) + tonumber(args[2])}\n"
			      "end)\n";

struct rig {
	uv_loop_t loop;
	struct tg_redis *r;
	const char *url;
	bool up, closed;
	int ups;
};

struct answer {
	bool done;
	int rc, calls, order;
	char text[128];
	int64_t number;
	size_t elements;
};

static int orders;

static void on_up(void *ctx)
{
	struct rig *rig = ctx;

	rig->up = true;
	rig->ups++;
}

static void on_answer(void *ctx, int rc, const redisReply *reply)
{
	struct answer *a = ctx;

	a->done = true;
	a->calls++;
	a->rc = rc;
	a->order = ++orders;
	if (!reply)
		return;
	if (reply->str)
		snprintf(a->text, sizeof(a->text), "%s", reply->str);
	a->number = reply->integer;
	a->elements = reply->elements;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		a->number = reply->element[1]->integer;
}

static int ask(
	struct rig *rig, struct answer *a, int deadline_ms, size_t n, const char *const *words)
{
	struct tg_slice args[16];

	for (size_t i = 0; i < n; i++)
		args[i] = tg_slice_cstr(words[i]);
	*a = (struct answer){0};
	return tg_redis_call(rig->r, deadline_ms, args, n, on_answer, a);
}

#define ASK(rig, a, ...)                                                                       \
	do {                                                                                   \
		const char *const words_[] = {__VA_ARGS__};                                    \
		assert_int_equal(                                                              \
			ask((rig), (a), 5000, sizeof(words_) / sizeof(words_[0]), words_), 0); \
		IO_WAIT(&(rig)->loop, (a)->done);                                              \
	} while (0)

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->url = getenv("TONGGUAN_REDIS_URL");
	*state = rig;
	if (!rig->url)
		return 0;
	uv_loop_init(&rig->loop);
	assert_int_equal(tg_redis_open(&rig->loop, rig->url, library, on_up, rig, &rig->r), 0);
	IO_WAIT(&rig->loop, rig->up);
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	if (rig->url) {
		tg_redis_close(rig->r, io_set, &rig->closed);
		IO_WAIT(&rig->loop, rig->closed);
		io_loop_end(&rig->loop);
	}
	free(rig);
	return 0;
}

static void call__values_and_errors_come_back(void **state)
{
	struct rig *rig = *state;
	const struct tg_slice binary[] = {TG_SLICE("SET"), TG_SLICE("io_test:b"), {"a\0b\r\n", 5}};
	struct answer a = {0};

	IO_NEED(rig->url);
	assert_int_equal(tg_redis_call(rig->r, 1000, binary, 3, on_answer, &a), 0);
	IO_WAIT(&rig->loop, a.done);
	assert_int_equal(a.rc, 0);
	ASK(rig, &a, "STRLEN", "io_test:b");
	assert_int_equal(a.number, 5);
	ASK(rig, &a, "INCR", "io_test:b");
	assert_int_equal(a.rc, -TG_EREDIS);
	assert_non_null(strstr(a.text, "not an integer"));
	ASK(rig, &a, "GET", "io_test:nothing");
	assert_int_equal(a.rc, 0);
	ASK(rig, &a, "DEL", "io_test:b");
}

static void call__many_are_answered_in_order(void **state)
{
	enum { N = 20000 };
	struct rig *rig = *state;
	static struct answer a[N];

	IO_NEED(rig->url);
	orders = 0;
	for (int i = 0; i < N; i++) {
		char text[16];
		const char *words[] = {"ECHO", text};

		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(ask(rig, &a[i], 10000, 2, words), 0);
	}
	IO_WAIT(&rig->loop, a[N - 1].done);
	for (int i = 0; i < N; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].order, i + 1);
		assert_int_equal(atoi(a[i].text), i);
	}
}

static void function__is_loaded_and_comes_back_after_a_flush(void **state)
{
	struct rig *rig = *state;
	struct answer a = {0};

	IO_NEED(rig->url);
	ASK(rig, &a, "FCALL", "io_test_sum", "1", "io_test:k", "2", "3");
	assert_int_equal(a.rc, 0);
	assert_int_equal(a.number, 5);
	ASK(rig, &a, "FLUSHALL");
	ASK(rig, &a, "FCALL", "io_test_sum", "1", "io_test:k", "2", "3");
	assert_int_equal(a.rc, 0);
	ASK(rig, &a, "FUNCTION", "FLUSH");
	ASK(rig, &a, "FCALL", "io_test_sum", "1", "io_test:k", "2", "3");
	assert_int_equal(a.rc, -TG_EREDIS);
	ASK(rig, &a, "FCALL", "io_test_sum", "1", "io_test:k", "20", "3");
	assert_int_equal(a.rc, 0);
	assert_int_equal(a.number, 23);
}

static void killed__pending_are_told_and_it_reconnects(void **state)
{
	const char *block[] = {"BLPOP", "io_test:none", "0"};
	const char *kill[] = {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"};
	struct rig *rig = *state;
	struct tg_redis *other;
	struct answer blocked = {0}, killed = {0}, after = {0};
	struct tg_slice args[6];
	bool other_up = false, other_closed = false;

	IO_NEED(rig->url);
	assert_int_equal(tg_redis_open(&rig->loop, rig->url, NULL, io_set, &other_up, &other), 0);
	IO_WAIT(&rig->loop, other_up);
	assert_int_equal(ask(rig, &blocked, 10000, 3, block), 0);
	for (size_t i = 0; i < 6; i++)
		args[i] = tg_slice_cstr(kill[i]);
	rig->up = false;
	assert_int_equal(tg_redis_call(other, 1000, args, 6, on_answer, &killed), 0);
	IO_WAIT(&rig->loop, blocked.done);
	assert_int_equal(blocked.rc, -TG_ECLOSED);
	IO_WAIT(&rig->loop, rig->up);
	assert_int_equal(rig->ups, 2);
	ASK(rig, &after, "FCALL", "io_test_sum", "1", "io_test:k", "1", "1");
	assert_int_equal(after.number, 2);
	tg_redis_close(other, io_set, &other_closed);
	IO_WAIT(&rig->loop, other_closed);
}

static void deadline__a_call_that_takes_too_long_is_ended(void **state)
{
	const char *block[] = {"BLPOP", "io_test:none", "0"};
	struct rig *rig = *state;
	struct answer a = {0};
	uint64_t began = uv_hrtime();

	IO_NEED(rig->url);
	assert_int_equal(ask(rig, &a, 300, 3, block), 0);
	IO_WAIT(&rig->loop, a.done);
	assert_int_equal(a.rc, -TG_ETIMEOUT);
	assert_true(uv_hrtime() - began < 1500000000u);
	rig->up = false;
	IO_WAIT(&rig->loop, rig->up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(call__values_and_errors_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(call__many_are_answered_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			function__is_loaded_and_comes_back_after_a_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(
			killed__pending_are_told_and_it_reconnects, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deadline__a_call_that_takes_too_long_is_ended, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	tg_log_init("io_test", TG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
