/* tongguan dead-letter: look at refused messages and send them again. */
#include "cmd/dead_letter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/reject.h"

static const char usage[] =
	"usage: tongguan dead-letter list  [FILTER…] [--waiting | --retried] [--limit N]\n"
	"       tongguan dead-letter show  TOPIC/PARTITION/OFFSET [--raw]\n"
	"       tongguan dead-letter retry TOPIC/PARTITION/OFFSET… | FILTER… | --all\n"
	"                                  [--again] [--dry-run] [--by NAME] [--wait SECONDS]\n\n"
	"  --reason REASON  refused for this reason\n"
	"  --topic TOPIC    read from this topic\n"
	"  --from T, --to T arrived from T on, before T (2026-11-22, 2026-11-22T10:00:00Z)\n"
	"  --waiting        not yet sent again; --retried: sent again\n"
	"  --limit N        at most so many, the latest (default 100)\n"
	"  --raw            the value's bytes and nothing else\n"
	"  --again          also those that were sent again before\n"
	"  --dry-run        say what would be sent\n"
	"  --by NAME        who does it (default: the name you are logged in under)\n"
	"  --wait SECONDS   how long to watch what becomes of them (default 10; 0: not at all)\n\n"
	"list: one line each. show: one whole, contacts masked. retry: value, key and headers go\n"
	"unchanged to the topic and partition they came from; the row keeps who did it and when. "
	"What\n"
	"is refused again has a row of its own. Exit 0: all of it went well; 1: something was not\n"
	"found, not sent, or refused again; 2: wrong usage.\n";

static const char list_sql[] =
	"SELECT topic || '/' || partition || '/' || \"offset\", reason,"
	" to_char(received_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), coalesce(length(value), 0)::text,"
	" CASE WHEN retried_at IS NULL THEN 'waiting' ELSE 'sent again by ' || retried_by || ' at '"
	" || to_char(retried_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') END"
	" FROM (SELECT * FROM tongguan.dead_letter WHERE ($1::text IS NULL OR reason = $1)"
	" AND ($2::text IS NULL OR topic = $2) AND ($3::timestamptz IS NULL OR received_at >= $3)"
	" AND ($4::timestamptz IS NULL OR received_at < $4)"
	" AND ($5::boolean IS NULL OR (retried_at IS NOT NULL) = $5)"
	" ORDER BY received_at DESC, topic, partition, \"offset\" DESC LIMIT $6::bigint) d"
	" ORDER BY d.received_at, d.topic, d.partition, d.\"offset\"";

PGresult *dead_run(struct dead *d, const char *sql, const char *const *params, int n)
{
	PGresult *res = PQexecParams(d->conn, sql, n, NULL, params, NULL, NULL, 0);
	const char *state;

	if (PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK)
		return res;
	state = tg_pg_sqlstate(res);
	if (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)
		tg_cmd_fail(DEAD_NAME, "the database has no schema yet: run tongguan migrate");
	else
		tg_cmd_fail(DEAD_NAME, "%.*s", (int)strcspn(PQresultErrorMessage(res), "\n"),
			PQresultErrorMessage(res));
	PQclear(res);
	return NULL;
}

static bool is_number(const char *text, size_t len)
{
	return len > 0 && len < 19 && strspn(text, "0123456789") >= len;
}

bool dead_place(const char *text, char topic[256], char partition[16], char offset[24])
{
	const char *last = strrchr(text, '/'), *mid = last;

	while (mid && mid > text && *--mid != '/')
		;
	if (!last || !mid || mid == text || *mid != '/' || mid - text > 255)
		return false;
	if (!is_number(mid + 1, (size_t)(last - mid - 1)) || last - mid > 10 ||
		!is_number(last + 1, strlen(last + 1)))
		return false;
	snprintf(topic, 256, "%.*s", (int)(mid - text), text);
	snprintf(partition, 16, "%.*s", (int)(last - mid - 1), mid + 1);
	snprintf(offset, 24, "%s", last + 1);
	return true;
}

PGresult *dead_choose(struct dead *d, const char *sql)
{
	const struct dead_options *o = &d->opt;
	const char *params[] = {o->reason, o->topic, o->from, o->to,
		o->waiting   ? "false"
		: o->retried ? "true"
			     : NULL,
		o->limit};

	return dead_run(d, sql, params, 6);
}

struct tg_slice dead_bytes(const PGresult *res, int row, int col)
{
	struct tg_slice s = {NULL, 0};

	if (!PQgetisnull(res, row, col))
		s.data = (char *)PQunescapeBytea(
			(const unsigned char *)PQgetvalue(res, row, col), &s.len);
	return s;
}

static int list(struct dead *d)
{
	PGresult *res;
	int n;

	if (!d->opt.limit)
		d->opt.limit = "100";
	res = dead_choose(d, list_sql);
	if (!res)
		return TG_EXIT_FAILED;
	n = PQntuples(res);
	for (int i = 0; i < n; i++)
		printf("%-48s %-18s %s %9s B  %s\n", PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
			PQgetvalue(res, i, 2), PQgetvalue(res, i, 3), PQgetvalue(res, i, 4));
	printf("%d dead letter%s%s\n", n, n == 1 ? "" : "s",
		n == atoi(d->opt.limit) ? " (there may be more: --limit)" : "");
	PQclear(res);
	return TG_EXIT_DONE;
}

/* ---- the command line ---- */

static bool known_reason(const char *reason)
{
	for (int i = 0; tg_reject_labels[i]; i++)
		if (strcmp(tg_reject_labels[i], reason) == 0)
			return true;
	return false;
}

/* Takes options out of argv; what is left are places. Exit code, or -1 to go on. */
static int read_options(struct dead_options *o, int *argc, char **argv)
{
	const struct {
		const char *name;
		const char **value;
		bool *flag;
	} known[] = {{"--reason", &o->reason, NULL}, {"--topic", &o->topic, NULL},
		{"--from", &o->from, NULL}, {"--to", &o->to, NULL}, {"--by", &o->by, NULL},
		{"--limit", &o->limit, NULL}, {"--wait", &o->wait, NULL},
		{"--waiting", NULL, &o->waiting}, {"--retried", NULL, &o->retried},
		{"--all", NULL, &o->all}, {"--again", NULL, &o->again},
		{"--dry-run", NULL, &o->dry_run}, {"--raw", NULL, &o->raw}};
	const size_t count = sizeof(known) / sizeof(known[0]);
	int kept = 0;

	for (int i = 0; i < *argc; i++) {
		size_t k = 0;

		while (k < count && strcmp(argv[i], known[k].name) != 0)
			k++;
		if (k == count && argv[i][0] == '-')
			return tg_cmd_usage(DEAD_NAME, "what is '%s'?", argv[i]);
		if (k == count)
			argv[kept++] = argv[i];
		else if (known[k].flag)
			*known[k].flag = true;
		else if (i + 1 == *argc)
			return tg_cmd_usage(DEAD_NAME, "%s wants a value", argv[i]);
		else
			*known[k].value = argv[++i];
	}
	*argc = kept;
	return -1;
}

static bool any_filter(const struct dead_options *o)
{
	return o->reason || o->topic || o->from || o->to;
}

static int check_options(const struct dead_options *o)
{
	char topic[256], partition[16], offset[24];

	if (o->reason && !known_reason(o->reason))
		return tg_cmd_usage(DEAD_NAME, "there is no reason '%s'", o->reason);
	if (o->limit && (!is_number(o->limit, strlen(o->limit)) || atoi(o->limit) < 1))
		return tg_cmd_usage(DEAD_NAME, "--limit wants a number from 1");
	if (o->wait && (!is_number(o->wait, strlen(o->wait)) || strlen(o->wait) > 5))
		return tg_cmd_usage(DEAD_NAME, "--wait wants a number of seconds");
	if (o->waiting && o->retried)
		return tg_cmd_usage(DEAD_NAME, "either --waiting or --retried");
	for (int i = 0; i < o->places_count; i++)
		if (!dead_place(o->places[i], topic, partition, offset))
			return tg_cmd_usage(
				DEAD_NAME, "'%s' is not TOPIC/PARTITION/OFFSET", o->places[i]);
	return -1;
}

/* A time that PostgreSQL cannot read is the caller's mistake, not the server's. */
static int check_times(struct dead *d)
{
	const char *times[] = {d->opt.from, d->opt.to};

	for (int i = 0; i < 2; i++) {
		PGresult *res = PQexecParams(
			d->conn, "SELECT $1::timestamptz", 1, NULL, &times[i], NULL, NULL, 0);
		bool good = PQresultStatus(res) == PGRES_TUPLES_OK;

		PQclear(res);
		if (!good)
			return tg_cmd_usage(DEAD_NAME, "'%s' is not a time", times[i]);
	}
	return -1;
}

static int connect_to(struct dead *d)
{
	struct tg_buf why = {0};

	d->conn = tg_pg_connect_blocking(d->conf.postgres_url, "tongguan dead-letter", &why);
	if (!d->conn)
		tg_cmd_fail(DEAD_NAME, "%s", tg_buf_cstr(&why));
	tg_buf_release(&why);
	if (!d->conn)
		return TG_EXIT_FAILED;
	PQclear(PQexec(d->conn, "SET timezone = 'UTC'"));
	return check_times(d);
}

static int run(struct dead *d, const char *verb)
{
	const struct dead_options *o = &d->opt;
	bool is_list = strcmp(verb, "list") == 0, is_show = strcmp(verb, "show") == 0;
	int rc = -1;

	if (!is_list && !is_show && strcmp(verb, "retry") != 0)
		return tg_cmd_usage(DEAD_NAME, "what is '%s'?", verb);
	if (is_list && o->places_count)
		return tg_cmd_usage(DEAD_NAME, "list takes filters; show takes a place");
	if (is_show && o->places_count != 1)
		return tg_cmd_usage(DEAD_NAME, "show wants one TOPIC/PARTITION/OFFSET");
	if (!is_list && !is_show && (o->places_count > 0) + any_filter(o) + o->all != 1)
		return tg_cmd_usage(DEAD_NAME, "retry wants places, or filters, or --all");
	rc = check_options(o);
	if (rc < 0)
		rc = connect_to(d);
	if (rc >= 0)
		return rc;
	return is_list ? list(d) : is_show ? dead_show(d) : dead_retry(d);
}

int cmd_dead_letter(int argc, char **argv)
{
	struct dead d = {.conn = NULL};
	int rc = tg_cmd_begin(&argc, argv, usage, false, &d.conf), n = argc - 2;

	if (rc >= 0)
		return rc;
	if (argc < 2) {
		rc = tg_cmd_usage(DEAD_NAME, "list, show or retry?");
		goto out;
	}
	rc = read_options(&d.opt, &n, argv + 2);
	if (rc >= 0)
		goto out;
	d.opt.places = (const char *const *)(argv + 2);
	d.opt.places_count = n;
	rc = run(&d, argv[1]);
out:
	PQfinish(d.conn);
	tg_conf_release(&d.conf);
	return rc;
}
