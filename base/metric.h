/* Counters, gauges and histograms, written in the Prometheus text format (version 0.0.4).
 *
 * Metrics are static tables: each room defines its own `struct tg_metric` array and registers it
 * once; a label set is a fixed list of values. Everything runs on one thread (the loop's). */
#ifndef TG_BASE_METRIC_H
#define TG_BASE_METRIC_H

#include <stdint.h>

#include "base/buf.h"

enum tg_metric_kind { TG_COUNTER, TG_GAUGE, TG_HISTOGRAM };

#define TG_METRIC_BUCKETS 20

struct tg_metric {
	const char *name; /* snake_case with unit, e.g. tongguan_ingest_rows_total */
	const char *help;
	enum tg_metric_kind kind;
	const char *label;         /* NULL: no label */
	const char *const *values; /* label values, NULL-terminated, when label is set */
	int labels_max;            /* instead of values: so many may come and go; see
				    * tg_metric_label() */
	const double *bounds;      /* histogram: ascending upper bounds; NULL: tg_metric_seconds */
	int bounds_count;          /* at most TG_METRIC_BUCKETS */
	/* private: one cell per label value (or one) */
	double *cells;
	char **labels;     /* those that came, labels_max + 1 */
	uint64_t *buckets; /* histogram, unlabelled: bounds_count + 1 */
	uint64_t count;
	double sum;
};

extern const double tg_metric_seconds[]; /* 1 ms … 60 s */
#define TG_METRIC_SECONDS_COUNT 15

/* The table must live as long as the process. -TG_EEXIST: another table has a metric of that name;
 * -TG_EINVAL: a malformed row; -TG_EFULL: too many tables. Registering the same table again changes
 * nothing. Until its table is registered a metric counts nowhere, so pure code is tested without a
 * registry. */
TG_MUST int tg_metric_register(struct tg_metric *table, size_t n);
/* The index of a label value of a metric with labels_max, new when it is not known yet; -TG_EFULL,
 * -TG_ENOMEM. -TG_ENOENT while its table is not registered. */
TG_MUST int tg_metric_label(struct tg_metric *m, const char *value);
/* Forgets all its label values: what they counted is not shown any more. */
void tg_metric_forget_labels(struct tg_metric *m);
void tg_metric_add(struct tg_metric *m, double v);
void tg_metric_add_at(struct tg_metric *m, int label, double v); /* label: index into values */
void tg_metric_set(struct tg_metric *m, double v);
void tg_metric_set_at(struct tg_metric *m, int label, double v);
void tg_metric_observe(struct tg_metric *m, double v);
/* All registered metrics, plus process_* (cpu seconds, resident bytes, start time, open fds). */
TG_MUST int tg_metric_write(struct tg_buf *out);

#endif
