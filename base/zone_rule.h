/* The POSIX TZ rule in the footer of a zone file, such as EST5EDT,M3.2.0,M11.1.0, with the wider
 * hours of RFC 8536. Private to base/zone. */
#ifndef TG_BASE_ZONE_RULE_H
#define TG_BASE_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum tg_zone_day { TG_ZONE_MONTH_WEEK, TG_ZONE_JULIAN, TG_ZONE_DAY_OF_YEAR };

struct tg_zone_change {
	enum tg_zone_day kind;
	unsigned month, week, day; /* Mm.w.d; Jn and n use day only */
	int32_t time_s;            /* of the wall clock before the change */
};

struct tg_zone_rule {
	int32_t std_s, dst_s; /* east of UTC */
	bool has_dst;
	struct tg_zone_change start, end;
};

TG_MUST int tg_zone_rule_parse(struct tg_slice text, struct tg_zone_rule *ret);
int32_t tg_zone_rule_offset_s(const struct tg_zone_rule *rule, int64_t s);
/* The first change after s, INT64_MAX without summer time. */
int64_t tg_zone_rule_next(const struct tg_zone_rule *rule, int64_t s);

#endif
