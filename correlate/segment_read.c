/* Packed segments back into events and words. */
#include <stdlib.h>
#include <string.h>

#include "correlate/reader.h"
#include "correlate/segment_impl.h"

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
	uint64_t prints[SEGMENT_RULES_MAX], cell, flags, n;
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
	seen.halo = (flags & SEGMENT_HALO) != 0;
	seen.waiting = (flags & SEGMENT_WAITING) != 0;
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
	word.flags = (uint8_t)(flags & ~(uint64_t)SEGMENT_SETTLED);
	return g->r.bad ? -TG_EPARSE
			: g->to->word(
				  g->to->ctx, print, source, &word, (flags & SEGMENT_SETTLED) != 0);
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
	rc = form == SEGMENT_FORM || form == SEGMENT_FORM_EVENTS ? read_tables(&g, names)
								 : -TG_EPARSE;
	if (!rc)
		rc = read_each(&g, read_event);
	if (!rc && form == SEGMENT_FORM)
		rc = read_series(&g);
	if (!rc && g.r.len)
		rc = -TG_EPARSE;
	free(g.prints);
	free(g.cells);
	return rc;
}
