/* Which broker leads which partition, and the producer's id: what the cluster is asked for. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/kafka_produce.h"
#include "base/log.h"

#define ASK_AGAIN_MS   100
#define REFRESH_MS     30000
#define DEFAULT_PORT   "9092"
#define BROKERS_MAX    10000
#define PARTITIONS_MAX 1000000
#define TOPICS_MAX     64 /* a process writes to few */

/* --- links --- */

static bool link_is(const struct kafka_link *link, struct tg_slice host, struct tg_slice port)
{
	return tg_slice_is(host, link->host) && tg_slice_is(port, link->port);
}

/* The link to that address, made when there is none; NULL when memory is out. */
static struct kafka_link *link_to(struct tg_producer *p, struct tg_slice host, struct tg_slice port)
{
	struct kafka_link *link;

	tg_list_foreach (it, &p->links) {
		link = tg_container_of(it, struct kafka_link, entry);
		if (link_is(link, host, port))
			return link;
	}
	link = kafka_link_new(
		p->loop, host, port, tg_slice_cstr(p->client_id), &producer_link_ops, p);
	if (!link)
		return NULL;
	link->blocking = p->pumping;
	tg_list_push(&p->links, &link->entry);
	p->handles++;
	return link;
}

/* "host:port,[::1]:port,host": spaces and empty parts are passed over. */
int route_open(struct tg_producer *p, const char *brokers)
{
	for (const char *at = brokers; *at;) {
		size_t len = strcspn(at, ", ");
		struct tg_slice host = {at, len}, port = TG_SLICE(DEFAULT_PORT);
		const char *colon = memrchr(at, ':', len), *bracket = memchr(at, ']', len);
		struct kafka_link *link;

		at += len + (at[len] != '\0');
		if (!len)
			continue;
		if (colon && (!bracket || colon > bracket)) {
			host.len = (size_t)(colon - host.data);
			port = (struct tg_slice){colon + 1, len - host.len - 1};
		}
		if (bracket && host.data[0] == '[')
			host = (struct tg_slice){host.data + 1, (size_t)(bracket - host.data) - 1};
		link = link_to(p, host, port);
		if (!link)
			return -TG_ENOMEM;
		link->bootstrap = true;
	}
	return tg_list_empty(&p->links) ? -TG_ECONF : 0;
}

static bool link_leads(const struct tg_producer *p, const struct kafka_link *link)
{
	for (size_t i = 0; i < p->brokers_count; i++)
		if (p->brokers[i].link == link)
			return true;
	tg_list_foreach (it, &p->topics) {
		const struct producer_topic *t = tg_container_of(it, struct producer_topic, entry);

		for (int32_t i = 0; i < t->count; i++)
			if (t->parts[i].leader == link || t->parts[i].via == link)
				return true;
	}
	return false;
}

/* Brokers that are gone. */
static void links_sweep(struct tg_producer *p)
{
	tg_list_foreach_safe (it, next, &p->links) {
		struct kafka_link *link = tg_container_of(it, struct kafka_link, entry);

		if (link->bootstrap || link->busy || link_leads(p, link))
			continue;
		tg_list_remove(&link->entry);
		kafka_link_free(link);
	}
}

/* --- topics --- */

static void part_init(struct producer_part *part, int32_t index)
{
	*part = (struct producer_part){.index = index};
	tg_list_init(&part->batches);
}

struct producer_topic *route_named(struct tg_producer *p, struct tg_slice name)
{
	tg_list_foreach (it, &p->topics) {
		struct producer_topic *topic = tg_container_of(it, struct producer_topic, entry);

		if (tg_slice_is(name, topic->name))
			return topic;
	}
	return NULL;
}

struct producer_topic *route_topic(struct tg_producer *p, const char *name)
{
	struct producer_topic *topic = route_named(p, tg_slice_cstr(name));

	if (topic)
		return topic;
	if (p->topics_count == TOPICS_MAX || strlen(name) >= sizeof(topic->name))
		return NULL;
	topic = calloc(1, sizeof(*topic));
	if (!topic)
		return NULL;
	p->topics_count++;
	strcpy(topic->name, name);
	part_init(&topic->nowhere, -1);
	tg_list_push(&p->topics, &topic->entry);
	route_want(p);
	return topic;
}

int32_t route_partition(struct producer_topic *topic, struct tg_slice key)
{
	assert(topic->known > 0);
	if (key.data)
		return wire_partition_of(key, topic->known);
	topic->spread = (topic->spread + 1) % topic->known;
	return topic->spread;
}

/* A list's head points at itself, so that it does not move by itself. */
static void parts_move(struct producer_part *to, struct producer_part *from, int32_t n)
{
	for (int32_t i = 0; i < n; i++) {
		to[i] = from[i];
		tg_list_init(&to[i].batches);
		while (!tg_list_empty(&from[i].batches)) {
			struct tg_list *batch = from[i].batches.next;

			tg_list_remove(batch);
			tg_list_push(&to[i].batches, batch);
		}
	}
}

int route_grow(struct producer_topic *topic, int32_t count)
{
	struct producer_part *parts;

	if (count <= topic->count)
		return 0;
	parts = calloc((size_t)count, sizeof(*parts));
	if (!parts)
		return -TG_ENOMEM;
	parts_move(parts, topic->parts, topic->count);
	for (int32_t i = topic->count; i < count; i++)
		part_init(&parts[i], i);
	free(topic->parts);
	topic->parts = parts;
	topic->count = count;
	return 0;
}

/* --- asking --- */

void route_want(struct tg_producer *p)
{
	p->metadata_wanted = true;
}

/* Somebody who can be asked now: each in turn. */
static struct kafka_link *anyone(struct tg_producer *p, uint64_t now_ms)
{
	struct kafka_link *ready = NULL;
	unsigned n = 0, at = 0;

	tg_list_foreach (it, &p->links)
		n++;
	tg_list_foreach (it, &p->links) {
		struct kafka_link *link = tg_container_of(it, struct kafka_link, entry);
		bool up = link->state == LINK_UP && !link->busy;

		if (up && (!ready || at == p->rotation % n))
			ready = link;
		else if (!up && at == p->rotation % n)
			kafka_link_ready(link, now_ms); /* the next time perhaps */
		at++;
	}
	p->rotation++;
	return ready;
}

static bool ask_metadata(struct tg_producer *p, struct kafka_link *link, uint64_t now_ms)
{
	struct tg_slice names[TOPICS_MAX];
	struct tg_buf *out = kafka_link_begin(link, WIRE_METADATA);
	size_t n = 0;

	tg_list_foreach (it, &p->topics)
		names[n++] = tg_slice_cstr(tg_container_of(it, struct producer_topic, entry)->name);
	if (!out || wire_metadata(out, names, n))
		return false;
	wire_end(out, 0);
	if (kafka_link_piece(link, NULL, out->len))
		return false;
	p->metadata_via = link;
	p->metadata_wanted = false;
	p->metadata_at_ms = now_ms + ASK_AGAIN_MS;
	kafka_link_send(link, now_ms);
	return true;
}

static void ask_id(struct tg_producer *p, struct kafka_link *link, uint64_t now_ms)
{
	struct tg_buf *out = kafka_link_begin(link, WIRE_INIT_PRODUCER_ID);

	if (!out || wire_init_producer_id(out))
		return;
	wire_end(out, 0);
	if (kafka_link_piece(link, NULL, out->len))
		return;
	p->id_via = link;
	kafka_link_send(link, now_ms);
}

void route_ask(struct tg_producer *p, uint64_t now_ms)
{
	bool metadata = !p->metadata_via && !tg_list_empty(&p->topics) &&
			now_ms >= p->metadata_at_ms + (p->metadata_wanted ? 0 : REFRESH_MS);
	struct kafka_link *link;

	if (metadata && (link = anyone(p, now_ms)) && !ask_metadata(p, link, now_ms))
		p->metadata_wanted = true;
	if (p->id.id < 0 && !p->id_via && now_ms >= p->id_at_ms && (link = anyone(p, now_ms)))
		ask_id(p, link, now_ms);
}

/* --- answers --- */

static int read_brokers(struct tg_producer *p, struct wire_reader *r)
{
	int64_t n = wire_int(r, 4);

	if (n < 0 || n > BROKERS_MAX || r->broken)
		return -TG_EPARSE;
	free(p->brokers);
	p->brokers_count = 0;
	p->brokers = calloc((size_t)n + 1, sizeof(*p->brokers));
	for (int64_t i = 0; i < n && p->brokers; i++) {
		int32_t node = (int32_t)wire_int(r, 4);
		struct tg_slice host = wire_text(r);
		char port[12];

		snprintf(port, sizeof(port), "%d", (int)wire_int(r, 4));
		wire_text(r); /* its rack */
		if (r->broken)
			return -TG_EPARSE;
		p->brokers[p->brokers_count].node = node;
		p->brokers[p->brokers_count++].link = link_to(p, host, tg_slice_cstr(port));
	}
	return p->brokers ? 0 : -TG_ENOMEM;
}

static struct kafka_link *leader_of(const struct tg_producer *p, int32_t node)
{
	for (size_t i = 0; i < p->brokers_count; i++)
		if (p->brokers[i].node == node)
			return p->brokers[i].link;
	return NULL;
}

static void skip_numbers(struct wire_reader *r)
{
	int64_t n = wire_int(r, 4);

	wire_skip(r, n > 0 ? 4 * (size_t)n : 0);
}

/* A topic made anew may have fewer partitions than before: what waits for others is reported. */
static void refuse_beyond(struct tg_producer *p, struct producer_topic *topic)
{
	for (int32_t i = topic->known; i < topic->count; i++) {
		while (!topic->parts[i].via && batch_first(&topic->parts[i]))
			batch_end(p, &topic->parts[i], NO_OFFSET, -TG_ENOENT);
	}
}

/* Partition by partition as the answer has them: one that has no leader now is asked for again. */
static void read_topic(struct tg_producer *p, struct wire_reader *r)
{
	int error = (int)wire_int(r, 2);
	struct producer_topic *topic = route_named(p, wire_text(r));
	int64_t n;

	wire_skip(r, 1); /* internal */
	n = wire_int(r, 4);
	if (n < 0 || n > PARTITIONS_MAX)
		r->broken = true;
	if (topic && !r->broken) {
		topic->error = error;
		topic->told = true;
		for (int32_t i = 0; i < topic->count; i++)
			topic->parts[i].leader = NULL;
		if (!error && !route_grow(topic, (int32_t)n))
			topic->known = (int32_t)n;
	}
	if (error || !topic)
		route_want(p);
	for (int64_t i = 0; i < n && !r->broken; i++) {
		int32_t index, node;

		wire_int(r, 2);
		index = (int32_t)wire_int(r, 4);
		node = (int32_t)wire_int(r, 4);
		skip_numbers(r);
		skip_numbers(r);
		if (!topic || index < 0 || index >= topic->count || r->broken)
			continue;
		topic->parts[index].leader = leader_of(p, node);
		if (!topic->parts[index].leader)
			route_want(p);
	}
	if (!topic || !topic->known)
		return;
	batch_place(p, topic);
	if (!error && !r->broken)
		refuse_beyond(p, topic);
}

void route_answer(struct tg_producer *p, struct wire_reader *r, uint64_t now_ms)
{
	int64_t topics;

	p->metadata_via = NULL;
	p->metadata_at_ms = now_ms + ASK_AGAIN_MS;
	if (read_brokers(p, r))
		r->broken = true;
	wire_int(r, 4); /* the controller */
	topics = wire_int(r, 4);
	for (int64_t i = 0; i < topics && !r->broken; i++)
		read_topic(p, r);
	if (r->broken) {
		tg_log(TG_ERROR, "kafka metadata cannot be read");
		route_want(p);
	}
	links_sweep(p);
}

void route_id_answer(struct tg_producer *p, struct wire_reader *r, uint64_t now_ms)
{
	int error;

	p->id_via = NULL;
	wire_int(r, 4); /* throttling */
	error = (int)wire_int(r, 2);
	if (error || r->broken) {
		tg_log(TG_WARN, "kafka gives no producer id",
			TG_F("error", TG_S(wire_error_name(error))));
		p->id_at_ms = now_ms + ASK_AGAIN_MS;
		return;
	}
	p->id.id = wire_int(r, 8);
	p->id.epoch = (int16_t)wire_int(r, 2);
	p->id_generation++;
}

void route_lost(struct tg_producer *p, struct kafka_link *link, uint64_t now_ms)
{
	if (p->metadata_via == link)
		p->metadata_via = NULL;
	if (p->id_via == link)
		p->id_via = NULL;
	route_want(p);
	if (p->metadata_at_ms < now_ms + ASK_AGAIN_MS)
		p->metadata_at_ms = now_ms + ASK_AGAIN_MS;
}

void route_close(struct tg_producer *p)
{
	tg_list_foreach_safe (it, next, &p->topics) {
		struct producer_topic *topic = tg_container_of(it, struct producer_topic, entry);

		tg_list_remove(&topic->entry);
		free(topic->parts);
		free(topic);
	}
	tg_list_foreach_safe (it, next, &p->links) {
		struct kafka_link *link = tg_container_of(it, struct kafka_link, entry);

		tg_list_remove(&link->entry);
		kafka_link_free(link);
	}
	free(p->brokers);
	p->brokers = NULL;
}
