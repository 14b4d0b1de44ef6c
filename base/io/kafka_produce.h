/* What the files of the producer share. Not for anybody else.
 *
 * Each partition has a row of record batches, written as they go over the wire. The first one may
 * be on its way; the last one still takes records. A request to a broker carries the first batch of
 * every partition it leads. */
#ifndef TG_BASE_IO_KAFKA_PRODUCE_H
#define TG_BASE_IO_KAFKA_PRODUCE_H

#include "base/io/kafka_link.h"

#define NO_OFFSET (-1)

struct batch {
	struct tg_list entry;
	struct tg_buf bytes; /* room for a header, records */
	int32_t records;
	bool sealed;       /* was sent: takes no more records */
	uint64_t since_ms; /* monotonic: of its first record */
	int64_t stamp_ms;  /* wall clock, the same */
	/* Whom to tell: so many records in a row have this tag. */
	struct batch_run {
		void *tag;
		uint32_t records;
	} * runs;
	size_t runs_count, runs_cap;
};

struct producer_part {
	int32_t index;
	struct kafka_link *leader; /* NULL: not known */
	struct kafka_link *via;    /* that the first batch is on its way by; else NULL */
	struct tg_list batches;
	uint64_t not_before_ms; /* after a failure that passes */
	int32_t sequence;       /* of the first batch */
	unsigned id_generation; /* of the producer id that sequence counts under */
};

struct producer_topic {
	struct tg_list entry;
	char name[128];
	struct producer_part *parts;
	int32_t count; /* of parts: those that there are, and those that somebody named */
	int32_t known; /* how many there are; 0: not told yet */
	struct producer_part nowhere; /* what waits for the number of partitions */
	bool told;                    /* an answer has come since this was reset */
	int error;                    /* that the cluster last told of the topic */
	int32_t spread;               /* where a message without a key goes next */
};

struct tg_producer {
	uv_loop_t *loop;
	uv_timer_t linger, tick;
	unsigned handles; /* links and timers that are not gone yet */
	char client_id[64];
	uint64_t linger_ms;
	tg_delivery_cb on_delivery;
	void *ctx;
	struct tg_list links, topics;
	size_t topics_count;
	struct {
		int32_t node;
		struct kafka_link *link;
	} * brokers;
	size_t brokers_count;
	struct wire_producer id;
	unsigned id_generation;
	struct kafka_link *metadata_via, *id_via; /* that they were asked by; else NULL */
	bool metadata_wanted;
	uint64_t metadata_at_ms; /* not before; else so long after the last */
	uint64_t id_at_ms;
	unsigned rotation; /* of who is asked */
	size_t in_flight, bytes;
	struct tg_list spare; /* batches to be used again */
	size_t spare_count;
	int64_t delivered_at;
	bool pumping; /* nobody runs the loop now */
	bool closing;
};

/* --- kafka_batch.c --- */

/* Into the last batch of the part, or a new one. */
TG_MUST int batch_add(struct tg_producer *p, struct producer_part *part,
	const struct wire_message *message, void *tag);
struct batch *batch_first(const struct producer_part *part);
bool batch_full(const struct batch *batch);
/* Ends the first batch of a part: out of the row, its records reported, its memory kept. */
void batch_end(struct tg_producer *p, struct producer_part *part, int64_t offset, int rc);
/* The first batch in two halves. */
void batch_cut(struct tg_producer *p, struct producer_part *part);
/* What waited in `nowhere` goes to the partitions of its keys. */
void batch_place(struct tg_producer *p, struct producer_topic *topic);
void batch_free(struct batch *batch);

/* --- kafka_route.c --- */

/* NULL when memory is out, the name is none or there are too many. A topic that is new is asked
 * for. */
struct producer_topic *route_topic(struct tg_producer *p, const char *name);
/* Once they are known: that of the key, or any for none. */
int32_t route_partition(struct producer_topic *topic, struct tg_slice key);
/* At least so many parts. Moves them. */
TG_MUST int route_grow(struct producer_topic *topic, int32_t count);
TG_MUST int route_open(struct tg_producer *p, const char *brokers);
/* NULL: not one of ours. */
struct producer_topic *route_named(struct tg_producer *p, struct tg_slice name);
/* Asks for metadata or a producer id where that is due. */
void route_ask(struct tg_producer *p, uint64_t now_ms);
void route_want(struct tg_producer *p);
void route_answer(struct tg_producer *p, struct wire_reader *r, uint64_t now_ms);
void route_id_answer(struct tg_producer *p, struct wire_reader *r, uint64_t now_ms);
void route_lost(struct tg_producer *p, struct kafka_link *link, uint64_t now_ms);
void route_close(struct tg_producer *p);

/* --- kafka_producer.c --- */

extern const struct kafka_link_ops producer_link_ops;
/* All that can be done now. */
void producer_step(struct tg_producer *p);
/* One of its handles is gone; with the last it is, too. */
void producer_gone(struct tg_producer *p);

#endif
