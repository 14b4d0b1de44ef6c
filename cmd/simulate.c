/* tongguan simulate: a city whose truth is known. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/share.h"
#include "cmd/cmd.h"
#include "cmd/sim.h"
#include "correlate/pack.h"

#define NAME "simulate"

#define HOURS_MAX   (24.0 * 31)
#define ROUNDS_MAX  1000
#define NOISE_MAX   1e6
#define PACKS_MAX   16
#define LATE_SHARE  0.5 /* of the least lateness of a pack that disorder may use */
#define HALO_METRES 500
#define DOUBLED     0.02

static const char usage[] =
	"usage: tongguan simulate [options]\n"
	"       tongguan simulate score LEDGER\n\n"
	"Publishes the events of a city's devices and people, late, doubled and out of order, with "
	"what\n"
	"each rule is for planted among them, and what it just must not take for that; and writes "
	"down\n"
	"what has to be found. `score` compares that with the incidents that were raised: exit 1 "
	"when\n"
	"one is missing, has other members, or should not be there.\n\n"
	"  --city NAME|DIR    the city that is simulated (default xuhui); load it before\n"
	"  --packs PATH       rules to plant for: a file or folder, may be repeated (default: the\n"
	"                     city's own packs)\n"
	"  --hours H          length of the run (default 1)\n"
	"  --seed N           the same seed, the same city (default 1)\n"
	"  --rounds N         how often each is planted (default 1)\n"
	"  --noise N          single reports an hour beside them (default 20)\n"
	"  --speed live|max   live: from now on, as it happens. max: all at once, the last one "
	"happens\n"
	"                     now; ingest must not run meanwhile, or it takes what is still to "
	"come "
	"for\n"
	"                     late (default live)\n"
	"  --ledger FILE      where the truth is written (default ledger.ndjson)\n"
	"  --dry-run          write the ledger, send nothing\n";

struct options {
	const char *city, *hours, *seed, *rounds, *noise, *speed, *ledger;
	const char *packs[PACKS_MAX];
	size_t packs_len;
	bool dry;
};

static int take_options(struct options *opt, int argc, char **argv)
{
	const struct {
		const char *name;
		const char **ret;
	} known[] = {{"--city", &opt->city}, {"--hours", &opt->hours}, {"--seed", &opt->seed},
		{"--rounds", &opt->rounds}, {"--noise", &opt->noise}, {"--speed", &opt->speed},
		{"--ledger", &opt->ledger}, {"--packs", NULL}};
	const size_t known_len = sizeof(known) / sizeof(known[0]);

	for (int i = 1; i < argc; i++) {
		size_t k = 0, n = strcspn(argv[i], "=");
		const char *value;

		if (strcmp(argv[i], "--dry-run") == 0) {
			opt->dry = true;
			continue;
		}
		while (k < known_len &&
			(strlen(known[k].name) != n || memcmp(known[k].name, argv[i], n) != 0))
			k++;
		if (k == known_len)
			return tg_cmd_usage(NAME, "what is '%s'?", argv[i]);
		if (!argv[i][n] && i + 1 == argc)
			return tg_cmd_usage(NAME, "%s wants a value", argv[i]);
		value = argv[i][n] ? argv[i] + n + 1 : argv[++i];
		if (known[k].ret)
			*known[k].ret = value;
		else if (opt->packs_len == PACKS_MAX)
			return tg_cmd_usage(NAME, "at most %d packs", PACKS_MAX);
		else
			opt->packs[opt->packs_len++] = value;
	}
	return -1;
}

static bool number(const char *text, double low, double high, double *ret)
{
	char *end;

	if (!text)
		return true;
	*ret = strtod(text, &end);
	return *text && !*end && *ret >= low && *ret <= high;
}

static int check_options(const struct options *opt, struct sim_plan *plan, double *ret_hours)
{
	double seed = 1, rounds = 1;

	plan->noise_an_hour = 20;
	*ret_hours = 1;
	if (!number(opt->hours, 1.0 / 60, HOURS_MAX, ret_hours))
		return tg_cmd_usage(
			NAME, "--hours: a number up to %g, not '%s'", HOURS_MAX, opt->hours);
	if (!number(opt->seed, 0, 1e15, &seed))
		return tg_cmd_usage(NAME, "--seed: a number, not '%s'", opt->seed);
	if (!number(opt->rounds, 0, ROUNDS_MAX, &rounds))
		return tg_cmd_usage(
			NAME, "--rounds: a number up to %d, not '%s'", ROUNDS_MAX, opt->rounds);
	if (!number(opt->noise, 0, NOISE_MAX, &plan->noise_an_hour))
		return tg_cmd_usage(
			NAME, "--noise: a number up to %g, not '%s'", NOISE_MAX, opt->noise);
	if (opt->speed && strcmp(opt->speed, "live") != 0 && strcmp(opt->speed, "max") != 0)
		return tg_cmd_usage(NAME, "--speed: live or max, not '%s'", opt->speed);
	plan->seed = (uint64_t)seed;
	plan->rounds = (size_t)rounds;
	plan->live = !opt->speed || strcmp(opt->speed, "live") == 0;
	return -1;
}

static int load_packs(
	const struct options *opt, const struct sim_city *city, struct tg_ruleset *rules)
{
	const struct tg_pack_limits limits = {HALO_METRES};
	struct tg_buf own = {0}, why = {0};
	const char *all[PACKS_MAX] = {0};
	size_t n = opt->packs_len, refused = 0;
	int code = -1, rc = 0;

	memcpy(all, opt->packs, n * sizeof(*all));
	if (!n) {
		rc = tg_buf_addf(&own, "%s/packs", city->dir);
		all[n++] = tg_buf_cstr(&own);
	}
	for (size_t i = 0; i < n && !rc; i++) {
		struct stat st;

		if (all[i] && stat(all[i], &st) == 0 && S_ISDIR(st.st_mode))
			rc = tg_packs_load(all[i], &limits, rules, &refused, &why);
		else
			rc = all[i] ? tg_pack_load(all[i], &limits, rules, &why) : -TG_ENOMEM;
	}
	if (rc || refused)
		code = tg_cmd_fail(NAME, "the packs cannot be read%s%s", why.len ? "\n" : "",
			why.len ? tg_buf_cstr(&why) : "");
	else if (!rules->len)
		code = tg_cmd_fail(NAME, "%s holds no rule: give --packs", all[0]);
	tg_buf_release(&own);
	tg_buf_release(&why);
	return code;
}

int sim_plan_make(struct sim_plan *plan)
{
	int64_t least_us = INT64_MAX;
	int rc;

	for (size_t k = 0; k < plan->rules->len; k++)
		if (plan->rules->rules[k]->lateness_us < least_us)
			least_us = plan->rules->rules[k]->lateness_us;
	plan->script.random.state = plan->seed;
	plan->script.delay_max_us = (int64_t)((double)least_us * LATE_SHARE);
	plan->script.doubled = DOUBLED;
	snprintf(plan->script.run, sizeof(plan->script.run), "sim%" PRIu64 "-%" PRIx64, plan->seed,
		(uint64_t)plan->from_us / TG_US_PER_S);
	plan->planted = calloc(plan->rules->len * SIM_TWIST_COUNT, sizeof(*plan->planted));
	if (!plan->planted)
		return -TG_ENOMEM;
	rc = sim_plant_series(plan);
	return rc ? rc : sim_plant_reports(plan);
}

void sim_plan_release(struct sim_plan *plan)
{
	for (size_t i = 0; i < plan->lots_len; i++) {
		free(plan->lots[i]->wants);
		free(plan->lots[i]);
	}
	free(plan->lots);
	free(plan->planted);
	free(plan->truth.list);
	free(plan->truth.tails);
	tg_buf_release(&plan->truth.uids);
	sim_script_release(&plan->script);
}

static int run_plan(
	const struct options *opt, const struct tg_conf *conf, struct sim_plan *plan, double hours)
{
	const char *path = opt->ledger ? opt->ledger : "ledger.ndjson";
	int64_t span_us = (int64_t)(hours * (double)TG_US_PER_H);

	plan->from_us = plan->live ? tg_now_us() : tg_now_us() - span_us;
	plan->to_us = plan->from_us + span_us;
	if (sim_plan_make(plan))
		return tg_cmd_fail(NAME, "no memory");
	if (sim_ledger_write(plan, path))
		return tg_cmd_fail(NAME, "%s cannot be written", path);
	fprintf(stderr,
		"tongguan simulate: %s: %zu events, %zu incidents to be found, %zu plants found no "
		"room; truth in %s\n",
		plan->script.run, plan->script.len, plan->truth.len, plan->no_room, path);
	if (opt->dry)
		return TG_EXIT_DONE;
	sim_script_sort(&plan->script);
	return sim_send(plan, conf);
}

static int simulate(const struct options *opt, const struct tg_conf *conf)
{
	struct sim_city city = {0};
	struct tg_ruleset rules = {0};
	struct sim_plan plan = {.city = &city, .rules = &rules};
	struct tg_buf why = {0};
	double hours;
	int code = check_options(opt, &plan, &hours);

	if (code >= 0)
		return code;
	if (sim_city_load(opt->city ? opt->city : "xuhui", &city, &why))
		code = tg_cmd_fail(NAME, "%s", why.len ? tg_buf_cstr(&why) : "no memory");
	if (code < 0)
		code = load_packs(opt, &city, &rules);
	if (code < 0)
		code = run_plan(opt, conf, &plan, hours);
	sim_plan_release(&plan);
	tg_ruleset_release(&rules);
	sim_city_release(&city);
	tg_buf_release(&why);
	return code;
}

int cmd_simulate(int argc, char **argv)
{
	struct options opt = {0};
	struct tg_conf conf;
	int code = tg_cmd_begin(&argc, argv, usage, false, &conf);

	if (code >= 0)
		return code;
	if (argc == 3 && strcmp(argv[1], "score") == 0) {
		code = sim_score(&conf, argv[2]);
	} else {
		code = take_options(&opt, argc, argv);
		if (code < 0)
			code = simulate(&opt, &conf);
	}
	tg_conf_release(&conf);
	return code;
}
