/* What the dead_letter*.c files share: the connection and which rows are meant. */
#ifndef TG_CMD_DEAD_LETTER_H
#define TG_CMD_DEAD_LETTER_H

#include "base/io/pg.h"
#include "cmd/cmd.h"

#define DEAD_NAME "dead-letter"

struct dead_options {
	const char *reason, *topic, *from, *to, *by, *limit, *wait;
	bool waiting, retried, all, again, dry_run, raw;
	const char *const *places; /* TOPIC/PARTITION/OFFSET */
	int places_count;
};

struct dead {
	struct tg_conf conf;
	struct dead_options opt;
	PGconn *conn;
};

/* Runs one statement; NULL after a line on stderr. *ret_usage: it was the caller's text that could
 * not be read (a time). */
PGresult *dead_run(struct dead *d, const char *sql, const char *const *params, int n);
/* "TOPIC/PARTITION/OFFSET" taken apart; false when it is not that. */
bool dead_place(const char *text, char topic[256], char partition[16], char offset[24]);
/* Rows chosen by the options: topic, partition, offset, …, as `columns` and `order` say. NULL after
 * a line on stderr. Every filter is one parameter, NULL where it was not given. */
PGresult *dead_choose(struct dead *d, const char *sql);
/* A field of a result as bytes; the caller frees with PQfreemem. NULL field: data NULL. */
struct tg_slice dead_bytes(const PGresult *res, int row, int col);

int dead_show(struct dead *d);
int dead_retry(struct dead *d);

#endif
