/* Rows → the JSON the API shows. SQL builds one `doc` per case or task (the view
 * tongguan.case_docs); what depends on the caller and on the instant (allowed_actions,
 * clock.remaining, clock.frozen_until) is added here. */
#ifndef TG_DISPATCH_VIEW_H
#define TG_DISPATCH_VIEW_H

#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "dispatch/act.h"

/* doc: the case document as SQL returned it (tongguan.case_shown); appends the API's object to
 * out. now_us: the database's clock as returned beside the row. */
TG_MUST int tg_view_case(const struct tg_dispatch *d, const struct tg_actor *actor,
	struct tg_slice doc, int64_t now_us, struct tg_buf *out);
TG_MUST int tg_view_task(const struct tg_dispatch *d, const struct tg_actor *actor,
	struct tg_slice doc, int64_t now_us, struct tg_buf *out);

#endif
