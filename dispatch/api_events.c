/* GET /events: what is stored, by place and time, or one source's series. Raw reports are the
 * centre's; a department has its cases' evidence. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/api_list.h"
#include "dispatch/dispatch.h"
#include "queries.h"

#define LIMIT_DEFAULT   100
#define LIMIT_MAX       1000
#define SPAN_DEFAULT_US TG_US_PER_DAY
#define AHEAD_US        (15 * TG_US_PER_MIN) /* ingest takes events a little ahead of its clock */

struct filter {
	char from[24], to[24], source[72], metric[72];
	struct tg_bbox_text box;
	struct tg_page page;
};

static void on_events(struct tg_rq *rq, const PGresult *res)
{
	const struct filter *f = rq->state;
	struct tg_list_out out;

	tg_list_begin(&out, rq, &f->page, TG_ORDER_EVENT, true);
	for (int i = 0; i < PQntuples(res); i++) {
		bool placed = !tg_pg_null(res, i, 3);

		tg_list_item(&out, tg_pg_text(res, i, 2), placed ? tg_pg_f64(res, i, 3) : NAN,
			placed ? tg_pg_f64(res, i, 4) : NAN, tg_pg_i64(res, i, 0),
			tg_pg_text(res, i, 1));
	}
	tg_list_answer(&out, 0);
}

/* from and to as µs. Without them the last day, counted from the page's own beginning. False:
 * answered. */
static bool read_span(struct tg_rq *rq, struct filter *f)
{
	int64_t from_us = 0, to_us = 0;
	const char *from, *to;
	char text[TG_RQ_TIME_MAX];

	if (!tg_rq_query_time(rq, "from", text, &from, &from_us) ||
		!tg_rq_query_time(rq, "to", text, &to, &to_us))
		return false;
	if (!to)
		to_us = tg_now_us() + AHEAD_US;
	if (!from)
		from_us = (to ? to_us : tg_now_us()) - SPAN_DEFAULT_US;
	if (from_us < 0 || to_us < from_us) {
		tg_rq_bad_query(rq, "from", "an instant since 1970 and not after to");
		return false;
	}
	snprintf(f->from, sizeof(f->from), "%lld", (long long)from_us);
	snprintf(f->to, sizeof(f->to), "%lld", (long long)to_us);
	return true;
}

void tg_api_event_list(struct tg_rq *rq)
{
	static const char *const known[] = {
		"bbox", "from", "to", "source_id", "metric", "cursor", "limit", NULL};
	struct filter *f = tg_rq_state(rq, sizeof(*f));
	const char *source, *metric;

	if (!f || !tg_rq_known_query(rq, known) || !tg_bbox_read(rq, &f->box) ||
		!read_span(rq, f) ||
		!tg_rq_query_text(rq, "source_id", f->source, sizeof(f->source), &source) ||
		!tg_rq_query_text(rq, "metric", f->metric, sizeof(f->metric), &metric) ||
		!tg_page_read(rq, TG_ORDER_EVENT, LIMIT_DEFAULT, LIMIT_MAX, &f->page))
		return;

	const char *params[] = {f->from, f->to, f->box.side[0], f->box.side[1], f->box.side[2],
		f->box.side[3], f->page.id, f->page.limit_text, source, metric};

	tg_rq_query_slow(
		rq, tg_sql_event_list, params, sizeof(params) / sizeof(params[0]), on_events);
}
