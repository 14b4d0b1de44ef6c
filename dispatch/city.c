/* Looking things up in the city. */
#include <assert.h>
#include <string.h>

#include "dispatch/city_impl.h"

static const char *const urgency_names[TG_URGENCY_COUNT] = {"urgent", "priority", "normal", "slow"};

const char *tg_urgency_name(enum tg_urgency u)
{
	assert(u < TG_URGENCY_COUNT);
	return urgency_names[u];
}

bool tg_urgency_parse(struct tg_slice name, enum tg_urgency *ret)
{
	for (int u = 0; u < TG_URGENCY_COUNT; u++) {
		if (tg_slice_is(name, urgency_names[u])) {
			*ret = (enum tg_urgency)u;
			return true;
		}
	}
	return false;
}

int64_t tg_city_version(const struct tg_city *city)
{
	return city->version;
}

const char *tg_city_name_zh(const struct tg_city *city)
{
	return city->name_zh;
}

const char *tg_city_name_en(const struct tg_city *city)
{
	return city->name_en;
}

const char *tg_city_division(const struct tg_city *city)
{
	return city->division;
}

const struct tg_zone *tg_city_zone(const struct tg_city *city)
{
	return city->zone;
}

/* All three arrays begin their items with the code and are sorted by it, byte by byte. */
static const void *by_code(const void *items, size_t count, size_t item_bytes, const char *code)
{
	size_t lo = 0, hi = count;

	if (!code)
		return NULL;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const void *item = (const char *)items + mid * item_bytes;
		int cmp = strcmp(code, *(const char *const *)item);

		if (cmp == 0)
			return item;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
_Static_assert(offsetof(struct tg_type, code) == 0, "by_code");
_Static_assert(offsetof(struct tg_dept, code) == 0, "by_code");
_Static_assert(offsetof(struct tg_street, code) == 0, "by_code");

const struct tg_type *tg_city_type(const struct tg_city *city, const char *code)
{
	return by_code(city->types, city->types_count, sizeof(*city->types), code);
}

const struct tg_dept *tg_city_dept(const struct tg_city *city, const char *code)
{
	return by_code(city->depts, city->depts_count, sizeof(*city->depts), code);
}

const struct tg_street *tg_city_street(const struct tg_city *city, const char *code)
{
	return by_code(city->streets, city->streets_count, sizeof(*city->streets), code);
}

const struct tg_condition *tg_type_condition(const struct tg_type *type, int64_t no)
{
	for (size_t i = 0; i < type->conditions_count; i++)
		if (type->conditions[i].no == no)
			return &type->conditions[i];
	return NULL;
}

const struct tg_calendar *tg_city_calendar(const struct tg_city *city, const char *name)
{
	for (size_t i = 0; name && i < city->calendars_count; i++)
		if (city->calendars[i] && !strcmp(tg_calendar_name(city->calendars[i]), name))
			return city->calendars[i];
	return NULL;
}

const struct tg_calendar *tg_city_centre_calendar(const struct tg_city *city)
{
	return city->centre;
}

const struct tg_type *tg_city_types(const struct tg_city *city, size_t *ret_count)
{
	*ret_count = city->types_count;
	return city->types;
}

const struct tg_dept *tg_city_depts(const struct tg_city *city, size_t *ret_count)
{
	*ret_count = city->depts_count;
	return city->depts;
}

const struct tg_street *tg_city_streets(const struct tg_city *city, size_t *ret_count)
{
	*ret_count = city->streets_count;
	return city->streets;
}

const struct tg_rung *tg_city_ladder(const struct tg_city *city, size_t *ret_count)
{
	*ret_count = city->ladder_count;
	return city->ladder;
}

const char *tg_city_stage_limit(
	const struct tg_city *city, const char *clock, enum tg_urgency urgency)
{
	for (size_t i = 0; i < city->stages_count; i++)
		if (city->stages[i].urgency == urgency && !strcmp(city->stages[i].clock, clock))
			return city->stages[i].limit;
	return "2h"; /* a row somebody deleted: a clock still runs */
}

int tg_city_on_duty(const struct tg_city *city, const char *department, int64_t at_us)
{
	int64_t day, day_us, minute;

	if (!city->duty_count)
		return -1;
	tg_zone_to_local(city->zone, at_us, &day, &day_us);
	minute = day_us / TG_US_PER_MIN;
	for (size_t i = 0; i < city->duty_count; i++) {
		const struct tg_duty *d = &city->duty[i];

		if (!strcmp(d->department, department) && d->weekday == (int)tg_weekday(day) &&
			d->from_min <= minute && minute < d->to_min)
			return 1;
	}
	return 0;
}
