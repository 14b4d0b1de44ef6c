#include "ingest/metrics.h"

#include <stddef.h>

#include "base/clock.h"
#include "proto/reject.h"

static const char *const stages[] = {"wait", "offsets", "copy", "commit", "publish", NULL};
#define LAG_PARTITIONS_MAX 1024 /* more are in the sum alone */

static const double batch_bounds[] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000};

#define COUNTER(id, metric, text) \
	[id] = {.name = "tongguan_ingest_" metric, .help = text, .kind = TG_COUNTER}
#define GAUGE(id, metric, text) \
	[id] = {.name = "tongguan_ingest_" metric, .help = text, .kind = TG_GAUGE}

struct tg_metric tg_ingest_metrics[TG_M_COUNT] = {
	COUNTER(TG_M_RECORDS, "records_total", "Records read from the input topics."),
	COUNTER(TG_M_ROWS, "rows_total", "Events stored."),
	COUNTER(TG_M_BATCHES, "batches_total", "Transactions committed with events or offsets."),
	[TG_M_BATCH_ROWS] = {.name = "tongguan_ingest_batch_rows",
		.help = "Rows of a transaction.",
		.kind = TG_HISTOGRAM,
		.bounds = batch_bounds,
		.bounds_count = sizeof(batch_bounds) / sizeof(batch_bounds[0])},
	[TG_M_REFUSED] = {.name = "tongguan_ingest_refused_total",
		.help = "Records refused, by reason.",
		.kind = TG_COUNTER,
		.label = "reason",
		.values = tg_reject_labels},
	COUNTER(TG_M_DUPLICATES, "duplicates_total", "Events that were stored before."),
	COUNTER(TG_M_REUSED, "event_id_reused_total",
		"Event ids that came again with another time."),
	COUNTER(TG_M_LOCATED, "located_total", "Located events published."),
	COUNTER(TG_M_HALO, "halo_total", "Copies of located events for neighbouring partitions."),
	COUNTER(TG_M_AGAIN, "published_again_total",
		"Records below the stored offset that were published again."),
	COUNTER(TG_M_RECALLED, "recalled_total",
		"Records published from the tables because the log no longer had them."),
	COUNTER(TG_M_UNDELIVERED, "undelivered_total", "Messages that Kafka refused for good."),
	COUNTER(TG_M_STAGED, "staged_batches_total",
		"Batches that went through the staging table."),
	COUNTER(TG_M_RETRIED, "retried_batches_total", "Transactions rolled back and tried again."),
	COUNTER(TG_M_FENCED, "fenced_total", "Times another owner had taken over."),
	[TG_M_STAGE_SECONDS] = {.name = "tongguan_ingest_stage_seconds_total",
		.help = "Time spent by batches in each stage.",
		.kind = TG_COUNTER,
		.label = "stage",
		.values = stages},
	[TG_M_LAG_PARTITION] = {.name = "tongguan_ingest_lag_partition_records",
		.help = "The same by source partition, of those owned: topic/partition.",
		.kind = TG_GAUGE,
		.label = "partition",
		.labels_max = LAG_PARTITIONS_MAX},
	GAUGE(TG_M_LAG, "lag_records", "Records in Kafka that are not yet read."),
	GAUGE(TG_M_UNFORWARDED, "unforwarded_records",
		"Records stored and not yet known to be published."),
	GAUGE(TG_M_PARTITIONS, "partitions", "Source partitions owned."),
	COUNTER(TG_M_BELOW_FLOOR, "below_floor_total",
		"Records that were in time when they arrived and lie below the retention floor "
		"now: "
		"skipped."),
	GAUGE(TG_M_AHEAD, "partitions_ahead",
		"Partitions of the event table that are there after that of now, without a gap."),
	GAUGE(TG_M_FLOOR, "retention_floor_seconds",
		"The retention floor, seconds since 1970; 0: nothing was ever dropped."),
	COUNTER(TG_M_DROPPED, "partitions_dropped_total", "Partitions dropped by this process."),
	COUNTER(TG_M_DROP_BUSY, "retention_busy_total",
		"Times a partition was not dropped because its lock did not come in time."),
	GAUGE(TG_M_NEEDED, "retention_needed_events",
		"Events that keep the oldest partition: of incidents dispatch has not seen, or of "
		"cases."),
	COUNTER(TG_M_EVIDENCE, "retention_evidence_total",
		"Events copied into their cases before their partition was dropped."),
	COUNTER(TG_M_SWEPT, "dead_letters_dropped_total",
		"Dead letters deleted since they arrived before the retention floor."),
	COUNTER(TG_M_SUMMARIZED, "summarized_ranges_total",
		"Ranges of stored events that were summarised for looks by time."),
};

int64_t tg_ingest_stage(enum tg_ingest_stage stage, int64_t since_mono_us)
{
	int64_t now = tg_mono_us();

	tg_metric_add_at(&tg_ingest_metrics[TG_M_STAGE_SECONDS], (int)stage,
		(double)(now - since_mono_us) / 1e6);
	return now;
}
