#include "dispatch/worktime.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct day_plan {
	struct tg_period periods[TG_DAY_PERIODS_MAX];
	size_t n;
};

struct day_override {
	int64_t day;
	enum tg_day_kind kind;
	struct day_plan plan;
	char *name;
};

struct tg_calendar {
	char *name;
	const struct tg_zone *zone;
	int64_t day_us;            /* what one wd means */
	struct day_plan week[8];   /* by ISO weekday; [0] unused */
	struct day_override *days; /* ascending by day */
	size_t days_count, days_cap;
};

static const char *const unit_names[] = {"h", "wh", "wd", "nd"};

const char *tg_unit_name(enum tg_unit unit)
{
	return unit_names[unit];
}

bool tg_unit_is_working(enum tg_unit unit)
{
	return unit == TG_UNIT_WH || unit == TG_UNIT_WD;
}

/* --- limits --- */

#define LIMIT_DIGITS_MAX 6 /* before the point, and after it */

int tg_limit_parse(struct tg_slice text, struct tg_limit *ret)
{
	struct tg_slice unit;
	int64_t micro = 0, scale = 1000000;
	size_t i = 0, whole;

	while (i < text.len && text.data[i] >= '0' && text.data[i] <= '9')
		micro = i < LIMIT_DIGITS_MAX + 1 ? micro * 10 + (text.data[i] - '0') : micro, i++;
	whole = i;
	if (!whole || whole > LIMIT_DIGITS_MAX)
		return -TG_EPARSE;
	micro *= scale;
	if (i < text.len && text.data[i] == '.') {
		size_t first = ++i;

		for (; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
			scale /= 10;
			micro += scale * (text.data[i] - '0');
		}
		if (i == first || i - first > LIMIT_DIGITS_MAX)
			return -TG_EPARSE;
	}
	unit = (struct tg_slice){text.data + i, text.len - i};
	if (micro <= 0)
		return -TG_EPARSE;
	if (tg_slice_is(unit, "min")) {
		*ret = (struct tg_limit){TG_UNIT_H, micro, true};
		return 0;
	}
	for (size_t u = 0; u < sizeof(unit_names) / sizeof(unit_names[0]); u++) {
		if (tg_slice_is(unit, unit_names[u])) {
			*ret = (struct tg_limit){(enum tg_unit)u, micro, false};
			return 0;
		}
	}
	return -TG_EPARSE;
}

int64_t tg_limit_amount_us(const struct tg_limit *limit, const struct tg_calendar *cal)
{
	const int64_t micro = limit->n_micro;

	switch (limit->unit) {
	case TG_UNIT_H: return limit->minutes ? micro * 60 : micro * 3600;
	case TG_UNIT_WH: return micro * 3600;
	case TG_UNIT_ND: return micro * 86400;
	case TG_UNIT_WD:
		assert(cal);
		/* A day of at most 24 h is below 2^37 µs: exact in 64 bits while n has at most 6
		 * digits. */
		return (int64_t)((__int128)micro * cal->day_us / 1000000);
	}
	assert(!"unit");
	return 0;
}

/* --- calendars --- */

int tg_calendar_new(const char *name, const struct tg_zone *zone, double hours_per_day,
	struct tg_calendar **ret)
{
	struct tg_calendar *cal;

	if (!(hours_per_day > 0 && hours_per_day <= 24))
		return -TG_EINVAL;
	cal = calloc(1, sizeof(*cal));
	if (!cal)
		return -TG_ENOMEM;
	cal->name = strdup(name);
	if (!cal->name) {
		free(cal);
		return -TG_ENOMEM;
	}
	cal->zone = zone;
	cal->day_us = llround(hours_per_day * (double)TG_US_PER_H);
	*ret = cal;
	return 0;
}

void tg_calendar_free(struct tg_calendar *cal)
{
	if (!cal)
		return;
	for (size_t i = 0; i < cal->days_count; i++)
		free(cal->days[i].name);
	free(cal->days);
	free(cal->name);
	free(cal);
}

const char *tg_calendar_name(const struct tg_calendar *cal)
{
	return cal->name;
}

const struct tg_zone *tg_calendar_zone(const struct tg_calendar *cal)
{
	return cal->zone;
}

static bool two_digits(const char *p, int64_t *ret)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*ret = (p[0] - '0') * 10 + (p[1] - '0');
	return true;
}

int tg_period_parse(struct tg_slice text, struct tg_period *ret)
{
	int64_t h0, m0, h1, m1;
	struct tg_period p;

	if (text.len != 11 || text.data[2] != ':' || text.data[5] != '-' || text.data[8] != ':' ||
		!two_digits(text.data, &h0) || !two_digits(text.data + 3, &m0) ||
		!two_digits(text.data + 6, &h1) || !two_digits(text.data + 9, &m1) || m0 > 59 ||
		m1 > 59)
		return -TG_EPARSE;
	p.from_us = h0 * TG_US_PER_H + m0 * TG_US_PER_MIN;
	p.to_us = h1 * TG_US_PER_H + m1 * TG_US_PER_MIN;
	if (p.from_us >= p.to_us || p.to_us > TG_US_PER_DAY)
		return -TG_EPARSE;
	*ret = p;
	return 0;
}

static int plan_set(struct day_plan *plan, const struct tg_period *periods, size_t n)
{
	int64_t last = 0;

	if (n > TG_DAY_PERIODS_MAX)
		return -TG_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (periods[i].from_us < last || periods[i].to_us <= periods[i].from_us ||
			periods[i].to_us > TG_US_PER_DAY)
			return -TG_EINVAL;
		last = periods[i].to_us;
	}
	if (n)
		memcpy(plan->periods, periods, n * sizeof(*periods));
	plan->n = n;
	return 0;
}

int tg_calendar_set_weekday(
	struct tg_calendar *cal, unsigned weekday, const struct tg_period *periods, size_t n)
{
	assert(weekday >= 1 && weekday <= 7);
	return plan_set(&cal->week[weekday], periods, n);
}

/* Index of the first override at or after day. */
static size_t days_find(const struct tg_calendar *cal, int64_t day)
{
	size_t lo = 0, hi = cal->days_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cal->days[mid].day < day)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct day_plan *usual_plan(const struct tg_calendar *cal)
{
	for (int w = 1; w <= 7; w++)
		if (cal->week[w].n)
			return &cal->week[w];
	return &cal->week[1];
}

int tg_calendar_set_day(struct tg_calendar *cal, int64_t day, enum tg_day_kind kind,
	const struct tg_period *periods, size_t n, const char *name)
{
	struct day_override made = {.day = day, .kind = kind};
	size_t at = days_find(cal, day);
	int rc = 0;

	if (periods)
		rc = plan_set(&made.plan, periods, n);
	else if (kind != TG_DAY_OFF)
		made.plan = *usual_plan(cal);
	if (rc)
		return rc;
	if (!periods && kind == TG_DAY_HALF && made.plan.n > 1)
		made.plan.n = 1;
	made.name = strdup(name ? name : "");
	if (!made.name)
		return -TG_ENOMEM;
	if (at < cal->days_count && cal->days[at].day == day) {
		free(cal->days[at].name);
		cal->days[at] = made;
		return 0;
	}
	if (cal->days_count == cal->days_cap) {
		size_t cap = cal->days_cap ? cal->days_cap * 2 : 32;
		struct day_override *grown = realloc(cal->days, cap * sizeof(*grown));

		if (!grown) {
			free(made.name);
			return -TG_ENOMEM;
		}
		cal->days = grown;
		cal->days_cap = cap;
	}
	memmove(cal->days + at + 1, cal->days + at, (cal->days_count - at) * sizeof(*cal->days));
	cal->days[at] = made;
	cal->days_count++;
	return 0;
}

static const struct day_plan *plan_of(
	const struct tg_calendar *cal, int64_t day, const struct day_override **ret)
{
	size_t at = days_find(cal, day);

	*ret = at < cal->days_count && cal->days[at].day == day ? &cal->days[at] : NULL;
	return *ret ? &(*ret)->plan : &cal->week[tg_weekday(day)];
}

static struct tg_span span_of(const struct tg_calendar *cal, int64_t day, const struct tg_period *p)
{
	return (struct tg_span){tg_zone_from_local(cal->zone, day, p->from_us),
		tg_zone_from_local(cal->zone, day, p->to_us)};
}

static int64_t day_of(const struct tg_calendar *cal, int64_t t_us)
{
	int64_t day, day_us;

	tg_zone_to_local(cal->zone, t_us, &day, &day_us);
	return day;
}

static int64_t sat_add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int64_t tg_work_add(const struct tg_calendar *cal, int64_t t_us, int64_t n_us)
{
	int64_t first;

	if (n_us <= 0)
		return t_us;
	if (!cal)
		return sat_add(t_us, n_us);
	first = day_of(cal, t_us);
	for (int64_t day = first; day < first + TG_WORKTIME_DAYS_MAX; day++) {
		const struct day_override *why;
		const struct day_plan *plan = plan_of(cal, day, &why);

		for (size_t i = 0; i < plan->n; i++) {
			struct tg_span s = span_of(cal, day, &plan->periods[i]);
			int64_t from = s.from_us > t_us ? s.from_us : t_us;

			if (s.to_us <= from)
				continue;
			if (n_us <= s.to_us - from)
				return from + n_us;
			n_us -= s.to_us - from;
		}
	}
	return INT64_MAX;
}

/* The end of the last period at or before t: nothing is counted between the two. */
static int64_t work_end_before(const struct tg_calendar *cal, int64_t t_us)
{
	int64_t last = day_of(cal, t_us);

	for (int64_t day = last; day > last - TG_WORKTIME_DAYS_MAX; day--) {
		const struct day_override *why;
		const struct day_plan *plan = plan_of(cal, day, &why);

		for (size_t i = plan->n; i > 0; i--) {
			struct tg_span s = span_of(cal, day, &plan->periods[i - 1]);

			if (s.from_us < t_us && s.to_us > s.from_us)
				return s.to_us < t_us ? s.to_us : t_us;
		}
	}
	return INT64_MIN;
}

int64_t tg_work_before(const struct tg_calendar *cal, int64_t t_us, int64_t n_us)
{
	int64_t last;

	if (n_us <= 0)
		return t_us;
	if (!cal)
		return t_us - n_us;
	last = day_of(cal, t_us);
	for (int64_t day = last; day > last - TG_WORKTIME_DAYS_MAX; day--) {
		const struct day_override *why;
		const struct day_plan *plan = plan_of(cal, day, &why);

		for (size_t i = plan->n; i > 0; i--) {
			struct tg_span s = span_of(cal, day, &plan->periods[i - 1]);
			int64_t to = s.to_us < t_us ? s.to_us : t_us;

			if (to <= s.from_us)
				continue;
			if (n_us < to - s.from_us)
				return to - n_us;
			n_us -= to - s.from_us;
			if (n_us == 0) /* no time is counted from the period before to here */
				return work_end_before(cal, s.from_us);
		}
	}
	return INT64_MIN;
}

int64_t tg_work_count(const struct tg_calendar *cal, int64_t a_us, int64_t b_us)
{
	int64_t sum = 0, last;

	if (b_us < a_us)
		return -tg_work_count(cal, b_us, a_us);
	if (!cal)
		return b_us - a_us;
	last = day_of(cal, b_us);
	for (int64_t day = day_of(cal, a_us); day <= last; day++) {
		const struct day_override *why;
		const struct day_plan *plan = plan_of(cal, day, &why);

		for (size_t i = 0; i < plan->n; i++) {
			struct tg_span s = span_of(cal, day, &plan->periods[i]);
			int64_t from = s.from_us > a_us ? s.from_us : a_us;
			int64_t to = s.to_us < b_us ? s.to_us : b_us;

			if (to > from)
				sum += to - from;
		}
	}
	return sum;
}

bool tg_work_open(const struct tg_calendar *cal, int64_t t_us, int64_t *ret_next)
{
	int64_t first;

	if (!cal)
		return true;
	first = day_of(cal, t_us);
	for (int64_t day = first; day < first + TG_WORKTIME_DAYS_MAX; day++) {
		const struct day_override *why;
		const struct day_plan *plan = plan_of(cal, day, &why);

		for (size_t i = 0; i < plan->n; i++) {
			struct tg_span s = span_of(cal, day, &plan->periods[i]);

			if (s.to_us <= t_us || s.to_us <= s.from_us)
				continue;
			if (s.from_us <= t_us)
				return true;
			if (ret_next)
				*ret_next = s.from_us;
			return false;
		}
	}
	if (ret_next)
		*ret_next = INT64_MAX;
	return false;
}

/* --- why is this the deadline --- */

/* Tells the sink what was counted, and of each finished day without any counted time why. */
struct walk {
	const struct tg_calendar *cal;
	const struct tg_deadline_sink *sink;
	bool began;
	int64_t day; /* the day last looked at */
	bool counted;
	bool paused;
};

static void walk_leave_day(struct walk *w)
{
	const struct day_override *why;
	const struct day_plan *plan;

	if (!w->began || w->counted)
		return;
	plan = plan_of(w->cal, w->day, &why);
	if (!plan->n)
		w->sink->skipped(w->sink->ctx, w->day,
			why && why->name[0] ? why->name
			: why               ? "off"
					    : "weekend");
	else if (w->paused)
		w->sink->skipped(w->sink->ctx, w->day, "paused");
}

static void walk_enter_day(struct walk *w, int64_t day)
{
	if (w->began && w->day == day)
		return;
	walk_leave_day(w);
	w->began = true;
	w->day = day;
	w->counted = w->paused = false;
}

static void walk_span(struct walk *w, int64_t a_us, int64_t b_us, bool paused)
{
	int64_t last = day_of(w->cal, b_us);

	for (int64_t day = day_of(w->cal, a_us); day <= last; day++) {
		const struct day_override *why;
		const struct day_plan *plan = plan_of(w->cal, day, &why);

		walk_enter_day(w, day);
		w->paused |= paused;
		for (size_t i = 0; i < plan->n && !paused; i++) {
			struct tg_span s = span_of(w->cal, day, &plan->periods[i]);
			int64_t from = s.from_us > a_us ? s.from_us : a_us;
			int64_t to = s.to_us < b_us ? s.to_us : b_us;

			if (to <= from)
				continue;
			w->counted = true;
			w->sink->period(w->sink->ctx, from, to);
		}
	}
}

static void tell(struct walk *w, int64_t a_us, int64_t b_us, bool paused)
{
	if (!w->sink || b_us <= a_us)
		return;
	if (w->cal)
		walk_span(w, a_us, b_us, paused);
	else if (!paused)
		w->sink->period(w->sink->ctx, a_us, b_us);
}

int64_t tg_deadline(const struct tg_deadline_q *q, const struct tg_deadline_sink *sink)
{
	struct walk w = {.cal = q->cal, .sink = sink};
	int64_t t = q->start_us, left = q->amount_us, due;

	for (size_t i = 0; i < q->extensions_count; i++)
		left = sat_add(left, q->extensions[i].amount_us);
	for (size_t i = 0; i < q->pauses_count; i++) {
		const struct tg_span *p = &q->pauses[i];

		if (p->to_us <= t)
			continue;
		if (p->from_us > t) {
			due = tg_work_add(q->cal, t, left);
			if (due <= p->from_us)
				break;
			left -= tg_work_count(q->cal, t, p->from_us);
			tell(&w, t, p->from_us, false);
			t = p->from_us;
		}
		if (p->to_us == INT64_MAX)
			return INT64_MAX;
		tell(&w, t, p->to_us, true);
		t = p->to_us;
	}
	due = tg_work_add(q->cal, t, left);
	if (due != INT64_MAX)
		tell(&w, t, due, false);
	if (sink && q->cal && due != INT64_MAX && w.began && w.counted == false)
		walk_leave_day(&w);
	return due;
}
