#include "correlate/segment.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/reader.h"

#define FORM         2
#define FORM_EVENTS  1 /* of a version without series: events alone */
#define FLAG_HALO    1
#define FLAG_WAITING 2
#define FLAG_SETTLED 128 /* beside the flags of a word */
#define CELL_NONE    UINT16_MAX
#define RULES_MAX    255 /* windows that one event may be in */
#define EVENT_BYTES  56  /* before its rules */
#define WORD_BYTES   55  /* after its key */

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
		return CELL_NONE;
	n = tg_name_of(cell);
	if (n->stamp == s->stamp)
		return n->local;
	len = strlen(cell);
	if (s->cells_len == CELL_NONE || len > UINT8_MAX)
		return CELL_NONE;
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
	*p++ = (char)((seen->halo ? FLAG_HALO : 0) | (seen->waiting ? FLAG_WAITING : 0));
	*p = (char)n;
	b->len += EVENT_BYTES;
}

void tg_segment_add(struct tg_segment *s, const struct tg_seen *seen, const uint32_t *rules,
	size_t n, const uint64_t *prints)
{
	uint16_t cell;

	if (s->rc)
		return;
	if (n > RULES_MAX)
		n = RULES_MAX;
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
	if (!s->rc && name == CELL_NONE)
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
	*p++ = (char)(word->flags | (settled ? FLAG_SETTLED : 0));
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
		rc = tg_buf_put_u8(out, FORM);
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

struct reading {
	struct tg_reader r;
	const struct tg_segment_reader *to;
	uint64_t *prints;
	const char **cells;
	uint64_t prints_len, cells_len;
};

static int read_tables(struct reading *g, struct tg_names *names)
{
	g->prints_len = tg_read_uint(&g->r, 2);
	g->prints = calloc(g->prints_len + 1, sizeof(*g->prints));
	for (uint64_t i = 0; i < g->prints_len && g->prints; i++)
		g->prints[i] = tg_read_uint(&g->r, 8);
	g->cells_len = tg_read_uint(&g->r, 2);
	g->cells = calloc(g->cells_len + 1, sizeof(*g->cells));
	if (!g->prints || !g->cells)
		return -TG_ENOMEM;
	for (uint64_t i = 0; i < g->cells_len && !g->r.bad; i++) {
		char text[256] = "";
		size_t len = (size_t)tg_read_uint(&g->r, 1);
		const char *at = tg_read_bytes(&g->r, len);
		struct tg_name *name;

		if (!at)
			break;
		memcpy(text, at, len);
		name = tg_names_get(names, text);
		if (!name)
			return -TG_ENOMEM;
		g->cells[i] = name->text;
	}
	return g->r.bad ? -TG_EPARSE : 0;
}

static int read_event(struct reading *g)
{
	struct tg_seen seen = {.group = TG_GROUP_NONE};
	uint64_t prints[RULES_MAX], cell, flags, n;
	const char *uid = tg_read_bytes(&g->r, 16);

	if (!uid)
		return -TG_EPARSE;
	memcpy(seen.uid, uid, 16);
	seen.event_us = (int64_t)tg_read_uint(&g->r, 8);
	seen.at.lon = tg_read_f64(&g->r);
	seen.at.lat = tg_read_f64(&g->r);
	seen.reporter = tg_read_uint(&g->r, 8);
	seen.type = (uint32_t)tg_read_uint(&g->r, 4);
	cell = tg_read_uint(&g->r, 2);
	seen.cell = cell < g->cells_len ? g->cells[cell] : NULL;
	flags = tg_read_uint(&g->r, 1);
	seen.halo = (flags & FLAG_HALO) != 0;
	seen.waiting = (flags & FLAG_WAITING) != 0;
	n = tg_read_uint(&g->r, 1);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t local = tg_read_uint(&g->r, 2);

		if (local >= g->prints_len)
			return -TG_EPARSE;
		prints[i] = g->prints[local];
	}
	return g->r.bad ? -TG_EPARSE : g->to->event(g->to->ctx, &seen, prints, (size_t)n);
}

static bool read_key(struct reading *g, uint64_t *ret_print, const char **ret_source)
{
	uint64_t rule = tg_read_uint(&g->r, 2), name = tg_read_uint(&g->r, 2);

	if (g->r.bad || rule >= g->prints_len || name >= g->cells_len)
		return false;
	*ret_print = g->prints[rule];
	*ret_source = g->cells[name];
	return true;
}

static int read_base(struct reading *g)
{
	const char *source = NULL;
	uint64_t print = 0;
	int64_t raised_us;
	bool raised;

	if (!read_key(g, &print, &source))
		return -TG_EPARSE;
	raised = tg_read_uint(&g->r, 1) != 0;
	raised_us = (int64_t)tg_read_uint(&g->r, 8);
	return g->r.bad ? -TG_EPARSE : g->to->base(g->to->ctx, print, source, raised, raised_us);
}

static int read_floor(struct reading *g)
{
	uint64_t rule = tg_read_uint(&g->r, 2);
	int64_t floor_us = (int64_t)tg_read_uint(&g->r, 8);

	if (g->r.bad || rule >= g->prints_len)
		return -TG_EPARSE;
	return g->to->floor(g->to->ctx, g->prints[rule], floor_us);
}

static int read_word(struct reading *g)
{
	struct tg_word word = {0};
	const char *source = NULL, *uid;
	uint64_t print = 0, flags, cell;

	if (!read_key(g, &print, &source))
		return -TG_EPARSE;
	flags = tg_read_uint(&g->r, 1);
	uid = tg_read_bytes(&g->r, 16);
	if (!uid)
		return -TG_EPARSE;
	memcpy(word.uid, uid, 16);
	word.event_us = (int64_t)tg_read_uint(&g->r, 8);
	word.value = tg_read_f64(&g->r);
	word.at.lon = tg_read_f64(&g->r);
	word.at.lat = tg_read_f64(&g->r);
	word.type = (uint32_t)tg_read_uint(&g->r, 4);
	cell = tg_read_uint(&g->r, 2);
	word.cell = cell < g->cells_len ? g->cells[cell] : NULL;
	word.flags = (uint8_t)(flags & ~(uint64_t)FLAG_SETTLED);
	return g->r.bad
		       ? -TG_EPARSE
		       : g->to->word(g->to->ctx, print, source, &word, (flags & FLAG_SETTLED) != 0);
}

static int read_each(struct reading *g, int (*one)(struct reading *g))
{
	uint64_t n = tg_read_uint(&g->r, 4);
	int rc = 0;

	for (uint64_t i = 0; i < n && !rc; i++)
		rc = one(g);
	return rc ? rc : g->r.bad ? -TG_EPARSE : 0;
}

static int read_series(struct reading *g)
{
	int rc = read_each(g, read_floor);

	if (!rc)
		rc = read_each(g, read_base);
	return rc ? rc : read_each(g, read_word);
}

int tg_segment_read(
	struct tg_slice bytes, struct tg_names *names, const struct tg_segment_reader *reader)
{
	struct reading g = {.r = {bytes.data, bytes.len, false}, .to = reader};
	uint64_t form;
	int rc;

	(void)tg_read_bytes(&g.r, 12);
	form = tg_read_uint(&g.r, 1);
	rc = form == FORM || form == FORM_EVENTS ? read_tables(&g, names) : -TG_EPARSE;
	if (!rc)
		rc = read_each(&g, read_event);
	if (!rc && form == FORM)
		rc = read_series(&g);
	if (!rc && g.r.len)
		rc = -TG_EPARSE;
	free(g.prints);
	free(g.cells);
	return rc;
}
