#include "proto/reject.h"

#include <assert.h>
#include <stddef.h>

static const struct {
	const char *name, *text;
} rejects[TG_REJECT_COUNT] = {[TG_ACCEPT] = {"accepted", "nothing is wrong"},
#define TG_X(name, text) [TG_REJECT_##name] = {#name, text},
	TG_REJECTS(TG_X)
#undef TG_X
};

const char *const tg_reject_labels[] = {
#define TG_X(name, text) #name,
	TG_REJECTS(TG_X)
#undef TG_X
		NULL,
};

_Static_assert(sizeof(tg_reject_labels) / sizeof(tg_reject_labels[0]) == TG_REJECT_COUNT,
	"one label a reason, and the end");

const char *tg_reject_name(enum tg_reject why)
{
	assert((unsigned)why < TG_REJECT_COUNT);
	return rejects[why].name;
}

const char *tg_reject_text(enum tg_reject why)
{
	assert((unsigned)why < TG_REJECT_COUNT);
	return rejects[why].text;
}
