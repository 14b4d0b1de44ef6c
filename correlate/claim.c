/* Taking a partition: the epoch and the offset, then the windows page by page, then the incidents
 * to be cleared. Nothing stored: the windows are rebuilt from the topic, and from PostGIS where a
 * rule looks further back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "correlate/role_impl.h"
#include "queries.h"

static void restore_page(struct tg_part *p);
static void find_start(struct tg_part *p);
static void load_told(struct tg_part *p);

static void claimed(struct tg_part *p)
{
	tg_log(TG_INFO, "partition claimed", TG_F("partition", TG_I(p->partition)),
		TG_F("offset", TG_I(p->next)), TG_F("segments", TG_I(p->restored)),
		TG_F("window_events", TG_I(tg_engine_window_events(p->engine))));
	tg_part_ready(p);
}

static void on_told(void *ctx, int rc, const PGresult *res)
{
	struct tg_part *p = ctx;

	if (!tg_part_release(p))
		return;
	if (rc) {
		tg_part_retry(p, load_told);
		return;
	}
	for (int i = 0; i < PQntuples(res); i++)
		tg_engine_told(p->engine, strtoull(PQgetvalue(res, i, 0), NULL, 16),
			tg_pg_i64(res, i, 1), tg_pg_i64(res, i, 2));
	tg_part_ask_unruled(p, claimed);
}

static void load_told(struct tg_part *p)
{
	char partition[16];
	const char *params[] = {partition, p->epoch};

	snprintf(partition, sizeof(partition), "%d", p->partition);
	tg_part_hold(p);
	if (tg_pg_query(p->role->pg, tg_sql_incident_claim, params, 2, on_told, p))
		on_told(p, -TG_ECLOSED, NULL);
}

static void on_watch(void *ctx, int rc, const PGresult *res)
{
	struct tg_part *p = ctx;

	if (!tg_part_release(p))
		return;
	for (int i = 0; !rc && i < PQntuples(res); i++)
		rc = tg_part_watch_row(p, res, i);
	if (rc)
		tg_part_retry(p, tg_part_load_watch);
	else
		load_told(p);
}

void tg_part_load_watch(struct tg_part *p)
{
	int64_t from_us = tg_watermark_us(tg_engine_watermark(p->engine));
	char partition[16], from[24];
	const char *params[] = {partition, from};

	/* Without a watermark all time is still to come; but what was cleared lately may be untold.
	 */
	if (from_us == TG_WATERMARK_NONE)
		from_us = tg_now_us() - 2 * p->role->conf->correlate_rebuild_h * TG_US_PER_H;
	from_us -= p->role->rules.lateness_max_us;
	snprintf(partition, sizeof(partition), "%d", p->partition);
	snprintf(from, sizeof(from), "%lld", (long long)from_us);
	tg_part_hold(p);
	if (tg_pg_query(p->role->pg, tg_sql_incident_watch, params, 2, on_watch, p))
		on_watch(p, -TG_ECLOSED, NULL);
}

/* ---- stored windows ---- */

static int on_segment(void *ctx, struct tg_slice bytes)
{
	struct tg_part *p = ctx;
	int rc = p->dead ? 0 : tg_engine_restore(p->engine, bytes);

	/* What cannot be read is left out, loudly: a partition that never starts would be worse. */
	if (rc == -TG_EPARSE) {
		tg_log(TG_ERROR, "a stored segment cannot be read",
			TG_F("partition", TG_I(p->partition)), TG_F("bytes", TG_I(bytes.len)));
		rc = 0;
	}
	return rc;
}

static void on_page(void *ctx, int rc, size_t n)
{
	struct tg_part *p = ctx;

	if (!tg_part_release(p))
		return;
	if (rc == -TG_EFENCED) {
		tg_role_fenced(p);
		return;
	}
	if (rc) {
		tg_part_retry(p, restore_page);
		return;
	}
	tg_part_done_waiting(p);
	p->restored += n;
	if (n == TG_RESTORE_PAGE)
		restore_page(p);
	else if (tg_engine_restored(p->engine))
		tg_role_fail(p->role, "out of memory");
	else
		tg_part_load_watch(p);
}

static void restore_page(struct tg_part *p)
{
	tg_part_hold(p);
	if (tg_store_page(p->role->store, p->partition, p->epoch, p->restored, TG_RESTORE_PAGE,
		    on_segment, on_page, p))
		on_page(p, -TG_ECLOSED, 0);
}

/* ---- nothing stored ---- */

static void on_start(void *ctx, int rc, int64_t low, int64_t high)
{
	struct tg_part *p = ctx;

	(void)low;
	if (!tg_part_release(p))
		return;
	if (rc) {
		tg_part_retry(p, find_start);
		return;
	}
	tg_part_done_waiting(p);
	p->committed = p->next = high;
	tg_log(TG_WARN, "no stored windows; reading the topic again",
		TG_F("partition", TG_I(p->partition)),
		TG_F("hours", TG_I(p->role->conf->correlate_rebuild_h)),
		TG_F("offset", TG_I(high)));
	tg_part_recall(p);
}

static void find_start(struct tg_part *p)
{
	int64_t from_us = tg_now_us() - p->role->conf->correlate_rebuild_h * TG_US_PER_H;

	tg_part_hold(p);
	if (tg_consumer_offset_at(
		    p->role->consumer, TG_TOPIC_LOCATED, p->partition, from_us, on_start, p))
		on_start(p, -TG_ECLOSED, 0, 0);
}

static void on_claim(
	void *ctx, int rc, int64_t offset, const char *epoch, struct tg_slice watermarks)
{
	struct tg_part *p = ctx;

	if (!tg_part_release(p))
		return;
	if (rc) {
		tg_part_retry(p, tg_part_claim);
		return;
	}
	tg_part_done_waiting(p);
	snprintf(p->epoch, sizeof(p->epoch), "%s", epoch);
	p->committed = p->next = offset;
	if (offset < 0) {
		find_start(p);
		return;
	}
	if (watermarks.len && tg_watermark_decode(tg_engine_watermark(p->engine), watermarks))
		tg_log(TG_ERROR, "the stored watermark cannot be read",
			TG_F("partition", TG_I(p->partition)));
	restore_page(p);
}

void tg_part_claim(struct tg_part *p)
{
	/* Silence is judged by the registry: without it every device would be nobody's. */
	if (!p->role->registry) {
		tg_city_watch_now(&p->role->city);
		tg_part_retry(p, tg_part_claim);
		return;
	}
	tg_part_hold(p);
	if (tg_store_claim(p->role->store, p->partition, on_claim, p))
		on_claim(p, -TG_ECLOSED, -1, "", TG_SLICE(""));
}
