#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

/* Standard error goes to a file while a test logs. */
struct capture {
	int saved;
	FILE *file;
	struct tg_buf text;
};

static void capture_start(struct capture *c)
{
	*c = (struct capture){.saved = dup(STDERR_FILENO), .file = tmpfile()};
	assert_non_null(c->file);
	assert_true(dup2(fileno(c->file), STDERR_FILENO) >= 0);
	tg_clock_set_for_test(INT64_C(1795343236123456));
	tg_log_init("ingest", TG_INFO);
}

static const char *capture_end(struct capture *c)
{
	char chunk[4096];
	size_t n;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	tg_clock_set_for_test(0);
	rewind(c->file);
	while ((n = fread(chunk, 1, sizeof(chunk), c->file)) > 0)
		assert_int_equal(tg_buf_add(&c->text, chunk, n), 0);
	fclose(c->file);
	return tg_buf_cstr(&c->text);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text++;
	}
	return n;
}

static void log__is_one_json_object_a_line_away_from_a_terminal(void **state)
{
	struct capture c;

	(void)state;
	capture_start(&c);
	tg_log(TG_DEBUG, "too fine");
	tg_log(TG_INFO, "batch stored", TG_F("rows", TG_I(3)), TG_F("topic", TG_S("a\nb")),
		TG_F("lag_s", TG_D(0.5)), TG_F("key", TG_SL(TG_SLICE("x\"y"))),
		TG_F("nothing", TG_S(NULL)));
	tg_log(TG_ERROR, "plain");
	assert_string_equal(capture_end(&c),
		"{\"time\":\"2026-11-22T10:27:16.123456Z\",\"level\":\"info\",\"role\":\"ingest\","
		"\"message\":\"batch stored\",\"rows\":3,\"topic\":\"a\\nb\",\"lag_s\":0.5,"
		"\"key\":\"x\\\"y\",\"nothing\":\"\"}\n"
		"{\"time\":\"2026-11-22T10:27:16.123456Z\",\"level\":\"error\",\"role\":\"ingest\","
		"\"message\":\"plain\"}\n");
	tg_buf_release(&c.text);
}

static void log__lets_a_burst_pass_and_counts_the_rest(void **state)
{
	struct capture c;
	const char *text;

	(void)state;
	capture_start(&c);
	for (int i = 0; i < 100; i++)
		tg_log(TG_WARN, "again", TG_F("i", TG_I(i)));
	tg_log(TG_INFO, "again"); /* another level is another line */
	tg_clock_set_for_test(tg_now_us() + 2 * TG_US_PER_S);
	tg_log(TG_WARN, "again");
	tg_log(TG_WARN, "again");
	text = capture_end(&c);
	assert_int_equal(count(text, "\n"), TG_LOG_BURST + 3);
	assert_int_equal(count(text, "\"suppressed\":80"), 1);
	tg_buf_release(&c.text);
}

static void log__keeps_a_line_whole_and_within_its_limit(void **state)
{
	static char wide[8000];
	struct capture c;
	struct tg_slice line;
	json_t *root;

	(void)state;
	memset(wide, 1, sizeof(wide) - 1); /* six bytes each when escaped */
	capture_start(&c);
	tg_log(TG_INFO, "m", TG_F("wide", TG_S(wide)), TG_F("n", TG_I(5)));
	for (int i = 0; i < 3; i++) {
		memcpy(wide + 3 * i, "统", 3);
		memset(wide + 3 * i + 3, 'a', 4000);
	}
	tg_log(TG_INFO, "m", TG_F("a", TG_S(wide)), TG_F("b", TG_S(wide)), TG_F("c", TG_S(wide)),
		TG_F("d", TG_S(wide)), TG_F("e", TG_S(wide)), TG_F("n", TG_I(5)));
	capture_end(&c);
	line.data = c.text.data;
	for (int i = 0; i < 2; i++) {
		line.len = (size_t)(strchr(line.data, '\n') - line.data);
		assert_true(line.len < TG_LOG_LINE_MAX);
		assert_int_equal(tg_json_parse(line, &root, NULL), 0);
		assert_true(json_is_true(json_object_get(root, "cut")));
		assert_int_equal(json_integer_value(json_object_get(root, "n")), 5);
		json_decref(root);
		line.data += line.len + 1;
	}
	tg_buf_release(&c.text);
}

static void log_level_parse__knows_four_names(void **state)
{
	enum tg_log_level level = TG_INFO;

	(void)state;
	assert_int_equal(tg_log_level_parse("debug", &level), 0);
	assert_int_equal(level, TG_DEBUG);
	assert_int_equal(tg_log_level_parse("error", &level), 0);
	assert_int_equal(level, TG_ERROR);
	assert_int_equal(tg_log_level_parse("INFO", &level), -TG_EPARSE);
	assert_int_equal(level, TG_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log__is_one_json_object_a_line_away_from_a_terminal),
		cmocka_unit_test(log__lets_a_burst_pass_and_counts_the_rest),
		cmocka_unit_test(log__keeps_a_line_whole_and_within_its_limit),
		cmocka_unit_test(log_level_parse__knows_four_names),
	};

	return cmocka_run_group_tests_name("base_log", tests, NULL, NULL);
}
