#include "ingest/take.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ingest/deadletter.h"
#include "ingest/decode.h"
#include "ingest/dedupe.h"
#include "ingest/metrics.h"
#include "proto/region.h"

#define ARENA_BLOCK ((size_t)64 << 10)
#define ARENA_MAX   ((size_t)16 << 20) /* 4096 fields of the largest event fit many times */
#define NO_TIME     INT64_MIN

struct tg_taker {
	struct tg_decode_limits limits;
	int64_t floor_us; /* INT64_MIN: none */
	int32_t partitions;
	struct tg_arena arena; /* of the record at hand */
	struct tg_dedupe *dedupe;
};

/* What is known of the record at hand. */
struct taking {
	struct tg_taker *taker;
	const struct tg_atlas *city;
	struct tg_batch *batch;
	const struct tg_part *part;
	size_t index;
	const struct tg_record *rec;
	int64_t now_us;
	struct tg_decoded got;
	struct tg_place place;
	uint8_t uid[16];
};

int tg_taker_new(const struct tg_conf *conf, int32_t located_partitions, struct tg_taker **ret)
{
	struct tg_taker *taker = calloc(1, sizeof(*taker));
	int rc;

	if (!taker)
		return -TG_ENOMEM;
	taker->limits.ahead_us = conf->ingest_ahead_s * TG_US_PER_S;
	taker->limits.framed_topics = conf->kafka_framed_topics;
	taker->limits.framed_topics = conf->kafka_framed_topics;
	taker->limits.retention_us = conf->ingest_retention_days * TG_US_PER_DAY;
	taker->floor_us = INT64_MIN;
	taker->partitions = located_partitions;
	tg_arena_init(&taker->arena, ARENA_BLOCK, ARENA_MAX);
	rc = tg_dedupe_new(&taker->dedupe);
	if (rc) {
		tg_taker_free(taker);
		return rc;
	}
	*ret = taker;
	return 0;
}

void tg_taker_free(struct tg_taker *taker)
{
	if (!taker)
		return;
	tg_dedupe_free(taker->dedupe);
	tg_arena_release(&taker->arena);
	free(taker);
}

void tg_taker_forget(struct tg_taker *taker)
{
	tg_dedupe_forget(taker->dedupe);
}

void tg_taker_floor(struct tg_taker *taker, int64_t floor_us)
{
	taker->floor_us = floor_us;
}

static bool has_contact(const tg_event_pb *ev)
{
	return ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT && ev->report->contact;
}

/* Masks the contact in the event itself: last of all, after the row was written. */
static int add_located(struct taking *t)
{
	tg_located_pb loc = TONGGUAN__V1__LOCATED_EVENT__INIT;
	struct tg_located_out out = {
		.loc = &loc, .source_id = t->got.ev->source_id, .place = &t->place};
	char masked[32];

	loc.has_uid = true;
	loc.uid = (ProtobufCBinaryData){sizeof(t->uid), t->uid};
	loc.grid_cell = (char *)t->place.grid_cell;
	loc.street = (char *)t->place.street;
	loc.district = (char *)t->place.district;
	loc.has_region = loc.has_lon = loc.has_lat = t->place.known;
	loc.region = t->place.region;
	loc.lon = t->place.lon;
	loc.lat = t->place.lat;
	loc.has_ingested_at_us = true;
	loc.ingested_at_us = t->now_us;
	loc.source_topic = (char *)t->rec->topic;
	loc.has_source_partition = true;
	loc.source_partition = t->rec->partition;
	if (t->got.packed.len && !has_contact(t->got.ev)) {
		out.raw = t->got.packed;
	} else {
		if (has_contact(t->got.ev)) {
			tg_mask_contact(t->got.ev->report->contact, masked);
			t->got.ev->report->contact = masked;
		}
		loc.event = t->got.ev;
	}
	if (!tg_record_header(t->rec, "traceparent", &out.traceparent))
		out.traceparent = (struct tg_slice){0};
	return tg_batch_add_located(t->batch, &out);
}

static int add_row(struct taking *t)
{
	struct tg_row row = {.ev = t->got.ev,
		.place = &t->place,
		.ingested_us = t->now_us,
		.source = (int16_t)t->part->id,
		.source_pos = t->rec->offset};
	int rc;

	memcpy(row.uid, t->uid, sizeof(row.uid));
	rc = tg_batch_add_row(t->batch, &row);
	if (!rc)
		tg_batch_need_day(t->batch, (uint32_t)(t->got.ev->occurred_at_us / TG_US_PER_DAY));
	return rc;
}

static int refuse(struct taking *t, enum tg_reject why, bool stored)
{
	if (!stored)
		tg_metric_add_at(&tg_ingest_metrics[TG_M_REFUSED], (int)why - 1, 1);
	tg_batch_advance(t->batch, t->index, t->rec->offset, NO_TIME);
#ifdef TG_BREAK_POISON_SKIPPED /* broken on purpose: what is wrong leaves no trace */
	return 0;
#endif
	return tg_dead_add(
		t->batch, t->rec, t->index, why, tg_record_arrival_us(t->rec, t->now_us), stored);
}

/* In time when it arrived, too old by now: a replay must bring back neither a dropped partition nor
 * a dead letter that was deleted with it. */
static bool below_floor(const struct taking *t, enum tg_reject why)
{
	int64_t us = why ? tg_record_arrival_us(t->rec, t->now_us) : t->got.ev->occurred_at_us;

	return us < t->taker->floor_us;
}

static int take_new(struct taking *t)
{
	struct tg_sighting seen;
	enum tg_reject why;
	bool reused;
	int rc;

	why = tg_decode(&t->taker->arena, t->rec, &t->taker->limits, t->now_us, &t->got);
	if (below_floor(t, why)) {
		tg_metric_add(&tg_ingest_metrics[TG_M_BELOW_FLOOR], 1);
		tg_batch_advance(t->batch, t->index, t->rec->offset, NO_TIME);
		return 0;
	}
	if (why)
		return refuse(t, why, false);
	tg_event_uid(t->got.ev, t->uid);
#ifdef TG_BREAK_NO_DEDUPE /* broken on purpose: an event is known by where it stands, not by what \
			     it says */
	memcpy(t->uid + 8, &t->rec->offset, sizeof(t->rec->offset));
#endif
	seen = tg_dedupe_look(t->taker->dedupe, t->got.ev, t->uid);
	why = tg_locate(t->city, t->got.ev, t->taker->partitions, &t->place);
	if (why)
		return refuse(t, why, false);
	tg_batch_advance(t->batch, t->index, t->rec->offset, t->got.ev->occurred_at_us);
	if (!tg_dedupe_add(t->taker->dedupe, t->uid, &seen, &reused)) {
		tg_metric_add(&tg_ingest_metrics[TG_M_DUPLICATES], 1);
		return 0;
	}
	if (reused)
		tg_metric_add(&tg_ingest_metrics[TG_M_REUSED], 1);
	rc = add_row(t);
	return rc ? rc : add_located(t);
}

static int by_offset(const void *key, const void *item)
{
	int64_t a = *(const int64_t *)key, b = ((const struct tg_dead_ref *)item)->offset;

	return (a > b) - (a < b);
}

/* Stored before, perhaps not published: what became of it then holds, whatever clock and registry
 * say now. */
static int take_again(struct taking *t)
{
	const struct tg_dead_ref *dead = NULL;
	enum tg_reject why;

	tg_metric_add(&tg_ingest_metrics[TG_M_AGAIN], 1);
	if (t->part->dead_count)
		dead = bsearch(&t->rec->offset, t->part->dead, t->part->dead_count, sizeof(*dead),
			by_offset);
	if (dead)
		return refuse(t, dead->why, true);
	why = tg_decode_again(&t->taker->arena, t->rec, &t->taker->limits, &t->got);
	if (why) {
		tg_log(TG_ERROR, "stored once, and not an event now",
			TG_F("topic", TG_S(t->rec->topic)),
			TG_F("partition", TG_I(t->rec->partition)),
			TG_F("offset", TG_I(t->rec->offset)),
			TG_F("why", TG_S(tg_reject_name(why))));
		tg_batch_advance(t->batch, t->index, t->rec->offset, NO_TIME);
		return 0;
	}
	if (tg_locate(t->city, t->got.ev, t->taker->partitions, &t->place)) {
		/* Its device was struck off since: it goes on without a place. */
		t->place = (struct tg_place){
			.by_source = true,
			.partition =
				tg_partition_of_source(t->got.ev->source_id, t->taker->partitions),
		};
	}
	tg_batch_advance(t->batch, t->index, t->rec->offset, t->got.ev->occurred_at_us);
	tg_event_uid(t->got.ev, t->uid);
	return add_located(t);
}

int tg_take(struct tg_taker *taker, const struct tg_atlas *city, struct tg_batch *batch,
	const struct tg_part *part, size_t part_index, const struct tg_record *rec)
{
	struct taking t = {.taker = taker,
		.city = city,
		.batch = batch,
		.part = part,
		.index = part_index,
		.rec = rec,
		.now_us = rec->taken_us};

	tg_metric_add(&tg_ingest_metrics[TG_M_RECORDS], 1);
	tg_arena_reset(&taker->arena);
	return rec->offset < part->next ? take_again(&t) : take_new(&t);
}
