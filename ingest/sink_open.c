/* The message that opens a transaction: BEGIN and the compare-and-set of every offset that moves by
 * it, as literals, because the simple protocol that COPY needs takes no parameters. */
#include "ingest/sink_impl.h"

#define MOVE_COLUMNS 6

#if defined TG_BREAK_NO_FENCE /* broken on purpose: whoever else has taken over, go on */
#define OPEN_SQL     "BEGIN; DO $$BEGIN PERFORM tongguan.offsets_move_all("
#define OPEN_END_SQL "); EXCEPTION WHEN SQLSTATE 'TG001' THEN NULL; END$$; "
#elif defined TG_BREAK_DATA_FIRST /* broken on purpose: rows are committed before their offsets */
#define OPEN_SQL                                        \
	"BEGIN; SELECT set_config('tongguan.late', $m$" \
	"SELECT tongguan.offsets_move_all("
#define OPEN_END_SQL ")$m$, false); "
#elif defined TG_BREAK_OFFSET_FIRST /* broken on purpose: offsets are committed before their rows \
				     */
#define OPEN_SQL     "BEGIN; SELECT tongguan.offsets_move_all("
#define OPEN_END_SQL "); COMMIT; BEGIN; "
#else
#define OPEN_SQL     "BEGIN; SELECT tongguan.offsets_move_all("
#define OPEN_END_SQL "); "
#endif

static int add_column(struct tg_buf *out, const struct tg_move *moves, size_t n, int column)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		const struct tg_move *m = &moves[i];
		const int64_t values[MOVE_COLUMNS] = {
			m->id, m->epoch, m->old_next, m->old_forwarded, m->next, m->forwarded};

		rc = tg_buf_addf(out, "%s%lld",
			i        ? ","
			: column ? ",'{"
				 : "'{",
			(long long)values[column]);
	}
	return rc ? rc : tg_buf_add_cstr(out, "}'");
}

int sink_open_text(struct tg_buf *out, const struct tg_move *moves, size_t n)
{
	int rc;

	tg_buf_reset(out);
	rc = tg_buf_add_cstr(out, OPEN_SQL);
	for (int column = 0; !rc && column < MOVE_COLUMNS; column++)
		rc = add_column(out, moves, n, column);
	return rc ? rc : tg_buf_add_cstr(out, OPEN_END_SQL);
}
