/* What the engine's files share: engine.c judges, engine_store.c tells what it holds and puts it
 * back, engine_reload.c changes the rules. */
#ifndef TG_CORRELATE_ENGINE_IMPL_H
#define TG_CORRELATE_ENGINE_IMPL_H

#include "correlate/engine.h"

struct tg_engine {
	struct tg_engine_shared shared;
	struct tg_cluster **clusters;   /* by rule index; NULL for other kinds */
	struct tg_detector **detectors; /* the same for threshold and silence */
	uint64_t *prints;
	uint32_t *keepers; /* scratch: rules whose window took the event */
	struct tg_watermark watermark;
	struct tg_names *names;
	struct tg_segment segment;
	int64_t floor_us; /* what lies in Redis of series before it is needed no more */
	size_t since;     /* words stored since that was settled */
	size_t swept;     /* words that the last sweep stored */
};

/* engine.c: empty holdings for the rules of e->shared; what is there is neither freed nor looked
 * at. */
TG_MUST int engine_make_windows(struct tg_engine *e);
void engine_free_windows(struct tg_engine *e);
/* What a window keeps of it. */
void engine_see(struct tg_engine *e, const tg_located_pb *loc, uint32_t type, bool halo,
	struct tg_seen *ret);
bool engine_has_place(const struct tg_seen *s);

#endif
