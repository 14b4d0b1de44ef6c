#include "cmd/feed_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/json.h"

#define JSON_LINE_MAX       ((size_t)1 << 20)
#define JSON_COLLECTION_MAX ((size_t)256 << 20)
#define JSON_READ_BYTES     65536
#define JSON_COLUMNS_MAX    256

struct json_column {
	char *name;
	json_t *now;       /* in the object at hand */
	size_t start, end; /* in text, for what is no string */
};

struct feed_json {
	bool collection;
	gzFile file;
	size_t total_bytes;
	struct tg_buf line_text;
	size_t line;
	json_t *root;  /* the collection, or the line's object */
	json_t *array; /* its features */
	json_t *now;   /* the feature */
	struct json_column columns[JSON_COLUMNS_MAX];
	int column_count;
	struct tg_buf text;
};

/* ---- reading ---- */

static int read_whole(struct feed_json *json)
{
	int n;

	do {
		if (tg_buf_reserve(&json->line_text, JSON_READ_BYTES))
			return -TG_EFULL;
		n = gzread(json->file, json->line_text.data + json->line_text.len, JSON_READ_BYTES);
		if (n > 0)
			json->line_text.len += (size_t)n;
	} while (n > 0);
	return n < 0 ? -TG_ESYS : 0;
}

static int load_collection(struct feed_json *json, const char *path, struct tg_buf *why)
{
	struct tg_buf what = {.max = 512};
	const char *type = NULL;
	int rc;

	json->line_text.max = JSON_COLLECTION_MAX;
	rc = read_whole(json);
	if (rc) {
		(void)!tg_buf_addf(why, "%s: %s", path,
			rc == -TG_EFULL ? "a collection may have 256 MiB; give it as NDJSON"
					: "cannot be read");
		return rc;
	}
	rc = tg_json_parse(
		(struct tg_slice){json->line_text.data, json->line_text.len}, &json->root, &what);
	tg_buf_release(&json->line_text);
	if (!rc && (!tg_json_str(json->root, "type", &type, NULL) ||
			   strcmp(type, "FeatureCollection") != 0)) {
		(void)!tg_buf_addf(&what, "it is no FeatureCollection");
		rc = -TG_EPARSE;
	}
	if (!rc) {
		json->array = json_object_get(json->root, "features");
		if (!json_is_array(json->array)) {
			(void)!tg_buf_addf(&what, "it has no features");
			rc = -TG_EPARSE;
		}
	}
	if (rc)
		(void)!tg_buf_addf(why, "%s: %s", path, tg_buf_cstr(&what));
	tg_buf_release(&what);
	return rc;
}

int feed_json_open(const char *path, bool collection, struct feed_json **ret, struct tg_buf *why)
{
	struct feed_json *json = calloc(1, sizeof(*json));
	struct stat st;
	int rc = 0;

	if (!json)
		return -TG_ENOMEM;
	json->collection = collection;
	if (stat(path, &st) || !S_ISREG(st.st_mode) || !(json->file = gzopen(path, "rbe"))) {
		(void)!tg_buf_addf(why, "%s: there is no such file to read", path);
		rc = -TG_ENOENT;
	} else {
		json->total_bytes = (size_t)st.st_size;
		json->line_text.max = JSON_LINE_MAX + JSON_READ_BYTES;
		if (collection)
			rc = load_collection(json, path, why);
	}
	if (rc)
		feed_json_close(json);
	else
		*ret = json;
	return rc;
}

int feed_json_rewind(struct feed_json *json)
{
	json->line = 0;
	return json->collection || gzrewind(json->file) == 0 ? 0 : -TG_ESYS;
}

void feed_json_close(struct feed_json *json)
{
	if (!json)
		return;
	if (json->file)
		gzclose(json->file);
	json_decref(json->root);
	for (int i = 0; i < json->column_count; i++)
		free(json->columns[i].name);
	tg_buf_release(&json->line_text);
	tg_buf_release(&json->text);
	free(json);
}

/* ---- columns ---- */

static bool some_feature_has(const struct feed_json *json, const char *name)
{
	size_t i;
	json_t *feature;

	json_array_foreach (json->array, i, feature)
		if (json_object_get(json_object_get(feature, "properties"), name))
			return true;
	return false;
}

int feed_json_column(struct feed_json *json, const char *name)
{
	int i = 0;

	while (i < json->column_count && strcmp(json->columns[i].name, name) != 0)
		i++;
	if (i < json->column_count)
		return i;
	if (i == JSON_COLUMNS_MAX || (json->collection && !some_feature_has(json, name)))
		return -1;
	json->columns[i].name = strdup(name);
	if (!json->columns[i].name)
		return -1;
	json->column_count++;
	return i;
}

/* A key of that very name goes before a path. */
static json_t *json_at_path(json_t *object, const char *path)
{
	json_t *whole = json_object_get(object, path);
	const char *dot;

	if (whole)
		return whole;
	for (; (dot = strchr(path, '.')); path = dot + 1)
		object = json_object_getn(object, path, (size_t)(dot - path));
	return json_object_get(object, path);
}

static int json_to_text(struct tg_buf *text, const json_t *v)
{
	char *dump;
	int rc;

	switch (json_typeof(v)) {
	case JSON_INTEGER: return tg_buf_addf(text, "%lld", (long long)json_integer_value(v));
	case JSON_REAL: return tg_buf_add_dbl(text, json_real_value(v));
	case JSON_TRUE: return tg_buf_add_cstr(text, "true");
	case JSON_FALSE: return tg_buf_add_cstr(text, "false");
	case JSON_OBJECT:
	case JSON_ARRAY:
		dump = json_dumps(v, JSON_COMPACT);
		rc = dump ? tg_buf_add_cstr(text, dump) : -TG_ENOMEM;
		free(dump);
		return rc;
	case JSON_STRING:
	case JSON_NULL:
	default: return 0;
	}
}

static int take_columns(struct feed_json *json, json_t *object)
{
	tg_buf_reset(&json->text);
	for (int i = 0; i < json->column_count; i++) {
		struct json_column *c = &json->columns[i];
		int rc;

		c->now = json->collection ? json_object_get(object, c->name)
					  : json_at_path(object, c->name);
		c->start = json->text.len;
		rc = c->now ? json_to_text(&json->text, c->now) : 0;
		if (rc)
			return rc;
		c->end = json->text.len;
	}
	return 0;
}

struct tg_slice feed_json_field(const struct feed_json *json, int column)
{
	const struct json_column *c = &json->columns[column];

	if (json_is_string(c->now))
		return (struct tg_slice){json_string_value(c->now), json_string_length(c->now)};
	if (c->end == c->start)
		return TG_SLICE("");
	return (struct tg_slice){json->text.data + c->start, c->end - c->start};
}

/* ---- rows ---- */

static int next_feature(struct feed_json *json, struct feed_fault *fault)
{
	json_t *properties;

	if (json->line == json_array_size(json->array))
		return 0;
	json->now = json_array_get(json->array, json->line++);
	if (!json_is_object(json->now))
		return feed_fault_set(fault, "the feature is no object", "%s", "");
	properties = json_object_get(json->now, "properties");
	return take_columns(json, properties) ? -TG_ENOMEM : 1;
}

/* One line without its end into line_text. 1; 0 at the end; -TG_EPARSE: too long, passed over. */
static int next_line(struct feed_json *json)
{
	struct tg_buf *b = &json->line_text;
	bool too_long = false;

	tg_buf_reset(b);
	for (;;) {
		char *p;
		int status;

		if (tg_buf_reserve(b, JSON_READ_BYTES))
			return -TG_ENOMEM;
		p = gzgets(json->file, b->data + b->len, JSON_READ_BYTES);
		if (!p) {
			gzerror(json->file, &status);
			if (status != Z_OK && status != Z_STREAM_END)
				return -TG_ESYS;
			break;
		}
		/* A NUL in the line ends it here; JSON has none, so the parser will say so. */
		b->len += strlen(p);
		if (b->len && b->data[b->len - 1] == '\n')
			break;
		if (b->len > JSON_LINE_MAX) {
			too_long = true;
			b->len = 0;
		}
	}
	if (b->len || too_long)
		json->line++;
	return too_long ? -TG_EPARSE : b->len > 0;
}

static bool is_blank(const struct tg_buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if (!strchr(" \t\r\n", b->data[i]))
			return false;
	return true;
}

static int next_object(struct feed_json *json, struct feed_fault *fault)
{
	struct tg_buf what = {.max = 256};
	int rc;

	json_decref(json->root);
	json->root = NULL;
	do
		rc = next_line(json);
	while (rc == 1 && is_blank(&json->line_text));
	if (rc == -TG_EPARSE)
		return feed_fault_set(fault, "the line is too long", "%s", "over 1 MiB");
	if (rc < 0)
		(void)!feed_fault_set(fault, "cannot be read to its end", "%s", tg_err_text(rc));
	if (rc <= 0)
		return rc;
	rc = tg_json_parse(
		(struct tg_slice){json->line_text.data, json->line_text.len}, &json->root, &what);
	if (rc)
		rc = feed_fault_set(fault, "the line is no JSON object", "%.100s",
			what.len ? tg_buf_cstr(&what) : "");
	else if (!json_is_object(json->root))
		rc = feed_fault_set(fault, "the line is no JSON object", "%s", "it is an array");
	else
		rc = take_columns(json, json->root) ? -TG_ENOMEM : 1;
	tg_buf_release(&what);
	return rc;
}

int feed_json_next(struct feed_json *json, struct feed_fault *fault)
{
	return json->collection ? next_feature(json, fault) : next_object(json, fault);
}

bool feed_json_point(const struct feed_json *json, double *ret_lon, double *ret_lat)
{
	const json_t *geometry = json_object_get(json->now, "geometry");
	const json_t *at = json_object_get(geometry, "coordinates");
	const char *type = NULL;

	if (!tg_json_str(geometry, "type", &type, NULL) || strcmp(type, "Point") != 0)
		return false;
	if (!json_is_number(json_array_get(at, 0)) || !json_is_number(json_array_get(at, 1)))
		return false;
	*ret_lon = json_number_value(json_array_get(at, 0));
	*ret_lat = json_number_value(json_array_get(at, 1));
	return true;
}

size_t feed_json_line(const struct feed_json *json)
{
	return json->line;
}

double feed_json_share(const struct feed_json *json)
{
	z_off_t done;

	if (json->collection)
		return json_array_size(json->array)
			       ? (double)json->line / (double)json_array_size(json->array)
			       : 1;
	done = gzoffset(json->file);
	return json->total_bytes && done > 0 ? (double)done / (double)json->total_bytes : 0;
}
