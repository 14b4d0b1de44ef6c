#include "proto/incident.h"

#include <string.h>

#include "base/clock.h"

struct field_reader {
	const json_t *doc;
	struct tg_buf *why;
	int rc;
};

static void wrong(struct field_reader *r, const char *key, const char *what)
{
	if (r->rc)
		return;
	r->rc = -TG_EPARSE;
	/* The reason is for a log line: when memory is out the code alone has to do. */
	if (tg_buf_addf(r->why, "%s: %s", key, what))
		r->rc = -TG_EPARSE;
}

static const char *text(struct field_reader *r, const json_t *obj, const char *key, bool needed)
{
	const char *v = NULL;
	bool bad = false;

	if (!tg_json_str(obj, key, &v, &bad) && (bad || needed))
		wrong(r, key, bad ? "must be text" : "is missing");
	return v;
}

static int64_t number(
	struct field_reader *r, const json_t *obj, const char *key, bool needed, int64_t absent)
{
	int64_t v = absent;
	bool bad = false;

	if (!tg_json_int(obj, key, &v, &bad) && (bad || needed))
		wrong(r, key, bad ? "must be a whole number" : "is missing");
	return v;
}

static int64_t instant(struct field_reader *r, const char *key)
{
	const char *v = text(r, r->doc, key, true);
	int64_t us = 0;

	if (v && tg_rfc3339_parse(tg_slice_cstr(v), &us))
		wrong(r, key, "must be an RFC 3339 time");
	return us;
}

static bool one_of(const char *v, const char *const *names)
{
	for (; v && *names; names++) {
		if (!strcmp(v, *names))
			return true;
	}
	return false;
}

/* geom: {"type":"Point","coordinates":[lon,lat]}, null or absent. */
static void place(struct field_reader *r, struct tg_incident_msg *m)
{
	const json_t *geom = json_object_get(r->doc, "geom"), *at;

	if (!geom || json_is_null(geom))
		return;
	at = json_object_get(geom, "coordinates");
	if (!json_is_array(at) || json_array_size(at) < 2 ||
		!json_is_number(json_array_get(at, 0)) || !json_is_number(json_array_get(at, 1))) {
		wrong(r, "geom", "must be a GeoJSON point");
		return;
	}
	m->lon = json_number_value(json_array_get(at, 0));
	m->lat = json_number_value(json_array_get(at, 1));
	m->has_place = true;
}

static void explanation(struct field_reader *r, struct tg_incident_msg *m)
{
	const json_t *obj = json_object_get(r->doc, "explanation");
	bool bad = false;

	m->condition = 1;
	if (!obj || json_is_null(obj))
		return;
	if (!json_is_object(obj)) {
		wrong(r, "explanation", "must be an object");
		return;
	}
	m->title = text(r, obj, "title", false);
	m->case_type = text(r, obj, "case_type", false);
	m->condition = number(r, obj, "condition", false, 1);
	if (!tg_json_bool(obj, "auto_file", &m->auto_file, &bad) && bad)
		wrong(r, "auto_file", "must be true or false");
}

int tg_incident_parse(const json_t *doc, struct tg_incident_msg *ret, struct tg_buf *why)
{
	static const char *const domains[] = {"pingan", "jianguan", "shichang", "minsheng", NULL};
	static const char *const states[] = {"open", "cleared", "withdrawn", "merged", NULL};
	struct field_reader r = {.doc = doc, .why = why};
	struct tg_incident_msg m = {0};

	if (!json_is_object(doc)) {
		wrong(&r, "incident", "must be an object");
		return r.rc;
	}
	m.incident_id = text(&r, doc, "incident_id", true);
	m.rule_id = text(&r, doc, "rule_id", true);
	m.rule_version = number(&r, doc, "rule_version", true, 0);
	m.domain = text(&r, doc, "domain", true);
	m.severity = number(&r, doc, "severity", true, 0);
	m.state = text(&r, doc, "state", true);
	m.merged_into = text(&r, doc, "merged_into", false);
	m.revision = number(&r, doc, "revision", true, 0);
	m.first_event_us = instant(&r, "first_event_at");
	m.last_event_us = instant(&r, "last_event_at");
	m.detected_us = instant(&r, "detected_at");
	m.event_count = number(&r, doc, "event_count", true, 0);
	m.grid_cell = text(&r, doc, "grid_cell", false);
	place(&r, &m);
	explanation(&r, &m);
	if (m.domain && !one_of(m.domain, domains))
		wrong(&r, "domain", "is none of pingan, jianguan, shichang, minsheng");
	if (m.state && !one_of(m.state, states))
		wrong(&r, "state", "is none of open, cleared, withdrawn, merged");
	if (m.severity < 1 || m.severity > 4)
		wrong(&r, "severity", "lies between 1 and 4");
	if (!r.rc)
		*ret = m;
	return r.rc;
}
