/* A feed profile: how a row of a file becomes an event. docs/feeds.md describes the format. */
#ifndef TG_CMD_FEED_PROFILE_H
#define TG_CMD_FEED_PROFILE_H

#include "cmd/feed_place.h"
#include "cmd/feed_time.h"
#include "cmd/feed_value.h"

#define FEED_ATTRIBUTES_MAX 31 /* and original_time */
#define FEED_READINGS_MAX   256

enum feed_payload { FEED_REPORT, FEED_READINGS, FEED_POSITION, FEED_STATUS };

struct feed_only {
	struct feed_template value;
	const char *const *texts;
	size_t text_count;
};

struct feed_reading {
	struct feed_text metric, unit, quality;
	struct feed_number value;
	/* When given, instead of the profile's. */
	struct feed_text event_id, source_id;
	struct feed_place place;
};

struct feed_attribute {
	const char *name;
	struct feed_text value;
};

struct feed_profile {
	const char *path, *name;
	struct feed_rows *rows;
	bool by_time; /* order: time */
	struct feed_only *only;
	size_t only_count;
	struct feed_text topic, event_id, source_id, source_kind, type_code;
	struct feed_time time;
	struct feed_place place;
	struct feed_fixed {
		bool given;
		double lon, lat; /* WGS 84 */
	} fixed; /* where what is no report and has no place happens; the caller's to set */
	enum feed_payload payload;
	struct feed_text title, text, reporter_id, contact; /* report */
	struct feed_reading *readings;
	size_t reading_count;
	struct feed_number speed_kmh, heading_deg; /* position */
	struct feed_text state;                    /* status */
	struct feed_attribute *attributes;
	size_t attribute_count;
	struct tg_yaml *root; /* the texts above point into it */
	struct tg_arena arena;
};

/* file and format take the place of the profile's when given. path and file must outlive the
 * profile. Failure: one line in why, with the place in the profile or in the file it names. */
TG_MUST int feed_profile_load(const char *path, const char *file, const enum feed_format *format,
	struct feed_profile **ret, struct tg_buf *why);
void feed_profile_free(struct feed_profile *profile); /* NULL is fine */

/* Both -1 when there is none of that name. Lower case as in the contract. */
int feed_state_of(const char *name);
int feed_kind_of(const char *name);

#endif
