#include "correlate/metrics.h"

static const char *const states[] = {"open", "cleared", "withdrawn", "merged", NULL};
static const char *const reloads[] = {"taken", "refused", NULL};

#define SECONDS \
	.kind = TG_HISTOGRAM, .bounds = tg_metric_seconds, .bounds_count = TG_METRIC_SECONDS_COUNT

struct tg_metric tg_correlate_metrics[TG_CM_COUNT] = {
	[TG_CM_EVENTS] = {.name = "tongguan_correlate_events_total",
		.help = "Located events read.",
		.kind = TG_COUNTER},
	[TG_CM_PROGRESS] = {.name = "tongguan_correlate_progress_total",
		.help = "Progress records read.",
		.kind = TG_COUNTER},
	[TG_CM_GUARDED] = {.name = "tongguan_correlate_guarded_total",
		.help = "Events that no rule could want.",
		.kind = TG_COUNTER},
	[TG_CM_LATE] = {.name = "tongguan_correlate_late_total",
		.help = "Judgements left out because the event was too late for its rule.",
		.kind = TG_COUNTER},
	[TG_CM_REPEATS] = {.name = "tongguan_correlate_repeats_total",
		.help = "Events that a window held already.",
		.kind = TG_COUNTER},
	[TG_CM_FULL] = {.name = "tongguan_correlate_window_full_total",
		.help = "Events not taken because correlate.window_events_max was reached.",
		.kind = TG_COUNTER},
	[TG_CM_BROKEN] = {.name = "tongguan_correlate_broken_total",
		.help = "Records that are no located event.",
		.kind = TG_COUNTER},
	[TG_CM_WINDOW_EVENTS] = {.name = "tongguan_correlate_window_events",
		.help = "Events held in windows.",
		.kind = TG_GAUGE},
	[TG_CM_WINDOW_MAX] = {.name = "tongguan_correlate_window_events_max",
		.help = "How many windows may hold.",
		.kind = TG_GAUGE},
	[TG_CM_INCIDENTS] = {.name = "tongguan_correlate_incident_messages_total",
		.help = "Incident messages acknowledged, by the state they tell.",
		.kind = TG_COUNTER,
		.label = "state",
		.values = states},
	[TG_CM_BATCHES] = {.name = "tongguan_correlate_batches_total",
		.help = "Batches committed.",
		.kind = TG_COUNTER},
	[TG_CM_FENCED] = {.name = "tongguan_correlate_fenced_total",
		.help = "Times another owner had taken over.",
		.kind = TG_COUNTER},
	[TG_CM_REWRITES] = {.name = "tongguan_correlate_rewrites_total",
		.help = "Times whole windows were written back to Redis.",
		.kind = TG_COUNTER},
	[TG_CM_PACKS_REFUSED] = {.name = "tongguan_correlate_packs_refused",
		.help = "Pack files refused when the packs were read last.",
		.kind = TG_GAUGE},
	[TG_CM_RULES] = {.name = "tongguan_correlate_rules",
		.help = "Rules that run.",
		.kind = TG_GAUGE},
	[TG_CM_RELOADS] = {.name = "tongguan_correlate_reloads_total",
		.help = "Times the packs were read again while the role ran, by what came of it.",
		.kind = TG_COUNTER,
		.label = "result",
		.values = reloads},
	[TG_CM_BEYOND_HALO] = {.name = "tongguan_correlate_rules_beyond_halo",
		.help = "Rules that look further than the halo of the city loaded since the start.",
		.kind = TG_GAUGE},
	[TG_CM_DEVICES] = {.name = "tongguan_correlate_devices",
		.help = "Devices of the city's registry.",
		.kind = TG_GAUGE},
	[TG_CM_PARTITIONS] = {.name = "tongguan_correlate_partitions",
		.help = "Partitions owned.",
		.kind = TG_GAUGE},
	[TG_CM_QUEUED] = {.name = "tongguan_correlate_queued_records",
		.help = "Records read and not yet judged.",
		.kind = TG_GAUGE},
	[TG_CM_ROW_SECONDS] = {.name = "tongguan_correlate_row_seconds",
		.help = "Writing a batch's incident rows.",
		SECONDS},
	[TG_CM_MESSAGE_SECONDS] = {.name = "tongguan_correlate_message_seconds",
		.help = "Publishing a batch's incidents until acknowledged.",
		SECONDS},
	[TG_CM_REDIS_SECONDS] = {.name = "tongguan_correlate_redis_seconds",
		.help = "The one Redis call of a batch.",
		SECONDS},
	[TG_CM_DELAY_SECONDS] = {.name = "tongguan_correlate_delay_seconds",
		.help = "From a batch's oldest record's arrival in its topic to the Redis call's "
			"answer.",
		SECONDS},
};

void tg_correlate_note_counts(const struct tg_engine_counts *now)
{
	static struct tg_engine_counts before;

	tg_metric_add(&tg_correlate_metrics[TG_CM_EVENTS], (double)(now->events - before.events));
	tg_metric_add(
		&tg_correlate_metrics[TG_CM_PROGRESS], (double)(now->progress - before.progress));
	tg_metric_add(
		&tg_correlate_metrics[TG_CM_GUARDED], (double)(now->guarded - before.guarded));
	tg_metric_add(&tg_correlate_metrics[TG_CM_LATE], (double)(now->late - before.late));
	tg_metric_add(
		&tg_correlate_metrics[TG_CM_REPEATS], (double)(now->repeats - before.repeats));
	tg_metric_add(&tg_correlate_metrics[TG_CM_FULL], (double)(now->full - before.full));
	tg_metric_add(&tg_correlate_metrics[TG_CM_BROKEN], (double)(now->broken - before.broken));
	before = *now;
}
