/* What the two files of `tongguan audit` share: cmd/audit.c the chains, cmd/audit_anchor.c the
 * anchors. */
#ifndef TG_CMD_AUDIT_H
#define TG_CMD_AUDIT_H

#include <libpq-fe.h>
#include <sodium.h>
#include <stdbool.h>

#include "base/buf.h"

#define AUDIT_TOPIC "tongguan.audit.anchors"

/* Row by row, since the log may be larger than memory; each() gives false to look no further. */
TG_MUST int audit_rows(
	PGconn *conn, const char *sql, bool (*each)(void *ctx, const PGresult *res), void *ctx);
/* 4 bytes of length, big-endian, and the bytes; NULL is ffffffff. */
void audit_frame(crypto_hash_sha256_state *st, const void *bytes, size_t len, bool null);
/* What the topic has, before the snapshot that it is compared with. Negative: said, unless -TG_EPG.
 */
struct audit_topic;
TG_MUST int audit_topic_read(PGconn *conn, const char *brokers, struct audit_topic **ret);
void audit_topic_free(struct audit_topic *t); /* NULL is fine */
/* Inside the snapshot that conn has open; topic NULL: without it. Prints what holds, or what is
 * broken first. */
TG_MUST int audit_anchors(PGconn *conn, const struct audit_topic *topic, bool *ret_holds);

#endif
