#include "base/metric.h"

#include <assert.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define TABLES_MAX 64

const double tg_metric_seconds[TG_METRIC_SECONDS_COUNT] = {
	0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

static struct {
	struct tg_metric *rows;
	size_t n;
} tables[TABLES_MAX];
static size_t tables_count;

static int label_count(const struct tg_metric *m)
{
	int n = 0;

	if (!m->label)
		return 1;
	while (m->labels && m->labels[n])
		n++;
	while (!m->labels && m->values && m->values[n])
		n++;
	return n;
}

static bool is_name(const char *text)
{
	if (!text || !*text || strspn(text, "0123456789"))
		return false;
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool is_sound(const struct tg_metric *m)
{
	if (!is_name(m->name) || !m->help || (m->label && !is_name(m->label)))
		return false;
	if (m->kind != TG_HISTOGRAM)
		return label_count(m) > 0 || m->labels_max > 0;
	if (m->label || m->bounds_count < 0 || m->bounds_count > TG_METRIC_BUCKETS)
		return false;
	for (int i = 1; m->bounds && i < m->bounds_count; i++) {
		if (!(m->bounds[i - 1] < m->bounds[i]))
			return false;
	}
	return true;
}

static bool name_taken(const char *name)
{
	for (size_t t = 0; t < tables_count; t++) {
		for (size_t i = 0; i < tables[t].n; i++) {
			if (strcmp(tables[t].rows[i].name, name) == 0)
				return true;
		}
	}
	return false;
}

static int cells_new(struct tg_metric *m)
{
	if (m->kind == TG_HISTOGRAM) {
		if (!m->bounds) {
			m->bounds = tg_metric_seconds;
			m->bounds_count = TG_METRIC_SECONDS_COUNT;
		}
		m->buckets = calloc((size_t)m->bounds_count + 1, sizeof(*m->buckets));
		return m->buckets ? 0 : -TG_ENOMEM;
	}
	if (m->labels_max > 0) {
		m->labels = calloc((size_t)m->labels_max + 1, sizeof(*m->labels));
		if (!m->labels)
			return -TG_ENOMEM;
	}
	m->cells = calloc(
		(size_t)(m->labels_max > 0 ? m->labels_max : label_count(m)), sizeof(*m->cells));
	return m->cells ? 0 : -TG_ENOMEM;
}

int tg_metric_register(struct tg_metric *table, size_t n)
{
	for (size_t t = 0; t < tables_count; t++) {
		if (tables[t].rows == table)
			return 0;
	}
	if (tables_count == TABLES_MAX)
		return -TG_EFULL;
	for (size_t i = 0; i < n; i++) {
		if (!is_sound(&table[i]))
			return -TG_EINVAL;
		if (name_taken(table[i].name))
			return -TG_EEXIST;
	}
	for (size_t i = 0; i < n; i++) {
		int rc = cells_new(&table[i]);

		if (rc)
			return rc;
	}
	tables[tables_count].rows = table;
	tables[tables_count].n = n;
	tables_count++;
	return 0;
}

int tg_metric_label(struct tg_metric *m, const char *value)
{
	int n = 0;

	assert(m->labels_max > 0);
	if (!m->labels)
		return -TG_ENOENT;
	for (; m->labels[n]; n++)
		if (strcmp(m->labels[n], value) == 0)
			return n;
	if (n == m->labels_max)
		return -TG_EFULL;
	m->labels[n] = strdup(value);
	if (!m->labels[n])
		return -TG_ENOMEM;
	m->cells[n] = 0;
	return n;
}

void tg_metric_forget_labels(struct tg_metric *m)
{
	for (int n = 0; m->labels && m->labels[n]; n++) {
		free(m->labels[n]);
		m->labels[n] = NULL;
	}
}

void tg_metric_add(struct tg_metric *m, double v)
{
	assert(!m->label);
	tg_metric_add_at(m, 0, v);
}

void tg_metric_add_at(struct tg_metric *m, int label, double v)
{
	assert(m->kind != TG_HISTOGRAM);
	assert(m->kind == TG_GAUGE || v >= 0); /* a counter never falls */
	assert(label >= 0);
	if (!m->cells)
		return;
	assert(label < label_count(m));
	m->cells[label] += v;
}

void tg_metric_set(struct tg_metric *m, double v)
{
	assert(!m->label);
	tg_metric_set_at(m, 0, v);
}

void tg_metric_set_at(struct tg_metric *m, int label, double v)
{
	assert(m->kind == TG_GAUGE);
	assert(label >= 0);
	if (!m->cells)
		return;
	assert(label < label_count(m));
	m->cells[label] = v;
}

void tg_metric_observe(struct tg_metric *m, double v)
{
	int i = 0;

	assert(m->kind == TG_HISTOGRAM);
	if (!m->buckets)
		return;
	while (i < m->bounds_count && !(v <= m->bounds[i]))
		i++;
	m->buckets[i]++;
	m->count++;
	m->sum += v;
}

/* Label values escape quotes too; help texts must not. */
static int put_escaped(struct tg_buf *out, const char *text, bool quotes)
{
	int rc = 0;

	for (; *text && !rc; text++) {
		if (*text == '\n')
			rc = tg_buf_add_cstr(out, "\\n");
		else if (*text == '\\' || (quotes && *text == '"'))
			rc = tg_buf_addf(out, "\\%c", *text);
		else
			rc = tg_buf_add(out, text, 1);
	}
	return rc;
}

static int put_head(struct tg_buf *out, const char *name, const char *help, const char *kind)
{
	int rc = tg_buf_addf(out, "# HELP %s ", name);

	if (!rc)
		rc = put_escaped(out, help, false);
	if (!rc)
		rc = tg_buf_addf(out, "\n# TYPE %s %s\n", name, kind);
	return rc;
}

static int put_value(struct tg_buf *out, double v)
{
	int rc = tg_buf_add(out, " ", 1);

	if (!rc)
		rc = tg_buf_add_dbl(out, v);
	return rc ? rc : tg_buf_add(out, "\n", 1);
}

static int put_cells(struct tg_buf *out, const struct tg_metric *m)
{
	int n = label_count(m), rc = 0;

	for (int i = 0; i < n && !rc; i++) {
		rc = tg_buf_add_cstr(out, m->name);
		if (!rc && m->label) {
			rc = tg_buf_addf(out, "{%s=\"", m->label);
			if (!rc)
				rc = put_escaped(
					out, m->labels ? m->labels[i] : m->values[i], true);
			if (!rc)
				rc = tg_buf_add_cstr(out, "\"}");
		}
		if (!rc)
			rc = put_value(out, m->cells[i]);
	}
	return rc;
}

static int put_histogram(struct tg_buf *out, const struct tg_metric *m)
{
	uint64_t sum = 0;
	int rc = 0;

	for (int i = 0; i <= m->bounds_count && !rc; i++) {
		sum += m->buckets[i];
		rc = tg_buf_addf(out, "%s_bucket{le=\"", m->name);
		if (!rc)
			rc = i < m->bounds_count ? tg_buf_add_dbl(out, m->bounds[i])
						 : tg_buf_add_cstr(out, "+Inf");
		if (!rc)
			rc = tg_buf_addf(out, "\"} %llu\n", (unsigned long long)sum);
	}
	if (!rc)
		rc = tg_buf_addf(out, "%s_sum", m->name);
	if (!rc)
		rc = put_value(out, m->sum);
	if (!rc)
		rc = tg_buf_addf(out, "%s_count %llu\n", m->name, (unsigned long long)m->count);
	return rc;
}

static int put_metric(struct tg_buf *out, const struct tg_metric *m)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};
	int rc = put_head(out, m->name, m->help, kinds[m->kind]);

	if (rc)
		return rc;
	return m->kind == TG_HISTOGRAM ? put_histogram(out, m) : put_cells(out, m);
}

static double cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u))
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*s %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Field 22 of /proc/self/stat counts ticks since boot; the name in field 2 may hold spaces, its ')'
 * is the last. */
static double start_seconds(void)
{
	struct timespec wall, boot;
	struct tg_buf text = {.max = 4096};
	unsigned long long ticks = 0;
	const char *after;

	if (tg_buf_read_file(&text, "/proc/self/stat") == 0 && tg_buf_cstr(&text)) {
		after = strrchr(text.data, ')');
		if (!after ||
			sscanf(after + 1,
				"%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
				"%*s %*s %*s %llu",
				&ticks) != 1)
			ticks = 0;
	}
	tg_buf_release(&text);
	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -3; /* ".", ".." and the directory itself */

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int put_process(struct tg_buf *out)
{
	static double start; /* read once: the difference of two clocks wavers */
	const struct {
		const char *name, *help, *kind;
		double v;
	} rows[] = {
		{"process_cpu_seconds_total", "User and system time.", "counter", cpu_seconds()},
		{"process_resident_memory_bytes", "Resident memory.", "gauge", resident_bytes()},
		{"process_start_time_seconds", "Start, seconds since 1970.", "gauge",
			start > 0 ? start : (start = start_seconds())},
		{"process_open_fds", "Open file descriptors.", "gauge", open_fds()},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !rc; i++) {
		rc = put_head(out, rows[i].name, rows[i].help, rows[i].kind);
		if (!rc)
			rc = tg_buf_add_cstr(out, rows[i].name);
		if (!rc)
			rc = put_value(out, rows[i].v);
	}
	return rc;
}

int tg_metric_write(struct tg_buf *out)
{
	size_t len = out->len;
	int rc = 0;

	for (size_t t = 0; t < tables_count; t++) {
		for (size_t i = 0; i < tables[t].n && !rc; i++)
			rc = put_metric(out, &tables[t].rows[i]);
	}
	if (!rc)
		rc = put_process(out);
	if (rc)
		out->len = len;
	return rc;
}
