#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"

/* Each test has a folder of its own as working directory and no TONGGUAN_ variables. */
static char dir[] = "/tmp/tg-conf-XXXXXX";

static int set_up(void **state)
{
	extern char **environ;

	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	for (char **e = environ; *e;) {
		char name[128];
		size_t n = strcspn(*e, "=");

		if (strncmp(*e, "TONGGUAN_", 9) != 0 || n >= sizeof(name)) {
			e++;
			continue;
		}
		memcpy(name, *e, n);
		name[n] = '\0';
		unsetenv(name);
	}
	return mkdtemp(dir) && chdir(dir) == 0 && mkdir(".run", 0700) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(".run/up.env");
	unlink("tongguan.conf");
	unlink("other.conf");
	rmdir(".run");
	return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

static void conf_load__without_anything_gives_the_defaults(void **state)
{
	struct tg_buf why = {0};
	struct tg_conf conf;

	(void)state;
	assert_int_equal(tg_conf_load(NULL, &conf, &why), 0);
	assert_string_equal(conf.kafka_brokers, "127.0.0.1:9092");
	assert_string_equal(conf.kafka_topics,
		"tongguan.sensor.readings,tongguan.vehicle.positions,"
		"tongguan.inspector.reports,tongguan.citizen.reports");
	assert_string_equal(conf.correlate_packs, "");
	assert_int_equal(conf.http_connections_max, 12000);
	assert_int_equal(conf.ingest_retention_days, 400);
	assert_string_equal(conf.state_dir, ".run");
	assert_int_equal(why.len, 0);
	tg_conf_release(&conf);
	tg_conf_release(&conf); /* released twice is released */
}

static void conf_load__environment_wins_over_the_file_and_the_file_over_defaults(void **state)
{
	struct tg_buf why = {0};
	struct tg_conf conf;

	(void)state;
	write_file("tongguan.conf", "; a comment\n# another\r\n\n[kafka]\n"
				    "brokers = one:1, two:2   # the rack on the left\n"
				    "[postgres]\n url=postgresql://h/db#fragment;x=1\n"
				    "[http]\nrate_limit = 0\r\nbody_max=2048\n[log]\nlevel=debug");
	setenv("TONGGUAN_HTTP_BODY_MAX", "4096", 1);
	setenv("TONGGUAN_CORRELATE_SERVICE_PORT", "tcp://10.0.0.1", 1); /* not ours */
	assert_int_equal(tg_conf_load(NULL, &conf, &why), 0);
	assert_string_equal(conf.kafka_brokers, "one:1, two:2");
	assert_string_equal(conf.postgres_url, "postgresql://h/db#fragment;x=1");
	assert_int_equal(conf.http_rate_limit, 0);
	assert_int_equal(conf.http_body_max, 4096);
	assert_string_equal(conf.log_level, "debug");
	tg_conf_release(&conf);
}

static void conf_load__says_line_and_remedy_for_a_broken_file(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"[kafka]\nbroker = x\n",
			"other.conf:2: there is no key \"broker\" in section [kafka]"},
		{"\n[kafak]\n", "other.conf:2: there is no section [kafak]"},
		{"[http]\nrate_limit = many\n",
			"other.conf:2: http.rate_limit must be a whole number"},
		{"[http]\nrate_limit = 1.5\n",
			"other.conf:2: http.rate_limit must be a whole number"},
		{"[http]\nrate_limit =\n", "other.conf:2: http.rate_limit must be a whole number"},
		{"[http]\nrate_limit = -1\n",
			"other.conf:2: http.rate_limit must be between 0 and 1000000"},
		{"[http]\nrate_limit = 99999999999999999999\n",
			"other.conf:2: http.rate_limit must be between 0 and 1000000"},
		{"[http]\nlisten = 8080\n", "other.conf:2: http.listen must be HOST:PORT"},
		{"[http]\nlisten = a:65536\n", "other.conf:2: http.listen must be HOST:PORT"},
		{"[log]\nlevel = loud\n",
			"other.conf:2: log.level must be debug, info, warn or error"},
		{"[kafka]\nbrokers =\n", "other.conf:2: kafka.brokers must not be empty"},
		{"rate_limit = 1\n", "other.conf:1: a key needs a [section] above it"},
		{"[http\n", "other.conf:1: a section is written [name]"},
		{"[http] x\n", "other.conf:1: a section is written [name]"},
		{"[http]\nrate_limit\n", "other.conf:2: write key = value"},
		{"[http]\nrate_limit=1\nrate_limit=2\n",
			"other.conf:3: http.rate_limit is set already on line 2"},
		{"[http]\nlisten = \xff:1\n", "other.conf:2: this line is not UTF-8 text"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_buf why = {0};
		struct tg_conf conf;

		write_file("other.conf", rows[i].text);
		assert_int_equal(tg_conf_load("other.conf", &conf, &why), -TG_ECONF);
		assert_non_null(tg_buf_cstr(&why));
		assert_ptr_equal(strstr(tg_buf_cstr(&why), rows[i].why), tg_buf_cstr(&why));
		assert_null(memchr(why.data, '\n', why.len));
		tg_buf_release(&why);
	}
}

static void conf_load__names_the_variable_or_the_missing_file(void **state)
{
	struct tg_buf why = {0};
	struct tg_conf conf;

	(void)state;
	assert_int_equal(tg_conf_load("absent.conf", &conf, &why), -TG_ECONF);
	assert_string_equal(
		tg_buf_cstr(&why), "absent.conf: cannot be read: No such file or directory");
	tg_buf_reset(&why);
	setenv("TONGGUAN_INGEST_BATCH_ROWS", "0", 1);
	assert_int_equal(tg_conf_load(NULL, &conf, &why), -TG_ECONF);
	assert_string_equal(tg_buf_cstr(&why),
		"TONGGUAN_INGEST_BATCH_ROWS: ingest.batch_rows must be between 1 and 1000000");
	tg_buf_release(&why);
}

static void conf_load__uses_up_env_only_where_nothing_names_a_server(void **state)
{
	static const char up[] = "TONGGUAN_KAFKA_BROKERS=127.0.0.1:41001\n"
				 "TONGGUAN_POSTGRES_URL=postgresql://127.0.0.1:41002/tongguan\n"
				 "TONGGUAN_HTTP_LISTEN=127.0.0.1:41003\nTONGGUAN_CONSOLE=x\n";
	struct tg_buf why = {0}, text = {0};
	struct tg_conf conf;

	(void)state;
	write_file(".run/up.env", up);
	setenv("TONGGUAN_HTTP_LISTEN", "127.0.0.1:7", 1);
	assert_int_equal(tg_conf_load(NULL, &conf, &why), 0);
	assert_string_equal(conf.kafka_brokers, "127.0.0.1:41001");
	assert_string_equal(conf.postgres_url, "postgresql://127.0.0.1:41002/tongguan");
	assert_string_equal(conf.http_listen, "127.0.0.1:7"); /* the environment's */
	tg_conf_release(&conf);

	setenv("TONGGUAN_REDIS_URL", "redis://elsewhere:6379", 1);
	assert_int_equal(tg_conf_load(NULL, &conf, &why), 0);
	assert_string_equal(conf.kafka_brokers, "127.0.0.1:9092");
	tg_conf_release(&conf);
	unsetenv("TONGGUAN_REDIS_URL");

	write_file("tongguan.conf", "[postgres]\nurl = postgresql://mine/db\n");
	assert_int_equal(tg_conf_load(NULL, &conf, &why), 0);
	assert_string_equal(conf.kafka_brokers, "127.0.0.1:9092");
	assert_string_equal(conf.postgres_url, "postgresql://mine/db");
	tg_conf_release(&conf);
	unlink("tongguan.conf");

	/* pid 4194304 is one more than Linux ever gives: the file's writer is dead */
	assert_int_equal(tg_buf_addf(&text, "%sTONGGUAN_UP_PID=4194304\n", up), 0);
	write_file(".run/up.env", tg_buf_cstr(&text));
	assert_int_equal(tg_conf_load(NULL, &conf, &why), 0);
	assert_string_equal(conf.kafka_brokers, "127.0.0.1:9092");
	tg_conf_release(&conf);
	tg_buf_reset(&text);
	assert_int_equal(tg_buf_addf(&text, "%sTONGGUAN_UP_PID=%d\n", up, (int)getpid()), 0);
	write_file(".run/up.env", tg_buf_cstr(&text));
	assert_int_equal(tg_conf_load(NULL, &conf, &why), 0);
	assert_string_equal(conf.kafka_brokers, "127.0.0.1:41001");
	tg_conf_release(&conf);
	tg_buf_release(&text);
}

static void conf_help__lists_every_option_with_its_variable(void **state)
{
	struct tg_buf out = {0};

	(void)state;
	assert_int_equal(tg_conf_help(&out), 0);
	assert_non_null(strstr(tg_buf_cstr(&out), "[kafka]\n  brokers = 127.0.0.1:9092\n"));
	assert_non_null(strstr(tg_buf_cstr(&out), "environment: TONGGUAN_STATE_DIR\n"));
	assert_non_null(strstr(tg_buf_cstr(&out), "(0 to 36500)"));
	tg_buf_release(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(conf_load__without_anything_gives_the_defaults),
		TEST(conf_load__environment_wins_over_the_file_and_the_file_over_defaults),
		TEST(conf_load__says_line_and_remedy_for_a_broken_file),
		TEST(conf_load__names_the_variable_or_the_missing_file),
		TEST(conf_load__uses_up_env_only_where_nothing_names_a_server),
		TEST(conf_help__lists_every_option_with_its_variable),
	};

	return cmocka_run_group_tests_name("base_conf", tests, NULL, NULL);
}
