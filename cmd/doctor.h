/* What the doctor*.c files share: a line for each thing looked at. */
#ifndef TG_CMD_DOCTOR_H
#define TG_CMD_DOCTOR_H

#include "base/conf.h"

/* ok: as it should be. warn: it works, and will not always. bad: mend it. */
enum doctor_mark { DOCTOR_OK, DOCTOR_WARN, DOCTOR_BAD };

/* One line; after warn and bad it says what to mend. */
void doctor_say(enum doctor_mark mark, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* How far another clock is from this host's. slack_us: what the asking itself took. */
void doctor_clock(const char *what, int64_t theirs_us, int64_t ours_us, int64_t slack_us);
/* Bytes free of so many in all. */
void doctor_disk(const char *what, const char *where, double free_bytes, double all_bytes);

void doctor_programs(const struct tg_conf *conf);
void doctor_postgres(const struct tg_conf *conf);
void doctor_redis(const struct tg_conf *conf);
void doctor_kafka(const struct tg_conf *conf);

#endif
