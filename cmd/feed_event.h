/* A row → the events it stands for. */
#ifndef TG_CMD_FEED_EVENT_H
#define TG_CMD_FEED_EVENT_H

#include "cmd/feed_profile.h"
#include "proto/codec.h"

/* Events one row may give: its readings, or one. */
size_t feed_event_parts(const struct feed_profile *profile);
/* 1 the row is wanted, 0 it is passed over, -TG_EPARSE with the fault set. */
TG_MUST int feed_event_wanted(const struct feed_profile *profile, const struct feed_scope *scope);
/* Builds part number `part` in the arena; it would pass ingest's check at its own time.
 * 1 done; 0 it has no number, so it is no event; -TG_EPARSE with the fault set. */
TG_MUST int feed_event_make(const struct feed_profile *profile, size_t part, int64_t time_us,
	struct feed_scope *scope, tg_event_pb **ret, const char **ret_topic);

#endif
