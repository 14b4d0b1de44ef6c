/* The events of a simulated city, in memory, as the bytes that will be sent. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/sim.h"
#include "proto/codec.h"

#define LATE_SHARE   0.05 /* of events come well behind their neighbours */
#define SOON_US      (2 * TG_US_PER_S)
#define EVENT_ID_MAX 65

uint64_t sim_next(struct sim_random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

double sim_unit(struct sim_random *r)
{
	return (double)(sim_next(r) >> 11) / (double)(UINT64_C(1) << 53);
}

size_t sim_below(struct sim_random *r, size_t n)
{
	return (size_t)(sim_unit(r) * (double)n);
}

double sim_between(struct sim_random *r, double a, double b)
{
	return a + sim_unit(r) * (b - a);
}

static int64_t delay_us(struct sim_script *script)
{
	double most = (double)script->delay_max_us;

	if (most > SOON_US && sim_unit(&script->random) >= LATE_SHARE)
		most = SOON_US;
	return (int64_t)(sim_unit(&script->random) * most);
}

static struct sim_event *new_event(struct sim_script *script)
{
	if (script->len == script->cap) {
		size_t cap = script->cap ? script->cap * 2 : 4096;
		struct sim_event *more = realloc(script->events, cap * sizeof(*more));

		if (!more)
			return NULL;
		script->events = more;
		script->cap = cap;
	}
	return &script->events[script->len++];
}

static int add_bytes(struct sim_script *script, tg_event_pb *ev, struct sim_event *e)
{
	int rc;

	e->key = script->bytes.len;
	e->key_len = (uint32_t)strlen(ev->source_id);
	rc = tg_buf_add(&script->bytes, ev->source_id, e->key_len);
	e->value = script->bytes.len;
	if (!rc)
		rc = tg_event_encode(ev, &script->bytes);
	e->value_len = (uint32_t)(script->bytes.len - e->value);
	return rc;
}

int64_t sim_script_add(struct sim_script *script, tg_event_pb *ev)
{
	char id[EVENT_ID_MAX];
	struct sim_event *e = new_event(script);
	size_t index = script->len - 1;

	if (!e)
		return -TG_ENOMEM;
	snprintf(id, sizeof(id), "%s-%07zu", script->run, index);
	ev->event_id = id;
	e->kind = (uint8_t)ev->source_kind;
	e->at_us = ev->occurred_at_us;
	e->arrive_us = e->at_us + delay_us(script);
	if (add_bytes(script, ev, e))
		return -TG_ENOMEM;
	tg_event_uid(ev, e->uid);
	ev->event_id = NULL;
	if (sim_unit(&script->random) < script->doubled) {
		struct sim_event *again = new_event(script);

		if (!again)
			return -TG_ENOMEM;
		*again = script->events[index];
		again->arrive_us = again->at_us + delay_us(script);
		script->twice++;
	}
	return (int64_t)index;
}

static int by_arrival(const void *a, const void *b)
{
	const struct sim_event *x = a, *y = b;

	if (x->arrive_us != y->arrive_us)
		return x->arrive_us < y->arrive_us ? -1 : 1;
	return x->value < y->value ? -1 : x->value > y->value;
}

void sim_script_sort(struct sim_script *script)
{
	if (script->len)
		qsort(script->events, script->len, sizeof(*script->events), by_arrival);
}

void sim_script_release(struct sim_script *script)
{
	free(script->events);
	tg_buf_release(&script->bytes);
}
