/* A simulated city with its ledger of truth: what is planted by the rules' own parameters, what
 * each rule must make of it by definition, and what was made of it.
 *
 * sim_script.c the events · sim_city.c places and devices · sim_plant.c reports, with near misses ·
 * sim_series.c the devices' readings · sim_truth.c what the rules must find, by brute force over
 * the definitions and without any of correlate's own detection · sim_ledger.c the ledger ·
 * sim_send.c publishing · sim_score.c the comparison */
#ifndef TG_CMD_SIM_H
#define TG_CMD_SIM_H

#include <jansson.h>

#include "base/conf.h"
#include "base/geo.h"
#include "correlate/rule.h"

#define SIM_RUN_MAX   32 /* bytes of a run's name, which begins each event_id */
#define SIM_LOT_MAX   48 /* events planted at one place */
#define SIM_NAMES_MAX 64

/* SplitMix64: the same seed, the same city. */
struct sim_random {
	uint64_t state;
};
uint64_t sim_next(struct sim_random *r);
double sim_unit(struct sim_random *r);            /* [0, 1) */
size_t sim_below(struct sim_random *r, size_t n); /* 0 … n − 1; n > 0 */
double sim_between(struct sim_random *r, double a, double b);

/* ---- the events ---- */

struct sim_event {
	int64_t at_us, arrive_us;
	size_t value, key; /* offsets in the script's bytes */
	uint32_t value_len, key_len;
	uint8_t kind; /* Tongguan__V1__SourceKind: chooses the topic */
	uint8_t uid[16];
};

struct sim_script {
	char run[SIM_RUN_MAX];
	struct tg_buf bytes;
	struct sim_event *events;
	size_t len, cap;
	struct sim_random random;
	int64_t delay_max_us; /* disorder; within every pack's lateness */
	double doubled;       /* share of events that come twice */
	size_t twice;         /* how many did */
};

/* Adds ev, whose event_id it sets; at_us is occurred_at. Some come late, some twice. Returns the
 * index of its event, or negative. */
int64_t sim_script_add(struct sim_script *script, tg_event_pb *ev);
void sim_script_sort(struct sim_script *script); /* by arrival; indexes are void afterwards */
void sim_script_release(struct sim_script *script);

/* ---- the city ---- */

struct sim_device {
	const char *id;
	int kind;
	struct tg_lonlat at;
	int64_t every_us;
	const json_t *limits; /* {metric: {above, below}} */
};

struct sim_city {
	char *dir;
	struct city *read;
	struct tg_polyindex *inside;
	struct tg_lonlat low, high;
	struct sim_device *devices;
	size_t devices_len;
	char **types; /* of the catalogue */
	size_t types_len;
};

/* NAME of a shipped city, or a folder. -TG_ENOENT, -TG_ECONF with lines in why. */
TG_MUST int sim_city_load(const char *name, struct sim_city *ret, struct tg_buf *why);
void sim_city_release(struct sim_city *city);
struct tg_lonlat sim_city_point(const struct sim_city *city, struct sim_random *r);
/* dx, dy metres east and north of p. */
struct tg_lonlat sim_move(struct tg_lonlat p, double dx, double dy);

/* ---- what is planted ---- */

/* X(name, what it says) */
#define SIM_TWISTS(X)                                                     \
	X(hit, "what the rule is for")                                    \
	X(fewer, "one event too few")                                     \
	X(same_people, "one reporter too few")                            \
	X(apart, "one event a metre too far")                             \
	X(late, "one event a second too late")                            \
	X(other_type, "a type the rule does not list")                    \
	X(short_of, "one reading, or a second, too few beyond the limit") \
	X(just_heard, "heard again a second before it counts as silence")

enum sim_twist {
#define SIM_X(name, text) SIM_##name,
	SIM_TWISTS(SIM_X)
#undef SIM_X
		SIM_TWIST_COUNT
};
const char *sim_twist_name(enum sim_twist twist);

struct sim_lot_event {
	tg_event_pb ev; /* parts of it are the rule's example's, or the lot's own */
	Tongguan__V1__Location location;
	Tongguan__V1__Report report;
	char reporter[SIM_NAMES_MAX];
	struct tg_lonlat at;
	int64_t index; /* in the script */
};

/* Events near each other, and nothing else that a rule could count with them. */
struct sim_lot {
	const struct tg_rule *rule; /* NULL: noise */
	enum sim_twist twist;
	struct tg_lonlat at;
	double reach_m;
	int64_t from_us, to_us;
	struct sim_lot_event events[SIM_LOT_MAX];
	size_t len;
	bool *wants; /* by rule: any of its events */
};

struct sim_expect {
	const struct tg_rule *rule;
	size_t plant; /* index of its lot, or SIZE_MAX */
	enum sim_twist twist;
	const char *device; /* of a series: what it said at at_us is a member; NULL: uids are all
			       members */
	int64_t at_us;
	int64_t decided_us; /* by arrival */
	size_t first, len;  /* uids, 16 bytes each, in the truth's bytes */
};

/* A device's last reading: that it falls silent with the end of the run is nobody's fault. */
struct sim_tail {
	const char *device;
	int64_t at_us;
};

struct sim_truth {
	struct sim_expect *list;
	size_t len, cap;
	struct tg_buf uids;
	struct sim_tail *tails; /* one a device */
	size_t tails_len;
};

struct sim_plan {
	const struct sim_city *city;
	const struct tg_ruleset *rules;
	uint64_t seed;
	bool live; /* each event is sent when it arrives; else all at once */
	int64_t from_us, to_us;
	size_t rounds;        /* of each twist of each rule */
	double noise_an_hour; /* single reports that belong to nothing */
	struct sim_script script;
	struct sim_lot **lots;
	size_t lots_len, lots_cap;
	size_t *planted; /* [rule][twist] */
	size_t no_room;  /* plants that found no place or time of their own */
	struct sim_truth truth;
};

TG_MUST int sim_plan_make(struct sim_plan *plan);
TG_MUST int sim_plant_reports(struct sim_plan *plan);
TG_MUST int sim_plant_series(struct sim_plan *plan);
void sim_plan_release(struct sim_plan *plan);
size_t *sim_planted(struct sim_plan *plan, const struct tg_rule *rule, enum sim_twist twist);
/* Does the rule want an event of these two? Place names are not known here. */
bool sim_wants(const struct tg_rule *rule, const tg_event_pb *ev, struct tg_lonlat at);
/* The type of an event as rules count it. */
uint32_t sim_type(const tg_event_pb *ev);

/* ---- what must come of it ---- */

TG_MUST int sim_truth_of_lot(struct sim_plan *plan, size_t lot);

struct sim_reading {
	int64_t at_us, index; /* in the script */
	double value;
	bool heard; /* false: kept silent */
};
struct sim_limit {
	bool above; /* beyond it is above it */
	double value;
};
TG_MUST int sim_truth_of_series(struct sim_plan *plan, const struct tg_rule *rule,
	const struct sim_device *device, struct sim_limit limit, const struct sim_reading *readings,
	size_t n);
TG_MUST int sim_truth_of_silence(struct sim_plan *plan, const struct tg_rule *rule,
	const struct sim_device *device, const struct sim_reading *readings, size_t n);

/* ---- ledger, sending, score ---- */

TG_MUST int sim_ledger_write(const struct sim_plan *plan, const char *path);
int sim_send(const struct sim_plan *plan, const struct tg_conf *conf); /* exit code */
/* Exit code: 1 when something was missed, or raised without a reason. */
int sim_score(const struct tg_conf *conf, const char *path);

#endif
