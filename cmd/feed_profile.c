#include "cmd/feed_profile.h"

#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

#define PROFILE_MEMORY_MAX ((size_t)512 << 20)

static const char profile_keys[] =
	"feed file format order only topic time event_id source_id source_kind location type_code "
	"report readings position status attributes";

int feed_state_of(const char *name)
{
	static const char *const names[] = {"online", "offline", "low_battery", "fault"};

	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			return TONGGUAN__V1__DEVICE_STATE__ONLINE + i;
	return -1;
}

int feed_kind_of(const char *name)
{
	int kind;

	return tg_source_kind_parse(tg_slice_cstr(name), &kind) ? kind : -1;
}

static bool is_state(const char *text)
{
	return feed_state_of(text) >= 0;
}

static bool is_kind(const char *text)
{
	return feed_kind_of(text) >= 0;
}

/* Empty is none. */
static bool is_type_code(const char *text)
{
	return !*text || (strlen(text) == 5 && strspn(text, "0123456789") == 5);
}

static bool is_id(const char *text)
{
	return *text && strlen(text) <= TG_EVENT_ID_MAX;
}

static bool is_topic(const char *text)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(text);

	return n > 0 && n < 250 && strspn(text, allowed) == n;
}

/* ---- what identifies an event ---- */

struct wanted_text {
	const char *key;
	struct feed_text *ret;
	bool needed;
	bool (*is_good)(const char *text);
	const char *what;
};

static int read_wanted(struct feed_reader *r, struct tg_yaml *map, const struct wanted_text *want)
{
	struct tg_yaml *node = tg_yaml_get(map, want->key);
	int rc;

	if (!node)
		return want->needed ? feed_need(r, map, want->key, &node) : 0;
	rc = feed_text_read(r, node, want->ret);
	return rc || !want->is_good
		       ? rc
		       : feed_text_check(r, node, want->ret, want->is_good, want->what);
}

static int read_identity(struct feed_reader *r, struct tg_yaml *root, struct feed_profile *p)
{
	const struct wanted_text wanted[] = {
		{"topic", &p->topic, true, is_topic, "the name of a topic"},
		{"event_id", &p->event_id, true, is_id, "an id of 1 to 64 bytes"},
		{"source_id", &p->source_id, true, is_id, "an id of 1 to 64 bytes"},
		{"source_kind", &p->source_kind, true, is_kind,
			"one of sensor, vehicle, inspector, citizen, video, system"},
		{"type_code", &p->type_code, false, is_type_code, "a type code of 5 digits"},
	};
	bool own_ids = p->reading_count > 0;
	int rc = 0;

	/* When every reading brings its own id, that of the profile is not needed. */
	for (size_t i = 0; i < p->reading_count; i++)
		own_ids &= p->readings[i].event_id.given;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]) && !rc; i++) {
		struct wanted_text want = wanted[i];

		if (want.ret == &p->event_id && own_ids)
			want.needed = false;
		if (want.ret == &p->source_id && p->reading_count) {
			want.needed = false;
			for (size_t k = 0; k < p->reading_count; k++)
				want.needed |= !p->readings[k].source_id.given;
		}
		rc = read_wanted(r, root, &want);
	}
	return rc;
}

static int read_time(struct feed_reader *r, struct tg_yaml *root, struct feed_profile *p)
{
	struct tg_yaml *node;
	int rc = feed_need(r, root, "time", &node);

	return rc ? rc : feed_time_read(r, node, &p->time);
}

static int read_only(struct feed_reader *r, struct tg_yaml *root, struct feed_profile *p)
{
	struct tg_yaml *node = tg_yaml_get(root, "only");
	size_t n = 0;

	if (!node)
		return 0;
	if (node->kind != TG_YAML_SEQ)
		return feed_wrong(r, node, "a list of {value, in} is wanted here");
	for (struct tg_yaml *c = node->child; c; c = c->next)
		n++;
	p->only = feed_memory(r, node, n, sizeof(*p->only));
	if (!p->only)
		return -TG_ENOMEM;
	for (struct tg_yaml *c = node->child; c; c = c->next) {
		struct feed_only *only = &p->only[p->only_count++];
		struct tg_yaml *value, *in;
		int rc = feed_check_keys(r, c, "value in");

		if (!rc)
			rc = feed_need(r, c, "value", &value);
		if (!rc)
			rc = feed_need(r, c, "in", &in);
		if (!rc)
			rc = feed_template_read(r, value, &only->value);
		if (!rc)
			rc = feed_texts(r, in, &only->texts, &only->text_count);
		if (rc)
			return rc;
	}
	return 0;
}

static int read_attributes(struct feed_reader *r, struct tg_yaml *root, struct feed_profile *p)
{
	struct tg_yaml *node = tg_yaml_get(root, "attributes");

	if (!node)
		return 0;
	if (node->kind != TG_YAML_MAP)
		return feed_wrong(r, node, "a map is wanted here: {name: text}");
	p->attributes = feed_memory(r, node, FEED_ATTRIBUTES_MAX, sizeof(*p->attributes));
	if (!p->attributes)
		return -TG_ENOMEM;
	for (struct tg_yaml *c = node->child; c; c = c->next) {
		struct feed_attribute *a = &p->attributes[p->attribute_count];
		int rc;

		if (p->attribute_count == FEED_ATTRIBUTES_MAX)
			return feed_wrong_key(
				r, c, "an event has at most %d attributes", FEED_ATTRIBUTES_MAX);
		if (strcmp(c->key, "original_time") == 0)
			return feed_wrong_key(r, c, "original_time is added by the replay itself");
		a->name = c->key;
		rc = feed_text_read(r, c, &a->value);
		if (rc)
			return rc;
		p->attribute_count++;
	}
	return 0;
}

/* ---- what an event says ---- */

static int read_report(struct feed_reader *r, struct tg_yaml *node, struct feed_profile *p)
{
	int rc = feed_check_keys(r, node, "title text reporter_id contact");

	if (!rc)
		rc = feed_text_member(r, node, "title", &p->title);
	if (!rc)
		rc = feed_text_member(r, node, "text", &p->text);
	if (!rc)
		rc = feed_text_member(r, node, "reporter_id", &p->reporter_id);
	if (!rc)
		rc = feed_text_member(r, node, "contact", &p->contact);
	if (!rc && !node->child)
		rc = feed_wrong(
			r, node, "one of title, text, reporter_id and contact at least is wanted");
	return rc;
}

static int read_reading(struct feed_reader *r, struct tg_yaml *node, struct feed_reading *ret)
{
	const struct wanted_text wanted[] = {
		{"metric", &ret->metric, true, NULL, NULL},
		{"unit", &ret->unit, false, NULL, NULL},
		{"quality", &ret->quality, false, NULL, NULL},
		{"event_id", &ret->event_id, false, is_id, "an id of 1 to 64 bytes"},
		{"source_id", &ret->source_id, false, is_id, "an id of 1 to 64 bytes"},
	};
	struct tg_yaml *value;
	int rc = feed_check_keys(r, node, "metric value unit quality source_id event_id location");

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]) && !rc; i++)
		rc = read_wanted(r, node, &wanted[i]);
	if (!rc)
		rc = feed_need(r, node, "value", &value);
	if (!rc)
		rc = feed_number_read(r, value, &ret->value);
	return rc ? rc : feed_place_member(r, node, &ret->place);
}

static int read_readings(struct feed_reader *r, struct tg_yaml *node, struct feed_profile *p)
{
	size_t n = 0;
	int rc = 0;

	if (node->kind != TG_YAML_SEQ || !node->child)
		return feed_wrong(r, node, "a list of {metric, value, unit} is wanted here");
	for (struct tg_yaml *c = node->child; c; c = c->next)
		n++;
	if (n > FEED_READINGS_MAX)
		return feed_wrong(r, node, "a row has at most %d readings", FEED_READINGS_MAX);
	p->readings = feed_memory(r, node, n, sizeof(*p->readings));
	if (!p->readings)
		return -TG_ENOMEM;
	for (struct tg_yaml *c = node->child; c && !rc; c = c->next)
		rc = read_reading(r, c, &p->readings[p->reading_count++]);
	return rc;
}

static int read_position(struct feed_reader *r, struct tg_yaml *node, struct feed_profile *p)
{
	int rc = feed_check_keys(r, node, "speed_kmh heading_deg");

	if (!rc)
		rc = feed_number_member(r, node, "speed_kmh", &p->speed_kmh);
	return rc ? rc : feed_number_member(r, node, "heading_deg", &p->heading_deg);
}

static int read_status(struct feed_reader *r, struct tg_yaml *node, struct feed_profile *p)
{
	const struct wanted_text want = {
		"state", &p->state, true, is_state, "one of online, offline, low_battery, fault"};
	int rc = feed_check_keys(r, node, "state");

	return rc ? rc : read_wanted(r, node, &want);
}

static int read_payload(struct feed_reader *r, struct tg_yaml *root, struct feed_profile *p)
{
	static const struct {
		const char *key;
		int (*read)(struct feed_reader *r, struct tg_yaml *node, struct feed_profile *p);
	} kinds[] = {
		[FEED_REPORT] = {"report", read_report},
		[FEED_READINGS] = {"readings", read_readings},
		[FEED_POSITION] = {"position", read_position},
		[FEED_STATUS] = {"status", read_status},
	};
	struct tg_yaml *found = NULL;

	for (int i = FEED_REPORT; i <= FEED_STATUS; i++) {
		struct tg_yaml *node = tg_yaml_get(root, kinds[i].key);

		if (node && found)
			return feed_wrong_key(r, node,
				"an event says one thing: %s stands already on line %d", found->key,
				found->key_line);
		if (node) {
			found = node;
			p->payload = (enum feed_payload)i;
		}
	}
	if (!found)
		return feed_wrong(
			r, root, "one of the keys report, readings, position, status is missing");
	return kinds[p->payload].read(r, found, p);
}

/* ---- the file ---- */

static int read_name(struct feed_reader *r, struct tg_yaml *root, struct feed_profile *p)
{
	const char *slash = strrchr(r->path, '/'), *own = slash ? slash + 1 : r->path;
	const char *dot = strrchr(own, '.');
	size_t n = dot ? (size_t)(dot - own) : strlen(own);
	struct tg_yaml *node;
	int rc = feed_need(r, root, "feed", &node);

	if (!rc)
		rc = feed_scalar(r, node, &p->name);
	if (!rc && (strlen(p->name) != n || memcmp(p->name, own, n) != 0))
		rc = feed_wrong(r, node, "the feed has the file's own name: %.*s", (int)n, own);
	return rc;
}

static int read_order(struct feed_reader *r, struct tg_yaml *root, struct feed_profile *p)
{
	struct tg_yaml *node = tg_yaml_get(root, "order");
	const char *text = "time";
	int rc = node ? feed_scalar(r, node, &text) : 0;

	p->by_time = strcmp(text, "time") == 0;
	if (!rc && !p->by_time && strcmp(text, "file") != 0)
		rc = feed_wrong(r, node, "time or file is wanted here");
	return rc;
}

/* Opens the rows: from here on columns have a meaning. */
static int read_file(struct feed_reader *r, struct tg_yaml *root, const char *file,
	const enum feed_format *format)
{
	struct tg_yaml *file_node, *format_node;
	struct tg_buf what = {.max = 1024};
	enum feed_format found = FEED_CSV;
	const char *name = NULL, *text = NULL;
	int rc = feed_need(r, root, "file", &file_node);

	if (!rc)
		rc = feed_need(r, root, "format", &format_node);
	if (!rc)
		rc = feed_scalar(r, file_node, &name);
	if (!rc)
		rc = feed_scalar(r, format_node, &text);
	if (!rc && !feed_format_parse(text, &found))
		rc = feed_wrong(r, format_node, "csv, ndjson or geojson is wanted here");
	if (!rc && !file)
		rc = feed_beside(r, file_node, name, &file);
	if (rc)
		return rc;
	if (feed_rows_open(file, format ? *format : found, &r->rows, &what))
		rc = feed_wrong(r, file_node, "%s", what.len ? tg_buf_cstr(&what) : "no memory");
	tg_buf_release(&what);
	return rc;
}

static int read_profile(struct feed_reader *r, struct feed_profile *p, const char *file,
	const enum feed_format *format)
{
	struct tg_yaml *root = p->root;
	int rc = feed_check_keys(r, root, profile_keys);

	if (!rc)
		rc = read_name(r, root, p);
	if (!rc)
		rc = read_order(r, root, p);
	if (!rc)
		rc = read_file(r, root, file, format);
	p->rows = r->rows;
	if (!rc)
		rc = read_only(r, root, p);
	if (!rc)
		rc = read_time(r, root, p);
	if (!rc)
		rc = read_payload(r, root, p);
	if (!rc)
		rc = read_identity(r, root, p);
	if (!rc)
		rc = feed_place_member(r, root, &p->place);
	return rc ? rc : read_attributes(r, root, p);
}

int feed_profile_load(const char *path, const char *file, const enum feed_format *format,
	struct feed_profile **ret, struct tg_buf *why)
{
	struct feed_profile *p = calloc(1, sizeof(*p));
	struct feed_reader r = {.path = path, .why = why};
	int rc;

	if (!p)
		return -TG_ENOMEM;
	p->path = path;
	tg_arena_init(&p->arena, 65536, PROFILE_MEMORY_MAX);
	r.arena = &p->arena;
	rc = tg_yaml_load(path, &p->root, why);
	if (!rc)
		rc = read_profile(&r, p, file, format);
	if (rc)
		feed_profile_free(p);
	else
		*ret = p;
	return rc;
}

void feed_profile_free(struct feed_profile *p)
{
	if (!p)
		return;
	feed_rows_close(p->rows);
	feed_time_release(&p->time);
	tg_yaml_free(p->root);
	tg_arena_release(&p->arena);
	free(p);
}
