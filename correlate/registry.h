/* What the city's registry says about devices: where their words come, what area they lie in, and
 * the limits of their readings. A value: built once, never changed, replaced whole when the city is
 * loaded anew. */
#ifndef TG_CORRELATE_REGISTRY_H
#define TG_CORRELATE_REGISTRY_H

#include "base/clock.h"
#include "base/map.h"
#include "correlate/names.h"

struct tg_limits {
	char *metric;
	bool has_above, has_below;
	double above, below;
};

struct tg_device {
	char *id;
	char *street, *district; /* NULL: none known */
	int32_t partition;       /* of events.located, where all its words come */
	struct tg_limits *limits;
	size_t limits_len;
	uint32_t *listeners; /* rules that expect to hear of it */
	size_t listeners_len;
};

struct tg_registry {
	struct tg_map *devices; /* id → struct tg_device */
	uint64_t serial;        /* no other state of any registry has it */
	struct tg_zone *zone;   /* the city's; NULL: UTC */
	int64_t version;        /* of the city; 0: none is loaded */
	double halo_m;
};

TG_MUST int tg_registry_new(struct tg_registry **ret);
void tg_registry_free(struct tg_registry *r); /* NULL is fine */
/* limits: {metric: {above, below}} as text; what of it cannot be read is left out. street, district
 * may be empty. */
TG_MUST int tg_registry_add(struct tg_registry *r, struct tg_slice id, struct tg_slice street,
	struct tg_slice district, int32_t partition, struct tg_slice limits);
/* Notes which rules of the set listen to which device: after the last add, and for each set anew.
 */
struct tg_ruleset;
TG_MUST int tg_registry_bind(struct tg_registry *r, const struct tg_ruleset *rules);
const struct tg_device *tg_registry_find(const struct tg_registry *r, const char *id); /* or NULL */
/* The same for a name, which remembers it. */
const struct tg_device *tg_registry_device(const struct tg_registry *r, struct tg_name *name);
const struct tg_limits *tg_device_limits(
	const struct tg_device *d, const char *metric); /* or NULL */
/* `*` stands for any text, `?` for one byte; no other sign is special. */
bool tg_glob_match(const char *glob, const char *text);

#endif
