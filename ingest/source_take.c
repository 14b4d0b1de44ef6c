/* Taking partitions: the question to the database, and what its answer says of each. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ingest/source_impl.h"

/* Kafka allows letters, digits, dot, dash and underscore in a topic's name: nothing to quote. */
static int add_param(struct tg_source *s, const struct tg_part *part, int64_t offset)
{
	char comma = s->params[0].len ? ',' : '{';
	int rc = tg_buf_addf(&s->params[0], "%c%s", comma, part->topic);

	if (!rc)
		rc = tg_buf_addf(&s->params[1], "%c%d", comma, part->partition);
	if (!rc)
		rc = tg_buf_addf(&s->params[2], "%c%lld", comma, (long long)offset);
	return rc;
}

static int end_params(struct tg_source *s, const char **a, const char **b, const char **c)
{
	int rc = 0;

	for (size_t p = 0; !rc && p < SOURCE_PARAMS; p++)
		rc = tg_buf_add(&s->params[p], "}", 1);
	if (rc)
		return rc;
	*a = tg_buf_cstr(&s->params[0]);
	*b = tg_buf_cstr(&s->params[1]);
	*c = tg_buf_cstr(&s->params[2]);
	return *a && *b && *c ? 0 : -TG_ENOMEM;
}

static void begin_params(struct tg_source *s)
{
	for (size_t p = 0; p < SOURCE_PARAMS; p++)
		tg_buf_reset(&s->params[p]);
}

int tg_source_take_params(
	struct tg_source *s, const char **topics, const char **partitions, const char **starts)
{
	int rc = 0;

	begin_params(s);
	for (size_t i = 0; !rc && i < s->count; i++)
		rc = add_param(s, &s->parts[i], s->parts[i].low);
	return rc ? rc : end_params(s, topics, partitions, starts);
}

bool tg_source_anew(const struct tg_source *s, bool *ret_published)
{
	bool any = false;

	*ret_published = true;
	for (size_t i = 0; i < s->count; i++) {
		const struct tg_part *part = &s->parts[i];

		any |= part->anew;
		*ret_published &= !part->anew || part->done_pos >= part->gap_end;
	}
	return any;
}

int tg_source_anew_params(
	struct tg_source *s, const char **topics, const char **partitions, const char **ends)
{
	int rc = 0;

	begin_params(s);
	for (size_t i = 0; !rc && i < s->count; i++) {
		if (s->parts[i].anew)
			rc = add_param(s, &s->parts[i], s->parts[i].high);
	}
	return rc ? rc : end_params(s, topics, partitions, ends);
}

void tg_source_anew_done(struct tg_source *s)
{
	for (size_t i = 0; i < s->count; i++)
		s->parts[i].anew = false;
}

static enum tg_reject reject_of(struct tg_slice name)
{
	for (int i = 0; tg_reject_labels[i]; i++) {
		if (tg_slice_is(name, tg_reject_labels[i]))
			return (enum tg_reject)(i + 1);
	}
	return TG_ACCEPT;
}

/* "offset reason,offset reason": what was refused among the records that are published again. */
static int read_dead(struct tg_part *part, struct tg_slice text)
{
	const char *p = text.data, *end = p + text.len;
	size_t n = 1;

	free(part->dead);
	part->dead = NULL;
	part->dead_count = 0;
	if (!text.len)
		return 0;
	for (const char *c = p; c < end; c++)
		n += *c == ',';
	part->dead = calloc(n, sizeof(part->dead[0]));
	if (!part->dead)
		return -TG_ENOMEM;
	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
		char *reason;
		struct tg_dead_ref *ref = &part->dead[part->dead_count++];

		ref->offset = strtoll(p, &reason, 10);
		reason++;
		ref->why = reject_of((struct tg_slice){reason, (size_t)(stop - reason)});
		p = stop + 1;
	}
	return 0;
}

/* A log that ends before what is stored is another log: the topic was deleted and made anew. But
 * its end was asked before the row was taken, and an owner that we have just fenced may have stored
 * more in between: only a second look, after the fence, is believed. */
static bool is_shorter(struct tg_part *part)
{
	if (part->next <= part->high) {
		part->short_next = 0;
		part->anew = false;
		return false;
	}
	part->anew = part->short_next == part->next;
	part->short_next = part->next;
	if (part->anew)
		tg_log(TG_ERROR,
			"the log ends before what is stored: the topic was made anew, "
			"reading it from its beginning",
			TG_F("topic", TG_S(part->topic)), TG_F("partition", TG_I(part->partition)),
			TG_F("stored", TG_I(part->next)), TG_F("log_end", TG_I(part->high)));
	return true;
}

/* What is stored, due to be published and no longer in the log comes from the tables; what was
 * never stored is lost, which is said aloud. */
static void find_gap(struct tg_part *part)
{
	part->gap_pos = part->gap_end = 0;
	if (part->read_pos >= part->low)
		return;
	if (part->next < part->low)
		tg_log(TG_ERROR, "the log begins after what is stored: Kafka has lost records",
			TG_F("topic", TG_S(part->topic)), TG_F("partition", TG_I(part->partition)),
			TG_F("stored", TG_I(part->next)), TG_F("log_begin", TG_I(part->low)));
	part->gap_pos = part->forwarded;
	part->gap_end = part->next < part->low ? part->next : part->low;
#ifdef TG_BREAK_GAP_SKIPPED /* broken on purpose: what Kafka no longer has is not published */
	part->gap_end = part->gap_pos;
#endif
	part->read_pos = part->low;
}

int source_read_row(struct tg_source *s, const PGresult *res, int row)
{
	size_t i = source_find(s, PQgetvalue(res, row, 0), (int32_t)tg_pg_i64(res, row, 1));
	struct tg_part *part;
	int rc;

	if (i == s->count)
		return -TG_ENOENT;
	part = &s->parts[i];
	part->id = (int32_t)tg_pg_i64(res, row, 2);
	part->next = tg_pg_i64(res, row, 3);
	part->forwarded = tg_pg_i64(res, row, 4);
	part->epoch = tg_pg_i64(res, row, 5);
	part->read_pos = part->forwarded;
#ifdef TG_BREAK_FORWARD_NEVER_AGAIN /* broken on purpose: what was stored and not yet published is \
				       forgotten */
	part->read_pos = part->next;
#endif
	rc = read_dead(part, tg_pg_text(res, row, 6));
	if (rc)
		return rc;
	if (is_shorter(part)) {
		/* Of another log that is gone: what is due of it can come from the tables alone. */
		part->gap_pos = part->done_pos = part->sent_pos = part->forwarded;
		part->gap_end = part->anew ? part->next : part->forwarded;
		return -TG_ESTALE;
	}
	find_gap(part);
	part->sent_pos = part->read_pos;
	part->done_pos = part->gap_pos < part->gap_end ? part->gap_pos : part->read_pos;
	part->high_us = part->said_us = INT64_MIN;
	part->at_end = part->said_idle = false;
	part->said_mono_us = 0;
	return 0;
}
