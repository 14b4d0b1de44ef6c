/* Feeds by name: feeds/NAME.yaml in the folder of the city that the database holds. */
#ifndef TG_CMD_FEED_FIND_H
#define TG_CMD_FEED_FIND_H

#include "base/conf.h"

/* The profile's path in ret, else one line in why. When no city can be known (no database, none
 * loaded) it is Boston, and that is said on stderr. */
TG_MUST int feed_find(
	const struct tg_conf *conf, const char *name, struct tg_buf *ret, struct tg_buf *why);

#endif
