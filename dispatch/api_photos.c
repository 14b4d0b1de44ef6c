/* POST /photos, GET /photos/{hash}: pictures, named by the SHA-256 of their bytes. They go through
 * a connection of their own, a few at a time: each is in memory more than once while it passes. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/dispatch.h"
#include "dispatch/image.h"
#include "queries.h"

#define AT_ONCE      2
#define POOL_WAIT_MS 3000
#define BASE64       sodium_base64_VARIANT_ORIGINAL

static const char *const no_query[] = {NULL};

struct passage {
	struct tg_api *api;
	struct tg_pg *pg;
	uint8_t hash[32];
	char hex[65], hash_text[67];
	const char *type;
	size_t size;
	bool fresh; /* the client has no copy: the bytes are wanted */
	void (*go)(struct tg_rq *rq);
};

/* ---- one of the few places ---- */

static void on_taken(void *ctx, int rc, struct tg_pg *pg)
{
	struct tg_rq *rq = ctx;
	struct passage *p = rq->state;

	if (rc) {
		p->api->photos--;
		tg_rq_retry(rq, 503, TG_US_PER_S, "the database is busy or away");
		return;
	}
	p->pg = pg;
	p->go(rq);
}

static void enter(struct tg_rq *rq, void (*go)(struct tg_rq *rq))
{
	struct passage *p = rq->state;

	p->go = go;
	if (p->api->photos >= AT_ONCE) {
		tg_rq_retry(rq, 503, TG_US_PER_S, "too many photos are on their way");
		return;
	}
	p->api->photos++;
	if (tg_pg_pool_take(rq->d->write, POOL_WAIT_MS, on_taken, rq)) {
		p->api->photos--;
		tg_rq_retry(rq, 503, TG_US_PER_S, "too many are waiting for the database");
	}
}

/* Before the answer, with which the request goes. */
static void leave(struct passage *p)
{
	p->api->photos--;
	tg_pg_pool_give(p->api->d->write, p->pg);
}

static void leave_away(struct tg_rq *rq)
{
	leave(rq->state);
	tg_rq_retry(rq, 503, TG_US_PER_S, "the database is away");
}

/* ---- in ---- */

static void on_noted(void *ctx, int rc, const PGresult *res)
{
	struct tg_rq *rq = ctx;
	struct passage *p = rq->state;
	char url[96];
	struct tg_jw w;

	leave(p);
	if (tg_rq_query_failed(rq, rc, res))
		return;
	snprintf(url, sizeof(url), "/api/v1/photos/%s", p->hex);
	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_str(&w, "hash", p->hex);
	tg_jw_str(&w, "type", p->type);
	tg_jw_int(&w, "size", (int64_t)p->size);
	tg_jw_str(&w, "url", url);
	tg_jw_object_end(&w);
	tg_reply_header(rq->req, "location", url);
	tg_rq_out(rq, 201, "application/json", tg_jw_end(&w));
}

static void on_put(void *ctx, int rc, const PGresult *res)
{
	struct tg_rq *rq = ctx;
	struct passage *p = rq->state;
	const char *params[] = {p->hash_text, rq->cred.actor.name, tg_rq_department(rq)};

	if (rc) {
		leave(p);
		(void)!tg_rq_query_failed(rq, rc, res);
	} else if (tg_pg_query(p->pg, tg_sql_photo_source, params, 3, on_noted, rq)) {
		leave_away(rq);
	}
}

static void put(struct tg_rq *rq)
{
	struct passage *p = rq->state;
	struct tg_slice body = tg_req_body(rq->req);
	size_t room = sodium_base64_encoded_len(body.len, BASE64);
	char *text = malloc(room);
	const char *params[] = {p->hash_text, p->type, text};
	int rc = -TG_ENOMEM;

	if (text) {
		sodium_bin2base64(text, room, (const unsigned char *)body.data, body.len, BASE64);
		rc = tg_pg_query(p->pg, tg_sql_photo_put, params, 3, on_put, rq);
	}
	free(text);
	if (rc)
		leave_away(rq);
}

static struct passage *passage_new(struct tg_rq *rq)
{
	struct passage *p = tg_rq_state(rq, sizeof(*p));

	if (p)
		p->api = rq->api;
	return p;
}

void tg_api_photo_create(struct tg_rq *rq)
{
	struct tg_slice body = tg_req_body(rq->req), said;
	struct tg_image image;
	struct passage *p;
	int rc;

	if (!tg_rq_known_query(rq, no_query))
		return;
	rc = tg_image_look(body, &image);
	if (rc == -TG_ERANGE) {
		tg_rq_unacceptable(rq, "body", "a picture of 1 to 30000 pixels a side is wanted");
		return;
	}
	if (rc) {
		tg_rq_problem(rq, 415, "the body is no whole JPEG, PNG or WebP picture");
		return;
	}
	if (tg_req_header(rq->req, "content-type", &said) &&
		!tg_media_is(said, "application/octet-stream") && !tg_media_is(said, image.type)) {
		tg_rq_problem(
			rq, 415, "Content-Type says something else than the bytes, %s", image.type);
		return;
	}
	p = passage_new(rq);
	if (!p)
		return;
	p->type = image.type;
	p->size = body.len;
	crypto_hash_sha256(p->hash, (const unsigned char *)body.data, body.len);
	tg_hex(p->hash, sizeof(p->hash), p->hex);
	tg_token_hash_text(p->hash, p->hash_text);
	enter(rq, put);
}

/* ---- out ---- */

static int decode(struct tg_buf *out, struct tg_slice text)
{
	size_t n = 0;
	int rc = tg_buf_reserve(out, text.len);

	if (!rc && sodium_base642bin((unsigned char *)out->data, text.len, text.data, text.len,
			   "\n", &n, NULL, BASE64))
		rc = -TG_EPARSE;
	out->len = rc ? 0 : n;
	return rc;
}

static void on_photo(void *ctx, int rc, const PGresult *res)
{
	struct tg_rq *rq = ctx;
	struct passage *p = rq->state;
	char type[16] = "";

	if (!rc && PQntuples(res) == 1) {
		snprintf(type, sizeof(type), "%s", PQgetvalue(res, 0, 0));
		if (p->fresh && decode(&rq->out, tg_pg_text(res, 0, 2)))
			rc = -TG_ENOMEM;
	}
	leave(p);
	if (tg_rq_query_failed(rq, rc, res))
		return;
	if (!type[0]) {
		tg_rq_not_found(rq);
		return;
	}
	tg_rq_safe_headers(rq);
	/* The name says what is in it; who may see it is asked each time a copy is not at hand. */
	tg_reply_header(rq->req, "cache-control", "private, max-age=86400, immutable");
	tg_reply_header(rq->req, "content-disposition", "inline");
	if (p->fresh)
		tg_reply(rq->req, 200, type, (struct tg_slice){rq->out.data, rq->out.len});
	else
		tg_reply(rq->req, 304, NULL, (struct tg_slice){0});
}

static void fetch(struct tg_rq *rq)
{
	struct passage *p = rq->state;
	const char *params[] = {
		p->hash_text, tg_rq_only(rq), rq->cred.actor.name, p->fresh ? "true" : "false"};

	if (tg_pg_query(p->pg, tg_sql_photo_show, params, 4, on_photo, rq))
		leave_away(rq);
}

void tg_api_photo_show(struct tg_rq *rq)
{
	struct tg_slice hex = tg_req_param(rq->req, 0), header;
	struct passage *p;
	char etag[68];

	if (!tg_is_photo_hash(hex)) {
		tg_rq_not_found(rq);
		return;
	}
	p = passage_new(rq);
	if (!p || !tg_rq_known_query(rq, no_query))
		return;
	memcpy(p->hex, hex.data, 64);
	if (tg_unhex(hex, p->hash, sizeof(p->hash))) {
		tg_rq_not_found(rq);
		return;
	}
	tg_token_hash_text(p->hash, p->hash_text);
	snprintf(etag, sizeof(etag), "\"%s\"", p->hex);
	p->fresh = !(
		tg_req_header(rq->req, "if-none-match", &header) && tg_etag_matches(header, etag));
	tg_reply_header(rq->req, "etag", etag);
	enter(rq, fetch);
}

/* ---- named by others ---- */

static void on_known(struct tg_rq *rq, const PGresult *res)
{
	rq->photos_then(rq, tg_pg_i64(res, 0, 0) == rq->photos);
}

/* "{a,b}" with each once; how many, -1: not of that form. */
static int photo_array(const json_t *list, struct tg_buf *out)
{
	const json_t *item;
	size_t i;
	int n = 0, rc = tg_buf_add_cstr(out, "{");

	if (!json_is_array(list))
		return -1;
	json_array_foreach (list, i, item) {
		struct tg_slice hex = tg_slice_cstr(json_string_value(item));

		if (!json_is_string(item) || !tg_is_photo_hash(hex))
			return -1;
		if (out->len > 1 && strstr(out->data, hex.data))
			continue;
		rc = rc ? rc : tg_buf_addf(out, "%s%s", n ? "," : "", hex.data);
		if (!rc && !tg_buf_cstr(out)) /* ends it, for the search above */
			rc = -TG_ENOMEM;
		n++;
	}
	rc = rc ? rc : tg_buf_add_cstr(out, "}");
	return rc ? -1 : n;
}

void tg_api_photos_known(struct tg_rq *rq, void (*then)(struct tg_rq *rq, bool known))
{
	const json_t *list = json_object_get(rq->body, "photos");
	struct tg_buf array = {.max = 4096};
	int n = list ? photo_array(list, &array) : -1;
	const char *params[] = {NULL, tg_rq_only(rq), rq->cred.actor.name};

	rq->photos_then = then;
	rq->photos = n;
	params[0] = n > 0 ? tg_buf_cstr(&array) : NULL;
	if (params[0])
		tg_rq_query(rq, tg_sql_photo_known, params, 3, on_known);
	else
		then(rq, true);
	tg_buf_release(&array);
}
