/* tongguan audit verify: walks every case's chain and then the anchors (audit_anchor.c) as they are
 * defined, over what the database shows, and says where the first break is. */
#include "cmd/audit.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/pg.h"
#include "cmd/cmd.h"

#define HASH_BYTES crypto_hash_sha256_BYTES

static const char usage[] =
	"usage: tongguan audit verify [--no-topic] [--config FILE]\n\n"
	"Recomputes the hash chain of every case and every anchor, and compares the anchors with "
	"the\n"
	"entries they stand for and with the topic " AUDIT_TOPIC ". Exit 0: all of it holds; 1: "
	"it\n"
	"does not, with the case, the entry or the anchor where it breaks first. --no-topic: the "
	"database alone.\n";

/* One snapshot for all of it: a case that moves while we walk must not look broken. */
static const char sql_begin[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
static const char sql_walk[] =
	"SELECT c.case_id::text, c.case_no, c.log_seq::text, encode(c.log_hash, 'hex'), "
	"l.seq::text, l.task_id::text,"
	" (extract(epoch FROM l.at) * 1000000)::bigint::text, l.actor, l.actor_role, l.action, "
	"l.from_state, l.to_state,"
	" l.note, encode(l.note_hash, 'hex'), l.detail::text, encode(l.prev_hash, 'hex'), "
	"encode(l.hash, 'hex'),"
	" l.case_id::text"
	" FROM tongguan.case_log l FULL JOIN tongguan.case_file c ON c.case_id = l.case_id"
	" ORDER BY coalesce(c.case_id, l.case_id), l.seq";

enum {
	COL_CASE,
	COL_NO,
	COL_HEAD_SEQ,
	COL_HEAD_HASH,
	COL_SEQ,
	COL_TASK,
	COL_AT,
	COL_ACTOR,
	COL_ROLE,
	COL_ACTION,
	COL_FROM,
	COL_TO,
	COL_NOTE,
	COL_NOTE_HASH,
	COL_DETAIL,
	COL_PREV,
	COL_HASH,
	COL_LOG_CASE,
};

struct walk {
	char case_id[64], case_no[64];
	int64_t seq, head_seq;
	char head[2 * HASH_BYTES + 1]; /* the last hash seen */
	char case_head[2 * HASH_BYTES + 1];
	int64_t cases, entries;
	bool broken;
};

static bool broken_at(struct walk *w, int64_t seq, const char *what)
{
	if (!w->broken)
		printf("broken: case %s (%s) entry %" PRId64 ": %s\n",
			w->case_no[0] ? w->case_no : "?", w->case_id, seq, what);
	w->broken = true;
	return false;
}

/* --- one entry's hash --- */

void audit_frame(crypto_hash_sha256_state *st, const void *bytes, size_t len, bool null)
{
	uint8_t head[4] = {0xff, 0xff, 0xff, 0xff};

	if (!null) {
		head[0] = (uint8_t)(len >> 24);
		head[1] = (uint8_t)(len >> 16);
		head[2] = (uint8_t)(len >> 8);
		head[3] = (uint8_t)len;
	}
	crypto_hash_sha256_update(st, head, sizeof(head));
	if (!null)
		crypto_hash_sha256_update(st, bytes, len);
}

static void add_text(crypto_hash_sha256_state *st, const PGresult *res, int col)
{
	audit_frame(st, PQgetvalue(res, 0, col), (size_t)PQgetlength(res, 0, col),
		PQgetisnull(res, 0, col));
}

static bool add_hex(crypto_hash_sha256_state *st, const PGresult *res, int col)
{
	uint8_t bytes[HASH_BYTES];
	bool null = PQgetisnull(res, 0, col);

	if (!null && tg_unhex(tg_slice_cstr(PQgetvalue(res, 0, col)), bytes, HASH_BYTES))
		return false;
	audit_frame(st, bytes, HASH_BYTES, null);
	return true;
}

static bool note_matches(const PGresult *res)
{
	uint8_t hash[HASH_BYTES];
	char hex[2 * HASH_BYTES + 1];

	if (PQgetisnull(res, 0, COL_NOTE))
		return true; /* erased, or there never was one */
	crypto_hash_sha256(hash, (const uint8_t *)PQgetvalue(res, 0, COL_NOTE),
		(unsigned long long)PQgetlength(res, 0, COL_NOTE));
	tg_hex(hash, HASH_BYTES, hex);
	return !strcmp(hex, PQgetvalue(res, 0, COL_NOTE_HASH));
}

static bool entry_hash(const PGresult *res, char hex[2 * HASH_BYTES + 1])
{
	static const int texts[] = {COL_SEQ, COL_LOG_CASE, COL_TASK, COL_AT, COL_ACTOR, COL_ROLE,
		COL_ACTION, COL_FROM, COL_TO};
	crypto_hash_sha256_state st;
	uint8_t hash[HASH_BYTES];

	crypto_hash_sha256_init(&st);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		add_text(&st, res, texts[i]);
	if (!add_hex(&st, res, COL_NOTE_HASH))
		return false;
	add_text(&st, res, COL_DETAIL);
	if (!add_hex(&st, res, COL_PREV))
		return false;
	crypto_hash_sha256_final(&st, hash);
	tg_hex(hash, HASH_BYTES, hex);
	return true;
}

/* --- the walk --- */

/* The case walked so far must end where its row says. */
static bool end_case(struct walk *w)
{
	if (!w->case_id[0] || w->broken)
		return !w->broken;
	if (!w->case_no[0])
		return broken_at(w, w->seq, "its entries have no case");
	if (w->seq != w->head_seq)
		return broken_at(w, w->seq + 1, "the log ends before the case's head");
	if (strcmp(w->head, w->case_head))
		return broken_at(w, w->seq, "the case's head is another hash");
	return true;
}

static const char *value(const PGresult *res, int col)
{
	return PQgetisnull(res, 0, col) ? "" : PQgetvalue(res, 0, col);
}

static void begin_case(struct walk *w, const PGresult *res)
{
	bool orphan = PQgetisnull(res, 0, COL_CASE);

	snprintf(
		w->case_id, sizeof(w->case_id), "%s", value(res, orphan ? COL_LOG_CASE : COL_CASE));
	snprintf(w->case_no, sizeof(w->case_no), "%s", value(res, COL_NO));
	snprintf(w->case_head, sizeof(w->case_head), "%s", value(res, COL_HEAD_HASH));
	w->head_seq = strtoll(value(res, COL_HEAD_SEQ), NULL, 10);
	w->head[0] = '\0';
	w->seq = 0;
	w->cases++;
}

static bool take_entry(struct walk *w, const PGresult *res)
{
	char hex[2 * HASH_BYTES + 1];
	int64_t seq = strtoll(value(res, COL_SEQ), NULL, 10);

	if (seq != w->seq + 1)
		return broken_at(w, w->seq + 1, "the entry is missing");
	if (strcmp(value(res, COL_PREV), w->head))
		return broken_at(w, seq, "it does not follow from the entry before it");
	if (!note_matches(res))
		return broken_at(w, seq, "its note was changed");
	if (!entry_hash(res, hex) || strcmp(hex, value(res, COL_HASH)))
		return broken_at(w, seq, "its hash does not match its content");
	w->seq = seq;
	strcpy(w->head, hex);
	w->entries++;
	return true;
}

static bool take_row(void *ctx, const PGresult *res)
{
	struct walk *w = ctx;
	const char *id = value(res, PQgetisnull(res, 0, COL_CASE) ? COL_LOG_CASE : COL_CASE);

	if (strcmp(id, w->case_id)) {
		if (!end_case(w))
			return false;
		begin_case(w, res);
	}
	if (PQgetisnull(res, 0, COL_SEQ))
		return broken_at(w, 1, "the case has no log");
	return take_entry(w, res);
}

int audit_rows(
	PGconn *conn, const char *sql, bool (*each)(void *ctx, const PGresult *res), void *ctx)
{
	bool going = true;
	PGresult *res;
	int rc = PQsendQuery(conn, sql) && PQsetSingleRowMode(conn) ? 0 : -TG_EPG;

	while (!rc && (res = PQgetResult(conn))) {
		ExecStatusType status = PQresultStatus(res);

		if (status == PGRES_SINGLE_TUPLE)
			going = going && each(ctx, res);
		else if (status != PGRES_TUPLES_OK)
			rc = -TG_EPG;
		PQclear(res);
	}
	return rc;
}

static int walk_chains(PGconn *conn, struct walk *w)
{
	int rc = audit_rows(conn, sql_walk, take_row, w);

	if (!rc && !w->broken)
		end_case(w);
	return rc;
}

static int walk_all(PGconn *conn, const struct audit_topic *topic, bool *ret_holds)
{
	struct walk w = {0};
	PGresult *res = PQexec(conn, sql_begin);
	int rc = PQresultStatus(res) == PGRES_COMMAND_OK ? walk_chains(conn, &w) : -TG_EPG;

	PQclear(res);
	*ret_holds = !w.broken;
	if (rc || w.broken)
		return rc;
	printf("all chains hold: %" PRId64 " cases, %" PRId64 " entries\n", w.cases, w.entries);
	return audit_anchors(conn, topic, ret_holds);
}

static int verify(const struct tg_conf *conf, bool topic)
{
	struct tg_buf why = {0};
	PGconn *conn = tg_pg_connect_blocking(conf->postgres_url, "tongguan audit", &why);
	struct audit_topic *there = NULL;
	bool holds = false;
	int rc = conn ? 0 : -TG_EPG;

	if (!rc && topic)
		rc = audit_topic_read(conn, conf->kafka_brokers, &there);
	if (!rc)
		rc = walk_all(conn, there, &holds);
	if (rc == -TG_EPG)
		tg_cmd_fail("audit", "%s", conn ? PQerrorMessage(conn) : tg_buf_cstr(&why));
	audit_topic_free(there);
	PQfinish(conn);
	tg_buf_release(&why);
	return rc || !holds ? TG_EXIT_FAILED : TG_EXIT_DONE;
}

int cmd_audit(int argc, char **argv)
{
	struct tg_conf conf;
	bool topic;
	int code = tg_cmd_begin(&argc, argv, usage, false, &conf);

	if (code >= 0)
		return code;
	topic = argc < 3 || strcmp(argv[2], "--no-topic");
	if (argc < 2 || strcmp(argv[1], "verify") || argc > (topic ? 2 : 3))
		code = tg_cmd_usage("audit", "there is only 'audit verify'");
	else if (sodium_init() < 0)
		code = tg_cmd_fail("audit", "the random generator is missing");
	else
		code = verify(&conf, topic);
	tg_conf_release(&conf);
	return code;
}
