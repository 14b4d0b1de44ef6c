/* A rule taken out of its pack, or changed, says no more when what it raised has ended. So what
 * stands by a definition that runs no more is ended by its owner: with the next batch, in order
 * with everything else, and for a reason that the incident tells. Packs that are refused at the
 * start take no rule away: then nothing is ended. */
#include <stdio.h>

#include "base/log.h"
#include "correlate/role_impl.h"
#include "queries.h"

static void ask(struct tg_part *p);

static int take(struct tg_part *p, const PGresult *res)
{
	struct tg_slice list = PQntuples(res) ? tg_pg_text(res, 0, 0) : TG_SLICE("");
	int rc;

	tg_buf_reset(&p->unruled);
	rc = tg_buf_add(&p->unruled, list.data, list.len);
	if (!rc && list.len)
		tg_log(TG_INFO, "incidents whose rule runs no more are ended",
			TG_F("partition", TG_I(p->partition)), TG_F("incidents", TG_SL(list)));
	return rc;
}

static void on_unruled(void *ctx, int rc, const PGresult *res)
{
	struct tg_part *p = ctx;

	if (!tg_part_release(p))
		return;
	if (rc || take(p, res)) {
		tg_part_retry(p, ask);
		return;
	}
	tg_part_done_waiting(p);
	p->then(p);
}

static void ask(struct tg_part *p)
{
	struct tg_buf running = {0};
	char partition[16], from[24];
	const char *params[] = {partition, NULL, from};
	int rc = tg_ruleset_prints(&p->role->rules, &running);

	snprintf(partition, sizeof(partition), "%d", p->partition);
	snprintf(from, sizeof(from), "%lld", (long long)p->committed);
	params[1] = tg_buf_cstr(&running);
	tg_part_hold(p);
	if (rc || tg_pg_query(p->role->pg, tg_sql_incident_unruled, params, 3, on_unruled, p))
		on_unruled(p, -TG_ECLOSED, NULL);
	tg_buf_release(&running);
}

void tg_part_ask_unruled(struct tg_part *p, void (*then)(struct tg_part *p))
{
	p->then = then;
	if (p->role->packs_whole)
		ask(p);
	else
		then(p);
}

void tg_part_retire_begin(struct tg_part *p)
{
	struct tg_buf empty = p->retire;

	if (p->retire.len || !p->unruled.len)
		return;
	p->retire = p->unruled;
	p->unruled = empty;
}

struct tg_slice tg_part_retiring(const struct tg_part *p)
{
	if (tg_watermark_us(tg_engine_watermark(p->engine)) == TG_WATERMARK_NONE)
		return TG_SLICE("");
	return (struct tg_slice){p->retire.data, p->retire.len};
}

void tg_part_retired(struct tg_part *p)
{
	if (tg_part_retiring(p).len)
		tg_buf_reset(&p->retire);
}
