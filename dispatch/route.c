#include "dispatch/route.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *code;
	int weight;
	const char *zh, *en;
} reasons[] = {
#define TG_X(code, weight, zh, en) {#code, weight, zh, en},
	TG_ROUTE_REASONS(TG_X)
#undef TG_X
};

const char *tg_route_reason_code(int reason)
{
	return reasons[reason].code;
}

const char *tg_route_reason_zh(int reason)
{
	return reasons[reason].zh;
}

const char *tg_route_reason_en(int reason)
{
	return reasons[reason].en;
}

/* What is known of the case that is to be routed. */
struct routing {
	const struct tg_city *city;
	const struct tg_case *kase;
	const struct tg_type *type;
	const struct tg_condition *condition; /* its own, else the type's first */
	const char *limit;
	int64_t now_us;
};

static bool is(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static bool serves(const struct tg_dept *dept, const char *street)
{
	for (const char **s = dept->streets; s && *s; s++)
		if (is(*s, street))
			return true;
	return false;
}

static bool assists(const struct tg_type *type, const char *code)
{
	for (const char **co = type ? type->co : NULL; co && *co; co++)
		if (is(*co, code))
			return true;
	return false;
}

static unsigned history_of(const struct tg_case *kase, const char *code)
{
	unsigned found = 0;

	for (size_t i = 0; i < kase->tasks_count; i++) {
		const struct tg_task *t = &kase->tasks[i];

		if (!is(t->department, code))
			continue;
		if (t->state == TG_TASK_returned)
			found |= 1u << TG_ROUTE_returned;
		if (t->state == TG_TASK_assigned || t->state == TG_TASK_signed)
			found |= 1u << TG_ROUTE_working;
	}
	return found;
}

static unsigned reasons_of(const struct routing *r, const struct tg_dept *dept)
{
	const char *lead = r->type ? r->type->lead : NULL;
	bool here = serves(dept, r->kase->street);
	unsigned found = history_of(r->kase, dept->code);

	if (r->condition && is(r->condition->lead, dept->code))
		found |= 1u << TG_ROUTE_condition;
	if (is(lead, dept->code))
		found |= 1u << TG_ROUTE_catalogue;
	if (here && is(lead, dept->parent))
		found |= 1u << TG_ROUTE_catalogue | 1u << TG_ROUTE_unit;
	else if (here)
		found |= 1u << TG_ROUTE_place;
	if (assists(r->type, dept->code))
		found |= 1u << TG_ROUTE_assist;
	return found;
}

static int64_t due_of(const struct routing *r, const struct tg_dept *dept)
{
	const struct tg_calendar *cal = NULL;
	struct tg_limit limit;

	if (tg_limit_parse(tg_slice_cstr(r->limit), &limit))
		return INT64_MAX;
	if (tg_unit_is_working(limit.unit))
		cal = dept->calendar;
	return tg_work_add(cal, r->now_us, tg_limit_amount_us(&limit, cal));
}

static struct tg_candidate judge(const struct routing *r, const struct tg_dept *dept)
{
	const unsigned leading = 1u << TG_ROUTE_condition | 1u << TG_ROUTE_catalogue;
	struct tg_candidate c = {.dept = dept,
		.reasons = reasons_of(r, dept),
		.limit = r->limit,
		.due_us = due_of(r, dept),
		.on_duty = tg_city_on_duty(r->city, dept->code, r->now_us)};

	c.lead = (c.reasons & leading) && !(c.reasons & 1u << TG_ROUTE_returned);
	for (int i = 0; i < TG_ROUTE_REASON_COUNT; i++)
		if (c.reasons & 1u << i)
			c.score += reasons[i].weight;
	return c;
}

/* Whoever is suggested first, then the rest by name. */
static int compare(const void *a, const void *b)
{
	const struct tg_candidate *x = a, *y = b;
	int cmp = strcmp(x->dept->pinyin, y->dept->pinyin);

	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return cmp ? cmp : strcmp(x->dept->code, y->dept->code);
}

int tg_route_rank(const struct tg_city *city, const struct tg_case *kase, int64_t now_us,
	struct tg_candidate **ret, size_t *ret_count)
{
	struct routing r = {.city = city,
		.kase = kase,
		.type = tg_city_type(city, kase->type_code),
		.now_us = now_us};
	const struct tg_dept *depts;
	struct tg_candidate *list;
	size_t n;

	r.condition =
		r.type ? tg_type_condition(r.type, kase->condition ? kase->condition : 1) : NULL;
	r.limit = kase->handle_limit ? kase->handle_limit
		  : r.condition      ? r.condition->handle_limit
		  : r.type           ? r.type->dispose_limit
				     : "1wd";
	depts = tg_city_depts(city, &n);
	list = calloc(n ? n : 1, sizeof(*list));
	if (!list)
		return -TG_ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = judge(&r, &depts[i]);
	qsort(list, n, sizeof(*list), compare);
	*ret = list;
	*ret_count = n;
	return 0;
}
