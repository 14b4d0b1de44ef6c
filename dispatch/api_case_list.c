/* GET /cases. */
#include <math.h>
#include <string.h>

#include "dispatch/api.h"
#include "dispatch/api_list.h"
#include "dispatch/dispatch.h"
#include "dispatch/view.h"
#include "queries.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     200
#define WORDS_MAX     100 /* bytes of q */

static const char *const case_states[] = {"new", "verifying", "to_file", "to_dispatch", "assigned",
	"handling", "review", "checking", "to_close", "closed", "refused", "not_filed", "void",
	"merged", NULL};
static const char *const domains[] = {"pingan", "jianguan", "shichang", "minsheng", NULL};

/* The query string, as the statement wants it. */
struct filter {
	char states[256], domain[16], department[32], street[64], cell[64];
	char words[WORDS_MAX + 1], pattern[2 * WORDS_MAX + 3];
	struct tg_bbox_text box;
	struct tg_page page;
	char order;
};

/* One of the names in list, or several where many is set. False: answered. */
static bool read_names(struct tg_rq *rq, const char *name, const char *const *list, bool many,
	char *out, size_t out_size, const char **ret)
{
	struct tg_slice text;

	*ret = NULL;
	if (!tg_req_query(rq->req, name, &text) || text.len == 0)
		return true;
	if (many ? tg_names_array(text, list, out, out_size) : !tg_name_in(text, list)) {
		tg_rq_bad_query(rq, name, "there is no such value");
		return false;
	}
	if (!many) {
		memcpy(out, text.data, text.len); /* as long as a name of the list at most */
		out[text.len] = '\0';
	}
	*ret = out;
	return true;
}

bool tg_api_read_states(
	struct tg_rq *rq, const char *const *list, char *out, size_t out_size, const char **ret)
{
	return read_names(rq, "state", list, true, out, out_size, ret);
}

bool tg_api_read_domain(struct tg_rq *rq, char out[16], const char **ret)
{
	return read_names(rq, "domain", domains, false, out, 16, ret);
}

static bool read_overdue(struct tg_rq *rq, const char **ret)
{
	struct tg_slice text;
	bool overdue;

	*ret = NULL;
	if (!tg_req_query(rq->req, "overdue", &text) || text.len == 0)
		return true;
	if (tg_flag_parse(text, &overdue)) {
		tg_rq_bad_query(rq, "overdue", "true or false");
		return false;
	}
	*ret = overdue ? "true" : "false";
	return true;
}

static bool read_order(struct tg_rq *rq, char *ret)
{
	struct tg_slice text;

	*ret = TG_ORDER_NEWEST;
	if (!tg_req_query(rq->req, "sort", &text) || tg_slice_is(text, "newest"))
		return true;
	*ret = TG_ORDER_DUE;
	if (tg_slice_is(text, "due"))
		return true;
	tg_rq_bad_query(rq, "sort", "newest or due");
	return false;
}

static void on_cases(struct tg_rq *rq, const PGresult *res)
{
	const struct filter *f = rq->state;
	struct tg_buf item = {0};
	struct tg_list_out out;
	int rc = 0;

	tg_list_begin(&out, rq, &f->page, f->order, true);
	for (int i = 0; i < PQntuples(res) && !rc; i++) {
		bool placed = !tg_pg_null(res, i, 1);

		tg_buf_reset(&item);
		rc = tg_view_case(
			rq->d, &rq->cred.actor, tg_pg_text(res, i, 0), tg_pg_i64(res, i, 5), &item);
		if (!rc)
			tg_list_item(&out, (struct tg_slice){item.data, item.len},
				placed ? tg_pg_f64(res, i, 1) : NAN,
				placed ? tg_pg_f64(res, i, 2) : NAN,
				tg_pg_null(res, i, 3) ? INT64_MAX : tg_pg_i64(res, i, 3),
				tg_pg_text(res, i, 4));
	}
	tg_buf_release(&item);
	tg_list_answer(&out, rc);
}

void tg_api_case_list(struct tg_rq *rq)
{
	static const char *const known[] = {"state", "domain", "department", "street", "grid_cell",
		"bbox", "overdue", "q", "sort", "cursor", "limit", NULL};
	const char *states, *domain, *department, *street, *cell, *overdue, *words, *pattern = NULL;
	struct filter *f = tg_rq_state(rq, sizeof(*f));

	if (!f || !tg_rq_known_query(rq, known) ||
		!tg_api_read_states(rq, case_states, f->states, sizeof(f->states), &states) ||
		!tg_api_read_domain(rq, f->domain, &domain) ||
		!tg_rq_query_text(
			rq, "department", f->department, sizeof(f->department), &department) ||
		!tg_rq_query_text(rq, "street", f->street, sizeof(f->street), &street) ||
		!tg_rq_query_text(rq, "grid_cell", f->cell, sizeof(f->cell), &cell) ||
		!tg_bbox_read(rq, &f->box) || !read_overdue(rq, &overdue) ||
		!tg_rq_query_text(rq, "q", f->words, sizeof(f->words), &words) ||
		!read_order(rq, &f->order) ||
		!tg_page_read(rq, f->order, LIMIT_DEFAULT, LIMIT_MAX, &f->page))
		return;
	if (words && !tg_has_two_characters(words)) {
		tg_rq_bad_query(rq, "q", "at least two characters");
		return;
	}
	if (words && tg_like_pattern(tg_slice_cstr(words), f->pattern, sizeof(f->pattern)) == 0)
		pattern = f->pattern;

	const char *params[] = {states, domain, department, street, cell, f->box.side[0],
		f->box.side[1], f->box.side[2], f->box.side[3], overdue, words, pattern,
		tg_rq_only(rq), f->page.key, f->page.id, f->page.limit_text};

	tg_rq_query(rq, f->order == TG_ORDER_DUE ? tg_sql_case_list_due : tg_sql_case_list_newest,
		params, sizeof(params) / sizeof(params[0]), on_cases);
}
