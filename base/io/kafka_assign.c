/* Who reads what: the group's rebalances, offsets from outside, seek and pause.
 *
 * Every rebalance is answered inside its callback, an assignment with an empty list: so the group
 * never waits for us while the role looks its offsets up, and closing cannot hang. The real list
 * follows in tg_consumer_assign(). */
#include "base/io/kafka_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define ASSIGN_ROUND_TRIPS 3 /* two and one to spare */

struct tg_partition *consumer_part(struct tg_consumer *c, const char *topic, int32_t partition)
{
	/* Records come in runs of one partition: the last hit is the best guess. */
	for (size_t i = 0; i < c->parts_count; i++) {
		size_t at = (c->parts_last + i) % c->parts_count;
		struct tg_partition *p = &c->parts[at];

		if (p->partition == partition && strcmp(p->topic, topic) == 0) {
			c->parts_last = at;
			c->last_topic = NULL; /* was that of another part */
			return p;
		}
	}
	return NULL;
}

struct tg_partition *consumer_part_of(struct tg_consumer *c, const rd_kafka_message_t *m)
{
	struct tg_partition *p = c->parts ? &c->parts[c->parts_last] : NULL;

	if (p && m->rkt == c->last_topic && m->partition == p->partition)
		return p;
	p = consumer_part(c, rd_kafka_topic_name(m->rkt), m->partition);
	c->last_topic = p ? m->rkt : NULL;
	return p;
}

void consumer_drop_held(struct tg_consumer *c)
{
	tg_list_foreach_safe (it, next, &c->held) {
		tg_list_remove(it);
		tg_record_free(&tg_container_of(it, struct kafka_record, link)->pub);
	}
}

static void forget_parts(struct tg_consumer *c)
{
	free(c->parts);
	free(c->stuck);
	c->parts = NULL;
	c->stuck = NULL;
	c->last_topic = NULL;
	c->parts_count = c->parts_last = 0;
	c->assigned = c->reassign = false;
	consumer_drop_held(c);
}

/* An assignment that replaces one whose partitions are still stopping makes librdkafka 2.0.2 stop
 * them twice and abort (rdkafka_assignment.c, "rktp_started"). Its main thread handles requests in
 * order, so round trips through it are the way to know: the first returns when "stop" was handled,
 * the second when its answer was. */
static void await_stopped(struct tg_consumer *c)
{
	for (int i = 0; i < ASSIGN_ROUND_TRIPS; i++) {
		rd_kafka_topic_partition_list_t *list;

		if (rd_kafka_assignment(c->rk, &list) == RD_KAFKA_RESP_ERR_NO_ERROR)
			rd_kafka_topic_partition_list_destroy(list);
	}
}

static void answer(struct tg_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_resp_err_t err = rd_kafka_assign(c->rk, list);

	if (err)
		tg_log(TG_ERROR, "kafka assignment refused",
			TG_F("why", TG_S(rd_kafka_err2str(err))));
	await_stopped(c);
}

void consumer_take_away(struct tg_consumer *c)
{
	bool offered = c->offered;

	c->offered = false;
	forget_parts(c);
	if (offered && c->phase == CONSUMER_OPEN)
		c->ops.on_revoke(c->ctx);
}

static void offer(struct tg_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	static const struct tg_partition none;
	rd_kafka_topic_partition_list_t *empty = rd_kafka_topic_partition_list_new(0);
	size_t n = (size_t)list->cnt;

	answer(c, empty);
	rd_kafka_topic_partition_list_destroy(empty);
	if (c->phase != CONSUMER_OPEN)
		return;
	c->parts = calloc(n ? n : 1, sizeof(c->parts[0]));
	c->stuck = calloc(n ? n : 1, sizeof(c->stuck[0]));
	if (!c->parts || !c->stuck) {
		forget_parts(c);
		tg_log(TG_ERROR, "kafka assignment dropped: out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct tg_partition *p = &c->parts[c->parts_count];

		if (strlen(list->elems[i].topic) >= sizeof(p->topic))
			continue; /* we cannot have subscribed to it */
		strcpy(p->topic, list->elems[i].topic);
		p->partition = list->elems[i].partition;
		p->offset = -1;
		c->parts_count++;
	}
	c->offered = true;
	c->connected = true;
	c->ops.on_assign(c->ctx, c->parts_count ? c->parts : &none, c->parts_count);
}

void consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
	rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct tg_consumer *c = opaque;

	(void)rk;
	consumer_take_away(c); /* eager protocol: nothing is kept across a rebalance */
	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
		offer(c, list);
	else
		answer(c, NULL);
}

static rd_kafka_topic_partition_list_t *list_of(const struct tg_partition *parts, size_t n)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);

	for (size_t i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(list, parts[i].topic, parts[i].partition)
			->offset =
			parts[i].offset < 0 ? RD_KAFKA_OFFSET_BEGINNING : parts[i].offset;
	return list;
}

/* What we read now, and from where. */
static rd_kafka_topic_partition_list_t *our_list(const struct tg_consumer *c)
{
	rd_kafka_topic_partition_list_t *list = list_of(c->parts, c->parts_count);

	for (size_t i = c->parts_count; i-- > 0;)
		if (c->stuck[i])
			rd_kafka_topic_partition_list_del_by_idx(list, (int)i);
	return list;
}

/* Purges what librdkafka has read ahead: for assignments and seeks, not for every day. */
void consumer_reassign(struct tg_consumer *c)
{
	rd_kafka_topic_partition_list_t *list = our_list(c);

	c->reassign = false;
	answer(c, list);
	if (c->paused_deep)
		rd_kafka_pause_partitions(c->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
}

void tg_consumer_assign(struct tg_consumer *c, const struct tg_partition *parts, size_t n)
{
	if (!c->offered || c->phase != CONSUMER_OPEN)
		return;
	for (size_t i = 0; i < n; i++)
		if (!consumer_part(c, parts[i].topic, parts[i].partition))
			return; /* meant for a generation that is gone */
	for (size_t i = 0; i < c->parts_count; i++)
		c->stuck[i] = true; /* one that is left out is not read */
	for (size_t i = 0; i < n; i++) {
		struct tg_partition *p = consumer_part(c, parts[i].topic, parts[i].partition);

		p->offset = parts[i].offset;
		c->stuck[p - c->parts] = false;
	}
	consumer_drop_held(c);
	c->assigned = true;
	consumer_reassign(c);
}

void consumer_stick(struct tg_consumer *c, const struct tg_partition *part)
{
	c->stuck[part - c->parts] = true;
}

/* By assigning anew: a seek does not wake a partition that was out of range. */
void tg_consumer_seek(struct tg_consumer *c, const char *topic, int32_t partition, int64_t offset)
{
	struct tg_partition *p = consumer_part(c, topic, partition);

	if (!p || !c->assigned || c->phase != CONSUMER_OPEN)
		return;
	p->offset = offset;
	c->stuck[p - c->parts] = false;
	tg_list_foreach_safe (it, next, &c->held) {
		struct kafka_record *rec = tg_container_of(it, struct kafka_record, link);

		if (rec->pub.partition != partition || strcmp(rec->pub.topic, topic) != 0)
			continue;
		tg_list_remove(it);
		tg_record_free(&rec->pub);
	}
	c->reassign = true;
	kafka_wake_now(&c->wake);
}

void tg_consumer_pause(struct tg_consumer *c)
{
	if (c->paused)
		return;
	c->paused = true;
	c->paused_at_ms = uv_now(c->loop);
}

/* Telling librdkafka throws its prefetched records away, so that is left until a pause has lasted;
 * before that we simply do not poll, which a group member may for less than max.poll.interval.ms.
 */
void consumer_pause_deep(struct tg_consumer *c)
{
	rd_kafka_topic_partition_list_t *list;

	c->paused_deep = true;
	if (!c->assigned)
		return;
	list = our_list(c);
	rd_kafka_pause_partitions(c->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
}

void tg_consumer_resume(struct tg_consumer *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	if (c->paused_deep && c->assigned) {
		rd_kafka_topic_partition_list_t *list = our_list(c);

		rd_kafka_resume_partitions(c->rk, list);
		rd_kafka_topic_partition_list_destroy(list);
	}
	c->paused_deep = false;
	kafka_wake_now(&c->wake);
}

void tg_consumer_rejoin(struct tg_consumer *c)
{
	rd_kafka_resp_err_t err;

	if (c->phase != CONSUMER_OPEN || c->fatal)
		return;
	/* Through the group, not on our own: if another member has taken over, the group says so,
	 * and two owners that believe in themselves cannot fence each other in turns. */
	err = rd_kafka_subscribe(c->rk, c->topics);
	if (err)
		tg_log(TG_ERROR, "kafka rejoin refused", TG_F("why", TG_S(rd_kafka_err2str(err))));
}

void tg_consumer_note_offsets(struct tg_consumer *c, const struct tg_partition *parts, size_t n)
{
	rd_kafka_topic_partition_list_t *list;

	if (c->phase != CONSUMER_OPEN || c->fatal || n == 0)
		return;
	list = list_of(parts, n);
	rd_kafka_commit(
		c->rk, list, /* async= */ 1); /* a copy for monitoring: its fate is of no weight */
	rd_kafka_topic_partition_list_destroy(list);
}
