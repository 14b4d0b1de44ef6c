/* Events lie in a ring by sequence number; two hash tables chain through them, by uid and by cell
 * of about the radius.
 *
 * Cells: bands of latitude as high as the radius; within a band the circle is cut into so many
 * parts that each is at least the radius wide at the band's far side from the equator. So a disc
 * touches three bands, and in each the few cells that its width in longitude there covers. The
 * cells only choose candidates: the distance decides. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/window.h"

#define RING_MIN 256

struct tg_window {
	double radius_m;
	double band_deg;  /* height of a band */
	double reach_rad; /* the radius as an angle, a hair wider */
	struct tg_window_budget *budget;
	struct tg_seen *ring;
	uint32_t mask; /* capacity − 1 */
	uint32_t first, end;
	uint32_t *places, *uids; /* chain heads, one a slot of the ring */
};

static double rad(double deg)
{
	return deg * (M_PI / 180);
}

static int64_t band_of(const struct tg_window *w, double lat)
{
	return (int64_t)floor((lat + 90) / w->band_deg);
}

/* Cells in a band: as wide as the radius where the band is narrowest; one at the poles. */
static int64_t cells_of(const struct tg_window *w, int64_t band)
{
	double low = fabs((double)band * w->band_deg - 90),
	       high = fabs((double)(band + 1) * w->band_deg - 90);
	double width = cos(rad(fmin(90, fmax(low, high))));
	int64_t n = (int64_t)floor(360 * width / w->band_deg);

	return n < 1 ? 1 : n;
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

static uint32_t place_slot(const struct tg_window *w, uint64_t place)
{
	place *= UINT64_C(0x9E3779B97F4A7C15);
	return (uint32_t)(place >> 32) & w->mask;
}

/* The uid's tail is a hash already. */
static uint32_t uid_slot(const struct tg_window *w, const uint8_t uid[16])
{
	uint32_t tail;

	memcpy(&tail, uid + 12, sizeof(tail));
	return tail & w->mask;
}

struct tg_seen *tg_window_at(const struct tg_window *w, uint32_t seq)
{
	assert(seq - w->first < w->end - w->first);
	return &w->ring[seq & w->mask];
}

static void link_in(struct tg_window *w, uint32_t seq)
{
	struct tg_seen *s = &w->ring[seq & w->mask];
	uint32_t *head = &w->places[place_slot(w, s->place)];

	s->place_prev = TG_SEQ_NONE;
	s->place_next = *head;
	if (*head != TG_SEQ_NONE)
		w->ring[*head & w->mask].place_prev = seq;
	*head = seq;
	head = &w->uids[uid_slot(w, s->uid)];
	s->uid_next = *head;
	*head = seq;
}

static void unlink_out(struct tg_window *w, uint32_t seq)
{
	struct tg_seen *s = &w->ring[seq & w->mask];
	uint32_t *at = &w->uids[uid_slot(w, s->uid)];

	if (s->place_prev == TG_SEQ_NONE)
		w->places[place_slot(w, s->place)] = s->place_next;
	else
		w->ring[s->place_prev & w->mask].place_next = s->place_next;
	if (s->place_next != TG_SEQ_NONE)
		w->ring[s->place_next & w->mask].place_prev = s->place_prev;
	while (*at != seq)
		at = &w->ring[*at & w->mask].uid_next;
	*at = s->uid_next;
}

/* A ring of that capacity, with the events renumbered from 0. */
static int rebuild(struct tg_window *w, uint32_t cap)
{
	struct tg_seen *ring = malloc(cap * sizeof(*ring));
	uint32_t *places = malloc(cap * sizeof(*places)), *uids = malloc(cap * sizeof(*uids));
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
	memset(places, 0xff, cap * sizeof(*places));
	memset(uids, 0xff, cap * sizeof(*uids));
	free(w->ring);
	free(w->places);
	free(w->uids);
	w->ring = ring;
	w->places = places;
	w->uids = uids;
	w->mask = cap - 1;
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
	w->reach_rad = radius_m / TG_EARTH_RADIUS_M * (1 + 1e-9) + 1e-12;
	w->band_deg = w->reach_rad * (180 / M_PI);
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
	s->place = place_name(band, cell_of(seen->at.lon, cells_of(w, band)));
	link_in(w, w->end);
	w->budget->used++;
	*ret_seq = w->end++;
	return 0;
}

uint32_t tg_window_find(const struct tg_window *w, const uint8_t uid[16])
{
	uint32_t seq = w->uids[uid_slot(w, uid)];

	while (seq != TG_SEQ_NONE && memcmp(w->ring[seq & w->mask].uid, uid, 16) != 0)
		seq = w->ring[seq & w->mask].uid_next;
	return seq;
}

void tg_window_expire(struct tg_window *w, int64_t before_us)
{
	while (w->first != w->end && w->ring[w->first & w->mask].event_us < before_us) {
		unlink_out(w, w->first);
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
	const struct tg_window *w;
	struct tg_lonlat at;
	int64_t from_us, to_us;
	struct tg_hits *ret;
};

static int query_cell(const struct query *q, uint64_t place)
{
	const struct tg_window *w = q->w;

	for (uint32_t seq = w->places[place_slot(w, place)]; seq != TG_SEQ_NONE;
		seq = w->ring[seq & w->mask].place_next) {
		const struct tg_seen *s = &w->ring[seq & w->mask];

		if (s->place != place || s->event_us < q->from_us || s->event_us > q->to_us ||
			fabs(s->at.lat - q->at.lat) > w->band_deg ||
			tg_geo_distance_m(s->at, q->at) > w->radius_m)
			continue;
		if (add_hit(q->ret, seq))
			return -TG_ENOMEM;
	}
	return 0;
}

/* Half the width in longitude of a disc of the radius around a point at that latitude; a half
 * circle near a pole. */
static double half_width_deg(const struct tg_window *w, double lat)
{
	double up = cos(rad(lat)), reach = sin(w->reach_rad);

	if (fabs(rad(lat)) + w->reach_rad >= M_PI / 2 || reach >= up)
		return 180;
	return asin(reach / up) * (180 / M_PI) + 1e-9;
}

static int query_band(const struct query *q, int64_t band, double half_deg)
{
	int64_t cells = cells_of(q->w, band);
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

int tg_window_query(const struct tg_window *w, struct tg_lonlat at, int64_t from_us, int64_t to_us,
	struct tg_hits *ret)
{
	struct query q = {w, at, from_us, to_us, ret};
	double half_deg = half_width_deg(w, at.lat);
	int64_t band = band_of(w, at.lat);
	int rc = 0;

	ret->len = 0;
	for (int64_t b = band - 1; b <= band + 1 && !rc; b++)
		if (b >= 0 && (double)b * w->band_deg <= 180)
			rc = query_band(&q, b, half_deg);
	return rc;
}

void tg_hits_release(struct tg_hits *hits)
{
	free(hits->seqs);
	*hits = (struct tg_hits){0};
}
