/* GET /vitals: what the stream's event of that name says, for whoever asks once. */
#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/dispatch.h"
#include "dispatch/outbox.h"
#include "queries.h"

static void on_vitals(struct tg_rq *rq, const PGresult *res)
{
	const char *department = tg_rq_department(rq);
	int64_t open = 0, overdue = 0;
	struct tg_jw w;

	for (int i = 0; i < PQntuples(res); i++)
		if (department[0] ? tg_slice_is(tg_pg_text(res, i, 0), department)
				  : tg_pg_null(res, i, 0)) {
			open = tg_pg_i64(res, i, 1);
			overdue = tg_pg_i64(res, i, 2);
		}
	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_time(&w, "at", tg_now_us());
	tg_jw_int(&w, "open_cases", open);
	tg_jw_int(&w, "overdue", overdue);
	tg_jw_int(&w, "last_pos", tg_outbox_last(rq->d->outbox));
	tg_jw_object_end(&w);
	tg_rq_out(rq, 200, "application/json", tg_jw_end(&w));
}

void tg_api_vitals(struct tg_rq *rq)
{
	static const char *const no_query[] = {NULL};

	if (tg_rq_known_query(rq, no_query))
		tg_rq_query(rq, tg_sql_vitals, NULL, 0, on_vitals);
}
