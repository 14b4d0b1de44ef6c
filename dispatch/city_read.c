/* The city's document as SQL gives it → the city in memory. */
#include <stdlib.h>
#include <string.h>

#include "dispatch/city_impl.h"

#define CITY_BYTES_MAX   ((size_t)64 << 20)
#define CITY_BLOCK_BYTES ((size_t)256 << 10)

/* The first fault sticks; what follows may then be nonsense but never NULL where a text is
 * required. */
struct reader {
	struct tg_city *city;
	struct tg_buf *why;
	int rc;
};

static void fault(struct reader *r, int rc, const char *what, const char *name)
{
	if (r->rc)
		return;
	r->rc = rc;
	/* A text cut short by a full buffer is still a text. */
	(void)!tg_buf_addf(r->why, "city: %s %s", what, name ? name : "");
}

static char *copy(struct reader *r, const char *text)
{
	char *made = tg_arena_strdup(&r->city->arena, text, strlen(text));
	static char nothing[] = "";

	if (!made)
		fault(r, -TG_ENOMEM, "out of memory", NULL);
	return made ? made : nothing;
}

static const char *text_of(struct reader *r, const json_t *obj, const char *key)
{
	const char *text = json_string_value(json_object_get(obj, key));

	if (!text)
		fault(r, -TG_EPARSE, "no text", key);
	return copy(r, text ? text : "");
}

static const char *text_or_null(struct reader *r, const json_t *obj, const char *key)
{
	const char *text = json_string_value(json_object_get(obj, key));

	return text ? copy(r, text) : NULL;
}

static void *array_of(
	struct reader *r, const json_t *doc, const char *key, size_t item_bytes, size_t *ret_count)
{
	const json_t *list = json_object_get(doc, key);
	void *made;

	*ret_count = 0;
	if (!json_is_array(list)) {
		fault(r, -TG_EPARSE, "no list", key);
		return NULL;
	}
	made = tg_arena_alloc(&r->city->arena, item_bytes * (json_array_size(list) + 1));
	if (!made) {
		fault(r, -TG_ENOMEM, "out of memory", NULL);
		return NULL;
	}
	memset(made, 0, item_bytes * (json_array_size(list) + 1));
	*ret_count = json_array_size(list);
	return made;
}

static enum tg_urgency urgency_of(struct reader *r, const json_t *obj)
{
	enum tg_urgency u = TG_NORMAL;
	const char *name = json_string_value(json_object_get(obj, "urgency"));

	if (!name || !tg_urgency_parse(tg_slice_cstr(name), &u))
		fault(r, -TG_EPARSE, "unknown urgency", name);
	return u;
}

static const char *limit_of(struct reader *r, const json_t *obj, const char *key)
{
	const char *text = text_of(r, obj, key);
	struct tg_limit limit;

	if (!r->rc && tg_limit_parse(tg_slice_cstr(text), &limit))
		fault(r, -TG_EPARSE, "no limit", text);
	return text;
}

/* NULL periods stay NULL: the caller's default. */
static size_t periods_of(
	struct reader *r, const json_t *list, struct tg_period out[TG_DAY_PERIODS_MAX])
{
	size_t n = json_array_size(list);

	if (n > TG_DAY_PERIODS_MAX) {
		fault(r, -TG_EPARSE, "too many periods in one day", NULL);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (tg_period_parse(tg_slice_cstr(text), &out[i]))
			fault(r, -TG_EPARSE, "no period", text);
	}
	return n;
}

static enum tg_day_kind day_kind(struct reader *r, const char *name)
{
	if (!strcmp(name, "off"))
		return TG_DAY_OFF;
	if (!strcmp(name, "half"))
		return TG_DAY_HALF;
	if (strcmp(name, "work"))
		fault(r, -TG_EPARSE, "unknown kind of day", name);
	return TG_DAY_WORK;
}

static void read_days(struct reader *r, const json_t *days, struct tg_calendar *cal)
{
	size_t i;
	json_t *day;

	json_array_foreach (days, i, day) {
		struct tg_period periods[TG_DAY_PERIODS_MAX];
		const json_t *own = json_object_get(day, "periods");
		size_t n = periods_of(r, own, periods);
		const char *kind = text_of(r, day, "kind"), *name = text_of(r, day, "name");

		if (r->rc)
			return;
		if (tg_calendar_set_day(cal, json_integer_value(json_object_get(day, "day")),
			    day_kind(r, kind), json_is_array(own) ? periods : NULL, n, name))
			fault(r, -TG_EPARSE, "a day's periods overlap in calendar",
				tg_calendar_name(cal));
	}
}

static void read_calendar(struct reader *r, const json_t *doc, struct tg_calendar **ret)
{
	const json_t *weekdays = json_object_get(doc, "weekdays");
	struct tg_period periods[TG_DAY_PERIODS_MAX];
	size_t n = periods_of(r, json_object_get(doc, "periods"), periods), i;
	const char *name = text_of(r, doc, "name");
	json_t *weekday;

	if (r->rc)
		return;
	if (tg_calendar_new(name, r->city->zone,
		    json_number_value(json_object_get(doc, "hours_per_day")), ret)) {
		fault(r, -TG_EPARSE, "hours_per_day of calendar", name);
		return;
	}
	json_array_foreach (weekdays, i, weekday) {
		json_int_t w = json_integer_value(weekday);

		if (w < 1 || w > 7 || tg_calendar_set_weekday(*ret, (unsigned)w, periods, n))
			fault(r, -TG_EPARSE, "weekdays or periods of calendar", name);
	}
	read_days(r, json_object_get(doc, "days"), *ret);
}

static void read_calendars(struct reader *r, const json_t *doc)
{
	struct tg_city *city = r->city;
	size_t count;

	city->calendars = array_of(r, doc, "calendars", sizeof(struct tg_calendar *), &count);
	for (size_t i = 0; i < count && !r->rc; i++) {
		city->calendars_count = i + 1;
		read_calendar(r, json_array_get(json_object_get(doc, "calendars"), i),
			&city->calendars[i]);
	}
	if (!r->rc && !count)
		fault(r, -TG_EPARSE, "it has no calendar", NULL);
}

/* Texts, NULL-terminated; none when there is no such list. */
static const char **read_texts(struct reader *r, const json_t *doc, const char *key)
{
	const char **list;
	size_t count;

	if (!json_object_get(doc, key))
		return NULL;
	list = array_of(r, doc, key, sizeof(char *), &count);
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(json_object_get(doc, key), i));

		list[i] = copy(r, text ? text : "");
	}
	return list;
}

static void read_depts(struct reader *r, const json_t *doc)
{
	struct tg_city *city = r->city;

	city->depts = array_of(r, doc, "depts", sizeof(struct tg_dept), &city->depts_count);
	for (size_t i = 0; i < city->depts_count; i++) {
		const json_t *o = json_array_get(json_object_get(doc, "depts"), i);
		struct tg_dept *d = &city->depts[i];

		*d = (struct tg_dept){text_of(r, o, "code"), text_of(r, o, "name_zh"),
			text_of(r, o, "name_en"), text_of(r, o, "short_zh"),
			text_of(r, o, "short_en"), text_of(r, o, "pinyin"), text_of(r, o, "kind"),
			text_of(r, o, "calendar"), NULL, read_texts(r, o, "streets"),
			text_or_null(r, o, "parent")};
		d->calendar = tg_city_calendar(city, d->calendar_name);
		if (!d->calendar)
			fault(r, -TG_EPARSE, "unknown calendar of department", d->code);
	}
}

static void read_streets(struct reader *r, const json_t *doc)
{
	struct tg_city *city = r->city;

	city->streets = array_of(r, doc, "streets", sizeof(struct tg_street), &city->streets_count);
	for (size_t i = 0; i < city->streets_count; i++) {
		const json_t *o = json_array_get(json_object_get(doc, "streets"), i);

		city->streets[i] =
			(struct tg_street){text_of(r, o, "code"), text_of(r, o, "name_zh"),
				text_of(r, o, "name_en"), text_of(r, o, "short_zh"),
				text_of(r, o, "short_en"), text_of(r, o, "district")};
	}
}

static void read_conditions(struct reader *r, const json_t *doc, struct tg_type *type)
{
	const json_t *list = json_object_get(doc, "conditions");

	type->conditions = array_of(
		r, doc, "conditions", sizeof(struct tg_condition), &type->conditions_count);
	for (size_t i = 0; i < type->conditions_count; i++) {
		const json_t *o = json_array_get(list, i);

		type->conditions[i] = (struct tg_condition){
			json_integer_value(json_object_get(o, "condition_no")),
			limit_of(r, o, "handle_limit"), text_or_null(r, o, "lead"),
			text_of(r, o, "filing_zh"), text_of(r, o, "filing_en"),
			text_of(r, o, "close_zh"), text_of(r, o, "close_en")};
	}
}

static void read_types(struct reader *r, const json_t *doc)
{
	struct tg_city *city = r->city;

	city->types = array_of(r, doc, "types", sizeof(struct tg_type), &city->types_count);
	for (size_t i = 0; i < city->types_count; i++) {
		const json_t *o = json_array_get(json_object_get(doc, "types"), i);
		struct tg_type *t = &city->types[i];

		*t = (struct tg_type){.code = text_of(r, o, "type_code"),
			.class_code = text_of(r, o, "class_code"),
			.class_zh = text_of(r, o, "class_zh"),
			.class_en = text_of(r, o, "class_en"),
			.name_zh = text_of(r, o, "name_zh"),
			.name_en = text_of(r, o, "name_en"),
			.short_zh = text_of(r, o, "short_zh"),
			.short_en = text_of(r, o, "short_en"),
			.pinyin = text_of(r, o, "pinyin"),
			.domain = text_of(r, o, "domain"),
			.lead = text_or_null(r, o, "lead"),
			.co = read_texts(r, o, "co"),
			.accept_limit = limit_of(r, o, "accept_limit"),
			.dispatch_limit = limit_of(r, o, "dispatch_limit"),
			.dispose_limit = limit_of(r, o, "dispose_limit"),
			.urgency = urgency_of(r, o),
			.self_dispose = json_is_true(json_object_get(o, "self_dispose"))};
		read_conditions(r, o, t);
	}
}

static void read_rules(struct reader *r, const json_t *doc)
{
	struct tg_city *city = r->city;

	city->stages =
		array_of(r, doc, "stage_limits", sizeof(struct stage_limit), &city->stages_count);
	for (size_t i = 0; i < city->stages_count; i++) {
		const json_t *o = json_array_get(json_object_get(doc, "stage_limits"), i);

		city->stages[i] = (struct stage_limit){
			text_of(r, o, "clock"), urgency_of(r, o), limit_of(r, o, "limit_text")};
	}
	city->ladder = array_of(r, doc, "ladder", sizeof(struct tg_rung), &city->ladder_count);
	for (size_t i = 0; i < city->ladder_count; i++) {
		const json_t *o = json_array_get(json_object_get(doc, "ladder"), i);
		struct tg_rung *rung = &city->ladder[i];
		const char *plus = text_or_null(r, o, "plus"), *clock = text_or_null(r, o, "clock");

		rung->clock = clock ? clock : "handle";
		rung->urgency = urgency_of(r, o);
		rung->level = (int)json_integer_value(json_object_get(o, "level"));
		rung->percent = (int)json_integer_value(json_object_get(o, "percent"));
		rung->supervise = (int)json_integer_value(json_object_get(o, "supervise"));
		rung->rework = (int)json_integer_value(json_object_get(o, "rework"));
		if (plus && tg_limit_parse(tg_slice_cstr(plus), &rung->plus))
			fault(r, -TG_EPARSE, "no limit", plus);
	}
}

/* A document without a roster has none. */
static void read_duty(struct reader *r, const json_t *doc)
{
	struct tg_city *city = r->city;

	if (!json_object_get(doc, "duty"))
		return;
	city->duty = array_of(r, doc, "duty", sizeof(struct tg_duty), &city->duty_count);
	for (size_t i = 0; i < city->duty_count; i++) {
		const json_t *o = json_array_get(json_object_get(doc, "duty"), i);

		city->duty[i] = (struct tg_duty){text_of(r, o, "department"),
			(int)json_integer_value(json_object_get(o, "weekday")),
			(int)json_integer_value(json_object_get(o, "from_min")),
			(int)json_integer_value(json_object_get(o, "to_min"))};
	}
}

static void choose_centre(struct tg_city *city)
{
	size_t best = 0;

	city->centre = tg_city_calendar(city, "default");
	if (city->centre)
		return;
	city->centre = city->calendars[0];
	for (size_t c = 0; c < city->calendars_count; c++) {
		size_t keep = 0;

		for (size_t d = 0; d < city->depts_count; d++)
			keep += city->depts[d].calendar == city->calendars[c];
		if (keep > best) {
			best = keep;
			city->centre = city->calendars[c];
		}
	}
}

int tg_city_parse(const json_t *doc, struct tg_city **ret, struct tg_buf *why)
{
	struct tg_city *city = calloc(1, sizeof(*city));
	struct reader r = {city, why, 0};
	const char *zone;

	if (!city)
		return -TG_ENOMEM;
	tg_arena_init(&city->arena, CITY_BLOCK_BYTES, CITY_BYTES_MAX);
	city->version = json_integer_value(json_object_get(doc, "version"));
	city->name_zh = text_of(&r, doc, "name_zh");
	city->name_en = text_of(&r, doc, "name_en");
	city->division = text_of(&r, doc, "division");
	zone = text_of(&r, doc, "zone");
	if (!r.rc && tg_zone_load(zone, &city->zone))
		fault(&r, -TG_EPARSE, "unknown time zone", zone);
	if (!r.rc)
		read_calendars(&r, doc);
	if (!r.rc)
		read_depts(&r, doc);
	if (!r.rc)
		read_streets(&r, doc);
	if (!r.rc)
		read_types(&r, doc);
	if (!r.rc)
		read_rules(&r, doc);
	if (!r.rc)
		read_duty(&r, doc);
	if (r.rc) {
		tg_city_free(city);
		return r.rc;
	}
	choose_centre(city);
	*ret = city;
	return 0;
}

void tg_city_free(struct tg_city *city)
{
	if (!city)
		return;
	for (size_t i = 0; i < city->calendars_count; i++)
		tg_calendar_free(city->calendars[i]);
	tg_zone_free(city->zone);
	tg_arena_release(&city->arena);
	free(city);
}
