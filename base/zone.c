/* The tg_zone part of clock.h: TZif files of version 2 or later (RFC 8536) and the POSIX rule of
 * their footer, which is all that speaks for times after the last listed transition. */
#include "base/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/zone_rule.h"

#define ZONE_FILE_MAX ((size_t)1 << 20)
#define HEADER_BYTES  44
#define LOCAL_SPAN_S  (26 * 3600) /* no zone is further than this from UTC */

struct tg_zone {
	char *name;
	int64_t *at;     /* transitions, seconds, ascending */
	int32_t *offset; /* in force from at[i] on */
	size_t count;
	int32_t first_offset; /* before at[0] */
	bool has_rule;
	struct tg_zone_rule rule; /* from the last transition on */
};

struct header {
	size_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static int64_t get_be(const char *data, size_t bytes)
{
	uint64_t v = (uint8_t)data[0] & 0x80 ? UINT64_MAX : 0; /* sign-extends */

	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | (uint8_t)data[i];
	return (int64_t)v;
}

static int get_header(struct tg_slice file, size_t at, struct header *ret)
{
	size_t *const fields[] = {&ret->isutcnt, &ret->isstdcnt, &ret->leapcnt, &ret->timecnt,
		&ret->typecnt, &ret->charcnt};

	if (file.len < at + HEADER_BYTES || memcmp(file.data + at, "TZif", 4) != 0)
		return -TG_EPARSE;
	if (file.data[at + 4] < '2')
		return -TG_EPARSE;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		int64_t n = get_be(file.data + at + 20 + 4 * i, 4);

		if (n < 0 || (size_t)n > ZONE_FILE_MAX)
			return -TG_EPARSE;
		*fields[i] = (size_t)n;
	}
	return 0;
}

static size_t body_bytes(const struct header *h, size_t time_bytes)
{
	return h->timecnt * (time_bytes + 1) + h->typecnt * 6 + h->charcnt +
	       h->leapcnt * (time_bytes + 4) + h->isstdcnt + h->isutcnt;
}

static int read_transitions(struct tg_zone *zone, const struct header *h, const char *body)
{
	const char *index = body + h->timecnt * 8, *types = index + h->timecnt;

	zone->at = calloc(h->timecnt + 1, sizeof(*zone->at));
	zone->offset = calloc(h->timecnt + 1, sizeof(*zone->offset));
	if (!zone->at || !zone->offset)
		return -TG_ENOMEM;
	zone->first_offset = (int32_t)get_be(types, 4);
	for (size_t i = 0; i < h->timecnt; i++) {
		uint8_t type = (uint8_t)index[i];

		if (type >= h->typecnt)
			return -TG_EPARSE;
		zone->at[i] = get_be(body + 8 * i, 8);
		zone->offset[i] = (int32_t)get_be(types + 6 * type, 4);
		if (abs(zone->offset[i]) > LOCAL_SPAN_S || (i && zone->at[i] <= zone->at[i - 1]))
			return -TG_EPARSE;
	}
	zone->count = h->timecnt;
	return abs(zone->first_offset) > LOCAL_SPAN_S ? -TG_EPARSE : 0;
}

static int read_file(struct tg_zone *zone, struct tg_slice file)
{
	struct header v1, h;
	size_t at, end;
	int rc;

	rc = get_header(file, 0, &v1);
	if (rc)
		return rc;
	at = HEADER_BYTES + body_bytes(&v1, 4);
	rc = get_header(file, at, &h);
	if (rc)
		return rc;
	at += HEADER_BYTES;
	end = at + body_bytes(&h, 8);
	/* Zones that count leap seconds do not agree with UTC as everybody else counts it. */
	if (end > file.len || h.typecnt == 0 || h.leapcnt != 0)
		return -TG_EPARSE;
	rc = read_transitions(zone, &h, file.data + at);
	if (rc)
		return rc;
	if (file.len < end + 2 || file.data[end] != '\n' || file.data[file.len - 1] != '\n')
		return -TG_EPARSE;
	if (file.len == end + 2)
		return 0; /* no rule: the last offset holds */
	rc = tg_zone_rule_parse(
		(struct tg_slice){file.data + end + 1, file.len - end - 2}, &zone->rule);
	zone->has_rule = rc == 0;
	return rc;
}

static bool is_zone_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_+-/";

	return *name && *name != '/' && strlen(name) < 128 && !name[strspn(name, allowed)];
}

static int find_file(const char *name, struct tg_buf *ret)
{
	const char *dir = getenv("TZDIR");
	struct tg_buf path = {.max = 4096};
	int rc;

	rc = tg_buf_addf(&path, "%s/%s", dir && *dir ? dir : "/usr/share/zoneinfo", name);
	if (!rc)
		rc = tg_buf_cstr(&path) ? tg_buf_read_file(ret, path.data) : -TG_ENOMEM;
	tg_buf_release(&path);
	return rc == -TG_ESYS ? -TG_ENOENT : rc; /* a folder, as "America" is */
}

int tg_zone_load(const char *name, struct tg_zone **ret)
{
	struct tg_buf file = {.max = ZONE_FILE_MAX};
	struct tg_zone *zone = NULL;
	int rc;

	rc = is_zone_name(name) ? find_file(name, &file) : -TG_ENOENT;
	if (rc)
		goto out;
	rc = -TG_ENOMEM;
	zone = calloc(1, sizeof(*zone));
	if (!zone)
		goto out;
	zone->name = strdup(name);
	if (!zone->name)
		goto out;
	rc = read_file(zone, (struct tg_slice){file.data, file.len});
	if (rc)
		goto out;
	*ret = zone;
	zone = NULL;
out:
	tg_zone_free(zone);
	tg_buf_release(&file);
	return rc;
}

void tg_zone_free(struct tg_zone *zone)
{
	if (!zone)
		return;
	free(zone->name);
	free(zone->at);
	free(zone->offset);
	free(zone);
}

const char *tg_zone_name(const struct tg_zone *zone)
{
	return zone->name;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* How many transitions lie at or before s. */
static size_t passed(const struct tg_zone *zone, int64_t s)
{
	size_t low = 0, high = zone->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (zone->at[mid] <= s)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int32_t offset_at(const struct tg_zone *zone, int64_t s)
{
	size_t n = passed(zone, s);

	if (n == zone->count && zone->has_rule)
		return tg_zone_rule_offset_s(&zone->rule, s);
	return n ? zone->offset[n - 1] : zone->first_offset;
}

int32_t tg_zone_offset_s(const struct tg_zone *zone, int64_t us)
{
	return offset_at(zone, floor_div(us, TG_US_PER_S));
}

/* The first transition after s, INT64_MAX when there is none. */
static int64_t next_transition(const struct tg_zone *zone, int64_t s)
{
	size_t n = passed(zone, s);

	if (n < zone->count)
		return zone->at[n];
	return zone->has_rule ? tg_zone_rule_next(&zone->rule, s) : INT64_MAX;
}

/* Walks the stretches of constant offset around the wanted wall time, in order: the first stretch
 * that holds it is the first occurrence; one that begins beyond it means the jump before it skipped
 * the wanted time. */
int64_t tg_zone_from_local(const struct tg_zone *zone, int64_t days, int64_t day_us)
{
	int64_t local_us = days * TG_US_PER_DAY + day_us;
	int64_t from_s = floor_div(local_us, TG_US_PER_S) - LOCAL_SPAN_S;

	for (;;) {
		int64_t us = local_us - offset_at(zone, from_s) * TG_US_PER_S;
		int64_t until_s = next_transition(zone, from_s);

		if (us < from_s * TG_US_PER_S)
			return from_s * TG_US_PER_S;
		if (until_s == INT64_MAX || us < until_s * TG_US_PER_S)
			return us;
		from_s = until_s;
	}
}

void tg_zone_to_local(
	const struct tg_zone *zone, int64_t us, int64_t *ret_days, int64_t *ret_day_us)
{
	int64_t local_us = us + tg_zone_offset_s(zone, us) * TG_US_PER_S;
	int64_t days = floor_div(local_us, TG_US_PER_DAY);

	*ret_days = days;
	*ret_day_us = local_us - days * TG_US_PER_DAY;
}
