/* What was raised beside what had to be: the ledger against the incidents of its events. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/pg.h"
#include "base/json.h"
#include "cmd/cmd.h"
#include "cmd/sim.h"
#include "queries.h"

#define NAME      "simulate score"
#define SAID_MAX  20 /* lines about single mistakes */
#define LABEL_MAX 128

enum column { C_RULE, C_INCIDENT, C_UID, C_SOURCE, C_AT, C_KIND, C_DETECTED };

struct score {
	json_t *run;                  /* the ledger's first line */
	json_t *expects, *plants;     /* arrays; plants by number */
	json_t *tails;                /* {device: at_us} */
	json_t *rules;                /* {rule_id: {expected, found, missed, wrong, false}} */
	json_t *of_event, *of_moment; /* "rule uid", "rule device at" → incident_id */
	json_t *incidents; /* id → {rule_id, kind, uids: {uid: at}, device, matched…} */
	int64_t *delays;
	size_t delays_len;
	size_t said, wrong;
};

/* ---- the ledger ---- */

static bool take_line(struct score *s, json_t *line)
{
	json_t *tail = json_object_get(line, "tail");

	if (json_object_get(line, "run")) {
		s->run = json_incref(line);
		return true;
	}
	if (json_object_get(line, "expect"))
		return json_array_append(s->expects, line) == 0;
	if (json_object_get(line, "plant"))
		return json_array_append(s->plants, line) == 0;
	return tail && json_object_set(s->tails, json_string_value(tail),
			       json_object_get(line, "at_us")) == 0;
}

static int read_ledger(struct score *s, const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = NULL;
	size_t cap = 0, row = 0;
	ssize_t n;
	int code = -1;

	if (!in)
		return tg_cmd_fail(NAME, "%s cannot be read", path);
	while (code < 0 && (n = getline(&text, &cap, in)) > 0) {
		struct tg_buf why = {0};
		json_t *line = NULL;

		row++;
		if (tg_json_parse((struct tg_slice){text, (size_t)n}, &line, &why) ||
			!take_line(s, line))
			code = tg_cmd_fail(NAME, "%s:%zu: no line of a ledger%s%s", path, row,
				why.len ? ": " : "", why.len ? tg_buf_cstr(&why) : "");
		json_decref(line);
		tg_buf_release(&why);
	}
	if (code < 0 && !s->run)
		code = tg_cmd_fail(NAME, "%s: not a ledger: it begins with the run", path);
	free(text);
	fclose(in);
	return code;
}

/* ---- the incidents ---- */

static json_t *rule_of(struct score *s, const char *rule)
{
	json_t *row = json_object_get(s->rules, rule);

	if (!row) {
		row = json_pack("{s:i,s:i,s:i,s:i,s:i}", "expected", 0, "found", 0, "missed", 0,
			"wrong", 0, "false", 0);
		json_object_set_new(s->rules, rule, row);
	}
	return row;
}

static void count(json_t *row, const char *what)
{
	json_t *n = json_object_get(row, what);

	json_integer_set(n, json_integer_value(n) + 1);
}

static void take_member(struct score *s, PGresult *res, int i)
{
	const char *rule = PQgetvalue(res, i, C_RULE), *id = PQgetvalue(res, i, C_INCIDENT);
	const char *uid = PQgetvalue(res, i, C_UID);
	json_t *incident = json_object_get(s->incidents, id);
	int64_t at_us = strtoll(PQgetvalue(res, i, C_AT), NULL, 10);
	struct tg_buf key = {0};

	if (!incident) {
		incident = json_pack("{s:s,s:s,s:I,s:{},s:s,s:b}", "rule_id", rule, "kind",
			PQgetvalue(res, i, C_KIND), "detected_us",
			(json_int_t)strtoll(PQgetvalue(res, i, C_DETECTED), NULL, 10), "uids",
			"source", PQgetvalue(res, i, C_SOURCE), "matched", 0);
		json_object_set_new(s->incidents, id, incident);
	}
	json_object_set_new(json_object_get(incident, "uids"), uid, json_integer(at_us));
	if (tg_buf_addf(&key, "%s %s", rule, uid) == 0)
		json_object_set_new(s->of_event, tg_buf_cstr(&key), json_string(id));
	tg_buf_reset(&key);
	if (tg_buf_addf(&key, "%s %s %" PRId64, rule, PQgetvalue(res, i, C_SOURCE), at_us) == 0)
		json_object_set_new(s->of_moment, tg_buf_cstr(&key), json_string(id));
	tg_buf_release(&key);
}

static int read_incidents(struct score *s, const struct tg_conf *conf)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(conf->postgres_url, "tongguan simulate", &why);
	char from[32], to[32];
	const char *params[3] = {json_string_value(json_object_get(s->run, "run")), from, to};
	PGresult *res;
	int code = -1;

	if (!conn) {
		code = tg_cmd_fail(NAME, "%s", tg_buf_cstr(&why));
		tg_buf_release(&why);
		return code;
	}
	snprintf(from, sizeof(from), "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(s->run, "from_us")));
	snprintf(to, sizeof(to), "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(s->run, "to_us")));
	res = PQexecParams(conn, tg_sql_sim_members, 3, NULL, params, NULL, NULL, 0);
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		code = tg_cmd_fail(NAME, "%s", PQresultErrorMessage(res));
	for (int i = 0; code < 0 && i < PQntuples(res); i++)
		take_member(s, res, i);
	PQclear(res);
	PQfinish(conn);
	tg_buf_release(&why);
	return code;
}

/* ---- the comparison ---- */

static void say(
	struct score *s, const char *what, const char *rule, const json_t *plant, const char *more)
{
	const char *twist = json_string_value(json_object_get(plant, "twist"));

	s->wrong++;
	if (++s->said > SAID_MAX)
		return;
	printf("%s: %s, %s%s%s", what, rule, twist ? twist : "", *more ? " " : "", more);
	if (json_object_get(plant, "lon"))
		printf(", at %.6f %.6f", json_number_value(json_object_get(plant, "lon")),
			json_number_value(json_object_get(plant, "lat")));
	printf("\n");
}

static const char *incident_of(struct score *s, const char *rule, const json_t *expect)
{
	const char *device = json_string_value(json_object_get(expect, "device"));
	const json_t *uids = json_object_get(expect, "uids"), *uid;
	const char *found = NULL;
	struct tg_buf key = {0};
	size_t i;

	if (device) {
		if (tg_buf_addf(&key, "%s %s %" JSON_INTEGER_FORMAT, rule, device,
			    json_integer_value(json_object_get(expect, "at_us"))) == 0)
			found = json_string_value(json_object_get(s->of_moment, tg_buf_cstr(&key)));
	}
	json_array_foreach (uids, i, uid) {
		tg_buf_reset(&key);
		if (!found && tg_buf_addf(&key, "%s %s", rule, json_string_value(uid)) == 0)
			found = json_string_value(json_object_get(s->of_event, tg_buf_cstr(&key)));
	}
	tg_buf_release(&key);
	return found;
}

static bool same_members(const json_t *incident, const json_t *expect)
{
	const json_t *uids = json_object_get(expect, "uids"), *uid;
	const json_t *got = json_object_get(incident, "uids");
	size_t i;

	if (!uids)
		return true;
	json_array_foreach (uids, i, uid)
		if (!json_object_get(got, json_string_value(uid)))
			return false;
	return json_object_size(got) == json_array_size(uids);
}

static void judge(struct score *s, const json_t *expect)
{
	const char *rule = json_string_value(json_object_get(expect, "expect"));
	const char *device = json_string_value(json_object_get(expect, "device"));
	const char *id = incident_of(s, rule, expect);
	json_t *row = rule_of(s, rule), *incident = id ? json_object_get(s->incidents, id) : NULL;
	const json_t *plant = json_array_get(
		s->plants, (size_t)json_integer_value(json_object_get(expect, "plant")));

	count(row, "expected");
	if (!incident) {
		count(row, "missed");
		say(s, "missed", rule, device ? expect : plant, device ? device : "");
		return;
	}
	json_object_set_new(incident, "matched", json_true());
	if (!same_members(incident, expect)) {
		count(row, "wrong");
		say(s, "other members", rule, plant, id);
		return;
	}
	count(row, "found");
	s->delays[s->delays_len++] = json_integer_value(json_object_get(incident, "detected_us")) -
				     json_integer_value(json_object_get(expect, "decided_us"));
}

/* Of a device that fell silent because the run was over. */
static bool is_tail(const struct score *s, const json_t *incident)
{
	const json_t *at =
		json_object_get(s->tails, json_string_value(json_object_get(incident, "source")));
	const char *uid;
	json_t *when;

	if (strcmp(json_string_value(json_object_get(incident, "kind")), "silence") != 0 || !at)
		return false;
	json_object_foreach (json_object_get(incident, "uids"), uid, when)
		if (json_integer_value(when) >= json_integer_value(at))
			return true;
	return false;
}

/* The plant that one of the incident's events is of; NULL. */
static const json_t *plant_of(const struct score *s, const json_t *incident)
{
	const json_t *plant, *uid;
	size_t i, k;

	json_array_foreach (s->plants, i, plant)
		json_array_foreach (json_object_get(plant, "uids"), k, uid)
			if (json_object_get(
				    json_object_get(incident, "uids"), json_string_value(uid)))
				return plant;
	return NULL;
}

static void judge_rest(struct score *s)
{
	json_t *incident;
	const char *id;

	json_object_foreach (s->incidents, id, incident) {
		const char *rule = json_string_value(json_object_get(incident, "rule_id"));

		if (json_is_true(json_object_get(incident, "matched")) || is_tail(s, incident))
			continue;
		count(rule_of(s, rule), "false");
		say(s, "false alarm", rule, plant_of(s, incident), id);
	}
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static json_int_t planted(const json_t *rule, bool hits)
{
	json_t *n;
	const char *twist;
	json_int_t sum = 0;

	json_object_foreach (json_object_get(rule, "planted"), twist, n)
		if ((strcmp(twist, "hit") == 0) == hits)
			sum += json_integer_value(n);
	return sum;
}

static void print_table(struct score *s)
{
	static const char *const columns[] = {"expected", "found", "missed", "wrong", "false"};
	const json_t *rules = json_object_get(s->run, "rules"), *rule;
	size_t i;

	printf("%-28s %8s %8s", "rule", "planted", "near");
	for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++)
		printf(" %8s", columns[c]);
	printf("\n");
	json_array_foreach (rules, i, rule) {
		const char *id = json_string_value(json_object_get(rule, "rule_id"));
		const json_t *row = rule_of(s, id);

		printf("%-28s %8" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT, id,
			planted(rule, true), planted(rule, false));
		for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++)
			printf(" %8" JSON_INTEGER_FORMAT,
				json_integer_value(json_object_get(row, columns[c])));
		printf("\n");
	}
	if (json_is_true(json_object_get(s->run, "live")) && s->delays_len) {
		qsort(s->delays, s->delays_len, sizeof(*s->delays), by_size);
		printf("from the deciding event to the incident: p50 %.1f ms, p99 %.1f ms\n",
			(double)s->delays[s->delays_len / 2] / 1000,
			(double)s->delays[s->delays_len * 99 / 100] / 1000);
	}
}

static void score_release(struct score *s)
{
	json_decref(s->run);
	json_decref(s->expects);
	json_decref(s->plants);
	json_decref(s->tails);
	json_decref(s->rules);
	json_decref(s->of_event);
	json_decref(s->of_moment);
	json_decref(s->incidents);
	free(s->delays);
}

int sim_score(const struct tg_conf *conf, const char *path)
{
	struct score s = {.expects = json_array(),
		.plants = json_array(),
		.tails = json_object(),
		.rules = json_object(),
		.of_event = json_object(),
		.of_moment = json_object(),
		.incidents = json_object()};
	const json_t *expect;
	size_t i;
	int code = read_ledger(&s, path);

	if (code < 0)
		code = read_incidents(&s, conf);
	if (code < 0) {
		s.delays = calloc(json_array_size(s.expects) + 1, sizeof(*s.delays));
		code = s.delays ? TG_EXIT_DONE : tg_cmd_fail(NAME, "no memory");
	}
	if (s.delays) {
		json_array_foreach (s.expects, i, expect)
			judge(&s, expect);
		judge_rest(&s);
		print_table(&s);
		code = s.wrong ? TG_EXIT_FAILED : TG_EXIT_DONE;
	}
	score_release(&s);
	return code;
}
