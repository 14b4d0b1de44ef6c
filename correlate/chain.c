/* After judging: rows, then messages, then the one Redis call. A crash anywhere judges the same
 * input again from the same windows, and every step may be repeated. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "correlate/metrics.h"
#include "correlate/role_impl.h"
#include "queries.h"

#define PIECE_EVENTS 4096
/* The group is told that often how far a partition is. Told with every batch, the coordinator falls
 * behind, heartbeats wait behind the commits, and the session runs out. */
#define NOTE_MS 1000

static void apply_rows(struct tg_part *p);
static void send_messages(struct tg_part *p);
static void commit(struct tg_part *p);

static void stage_done(struct tg_part *p, enum tg_correlate_metric m)
{
	int64_t now = tg_mono_us();

	tg_metric_observe(
		&tg_correlate_metrics[m], (double)(now - p->since_mono_us) / (double)TG_US_PER_S);
	p->since_mono_us = now;
}

static void note_offset(struct tg_part *p)
{
	struct tg_partition at = {.partition = p->partition, .offset = p->committed};
	uint64_t now_ms = uv_now(p->role->loop);

	if (p->noted_ms && now_ms < p->noted_ms + NOTE_MS)
		return;
	p->noted_ms = now_ms;
	strcpy(at.topic, TG_TOPIC_LOCATED);
	tg_consumer_note_offsets(p->role->consumer, &at, 1);
}

static void batch_done(struct tg_part *p)
{
	tg_part_retired(p);
	note_offset(p);
	tg_metric_add(&tg_correlate_metrics[TG_CM_BATCHES], 1);
	if (p->oldest_us != INT64_MAX)
		tg_metric_observe(&tg_correlate_metrics[TG_CM_DELAY_SECONDS],
			(double)(tg_now_us() - p->oldest_us) / (double)TG_US_PER_S);
	tg_part_done_waiting(p);
	p->state = TG_PART_IDLE;
	tg_part_run(p);
}

/* ---- rows ---- */

static int state_of(const char *name)
{
	static const char *const names[] = {"open", "cleared", "withdrawn", "merged"};

	for (int i = 0; i < 4; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return TG_TOLD_OPEN;
}

static int64_t lateness_of(const struct tg_ruleset *rules, const char *rule_id)
{
	for (size_t i = 0; i < rules->len; i++)
		if (strcmp(rules->rules[i]->id, rule_id) == 0)
			return rules->rules[i]->lateness_us;
	return rules
		->lateness_max_us; /* a rule that is no longer loaded still clears what it raised */
}

/* Columns: incident_id, state, part, last_us, window_us, rule_id. A cleared one comes only when its
 * message may be untold: it is cleared once more. */
int tg_part_watch_row(struct tg_part *p, const PGresult *res, int row)
{
	struct tg_slice id = tg_pg_text(res, row, 0);
	int64_t window_us = tg_pg_i64(res, row, 4);

	if (window_us == 0 || tg_pg_i64(res, row, 2) != p->partition)
		return 0;
	return tg_watch_put(&p->watch, id, tg_pg_i64(res, row, 3), window_us,
		lateness_of(&p->role->rules, PQgetvalue(res, row, 5)));
}

static int take_row(struct tg_part *p, const PGresult *res, int row)
{
	struct tg_message *m = &p->messages[row];
	struct tg_slice id = tg_pg_text(res, row, 0), trace = tg_pg_text(res, row, 6),
			doc = tg_pg_text(res, row, 7);

	m->id = tg_arena_strdup(&p->arena, id.data, id.len);
	m->doc = tg_arena_strdup(&p->arena, doc.data, doc.len);
	m->trace = trace.len ? tg_arena_strdup(&p->arena, trace.data, trace.len) : NULL;
	m->state = state_of(PQgetvalue(res, row, 1));
	if (!m->id || !m->doc)
		return -TG_ENOMEM;
	tg_watch_drop(&p->watch, id);
	return m->state == TG_TOLD_OPEN ? tg_part_watch_row(p, res, row) : 0;
}

static void on_rows(void *ctx, int rc, const PGresult *res)
{
	struct tg_part *p = ctx;
	int n;

	if (!tg_part_release(p))
		return;
	if (rc) {
		tg_log(TG_WARN, "incident rows not written; trying again",
			TG_F("partition", TG_I(p->partition)), TG_F("error", TG_S(tg_err_text(rc))),
			TG_F("detail", TG_S(res ? tg_pg_message(res) : "")));
		tg_part_retry(p, apply_rows);
		return;
	}
	tg_fault_point("correlate_after_row");
	tg_part_done_waiting(p);
	stage_done(p, TG_CM_ROW_SECONDS);
	n = PQntuples(res);
	p->messages = tg_arena_alloc(&p->arena, (size_t)n * sizeof(*p->messages));
	if (!p->messages)
		rc = -TG_ENOMEM;
	for (int i = 0; i < n && !rc; i++)
		rc = take_row(p, res, i);
	if (rc) {
		tg_role_fail(p->role, "out of memory");
		return;
	}
	p->messages_len = (size_t)n;
	send_messages(p);
}

static void apply_rows(struct tg_part *p)
{
	const char *params[1];

	params[0] = tg_buf_cstr(&p->batch);
	tg_fault_point("correlate_before_row");
	tg_part_hold(p);
	if (!params[0] || tg_pg_query(p->role->pg, tg_sql_incident_apply, params, 1, on_rows, p))
		on_rows(p, -TG_ECLOSED, NULL);
}

/* ---- messages ---- */

static void messages_done(struct tg_part *p)
{
	for (size_t i = 0; i < p->messages_len; i++)
		tg_metric_add_at(&tg_correlate_metrics[TG_CM_INCIDENTS], p->messages[i].state, 1);
	stage_done(p, TG_CM_MESSAGE_SECONDS);
#ifdef TG_BREAK_REDIS_BEFORE_ROW
	batch_done(p);
#else
	tg_fault_point("correlate_before_redis");
	commit(p);
#endif
}

void tg_part_delivered(struct tg_part *p, int rc)
{
	bool alive = tg_part_release(p);

	/* Refused for good: the row stands, and waiting would stop every incident after it. */
	if (rc)
		tg_log(TG_ERROR, "incident message refused", TG_F("error", TG_S(tg_err_text(rc))));
	if (!alive)
		return;
	p->messages_pending--;
	if (p->messages_sent == p->messages_len && p->messages_pending == 0)
		messages_done(p);
}

static int send_message(struct tg_part *p, const struct tg_message *m)
{
	struct tg_header headers[2] = {{"content-type", TG_SLICE("application/json")}};
	size_t n = 1;

	if (m->trace)
		headers[n++] = (struct tg_header){"traceparent", tg_slice_cstr(m->trace)};
	return tg_producer_send(p->role->producer, TG_TOPIC_INCIDENTS, -1, tg_slice_cstr(m->id),
		tg_slice_cstr(m->doc), headers, n, p);
}

static void send_messages(struct tg_part *p)
{
	while (p->messages_sent < p->messages_len) {
		int rc = send_message(p, &p->messages[p->messages_sent]);

		if (rc && tg_err_retry(rc)) {
			tg_part_retry(p, send_messages);
			return;
		}
		p->messages_sent++;
		if (rc) {
			tg_log(TG_ERROR, "incident message refused",
				TG_F("error", TG_S(tg_err_text(rc))));
			continue;
		}
		tg_part_hold(p);
		p->messages_pending++;
	}
	if (p->messages_pending == 0)
		messages_done(p);
}

/* ---- Redis ---- */

static void write_back(struct tg_part *p);

static void committed(struct tg_part *p)
{
	p->committed = p->next;
	stage_done(p, TG_CM_REDIS_SECONDS);
#ifdef TG_BREAK_REDIS_BEFORE_ROW
	if (p->speaks) {
		apply_rows(p);
		return;
	}
#endif
	batch_done(p);
}

int tg_part_keep_piece(void *ctx, const struct tg_segment *segment)
{
	struct tg_part *p = ctx;
	struct tg_buf *piece;

	if (p->pieces_len == p->pieces_cap) {
		size_t cap = p->pieces_cap ? p->pieces_cap * 2 : 16;
		struct tg_buf *pieces = realloc(p->pieces, cap * sizeof(*pieces));
		int64_t *times;

		if (!pieces)
			return -TG_ENOMEM;
		p->pieces = pieces;
		times = realloc(p->piece_us, cap * sizeof(*times));
		if (!times)
			return -TG_ENOMEM;
		p->piece_us = times;
		memset(pieces + p->pieces_cap, 0, (cap - p->pieces_cap) * sizeof(*pieces));
		p->pieces_cap = cap;
	}
	piece = &p->pieces[p->pieces_len];
	p->piece_us[p->pieces_len++] = segment->newest_us;
	tg_buf_reset(piece);
	return tg_segment_pack(segment, p->next, (uint32_t)p->pieces_len, piece);
}

static void begin_write_back(struct tg_part *p)
{
	p->pieces_len = p->pieces_sent = 0;
	if (tg_engine_snapshot(p->engine, PIECE_EVENTS, tg_part_keep_piece, p)) {
		tg_role_fail(p->role, "out of memory");
		return;
	}
	tg_metric_add(&tg_correlate_metrics[TG_CM_REWRITES], 1);
	tg_log(TG_INFO, "writing windows to Redis", TG_F("partition", TG_I(p->partition)),
		TG_F("offset", TG_I(p->next)),
		TG_F("events", TG_I(tg_engine_window_events(p->engine))));
	write_back(p);
}

static void on_piece(void *ctx, enum tg_verdict verdict)
{
	struct tg_part *p = ctx;

	if (!tg_part_release(p))
		return;
	switch (verdict) {
	case TG_STORE_OK:
		tg_part_done_waiting(p);
		if (p->pieces_sent++ + 1 < p->pieces_len)
			write_back(p);
		else
			committed(p);
		break;
	case TG_STORE_FENCED: tg_role_fenced(p); break;
	case TG_STORE_MISSING: begin_write_back(p); break;
	case TG_STORE_FAILED: tg_part_retry(p, write_back); break;
	}
}

static void write_back(struct tg_part *p)
{
	size_t i = p->pieces_sent;
	struct tg_rewrite w = {
		.partition = p->partition,
		.epoch = p->epoch,
		.first = i == 0,
		.last = i + 1 >= p->pieces_len,
		.offset = p->next,
		.watermarks = {p->marks.data, p->marks.len},
	};

	if (i < p->pieces_len) {
		w.segment = (struct tg_slice){p->pieces[i].data, p->pieces[i].len};
		w.segment_us = p->piece_us[i];
	}
	tg_part_hold(p);
	if (tg_store_rewrite(p->role->store, &w, on_piece, p))
		on_piece(p, TG_STORE_FAILED);
}

static void on_commit(void *ctx, enum tg_verdict verdict)
{
	struct tg_part *p = ctx;

	if (!tg_part_release(p))
		return;
	switch (verdict) {
	case TG_STORE_OK: committed(p); break;
	case TG_STORE_FENCED: tg_role_fenced(p); break;
	case TG_STORE_MISSING: begin_write_back(p); break;
	case TG_STORE_FAILED: tg_part_retry(p, commit); break;
	}
}

static void commit(struct tg_part *p)
{
	const struct tg_segment *segment = tg_engine_segment(p->engine);
	struct tg_commit c = {
		.partition = p->partition,
		.epoch = p->epoch,
		.expected = p->committed,
		.next = p->next,
		.watermarks = {p->marks.data, p->marks.len},
		.trim_us = tg_engine_keep_from_us(p->engine),
	};

	/* No window needs anything: nothing to trim by. */
	if (c.trim_us == INT64_MAX)
		c.trim_us = INT64_MIN;
	c.pieces = p->pieces;
	c.piece_us = p->piece_us;
	c.pieces_len = p->pieces_len;
	if (!tg_segment_empty(segment)) {
		c.segment = (struct tg_slice){p->segment.data, p->segment.len};
		c.segment_us = segment->newest_us;
	}
	tg_part_hold(p);
	if (tg_store_commit(p->role->store, &c, on_commit, p))
		on_commit(p, TG_STORE_FAILED);
}

void tg_part_chain(struct tg_part *p)
{
	const struct tg_batch_span span = {p->partition, p->committed, p->next,
		tg_watermark_us(tg_engine_watermark(p->engine)), p->epoch};
	const struct tg_batch_ends ends = {{p->clears.data, p->clears.len}, tg_part_retiring(p)};
	int rc;

	tg_buf_reset(&p->batch);
	tg_buf_reset(&p->marks);
	tg_buf_reset(&p->segment);
	p->since_mono_us = tg_mono_us();
	rc = tg_watermark_encode(tg_engine_watermark(p->engine), &p->marks);
	if (!rc)
		rc = tg_segment_pack(tg_engine_segment(p->engine), p->next, 0, &p->segment);
	if (!rc && p->speaks)
		rc = tg_findings_json(&p->found, &p->role->rules, &span, &ends, &p->batch);
	if (rc) {
		tg_role_fail(p->role, "a batch does not fit in memory");
		return;
	}
#ifndef TG_BREAK_REDIS_BEFORE_ROW
	if (p->speaks) {
		apply_rows(p);
		return;
	}
#endif
	commit(p);
}
