/* One event per line on stderr: a JSON object a line, or readable text on a terminal.
 *
 * tg_log(TG_INFO, "batch stored", TG_F("rows", TG_I(n)), TG_F("topic", TG_S(topic)));
 * Names are snake_case; text values are escaped; personal data never goes in. A line is at most
 * TG_LOG_LINE_MAX bytes. Repeated (level, message) pairs are limited to TG_LOG_BURST a second; what
 * was dropped is said in a field `suppressed` of the next line that passes. */
#ifndef TG_BASE_LOG_H
#define TG_BASE_LOG_H

#include <stdint.h>

#include "base/buf.h"

#define TG_LOG_LINE_MAX 4096
#define TG_LOG_BURST    20

enum tg_log_level { TG_DEBUG, TG_INFO, TG_WARN, TG_ERROR };

enum tg_log_kind { TG_LOG_END, TG_LOG_INT, TG_LOG_DBL, TG_LOG_STR, TG_LOG_SLICE };

struct tg_log_value {
	enum tg_log_kind kind;
	union {
		int64_t i;
		double d;
		const char *s;
		struct tg_slice slice;
	};
};

#define TG_I(v)  ((struct tg_log_value){.kind = TG_LOG_INT, .i = (int64_t)(v)})
#define TG_D(v)  ((struct tg_log_value){.kind = TG_LOG_DBL, .d = (v)})
#define TG_S(v)  ((struct tg_log_value){.kind = TG_LOG_STR, .s = (v)})
#define TG_SL(v) ((struct tg_log_value){.kind = TG_LOG_SLICE, .slice = (v)})

struct tg_log_field {
	const char *name;
	struct tg_log_value value;
};

/* role stands in every line. level is the least that is written. Reads whether stderr is a
 * terminal. */
void tg_log_init(const char *role, enum tg_log_level level);
/* "debug", "info", "warn", "error"; -TG_EPARSE else. */
TG_MUST int tg_log_level_parse(const char *name, enum tg_log_level *ret);
void tg_log_fields(
	enum tg_log_level level, const char *message, const struct tg_log_field *fields, size_t n);

/* clang-format off */
#define TG_F(name, value) {(name), (value)}
/* clang-format on */
/* tg_log(level, message, TG_F("rows", TG_I(3)), TG_F(...)); at least the message. */
#define tg_log(level, message, ...)                                                    \
	do {                                                                           \
		const struct tg_log_field tg_fields_[] = {{NULL, {0}}, ##__VA_ARGS__}; \
		tg_log_fields((level), (message), tg_fields_ + 1,                      \
			sizeof(tg_fields_) / sizeof(tg_fields_[0]) - 1);               \
	} while (0)

#endif
