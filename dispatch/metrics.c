#include "dispatch/metrics.h"

static const char *const outcomes[] = {"done", "not_found", "forbidden", "invalid", "not_allowed",
	"stale", "key_reused", "unavailable", NULL};
static const char *const intake_outcomes[] = {
	"opened", "noted", "repeated", "skipped", "refused", NULL};

struct tg_metric tg_dispatch_metrics[TG_M_COUNT] = {
	[TG_M_TRANSITIONS] = {.name = "tongguan_dispatch_transitions_total",
		.help = "transitions asked for, by outcome",
		.kind = TG_COUNTER,
		.label = "outcome",
		.values = outcomes},
	[TG_M_TRANSITION_S] = {.name = "tongguan_dispatch_transition_seconds",
		.help = "from the request to its answer",
		.kind = TG_HISTOGRAM,
		.bounds = tg_metric_seconds,
		.bounds_count = TG_METRIC_SECONDS_COUNT},
	[TG_M_INCIDENTS] = {.name = "tongguan_dispatch_incidents_total",
		.help = "incident messages, by outcome",
		.kind = TG_COUNTER,
		.label = "outcome",
		.values = intake_outcomes},
	[TG_M_ESCALATIONS] = {.name = "tongguan_dispatch_escalations_total",
		.help = "escalation levels fired",
		.kind = TG_COUNTER},
	[TG_M_ESCALATION_LATE_S] = {.name = "tongguan_dispatch_escalation_late_seconds",
		.help = "how late the latest level of a turn fired",
		.kind = TG_HISTOGRAM,
		.bounds = tg_metric_seconds,
		.bounds_count = TG_METRIC_SECONDS_COUNT},
	[TG_M_PUBLISHED] = {.name = "tongguan_dispatch_published_total",
		.help = "messages Kafka has acknowledged",
		.kind = TG_COUNTER},
	[TG_M_LEADER] = {.name = "tongguan_dispatch_publisher",
		.help = "1 while this process numbers and publishes",
		.kind = TG_GAUGE},
	[TG_M_POS] = {.name = "tongguan_dispatch_pos",
		.help = "the highest position seen",
		.kind = TG_GAUGE},
	[TG_M_CITY_VERSION] = {.name = "tongguan_dispatch_city_version",
		.help = "version of the reference data in use",
		.kind = TG_GAUGE},
};
