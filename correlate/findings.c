#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/findings.h"

/* Makes room for one more; false (and f->rc) when memory is out. */
static bool room(struct tg_findings *f, void **items, size_t len, size_t *cap, size_t size)
{
	if (f->rc)
		return false;
	if (len == *cap) {
		size_t more = *cap ? *cap * 2 : 64;
		void *fresh = realloc(*items, more * size);

		if (!fresh) {
			f->rc = -TG_ENOMEM;
			return false;
		}
		*items = fresh;
		*cap = more;
	}
	return true;
}

void tg_findings_release(struct tg_findings *f)
{
	free(f->nodes);
	free(f->singles);
	free(f->slots);
	free(f->traces);
	free(f->stories);
	free(f->spans);
	free(f->words);
	*f = (struct tg_findings){0};
}

void tg_findings_reset(struct tg_findings *f)
{
	if (f->len)
		memset(f->slots, 0, f->slots_cap * sizeof(*f->slots));
	f->len = f->singles_len = f->traces_len = 0;
	f->stories_len = f->spans_len = f->words_len = 0;
	f->rc = 0;
}

bool tg_findings_empty(const struct tg_findings *f)
{
	return f->len == 0 && f->singles_len == 0 && f->stories_len == 0;
}

void tg_findings_trigger(struct tg_findings *f, struct tg_slice traceparent)
{
	char *to;

	if (!room(f, (void **)&f->traces, f->traces_len, &f->traces_cap, TG_TRACE_MAX))
		return;
	to = f->traces[f->traces_len++];
	if (traceparent.len >= TG_TRACE_MAX)
		traceparent.len = 0;
	if (traceparent.len)
		memcpy(to, traceparent.data, traceparent.len);
	to[traceparent.len] = '\0';
}

void tg_findings_single(struct tg_findings *f, uint32_t rule, const struct tg_seen *seen)
{
	if (room(f, (void **)&f->singles, f->singles_len, &f->singles_cap, sizeof(*f->singles)))
		f->singles[f->singles_len++] =
			(struct tg_single){rule, *seen, (uint32_t)f->traces_len};
}

static size_t slot_of(const struct tg_findings *f, uint32_t rule, const uint8_t uid[16])
{
	uint64_t tail;
	size_t at;

	memcpy(&tail, uid + 8, sizeof(tail));
	at = (size_t)((tail ^ rule) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (f->slots_cap - 1);
	while (f->slots[at]) {
		const struct tg_finding *n = &f->nodes[f->slots[at] - 1];

		if (n->rule == rule && memcmp(n->seen.uid, uid, 16) == 0)
			break;
		at = (at + 1) & (f->slots_cap - 1);
	}
	return at;
}

static bool grow_slots(struct tg_findings *f)
{
	size_t cap = f->slots_cap ? f->slots_cap * 2 : 256;
	uint32_t *slots = calloc(cap, sizeof(*slots));

	if (!slots) {
		f->rc = -TG_ENOMEM;
		return false;
	}
	free(f->slots);
	f->slots = slots;
	f->slots_cap = cap;
	for (size_t i = 0; i < f->len; i++)
		slots[slot_of(f, f->nodes[i].rule, f->nodes[i].seen.uid)] = (uint32_t)i + 1;
	return true;
}

/* TG_SEQ_NONE when memory is out. */
static uint32_t node_of(struct tg_findings *f, uint32_t rule, const struct tg_seen *seen)
{
	size_t at;

	if (f->len * 2 >= f->slots_cap && !grow_slots(f))
		return TG_SEQ_NONE;
	at = slot_of(f, rule, seen->uid);
	if (f->slots[at])
		return f->slots[at] - 1;
	if (!room(f, (void **)&f->nodes, f->len, &f->cap, sizeof(*f->nodes)))
		return TG_SEQ_NONE;
	f->nodes[f->len] = (struct tg_finding){.rule = rule,
		.seen = *seen,
		.parent = (uint32_t)f->len,
		.trigger = (uint32_t)f->traces_len};
	f->nodes[f->len].seen.core = false;
	f->slots[at] = (uint32_t)++f->len;
	return (uint32_t)f->len - 1;
}

static uint32_t root_of(const struct tg_findings *f, uint32_t node)
{
	while (f->nodes[node].parent != node) {
		f->nodes[node].parent = f->nodes[f->nodes[node].parent].parent;
		node = f->nodes[node].parent;
	}
	return node;
}

void tg_findings_link(struct tg_findings *f, uint32_t rule, const struct tg_seen *core,
	const struct tg_seen *member)
{
	uint32_t a = node_of(f, rule, core), b = member ? node_of(f, rule, member) : a;

	if (a == TG_SEQ_NONE || b == TG_SEQ_NONE)
		return;
	f->nodes[a].seen.core = true;
	a = root_of(f, a);
	b = root_of(f, b);
	f->nodes[a].many |= f->nodes[b].many || f->nodes[a].trigger != f->nodes[b].trigger ||
			    f->nodes[a].trigger != (uint32_t)f->traces_len;
	f->nodes[b].parent = a;
}

void tg_findings_story(struct tg_findings *f, const struct tg_story *story)
{
	if (!room(f, (void **)&f->stories, f->stories_len, &f->stories_cap, sizeof(*f->stories)))
		return;
	f->stories[f->stories_len] = *story;
	f->stories[f->stories_len].spans = (uint32_t)f->spans_len;
	f->stories[f->stories_len++].spans_len = 0;
}

void tg_findings_span(struct tg_findings *f, const struct tg_span *span)
{
	if (!room(f, (void **)&f->spans, f->spans_len, &f->spans_cap, sizeof(*f->spans)))
		return;
	f->spans[f->spans_len++] = (struct tg_told_span){.raised_us = span->raised_us,
		.cleared_us = span->cleared_us,
		.cleared_value = span->cleared_value,
		.continued = span->continued,
		.words = (uint32_t)f->words_len};
	f->stories[f->stories_len - 1].spans_len++;
}

void tg_findings_word(struct tg_findings *f, const struct tg_word *word)
{
	if (!room(f, (void **)&f->words, f->words_len, &f->words_cap, sizeof(*f->words)))
		return;
	f->words[f->words_len++] = *word;
	f->spans[f->spans_len - 1].words_len++;
}

size_t tg_findings_groups(struct tg_findings *f, uint32_t *heads)
{
	size_t n = 0;

	for (size_t i = 0; i < f->len; i++)
		f->nodes[i].next = TG_SEQ_NONE;
	for (size_t i = 0; i < f->len; i++) {
		uint32_t root = root_of(f, (uint32_t)i);

		if (root == i) {
			heads[n++] = root;
		} else {
			f->nodes[i].next = f->nodes[root].next;
			f->nodes[root].next = (uint32_t)i;
		}
	}
	return n;
}

const char *tg_findings_trace(const struct tg_findings *f, uint32_t node)
{
	const struct tg_finding *root = &f->nodes[root_of(f, node)];

	if (root->many || root->trigger == 0 || !f->traces[root->trigger - 1][0])
		return NULL;
	return f->traces[root->trigger - 1];
}

static void uid_text(const uint8_t uid[16], char out[33])
{
	tg_hex(uid, 16, out);
}

static void write_seen(struct tg_jw *w, const struct tg_seen *seen)
{
	char text[33], type[12];

	uid_text(seen->uid, text);
	tg_jw_str(w, "u", text);
	tg_jw_int(w, "t", seen->event_us);
	snprintf(type, sizeof(type), "%05u", seen->type);
	tg_jw_str(w, "y", seen->type == TG_TYPE_NONE ? NULL : type);
	tg_jw_dbl(w, "x", seen->at.lon);
	tg_jw_dbl(w, "l", seen->at.lat);
	tg_jw_str(w, "c", seen->cell);
	tg_jw_int(w, "p", (int64_t)seen->reporter);
}

static void write_singles(
	struct tg_jw *w, const struct tg_findings *f, const struct tg_ruleset *rules)
{
	tg_jw_array(w, "singles");
	for (size_t i = 0; i < f->singles_len; i++) {
		const struct tg_single *s = &f->singles[i];
		const char *trace = s->trigger ? f->traces[s->trigger - 1] : "";

		tg_jw_object(w, NULL);
		tg_jw_str(w, "r", rules->rules[s->rule]->id);
		write_seen(w, &s->seen);
		tg_jw_str(w, "tp", trace[0] ? trace : NULL);
		tg_jw_object_end(w);
	}
	tg_jw_array_end(w);
}

static void write_group(
	struct tg_jw *w, const struct tg_findings *f, const struct tg_ruleset *rules, uint32_t head)
{
	tg_jw_object(w, NULL);
	tg_jw_str(w, "rule", rules->rules[f->nodes[head].rule]->id);
	tg_jw_str(w, "tp", tg_findings_trace(f, head));
	tg_jw_array(w, "members");
	for (uint32_t at = head; at != TG_SEQ_NONE; at = f->nodes[at].next) {
		tg_jw_object(w, NULL);
		write_seen(w, &f->nodes[at].seen);
		tg_jw_bool(w, "k", f->nodes[at].seen.core);
		tg_jw_object_end(w);
	}
	tg_jw_array_end(w);
	tg_jw_object_end(w);
}

static void write_word(struct tg_jw *w, const struct tg_word *word)
{
	char text[33], type[12];

	uid_text(word->uid, text);
	snprintf(type, sizeof(type), "%05u", word->type);
	tg_jw_object(w, NULL);
	tg_jw_str(w, "u", text);
	tg_jw_int(w, "t", word->event_us);
	tg_jw_dbl(w, "v", word->value);
	tg_jw_str(w, "y", word->type == TG_TYPE_NONE ? NULL : type);
	tg_jw_dbl(w, "x", word->at.lon);
	tg_jw_dbl(w, "l", word->at.lat);
	tg_jw_str(w, "c", word->cell);
	tg_jw_object_end(w);
}

static void write_span(
	struct tg_jw *w, const struct tg_findings *f, const struct tg_told_span *span)
{
	tg_jw_object(w, NULL);
	tg_jw_int(w, "r", span->raised_us);
	if (span->cleared_us == TG_SPAN_OPEN)
		tg_jw_null(w, "c");
	else
		tg_jw_int(w, "c", span->cleared_us);
	tg_jw_dbl(w, "cv", span->cleared_value);
	tg_jw_bool(w, "on", span->continued);
	tg_jw_array(w, "m");
	for (uint32_t i = 0; i < span->words_len; i++)
		write_word(w, &f->words[span->words + i]);
	tg_jw_array_end(w);
	tg_jw_object_end(w);
}

static void write_stories(
	struct tg_jw *w, const struct tg_findings *f, const struct tg_ruleset *rules)
{
	tg_jw_array(w, "stories");
	for (size_t i = 0; i < f->stories_len; i++) {
		const struct tg_story *s = &f->stories[i];
		const char *trace = s->trigger ? f->traces[s->trigger - 1] : "";

		tg_jw_object(w, NULL);
		tg_jw_str(w, "rule", rules->rules[s->rule]->id);
		tg_jw_str(w, "source", s->source);
		tg_jw_str(w, "area", s->area);
		if (s->limits && s->limits->has_above)
			tg_jw_dbl(w, "above", s->limits->above);
		if (s->limits && s->limits->has_below)
			tg_jw_dbl(w, "below", s->limits->below);
		tg_jw_int(w, "from_us", s->from_us);
		tg_jw_str(w, "tp", trace[0] ? trace : NULL);
		tg_jw_array(w, "spans");
		for (uint32_t k = 0; k < s->spans_len; k++)
			write_span(w, f, &f->spans[s->spans + k]);
		tg_jw_array_end(w);
		tg_jw_object_end(w);
	}
	tg_jw_array_end(w);
}

static int write_rules(struct tg_jw *w, const struct tg_findings *f, const struct tg_ruleset *rules)
{
	bool *used = calloc(rules->len + 1, sizeof(*used));

	if (!used)
		return -TG_ENOMEM;
	for (size_t i = 0; i < f->len; i++)
		used[f->nodes[i].rule] = true;
	for (size_t i = 0; i < f->singles_len; i++)
		used[f->singles[i].rule] = true;
	for (size_t i = 0; i < f->stories_len; i++)
		used[f->stories[i].rule] = true;
	tg_jw_object(w, "rules");
	for (size_t i = 0; i < rules->len; i++)
		if (used[i])
			tg_rule_json(w, rules->rules[i]);
	tg_jw_object_end(w);
	free(used);
	return 0;
}

int tg_findings_json(struct tg_findings *f, const struct tg_ruleset *rules,
	const struct tg_batch_span *span, const struct tg_batch_ends *ends, struct tg_buf *out)
{
	uint32_t *heads = calloc(f->len + 1, sizeof(*heads));
	struct tg_jw w;
	size_t n;
	int rc, end;

	if (!heads)
		return -TG_ENOMEM;
	n = tg_findings_groups(f, heads);
	tg_jw_begin(&w, out);
	tg_jw_object(&w, NULL);
	tg_jw_int(&w, "part", span->partition);
	tg_jw_int(&w, "from", span->from);
	tg_jw_int(&w, "next", span->next);
	rc = write_rules(&w, f, rules);
	write_singles(&w, f, rules);
	tg_jw_array(&w, "groups");
	for (size_t i = 0; i < n; i++)
		write_group(&w, f, rules, heads[i]);
	tg_jw_array_end(&w);
	tg_jw_int(&w, "mark_us", span->mark_us);
	tg_jw_str(&w, "epoch", span->epoch);
	write_stories(&w, f, rules);
	tg_jw_raw(&w, "clear", ends->clears.len ? ends->clears : TG_SLICE("[]"));
	tg_jw_raw(&w, "retire", ends->retire.len ? ends->retire : TG_SLICE("[]"));
	tg_jw_object_end(&w);
	end = tg_jw_end(&w);
	free(heads);
	return rc ? rc : end;
}
