/* GET /cases/{id}/duplicates: what a case may repeat, best first, each with its reasons. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/api.h"
#include "dispatch/dispatch.h"
#include "dispatch/repeat.h"
#include "queries.h"

/* The parsed rows of one answer. */
struct asked {
	json_t *fresh, *earlier, *texts;
	int64_t now_us;
	struct tg_report report, *reports;
	struct tg_repeat *scores;
	size_t n;
};

static void release(struct asked *a)
{
	json_decref(a->fresh);
	json_decref(a->earlier);
	json_decref(a->texts);
	free(a->reports);
	free(a->scores);
}

static int64_t instant(const json_t *doc, const char *key)
{
	const char *text = json_string_value(json_object_get(doc, key));
	int64_t us;

	return text && !tg_rfc3339_parse(tg_slice_cstr(text), &us) ? us : INT64_MIN;
}

static struct tg_report report_of(const json_t *doc)
{
	return (struct tg_report){.type_code = json_string_value(json_object_get(doc, "type_code")),
		.lasting = tg_lasting_parse(json_string_value(json_object_get(doc, "lasting"))),
		.lon = json_number_value(json_object_get(doc, "lon")),
		.lat = json_number_value(json_object_get(doc, "lat")),
		.reported_us = instant(doc, "reported_at"),
		.closed_us = instant(doc, "closed_at"),
		.merged = json_is_object(json_object_get(doc, "master")),
		.text = json_string_value(json_object_get(doc, "text"))};
}

static int score(struct asked *a)
{
	size_t texts = json_array_size(a->texts);
	struct tg_slice *list = calloc(texts ? texts : 1, sizeof(*list));
	struct tg_repeat_words *words = NULL;
	int rc = list ? 0 : -TG_ENOMEM;

	for (size_t i = 0; !rc && i < texts; i++)
		list[i] = tg_slice_cstr(json_string_value(json_array_get(a->texts, i)));
	if (!rc)
		rc = tg_repeat_words_new(list, texts, &words);
	if (!rc)
		tg_repeat_score(&a->report, a->reports, a->n, a->now_us, words, a->scores);
	tg_repeat_words_free(words);
	free(list);
	return rc;
}

static int read_rows(struct asked *a, const PGresult *res)
{
	int rc = tg_json_parse(tg_pg_text(res, 0, 0), &a->fresh, NULL);

	if (!rc)
		rc = tg_json_parse(tg_pg_text(res, 0, 1), &a->earlier, NULL);
	if (!rc)
		rc = tg_json_parse(tg_pg_text(res, 0, 2), &a->texts, NULL);
	if (rc)
		return rc;
	a->now_us = tg_pg_i64(res, 0, 3);
	a->n = json_array_size(a->earlier);
	a->report = report_of(a->fresh);
	a->reports = calloc(a->n ? a->n : 1, sizeof(*a->reports));
	a->scores = calloc(a->n ? a->n : 1, sizeof(*a->scores));
	if (!a->reports || !a->scores)
		return -TG_ENOMEM;
	for (size_t i = 0; i < a->n; i++)
		a->reports[i] = report_of(json_array_get(a->earlier, i));
	return score(a);
}

static int compare(const void *x, const void *y)
{
	const struct tg_repeat *a = x, *b = y;

	return a->score != b->score ? (a->score < b->score ? 1 : -1) : a->at < b->at ? -1 : 1;
}

static void reason(struct tg_jw *w, const char *code, const char *zh, const char *en)
{
	tg_jw_object(w, NULL);
	tg_jw_str(w, "code", code);
	tg_jw_str(w, "zh", zh);
	tg_jw_str(w, "en", en);
	tg_jw_object_end(w);
}

static void write_age(struct tg_jw *w, int64_t age_us)
{
	long long minutes = (long long)(age_us / TG_US_PER_MIN), n = minutes;
	const char *zh = "分钟", *en = "min";
	char text_zh[64], text_en[64];

	if (minutes >= 48 * 60)
		n = minutes / 1440, zh = "天", en = "d";
	else if (minutes >= 120)
		n = minutes / 60, zh = "小时", en = "h";
	snprintf(text_zh, sizeof(text_zh), "早 %lld %s", n, zh);
	snprintf(text_en, sizeof(text_en), "%lld %s earlier", n, en);
	reason(w, "age", text_zh, text_en);
}

static void write_words(struct tg_jw *w, const struct tg_repeat *r)
{
	char zh[160] = "相同词：", en[160] = "shared words: ";

	if (!r->shared_count)
		return;
	for (size_t i = 0; i < r->shared_count; i++) {
		size_t at_zh = strlen(zh), at_en = strlen(en);

		snprintf(zh + at_zh, sizeof(zh) - at_zh, "%s%s", i ? "、" : "", r->shared[i]);
		snprintf(en + at_en, sizeof(en) - at_en, "%s%s", i ? ", " : "", r->shared[i]);
	}
	reason(w, "words", zh, en);
}

static void write_reasons(struct tg_jw *w, const struct tg_repeat *r)
{
	char zh[64], en[64];

	tg_jw_array(w, "reasons");
	snprintf(zh, sizeof(zh), "相距 %.0f 米", r->distance_m);
	snprintf(en, sizeof(en), "%.0f m away", r->distance_m);
	if (r->same_place)
		reason(w, "same_place", "坐标相同", "the very same place");
	else
		reason(w, "distance", zh, en);
	write_age(w, r->age_us);
	if (r->same_type)
		reason(w, "same_type", "类型相同", "of the same type");
	if (!r->open)
		reason(w, "closed", "已结束", "ended already");
	write_words(w, r);
	tg_jw_array_end(w);
}

/* What is shown for it: itself, or the case it was merged into. */
static const json_t *shown_of(const struct asked *a, const struct tg_repeat *r)
{
	const json_t *doc = json_array_get(a->earlier, r->at),
		     *master = json_object_get(doc, "master");

	return json_is_object(master) ? master : doc;
}

static void write_one(struct tg_jw *w, const struct asked *a, const struct tg_repeat *r)
{
	static const char *const texts[] = {"case_id", "case_no", "title", "state", "reported_at"};
	const json_t *doc = shown_of(a, r);

	tg_jw_object(w, NULL);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		tg_jw_str(w, texts[i], json_string_value(json_object_get(doc, texts[i])));
	tg_jw_dbl(w, "score", round(r->score * 1000) / 1000);
	tg_jw_dbl(w, "distance_m", round(r->distance_m * 10) / 10);
	tg_jw_int(w, "age_s", r->age_us / TG_US_PER_S);
	write_reasons(w, r);
	tg_jw_int(
		w, "merged_children", json_integer_value(json_object_get(doc, "merged_children")));
	tg_jw_object_end(w);
}

static bool shown_before(const struct asked *a, size_t at)
{
	const char *id = json_string_value(json_object_get(shown_of(a, &a->scores[at]), "case_id"));

	for (size_t i = 0; i < at; i++)
		if (!strcmp(id, json_string_value(
					json_object_get(shown_of(a, &a->scores[i]), "case_id"))))
			return true;
	return false;
}

static int write_all(struct tg_rq *rq, struct asked *a)
{
	struct tg_jw w;
	size_t shown = 0;

	qsort(a->scores, a->n, sizeof(*a->scores), compare);
	tg_jw_begin(&w, &rq->out);
	tg_jw_object(&w, NULL);
	tg_jw_array(&w, "items");
	for (size_t i = 0; i < a->n && shown < TG_REPEAT_SHOWN; i++) {
		if (a->scores[i].score < TG_REPEAT_LINE)
			break;
		if (shown_before(a, i))
			continue;
		write_one(&w, a, &a->scores[i]);
		shown++;
	}
	tg_jw_array_end(&w);
	tg_jw_object_end(&w);
	return tg_jw_end(&w);
}

static void on_rows(struct tg_rq *rq, const PGresult *res)
{
	static const char *const no_query[] = {NULL};
	struct asked a = {0};
	int rc;

	if (PQntuples(res) == 0) {
		tg_rq_not_found(rq);
		return;
	}
	if (!tg_rq_known_query(rq, no_query))
		return;
	rc = read_rows(&a, res);
	if (!rc)
		rc = write_all(rq, &a);
	release(&a);
	tg_rq_out(rq, 200, "application/json", rc);
}

void tg_api_case_duplicates(struct tg_rq *rq)
{
	char id[40];
	const char *params[] = {id, tg_rq_only(rq)};

	if (tg_api_id(rq, id))
		tg_rq_query(rq, tg_sql_case_duplicates, params, 2, on_rows);
}
