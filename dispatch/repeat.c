#include "dispatch/repeat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/geo.h"

#define HOUR_US    ((double)TG_US_PER_H)
#define NEAR_M     15.0
#define CROWD_M    30.0
#define OLDEST_M   40.0
#define TIE_M      0.5
#define FAR_M      100.0
#define TABLE_SIZE 16384 /* words counted; the rest count as never seen */

/* --- words --- */

struct word {
	uint64_t hash;
	const char *text; /* into the text */
	size_t len;
};

struct word_list {
	struct word words[TG_REPEAT_WORDS_MAX];
	size_t n;
};

struct tg_repeat_words {
	size_t texts;
	struct {
		uint64_t hash;
		unsigned seen;
	} table[TABLE_SIZE];
};

static uint64_t hash_of(const char *text, size_t len)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		h = (h ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * UINT64_C(1099511628211);
	}
	return h | 1; /* 0: a free place */
}

static bool is_stop_word(const char *text, size_t len)
{
	static const char *const stop[] = {"the", "a", "is", "in", "on", "of", "and", "to", "at",
		"it", "this", "that", "for", "are", "be", "with", "was", "has", "have", "been",
		"there", "not", "from"};

	for (size_t i = 0; i < sizeof(stop) / sizeof(stop[0]); i++)
		if (strlen(stop[i]) == len && !strncasecmp(stop[i], text, len))
			return true;
	return false;
}

static void add_word(struct word_list *list, const char *text, size_t len)
{
	struct word w = {hash_of(text, len), text, len};

	if (list->n == TG_REPEAT_WORDS_MAX || is_stop_word(text, len))
		return;
	for (size_t i = 0; i < list->n; i++)
		if (list->words[i].hash == w.hash)
			return;
	list->words[list->n++] = w;
}

static bool is_latin(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static size_t char_len(const char *p, size_t left)
{
	unsigned char c = (unsigned char)*p;
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return n < left ? n : left;
}

/* Runs of letters and digits; of any other script every two neighbouring characters. */
static void split(struct tg_slice text, struct word_list *list)
{
	size_t i = 0, before = SIZE_MAX;

	list->n = 0;
	while (i < text.len) {
		size_t n = char_len(text.data + i, text.len - i), end = i;

		if (n > 1) {
			if (before != SIZE_MAX)
				add_word(list, text.data + before, i + n - before);
			before = i;
			i += n;
			continue;
		}
		before = SIZE_MAX;
		while (end < text.len && is_latin(text.data[end]))
			end++;
		if (end > i)
			add_word(list, text.data + i, end - i);
		i = end > i ? end : i + 1;
	}
}

static unsigned *seen_of(struct tg_repeat_words *words, uint64_t hash, bool make)
{
	for (size_t probe = 0; probe < 32; probe++) {
		size_t at = (size_t)((hash >> 8) + probe) % TABLE_SIZE;

		if (words->table[at].hash == hash)
			return &words->table[at].seen;
		if (words->table[at].hash)
			continue;
		if (!make)
			return NULL;
		words->table[at].hash = hash;
		return &words->table[at].seen;
	}
	return NULL;
}

int tg_repeat_words_new(const struct tg_slice *texts, size_t n, struct tg_repeat_words **ret)
{
	struct tg_repeat_words *words = calloc(1, sizeof(*words));
	struct word_list list;

	if (!words)
		return -TG_ENOMEM;
	words->texts = n;
	for (size_t i = 0; i < n; i++) {
		split(texts[i], &list);
		for (size_t w = 0; w < list.n; w++) {
			unsigned *seen = seen_of(words, list.words[w].hash, true);

			if (seen)
				++*seen;
		}
	}
	*ret = words;
	return 0;
}

void tg_repeat_words_free(struct tg_repeat_words *words)
{
	free(words);
}

static double rarity(const struct tg_repeat_words *words, uint64_t hash)
{
	const unsigned *seen = seen_of((struct tg_repeat_words *)(uintptr_t)words, hash, false);

	return log(((double)words->texts + 1) / ((seen ? *seen : 0) + 0.5));
}

/* Keeps the rarest shared words, rarest first. */
static void keep_shared(struct tg_repeat *out, double *kept, const struct word *w, double rare)
{
	size_t at =
		out->shared_count < TG_REPEAT_SHARED ? out->shared_count++ : TG_REPEAT_SHARED - 1;
	size_t len = w->len < sizeof(out->shared[0]) ? w->len : sizeof(out->shared[0]) - 1;

	if (at == TG_REPEAT_SHARED - 1 && out->shared_count == TG_REPEAT_SHARED &&
		out->shared[at][0] && kept[at] >= rare)
		return;
	while (at > 0 && kept[at - 1] < rare) {
		memcpy(out->shared[at], out->shared[at - 1], sizeof(out->shared[0]));
		kept[at] = kept[at - 1];
		at--;
	}
	while (len > 0 && len < w->len && ((unsigned char)w->text[len] & 0xc0) == 0x80)
		len--;
	memcpy(out->shared[at], w->text, len);
	out->shared[at][len] = '\0';
	kept[at] = rare;
}

/* Cosine of the two sets of words, each weighed by how rare it is. */
static double likeness(const struct tg_repeat_words *words, const struct word_list *a,
	const struct word_list *b, struct tg_repeat *out)
{
	double both = 0, in_a = 0, in_b = 0, kept[TG_REPEAT_SHARED] = {0};

	for (size_t i = 0; i < a->n; i++) {
		double w = rarity(words, a->words[i].hash);

		in_a += w * w;
		for (size_t j = 0; j < b->n; j++) {
			if (a->words[i].hash != b->words[j].hash)
				continue;
			both += w * w;
			keep_shared(out, kept, &a->words[i], w);
		}
	}
	for (size_t j = 0; j < b->n; j++) {
		double w = rarity(words, b->words[j].hash);

		in_b += w * w;
	}
	return both > 0 ? both / sqrt(in_a * in_b) : 0;
}

/* --- the score --- */

enum tg_lasting tg_lasting_parse(const char *name)
{
	return name && !strcmp(name, "long")    ? TG_LASTING_LONG
	       : name && !strcmp(name, "short") ? TG_LASTING_SHORT
						: TG_LASTING_MIXED;
}

/* Weights that hold for all, and what is added when the new report's type is long, short, mixed. */
static const struct {
	double all, by[3];
} w_distance = {-1.39, {0, 0.14, 0}}, w_age = {-0.23, {0.16, -0.12, 0.12}},
  w_young = {-1.19, {0, 1.44, 0}}, w_same = {0.43, {2.71, 0, 2.35}},
  w_open = {0.94, {2.49, 3.30, 0.54}};
#define W(weight, lasting) ((weight).all + (weight).by[lasting])

#define W_BIAS         (-5.13)
#define W_NEAR         (-0.78) /* within 15 m: read it with the steep distance */
#define W_SAME_PLACE   (-1.38) /* the very same coordinates; likewise */
#define W_SHORT_LONG   1.82    /* new short-lived, earlier long-lived */
#define W_WORDS        1.00
#define W_MERGED       (-1.61)
#define W_JUST_CLOSED  3.45
#define W_CLOSED_HOURS (-0.22)
#define W_NEAREST      0.67
#define W_BEHIND       1.75
#define W_OLDEST       0.86
#define W_COUNT        (-0.73)
#define W_COUNT_NEAR   (-0.37)
#define W_COUNT_YOUNG  0.50

/* What the plausible ones (open, of the same type) have in common. */
struct crowd {
	double nearest_m;
	int64_t oldest_us; /* within 40 m */
	size_t count, near_count, young;
};

static bool plausible(const struct tg_repeat *r)
{
	return r->open && r->same_type;
}

static double hours(int64_t us)
{
	return us > 0 ? (double)us / HOUR_US : 0;
}

static struct crowd look_around(
	const struct tg_report *earlier, size_t n, const struct tg_repeat *out)
{
	struct crowd c = {INFINITY, INT64_MAX, 0, 0, 0};

	for (size_t i = 0; i < n; i++) {
		const struct tg_repeat *r = &out[i];

		if (!plausible(r))
			continue;
		c.count++;
		c.near_count += r->distance_m <= CROWD_M;
		c.young += hours(r->age_us) < 1;
		c.nearest_m = fmin(c.nearest_m, r->distance_m);
		if (r->distance_m < OLDEST_M && earlier[i].reported_us < c.oldest_us)
			c.oldest_us = earlier[i].reported_us;
	}
	return c;
}

static double score_of(const struct tg_report *fresh, const struct tg_report *old,
	const struct tg_repeat *r, const struct crowd *c, int64_t now_us, double cosine)
{
	enum tg_lasting l = fresh->lasting;
	double age = hours(r->age_us), s = W_BIAS;

	s += W(w_distance, l) * log(1 + r->distance_m / 8) + W(w_age, l) * log(1 + 6 * age);
	s += (r->distance_m < NEAR_M) * W_NEAR + r->same_place * W_SAME_PLACE;
	s += (age < 1) * W(w_young, l) + r->same_type * W(w_same, l) + r->open * W(w_open, l);
	s += (l == TG_LASTING_SHORT && old->lasting == TG_LASTING_LONG) * W_SHORT_LONG;
	s += W_WORDS * cosine + old->merged * W_MERGED;
	if (!r->open) {
		double since = hours(now_us - old->closed_us);

		s += (since < 1) * W_JUST_CLOSED + W_CLOSED_HOURS * log(1 + since);
	}
	if (plausible(r)) {
		s += (r->distance_m <= c->nearest_m + TIE_M) * W_NEAREST;
		s += W_BEHIND * fmin(r->distance_m - c->nearest_m, FAR_M) / FAR_M;
		s += (r->distance_m < OLDEST_M && old->reported_us == c->oldest_us) * W_OLDEST;
	}
	return s + W_COUNT * log(1 + (double)c->count) +
	       W_COUNT_NEAR * log(1 + (double)c->near_count) +
	       W_COUNT_YOUNG * log(1 + (double)c->young);
}

void tg_repeat_score(const struct tg_report *fresh, const struct tg_report *earlier, size_t n,
	int64_t now_us, const struct tg_repeat_words *words, struct tg_repeat *out)
{
	struct tg_lonlat here = {fresh->lon, fresh->lat};
	struct word_list mine, theirs;
	struct crowd c;

	for (size_t i = 0; i < n; i++) {
		const struct tg_report *old = &earlier[i];

		out[i] = (struct tg_repeat){.at = i,
			.distance_m =
				tg_geo_distance_m(here, (struct tg_lonlat){old->lon, old->lat}),
			.age_us = fresh->reported_us - old->reported_us,
			.same_type = fresh->type_code && old->type_code &&
				     !strcmp(fresh->type_code, old->type_code),
			.same_place = fresh->lon == old->lon && fresh->lat == old->lat,
			.open = old->closed_us == INT64_MIN};
	}
	c = look_around(earlier, n, out);
	split(tg_slice_cstr(fresh->text ? fresh->text : ""), &mine);
	for (size_t i = 0; i < n; i++) {
		split(tg_slice_cstr(earlier[i].text ? earlier[i].text : ""), &theirs);
		out[i].score = score_of(fresh, &earlier[i], &out[i], &c, now_us,
			likeness(words, &mine, &theirs, &out[i]));
	}
}
