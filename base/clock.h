/* Time. Wall time is int64 microseconds since 1970-01-01T00:00:00Z (…_us); durations come from the
 * monotonic clock (mono_us) and never mix with wall time. Tests set both.
 *
 * A tg_zone is an IANA time zone read from the system's zone files (TZif, RFC 8536). */
#ifndef TG_BASE_CLOCK_H
#define TG_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TG_US_PER_S   INT64_C(1000000)
#define TG_US_PER_MIN (60 * TG_US_PER_S)
#define TG_US_PER_H   (60 * TG_US_PER_MIN)
#define TG_US_PER_DAY (24 * TG_US_PER_H)
/* PostgreSQL counts timestamptz from 2000-01-01. */
#define TG_PG_EPOCH_US INT64_C(946684800000000)

int64_t tg_now_us(void);
int64_t tg_mono_us(void);
/* Tests only: 0 returns to the real clock. */
void tg_clock_set_for_test(int64_t wall_us);

/* Days since 1970-01-01 of a civil date (proleptic Gregorian) and back. month 1–12, day 1–31. */
int64_t tg_days_from_civil(int64_t year, unsigned month, unsigned day);
void tg_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
/* ISO weekday 1 (Monday) – 7 of such a day count. */
unsigned tg_weekday(int64_t days);

/* "2026-11-22T10:27:16.123456Z"; the fraction is left out when it is zero. Needs 28 bytes. */
#define TG_RFC3339_MAX 40
void tg_rfc3339_utc(int64_t us, char out[TG_RFC3339_MAX]);
/* RFC 3339 with zone; fraction up to 9 digits (cut to µs). -TG_EPARSE else. */
TG_MUST int tg_rfc3339_parse(struct tg_slice text, int64_t *ret_us);

struct tg_zone;
TG_MUST int tg_zone_load(const char *name, struct tg_zone **ret); /* -TG_ENOENT: no such zone */
void tg_zone_free(struct tg_zone *zone);
const char *tg_zone_name(const struct tg_zone *zone);
/* Seconds east of UTC in force at that instant. */
int32_t tg_zone_offset_s(const struct tg_zone *zone, int64_t us);
/* Instant of a local wall time given as days since 1970-01-01 and µs into that day (may be ≥ one
 * day: it carries over). A time that occurs twice gives the first; one that a jump skips gives the
 * jump's instant. */
int64_t tg_zone_from_local(const struct tg_zone *zone, int64_t days, int64_t day_us);
/* Local day count and µs into that day at an instant. */
void tg_zone_to_local(
	const struct tg_zone *zone, int64_t us, int64_t *ret_days, int64_t *ret_day_us);
/* RFC 3339 with the zone's own offset. */
void tg_rfc3339_local(const struct tg_zone *zone, int64_t us, char out[TG_RFC3339_MAX]);

#endif
