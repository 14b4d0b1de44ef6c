/* Every error code of the project from one list: name, what it means, whether trying again can
 * help.
 *
 * A function that can fail because the world failed returns 0 or a negative TG_E… value and carries
 * TG_MUST. Bad data is not an error: it is a value (see proto/reject.h). Our own mistakes are
 * asserts. */
#ifndef TG_BASE_ERR_H
#define TG_BASE_ERR_H

#include <stdbool.h>

#define TG_MUST __attribute__((warn_unused_result))

/* X(code, text, retry) */
#define TG_ERRORS(X)                                         \
	X(EINVAL, "invalid argument", false)                 \
	X(ENOMEM, "out of memory", true)                     \
	X(EFULL, "a named limit is reached", true)           \
	X(ESYS, "a system call failed", true)                \
	X(ETIMEOUT, "no answer in time", true)               \
	X(ECLOSED, "the connection is closed", true)         \
	X(EPARSE, "the text cannot be parsed", false)        \
	X(ERANGE, "a value is out of range", false)          \
	X(ENOENT, "not found", false)                        \
	X(EEXIST, "it exists already", false)                \
	X(ECONF, "the configuration is wrong", false)        \
	X(EFENCED, "another owner has taken over", false)    \
	X(ESTALE, "the version is stale", false)             \
	X(EPG, "PostgreSQL refused or failed", true)         \
	X(EUNIQUE, "a unique constraint is violated", false) \
	X(EKAFKA, "Kafka refused or failed", true)           \
	X(EREDIS, "Redis refused or failed", true)           \
	X(EHTTP, "the peer broke HTTP", false)

enum tg_err_code {
	TG_ERR_NONE,
#define TG_X(code, text, retry) TG_ERR_##code,
	TG_ERRORS(TG_X)
#undef TG_X
		TG_ERR_COUNT,
};

enum tg_err {
	TG_OK = 0,
#define TG_X(code, text, retry) TG_##code = TG_ERR_##code,
	TG_ERRORS(TG_X)
#undef TG_X
};

/* rc is 0 or a negative TG_E…; any other value reads as "unknown". Never NULL. */
const char *tg_err_name(int rc);
const char *tg_err_text(int rc);
bool tg_err_retry(int rc);

#endif
