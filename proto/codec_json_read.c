#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "proto/codec_json.h"
#include "proto/codec_scan.h"

#define KEY_MAX 64 /* longer member names are none of ours */

/* Every take_…() returns false after setting why; nothing is looked at after that. */
struct reader {
	const char *p, *end;
	struct tg_arena *arena;
	int depth, members;
	enum tg_reject why;
};

static bool fail(struct reader *r, enum tg_reject why)
{
	r->why = why;
	return false;
}

static bool malformed(struct reader *r)
{
	return fail(r, TG_REJECT_malformed_json);
}

static void *take_memory(struct reader *r, size_t n)
{
	void *p = tg_arena_alloc(r->arena, n);

	if (!p)
		fail(r, TG_REJECT_too_large);
	return p;
}

static char peek(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
	return r->p < r->end ? *r->p : 0;
}

static bool expect(struct reader *r, char c)
{
	if (peek(r) != c)
		return malformed(r);
	r->p++;
	return true;
}

static bool word(struct reader *r, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, text, n) != 0)
		return false;
	r->p += n;
	return true;
}

static int hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* \uXXXX after the backslash and u, with its second half when it is a surrogate. */
static bool take_unicode(struct reader *r, char **out)
{
	unsigned char *o = (unsigned char *)*out;
	int high, low;
	unsigned v;

	high = r->end - r->p >= 4 ? hex4(r->p) : -1;
	if (high < 0)
		return malformed(r);
	r->p += 4;
	v = (unsigned)high;
	if (v == 0)
		return fail(r, TG_REJECT_nul_byte);
	if (v >= 0xdc00 && v <= 0xdfff)
		return fail(r, TG_REJECT_bad_utf8);
	if (v >= 0xd800 && v <= 0xdbff) {
		low = r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u' ? hex4(r->p + 2) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(r, TG_REJECT_bad_utf8);
		r->p += 6;
		v = 0x10000 + ((v - 0xd800) << 10) + ((unsigned)low - 0xdc00);
	}
	if (v < 0x80) {
		*o++ = (unsigned char)v;
	} else if (v < 0x800) {
		*o++ = (unsigned char)(0xc0 | v >> 6);
		*o++ = (unsigned char)(0x80 | (v & 0x3f));
	} else if (v < 0x10000) {
		*o++ = (unsigned char)(0xe0 | v >> 12);
		*o++ = (unsigned char)(0x80 | (v >> 6 & 0x3f));
		*o++ = (unsigned char)(0x80 | (v & 0x3f));
	} else {
		*o++ = (unsigned char)(0xf0 | v >> 18);
		*o++ = (unsigned char)(0x80 | (v >> 12 & 0x3f));
		*o++ = (unsigned char)(0x80 | (v >> 6 & 0x3f));
		*o++ = (unsigned char)(0x80 | (v & 0x3f));
	}
	*out = (char *)o;
	return true;
}

static bool take_escape(struct reader *r, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	char c;

	if (r->p == r->end)
		return malformed(r);
	c = *r->p++;
	if (c == 'u')
		return take_unicode(r, out);
	at = c ? strchr(from, c) : NULL;
	if (!at)
		return malformed(r);
	*(*out)++ = to[at - from];
	return true;
}

/* Past a string whose opening quote is next; no copy is made. *ret is the raw text between the
 * quotes. */
static bool pass_string(struct reader *r, struct tg_slice *ret, bool *ret_escaped)
{
	const char *start;

	if (!expect(r, '"'))
		return false;
	*ret_escaped = false;
	for (start = r->p; r->p < r->end && *r->p != '"'; r->p++) {
		if ((unsigned char)*r->p < 0x20)
			return malformed(r);
		if (*r->p == '\\') {
			*ret_escaped = true;
			if (++r->p == r->end)
				return malformed(r);
		}
	}
	if (r->p == r->end)
		return malformed(r);
	*ret = (struct tg_slice){start, (size_t)(r->p - start)};
	r->p++;
	return true;
}

/* Unescapes raw into out, which has room for raw.len + 1 bytes: no escape is shorter than what it
 * stands for. */
static bool unescape(struct reader *r, struct tg_slice raw, char *out)
{
	struct reader inner = {.p = raw.data, .end = raw.data + raw.len};

	while (inner.p < inner.end) {
		if (*inner.p != '\\') {
			*out++ = *inner.p++;
			continue;
		}
		inner.p++;
		if (!take_escape(&inner, &out))
			return fail(r, inner.why);
	}
	*out = 0;
	return true;
}

static bool take_string(struct reader *r, char **ret)
{
	struct tg_slice raw;
	bool escaped;
	char *copy;

	if (!pass_string(r, &raw, &escaped))
		return false;
	copy = take_memory(r, raw.len + 1);
	if (!copy)
		return false;
	if (escaped && !unescape(r, raw, copy))
		return false;
	if (!escaped) {
		memcpy(copy, raw.data, raw.len);
		copy[raw.len] = 0;
	}
	*ret = copy;
	return true;
}

static size_t digits(struct reader *r)
{
	const char *start = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - start);
}

/* The text of one JSON number. The words other writers use for what JSON cannot say are named as
 * such. */
static bool pass_number(struct reader *r, struct tg_slice *ret)
{
	const char *start;

	peek(r);
	start = r->p;
	if (word(r, "NaN") || word(r, "Infinity") || word(r, "-Infinity"))
		return fail(r, TG_REJECT_not_finite);
	if (r->p < r->end && *r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0')
		r->p++;
	else if (digits(r) == 0)
		return malformed(r);
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (digits(r) == 0)
			return malformed(r);
	}
	if (r->p < r->end && (*r->p | 0x20) == 'e') {
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (digits(r) == 0)
			return malformed(r);
	}
	*ret = (struct tg_slice){start, (size_t)(r->p - start)};
	return true;
}

static bool take_double(struct reader *r, double *ret)
{
	struct tg_slice text;
	char small[40], *copy = small;

	if (!pass_number(r, &text))
		return false;
	if (text.len >= sizeof(small)) {
		copy = take_memory(r, text.len + 1);
		if (!copy)
			return false;
	}
	memcpy(copy, text.data, text.len);
	copy[text.len] = 0;
	*ret = strtod(copy, NULL);
	return isfinite(*ret) ? true : fail(r, TG_REJECT_not_finite);
}

static bool enter(struct reader *r, char open)
{
	if (!expect(r, open))
		return false;
	return ++r->depth <= TG_EVENT_DEPTH_MAX ? true : fail(r, TG_REJECT_too_deep);
}

/* Before each element: *ret_more says whether there is one. first is true for the first call. */
static bool more(struct reader *r, char close, bool first, bool *ret_more)
{
	char c = peek(r);

	if (c == close) {
		r->p++;
		r->depth--;
		*ret_more = false;
		return true;
	}
	if (!first && !expect(r, ','))
		return false;
	if (++r->members > TG_EVENT_FIELDS_MAX)
		return fail(r, TG_REJECT_too_many_fields);
	*ret_more = true;
	return true;
}

/* A member's name and colon; a name too long to be ours reads as "". */
static bool take_key(struct reader *r, char key[KEY_MAX])
{
	struct tg_slice raw;
	bool escaped;

	if (!pass_string(r, &raw, &escaped))
		return false;
	key[0] = 0;
	if (raw.len < KEY_MAX && !unescape(r, raw, key))
		return false;
	return expect(r, ':');
}

static bool skip_value(struct reader *r);

static bool skip_inside(struct reader *r, char close)
{
	char key[KEY_MAX];
	bool go = true;

	for (bool first = true;; first = false) {
		if (!more(r, close, first, &go))
			return false;
		if (!go)
			return true;
		if (close == '}' && !take_key(r, key))
			return false;
		if (!skip_value(r))
			return false;
	}
}

static bool skip_value(struct reader *r)
{
	struct tg_slice text;
	bool escaped;

	switch (peek(r)) {
	case '{': return enter(r, '{') && skip_inside(r, '}');
	case '[': return enter(r, '[') && skip_inside(r, ']');
	case '"': return pass_string(r, &text, &escaped);
	case 't': return word(r, "true") ? true : malformed(r);
	case 'f': return word(r, "false") ? true : malformed(r);
	case 'n': return word(r, "null") ? true : malformed(r);
	default: return pass_number(r, &text);
	}
}

static bool take_null(struct reader *r)
{
	return peek(r) == 'n' && word(r, "null");
}

/* Appends to an array in the arena whose room doubles: 1, 2, 4 … so only powers of two move it. */
static bool append(struct reader *r, void ***array, size_t *n, void *item)
{
	if ((*n & (*n - 1)) == 0) {
		void **grown = take_memory(r, (*n ? *n * 2 : 1) * sizeof(void *));

		if (!grown)
			return false;
		if (*n)
			memcpy(grown, *array, *n * sizeof(void *));
		*array = grown;
	}
	(*array)[(*n)++] = item;
	return true;
}

static bool take_strings(struct reader *r, char ***ret, size_t *ret_n)
{
	void **items = NULL;
	size_t n = 0;
	bool go = true;
	char *text;

	if (!enter(r, '['))
		return false;
	for (bool first = true;; first = false) {
		if (!more(r, ']', first, &go))
			return false;
		if (!go)
			break;
		if (!take_string(r, &text) || !append(r, &items, &n, text))
			return false;
	}
	*ret = (char **)items;
	*ret_n = n;
	return true;
}

/* An attribute's value: text, or a number or truth value by its own text. */
static bool take_scalar_text(struct reader *r, char **ret)
{
	char c = peek(r);
	struct tg_slice raw = {0};

	if (c == '"')
		return take_string(r, ret);
	raw.data = r->p;
	if (c == 't' || c == 'f') {
		if (!word(r, "true") && !word(r, "false"))
			return malformed(r);
		raw.len = (size_t)(r->p - raw.data);
	} else if (!pass_number(r, &raw)) {
		return false;
	}
	*ret = tg_arena_strdup(r->arena, raw.data, raw.len);
	return *ret ? true : fail(r, TG_REJECT_too_large);
}

static bool take_attributes(struct reader *r, tg_event_pb *ev)
{
	void **items = NULL;
	size_t n = 0;
	bool go = true;

	if (!enter(r, '{'))
		return false;
	for (bool first = true;; first = false) {
		Tongguan__V1__Attribute *a;

		if (!more(r, '}', first, &go))
			return false;
		if (!go)
			break;
		a = take_memory(r, sizeof(*a));
		if (!a)
			return false;
		tongguan__v1__attribute__init(a);
		if (!take_string(r, &a->key) || !expect(r, ':'))
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

static bool take_time(struct reader *r, tg_event_pb *ev)
{
	char *text;

	if (!take_string(r, &text))
		return false;
	if (tg_rfc3339_parse(tg_slice_cstr(text), &ev->occurred_at_us))
		return malformed(r);
	ev->has_occurred_at_us = true;
	return true;
}

/* Names are the schema's in lower case; other than for source_kind the schema's own spelling is
 * fine too. */
static bool take_enum(struct reader *r, const ProtobufCFieldDescriptor *field, int *ret)
{
	const ProtobufCEnumDescriptor *desc = field->descriptor;
	bool lower_only = desc == &tongguan__v1__source_kind__descriptor;
	struct tg_slice raw;
	bool escaped;

	if (peek(r) != '"')
		return fail(r, TG_REJECT_bad_enum);
	if (!pass_string(r, &raw, &escaped))
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
	return fail(r, TG_REJECT_bad_enum);
}

static bool take_message(
	struct reader *r, const ProtobufCMessageDescriptor *desc, ProtobufCMessage **ret);

static bool take_field(
	struct reader *r, ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
	void *at = (char *)msg + field->offset, *has = (char *)msg + field->quantifier_offset;
	bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
	double number;

	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		if (*(void **)at)
			return malformed(r);
		return repeated ? take_strings(r, at, has) : take_string(r, at);
	case PROTOBUF_C_TYPE_MESSAGE:
		/* Of a oneof's members one may be given, and that once. */
		if (*(void **)at)
			return malformed(r);
		if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
			*(uint32_t *)has = field->id;
		return take_message(r, field->descriptor, at);
	case PROTOBUF_C_TYPE_DOUBLE:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM: break;
	default: return skip_value(r);
	}
	if (*(protobuf_c_boolean *)has)
		return malformed(r);
	*(protobuf_c_boolean *)has = true;
	if (field->type == PROTOBUF_C_TYPE_ENUM)
		return take_enum(r, field, at);
	if (!take_double(r, &number))
		return false;
	if (field->type == PROTOBUF_C_TYPE_DOUBLE)
		*(double *)at = number;
	else
		*(float *)at = (float)number; /* too large: infinite, and refused by the check */
	return true;
}

static bool take_event_member(struct reader *r, tg_event_pb *ev, const char *key, bool *ret_taken)
{
	*ret_taken = true;
	if (!strcmp(key, "occurred_at"))
		return ev->has_occurred_at_us ? malformed(r) : take_time(r, ev);
	if (!strcmp(key, "attributes"))
		return ev->attributes ? malformed(r) : take_attributes(r, ev);
	/* That name belongs to the protobuf form: here it would be a second way to say when. */
	if (!strcmp(key, "occurred_at_us"))
		return skip_value(r);
	*ret_taken = false;
	return true;
}

static bool take_member(struct reader *r, ProtobufCMessage *msg)
{
	const ProtobufCFieldDescriptor *field;
	char key[KEY_MAX];
	bool taken = false;

	if (!take_key(r, key))
		return false;
	if (take_null(r))
		return true;
	if (msg->descriptor == &tongguan__v1__event__descriptor &&
		!take_event_member(r, (tg_event_pb *)msg, key, &taken))
		return false;
	if (taken)
		return true;
	field = protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, key);
	return field ? take_field(r, msg, field) : skip_value(r);
}

static bool take_message(
	struct reader *r, const ProtobufCMessageDescriptor *desc, ProtobufCMessage **ret)
{
	ProtobufCMessage *msg;
	bool go = true;

	if (!enter(r, '{'))
		return false;
	msg = take_memory(r, desc->sizeof_message);
	if (!msg)
		return false;
	protobuf_c_message_init(desc, msg);
	for (bool first = true;; first = false) {
		if (!more(r, '}', first, &go))
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

static bool take_envelope_member(struct reader *r, struct envelope *env)
{
	const struct {
		const char *name;
		char **ret;
	} texts[] = {{"id", &env->id}, {"source", &env->source}, {"time", &env->time}};
	char key[KEY_MAX];

	if (!take_key(r, key))
		return false;
	if (take_null(r))
		return true;
	if (!strcmp(key, "data"))
		return env->data ? malformed(r)
				 : take_message(r, &tongguan__v1__event__descriptor, &env->data);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!strcmp(key, texts[i].name))
			return *texts[i].ret ? malformed(r) : take_string(r, texts[i].ret);
	}
	return skip_value(r);
}

static bool take_envelope(struct reader *r, ProtobufCMessage **ret)
{
	struct envelope env = {0};
	tg_event_pb *ev;
	bool go = true;

	if (!enter(r, '{'))
		return false;
	for (bool first = true;; first = false) {
		if (!more(r, '}', first, &go))
			return false;
		if (!go)
			break;
		if (!take_envelope_member(r, &env))
			return false;
	}
	if (!env.data)
		return malformed(r);
	ev = (tg_event_pb *)env.data;
	if (!ev->event_id || !ev->event_id[0])
		ev->event_id = env.id;
	if (!ev->source_id || !ev->source_id[0])
		ev->source_id = env.source;
	if (!ev->has_occurred_at_us && env.time) {
		if (tg_rfc3339_parse(tg_slice_cstr(env.time), &ev->occurred_at_us))
			return malformed(r);
		ev->has_occurred_at_us = true;
	}
	*ret = env.data;
	return true;
}

enum tg_reject tg_event_read_json(
	struct tg_arena *arena, bool envelope, struct tg_slice text, tg_event_pb **ret)
{
	struct reader r = {.p = text.data, .end = text.data + text.len, .arena = arena};
	ProtobufCMessage *msg = NULL;

	r.why = tg_scan_text(text);
	if (r.why)
		return r.why;
	if (!(envelope ? take_envelope(&r, &msg)
		       : take_message(&r, &tongguan__v1__event__descriptor, &msg)))
		return r.why;
	peek(&r);
	if (r.p != r.end)
		return TG_REJECT_malformed_json;
	*ret = (tg_event_pb *)msg;
	return TG_ACCEPT;
}
