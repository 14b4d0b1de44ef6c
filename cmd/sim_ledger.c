/* The ledger of truth, one JSON object a line: first the run, then what was planted and what must
 * come of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cmd/sim.h"

const char *sim_twist_name(enum sim_twist twist)
{
	static const char *const names[] = {
#define SIM_X(name, text) #name,
		SIM_TWISTS(SIM_X)
#undef SIM_X
	};

	return names[twist];
}

size_t *sim_planted(struct sim_plan *plan, const struct tg_rule *rule, enum sim_twist twist)
{
	size_t k = 0;

	while (plan->rules->rules[k] != rule)
		k++;
	return &plan->planted[k * SIM_TWIST_COUNT + twist];
}

static void write_hex(struct tg_jw *w, const uint8_t uid[16])
{
	char hex[33];

	for (int i = 0; i < 16; i++)
		snprintf(hex + (size_t)i * 2, 3, "%02x", uid[i]);
	tg_jw_str(w, NULL, hex);
}

static void write_run(struct tg_jw *w, const struct sim_plan *plan, uint64_t seed, bool live)
{
	tg_jw_str(w, "run", plan->script.run);
	tg_jw_int(w, "seed", (int64_t)seed);
	tg_jw_bool(w, "live", live);
	tg_jw_int(w, "from_us", plan->from_us);
	tg_jw_int(w, "to_us", plan->to_us);
	tg_jw_int(w, "sent", (int64_t)plan->script.len);
	tg_jw_int(w, "events", (int64_t)(plan->script.len - plan->script.twice));
	tg_jw_int(w, "no_room", (int64_t)plan->no_room);
	tg_jw_array(w, "rules");
	for (size_t k = 0; k < plan->rules->len; k++) {
		tg_jw_object(w, NULL);
		tg_jw_str(w, "rule_id", plan->rules->rules[k]->id);
		tg_jw_object(w, "planted");
		for (int t = 0; t < SIM_TWIST_COUNT; t++) {
			size_t n = plan->planted[k * SIM_TWIST_COUNT + (size_t)t];

			if (n)
				tg_jw_int(w, sim_twist_name(t), (int64_t)n);
		}
		tg_jw_object_end(w);
		tg_jw_object_end(w);
	}
	tg_jw_array_end(w);
}

static void write_lot(struct tg_jw *w, const struct sim_plan *plan, size_t i)
{
	const struct sim_lot *lot = plan->lots[i];

	tg_jw_int(w, "plant", (int64_t)i);
	tg_jw_str(w, "rule_id", lot->rule ? lot->rule->id : NULL);
	tg_jw_str(w, "twist", lot->rule ? sim_twist_name(lot->twist) : "noise");
	tg_jw_dbl(w, "lon", lot->at.lon);
	tg_jw_dbl(w, "lat", lot->at.lat);
	tg_jw_array(w, "uids");
	for (size_t k = 0; k < lot->len; k++)
		write_hex(w, plan->script.events[lot->events[k].index].uid);
	tg_jw_array_end(w);
}

static void write_expect(struct tg_jw *w, const struct sim_plan *plan, const struct sim_expect *e)
{
	tg_jw_str(w, "expect", e->rule->id);
	tg_jw_str(w, "twist", sim_twist_name(e->twist));
	if (e->plant != SIZE_MAX)
		tg_jw_int(w, "plant", (int64_t)e->plant);
	tg_jw_int(w, "decided_us", e->decided_us);
	if (e->device) {
		tg_jw_str(w, "device", e->device);
		tg_jw_int(w, "at_us", e->at_us);
		return;
	}
	tg_jw_array(w, "uids");
	for (size_t i = 0; i < e->len; i++)
		write_hex(w, (const uint8_t *)plan->truth.uids.data + (e->first + i) * 16);
	tg_jw_array_end(w);
}

static void write_tail(struct tg_jw *w, const struct sim_tail *tail)
{
	tg_jw_str(w, "tail", tail->device);
	tg_jw_int(w, "at_us", tail->at_us);
}

enum line { LINE_RUN, LINE_LOT, LINE_EXPECT, LINE_TAIL };

static bool write_line(FILE *out, const struct sim_plan *plan, enum line line, size_t i)
{
	struct tg_buf text = {0};
	struct tg_jw w;
	bool ok;

	tg_jw_begin(&w, &text);
	tg_jw_object(&w, NULL);
	if (line == LINE_RUN)
		write_run(&w, plan, plan->seed, plan->live);
	else if (line == LINE_LOT)
		write_lot(&w, plan, i);
	else if (line == LINE_EXPECT)
		write_expect(&w, plan, &plan->truth.list[i]);
	else
		write_tail(&w, &plan->truth.tails[i]);
	tg_jw_object_end(&w);
	ok = tg_jw_end(&w) == 0 && fwrite(text.data, 1, text.len, out) == text.len &&
	     fputc('\n', out) != EOF;
	tg_buf_release(&text);
	return ok;
}

int sim_ledger_write(const struct sim_plan *plan, const char *path)
{
	FILE *out = fopen(path, "w");
	bool ok = out && write_line(out, plan, LINE_RUN, 0);

	for (size_t i = 0; i < plan->lots_len && ok; i++)
		ok = write_line(out, plan, LINE_LOT, i);
	for (size_t i = 0; i < plan->truth.len && ok; i++)
		ok = write_line(out, plan, LINE_EXPECT, i);
	for (size_t i = 0; i < plan->truth.tails_len && ok; i++)
		ok = write_line(out, plan, LINE_TAIL, i);
	if (out && fclose(out))
		ok = false;
	return ok ? 0 : -TG_ESYS;
}
