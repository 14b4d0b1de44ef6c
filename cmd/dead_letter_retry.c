/* tongguan dead-letter retry: a few at a time are locked, sent, acknowledged and marked. Killed
 * after the acknowledgement and before the mark, a message may be sent twice: an event is stored
 * once all the same. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/kafka.h"
#include "base/json.h"
#include "cmd/dead_letter.h"

#define GROUP_MAX     64 /* each may have some MiB */
#define HEADERS_MAX   256
#define SEND_LIMIT_MS 30000
#define LOOK_EVERY_US 50000
#define WAIT_S        10

static const char choose_sql[] =
	"SELECT topic, partition, \"offset\" FROM (SELECT * FROM tongguan.dead_letter"
	" WHERE ($1::text IS NULL OR reason = $1) AND ($2::text IS NULL OR topic = $2)"
	" AND ($3::timestamptz IS NULL OR received_at >= $3)"
	" AND ($4::timestamptz IS NULL OR received_at < $4)"
	" AND ($5::boolean IS NULL OR (retried_at IS NOT NULL) = $5)"
	" ORDER BY received_at DESC, topic, partition, \"offset\" DESC LIMIT $6::bigint) d"
	" ORDER BY d.topic, d.partition, d.\"offset\"";
/* SKIP LOCKED: another operator has it in hand. */
static const char lock_sql[] =
	"SELECT key, value, headers::text, retried_at IS NOT NULL FROM tongguan.dead_letter"
	" WHERE topic = $1 AND partition = $2::integer AND \"offset\" = $3::bigint"
	" FOR UPDATE SKIP LOCKED";
static const char mark_sql[] =
	"UPDATE tongguan.dead_letter SET retried_at = now(), retried_by = $4, retried_offset = $5"
	" WHERE topic = $1 AND partition = $2::integer AND \"offset\" = $3::bigint";
/* NULL: not read yet. '': taken. Else the reason it was refused for. */
static const char fate_sql[] =
	"SELECT CASE WHEN d.reason IS NOT NULL THEN d.reason WHEN o.next > $3::bigint THEN '' END"
	" FROM tongguan.source_offset o LEFT JOIN tongguan.dead_letter d ON d.topic = o.topic"
	" AND d.partition = o.partition AND d.\"offset\" = $3::bigint"
	" WHERE o.topic = $1 AND o.partition = $2::integer";

struct place {
	char topic[256], partition[16], offset[24];
};

struct letter {
	struct place place;
	int64_t now_at; /* its offset in the topic now */
	int rc;
	bool sent, reported, settled;
};

struct retry {
	struct dead *d;
	uv_loop_t loop;
	uv_timer_t limit;
	bool late;
	struct tg_producer *producer;
	struct letter *letters;
	size_t count;
	char by[64];
	int sent, skipped, failed, refused, unknown;
};

/* ---- what is meant ---- */

static bool add(struct retry *r, const char *topic, const char *partition, const char *offset)
{
	struct letter *more = realloc(r->letters, (r->count + 1) * sizeof(*more));

	if (!more)
		return false;
	r->letters = more;
	more[r->count] = (struct letter){.now_at = -1};
	snprintf(more[r->count].place.topic, 256, "%s", topic);
	snprintf(more[r->count].place.partition, 16, "%s", partition);
	snprintf(more[r->count].place.offset, 24, "%s", offset);
	r->count++;
	return true;
}

/* Chosen once, before the first is sent: what is refused again while we work is not sent again. */
static int choose(struct retry *r)
{
	struct dead *d = r->d;
	bool good = true;
	PGresult *res;

	for (int i = 0; good && i < d->opt.places_count; i++) {
		struct place p;

		good = dead_place(d->opt.places[i], p.topic, p.partition, p.offset) &&
		       add(r, p.topic, p.partition, p.offset);
	}
	if (d->opt.places_count)
		return good ? 0 : -TG_ENOMEM;
	if (!d->opt.again && !d->opt.retried)
		d->opt.waiting = true;
	res = dead_choose(d, choose_sql);
	if (!res)
		return -TG_EPG;
	for (int i = 0; good && i < PQntuples(res); i++)
		good = add(r, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1), PQgetvalue(res, i, 2));
	PQclear(res);
	return good ? 0 : -TG_ENOMEM;
}

/* ---- sending ---- */

static void on_delivery(void *ctx, void *tag, int rc)
{
	struct retry *r = ctx;
	struct letter *l = tag;

	l->rc = rc;
	l->reported = true;
	if (!rc)
		l->now_at = tg_producer_delivered_at(r->producer);
}

static void on_limit(uv_timer_t *timer)
{
	struct retry *r = timer->data;

	r->late = true;
}

static struct tg_slice unhex(json_t *text, struct tg_buf *bytes)
{
	struct tg_slice hex = {json_string_value(text), json_string_length(text)};
	size_t at = bytes->len, n = hex.len / 2;

	if (tg_buf_reserve(bytes, n + 1) ||
		tg_unhex(hex, (uint8_t *)(uintptr_t)(bytes->data + at), n))
		return (struct tg_slice){NULL, 0};
	bytes->len += n;
	return (struct tg_slice){bytes->data + at, n};
}

/* The original headers; the origin that we added to the dead letter topic is not in the row. The
 * slices live as long as list and bytes. */
static size_t headers_of(json_t *list, struct tg_buf *bytes, struct tg_header out[HEADERS_MAX])
{
	json_t *header, *value;
	size_t i, n = 0;

	json_array_foreach (list, i, header) {
		if (n == HEADERS_MAX)
			break;
		out[n] = (struct tg_header){
			.name = json_string_value(json_object_get(header, "name"))};
		value = json_object_get(header, "value");
		if (json_is_string(value))
			out[n].value = (struct tg_slice){
				json_string_value(value), json_string_length(value)};
		else if (json_object_get(header, "hex"))
			out[n].value = unhex(json_object_get(header, "hex"), bytes);
		n++;
	}
	return n;
}

static int send_row(struct retry *r, struct letter *l, const PGresult *res)
{
	struct tg_slice key = dead_bytes(res, 0, 0), value = dead_bytes(res, 0, 1);
	json_t *list = json_loads(PQgetvalue(res, 0, 2), 0, NULL);
	struct tg_header headers[HEADERS_MAX];
	struct tg_buf bytes = {.max = (size_t)16 << 20};
	size_t n = 0;
	/* Reserved once: the slices must not move. */
	int rc = tg_buf_reserve(&bytes, (size_t)PQgetlength(res, 0, 2) + HEADERS_MAX);

	if (!rc) {
		n = headers_of(list, &bytes, headers);
		rc = tg_producer_send(r->producer, l->place.topic, atoi(l->place.partition), key,
			value, headers, n, l);
	}
	json_decref(list);
	tg_buf_release(&bytes);
	PQfreemem((void *)(uintptr_t)key.data);
	PQfreemem((void *)(uintptr_t)value.data);
	return rc;
}

static void say(const struct letter *l, const char *what)
{
	printf("%s/%s/%s  %s\n", l->place.topic, l->place.partition, l->place.offset, what);
}

/* Locks the row and hands it to the producer; anything else is said and counted. */
static void begin_one(struct retry *r, struct letter *l)
{
	const char *params[] = {l->place.topic, l->place.partition, l->place.offset};
	PGresult *res = dead_run(r->d, lock_sql, params, 3);
	char why[128];

	if (!res || PQntuples(res) == 0) {
		say(l, "not found, or in another's hands");
		r->failed++;
	} else if (PQgetvalue(res, 0, 3)[0] == 't' && !r->d->opt.again && !r->d->opt.retried) {
		say(l, "was sent again before: --again sends it once more");
		r->skipped++;
	} else if (r->d->opt.dry_run) {
		say(l, "would be sent");
		r->skipped++;
	} else {
		l->rc = send_row(r, l, res);
		l->sent = l->rc == 0;
		if (l->rc) {
			snprintf(why, sizeof(why), "not sent: %s", tg_err_text(l->rc));
			say(l, why);
			r->failed++;
		}
	}
	PQclear(res);
}

static bool all_reported(const struct letter *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (l[i].sent && !l[i].reported)
			return false;
	return true;
}

static int mark_one(struct retry *r, struct letter *l)
{
	char now_at[24], why[160];
	const char *params[] = {l->place.topic, l->place.partition, l->place.offset, r->by, now_at};
	PGresult *res;

	if (!l->sent)
		return 0;
	if (!l->reported || l->rc) {
		snprintf(why, sizeof(why), "not sent: %s",
			l->reported ? tg_err_text(l->rc)
				    : "Kafka did not take it in time; it may still arrive");
		say(l, why);
		l->sent = false;
		r->failed++;
		return 0;
	}
	snprintf(now_at, sizeof(now_at), "%lld", (long long)l->now_at);
	res = dead_run(r->d, mark_sql, params, 5);
	PQclear(res);
	r->sent++;
	return res ? 0 : -TG_EPG;
}

static int send_group(struct retry *r, struct letter *l, size_t n)
{
	PGresult *res = dead_run(r->d, "BEGIN", NULL, 0);
	int rc = res ? 0 : -TG_EPG;

	PQclear(res);
	for (size_t i = 0; !rc && i < n; i++)
		begin_one(r, &l[i]);
	uv_timer_start(&r->limit, on_limit, SEND_LIMIT_MS, 0);
	while (!rc && !r->late && !all_reported(l, n))
		uv_run(&r->loop, UV_RUN_ONCE);
	uv_timer_stop(&r->limit);
	for (size_t i = 0; !rc && i < n; i++)
		rc = mark_one(r, &l[i]);
	res = dead_run(r->d, rc ? "ROLLBACK" : "COMMIT", NULL, 0);
	if (!res)
		rc = -TG_EPG;
	PQclear(res);
	return rc ? rc : r->late ? -TG_ETIMEOUT : 0;
}

/* ---- what became of them ---- */

static void look_at(struct retry *r, struct letter *l)
{
	char now_at[24], what[512];
	const char *params[] = {l->place.topic, l->place.partition, now_at};
	PGresult *res;

	snprintf(now_at, sizeof(now_at), "%lld", (long long)l->now_at);
	res = dead_run(r->d, fate_sql, params, 3);
	if (res && PQntuples(res) && !PQgetisnull(res, 0, 0)) {
		const char *reason = PQgetvalue(res, 0, 0);

		l->settled = true;
		if (reason[0])
			snprintf(what, sizeof(what), "refused again: %s, now %s/%s/%s", reason,
				l->place.topic, l->place.partition, now_at);
		else
			snprintf(what, sizeof(what), "accepted (offset %s)", now_at);
		say(l, what);
		r->refused += reason[0] != '\0';
	}
	PQclear(res);
}

static void watch(struct retry *r)
{
	int64_t limit_us = TG_US_PER_S * (r->d->opt.wait ? atoi(r->d->opt.wait) : WAIT_S);
	int64_t until_us = tg_mono_us() + limit_us;
	const struct timespec pause = {.tv_nsec = LOOK_EVERY_US * 1000};
	bool open = limit_us > 0;

	while (open && tg_mono_us() < until_us) {
		open = false;
		for (size_t i = 0; i < r->count; i++) {
			struct letter *l = &r->letters[i];

			if (l->sent && !l->settled)
				look_at(r, l);
			open |= l->sent && !l->settled;
		}
		if (open)
			nanosleep(&pause, NULL);
	}
	for (size_t i = 0; i < r->count; i++) {
		if (!r->letters[i].sent || r->letters[i].settled)
			continue;
		say(&r->letters[i], limit_us ? "sent; ingest has not read it yet" : "sent");
		r->unknown++;
	}
}

/* ---- the command ---- */

static void who_am_i(struct retry *r)
{
	const char *sudo = getenv("SUDO_USER");
	const struct passwd *pw = getpwuid(getuid());

	snprintf(r->by, sizeof(r->by), "%s",
		r->d->opt.by        ? r->d->opt.by
		: sudo && sudo[0]   ? sudo
		: pw && pw->pw_name ? pw->pw_name
				    : "unknown");
}

static int work(struct retry *r)
{
	int rc = choose(r);

	if (!rc && r->count == 0)
		puts("no dead letter matches");
	if (!rc && r->count)
		rc = tg_producer_open(&r->loop, r->d->conf.kafka_brokers, "tongguan-dead-letter", 0,
			on_delivery, r, &r->producer);
	for (size_t at = 0; !rc && at < r->count; at += GROUP_MAX)
		rc = send_group(
			r, &r->letters[at], r->count - at < GROUP_MAX ? r->count - at : GROUP_MAX);
	if (r->producer)
		tg_producer_close(r->producer);
	if (r->sent)
		watch(r);
	return rc;
}

int dead_retry(struct dead *d)
{
	struct retry r = {.d = d};
	int rc;

	who_am_i(&r);
	uv_loop_init(&r.loop);
	uv_timer_init(&r.loop, &r.limit);
	r.limit.data = &r;
	rc = work(&r);
	if (rc && rc != -TG_EPG)
		tg_cmd_fail(DEAD_NAME, "%s", tg_err_text(rc));
	if (r.count)
		printf("%d sent again by %s: %d accepted, %d refused again, %d not read yet; %d "
		       "left out, %d failed\n",
			r.sent, r.by, r.sent - r.refused - r.unknown, r.refused, r.unknown,
			r.skipped, r.failed);
	uv_close((uv_handle_t *)&r.limit, NULL);
	uv_run(&r.loop, UV_RUN_DEFAULT);
	uv_loop_close(&r.loop);
	free(r.letters);
	return rc || r.failed || r.refused ? TG_EXIT_FAILED : TG_EXIT_DONE;
}
