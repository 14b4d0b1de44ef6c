/* POST /reports: what an inspector or a citizen says → an event on its input topic. 202 once the
 * broker has it. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "dispatch/api.h"
#include "dispatch/dispatch.h"
#include "proto/codec.h"
#include "queries.h"

#define DELIVERY_LIMIT_US (10 * TG_US_PER_S)
#define TICK_MS           1000
#define ARENA_BLOCK       8192
#define EVENT_ID_SIZE     33
#define PHOTOS_MAX        9

struct tg_reports {
	struct tg_api *api;
	uv_timer_t tick;
	struct tg_list waiting; /* struct sent, oldest first */
	char inspector_topic[128], citizen_topic[128];
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* With the producer, which owns it until the delivery report. */
struct sent {
	struct tg_list link;
	struct tg_rq *rq; /* NULL: answered already, because it took too long */
	int64_t until_us;
};

/* A request's own. */
struct report {
	char event_id[EVENT_ID_SIZE];
	int64_t occurred_us;
};

static void give_up(struct tg_rq *rq)
{
	tg_rq_retry(rq, 503, TG_US_PER_S,
		"the broker has not acknowledged it; send it again with the same Idempotency-Key");
}

static void on_tick(uv_timer_t *tick)
{
	struct tg_reports *reports = tick->data;

	while (!tg_list_empty(&reports->waiting)) {
		struct sent *sent = tg_container_of(reports->waiting.next, struct sent, link);
		struct tg_rq *rq = sent->rq;

		if (sent->until_us > tg_mono_us())
			return;
		tg_list_remove(&sent->link);
		sent->rq = NULL;
		give_up(rq);
	}
	uv_timer_stop(tick);
}

/* The configured input topic that ends in this name; "" when there is none. */
static void find_topic(const char *list, const char *ending, char out[128])
{
	size_t want = strlen(ending);

	for (const char *at = list; *at;) {
		size_t n = strcspn(at, ", ");

		if (n >= want && n < 128 && memcmp(at + n - want, ending, want) == 0) {
			memcpy(out, at, n);
			return;
		}
		at += n + strspn(at + n, ", ");
	}
}

int tg_reports_open(struct tg_api *api, struct tg_reports **ret)
{
	struct tg_reports *reports = calloc(1, sizeof(*reports));

	if (!reports)
		return -TG_ENOMEM;
	reports->api = api;
	tg_list_init(&reports->waiting);
	find_topic(api->d->conf->kafka_topics, "inspector.reports", reports->inspector_topic);
	find_topic(api->d->conf->kafka_topics, "citizen.reports", reports->citizen_topic);
	uv_timer_init(api->d->loop, &reports->tick);
	reports->tick.data = reports;
	*ret = reports;
	return 0;
}

static void on_tick_closed(uv_handle_t *handle)
{
	struct tg_reports *reports = handle->data;

	reports->closed(reports->closed_ctx);
}

void tg_reports_close(struct tg_reports *reports, void (*closed)(void *ctx), void *ctx)
{
	reports->closed = closed;
	reports->closed_ctx = ctx;
	while (!tg_list_empty(&reports->waiting)) {
		struct sent *sent = tg_container_of(reports->waiting.next, struct sent, link);
		struct tg_rq *rq = sent->rq;

		tg_list_remove(&sent->link);
		sent->rq = NULL;
		give_up(rq);
	}
	uv_close((uv_handle_t *)&reports->tick, on_tick_closed);
}

void tg_reports_free(struct tg_reports *reports)
{
	free(reports);
}

static void answer_accepted(struct tg_rq *rq)
{
	const struct report *report = rq->state;
	struct tg_jw w;

	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_str(&w, "source_id", rq->cred.actor.name);
	tg_jw_str(&w, "event_id", report->event_id);
	tg_jw_time(&w, "occurred_at", report->occurred_us);
	tg_jw_object_end(&w);
	tg_rq_out(rq, 202, "application/json", tg_jw_end(&w));
}

void tg_api_report_delivered(void *ctx, void *tag, int rc)
{
	struct sent *sent = tag;
	struct tg_rq *rq = sent->rq;

	(void)ctx;
	tg_list_remove(&sent->link);
	free(sent);
	if (!rq)
		return;
	if (rc)
		give_up(rq);
	else
		answer_accepted(rq);
}

/* Which field of the request a refusal of the event form means. */
static const char *field_of(enum tg_reject why)
{
	switch (why) {
	case TG_REJECT_time_ahead:
	case TG_REJECT_time_too_old: return "occurred_at";
	case TG_REJECT_bad_type_code: return "type_code";
	case TG_REJECT_lon_out_of_range: return "location.lon";
	case TG_REJECT_lat_out_of_range: return "location.lat";
	case TG_REJECT_bad_enum:
	case TG_REJECT_not_finite:
	case TG_REJECT_missing_field: return "location";
	case TG_REJECT_too_many_attributes: return "attributes";
	case TG_REJECT_field_too_long: return "text";
	default: return "";
	}
}

static bool is_inspector(const struct tg_rq *rq)
{
	return rq->cred.actor.role == TG_ROLE_INSPECTOR;
}

/* Checks as ingest will and gives the bytes to send. */
static enum tg_reject encode(
	const struct tg_rq *rq, struct tg_arena *arena, const json_t *event, struct tg_buf *ret)
{
	const struct tg_conf *conf = rq->d->conf;
	const struct tg_event_limits limits = {.arrived_us = tg_now_us(),
		.ahead_us = conf->ingest_ahead_s * TG_US_PER_S,
		.retention_us = conf->ingest_retention_days * TG_US_PER_DAY};
	char *text = json_dumps(event, JSON_COMPACT);
	tg_event_pb *ev = NULL;
	enum tg_reject why;

	if (!text)
		return TG_REJECT_too_large;
	why = tg_event_decode(arena, TG_FORM_JSON, tg_slice_cstr(text), &ev);
	if (!why)
		why = tg_event_check(ev, &limits);
	if (!why && tg_event_encode(ev, ret))
		why = TG_REJECT_too_large;
	free(text);
	return why;
}

static void hand_over(struct tg_rq *rq, struct tg_slice value)
{
	struct tg_reports *reports = rq->api->reports;
	const char *topic = is_inspector(rq) ? reports->inspector_topic : reports->citizen_topic;
	struct tg_slice key = tg_slice_cstr(rq->cred.actor.name), trace;
	struct tg_header headers[2] = {{"content-type", TG_SLICE("application/x-protobuf")}};
	size_t count = 1;
	struct sent *sent = calloc(1, sizeof(*sent));

	if (tg_req_header(rq->req, "traceparent", &trace) && trace.len <= 128)
		headers[count++] = (struct tg_header){"traceparent", trace};
	if (!sent || !topic[0] || !rq->d->reports ||
		tg_producer_send(rq->d->reports, topic, -1, key, value, headers, count, sent)) {
		free(sent);
		tg_rq_retry(rq, 503, TG_US_PER_S, "reports cannot be taken now");
		return;
	}
	sent->rq = rq;
	sent->until_us = tg_mono_us() + DELIVERY_LIMIT_US;
	tg_list_push(&reports->waiting, &sent->link);
	if (!uv_is_active((uv_handle_t *)&reports->tick))
		uv_timer_start(&reports->tick, on_tick, TICK_MS, TICK_MS);
}

/* photos: ["HASH", …] as addresses of ours among photo_urls. */
static int add_photos(const struct tg_rq *rq, json_t *report)
{
	const json_t *photos = json_object_get(rq->body, "photos"), *item;
	json_t *urls;
	char url[96];
	size_t i;
	int rc = 0;

	if (!json_array_size(photos))
		return 0;
	urls = json_deep_copy(json_object_get(report, "photo_urls"));
	if (!urls)
		urls = json_array();
	json_array_foreach (photos, i, item) {
		snprintf(url, sizeof(url), "/api/v1/photos/%s", json_string_value(item));
		rc |= json_array_append_new(urls, json_string(url));
	}
	return rc | json_object_set_new(report, "photo_urls", urls);
}

/* What makes the event's JSON of the request's: everything but the identity. New reference, or
 * NULL. */
static json_t *event_of(const struct tg_rq *rq)
{
	static const char *const same[] = {"type_code", "location", "attributes", NULL};
	static const char *const said[] = {
		"title", "text", "contact", "reporter_id", "photo_urls", NULL};
	json_t *event = json_object(), *report = json_object(), *value;
	int rc = 0;

	for (int i = 0; same[i]; i++)
		if ((value = json_object_get(rq->body, same[i])))
			rc |= json_object_set(event, same[i], value);
	for (int i = 0; said[i]; i++)
		if ((value = json_object_get(rq->body, said[i])))
			rc |= json_object_set(report, said[i], value);
	rc |= add_photos(rq, report);
	if (is_inspector(rq))
		rc |= json_object_set_new(report, "reporter_id", json_string(rq->cred.actor.name));
	rc |= json_object_set_new(event, "source_id", json_string(rq->cred.actor.name));
	rc |= json_object_set_new(
		event, "source_kind", json_string(is_inspector(rq) ? "inspector" : "citizen"));
	rc |= json_object_set_new(event, "report", report);
	if (rc) {
		json_decref(event);
		return NULL;
	}
	return event;
}

/* The identity is settled: send. */
static void send_report(struct tg_rq *rq)
{
	const struct report *report = rq->state;
	json_t *event = event_of(rq);
	char at[TG_RFC3339_MAX];
	struct tg_arena arena;
	struct tg_buf bytes = {0};
	enum tg_reject why = TG_REJECT_too_large;

	tg_rfc3339_utc(report->occurred_us, at);
	tg_arena_init(&arena, ARENA_BLOCK, 4 * TG_EVENT_BYTES_MAX);
	if (event && !json_object_set_new(event, "event_id", json_string(report->event_id)) &&
		!json_object_set_new(event, "occurred_at", json_string(at)))
		why = encode(rq, &arena, event, &bytes);
	if (why)
		tg_rq_unacceptable(rq, field_of(why), tg_reject_text(why));
	else
		hand_over(rq, (struct tg_slice){bytes.data, bytes.len});
	tg_buf_release(&bytes);
	tg_arena_release(&arena);
	json_decref(event);
}

static void on_key(struct tg_rq *rq, const PGresult *res)
{
	struct report *report = rq->state;

	if (!tg_pg_bool(res, 0, 2)) {
		tg_rq_problem(rq, 422, "this Idempotency-Key was used with another body");
		return;
	}
	snprintf(report->event_id, sizeof(report->event_id), "%s", PQgetvalue(res, 0, 0));
	report->occurred_us = tg_pg_i64(res, 0, 1);
	send_report(rq);
}

static void bytea_text(const uint8_t hash[32], char out[67])
{
	memcpy(out, "\\x", 2);
	tg_hex(hash, 32, out + 2);
}

static void ask_key(struct tg_rq *rq, const char *scope, struct tg_slice key)
{
	const struct report *report = rq->state;
	uint8_t key_hash[32], body_hash[32];
	char key_text[67], body_text[67], occurred[24];
	const char *params[] = {key_text, body_text, report->event_id, occurred};
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, sizeof(key_hash));
	crypto_generichash_update(&state, (const unsigned char *)scope, strlen(scope) + 1);
	crypto_generichash_update(&state, (const unsigned char *)key.data, key.len);
	crypto_generichash_final(&state, key_hash, sizeof(key_hash));
	tg_rq_body_digest(rq, body_hash);
	bytea_text(key_hash, key_text);
	bytea_text(body_hash, body_text);
	snprintf(occurred, sizeof(occurred), "%lld", (long long)report->occurred_us);
	tg_rq_query(rq, tg_sql_report_key, params, 4, on_key);
}

static bool photos_form(const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (!json_is_string(item) ||
			!tg_is_photo_hash(tg_slice_cstr(json_string_value(item))))
			return false;
	return json_is_array(list) && json_array_size(list) <= PHOTOS_MAX;
}

/* False: answered. */
static bool check_fields(struct tg_rq *rq)
{
	static const char *const known[] = {"title", "text", "type_code", "location", "occurred_at",
		"contact", "reporter_id", "photo_urls", "photos", "attributes", NULL};
	const char *name, *words = NULL;
	json_t *value;

	json_object_foreach (rq->body, name, value)
		if (!tg_name_in(tg_slice_cstr(name), known)) {
			tg_rq_unacceptable(rq, name, "there is no such field");
			return false;
		}
	value = json_object_get(rq->body, "photos");
	if (value && !photos_form(value)) {
		tg_rq_unacceptable(rq, "photos", "a list of at most 9 names of photos is wanted");
		return false;
	}
	if (!tg_json_str(rq->body, "text", &words, NULL) &&
		!tg_json_str(rq->body, "title", &words, NULL)) {
		tg_rq_unacceptable(rq, "text", "a report says something: text or title");
		return false;
	}
	return true;
}

static void report_now(struct tg_rq *rq, bool known)
{
	char scope[TG_RQ_SCOPE_MAX];
	const char *at = NULL;
	struct tg_slice key;
	struct report *report;
	uint8_t id[16];

	if (!known) {
		tg_rq_unacceptable(rq, "photos", "there is no such photo: put it there first");
		return;
	}
	if (!tg_rq_idempotency(rq, scope, &key))
		return;
	report = tg_rq_state(rq, sizeof(*report));
	if (!report)
		return;
	randombytes_buf(id, sizeof(id));
	tg_hex(id, sizeof(id), report->event_id);
	report->occurred_us = tg_now_us();
	if (json_object_get(rq->body, "occurred_at") &&
		(!tg_json_str(rq->body, "occurred_at", &at, NULL) ||
			tg_rfc3339_parse(tg_slice_cstr(at), &report->occurred_us))) {
		tg_rq_unacceptable(
			rq, "occurred_at", "an instant with its zone, as 2026-11-22T10:00:00Z");
		return;
	}
	if (key.len)
		ask_key(rq, scope, key);
	else
		send_report(rq);
}

void tg_api_report_create(struct tg_rq *rq)
{
	if (tg_rq_body(rq) && check_fields(rq))
		tg_api_photos_known(rq, report_now);
}
