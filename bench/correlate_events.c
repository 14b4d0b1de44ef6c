#include "bench/correlate_events.h"

#include <stdio.h>
#include <string.h>

#define STEP_US      200 /* 5,000 a second */
#define TYPES        8
#define BURST_EVERY  2000 /* reports, of which the first … */
#define BURST        6    /* … come from one place */
#define BEYOND_EVERY 499  /* a device out of so many goes beyond its limit now and then */
#define MUTE_EVERY   997  /* one out of so many falls silent half way of its words */
#define MUTE_AFTER   300000

/* A number's image, evenly spread over all of 64 bits. */
static uint64_t mix64(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static double share(uint64_t x)
{
	return (double)(mix64(x) >> 11) / 9007199254740992.0;
}

static struct tg_lonlat place(const struct bench_world *w, uint64_t x)
{
	return (struct tg_lonlat){w->min.lon + share(x) * (w->max.lon - w->min.lon),
		w->min.lat + share(~x) * (w->max.lat - w->min.lat)};
}

struct tg_lonlat bench_device_at(const struct bench_world *w, uint32_t d)
{
	return place(w, (uint64_t)d << 40);
}

static void reading(struct bench_event *e, uint32_t i, uint32_t device, const char *const *metrics)
{
	bool beyond = device % BEYOND_EVERY == 0 && (i / 500000) % 2 == 1;

	tongguan__v1__reading__init(&e->reading);
	e->ev.has_source_kind = e->reading.has_value = true;
	e->ev.source_kind = TONGGUAN__V1__SOURCE_KIND__SENSOR;
	e->ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_READING;
	e->ev.reading = &e->reading;
	e->reading.metric = (char *)(uintptr_t)metrics[device % 5];
	e->reading.value = beyond ? 150 + 20 * share(i) : 100 * share(i);
	e->reading.unit = "u";
	snprintf(e->source, sizeof(e->source), "device-%05u", device);
}

static void report(const struct bench_world *w, struct bench_event *e, uint32_t n)
{
	static const char *const types[TYPES] = {
		"22001", "22002", "22006", "22011", "22028", "24010", "24016", "21010"};
	uint32_t burst = n / BURST_EVERY;
	bool together = n % BURST_EVERY < BURST;
	struct tg_lonlat at = place(w, together ? (uint64_t)burst << 33 : (uint64_t)n << 20);

	tongguan__v1__report__init(&e->report);
	e->ev.has_source_kind = true;
	e->ev.source_kind = TONGGUAN__V1__SOURCE_KIND__CITIZEN;
	e->ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_REPORT;
	e->ev.report = &e->report;
	e->ev.type_code = (char *)(uintptr_t)types[together ? burst % TYPES : n % TYPES];
	e->report.title = n % 5000 == 8 ? "urgent: somebody is hurt" : "it is broken again";
	e->report.reporter_id = e->reporter;
	snprintf(e->source, sizeof(e->source), "hotline-%u", n % 4);
	snprintf(e->reporter, sizeof(e->reporter), "person-%04u", (unsigned)(mix64(n) % 5000));
	e->loc.lon = at.lon;
	e->loc.lat = at.lat;
}

static void position(const struct bench_world *w, struct bench_event *e, uint32_t i)
{
	struct tg_lonlat at = place(w, (uint64_t)i << 21);

	tongguan__v1__position__init(&e->position);
	e->ev.has_source_kind = e->position.has_speed_kmh = true;
	e->ev.source_kind = TONGGUAN__V1__SOURCE_KIND__VEHICLE;
	e->ev.payload_case = TONGGUAN__V1__EVENT__PAYLOAD_POSITION;
	e->ev.position = &e->position;
	e->position.speed_kmh = (float)(60 * share(i));
	snprintf(e->source, sizeof(e->source), "vehicle-%05u", i % BENCH_DEVICES);
	e->loc.lon = at.lon;
	e->loc.lat = at.lat;
}

static void fill_payload(
	const struct bench_world *w, enum bench_mix mix, uint32_t i, struct bench_event *e)
{
	static const char *const heard[5] = {
		"pm10", "noise_db", "water_level_m", "temperature_c", "gas_lel"};
	static const char *const unheard[5] = {"humidity", "wind_ms", "pressure", "lux", "rain_mm"};
	uint32_t device = (uint32_t)(mix64(i) % BENCH_DEVICES);
	struct tg_lonlat at;

	if (device % MUTE_EVERY == 0 && i > MUTE_AFTER)
		device++;
	at = bench_device_at(w, device);
	if (i % 5 < 3) {
		reading(e, i, device, mix == BENCH_WANTED ? heard : unheard);
		e->loc.lon = at.lon;
		e->loc.lat = at.lat;
		if (mix == BENCH_NONE)
			snprintf(e->source, sizeof(e->source), "meter-%05u", device);
	} else if (mix == BENCH_WANTED) {
		report(w, e, i / 5 * 2 + i % 5 - 3);
	} else {
		position(w, e, i);
	}
}

void bench_event(const struct bench_world *w, enum bench_mix mix, uint32_t i, struct bench_event *e)
{
	uint64_t low = mix64(i), high = mix64(~(uint64_t)i);

	tongguan__v1__located_event__init(&e->loc);
	tongguan__v1__event__init(&e->ev);
	tongguan__v1__location__init(&e->location);
	fill_payload(w, mix, i, e);
	snprintf(e->id, sizeof(e->id), "%c%08u", mix == BENCH_WANTED ? 'w' : 'n', i);
	e->ev.event_id = e->id;
	e->ev.source_id = e->source;
	e->ev.has_occurred_at_us = true;
	e->ev.occurred_at_us = w->start_us + (int64_t)i * STEP_US;
	e->ev.location = &e->location;
	e->location.has_lon = e->location.has_lat = true;
	e->location.lon = e->loc.lon;
	e->location.lat = e->loc.lat;
	memcpy(e->uid, &low, 8);
	memcpy(e->uid + 8, &high, 8);
	snprintf(e->cell, sizeof(e->cell), "025025-%03u-%02u",
		(unsigned)((e->loc.lat - w->min.lat) * 500),
		(unsigned)((e->loc.lon - w->min.lon) * 370));
	e->loc.event = &e->ev;
	e->loc.has_uid = e->loc.has_lon = e->loc.has_lat = true;
	e->loc.uid = (ProtobufCBinaryData){sizeof(e->uid), e->uid};
	e->loc.grid_cell = e->cell;
	e->loc.street = "02108";
	e->loc.district = "25025";
	e->loc.has_region = e->loc.has_ingested_at_us = e->loc.has_source_partition = true;
	e->loc.region = tg_regions_of(&w->regions, (struct tg_lonlat){e->loc.lon, e->loc.lat});
	e->loc.ingested_at_us = e->ev.occurred_at_us + 50000;
	e->loc.source_topic = BENCH_TOPIC;
	e->loc.source_partition = (int32_t)(i % BENCH_SOURCES);
	e->partition = e->loc.region % w->partitions;
}
