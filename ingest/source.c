
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "ingest/metrics.h"
#include "ingest/source_impl.h"

#define TOPICS_MAX     64
#define LOOK_AGAIN_MS  500
#define PART_BYTES_MAX ((size_t)1 << 20)

/* One question about one partition's log. */
struct look {
	struct tg_source *source;
	unsigned generation;
	size_t part;
	bool report; /* for the lag only */
};

static void look_up(struct tg_source *s);

static void free_parts(struct tg_source *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->parts[i].dead);
	free(s->parts);
	s->parts = NULL;
	s->count = s->last = 0;
}

/* From here on nothing of the old generation counts. */
static void leave(struct tg_source *s, enum source_state state)
{
	s->generation++;
	s->state = state;
	s->ops.on_lost(s->ctx);
}

static void on_again(uv_timer_t *timer)
{
	struct tg_source *s = tg_container_of(timer, struct tg_source, again);

	if (s->state == SOURCE_LOOKING && !s->looking)
		look_up(s);
}

static void looked(struct tg_source *s)
{
	if (s->state != SOURCE_LOOKING || s->looking)
		return;
	if (s->look_failed) {
		uv_timer_start(&s->again, on_again, LOOK_AGAIN_MS, 0);
		return;
	}
	s->state = SOURCE_WANTS_TAKE;
	s->ops.on_want_take(s->ctx);
}

static double lag(const struct tg_source *s)
{
	int64_t sum = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (s->parts[i].high > s->parts[i].read_pos)
			sum += s->parts[i].high - s->parts[i].read_pos;
	}
	return (double)sum;
}

static void show_lag(const struct tg_part *part)
{
	struct tg_metric *m = &tg_ingest_metrics[TG_M_LAG_PARTITION];
	char name[160];
	int i;

	snprintf(name, sizeof(name), "%s/%d", part->topic, part->partition);
	i = tg_metric_label(m, name);
	if (i >= 0)
		tg_metric_set_at(m, i,
			part->high > part->read_pos ? (double)(part->high - part->read_pos) : 0);
}

static void on_look(void *ctx, int rc, int64_t low, int64_t high)
{
	struct look *look = ctx;
	struct tg_source *s = look->source;
	struct tg_part *part;

	if (look->generation == s->generation) {
		part = &s->parts[look->part];
		if (!rc) {
			part->low = low;
			part->high = high;
		}
		if (look->report) {
			tg_metric_set(&tg_ingest_metrics[TG_M_LAG], lag(s));
			show_lag(part);
		} else {
			s->look_failed |= rc != 0;
			s->looking--;
			looked(s);
		}
	}
	free(look);
}

static void ask(struct tg_source *s, size_t i, bool report)
{
	struct look *look = malloc(sizeof(*look));

	if (!look) {
		s->look_failed = true;
		return;
	}
	*look = (struct look){s, s->generation, i, report};
	s->looking += !report;
	if (tg_consumer_watermarks(
		    s->consumer, s->parts[i].topic, s->parts[i].partition, on_look, look)) {
		s->looking -= !report;
		s->look_failed = true;
		free(look);
	}
}

static void look_up(struct tg_source *s)
{
	s->state = SOURCE_LOOKING;
	s->look_failed = false;
	s->looking = 0;
	for (size_t i = 0; i < s->count; i++)
		ask(s, i, false);
	looked(s);
}

static void on_assign(void *ctx, const struct tg_partition *parts, size_t n)
{
	struct tg_source *s = ctx;

	free_parts(s);
	s->generation++;
	s->joined = true;
	s->parts = calloc(n ? n : 1, sizeof(s->parts[0]));
	if (!s->parts) {
		tg_log(TG_ERROR, "assignment dropped: out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct tg_part *part = &s->parts[i];

		memcpy(part->topic, parts[i].topic, sizeof(part->topic));
		part->partition = parts[i].partition;
	}
	s->count = n;
	tg_metric_set(&tg_ingest_metrics[TG_M_PARTITIONS], (double)n);
	tg_log(TG_INFO, "partitions assigned", TG_F("partitions", TG_I(n)));
	if (n)
		look_up(s);
}

static void on_revoke(void *ctx)
{
	struct tg_source *s = ctx;

	s->joined = false;
	leave(s, SOURCE_NONE);
	free_parts(s);
	tg_metric_set(&tg_ingest_metrics[TG_M_PARTITIONS], 0);
	tg_metric_forget_labels(&tg_ingest_metrics[TG_M_LAG_PARTITION]);
}

size_t source_find(struct tg_source *s, const char *topic, int32_t partition)
{
	/* Records come in runs of one partition: the last hit is the best guess. */
	for (size_t n = 0; n < s->count; n++) {
		size_t i = (s->last + n) % s->count;

		if (s->parts[i].partition == partition && !strcmp(s->parts[i].topic, topic)) {
			s->last = i;
			return i;
		}
	}
	return s->count;
}

static void on_record(void *ctx, struct tg_record *rec)
{
	struct tg_source *s = ctx;
	size_t i = rec->part; /* our list is the one of on_assign */

	if (s->state != SOURCE_RUNNING || rec->offset < s->parts[i].read_pos) {
		tg_record_free(rec);
		return;
	}
	s->parts[i].read_pos = rec->offset + 1;
	s->parts[i].at_end = false;
	s->ops.on_record(s->ctx, i, rec);
}

static void on_end(void *ctx, const char *topic, int32_t partition, int64_t next)
{
	struct tg_source *s = ctx;
	size_t i = s->state == SOURCE_RUNNING ? source_find(s, topic, partition) : s->count;

	(void)next; /* may lie beyond read_pos: markers of transactions are no records */
	if (i == s->count)
		return;
	s->parts[i].at_end = true;
	s->ops.on_end(s->ctx, i);
}

static void on_out_of_range(void *ctx, const char *topic, int32_t partition, int64_t offset)
{
	struct tg_source *s = ctx;

	tg_log(TG_ERROR, "offset outside the log: looking again", TG_F("topic", TG_S(topic)),
		TG_F("partition", TG_I(partition)), TG_F("offset", TG_I(offset)));
	if (s->state == SOURCE_RUNNING)
		tg_source_retake(s);
}

static void on_closed(void *ctx);

static int split_topics(struct tg_source *s, const char *list, const char **topics, size_t *ret_n)
{
	char *rest = NULL;
	size_t n = 0;

	s->topics_text = strdup(list);
	if (!s->topics_text)
		return -TG_ENOMEM;
	for (char *t = strtok_r(s->topics_text, ", ", &rest); t; t = strtok_r(NULL, ", ", &rest)) {
		if (n == TOPICS_MAX)
			return -TG_EFULL;
		topics[n++] = t;
	}
	*ret_n = n;
	return n ? 0 : -TG_EINVAL;
}

int tg_source_open(uv_loop_t *loop, const struct tg_source_conf *conf,
	const struct tg_source_ops *ops, void *ctx, struct tg_source **ret)
{
	static const struct tg_consumer_ops consumer_ops = {
		on_assign, on_revoke, on_record, on_end, on_out_of_range, on_closed};
	struct tg_consumer_conf consumer = {.brokers = conf->brokers,
		.group = conf->group,
		.client_id = "tongguan-ingest",
		.listen = conf->listen};
	struct tg_source *s = calloc(1, sizeof(*s));
	const char *topics[TOPICS_MAX];
	int rc;

	if (!s)
		return -TG_ENOMEM;
	s->ops = *ops;
	s->ctx = ctx;
	for (size_t i = 0; i < SOURCE_PARAMS; i++)
		s->params[i].max = PART_BYTES_MAX;
	consumer.topics = topics;
	rc = split_topics(s, conf->topics, topics, &consumer.topics_count);
	if (!rc)
		rc = tg_consumer_open(loop, &consumer, &consumer_ops, s, &s->consumer);
	if (rc) {
		free(s->topics_text);
		free(s);
		return rc;
	}
	uv_timer_init(loop, &s->again);
	*ret = s;
	return 0;
}

unsigned tg_source_generation(const struct tg_source *s)
{
	return s->generation;
}

bool tg_source_running(const struct tg_source *s)
{
	return s->state == SOURCE_RUNNING;
}

bool tg_source_wants_take(const struct tg_source *s)
{
	return s->state == SOURCE_WANTS_TAKE;
}

bool tg_source_joined(const struct tg_source *s)
{
	return s->joined && (s->state == SOURCE_RUNNING || s->count == 0);
}

size_t tg_source_count(const struct tg_source *s)
{
	return s->count;
}

struct tg_part *tg_source_part(struct tg_source *s, size_t i)
{
	assert(i < s->count);
	return &s->parts[i];
}

static void start_reading(struct tg_source *s)
{
	struct tg_partition *list = calloc(s->count, sizeof(*list));
	size_t n = 0;

	if (!list) {
		tg_log(TG_ERROR, "assignment not answered: out of memory");
		return;
	}
	for (size_t i = 0; i < s->count; i++) {
		const struct tg_part *part = &s->parts[i];

		memcpy(list[n].topic, part->topic, sizeof(list[n].topic));
		list[n].partition = part->partition;
		list[n++].offset = part->read_pos;
	}
	s->state = SOURCE_RUNNING;
	tg_consumer_assign(s->consumer, list, n);
	s->ops.on_running(s->ctx);
	free(list);
}

void tg_source_taken(struct tg_source *s, unsigned generation, int rc, const PGresult *res)
{
	bool published;

	if (s->closing || generation != s->generation || s->state != SOURCE_WANTS_TAKE)
		return; /* the rows are taken all the same: whoever owns them now takes them again
			 */
	for (int row = 0; res && row < PQntuples(res); row++) {
		int bad = source_read_row(s, res, row);

		rc = rc ? rc : bad;
	}
	if (rc == -TG_ESTALE && tg_source_anew(s, &published)) {
		s->state = SOURCE_GAPS;
		s->ops.on_gap(s->ctx);
		return;
	}
	if (rc || (size_t)PQntuples(res) != s->count) {
		if (rc != -TG_ECLOSED)
			tg_log(TG_WARN, "partitions not taken, trying again",
				TG_F("why", TG_S(res && rc == -TG_EPG ? tg_pg_message(res)
								      : tg_err_text(rc))));
		s->state = SOURCE_LOOKING;
		uv_timer_start(&s->again, on_again, LOOK_AGAIN_MS, 0);
		return;
	}
	if (tg_source_gap(s) < s->count) {
		s->state = SOURCE_GAPS;
		s->ops.on_gap(s->ctx);
	} else {
		start_reading(s);
	}
}

size_t tg_source_gap(const struct tg_source *s)
{
	size_t i = 0;

	while (i < s->count && s->parts[i].gap_pos >= s->parts[i].gap_end)
		i++;
	return i;
}

bool tg_source_has_gaps(const struct tg_source *s)
{
	return s->state == SOURCE_GAPS;
}

void tg_source_gaps_closed(struct tg_source *s)
{
	assert(s->state == SOURCE_GAPS);
	start_reading(s);
}

void tg_source_retake(struct tg_source *s)
{
	if (s->state == SOURCE_NONE || s->closing)
		return;
	tg_source_pause(s);
	leave(s, SOURCE_LOOKING);
	look_up(s);
}

void tg_source_rejoin(struct tg_source *s)
{
	if (s->state == SOURCE_NONE || s->closing)
		return;
	leave(s, SOURCE_NONE);
	/* Not paused: a resting consumer would not see the group's answer. Records are dropped
	 * until then. */
	tg_source_resume(s);
	tg_consumer_rejoin(s->consumer);
}

void tg_source_pause(struct tg_source *s)
{
	s->paused = true;
	tg_consumer_pause(s->consumer);
}

void tg_source_resume(struct tg_source *s)
{
	s->paused = false;
	tg_consumer_resume(s->consumer);
}

bool tg_source_paused(const struct tg_source *s)
{
	return s->paused;
}

void tg_source_report(struct tg_source *s)
{
	struct tg_partition *list;
	int64_t open = 0;

	if (s->state != SOURCE_RUNNING || s->closing)
		return;
	list = calloc(s->count, sizeof(*list));
	if (!list)
		return;
	for (size_t i = 0; i < s->count; i++) {
		const struct tg_part *part = &s->parts[i];

		memcpy(list[i].topic, part->topic, sizeof(list[i].topic));
		list[i].partition = part->partition;
		list[i].offset = part->next;
		open += part->next > part->done_pos ? part->next - part->done_pos : 0;
		ask(s, i, true);
	}
	tg_metric_set(&tg_ingest_metrics[TG_M_UNFORWARDED], (double)open);
	tg_consumer_note_offsets(s->consumer, list, s->count);
	free(list);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct tg_source *s = tg_container_of((uv_timer_t *)handle, struct tg_source, again);

	free_parts(s);
	for (size_t i = 0; i < SOURCE_PARAMS; i++)
		tg_buf_release(&s->params[i]);
	free(s->topics_text);
	s->ops.on_closed(s->ctx);
	free(s);
}

static void on_closed(void *ctx)
{
	struct tg_source *s = ctx;

	uv_close((uv_handle_t *)&s->again, on_timer_closed);
}

void tg_source_close(struct tg_source *s)
{
	s->closing = true;
	s->state = SOURCE_NONE;
	s->generation++;
	tg_consumer_close(s->consumer);
}
