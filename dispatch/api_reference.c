/* The city's reference data: catalogue, departments, map. Tagged by the city's version, so that a
 * client asks once. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/city.h"
#include "dispatch/dispatch.h"
#include "openapi_json.h"
#include "queries.h"

static const char *const no_query[] = {NULL};

/* 304 when the client has this version already; else the tag is on the answer. what names the
 * resource in the tag. */
static bool client_has(struct tg_rq *rq, const char *what, int64_t version)
{
	struct tg_slice header;
	char etag[64];

	snprintf(etag, sizeof(etag), "\"%s-%lld\"", what, (long long)version);
	tg_reply_header(rq->req, "etag", etag);
	rq->tagged = true;
	if (!tg_req_header(rq->req, "if-none-match", &header) || !tg_etag_matches(header, etag))
		return false;
	tg_rq_headers(rq);
	tg_reply(rq->req, 304, NULL, (struct tg_slice){0});
	return true;
}

static bool has_city(struct tg_rq *rq)
{
	if (rq->d->city)
		return true;
	tg_rq_retry(rq, 503, TG_US_PER_S, "no city is loaded");
	return false;
}

static void write_type(struct tg_jw *w, const struct tg_type *t, bool conditions)
{
	tg_jw_object(w, NULL);
	tg_jw_str(w, "type_code", t->code);
	tg_jw_str(w, "class_code", t->class_code);
	tg_jw_str(w, "class_zh", t->class_zh);
	tg_jw_str(w, "class_en", t->class_en);
	tg_jw_str(w, "name_zh", t->name_zh);
	tg_jw_str(w, "name_en", t->name_en);
	tg_jw_str(w, "short_zh", t->short_zh);
	tg_jw_str(w, "short_en", t->short_en);
	tg_jw_str(w, "pinyin", t->pinyin);
	tg_jw_str(w, "domain", t->domain);
	tg_jw_str(w, "urgency", tg_urgency_name(t->urgency));
	tg_jw_str(w, "lead_department", t->lead);
	tg_jw_array(w, "co_departments");
	for (const char **co = t->co; co && *co; co++)
		tg_jw_str(w, NULL, *co);
	tg_jw_array_end(w);
	tg_jw_str(w, "accept_limit", t->accept_limit);
	tg_jw_str(w, "dispatch_limit", t->dispatch_limit);
	tg_jw_str(w, "dispose_limit", t->dispose_limit);
	if (conditions) {
		tg_jw_array(w, "conditions");
		for (size_t i = 0; i < t->conditions_count; i++) {
			const struct tg_condition *c = &t->conditions[i];

			tg_jw_object(w, NULL);
			tg_jw_int(w, "condition_no", c->no);
			tg_jw_str(w, "limit", c->handle_limit);
			tg_jw_str(w, "filing_zh", c->filing_zh);
			tg_jw_str(w, "filing_en", c->filing_en);
			tg_jw_str(w, "close_zh", c->close_zh);
			tg_jw_str(w, "close_en", c->close_en);
			tg_jw_object_end(w);
		}
		tg_jw_array_end(w);
	}
	tg_jw_object_end(w);
}

void tg_api_catalog(struct tg_rq *rq)
{
	const struct tg_type *types;
	struct tg_jw w;
	size_t n;

	if (!tg_rq_known_query(rq, no_query) || !has_city(rq) ||
		client_has(rq, "catalog", tg_city_version(rq->d->city)))
		return;
	types = tg_city_types(rq->d->city, &n);
	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_array(&w, "items");
	for (size_t i = 0; i < n; i++)
		write_type(&w, &types[i], false);
	tg_jw_array_end(&w);
	tg_jw_null(&w, "next_cursor");
	tg_jw_object_end(&w);
	tg_rq_out(rq, 200, "application/json", tg_jw_end(&w));
}

void tg_api_catalog_show(struct tg_rq *rq)
{
	struct tg_slice code = tg_req_param(rq->req, 0);
	const struct tg_type *type = NULL;
	char text[8] = "";
	struct tg_jw w;

	if (!has_city(rq))
		return;
	if (code.len == 5) {
		memcpy(text, code.data, code.len);
		type = tg_city_type(rq->d->city, text);
	}
	if (!type) {
		tg_rq_not_found(rq);
		return;
	}
	if (!tg_rq_known_query(rq, no_query) || client_has(rq, text, tg_city_version(rq->d->city)))
		return;
	tg_jw_begin(&w, &rq->out);
	write_type(&w, type, true);
	tg_rq_out(rq, 200, "application/json", tg_jw_end(&w));
}

void tg_api_departments(struct tg_rq *rq)
{
	const struct tg_dept *depts;
	struct tg_jw w;
	size_t n;

	if (!tg_rq_known_query(rq, no_query) || !has_city(rq) ||
		client_has(rq, "dept", tg_city_version(rq->d->city)))
		return;
	depts = tg_city_depts(rq->d->city, &n);
	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_array(&w, "items");
	for (size_t i = 0; i < n; i++) {
		tg_jw_object(&w, NULL);
		tg_jw_str(&w, "code", depts[i].code);
		tg_jw_str(&w, "name_zh", depts[i].name_zh);
		tg_jw_str(&w, "name_en", depts[i].name_en);
		tg_jw_str(&w, "short_zh", depts[i].short_zh);
		tg_jw_str(&w, "short_en", depts[i].short_en);
		tg_jw_str(&w, "pinyin", depts[i].pinyin);
		tg_jw_str(&w, "kind", depts[i].kind);
		tg_jw_str(&w, "calendar", depts[i].calendar_name);
		tg_jw_object_end(&w);
	}
	tg_jw_array_end(&w);
	tg_jw_null(&w, "next_cursor");
	tg_jw_object_end(&w);
	tg_rq_out(rq, 200, "application/json", tg_jw_end(&w));
}

static void answer_map(struct tg_rq *rq)
{
	const struct tg_api *api = rq->api;

	if (!client_has(rq, "city", api->map_version))
		tg_rq_json(rq, 200, (struct tg_slice){api->map.data, api->map.len});
}

static void on_map(struct tg_rq *rq, const PGresult *res)
{
	struct tg_api *api = rq->api;

	if (PQntuples(res) == 0) {
		tg_rq_retry(rq, 503, TG_US_PER_S, "no city is loaded");
		return;
	}
	tg_buf_reset(&api->map);
	if (tg_buf_add_slice(&api->map, tg_pg_text(res, 0, 1))) {
		api->map_version = 0;
		tg_rq_problem(rq, 500, "the city's map is too large");
		return;
	}
	api->map_version = tg_pg_i64(res, 0, 0);
	answer_map(rq);
}

void tg_api_city(struct tg_rq *rq)
{
	if (!tg_rq_known_query(rq, no_query) || !has_city(rq))
		return;
	if (rq->api->map_version == tg_city_version(rq->d->city))
		answer_map(rq);
	else
		tg_rq_query(rq, tg_sql_city_map, NULL, 0, on_map);
}

static void on_rules(struct tg_rq *rq, const PGresult *res)
{
	struct tg_jw w;

	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_array(&w, "items");
	for (int i = 0; i < PQntuples(res); i++)
		tg_jw_raw(&w, NULL, tg_pg_text(res, i, 0));
	tg_jw_array_end(&w);
	tg_jw_null(&w, "next_cursor");
	tg_jw_object_end(&w);
	tg_rq_out(rq, 200, "application/json", tg_jw_end(&w));
}

void tg_api_rules(struct tg_rq *rq)
{
	if (tg_rq_known_query(rq, no_query))
		tg_rq_query(rq, tg_sql_rule_list, NULL, 0, on_rules);
}

void tg_api_openapi(struct tg_rq *rq)
{
	if (tg_rq_known_query(rq, no_query))
		tg_rq_json(
			rq, 200, (struct tg_slice){tg_openapi_json, sizeof(tg_openapi_json) - 1});
}
