/* Reading the examples of a rule into the same messages that arrive on the topic. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "correlate/example.h"
#include "correlate/pack_impl.h"

#define EXAMPLE_BYTES_MAX ((size_t)4 << 20)
#define TIME_ZERO_US \
	INT64_C(1704067200000000) /* 2024-01-01T00:00:00Z: `at` in seconds counts from here */

struct event_text {
	char *id, *type_code, *source_kind, *source_id, *reporter, *metric, *unit, *title, *text,
		*cell, *street, *district;
	double lon, lat, value;
	bool halo, given_lon, given_lat, given_value;
	struct tg_yaml *at, *attributes;
};

/* Copies into the example's arena and frees the original. */
static char *keep(struct tg_example *ex, char **text)
{
	char *copy = *text ? tg_arena_strdup(&ex->arena, *text, strlen(*text)) : NULL;

	free(*text);
	*text = NULL;
	return copy;
}

static int64_t read_at(struct tg_pack_reader *r, const struct tg_yaml *at)
{
	double seconds;
	int64_t us;

	if (!at)
		return TIME_ZERO_US;
	if (at->kind == TG_YAML_SCALAR && tg_yaml_dbl(at, &seconds) == 0 && fabs(seconds) < 1e10)
		return TIME_ZERO_US + (int64_t)llround(seconds * (double)TG_US_PER_S);
	if (at->kind == TG_YAML_SCALAR && tg_rfc3339_parse(tg_slice_cstr(at->text), &us) == 0)
		return us;
	tg_pack_say(r, at->line, at->column, "at is a number of seconds or a time with its zone");
	return TIME_ZERO_US;
}

static void read_attributes(
	struct tg_pack_reader *r, struct tg_example *ex, tg_event_pb *ev, struct tg_yaml *map)
{
	size_t n = 0;

	if (!map)
		return;
	if (map->kind != TG_YAML_MAP) {
		tg_pack_say(r, map->line, map->column, "attributes is a map of texts");
		return;
	}
	for (const struct tg_yaml *v = map->child; v; v = v->next)
		n++;
	ev->attributes = tg_arena_alloc(&ex->arena, (n + 1) * sizeof(Tongguan__V1__Attribute *));
	for (const struct tg_yaml *v = map->child; v && ev->attributes; v = v->next) {
		Tongguan__V1__Attribute *a = tg_arena_alloc(&ex->arena, sizeof(*a));

		if (!a)
			return;
		tongguan__v1__attribute__init(a);
		a->key = tg_arena_strdup(&ex->arena, v->key, strlen(v->key));
		a->value = v->kind == TG_YAML_SCALAR
				   ? tg_arena_strdup(&ex->arena, v->text, strlen(v->text))
				   : NULL;
		ev->attributes[ev->n_attributes++] = a;
	}
}

static void set_payload(struct tg_example *ex, tg_event_pb *ev, struct event_text *t)
{
	if (t->metric) {
		Tongguan__V1__Reading *reading = tg_arena_alloc(&ex->arena, sizeof(*reading));

		if (!reading)
			return;
		tongguan__v1__reading__init(reading);
		reading->metric = keep(ex, &t->metric);
		reading->unit = keep(ex, &t->unit);
		reading->has_value = t->given_value;
		reading->value = t->value;
		ev->reading = reading;
		ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_READING;
	} else {
		Tongguan__V1__Report *report = tg_arena_alloc(&ex->arena, sizeof(*report));

		if (!report)
			return;
		tongguan__v1__report__init(report);
		report->title = keep(ex, &t->title);
		report->text = keep(ex, &t->text);
		report->reporter_id = keep(ex, &t->reporter);
		ev->report = report;
		ev->payload_case = TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
	}
}

static tg_located_pb *build(struct tg_pack_reader *r, struct tg_example *ex, struct event_text *t)
{
	tg_located_pb *loc = tg_arena_alloc(&ex->arena, sizeof(*loc));
	tg_event_pb *ev = tg_arena_alloc(&ex->arena, sizeof(*ev));
	int kind = TONGGUAN__V1__SOURCE_KIND__CITIZEN;

	if (!loc || !ev)
		return NULL;
	tongguan__v1__located_event__init(loc);
	tongguan__v1__event__init(ev);
	if (t->source_kind)
		(void)tg_source_kind_parse(tg_slice_cstr(t->source_kind), &kind);
	ev->source_kind = (Tongguan__V1__SourceKind)kind;
	ev->has_source_kind = true;
	ev->event_id = keep(ex, &t->id);
	ev->source_id = t->source_id ? keep(ex, &t->source_id) : ev->event_id;
	ev->type_code = keep(ex, &t->type_code);
	ev->occurred_at_us = read_at(r, t->at);
	ev->has_occurred_at_us = true;
	read_attributes(r, ex, ev, t->attributes);
	set_payload(ex, ev, t);
	loc->event = ev;
	loc->grid_cell = keep(ex, &t->cell);
	loc->street = keep(ex, &t->street);
	loc->district = keep(ex, &t->district);
	loc->has_lon = t->given_lon;
	loc->has_lat = t->given_lat;
	loc->lon = t->lon;
	loc->lat = t->lat;
	return loc;
}

static void release_text(struct event_text *t)
{
	char *all[] = {t->id, t->type_code, t->source_kind, t->source_id, t->reporter, t->metric,
		t->unit, t->title, t->text, t->cell, t->street, t->district};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
}

static void read_event(struct tg_pack_reader *r, struct tg_example *ex, struct tg_yaml *map)
{
	struct event_text t = {0};
	const struct tg_pack_key keys[] = {
		{"id", TG_PACK_TEXT, .required = true, .min = 1, .max = 64, .to = &t.id},
		{"at", TG_PACK_ANY, .required = true, .to = &t.at},
		{"type_code", TG_PACK_TEXT, .min = 5, .max = 5, .to = &t.type_code},
		{"source_kind", TG_PACK_WORD,
			.words = "sensor vehicle inspector citizen video system",
			.to = &t.source_kind},
		{"source_id", TG_PACK_TEXT, .min = 1, .max = 64, .to = &t.source_id},
		{"reporter_id", TG_PACK_TEXT, .min = 1, .max = 64, .to = &t.reporter},
		{"lon", TG_PACK_DOUBLE, .min = -180, .max = 180, .to = &t.lon,
			.given = &t.given_lon},
		{"lat", TG_PACK_DOUBLE, .min = -90, .max = 90, .to = &t.lat, .given = &t.given_lat},
		{"metric", TG_PACK_TEXT, .min = 1, .max = 64, .to = &t.metric},
		{"value", TG_PACK_DOUBLE, .min = -1e308, .max = 1e308, .to = &t.value,
			.given = &t.given_value},
		{"unit", TG_PACK_TEXT, .to = &t.unit},
		{"title", TG_PACK_TEXT, .to = &t.title},
		{"text", TG_PACK_TEXT, .to = &t.text},
		{"grid_cell", TG_PACK_TEXT, .to = &t.cell},
		{"street", TG_PACK_TEXT, .to = &t.street},
		{"district", TG_PACK_TEXT, .to = &t.district},
		{"attributes", TG_PACK_ANY, .to = &t.attributes},
	};

	if (map->kind != TG_YAML_MAP) {
		tg_pack_say(r, map->line, map->column, "an event is a map of its fields");
		return;
	}
	tg_pack_keys(r, map, "an example's event", map->line, map->column, keys,
		sizeof(keys) / sizeof(keys[0]));
	for (size_t i = 0; t.id && i < ex->events_len; i++)
		if (strcmp(ex->events[i]->event->event_id, t.id) == 0)
			tg_pack_say(r, map->line, map->column,
				"the event %s stands twice in this example", t.id);
	if (t.id && ex->events_len < TG_EXAMPLE_EVENTS_MAX) {
		tg_located_pb *loc = build(r, ex, &t);

		if (loc)
			ex->events[ex->events_len++] = loc;
		else
			tg_pack_say(r, map->line, map->column, "the example is too large");
	} else if (t.id) {
		tg_pack_say(r, map->line, map->column, "an example has at most %d events",
			TG_EXAMPLE_EVENTS_MAX);
	}
	release_text(&t);
}

static int by_number(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static void read_members(struct tg_pack_reader *r, const struct tg_example *ex, struct tg_yaml *seq,
	struct tg_expected *x)
{
	if (seq->kind != TG_YAML_SEQ) {
		tg_pack_say(
			r, seq->line, seq->column, "events is a list of the example's event ids");
		return;
	}
	for (const struct tg_yaml *v = seq->child; v && x->len < TG_EXAMPLE_EVENTS_MAX;
		v = v->next) {
		size_t i = 0;

		while (i < ex->events_len &&
			(v->kind != TG_YAML_SCALAR ||
				strcmp(ex->events[i]->event->event_id, v->text) != 0))
			i++;
		if (i == ex->events_len)
			tg_pack_say(r, v->line, v->column, "the example has no event with this id");
		else
			x->members[x->len++] = (uint16_t)i;
	}
	qsort(x->members, x->len, sizeof(x->members[0]), by_number);
}

static void read_expected(struct tg_pack_reader *r, struct tg_example *ex, struct tg_yaml *map)
{
	struct tg_expected *x = &ex->expect[ex->expect_len];
	struct tg_yaml *members = NULL;
	char *state = NULL;
	const struct tg_pack_key keys[] = {
		{"events", TG_PACK_ANY, .required = true, .to = &members},
		{"state", TG_PACK_WORD, .words = "open cleared", .to = &state},
	};

	if (map->kind != TG_YAML_MAP) {
		tg_pack_say(r, map->line, map->column, "an expected incident is {events: [ids]}");
		return;
	}
	tg_pack_keys(r, map, "an expected incident", map->line, map->column, keys, 2);
	*x = (struct tg_expected){.state = keep(ex, &state)};
	if (members)
		read_members(r, ex, members, x);
	ex->expect_len++;
}

/* "pm10>150;battery<20" as the registry's JSON: {"pm10": {"above": 150}, …}. */
static const char *read_limits(
	struct tg_pack_reader *r, struct tg_example *ex, const struct tg_yaml *v)
{
	struct tg_buf text = {0};
	const char *at = v->text, *copy;
	struct tg_jw w;

	tg_jw_begin(&w, &text);
	tg_jw_object(&w, NULL);
	while (*at) {
		size_t len = strcspn(at, "<>");
		char name[64], *end = NULL;
		double limit = at[len] ? strtod(at + len + 1, &end) : 0;

		if (!at[len] || len == 0 || len >= sizeof(name) || end == at + len + 1 ||
			(*end && *end != ';')) {
			tg_pack_say(
				r, v->line, v->column, "limits are written pm10>150;battery<20");
			break;
		}
		memcpy(name, at, len);
		name[len] = '\0';
		tg_jw_object(&w, name);
		tg_jw_dbl(&w, at[len] == '>' ? "above" : "below", limit);
		tg_jw_object_end(&w);
		at = *end ? end + 1 : end;
	}
	tg_jw_object_end(&w);
	copy = tg_jw_end(&w) ? NULL : tg_arena_strdup(&ex->arena, text.data, text.len);
	tg_buf_release(&text);
	return copy;
}

static void read_device(struct tg_pack_reader *r, struct tg_example *ex, struct tg_yaml *map)
{
	char *id = NULL, *street = NULL, *district = NULL;
	struct tg_yaml *limits = NULL;
	const struct tg_pack_key keys[] = {
		{"id", TG_PACK_TEXT, .required = true, .min = 1, .max = 64, .to = &id},
		{"street", TG_PACK_TEXT, .to = &street},
		{"district", TG_PACK_TEXT, .to = &district},
		{"limits", TG_PACK_ANY, .to = &limits},
	};
	struct tg_example_device *d = &ex->devices[ex->devices_len];

	if (map->kind != TG_YAML_MAP) {
		tg_pack_say(r, map->line, map->column, "a device is a map of its fields");
		return;
	}
	tg_pack_keys(r, map, "an example's device", map->line, map->column, keys, 4);
	*d = (struct tg_example_device){.street = keep(ex, &street),
		.district = keep(ex, &district),
		.limits = limits && limits->kind == TG_YAML_SCALAR ? read_limits(r, ex, limits)
								   : NULL};
	d->id = keep(ex, &id);
	ex->devices_len += d->id != NULL;
}

static void read_devices(struct tg_pack_reader *r, struct tg_example *ex, struct tg_yaml *seq)
{
	size_t n = 0;

	if (!seq)
		return;
	if (seq->kind != TG_YAML_SEQ) {
		tg_pack_say(r, seq->line, seq->column, "devices is a list");
		return;
	}
	for (const struct tg_yaml *v = seq->child; v; v = v->next)
		n++;
	ex->devices = tg_arena_alloc(&ex->arena, (n + 1) * sizeof(*ex->devices));
	for (struct tg_yaml *v = seq->child; v && ex->devices; v = v->next)
		read_device(r, ex, v);
}

static void read_lists(struct tg_pack_reader *r, struct tg_example *ex, struct tg_yaml *events,
	struct tg_yaml *expect)
{
	if (events && events->kind != TG_YAML_SEQ)
		tg_pack_say(r, events->line, events->column, "events is a list");
	if (expect && expect->kind != TG_YAML_SEQ)
		tg_pack_say(r, expect->line, expect->column,
			"expect is a list of incidents ([] for none)");
	ex->events = tg_arena_alloc(&ex->arena, TG_EXAMPLE_EVENTS_MAX * sizeof(tg_located_pb *));
	ex->expect = tg_arena_alloc(&ex->arena, TG_EXAMPLE_EXPECT_MAX * sizeof(*ex->expect));
	if (!ex->events || !ex->expect)
		return;
	for (struct tg_yaml *v = events ? events->child : NULL; v; v = v->next)
		read_event(r, ex, v);
	for (struct tg_yaml *v = expect ? expect->child : NULL;
		v && ex->expect_len < TG_EXAMPLE_EXPECT_MAX; v = v->next)
		read_expected(r, ex, v);
}

static void read_example(struct tg_pack_reader *r, struct tg_yaml *map, struct tg_example *ex)
{
	struct tg_yaml *events = NULL, *expect = NULL, *devices = NULL, *until = NULL;
	char *name = NULL;
	const struct tg_pack_key keys[] = {
		{"name", TG_PACK_TEXT, .required = true, .min = 1, .max = 200, .to = &name},
		{"events", TG_PACK_ANY, .required = true, .to = &events},
		{"expect", TG_PACK_ANY, .required = true, .to = &expect},
		{"devices", TG_PACK_ANY, .to = &devices},
		{"until", TG_PACK_ANY, .to = &until},
	};

	ex->until_us = INT64_MIN;
	ex->line = map->line;
	tg_arena_init(&ex->arena, 16384, EXAMPLE_BYTES_MAX);
	if (map->kind != TG_YAML_MAP) {
		tg_pack_say(r, map->line, map->column, "an example is {name, events, expect}");
		return;
	}
	tg_pack_keys(
		r, map, "an example", map->line, map->column, keys, sizeof(keys) / sizeof(keys[0]));
	if (until)
		ex->until_us = read_at(r, until);
	read_devices(r, ex, devices);
	ex->name = keep(ex, &name);
	read_lists(r, ex, events, expect);
}

void tg_pack_examples(struct tg_pack_reader *r, struct tg_yaml *seq, struct tg_rule *rule)
{
	size_t n = 0;

	if (seq->kind != TG_YAML_SEQ) {
		tg_pack_say(r, seq->line, seq->column, "examples is a list");
		return;
	}
	for (const struct tg_yaml *v = seq->child; v; v = v->next)
		n++;
	rule->examples = calloc(n + 1, sizeof(*rule->examples));
	for (struct tg_yaml *v = seq->child; v && rule->examples; v = v->next)
		read_example(r, v, &rule->examples[rule->examples_len++]);
}
