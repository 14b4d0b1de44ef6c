/* Taking partitions: the question to the database, and what its answer says of each. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ingest/source_impl.h"

int tg_source_take_params(
	struct tg_source *s, const char **topics, const char **partitions, const char **starts)
{
	int rc = 0;

	for (size_t p = 0; p < SOURCE_PARAMS; p++)
		tg_buf_reset(&s->params[p]);
	for (size_t i = 0; !rc && i < s->count; i++) {
		const struct tg_part *part = &s->parts[i];
		char comma = i ? ',' : '{';

		/* Kafka allows letters, digits, dot, dash and underscore in a topic's name: nothing
		 * to quote. */
		rc = tg_buf_addf(&s->params[0], "%c%s", comma, part->topic);
		if (!rc)
			rc = tg_buf_addf(&s->params[1], "%c%d", comma, part->partition);
		if (!rc)
			rc = tg_buf_addf(&s->params[2], "%c%lld", comma, (long long)part->low);
	}
	for (size_t p = 0; !rc && p < SOURCE_PARAMS; p++)
		rc = tg_buf_add(&s->params[p], "}", 1);
	if (rc)
		return rc;
	*topics = tg_buf_cstr(&s->params[0]);
	*partitions = tg_buf_cstr(&s->params[1]);
	*starts = tg_buf_cstr(&s->params[2]);
	return *topics && *partitions && *starts ? 0 : -TG_ENOMEM;
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

/* Where the log and the database disagree, it is said aloud: what Kafka has lost nobody can store.
 */
static void compare_log(struct tg_part *part)
{
	part->out_of_range = part->next > part->high;
	if (part->out_of_range)
		tg_log(TG_ERROR, "the log ends before what is stored: was the topic made anew?",
			TG_F("topic", TG_S(part->topic)), TG_F("partition", TG_I(part->partition)),
			TG_F("stored", TG_I(part->next)), TG_F("log_end", TG_I(part->high)));
	if (part->read_pos >= part->low)
		return;
	tg_log(TG_ERROR, "the log begins after what is due", TG_F("topic", TG_S(part->topic)),
		TG_F("partition", TG_I(part->partition)), TG_F("forwarded", TG_I(part->forwarded)),
		TG_F("stored", TG_I(part->next)), TG_F("log_begin", TG_I(part->low)));
	part->read_pos = part->low;
}

int source_read_row(struct tg_source *s, const PGresult *res, int row)
{
	size_t i = source_find(s, PQgetvalue(res, row, 0), (int32_t)tg_pg_i64(res, row, 1));
	struct tg_part *part;

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
	compare_log(part);
	part->sent_pos = part->done_pos = part->read_pos;
	part->high_us = part->said_us = INT64_MIN;
	part->at_end = part->said_idle = false;
	part->said_mono_us = 0;
	return read_dead(part, tg_pg_text(res, row, 6));
}
