#include "base/err.h"

#include <stddef.h>

static const struct {
	const char *name, *text;
	bool retry;
} errors[] = {[TG_ERR_NONE] = {"OK", "no error", false},
#define TG_X(code, text, retry) [TG_ERR_##code] = {#code, text, retry},
	TG_ERRORS(TG_X)
#undef TG_X
};

_Static_assert(sizeof(errors) / sizeof(errors[0]) == TG_ERR_COUNT, "one row per code");

static bool known(int rc)
{
	return rc <= 0 && rc > -TG_ERR_COUNT;
}

const char *tg_err_name(int rc)
{
	return known(rc) ? errors[-rc].name : "unknown";
}

const char *tg_err_text(int rc)
{
	return known(rc) ? errors[-rc].text : "an unknown error";
}

bool tg_err_retry(int rc)
{
	return known(rc) && errors[-rc].retry;
}
