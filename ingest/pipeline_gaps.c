/* Where the log and the tables disagree: a topic made anew, and what is due to be published but no
 * longer in the log. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "ingest/metrics.h"
#include "ingest/pipeline_impl.h"
#include "ingest/recall.h"
#include "queries.h"

#define PAGE_ROWS     200
#define PAGE_TEXT     "200"
#define ARENA_BLOCK   ((size_t)64 << 10)
#define ARENA_MAX     ((size_t)512 << 20) /* a page of the largest records */
#define AGAIN_US      TG_US_PER_S
#define RECALL_PARAMS 6
#define NO_TIME       INT64_MIN

_Static_assert(PAGE_ROWS == 200, "PAGE_TEXT says the same");

static const char anew_sql[] = "SELECT tongguan.offsets_anew($1, $2, $3)";

void pipeline_recall_init(struct tg_pipeline *p)
{
	tg_arena_init(&p->recall, ARENA_BLOCK, ARENA_MAX);
}

static void on_anew(void *ctx, int rc, const PGresult *res)
{
	struct tg_pipeline *p = ctx;

	(void)res;
	p->taking = false;
	if (p->open)
		return;
	if (rc)
		tg_log(TG_WARN, "partitions not begun anew, trying again",
			TG_F("why", TG_S(tg_err_text(rc))));
	if (p->take_generation == tg_source_generation(p->source)) {
		tg_source_anew_done(p->source);
		tg_source_retake(p->source);
	}
}

/* True when there is a log made anew: first what is due of the old one must have been published,
 * then its row is put aside. */
static bool begin_anew(struct tg_pipeline *p)
{
	const char *params[3];
	bool published;

	if (!tg_source_anew(p->source, &published))
		return false;
	if (!published || !tg_sink_up(p->sink) ||
		tg_source_anew_params(p->source, &params[0], &params[1], &params[2]))
		return true; /* the next tick looks again */
	p->taking = true;
	p->take_generation = tg_source_generation(p->source);
	tg_sink_ask(p->sink, anew_sql, params, 3, on_anew, p);
	return true;
}

/* The page becomes a batch of records that were stored before: it is only published. */
static int fill(struct tg_pipeline *p, struct tg_batch *batch, size_t i, const PGresult *res)
{
	struct tg_part *part = tg_source_part(p->source, i);
	int n = PQntuples(res), rc = 0;

	tg_arena_reset(&p->recall);
	for (int row = 0; !rc && row < n; row++) {
		struct tg_record rec;

		rc = tg_recall_record(&p->recall, res, row, &rec);
		if (rc)
			break;
		rec.topic = part->topic;
		rec.partition = part->partition;
		rec.part = i;
		rec.taken_us = tg_now_us();
		rc = tg_take(p->taker, tg_atlas_watch_now(p->city), batch, part, i, &rec);
	}
	/* The positions at its end may be repeats, which have no row. */
	if (!rc && n < PAGE_ROWS && batch->spans[i].next < part->gap_end)
		tg_batch_advance(batch, i, part->gap_end - 1, NO_TIME);
	return rc;
}

static void recalled(struct tg_pipeline *p, size_t i, const PGresult *res)
{
	struct tg_part *part = tg_source_part(p->source, i);
	struct tg_batch *batch = p->spare[--p->spare_count];
	int rc = tg_batch_reset(batch, tg_source_generation(p->source), tg_source_count(p->source));

	if (!rc)
		rc = fill(p, batch, i, res);
	if (rc) {
		tg_log(TG_ERROR, "what the log no longer has cannot be published, trying again",
			TG_F("topic", TG_S(part->topic)), TG_F("partition", TG_I(part->partition)),
			TG_F("why", TG_S(tg_err_text(rc))));
		p->recall_mono_us = tg_mono_us() + AGAIN_US;
		pipeline_give_back(p, batch);
		return;
	}
	tg_metric_add(&tg_ingest_metrics[TG_M_RECALLED], PQntuples(res));
	part->gap_pos = batch->spans[i].next;
	tg_forward_send(p->forward, batch);
}

static void on_page(void *ctx, int rc, const PGresult *res)
{
	struct tg_pipeline *p = ctx;
	size_t i;

	p->taking = false;
	if (p->open)
		return;
	if (p->take_generation != tg_source_generation(p->source) ||
		!tg_source_has_gaps(p->source)) {
		pipeline_try_take(p);
		return;
	}
	i = tg_source_gap(p->source);
	if (rc) {
		tg_log(TG_WARN, "stored events not read, trying again",
			TG_F("why", TG_S(res ? tg_pg_message(res) : tg_err_text(rc))));
		p->recall_mono_us = tg_mono_us() + AGAIN_US;
	} else if (p->spare_count) {
		recalled(p, i, res);
	}
	pipeline_recall(p);
}

static void ask_page(struct tg_pipeline *p, const struct tg_part *part)
{
	char id[16], partition[16], from[24], to[24];
	const char *params[RECALL_PARAMS] = {id, part->topic, partition, from, to, PAGE_TEXT};

	snprintf(id, sizeof(id), "%d", part->id);
	snprintf(partition, sizeof(partition), "%d", part->partition);
	snprintf(from, sizeof(from), "%lld", (long long)part->gap_pos);
	snprintf(to, sizeof(to), "%lld", (long long)part->gap_end);
	p->taking = true;
	p->take_generation = tg_source_generation(p->source);
	tg_sink_ask(p->sink, tg_sql_ingest_recall, params, RECALL_PARAMS, on_page, p);
}

void pipeline_recall(struct tg_pipeline *p)
{
	size_t i;

	if (!tg_source_has_gaps(p->source) || p->taking || p->storing || p->stopping)
		return;
	i = tg_source_gap(p->source);
	if (i == tg_source_count(p->source)) {
		if (!begin_anew(p))
			tg_source_gaps_closed(p->source);
		return;
	}
	if (p->spare_count && tg_sink_up(p->sink) && tg_atlas_watch_now(p->city) &&
		tg_mono_us() >= p->recall_mono_us)
		ask_page(p, tg_source_part(p->source, i));
}

void pipeline_on_gap(void *ctx)
{
	struct tg_pipeline *p = ctx;

	for (size_t i = 0; i < tg_source_count(p->source); i++) {
		const struct tg_part *part = tg_source_part(p->source, i);

		if (part->gap_pos < part->gap_end)
			tg_log(TG_WARN,
				"the log no longer has what is due: published from the tables",
				TG_F("topic", TG_S(part->topic)),
				TG_F("partition", TG_I(part->partition)),
				TG_F("from", TG_I(part->gap_pos)), TG_F("to", TG_I(part->gap_end)));
	}
	pipeline_recall(p);
}
