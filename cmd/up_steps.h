/* What the files that describe the steps of `tongguan up` share: small help with files and ports,
 * and the steps' functions. */
#ifndef TG_CMD_UP_STEPS_H
#define TG_CMD_UP_STEPS_H

#include <sys/types.h>

#include "cmd/up.h"

/* A file or folder in the servers' folder that belongs to their user; a failure has been said. */
TG_MUST int up_write_file(const struct up *up, const char *name, const char *text);
TG_MUST int up_make_folder(const struct up *up, const char *name);
bool up_has_file(const struct up *up, const char *name);
/* False after a line that says which package brings it. */
bool up_need_program(const char *path, const char *package);
/* Sends bytes to a loopback port and waits at most 300 ms for an answer (NUL-terminated); its
 * length or -1. */
ssize_t up_ask(int port, const void *question, size_t len, char *answer, size_t size);

/* skip, prepare and probe functions of the table (see struct up_step) */
bool up_others_pg(struct up *up);
bool up_pg_exists(struct up *up);
int up_pg_init(struct up *up, struct up_argv *argv);
int up_pg_start(struct up *up, struct up_argv *argv);
bool up_pg_answers(struct up *up);
int up_pg_database(struct up *up, struct up_argv *argv);
int up_migrate(struct up *up, struct up_argv *argv);
int up_pg_accounts(struct up *up, struct up_argv *argv);
int up_city(struct up *up, struct up_argv *argv);
int up_accounts(struct up *up, struct up_argv *argv);
bool up_others_kafka(struct up *up);
bool up_kafka_formatted(struct up *up);
int up_kafka_format(struct up *up, struct up_argv *argv);
int up_kafka_start(struct up *up, struct up_argv *argv);
bool up_kafka_answers(struct up *up);
int up_topics(struct up *up, struct up_argv *argv);

#endif
