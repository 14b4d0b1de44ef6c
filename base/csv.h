/* CSV after RFC 4180: UTF-8, quoted fields may hold newlines and doubled quotes; a header row; LF
 * or CRLF. Streaming: feed bytes from a file or from gzip (.gz by name). */
#ifndef TG_BASE_CSV_H
#define TG_BASE_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct tg_csv;

/* A UTF-8 byte order mark is passed over. -TG_ENOENT, -TG_ESYS, -TG_EPARSE (no header). */
TG_MUST int tg_csv_open(const char *path, struct tg_csv **ret);
void tg_csv_close(struct tg_csv *csv);
int tg_csv_columns(const struct tg_csv *csv);
int tg_csv_column(const struct tg_csv *csv, const char *name); /* -1 when absent */
/* 1 a row, 0 end, -TG_EPARSE (unbalanced quote, wrong number of fields; line in tg_csv_line) – the
 * next call goes on with the following row, after a quote that never closes with the line after the
 * one the row began on; a row over 1 MiB counts as such. -TG_ESYS: reading failed (a cut .gz too),
 * once; then 0. Empty lines are passed over. A quote inside an unquoted field is an ordinary
 * character. Bytes are not checked to be UTF-8. Fields stay valid until the next call. */
TG_MUST int tg_csv_next(struct tg_csv *csv);
struct tg_slice tg_csv_field(const struct tg_csv *csv, int column); /* column -1 → empty */
/* Line, from 1, on which the row of the last call began. */
size_t tg_csv_line(const struct tg_csv *csv);
/* Bytes of the file read so far and in all, for a progress bar (compressed bytes for .gz). */
void tg_csv_progress(const struct tg_csv *csv, size_t *ret_done, size_t *ret_total);

#endif
