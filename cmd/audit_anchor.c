/* The anchors against themselves, against the entries they stand for, and against their topic. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/kafka.h"
#include "base/json.h"
#include "base/map.h"
#include "cmd/audit.h"
#include "cmd/cmd.h"

#define HASH   crypto_hash_sha256_BYTES
#define LEVELS 64

/* Every leaf with its anchor, and what the log and the case say of it today. */
static const char sql_leaves[] =
	"SELECT a.number::text, to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
	" (extract(epoch FROM a.at) * 1000000)::bigint::text, a.from_pos::text, a.to_pos::text,"
	" a.cases::text, a.entries::text, encode(a.root, 'hex'), encode(a.prev_hash, 'hex'),"
	" encode(a.hash, 'hex'), f.case_id::text, f.seq::text, encode(f.head, 'hex'),"
	" encode(l.hash, 'hex'), c.case_no, f.anchor::text"
	" FROM tongguan.audit_anchor a FULL JOIN tongguan.audit_leaf f ON f.anchor = a.number"
	" LEFT JOIN tongguan.case_log l ON l.case_id = f.case_id AND l.seq = f.seq"
	" LEFT JOIN tongguan.case_file c ON c.case_id = f.case_id"
	" ORDER BY coalesce(a.number, f.anchor), f.case_id";

/* Entries that no anchor covers and that do not wait for the next one either. */
static const char sql_untold[] =
	"SELECT l.case_id::text, c.case_no, l.seq::text FROM tongguan.case_log l"
	" LEFT JOIN (SELECT case_id, max(seq) AS seq FROM tongguan.audit_leaf GROUP BY case_id) k"
	" ON k.case_id = l.case_id"
	" LEFT JOIN tongguan.case_file c ON c.case_id = l.case_id"
	" LEFT JOIN (SELECT o.case_id, (o.doc ->> 'seq')::bigint AS seq, o.doc ->> 'hash' AS hash"
	" FROM tongguan.outbox o WHERE o.case_id IS NOT NULL AND coalesce(o.pos >"
	" (SELECT max(to_pos) FROM tongguan.audit_anchor), true)) t"
	" ON t.case_id = l.case_id AND t.seq = l.seq AND t.hash = encode(l.hash, 'hex')"
	" WHERE l.seq > coalesce(k.seq, 0) AND t.case_id IS NULL"
	" AND EXISTS (SELECT 1 FROM tongguan.audit_anchor)"
	" ORDER BY l.case_id, l.seq LIMIT 1";

/* What was told since the last anchor and does not stand in the log as it was told. */
static const char sql_gone[] =
	"SELECT o.case_id::text, c.case_no, o.doc ->> 'seq' FROM tongguan.outbox o"
	" LEFT JOIN tongguan.case_log l ON l.case_id = o.case_id"
	" AND l.seq = (o.doc ->> 'seq')::bigint AND encode(l.hash, 'hex') = o.doc ->> 'hash'"
	" LEFT JOIN tongguan.case_file c ON c.case_id = o.case_id"
	" WHERE o.case_id IS NOT NULL AND coalesce(o.pos >"
	" (SELECT max(to_pos) FROM tongguan.audit_anchor), true) AND l.case_id IS NULL"
	" ORDER BY o.id LIMIT 1";

enum {
	COL_NUMBER,
	COL_AT,
	COL_AT_US,
	COL_FROM,
	COL_TO,
	COL_CASES,
	COL_ENTRIES,
	COL_ROOT,
	COL_PREV,
	COL_HASH,
	COL_CASE,
	COL_SEQ,
	COL_HEAD,
	COL_LOG_HASH,
	COL_NO,
	COL_LEAF_ANCHOR,
};

/* What an anchor says of itself; texts, since it is hashed over texts. */
struct said {
	int64_t number;
	char at[32], at_us[24], from[24], to[24], cases[24], entries[24];
	char root[2 * HASH + 1], prev[2 * HASH + 1], hash[2 * HASH + 1];
};

struct walk {
	struct said now;             /* the anchor whose leaves come */
	char last[2 * HASH + 1];     /* hash of the one before it */
	char upto[24];               /* its to_pos */
	uint8_t stack[LEVELS][HASH]; /* whole subtrees, the largest first */
	int height[LEVELS], depth;
	int64_t leaves, count;
	bool broken;
};

static bool broken(struct walk *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool broken(struct walk *w, const char *fmt, ...)
{
	va_list ap;

	w->broken = true;
	printf("broken: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	return false;
}

/* --- the tree: two whole subtrees of one height become one --- */

static void join(struct walk *w)
{
	const uint8_t one = 1;
	crypto_hash_sha256_state st;

	crypto_hash_sha256_init(&st);
	crypto_hash_sha256_update(&st, &one, 1);
	crypto_hash_sha256_update(&st, w->stack[w->depth - 2], HASH);
	crypto_hash_sha256_update(&st, w->stack[w->depth - 1], HASH);
	crypto_hash_sha256_final(&st, w->stack[w->depth - 2]);
	w->depth--;
	w->height[w->depth - 1]++;
}

static void add_leaf(struct walk *w, const char *id, const char *seq, const uint8_t head[HASH])
{
	const uint8_t zero = 0;
	crypto_hash_sha256_state st;

	crypto_hash_sha256_init(&st);
	crypto_hash_sha256_update(&st, &zero, 1);
	audit_frame(&st, id, strlen(id), false);
	audit_frame(&st, seq, strlen(seq), false);
	audit_frame(&st, head, HASH, false);
	crypto_hash_sha256_final(&st, w->stack[w->depth]);
	w->height[w->depth++] = 0;
	while (w->depth >= 2 && w->height[w->depth - 1] == w->height[w->depth - 2])
		join(w);
	w->leaves++;
}

/* --- one anchor --- */

static void add_text(crypto_hash_sha256_state *st, const char *text)
{
	audit_frame(st, text, strlen(text), false);
}

static bool add_hex(crypto_hash_sha256_state *st, const char *hex)
{
	uint8_t bytes[HASH];

	if (!hex[0]) {
		audit_frame(st, NULL, 0, true);
		return true;
	}
	if (tg_unhex(tg_slice_cstr(hex), bytes, HASH))
		return false;
	audit_frame(st, bytes, HASH, false);
	return true;
}

static bool hash_fits(const struct said *said)
{
	crypto_hash_sha256_state st;
	char number[24], hex[2 * HASH + 1];
	uint8_t hash[HASH];

	snprintf(number, sizeof(number), "%" PRId64, said->number);
	crypto_hash_sha256_init(&st);
	add_text(&st, number);
	add_text(&st, said->at_us);
	add_text(&st, said->from);
	add_text(&st, said->to);
	add_text(&st, said->cases);
	add_text(&st, said->entries);
	if (!add_hex(&st, said->root) || !add_hex(&st, said->prev))
		return false;
	crypto_hash_sha256_final(&st, hash);
	tg_hex(hash, HASH, hex);
	return strcmp(hex, said->hash) == 0;
}

/* All leaves of the anchor have come. */
static bool end_anchor(struct walk *w)
{
	char root[2 * HASH + 1] = "";

	if (!w->now.number || w->broken)
		return !w->broken;
	while (w->depth > 1) { /* what is left over at the right goes up as it is */
		w->height[w->depth - 1] = w->height[w->depth - 2];
		join(w);
	}
	if (w->depth == 1)
		tg_hex(w->stack[0], HASH, root);
	if (strtoll(w->now.cases, NULL, 10) != w->leaves)
		return broken(w,
			"anchor %" PRId64 " of %s stands for %s cases, and %" PRId64
			" are there: one was removed or added",
			w->now.number, w->now.at, w->now.cases, w->leaves);
	if (strcmp(root, w->now.root))
		return broken(w, "anchor %" PRId64 " of %s: its cases do not give its root",
			w->now.number, w->now.at);
	strcpy(w->last, w->now.hash);
	strcpy(w->upto, w->now.to);
	return true;
}

static void take(char *out, size_t size, const PGresult *res, int col)
{
	snprintf(out, size, "%s", PQgetisnull(res, 0, col) ? "" : PQgetvalue(res, 0, col));
}

static bool begin_anchor(struct walk *w, const PGresult *res, int64_t number)
{
	struct said *said = &w->now;
	int64_t before = said->number;

	*said = (struct said){.number = number};
	take(said->at, sizeof(said->at), res, COL_AT);
	take(said->at_us, sizeof(said->at_us), res, COL_AT_US);
	take(said->from, sizeof(said->from), res, COL_FROM);
	take(said->to, sizeof(said->to), res, COL_TO);
	take(said->cases, sizeof(said->cases), res, COL_CASES);
	take(said->entries, sizeof(said->entries), res, COL_ENTRIES);
	take(said->root, sizeof(said->root), res, COL_ROOT);
	take(said->prev, sizeof(said->prev), res, COL_PREV);
	take(said->hash, sizeof(said->hash), res, COL_HASH);
	w->depth = 0;
	w->leaves = 0;
	w->count++;
	if (number != before + 1)
		return broken(w, "anchor %" PRId64 ": it is missing", before + 1);
	if (strcmp(said->prev, w->last) || strcmp(said->from, w->upto))
		return broken(w,
			"anchor %" PRId64 " of %s: it does not go on from the one before it",
			number, said->at);
	if (!hash_fits(said))
		return broken(w, "anchor %" PRId64 " of %s: its hash does not match its content",
			number, said->at);
	return true;
}

static bool take_leaf(struct walk *w, const PGresult *res)
{
	const char *id = PQgetvalue(res, 0, COL_CASE), *seq = PQgetvalue(res, 0, COL_SEQ);
	const char *head = PQgetvalue(res, 0, COL_HEAD);
	bool known = !PQgetisnull(res, 0, COL_NO);
	uint8_t bytes[HASH];

	if (tg_unhex(tg_slice_cstr(head), bytes, HASH) || w->depth == LEVELS)
		return broken(w, "anchor %" PRId64 ": case %s has no hash", w->now.number, id);
	add_leaf(w, id, seq, bytes);
	if (PQgetisnull(res, 0, COL_LOG_HASH))
		return broken(w, "case %s (%s) entry %s: anchor %" PRId64 " of %s saw it, and %s",
			known ? PQgetvalue(res, 0, COL_NO) : "?", id, seq, w->now.number, w->now.at,
			known ? "it is gone" : "the case is gone");
	if (strcmp(head, PQgetvalue(res, 0, COL_LOG_HASH)))
		return broken(w,
			"case %s (%s) entry %s: anchor %" PRId64 " of %s saw another hash: this "
			"entry or one before it was changed since",
			known ? PQgetvalue(res, 0, COL_NO) : "?", id, seq, w->now.number,
			w->now.at);
	return true;
}

static bool take_row(void *ctx, const PGresult *res)
{
	struct walk *w = ctx;
	int64_t number = strtoll(PQgetvalue(res, 0, COL_NUMBER), NULL, 10);

	if (PQgetisnull(res, 0, COL_NUMBER))
		return broken(w, "anchor %s: it is missing, and what it stood for is there",
			PQgetvalue(res, 0, COL_LEAF_ANCHOR));
	if (number != w->now.number && (!end_anchor(w) || !begin_anchor(w, res, number)))
		return false;
	return PQgetisnull(res, 0, COL_CASE) || take_leaf(w, res);
}

static bool take_untold(void *ctx, const PGresult *res)
{
	return broken(ctx,
		"case %s (%s) entry %s: it was never told nor anchored: somebody added it",
		PQgetisnull(res, 0, 1) ? "?" : PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 0),
		PQgetvalue(res, 0, 2));
}

static bool take_gone(void *ctx, const PGresult *res)
{
	return broken(ctx,
		"case %s (%s) entry %s: it was told, and it is gone or another stands there",
		PQgetisnull(res, 0, 1) ? "?" : PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 0),
		PQgetvalue(res, 0, 2));
}

/* --- the topic: read before the database is, so that it can have nothing that the tables lack ---
 */

struct audit_topic {
	struct tg_map *hashes; /* number → hash */
	int64_t published;     /* the last one that was acknowledged before we read */
	char wrong[160];       /* what is wrong with the topic itself */
	int rc;
};

static bool take_published(void *ctx, const PGresult *res)
{
	struct audit_topic *t = ctx;

	t->published = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	return true;
}

static bool take_message(void *ctx, struct tg_slice value)
{
	struct audit_topic *t = ctx;
	const char *hash = NULL, *known;
	char key[24], *kept;
	int64_t number = 0;
	json_t *doc = NULL;

	if (tg_json_parse(value, &doc, NULL) || !tg_json_int(doc, "number", &number, NULL) ||
		!tg_json_str(doc, "hash", &hash, NULL)) {
		snprintf(t->wrong, sizeof(t->wrong), "it holds something that is no anchor");
		json_decref(doc);
		return false;
	}
	snprintf(key, sizeof(key), "%" PRId64, number);
	known = tg_map_get(t->hashes, tg_slice_cstr(key));
	if (known && strcmp(known, hash))
		snprintf(t->wrong, sizeof(t->wrong), "it has anchor %" PRId64 " in two versions",
			number);
	kept = known ? NULL : strdup(hash);
	if (!known)
		t->rc = kept ? tg_map_put(t->hashes, tg_slice_cstr(key), kept) : -TG_ENOMEM;
	if (t->rc)
		free(kept);
	json_decref(doc);
	return !t->rc && !t->wrong[0];
}

void audit_topic_free(struct audit_topic *t)
{
	struct tg_slice key;
	size_t pos = 0;
	char *hash;

	if (!t)
		return;
	while (t->hashes && (hash = tg_map_next(t->hashes, &pos, &key)))
		free(hash);
	tg_map_free(t->hashes);
	free(t);
}

int audit_topic_read(PGconn *conn, const char *brokers, struct audit_topic **ret)
{
	struct audit_topic *t = calloc(1, sizeof(*t));
	struct tg_buf why = {0};
	int rc = t ? tg_map_new(0, &t->hashes) : -TG_ENOMEM;

	if (!rc)
		rc = audit_rows(conn, "SELECT anchor_published FROM tongguan.outbox_lease",
			take_published, t);
	if (!rc) {
		rc = tg_topic_read(brokers, AUDIT_TOPIC, take_message, t, &why);
		if (rc)
			tg_cmd_fail("audit",
				"the topic " AUDIT_TOPIC " cannot be read: %s; --no-topic goes "
				"without it",
				why.len ? tg_buf_cstr(&why) : tg_err_text(rc));
	}
	if (!rc)
		rc = t->rc;
	tg_buf_release(&why);
	if (rc) {
		audit_topic_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

struct compare {
	struct walk *w;
	const struct audit_topic *t;
	bool begun;    /* the topic has an earlier one: retention did not take this one */
	int64_t found; /* of those in the topic, also in the table */
};

static bool take_known(void *ctx, const PGresult *res)
{
	struct compare *c = ctx;
	const char *number = PQgetvalue(res, 0, 0);
	const char *there = tg_map_get(c->t->hashes, tg_slice_cstr(number));
	int64_t n = strtoll(number, NULL, 10);

	if (there && strcmp(there, PQgetvalue(res, 0, 1)))
		return broken(
			c->w, "anchor %s: the topic " AUDIT_TOPIC " has another hash", number);
	if (!there && n <= c->t->published && (c->begun || n == c->t->published))
		return broken(c->w, "anchor %s: the topic " AUDIT_TOPIC " has lost it", number);
	c->begun = c->begun || there;
	c->found += there != NULL;
	return true;
}

/* The least number that the topic has past the table's end. */
static int64_t past_end(const struct audit_topic *t, int64_t end)
{
	struct tg_slice key;
	size_t pos = 0;
	int64_t least = 0;

	while (tg_map_next(t->hashes, &pos, &key)) {
		char text[24];
		int64_t n;

		snprintf(text, sizeof(text), "%.*s", (int)key.len, key.data);
		n = strtoll(text, NULL, 10);
		if (n > end && (!least || n < least))
			least = n;
	}
	return least;
}

static int compare_topic(PGconn *conn, const struct audit_topic *t, struct walk *w, int64_t *ret)
{
	struct compare c = {.w = w, .t = t};
	int rc = audit_rows(conn,
		"SELECT number::text, encode(hash, 'hex') FROM tongguan.audit_anchor ORDER BY "
		"number",
		take_known, &c);
	int64_t cut = past_end(t, w->now.number);

	*ret = c.found;
	if (t->wrong[0])
		broken(w, "the topic " AUDIT_TOPIC ": %s", t->wrong);
	else if (!w->broken && cut)
		broken(w,
			"anchor %" PRId64 ": the topic " AUDIT_TOPIC
			" has it and the table does not: the table's end was cut",
			cut);
	return rc;
}

int audit_anchors(PGconn *conn, const struct audit_topic *topic, bool *ret_holds)
{
	struct walk w = {.upto = "0"};
	int64_t in_topic = 0;
	int rc = audit_rows(conn, sql_leaves, take_row, &w);

	if (!rc && end_anchor(&w))
		rc = audit_rows(conn, sql_untold, take_untold, &w);
	if (!rc && !w.broken)
		rc = audit_rows(conn, sql_gone, take_gone, &w);
	if (!rc && !w.broken && topic)
		rc = compare_topic(conn, topic, &w, &in_topic);
	*ret_holds = !w.broken;
	if (rc || w.broken)
		return rc;
	printf("all anchors hold: %" PRId64, w.count);
	if (topic)
		printf(", %" PRId64 " of them in the topic", in_topic);
	printf("\n");
	return 0;
}
