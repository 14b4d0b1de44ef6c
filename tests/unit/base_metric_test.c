#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/metric.h"

static const char *const reasons[] = {"bad_json", "say \"no\"\\\n", NULL};
static const double bounds[] = {0.1, 1};

static struct tg_metric table[] = {
	{.name = "tongguan_test_rows_total", .help = "Rows.\nStored.", .kind = TG_COUNTER},
	{.name = "tongguan_test_refused_total",
		.help = "Refused, by reason.",
		.kind = TG_COUNTER,
		.label = "reason",
		.values = reasons},
	{.name = "tongguan_test_lag_seconds", .help = "Lag.", .kind = TG_GAUGE},
	{.name = "tongguan_test_copy_seconds",
		.help = "COPY.",
		.kind = TG_HISTOGRAM,
		.bounds = bounds,
		.bounds_count = 2},
	{.name = "tongguan_test_default_seconds", .help = "Default.", .kind = TG_HISTOGRAM},
};

static void metric__unregistered_counts_nowhere(void **state)
{
	struct tg_metric m = {.name = "x", .help = "x", .kind = TG_GAUGE};
	struct tg_metric h = {.name = "y", .help = "y", .kind = TG_HISTOGRAM};

	(void)state;
	tg_metric_add(&m, 1);
	tg_metric_set(&m, 1);
	tg_metric_observe(&h, 1);
	assert_null(m.cells);
}

static void metric_write__is_the_prometheus_text_format(void **state)
{
	struct tg_buf out = {0};
	const char *want = "# HELP tongguan_test_rows_total Rows.\\nStored.\n"
			   "# TYPE tongguan_test_rows_total counter\n"
			   "tongguan_test_rows_total 6000\n"
			   "# HELP tongguan_test_refused_total Refused, by reason.\n"
			   "# TYPE tongguan_test_refused_total counter\n"
			   "tongguan_test_refused_total{reason=\"bad_json\"} 0\n"
			   "tongguan_test_refused_total{reason=\"say \\\"no\\\"\\\\\\n\"} 2\n"
			   "# HELP tongguan_test_lag_seconds Lag.\n"
			   "# TYPE tongguan_test_lag_seconds gauge\n"
			   "tongguan_test_lag_seconds -0.5\n"
			   "# HELP tongguan_test_copy_seconds COPY.\n"
			   "# TYPE tongguan_test_copy_seconds histogram\n"
			   "tongguan_test_copy_seconds_bucket{le=\"0.1\"} 2\n"
			   "tongguan_test_copy_seconds_bucket{le=\"1\"} 3\n"
			   "tongguan_test_copy_seconds_bucket{le=\"+Inf\"} 4\n"
			   "tongguan_test_copy_seconds_sum 10.15\n"
			   "tongguan_test_copy_seconds_count 4\n";

	(void)state;
	assert_int_equal(tg_metric_register(table, sizeof(table) / sizeof(table[0])), 0);
	assert_int_equal(tg_metric_register(table, sizeof(table) / sizeof(table[0])), 0);
	tg_metric_add(&table[0], 6000);
	tg_metric_add_at(&table[1], 1, 2);
	tg_metric_add(&table[2], 1);
	tg_metric_set(&table[2], -0.5);
	tg_metric_observe(&table[3], 0.05);
	tg_metric_observe(&table[3], 0.1); /* a bound belongs to its bucket */
	tg_metric_observe(&table[3], 1);
	tg_metric_observe(&table[3], 9);
	assert_int_equal(tg_metric_write(&out), 0);
	assert_non_null(tg_buf_cstr(&out));
	assert_memory_equal(out.data, want, strlen(want));
	assert_non_null(strstr(out.data, "tongguan_test_default_seconds_bucket{le=\"60\"} 0\n"));
	assert_non_null(strstr(out.data, "\nprocess_cpu_seconds_total "));
	assert_non_null(strstr(out.data, "\nprocess_resident_memory_bytes "));
	assert_null(strstr(out.data, "\nprocess_resident_memory_bytes 0\n"));
	assert_non_null(strstr(out.data, "\nprocess_start_time_seconds 1"));
	assert_non_null(strstr(out.data, "\nprocess_open_fds "));
	assert_int_equal(out.data[out.len - 1], '\n');
	tg_buf_release(&out);
}

static void metric_register__refuses_a_malformed_or_second_name(void **state)
{
	static const double falling[] = {2, 1};
	static struct tg_metric bad[] = {
		{.name = "Upper", .help = "x", .kind = TG_GAUGE},
		{.name = "9x", .help = "x", .kind = TG_GAUGE},
		{.name = "", .help = "x", .kind = TG_GAUGE},
		{.name = "x", .kind = TG_GAUGE},
		{.name = "x", .help = "x", .kind = TG_GAUGE, .label = "l"},
		{.name = "x",
			.help = "x",
			.kind = TG_HISTOGRAM,
			.bounds = falling,
			.bounds_count = 2},
		{.name = "x", .help = "x", .kind = TG_HISTOGRAM, .label = "l", .values = reasons},
	};
	static struct tg_metric again[] = {
		{.name = "tongguan_test_rows_total", .help = "x", .kind = TG_COUNTER}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tg_metric_register(&bad[i], 1), -TG_EINVAL);
	assert_int_equal(tg_metric_register(again, 1), -TG_EEXIST);
}

static void metric_write__into_too_small_a_buffer_leaves_it_unchanged(void **state)
{
	struct tg_buf out = {.max = 100};

	(void)state;
	assert_int_equal(tg_buf_add_cstr(&out, "kept"), 0);
	assert_int_equal(tg_metric_write(&out), -TG_EFULL);
	assert_string_equal(tg_buf_cstr(&out), "kept");
	tg_buf_release(&out);
}

static void metric_label__values_come_and_go_up_to_a_limit(void **state)
{
	static struct tg_metric lag[] = {{.name = "tongguan_test_lag",
		.help = "x",
		.kind = TG_GAUGE,
		.label = "partition",
		.labels_max = 2}};
	struct tg_buf out = {0};

	(void)state;
	assert_int_equal(tg_metric_label(&lag[0], "a/0"), -TG_ENOENT);
	assert_int_equal(tg_metric_register(lag, 1), 0);
	assert_int_equal(tg_metric_label(&lag[0], "a/0"), 0);
	assert_int_equal(tg_metric_label(&lag[0], "b\"/1"), 1);
	assert_int_equal(tg_metric_label(&lag[0], "a/0"), 0);
	assert_int_equal(tg_metric_label(&lag[0], "c/2"), -TG_EFULL);
	tg_metric_set_at(&lag[0], 1, 7);
	assert_int_equal(tg_metric_write(&out), 0);
	assert_non_null(strstr(tg_buf_cstr(&out), "tongguan_test_lag{partition=\"a/0\"} 0\n"
						  "tongguan_test_lag{partition=\"b\\\"/1\"} 7\n"));
	tg_metric_forget_labels(&lag[0]);
	assert_int_equal(tg_metric_label(&lag[0], "c/2"), 0);
	tg_buf_reset(&out);
	assert_int_equal(tg_metric_write(&out), 0);
	assert_null(strstr(tg_buf_cstr(&out), "partition=\"a/0\""));
	assert_non_null(strstr(tg_buf_cstr(&out), "tongguan_test_lag{partition=\"c/2\"} 0\n"));
	tg_metric_forget_labels(&lag[0]);
	tg_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metric__unregistered_counts_nowhere),
		cmocka_unit_test(metric_write__is_the_prometheus_text_format),
		cmocka_unit_test(metric_register__refuses_a_malformed_or_second_name),
		cmocka_unit_test(metric_label__values_come_and_go_up_to_a_limit),
		cmocka_unit_test(metric_write__into_too_small_a_buffer_leaves_it_unchanged),
	};

	return cmocka_run_group_tests_name("base_metric", tests, NULL, NULL);
}
