/* Events lie in a ring by sequence number; two hash tables chain through them, by uid and by cell.
 *
 * Cells: bands of latitude twice as high as the radius; within a band the circle is cut into parts
 * that are each at least as wide as the widest disc there. So a disc touches two bands, and in each
 * two cells, which lie side by side in the table. The cells only choose candidates: the distance
 * decides. Chains go from new to old and are cut where an event is no longer held, so that
 * forgetting one costs nothing. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/window.h"

#define RING_MIN 256
#define SPREAD   4    /* heads of chains for each slot of the ring: most are empty */
#define ZONE_DEG 0.25 /* bands share their figures over about that much latitude */
#define ZONES    2

/* Bands of about the same latitude: a disc's figures at their narrowest place serve them all. */
struct zone {
	int64_t number;
	int64_t cells;   /* in each of its bands */
	double half_deg; /* half the width in longitude of a disc whose centre lies in it */
};

struct tg_window {
	double radius_m;
	double reach_deg; /* the radius as an angle, a hair wider */
	double band_deg;  /* height of a band */
	int64_t zone_bands;
	struct zone zones[ZONES]; /* those last asked for, by number */
	struct tg_window_budget *budget;
	struct tg_seen *ring;
	uint32_t mask; /* capacity − 1 */
	uint32_t heads_mask;
	uint32_t first, end;
	uint32_t *places, *uids; /* chain heads */
};

static double rad(double deg)
{
	return deg * (M_PI / 180);
}

static int64_t band_of(const struct tg_window *w, double lat)
{
	return (int64_t)floor((lat + 90) / w->band_deg);
}

/* Half the width in longitude of a disc with its centre at most so far from the equator; a half
 * circle near a pole. */
static double half_width_deg(const struct tg_window *w, double lat)
{
	double up = cos(rad(lat)), reach = sin(rad(w->reach_deg));

	if (fabs(lat) + w->reach_deg >= 90 || reach >= up)
		return 180;
	return asin(reach / up) * (180 / M_PI) + 1e-9;
}

static struct zone make_zone(const struct tg_window *w, int64_t number)
{
	double low = (double)(number * w->zone_bands) * w->band_deg - 90;
	double high = (double)((number + 1) * w->zone_bands) * w->band_deg - 90;
	double half = half_width_deg(w, fmin(90, fmax(fabs(low), fabs(high))));
	int64_t n = (int64_t)floor(360 / (2 * half));

	return (struct zone){number, n < 1 ? 1 : n, half};
}

static const struct zone *zone_of(struct tg_window *w, int64_t band)
{
	int64_t number = band / w->zone_bands;
	struct zone *z = &w->zones[number % ZONES];

	if (z->number != number)
		*z = make_zone(w, number);
	return z;
}

static int64_t cell_of(double lon, int64_t cells)
{
	int64_t i = (int64_t)floor((lon + 180) / 360 * (double)cells);

	i %= cells;
	return i < 0 ? i + cells : i;
}

static uint64_t place_name(int64_t band, int64_t cell)
{
	return (uint64_t)band << 32 | (uint64_t)cell;
}

/* Neighbours in a band are neighbours here. */
static uint32_t place_slot(const struct tg_window *w, uint64_t place)
{
	uint64_t band = (place >> 32) * UINT64_C(0x9E3779B97F4A7C15);

	return ((uint32_t)(band >> 32) + (uint32_t)place) & w->heads_mask;
}

/* The uid's tail is a hash already. */
static uint32_t uid_slot(const struct tg_window *w, const uint8_t uid[16])
{
	uint32_t tail;

	memcpy(&tail, uid + 12, sizeof(tail));
	return tail & w->heads_mask;
}

static bool holds(const struct tg_window *w, uint32_t seq)
{
	return seq - w->first < w->end - w->first;
}

struct tg_seen *tg_window_at(const struct tg_window *w, uint32_t seq)
{
	assert(holds(w, seq));
	return &w->ring[seq & w->mask];
}

static void link_in(struct tg_window *w, uint32_t seq)
{
	struct tg_seen *s = &w->ring[seq & w->mask];
	uint32_t *place = &w->places[place_slot(w, s->place)], *uid = &w->uids[uid_slot(w, s->uid)];

	s->place_next = *place;
	*place = seq;
	s->uid_next = *uid;
	*uid = seq;
}

/* A ring of that capacity, with the events renumbered from 0. */
static int rebuild(struct tg_window *w, uint32_t cap)
{
	size_t heads = (size_t)cap * SPREAD;
	struct tg_seen *ring = malloc(cap * sizeof(*ring));
	uint32_t *places = malloc(heads * sizeof(*places)), *uids = malloc(heads * sizeof(*uids));
	uint32_t count = w->end - w->first;

	assert(count <= cap);
	if (!ring || !places || !uids) {
		free(ring);
		free(places);
		free(uids);
		return -TG_ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++)
		ring[i] = w->ring[(w->first + i) & w->mask];
	memset(places, 0xff, heads * sizeof(*places));
	memset(uids, 0xff, heads * sizeof(*uids));
	free(w->ring);
	free(w->places);
	free(w->uids);
	w->ring = ring;
	w->places = places;
	w->uids = uids;
	w->mask = cap - 1;
	w->heads_mask = (uint32_t)(heads - 1);
	w->first = 0;
	w->end = count;
	for (uint32_t seq = 0; seq != count; seq++)
		link_in(w, seq);
	return 0;
}

int tg_window_new(double radius_m, struct tg_window_budget *budget, struct tg_window **ret)
{
	struct tg_window *w = calloc(1, sizeof(*w));

	if (!w)
		return -TG_ENOMEM;
	w->radius_m = radius_m;
	w->budget = budget;
	w->reach_deg = (radius_m / TG_EARTH_RADIUS_M * (1 + 1e-9) + 1e-12) * (180 / M_PI);
	w->band_deg = 2 * w->reach_deg;
	w->zone_bands = w->band_deg < ZONE_DEG ? (int64_t)(ZONE_DEG / w->band_deg) : 1;
	for (int i = 0; i < ZONES; i++)
		w->zones[i].number = -1;
	if (rebuild(w, RING_MIN)) {
		free(w);
		return -TG_ENOMEM;
	}
	*ret = w;
	return 0;
}

void tg_window_free(struct tg_window *w)
{
	if (!w)
		return;
	w->budget->used -= tg_window_count(w);
	free(w->ring);
	free(w->places);
	free(w->uids);
	free(w);
}

int tg_window_append(struct tg_window *w, const struct tg_seen *seen, uint32_t *ret_seq)
{
	int64_t band = band_of(w, seen->at.lat);
	bool full = w->end - w->first > w->mask;
	struct tg_seen *s;
	int rc;

	if (w->budget->used >= w->budget->max || (full && w->mask >= UINT32_MAX / 4))
		return -TG_EFULL;
	if (full || w->end == TG_SEQ_NONE) {
		rc = rebuild(w, full ? (w->mask + 1) * 2 : w->mask + 1);
		if (rc)
			return rc;
	}
	s = &w->ring[w->end & w->mask];
	*s = *seen;
	s->place = place_name(band, cell_of(seen->at.lon, zone_of(w, band)->cells));
	link_in(w, w->end);
	w->budget->used++;
	*ret_seq = w->end++;
	return 0;
}

uint32_t tg_window_find(const struct tg_window *w, const uint8_t uid[16])
{
	uint32_t seq = w->uids[uid_slot(w, uid)];

	while (holds(w, seq) && memcmp(w->ring[seq & w->mask].uid, uid, 16) != 0)
		seq = w->ring[seq & w->mask].uid_next;
	return holds(w, seq) ? seq : TG_SEQ_NONE;
}

void tg_window_expire(struct tg_window *w, int64_t before_us)
{
	while (w->first != w->end && w->ring[w->first & w->mask].event_us < before_us) {
		w->first++;
		w->budget->used--;
	}
}

size_t tg_window_count(const struct tg_window *w)
{
	return w->end - w->first;
}

uint32_t tg_window_first(const struct tg_window *w)
{
	return w->first;
}

uint32_t tg_window_end(const struct tg_window *w)
{
	return w->end;
}

static int add_hit(struct tg_hits *hits, uint32_t seq)
{
	if (hits->len == hits->cap) {
		size_t cap = hits->cap ? hits->cap * 2 : 64;
		uint32_t *seqs = realloc(hits->seqs, cap * sizeof(*seqs));

		if (!seqs)
			return -TG_ENOMEM;
		hits->seqs = seqs;
		hits->cap = cap;
	}
	hits->seqs[hits->len++] = seq;
	return 0;
}

struct query {
	struct tg_window *w;
	struct tg_lonlat at;
	int64_t from_us, to_us;
	struct tg_hits *ret;
};

static bool is_near(const struct query *q, const struct tg_seen *s)
{
	if (s->at.lon == q->at.lon && s->at.lat == q->at.lat)
		return true;
	return fabs(s->at.lat - q->at.lat) <= q->w->reach_deg &&
	       tg_geo_distance_m(s->at, q->at) <= q->w->radius_m;
}

static int query_cell(const struct query *q, uint64_t place)
{
	const struct tg_window *w = q->w;

	for (uint32_t seq = w->places[place_slot(w, place)]; holds(w, seq);
		seq = w->ring[seq & w->mask].place_next) {
		const struct tg_seen *s = &w->ring[seq & w->mask];

		if (s->place == place && s->event_us >= q->from_us && s->event_us <= q->to_us &&
			is_near(q, s) && add_hit(q->ret, seq))
			return -TG_ENOMEM;
	}
	return 0;
}

static int query_band(const struct query *q, int64_t band, double half_deg)
{
	int64_t cells = zone_of(q->w, band)->cells;
	int64_t from = cell_of(q->at.lon - half_deg, cells),
		to = cell_of(q->at.lon + half_deg, cells);
	int64_t n = to - from;
	int rc = 0;

	if (n < 0)
		n += cells;
	if (2 * half_deg >= 360 - 360.0 / (double)cells)
		n = cells - 1;
	for (int64_t i = 0; i <= n && !rc; i++)
		rc = query_cell(q, place_name(band, (from + i) % cells));
	return rc;
}

int tg_window_query(struct tg_window *w, struct tg_lonlat at, int64_t from_us, int64_t to_us,
	struct tg_hits *ret)
{
	struct query q = {w, at, from_us, to_us, ret};
	double half_deg = zone_of(w, band_of(w, at.lat))->half_deg;
	int64_t first = band_of(w, fmax(at.lat - w->reach_deg, -90)),
		last = band_of(w, fmin(at.lat + w->reach_deg, 90));
	int rc = 0;

	ret->len = 0;
	for (int64_t band = first; band <= last && !rc; band++)
		rc = query_band(&q, band, half_deg);
	return rc;
}

void tg_hits_release(struct tg_hits *hits)
{
	free(hits->seqs);
	*hits = (struct tg_hits){0};
}
