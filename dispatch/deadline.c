#include "dispatch/deadline.h"

#include <stdio.h>
#include <string.h>

#include "dispatch/life.h"

#define PERIODS_MAX 2000 /* shown; the deadline itself counts all */

/* One clock with all that explains it, before it is written. */
struct explained {
	const char *clock, *task_id, *state, *limit;
	const struct tg_calendar *cal;
	int64_t started_us, due_us, stopped_us;
	struct tg_span pauses[TG_CLOCK_PAUSES_MAX];
	struct tg_extension extensions[TG_CLOCK_EXTENSIONS_MAX];
	size_t pauses_count, extensions_count;
	int64_t amount_us;
	struct tg_jw *w;
	bool periods; /* which of the two lists is being written */
	size_t shown;
};

static void on_period(void *ctx, int64_t from_us, int64_t to_us)
{
	struct explained *e = ctx;

	if (!e->periods || e->shown++ >= PERIODS_MAX)
		return;
	tg_jw_object(e->w, NULL);
	tg_jw_time(e->w, "from", from_us);
	tg_jw_time(e->w, "to", to_us);
	tg_jw_object_end(e->w);
}

static void on_skipped(void *ctx, int64_t day, const char *reason)
{
	struct explained *e = ctx;
	int64_t year;
	unsigned month, dom;
	char date[16];

	if (e->periods || e->shown++ >= PERIODS_MAX)
		return;
	tg_civil_from_days(day, &year, &month, &dom);
	snprintf(date, sizeof(date), "%04d-%02u-%02u", (int)(year % 10000), month % 100, dom % 100);
	tg_jw_object(e->w, NULL);
	tg_jw_str(e->w, "date", date);
	tg_jw_str(e->w, "reason", reason);
	tg_jw_object_end(e->w);
}

static int64_t walk(struct explained *e, struct tg_jw *w, bool periods)
{
	const struct tg_deadline_q q = {.cal = e->cal,
		.start_us = e->started_us,
		.amount_us = e->amount_us,
		.pauses = e->pauses,
		.pauses_count = e->pauses_count,
		.extensions = e->extensions,
		.extensions_count = e->extensions_count};
	const struct tg_deadline_sink sink = {on_period, on_skipped, e};

	e->w = w;
	e->periods = periods;
	e->shown = 0;
	return tg_deadline(&q, w ? &sink : NULL);
}

static void put_time(struct tg_jw *w, const char *key, int64_t us)
{
	tg_jw_time(w, key, us == INT64_MAX ? INT64_MIN : us);
}

static void write_clock(struct tg_jw *w, const char *key, struct explained *e)
{
	tg_jw_object(w, key);
	tg_jw_str(w, "clock", e->clock);
	tg_jw_str(w, "task_id", e->task_id);
	tg_jw_str(w, "state", e->state);
	tg_jw_str(w, "limit", e->limit);
	tg_jw_str(w, "calendar", e->cal ? tg_calendar_name(e->cal) : NULL);
	put_time(w, "started_at", e->started_us);
	put_time(w, "due_at", e->due_us);
	put_time(w, "stopped_at", e->stopped_us);
	tg_jw_array(w, "periods");
	walk(e, w, true);
	tg_jw_array_end(w);
	tg_jw_array(w, "skipped");
	walk(e, w, false);
	tg_jw_array_end(w);
	tg_jw_array(w, "pauses");
	for (size_t i = 0; i < e->pauses_count; i++) {
		tg_jw_object(w, NULL);
		put_time(w, "from", e->pauses[i].from_us);
		put_time(w, "to", e->pauses[i].to_us);
		tg_jw_object_end(w);
	}
	tg_jw_array_end(w);
	tg_jw_array(w, "extensions");
	for (size_t i = 0; i < e->extensions_count; i++) {
		tg_jw_object(w, NULL);
		put_time(w, "at", e->extensions[i].at_us);
		tg_jw_str(w, "limit", e->extensions[i].limit);
		tg_jw_object_end(w);
	}
	tg_jw_array_end(w);
	tg_jw_object_end(w);
}

/* --- a stored clock --- */

/* Absent or null: fallback. */
static int instant(const json_t *obj, const char *key, int64_t fallback, int64_t *ret)
{
	const json_t *v = json_object_get(obj, key);

	*ret = fallback;
	if (!v || json_is_null(v))
		return 0;
	return json_is_string(v) ? tg_rfc3339_parse(tg_slice_cstr(json_string_value(v)), ret)
				 : -TG_EPARSE;
}

static int read_spans(const json_t *doc, struct explained *e)
{
	const json_t *pauses = json_object_get(doc, "pauses"),
		     *more = json_object_get(doc, "extensions");
	int rc = 0;

	if (json_array_size(pauses) > TG_CLOCK_PAUSES_MAX ||
		json_array_size(more) > TG_CLOCK_EXTENSIONS_MAX)
		return -TG_EPARSE;
	for (size_t i = 0; !rc && i < json_array_size(pauses); i++) {
		struct tg_span *p = &e->pauses[e->pauses_count++];

		rc = instant(json_array_get(pauses, i), "from", TG_NO_TIME, &p->from_us);
		if (!rc)
			rc = instant(json_array_get(pauses, i), "to", INT64_MAX, &p->to_us);
	}
	for (size_t i = 0; !rc && i < json_array_size(more); i++) {
		const json_t *x = json_array_get(more, i);
		struct tg_extension *ext = &e->extensions[e->extensions_count++];
		const char *limit = json_string_value(json_object_get(x, "limit"));

		rc = instant(x, "at", TG_NO_TIME, &ext->at_us);
		ext->amount_us = json_integer_value(json_object_get(x, "amount_us"));
		if (!limit || strlen(limit) >= sizeof(ext->limit))
			return -TG_EPARSE;
		strcpy(ext->limit, limit);
	}
	return rc;
}

int tg_deadline_write_stored(
	struct tg_jw *w, const char *key, const struct tg_city *city, const json_t *clock)
{
	struct explained e = {.clock = json_string_value(json_object_get(clock, "kind")),
		.task_id = json_string_value(json_object_get(clock, "task_id")),
		.state = json_string_value(json_object_get(clock, "state")),
		.limit = json_string_value(json_object_get(clock, "limit")),
		.cal = tg_city_calendar(
			city, json_string_value(json_object_get(clock, "calendar"))),
		.amount_us = json_integer_value(json_object_get(clock, "amount_us"))};
	int rc;

	if (!e.clock || !e.state || !e.limit ||
		instant(clock, "started_at", TG_NO_TIME, &e.started_us) ||
		instant(clock, "due_at", TG_NO_TIME, &e.due_us) ||
		instant(clock, "stopped_at", TG_NO_TIME, &e.stopped_us) ||
		e.started_us == TG_NO_TIME)
		return -TG_EPARSE;
	if (!strcmp(e.clock, "total"))
		return 0; /* it measures, it has no deadline */
	if (!strcmp(e.state, "paused"))
		e.due_us = INT64_MAX;
	if (strcmp(e.state, "stopped"))
		e.stopped_us = TG_NO_TIME; /* a paused clock keeps its instant under pauses */
	rc = read_spans(clock, &e);
	if (!rc)
		write_clock(w, key, &e);
	return rc;
}

/* --- a clock somebody asks about --- */

static void wrong(json_t *errors, const char *field, const char *detail)
{
	json_array_append_new(errors, json_pack("{s:s, s:s}", "field", field, "detail", detail));
}

static bool read_limit(json_t *errors, const char *field, const json_t *value, struct tg_limit *ret)
{
	if (json_is_string(value) && !tg_limit_parse(tg_slice_cstr(json_string_value(value)), ret))
		return true;
	wrong(errors, field, "must be a limit: 2h, 4wh, 5wd, 7nd");
	return false;
}

static void ask_pauses(json_t *errors, const json_t *list, struct explained *e)
{
	int64_t last = e->started_us;

	if (list && !json_is_null(list) &&
		(!json_is_array(list) || json_array_size(list) > TG_CLOCK_PAUSES_MAX)) {
		wrong(errors, "pauses", "must be a list of at most 16 {from, to}");
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct tg_span *p = &e->pauses[e->pauses_count++];

		if (instant(json_array_get(list, i), "from", TG_NO_TIME, &p->from_us) ||
			instant(json_array_get(list, i), "to", INT64_MAX, &p->to_us) ||
			p->from_us < last || p->to_us < p->from_us) {
			wrong(errors, "pauses",
				"each needs from and to after the start, in order and apart");
			return;
		}
		last = p->to_us;
	}
}

static void ask_extensions(json_t *errors, const json_t *list, struct explained *e, bool working)
{
	if (list && !json_is_null(list) &&
		(!json_is_array(list) || json_array_size(list) > TG_CLOCK_EXTENSIONS_MAX)) {
		wrong(errors, "extensions", "must be a list of at most 4 {at, limit}");
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *x = json_array_get(list, i);
		struct tg_extension *ext = &e->extensions[e->extensions_count++];
		struct tg_limit limit;

		if (instant(x, "at", TG_NO_TIME, &ext->at_us) || ext->at_us < e->started_us)
			wrong(errors, "extensions", "each needs at, not before the start");
		if (!read_limit(errors, "extensions", json_object_get(x, "limit"), &limit))
			return;
		if (tg_unit_is_working(limit.unit) != working) {
			wrong(errors, "extensions",
				"must count as the limit does: both working time, or both "
				"continuous");
			return;
		}
		ext->amount_us = tg_limit_amount_us(&limit, e->cal);
		snprintf(ext->limit, sizeof(ext->limit), "%s",
			json_string_value(json_object_get(x, "limit")));
	}
}

static void ask(json_t *errors, const struct tg_city *city, const json_t *body, struct explained *e)
{
	const char *calendar = json_string_value(json_object_get(body, "calendar"));
	const char *mode = json_string_value(json_object_get(body, "mode"));
	struct tg_limit limit;
	bool working;

	if (instant(body, "start", TG_NO_TIME, &e->started_us) || e->started_us == TG_NO_TIME)
		wrong(errors, "start", "must be an RFC 3339 time");
	if (mode && strcmp(mode, "hours"))
		wrong(errors, "mode", "this version counts in hours only");
	if (!read_limit(errors, "limit", json_object_get(body, "limit"), &limit))
		return;
	e->limit = json_string_value(json_object_get(body, "limit"));
	working = tg_unit_is_working(limit.unit);
	if (working)
		e->cal = tg_city_calendar(city, calendar);
	if (working && !e->cal) {
		wrong(errors, "calendar",
			calendar ? "is not a calendar of this city" : "is required for wh and wd");
		return;
	}
	e->amount_us = tg_limit_amount_us(&limit, e->cal);
	ask_pauses(errors, json_object_get(body, "pauses"), e);
	ask_extensions(errors, json_object_get(body, "extensions"), e, working);
}

int tg_deadline_write_asked(
	struct tg_jw *w, const struct tg_city *city, const json_t *body, json_t **ret_errors)
{
	struct explained e = {.state = "running", .stopped_us = TG_NO_TIME};
	json_t *errors = json_array();

	if (!errors)
		return -TG_ENOMEM;
	ask(errors, city, body, &e);
	if (json_array_size(errors)) {
		*ret_errors = errors;
		return -TG_EINVAL;
	}
	json_decref(errors);
	e.due_us = walk(&e, NULL, true);
	if (e.due_us == INT64_MAX)
		e.state = "paused";
	write_clock(w, NULL, &e);
	return 0;
}
