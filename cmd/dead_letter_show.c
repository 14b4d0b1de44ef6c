/* tongguan dead-letter show: one refused message whole, as far as it can be read. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cmd/dead_letter.h"
#include "proto/codec.h"
#include "proto/frame.h"

#define BYTES_SHOWN 512
#define ARENA_BLOCK ((size_t)64 << 10)
#define ARENA_MAX   ((size_t)16 << 20)

static const char show_sql[] =
	"SELECT reason, detail, to_char(received_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), key, "
	"value,"
	" headers::text, retried_by, to_char(retried_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
	" retried_offset FROM tongguan.dead_letter"
	" WHERE topic = $1 AND partition = $2::integer AND \"offset\" = $3::bigint";

enum { REASON, DETAIL, RECEIVED, KEY, VALUE, HEADERS, BY, AT, NOW_AT };

/* Text as text, the rest as hex: a terminal must not obey what a stranger sent. */
static void print_bytes(struct tg_slice s)
{
	size_t shown = s.len < BYTES_SHOWN ? s.len : BYTES_SHOWN;
	bool text = tg_utf8_valid(s);

	for (size_t i = 0; text && i < s.len; i++)
		text = !iscntrl((unsigned char)s.data[i]) || s.data[i] == '\n' || s.data[i] == '\t';
	while (text && shown < s.len && ((unsigned char)s.data[shown] & 0xc0) == 0x80)
		shown--; /* not through a character */
	for (size_t i = 0; i < shown; i++)
		printf(text ? "%c" : "%02x", (unsigned char)s.data[i]);
	if (shown < s.len)
		printf("… (%zu bytes more: --raw)", s.len - shown);
	putchar('\n');
}

static void print_headers(const char *text)
{
	json_t *list = json_loads(text, 0, NULL), *header;
	size_t i;

	json_array_foreach (list, i, header) {
		const char *name = json_string_value(json_object_get(header, "name"));
		const char *hex = json_string_value(json_object_get(header, "hex"));
		const char *value = json_string_value(json_object_get(header, "value"));

		printf("header     %s = %s%s\n", name ? name : "?", hex ? "hex " : "",
			hex     ? hex
			: value ? value
				: "(null)");
	}
	json_decref(list);
}

static enum tg_form form_of(const char *headers)
{
	json_t *list = json_loads(headers, 0, NULL), *header;
	enum tg_form form = TG_FORM_PROTOBUF;
	size_t i;

	json_array_foreach (list, i, header) {
		const char *name = json_string_value(json_object_get(header, "name"));
		const char *value = json_string_value(json_object_get(header, "value"));

		if (name && value && strcmp(name, "content-type") == 0)
			form = tg_form_of(tg_slice_cstr(value)); /* the last one counts */
	}
	json_decref(list);
	return form;
}

/* As JSON, laid out; false when memory is out. */
static bool print_event(const tg_event_pb *ev)
{
	struct tg_buf out = {0};
	struct tg_jw w;
	json_t *doc = NULL;
	char *text;

	tg_jw_begin(&w, &out);
	tg_event_json(&w, NULL, ev, /* mask= */ true);
	if (tg_jw_end(&w) == 0)
		doc = json_loadb(out.data, out.len, 0, NULL);
	text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
	if (text)
		puts(text);
	free(text);
	json_decref(doc);
	tg_buf_release(&out);
	return text != NULL;
}

static void print_value(
	const struct dead *d, const char *topic, const char *headers, struct tg_slice value)
{
	static const char *const forms[] = {"protobuf", "JSON", "CloudEvents"};
	enum tg_form form = form_of(headers);
	struct tg_slice inner = value;
	struct tg_arena arena;
	enum tg_reject why = TG_ACCEPT;
	tg_event_pb *ev;

	if (!value.data) {
		puts("value      none: a tombstone");
		return;
	}
	printf("value      %zu bytes, %s\n", value.len, forms[form]);
	tg_arena_init(&arena, ARENA_BLOCK, ARENA_MAX);
	if (tg_frame_topic(d->conf.kafka_framed_topics, topic))
		why = tg_frame_strip(form, value, &inner);
	if (!why)
		why = tg_event_decode(&arena, form, inner, &ev);
	if (!why && print_event(ev))
		goto out;
	printf("cannot be read as an event (%s): ", tg_reject_name(why));
	print_bytes(value);
out:
	tg_arena_release(&arena);
}

static int show(const struct dead *d, const char *topic, const PGresult *res)
{
	struct tg_slice key = dead_bytes(res, 0, KEY), value = dead_bytes(res, 0, VALUE);

	if (d->opt.raw) {
		bool good = fwrite(value.data ? value.data : "", 1, value.len, stdout) == value.len;

		PQfreemem((void *)(uintptr_t)key.data);
		PQfreemem((void *)(uintptr_t)value.data);
		return good ? TG_EXIT_DONE : TG_EXIT_FAILED;
	}
	printf("place      %s\nreason     %s: %s\narrived    %s\n", d->opt.places[0],
		PQgetvalue(res, 0, REASON), PQgetvalue(res, 0, DETAIL),
		PQgetvalue(res, 0, RECEIVED));
	if (PQgetisnull(res, 0, AT))
		puts("sent again never");
	else
		printf("sent again by %s at %s, as offset %s\n", PQgetvalue(res, 0, BY),
			PQgetvalue(res, 0, AT), PQgetvalue(res, 0, NOW_AT));
	if (key.data) {
		printf("key        ");
		print_bytes(key);
	} else {
		puts("key        none");
	}
	print_headers(PQgetvalue(res, 0, HEADERS));
	print_value(d, topic, PQgetvalue(res, 0, HEADERS), value);
	PQfreemem((void *)(uintptr_t)key.data);
	PQfreemem((void *)(uintptr_t)value.data);
	return TG_EXIT_DONE;
}

int dead_show(struct dead *d)
{
	char topic[256], partition[16], offset[24];
	const char *params[] = {topic, partition, offset};
	PGresult *res;
	int rc;

	if (!dead_place(d->opt.places[0], topic, partition, offset))
		return TG_EXIT_USAGE; /* checked before */
	res = dead_run(d, show_sql, params, 3);
	if (!res)
		return TG_EXIT_FAILED;
	rc = PQntuples(res)
		     ? show(d, topic, res)
		     : tg_cmd_fail(DEAD_NAME, "there is no dead letter %s", d->opt.places[0]);
	PQclear(res);
	return rc;
}
