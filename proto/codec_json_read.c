#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "proto/codec_json.h"
#include "proto/codec_json_text.h"
#include "proto/codec_scan.h"

static bool take_null(struct json_reader *r)
{
	return jt_peek(r) == 'n' && jt_word(r, "null");
}

/* Appends to an array in the arena whose room doubles: 1, 2, 4 … so only powers of two move it. */
static bool append(struct json_reader *r, void ***array, size_t *n, void *item)
{
	if ((*n & (*n - 1)) == 0) {
		void **grown = jt_memory(r, (*n ? *n * 2 : 1) * sizeof(void *));

		if (!grown)
			return false;
		if (*n)
			memcpy(grown, *array, *n * sizeof(void *));
		*array = grown;
	}
	(*array)[(*n)++] = item;
	return true;
}

static bool take_strings(struct json_reader *r, char ***ret, size_t *ret_n)
{
	void **items = NULL;
	size_t n = 0;
	bool go = true;
	char *text;

	if (!jt_enter(r, '['))
		return false;
	for (bool first = true;; first = false) {
		if (!jt_more(r, ']', first, &go))
			return false;
		if (!go)
			break;
		if (!jt_string(r, &text) || !append(r, &items, &n, text))
			return false;
	}
	*ret = (char **)items;
	*ret_n = n;
	return true;
}

/* An attribute's value: text, or a number or truth value by its own text. */
static bool take_scalar_text(struct json_reader *r, char **ret)
{
	char c = jt_peek(r);
	struct tg_slice raw = {0};

	if (c == '"')
		return jt_string(r, ret);
	raw.data = r->p;
	if (c == 't' || c == 'f') {
		if (!jt_word(r, "true") && !jt_word(r, "false"))
			return jt_malformed(r);
		raw.len = (size_t)(r->p - raw.data);
	} else if (!jt_pass_number(r, &raw)) {
		return false;
	}
	*ret = tg_arena_strdup(r->arena, raw.data, raw.len);
	return *ret ? true : jt_fail(r, TG_REJECT_too_large);
}

static bool take_attributes(struct json_reader *r, tg_event_pb *ev)
{
	void **items = NULL;
	size_t n = 0;
	bool go = true;

	if (!jt_enter(r, '{'))
		return false;
	for (bool first = true;; first = false) {
		Tongguan__V1__Attribute *a;

		if (!jt_more(r, '}', first, &go))
			return false;
		if (!go)
			break;
		a = jt_memory(r, sizeof(*a));
		if (!a)
			return false;
		tongguan__v1__attribute__init(a);
		if (!jt_string(r, &a->key) || !jt_expect(r, ':'))
			return false;
		if (take_null(r))
			continue;
		if (!take_scalar_text(r, &a->value) || !append(r, &items, &n, a))
			return false;
	}
	ev->attributes = (Tongguan__V1__Attribute **)items;
	ev->n_attributes = n;
	return true;
}

static bool take_time(struct json_reader *r, tg_event_pb *ev)
{
	char *text;

	if (!jt_string(r, &text))
		return false;
	if (tg_rfc3339_parse(tg_slice_cstr(text), &ev->occurred_at_us))
		return jt_malformed(r);
	ev->has_occurred_at_us = true;
	return true;
}

/* Names are the schema's in lower case; other than for source_kind the schema's own spelling is
 * fine too. */
static bool take_enum(struct json_reader *r, const ProtobufCFieldDescriptor *field, int *ret)
{
	const ProtobufCEnumDescriptor *desc = field->descriptor;
	bool lower_only = desc == &tongguan__v1__source_kind__descriptor;
	struct tg_slice raw;
	bool escaped;

	if (jt_peek(r) != '"')
		return jt_fail(r, TG_REJECT_bad_enum);
	if (!jt_pass_string(r, &raw, &escaped))
		return false;
	for (unsigned i = 0; i < desc->n_values; i++) {
		const char *name = desc->values[i].name;

		if (strlen(name) != raw.len || strncasecmp(name, raw.data, raw.len) != 0)
			continue;
		if (lower_only && raw.data[0] < 'a')
			break;
		*ret = desc->values[i].value;
		return true;
	}
	return jt_fail(r, TG_REJECT_bad_enum);
}

static bool take_message(
	struct json_reader *r, const ProtobufCMessageDescriptor *desc, ProtobufCMessage **ret);

static bool take_field(
	struct json_reader *r, ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
	void *at = (char *)msg + field->offset, *has = (char *)msg + field->quantifier_offset;
	bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
	double number;

	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		if (*(void **)at)
			return jt_malformed(r);
		return repeated ? take_strings(r, at, has) : jt_string(r, at);
	case PROTOBUF_C_TYPE_MESSAGE:
		/* Of a oneof's members one may be given, and that once. */
		if (*(void **)at)
			return jt_malformed(r);
		if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
			*(uint32_t *)has = field->id;
		return take_message(r, field->descriptor, at);
	case PROTOBUF_C_TYPE_DOUBLE:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM: break;
	default: return jt_skip(r);
	}
	if (*(protobuf_c_boolean *)has)
		return jt_malformed(r);
	*(protobuf_c_boolean *)has = true;
	if (field->type == PROTOBUF_C_TYPE_ENUM)
		return take_enum(r, field, at);
	if (!jt_double(r, &number))
		return false;
	if (field->type == PROTOBUF_C_TYPE_DOUBLE)
		*(double *)at = number;
	else
		*(float *)at = (float)number; /* too large: infinite, and refused by the check */
	return true;
}

static bool take_event_member(
	struct json_reader *r, tg_event_pb *ev, const char *key, bool *ret_taken)
{
	*ret_taken = true;
	if (!strcmp(key, "occurred_at"))
		return ev->has_occurred_at_us ? jt_malformed(r) : take_time(r, ev);
	if (!strcmp(key, "attributes"))
		return ev->attributes ? jt_malformed(r) : take_attributes(r, ev);
	/* That name belongs to the protobuf form: here it would be a second way to say when. */
	if (!strcmp(key, "occurred_at_us"))
		return jt_skip(r);
	*ret_taken = false;
	return true;
}

static bool take_member(struct json_reader *r, ProtobufCMessage *msg)
{
	const ProtobufCFieldDescriptor *field;
	char key[JSON_KEY_MAX];
	bool taken = false;

	if (!jt_key(r, key))
		return false;
	if (take_null(r))
		return true;
	if (msg->descriptor == &tongguan__v1__event__descriptor &&
		!take_event_member(r, (tg_event_pb *)msg, key, &taken))
		return false;
	if (taken)
		return true;
	field = protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, key);
	return field ? take_field(r, msg, field) : jt_skip(r);
}

static bool take_message(
	struct json_reader *r, const ProtobufCMessageDescriptor *desc, ProtobufCMessage **ret)
{
	ProtobufCMessage *msg;
	bool go = true;

	if (!jt_enter(r, '{'))
		return false;
	msg = jt_memory(r, desc->sizeof_message);
	if (!msg)
		return false;
	protobuf_c_message_init(desc, msg);
	for (bool first = true;; first = false) {
		if (!jt_more(r, '}', first, &go))
			return false;
		if (!go)
			break;
		if (!take_member(r, msg))
			return false;
	}
	*ret = msg;
	return true;
}

struct envelope {
	char *id, *source, *time;
	ProtobufCMessage *data;
};

static bool take_envelope_member(struct json_reader *r, struct envelope *env)
{
	const struct {
		const char *name;
		char **ret;
	} texts[] = {{"id", &env->id}, {"source", &env->source}, {"time", &env->time}};
	char key[JSON_KEY_MAX];

	if (!jt_key(r, key))
		return false;
	if (take_null(r))
		return true;
	if (!strcmp(key, "data"))
		return env->data ? jt_malformed(r)
				 : take_message(r, &tongguan__v1__event__descriptor, &env->data);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!strcmp(key, texts[i].name))
			return *texts[i].ret ? jt_malformed(r) : jt_string(r, texts[i].ret);
	}
	return jt_skip(r);
}

static bool take_envelope(struct json_reader *r, ProtobufCMessage **ret)
{
	struct envelope env = {0};
	tg_event_pb *ev;
	bool go = true;

	if (!jt_enter(r, '{'))
		return false;
	for (bool first = true;; first = false) {
		if (!jt_more(r, '}', first, &go))
			return false;
		if (!go)
			break;
		if (!take_envelope_member(r, &env))
			return false;
	}
	if (!env.data)
		return jt_malformed(r);
	ev = (tg_event_pb *)env.data;
	if (!ev->event_id || !ev->event_id[0])
		ev->event_id = env.id;
	if (!ev->source_id || !ev->source_id[0])
		ev->source_id = env.source;
	if (!ev->has_occurred_at_us && env.time) {
		if (tg_rfc3339_parse(tg_slice_cstr(env.time), &ev->occurred_at_us))
			return jt_malformed(r);
		ev->has_occurred_at_us = true;
	}
	*ret = env.data;
	return true;
}

enum tg_reject tg_event_read_json(
	struct tg_arena *arena, bool envelope, struct tg_slice text, tg_event_pb **ret)
{
	struct json_reader r = {.p = text.data, .end = text.data + text.len, .arena = arena};
	ProtobufCMessage *msg = NULL;

	r.why = tg_scan_text(text);
	if (r.why)
		return r.why;
	if (!(envelope ? take_envelope(&r, &msg)
		       : take_message(&r, &tongguan__v1__event__descriptor, &msg)))
		return r.why;
	jt_peek(&r);
	if (r.p != r.end)
		return TG_REJECT_malformed_json;
	*ret = (tg_event_pb *)msg;
	return TG_ACCEPT;
}
