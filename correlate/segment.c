#include "correlate/segment_impl.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_BYTES 56 /* before its rules */
#define WORD_BYTES  55 /* after its key */

int tg_segment_init(struct tg_segment *s, struct tg_names *names, size_t rules_len)
{
	*s = (struct tg_segment){.names = names, .rules_len = rules_len};
	s->rule_local = calloc(rules_len + 1, sizeof(*s->rule_local));
	return s->rule_local ? 0 : -TG_ENOMEM;
}

void tg_segment_release(struct tg_segment *s)
{
	tg_buf_release(&s->prints);
	tg_buf_release(&s->cells);
	tg_buf_release(&s->events);
	tg_buf_release(&s->floors);
	tg_buf_release(&s->bases);
	tg_buf_release(&s->words);
	free(s->rule_local);
	*s = (struct tg_segment){0};
}

void tg_segment_reset(struct tg_segment *s)
{
	tg_buf_reset(&s->prints);
	tg_buf_reset(&s->cells);
	tg_buf_reset(&s->events);
	tg_buf_reset(&s->floors);
	tg_buf_reset(&s->bases);
	tg_buf_reset(&s->words);
	memset(s->rule_local, 0, s->rules_len * sizeof(*s->rule_local));
	s->prints_len = s->cells_len = 0;
	s->len = s->floors_len = s->bases_len = s->words_len = 0;
	s->newest_us = INT64_MIN;
	s->stamp = tg_names_stamp(s->names);
	s->rc = 0;
}

static uint16_t cell_number(struct tg_segment *s, const char *cell)
{
	struct tg_name *n;
	size_t len;

	if (!cell)
		return SEGMENT_NAME_NONE;
	n = tg_name_of(cell);
	if (n->stamp == s->stamp)
		return n->local;
	len = strlen(cell);
	if (s->cells_len == SEGMENT_NAME_NONE || len > UINT8_MAX)
		return SEGMENT_NAME_NONE;
	s->rc = tg_buf_put_u8(&s->cells, (uint8_t)len);
	if (!s->rc)
		s->rc = tg_buf_add(&s->cells, cell, len);
	n->stamp = s->stamp;
	n->local = s->cells_len++;
	return n->local;
}

static uint16_t rule_number(struct tg_segment *s, uint32_t rule, uint64_t print)
{
	if (!s->rule_local[rule]) {
		s->rc = tg_buf_put_u64(&s->prints, print);
		s->rule_local[rule] = ++s->prints_len;
	}
	return (uint16_t)(s->rule_local[rule] - 1);
}

static char *put_u16(char *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static char *put_u32(char *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static char *put_u64(char *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static char *put_f64(char *p, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return put_u64(p, bits);
}

static char *put_uid(char *p, const uint8_t uid[16])
{
	memcpy(p, uid, 16);
	return p + 16;
}

static void put_event(struct tg_segment *s, const struct tg_seen *seen, uint16_t cell, size_t n)
{
	struct tg_buf *b = &s->events;
	char *p;

	s->rc = tg_buf_reserve(b, EVENT_BYTES + n * 2);
	if (s->rc)
		return;
	p = put_uid(b->data + b->len, seen->uid);
	p = put_u64(p, (uint64_t)seen->event_us);
	p = put_f64(p, seen->at.lon);
	p = put_f64(p, seen->at.lat);
	p = put_u64(p, seen->reporter);
	p = put_u32(p, seen->type);
	p = put_u16(p, cell);
	*p++ = (char)((seen->halo ? SEGMENT_HALO : 0) | (seen->waiting ? SEGMENT_WAITING : 0));
	*p = (char)n;
	b->len += EVENT_BYTES;
}

void tg_segment_add(struct tg_segment *s, const struct tg_seen *seen, const uint32_t *rules,
	size_t n, const uint64_t *prints)
{
	uint16_t cell;

	if (s->rc)
		return;
	if (n > SEGMENT_RULES_MAX)
		n = SEGMENT_RULES_MAX;
	cell = cell_number(s, seen->cell);
	if (!s->rc)
		put_event(s, seen, cell, n);
	for (size_t i = 0; i < n && !s->rc; i++) {
		uint16_t number = rule_number(s, rules[i], prints[rules[i]]);

		if (!s->rc)
			s->rc = tg_buf_put_u16(&s->events, number);
	}
	s->len++;
	if (seen->event_us > s->newest_us)
		s->newest_us = seen->event_us;
}

bool tg_segment_empty(const struct tg_segment *s)
{
	return s->len == 0 && s->words_len == 0 && s->floors_len == 0;
}

void tg_segment_floor(struct tg_segment *s, uint32_t rule, uint64_t print, int64_t floor_us)
{
	uint16_t number;

	if (s->rc)
		return;
	number = rule_number(s, rule, print);
	if (!s->rc)
		s->rc = tg_buf_put_u16(&s->floors, number);
	if (!s->rc)
		s->rc = tg_buf_put_u64(&s->floors, (uint64_t)floor_us);
	s->floors_len++;
	if (floor_us > s->newest_us)
		s->newest_us = floor_us;
}

/* What both records begin with. */
static bool put_key(
	struct tg_segment *s, struct tg_buf *to, uint32_t rule, uint64_t print, const char *source)
{
	uint16_t number, name;

	if (s->rc)
		return false;
	number = rule_number(s, rule, print);
	name = cell_number(s, source);
	if (!s->rc && name == SEGMENT_NAME_NONE)
		s->rc = -TG_EFULL;
	if (!s->rc)
		s->rc = tg_buf_put_u16(to, number);
	if (!s->rc)
		s->rc = tg_buf_put_u16(to, name);
	return !s->rc;
}

void tg_segment_base(struct tg_segment *s, uint32_t rule, uint64_t print, const char *source,
	bool raised, int64_t raised_us)
{
	struct tg_buf *b = &s->bases;

	if (!put_key(s, b, rule, print, source))
		return;
	s->rc = tg_buf_put_u8(b, raised);
	if (!s->rc)
		s->rc = tg_buf_put_u64(b, (uint64_t)raised_us);
	s->bases_len++;
}

void tg_segment_word(struct tg_segment *s, uint32_t rule, uint64_t print, const char *source,
	const struct tg_word *word, bool settled)
{
	struct tg_buf *b = &s->words;
	uint16_t cell;
	char *p;

	if (!put_key(s, b, rule, print, source))
		return;
	cell = cell_number(s, word->cell);
	if (!s->rc)
		s->rc = tg_buf_reserve(b, WORD_BYTES);
	if (s->rc)
		return;
	p = b->data + b->len;
	*p++ = (char)(word->flags | (settled ? SEGMENT_SETTLED : 0));
	p = put_uid(p, word->uid);
	p = put_u64(p, (uint64_t)word->event_us);
	p = put_f64(p, word->value);
	p = put_f64(p, word->at.lon);
	p = put_f64(p, word->at.lat);
	p = put_u32(p, word->type);
	(void)put_u16(p, cell);
	b->len += WORD_BYTES;
	s->words_len++;
	if (word->event_us > s->newest_us)
		s->newest_us = word->event_us;
}

int tg_segment_pack(const struct tg_segment *s, int64_t offset, uint32_t chunk, struct tg_buf *out)
{
	int rc = s->rc;

	if (!rc)
		rc = tg_buf_put_u64(out, (uint64_t)offset);
	if (!rc)
		rc = tg_buf_put_u32(out, chunk);
	if (!rc)
		rc = tg_buf_put_u8(out, SEGMENT_FORM);
	if (!rc)
		rc = tg_buf_put_u16(out, s->prints_len);
	if (!rc)
		rc = tg_buf_add(out, s->prints.data, s->prints.len);
	if (!rc)
		rc = tg_buf_put_u16(out, s->cells_len);
	if (!rc)
		rc = tg_buf_add(out, s->cells.data, s->cells.len);
	if (!rc)
		rc = tg_buf_put_u32(out, s->len);
	if (!rc)
		rc = tg_buf_add(out, s->events.data, s->events.len);
	if (!rc)
		rc = tg_buf_put_u32(out, s->floors_len);
	if (!rc)
		rc = tg_buf_add(out, s->floors.data, s->floors.len);
	if (!rc)
		rc = tg_buf_put_u32(out, s->bases_len);
	if (!rc)
		rc = tg_buf_add(out, s->bases.data, s->bases.len);
	if (!rc)
		rc = tg_buf_put_u32(out, s->words_len);
	if (!rc)
		rc = tg_buf_add(out, s->words.data, s->words.len);
	return rc;
}
