/* What the room counts. */
#ifndef TG_DISPATCH_METRICS_H
#define TG_DISPATCH_METRICS_H

#include "base/metric.h"

enum tg_dispatch_metric {
	TG_M_TRANSITIONS, /* by outcome: index = enum tg_act_status */
	TG_M_TRANSITION_S,
	TG_M_INCIDENTS, /* by outcome: index = enum tg_intake_outcome */
	TG_M_ESCALATIONS,
	TG_M_ESCALATION_LATE_S,
	TG_M_PUBLISHED,
	TG_M_LEADER,
	TG_M_POS,
	TG_M_CITY_VERSION,
	TG_M_ANCHORS,
	TG_M_ANCHOR,
	TG_M_COUNT
};

enum tg_intake_outcome {
	TG_INTAKE_OPENED,
	TG_INTAKE_NOTED,
	TG_INTAKE_REPEATED,
	TG_INTAKE_SKIPPED,
	TG_INTAKE_REFUSED
};

extern struct tg_metric tg_dispatch_metrics[TG_M_COUNT];

#endif
