/* Counting working time over a calendar. */
#include <stdlib.h>

#include "dispatch/worktime_impl.h"

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
	first = calendar_day(cal, t_us);
	for (int64_t day = first; day < first + TG_WORKTIME_DAYS_MAX; day++) {
		const struct day_override *why;
		const struct day_plan *plan = calendar_plan(cal, day, &why);

		for (size_t i = 0; i < plan->n; i++) {
			struct tg_span s = calendar_span(cal, day, &plan->periods[i]);
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
	int64_t last = calendar_day(cal, t_us);

	for (int64_t day = last; day > last - TG_WORKTIME_DAYS_MAX; day--) {
		const struct day_override *why;
		const struct day_plan *plan = calendar_plan(cal, day, &why);

		for (size_t i = plan->n; i > 0; i--) {
			struct tg_span s = calendar_span(cal, day, &plan->periods[i - 1]);

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
	last = calendar_day(cal, t_us);
	for (int64_t day = last; day > last - TG_WORKTIME_DAYS_MAX; day--) {
		const struct day_override *why;
		const struct day_plan *plan = calendar_plan(cal, day, &why);

		for (size_t i = plan->n; i > 0; i--) {
			struct tg_span s = calendar_span(cal, day, &plan->periods[i - 1]);
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
	last = calendar_day(cal, b_us);
	for (int64_t day = calendar_day(cal, a_us); day <= last; day++) {
		const struct day_override *why;
		const struct day_plan *plan = calendar_plan(cal, day, &why);

		for (size_t i = 0; i < plan->n; i++) {
			struct tg_span s = calendar_span(cal, day, &plan->periods[i]);
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
	first = calendar_day(cal, t_us);
	for (int64_t day = first; day < first + TG_WORKTIME_DAYS_MAX; day++) {
		const struct day_override *why;
		const struct day_plan *plan = calendar_plan(cal, day, &why);

		for (size_t i = 0; i < plan->n; i++) {
			struct tg_span s = calendar_span(cal, day, &plan->periods[i]);

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
	plan = calendar_plan(w->cal, w->day, &why);
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
	int64_t last = calendar_day(w->cal, b_us);

	for (int64_t day = calendar_day(w->cal, a_us); day <= last; day++) {
		const struct day_override *why;
		const struct day_plan *plan = calendar_plan(w->cal, day, &why);

		walk_enter_day(w, day);
		w->paused |= paused;
		for (size_t i = 0; i < plan->n && !paused; i++) {
			struct tg_span s = calendar_span(w->cal, day, &plan->periods[i]);
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
