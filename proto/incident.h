/* An incident as it travels on tongguan.incidents: JSON, key incident_id, the columns of the view
 * `incidents`. */
#ifndef TG_PROTO_INCIDENT_H
#define TG_PROTO_INCIDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

/* Pointers into the parsed document, which the caller keeps alive. */
struct tg_incident_msg {
	const char *incident_id; /* uuid text */
	const char *rule_id;
	int64_t rule_version;
	const char *domain;      /* pingan, jianguan, shichang, minsheng */
	int64_t severity;        /* 1 (worst) – 4 */
	const char *state;       /* open, cleared, withdrawn, merged */
	const char *merged_into; /* NULL unless merged */
	int64_t revision;
	int64_t first_event_us, last_event_us, detected_us;
	int64_t event_count;
	const char *grid_cell; /* NULL when unknown */
	bool has_place;
	double lon, lat;
	/* from explanation */
	const char *title;     /* NULL: the type's name */
	const char *case_type; /* 5 digits or NULL */
	int64_t condition;     /* filing condition number, 1 by default */
	bool auto_file;
};

/* -TG_EPARSE with what is wrong in why. */
TG_MUST int tg_incident_parse(const json_t *doc, struct tg_incident_msg *ret, struct tg_buf *why);

#endif
