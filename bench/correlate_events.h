/* The events of the correlate bench, each a function of its number alone: five thousand a second of
 * event time from 20,000 devices and some thousand people, over the city's whole box. */
#ifndef TG_BENCH_CORRELATE_EVENTS_H
#define TG_BENCH_CORRELATE_EVENTS_H

#include "proto/codec.h"
#include "proto/region.h"

#define BENCH_DEVICES 20000
#define BENCH_SOURCES 8
#define BENCH_TOPIC   "tongguan.sensor.readings"

enum bench_mix {
	BENCH_WANTED, /* each is asked for by one rule at least, and kept by one at least */
	BENCH_NONE,   /* no rule could want any */
};

struct bench_world {
	struct tg_lonlat min, max; /* the city's box */
	struct tg_regions regions;
	int32_t partitions;
	int64_t start_us;
};

/* Everything an event's message points at. */
struct bench_event {
	tg_located_pb loc;
	tg_event_pb ev;
	Tongguan__V1__Location location;
	Tongguan__V1__Reading reading;
	Tongguan__V1__Report report;
	Tongguan__V1__Position position;
	char id[24], source[24], cell[16], reporter[24];
	uint8_t uid[16];
	int32_t partition; /* of events.located */
};

void bench_event(
	const struct bench_world *w, enum bench_mix mix, uint32_t i, struct bench_event *ret);
/* Where device number d stands. */
struct tg_lonlat bench_device_at(const struct bench_world *w, uint32_t d);

#endif
