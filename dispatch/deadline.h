/* Why is this the deadline: a clock with every counted period, skipped date, pause and extension,
 * as the API shows it. */
#ifndef TG_DISPATCH_DEADLINE_H
#define TG_DISPATCH_DEADLINE_H

#include <stdint.h>

#include "base/json.h"
#include "dispatch/city.h"

/* One element of tongguan.case_clocks(case_id) (jsonb array) → the API's clock object under key.
 * -TG_EPARSE. */
TG_MUST int tg_deadline_write_stored(
	struct tg_jw *w, const char *key, const struct tg_city *city, const json_t *clock);
/* POST /deadline/explain: {calendar, start, limit, pauses:[{from,to}], extensions:[{at,limit}],
 * mode}. On a bad field -TG_EINVAL with the errors array [{field,detail}] in *ret_errors (the
 * caller's reference) and nothing written. */
TG_MUST int tg_deadline_write_asked(
	struct tg_jw *w, const struct tg_city *city, const json_t *body, json_t **ret_errors);

#endif
