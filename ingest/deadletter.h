/* What was refused, whole: a row of tongguan.dead_letter and a message of the dead-letter topic. */
#ifndef TG_INGEST_DEADLETTER_H
#define TG_INGEST_DEADLETTER_H

#include "ingest/batch.h"

#define TG_DEAD_PARAMS 9

/* The parameters: topics, partitions, offsets, reasons, details, received, keys, values, headers;
 * each a PostgreSQL array in its text form. */
#define TG_DEAD_SQL                                                                               \
	"INSERT INTO tongguan.dead_letter (topic, partition, \"offset\", reason, detail, "        \
	"received_at, key,"                                                                       \
	" value, headers) SELECT t, p, o, r, d, to_timestamp(u / 1e6), k, v, h::jsonb"            \
	" FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::float8[]," \
	" $7::bytea[], $8::bytea[], $9::text[]) AS x(t, p, o, r, d, u, k, v, h)"                  \
	" ORDER BY t, p, o ON CONFLICT DO NOTHING"

/* Appends the message and, unless stored (the table has it already), the row. Wholly or not at all.
 */
TG_MUST int tg_dead_add(struct tg_batch *batch, const struct tg_record *rec, size_t part,
	enum tg_reject why, int64_t received_us, bool stored);

/* One buffer a parameter, each emptied first and NUL-terminated. topic_of(ctx, part, &partition)
 * names a partition. */
typedef const char *(*tg_part_name)(void *ctx, size_t part, int32_t *ret_partition);
TG_MUST int tg_dead_params(const struct tg_batch *batch, tg_part_name name, void *ctx,
	struct tg_buf params[TG_DEAD_PARAMS]);

#endif
