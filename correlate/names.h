/* The names that events bring, each once and as long as the set lives: sources and cells.
 *
 * A name that is a source also knows what is asked of it with every event, so that one look-up by
 * text answers for all: its device, its series, the cell it was last in. */
#ifndef TG_CORRELATE_NAMES_H
#define TG_CORRELATE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct tg_name {
	const struct tg_device *device; /* as the registry with that serial has it */
	uint64_t registry;              /* 0: none was asked */
	struct tg_series *series;       /* of every detector that hears it, chained by `beside` */
	const char *cell;               /* of this set; NULL: not known */
	uint64_t stamp;                 /* of the segment in which `local` holds */
	uint16_t local;
	char text[];
};

struct tg_names;

TG_MUST int tg_names_new(struct tg_names **ret);
void tg_names_free(struct tg_names *names);
struct tg_name *tg_names_find(const struct tg_names *names, const char *text); /* or NULL */
/* Adds it when it is new; NULL when memory is out. */
struct tg_name *tg_names_get(struct tg_names *names, const char *text);
/* The one copy of that text; NULL for NULL and "", or when memory is out. */
const char *tg_names_text(struct tg_names *names, const char *text);
/* A stamp that no segment had. */
uint64_t tg_names_stamp(struct tg_names *names);

/* The name whose text that is. */
static inline struct tg_name *tg_name_of(const char *text)
{
	return (struct tg_name *)(void *)((char *)(uintptr_t)text - offsetof(struct tg_name, text));
}

#endif
