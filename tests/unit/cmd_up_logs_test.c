/* A log is put aside whole, and its writer goes on at the new beginning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cmd/up_logs.c"

/* Of the command, which is in no library. */
void up_log_path(const struct up *up, const struct up_step *step, char out[PATH_MAX])
{
	(void)up;
	(void)step;
	out[0] = '\0';
}

static char dir[] = "/tmp/tg-logs-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	unlink("a.log");
	unlink("a.log.1");
	return chdir("/") || rmdir(dir) ? -1 : 0;
}

static void has(const char *path, const char *wanted)
{
	struct tg_buf text = {0};

	assert_int_equal(tg_buf_read_file(&text, path), 0);
	assert_string_equal(tg_buf_cstr(&text), wanted);
	tg_buf_release(&text);
}

static void up_rotate_log__keeps_the_text_and_the_writer_goes_on(void **state)
{
	int log = open("a.log", O_WRONLY | O_CREAT | O_APPEND, 0640);

	(void)state;
	assert_int_equal(write(log, "12345", 5), 5);
	assert_int_equal(up_rotate_log("a.log", 5), 0); /* not more than the limit */
	assert_int_equal(write(log, "6", 1), 1);
	assert_int_equal(up_rotate_log("a.log", 5), 1);
	has("a.log", "");
	has("a.log.1", "123456");
	assert_int_equal(write(log, "abcdefg", 7), 7);
	has("a.log", "abcdefg");
	assert_int_equal(up_rotate_log("a.log", 5), 1);
	has("a.log.1", "abcdefg"); /* one old file, not more */
	assert_int_equal(up_rotate_log("none.log", 5), 0);
	close(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(up_rotate_log__keeps_the_text_and_the_writer_goes_on),
	};

	return cmocka_run_group_tests_name("cmd_up_logs", tests, set_up, tear_down);
}
