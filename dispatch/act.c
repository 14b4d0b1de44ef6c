#include "dispatch/act.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "dispatch/metrics.h"
#include "dispatch/store.h"
#include "dispatch/view.h"

#define ACTION_BYTES_MAX 64

/* One request on its way; freed after its callback. */
struct act {
	struct tg_dispatch *d;
	struct tg_actor actor;
	bool create, on_task, has_version, any_version;
	int64_t version;
	char id[40];
	char action[ACTION_BYTES_MAX];
	json_t *body;
	tg_act_cb cb;
	void *ctx;
	struct tg_act_result later; /* an answer known at once, given on the loop's next turn */
	uv_timer_t timer;
	int64_t began_us; /* monotonic */
};

static void finish(struct act *act, const struct tg_act_result *res)
{
	tg_metric_add_at(&tg_dispatch_metrics[TG_M_TRANSITIONS], (int)res->status, 1);
	tg_metric_observe(&tg_dispatch_metrics[TG_M_TRANSITION_S],
		(double)(tg_mono_us() - act->began_us) / 1e6);
	act->cb(act->ctx, res);
	json_decref(act->body);
	free(act);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct act *act = handle->data;
	struct tg_act_result res = act->later;

	finish(act, &res);
}

static void on_later(uv_timer_t *timer)
{
	uv_close((uv_handle_t *)timer, on_timer_closed);
}

static void finish_later(struct act *act, enum tg_act_status status, const char *detail)
{
	act->later = (struct tg_act_result){.status = status, .detail = detail};
	uv_timer_init(act->d->loop, &act->timer);
	act->timer.data = act;
	uv_timer_start(&act->timer, on_later, 0, 0);
}

static const char away[] =
	"the database is away; nothing is known to have happened, read before you try again";
static const char nothing[] = "there is no such case or task";

/* --- answers --- */

static int render(const struct act *act, struct tg_slice doc, int64_t now_us, struct tg_buf *out)
{
	struct tg_buf wrapped = {0};
	int rc;

	if (!act->on_task)
		return tg_view_case(act->d, &act->actor, doc, now_us, out);
	rc = tg_buf_addf(&wrapped, "{\"task_id\":\"%s\",\"case\":", act->id);
	if (!rc)
		rc = tg_buf_add_slice(&wrapped, doc);
	if (!rc)
		rc = tg_buf_add_cstr(&wrapped, "}");
	if (!rc)
		rc = tg_view_task(act->d, &act->actor, (struct tg_slice){wrapped.data, wrapped.len},
			now_us, out);
	tg_buf_release(&wrapped);
	return rc;
}

static void answer_doc(struct act *act, struct tg_slice doc, int64_t now_us, bool replayed)
{
	struct tg_act_result res = {.status = TG_ACT_DONE, .replayed = replayed};
	struct tg_buf out = {0};
	int rc = render(act, doc, now_us, &out);

	res.json = (struct tg_slice){out.data, out.len};
	if (rc)
		res = (struct tg_act_result){
			.status = TG_ACT_UNAVAILABLE, .detail = tg_err_text(rc)};
	finish(act, &res);
	tg_buf_release(&out);
}

static void on_done(void *ctx, int rc, struct tg_slice doc, int64_t now_us)
{
	struct act *act = ctx;

	if (rc)
		finish(act, &(struct tg_act_result){.status = TG_ACT_UNAVAILABLE, .detail = away});
	else
		answer_doc(act, doc, now_us, false);
}

/* The same answer as then: a document to be dressed again, or a refusal. */
static void answer_kept(struct act *act, const json_t *kept)
{
	const json_t *doc = json_object_get(kept, "doc"),
		     *refusal = json_object_get(kept, "refusal");
	const char *text = json_string_value(json_object_get(refusal, "json"));
	char *dumped;

	if (!doc) {
		finish(act,
			&(struct tg_act_result){.status = (enum tg_act_status)json_integer_value(
							json_object_get(refusal, "status")),
				.json = tg_slice_cstr(text),
				.version = json_integer_value(json_object_get(refusal, "version")),
				.detail = json_string_value(json_object_get(refusal, "detail")),
				.replayed = true});
		return;
	}
	dumped = json_dumps(doc, JSON_COMPACT);
	answer_doc(act, tg_slice_cstr(dumped), json_integer_value(json_object_get(kept, "now_us")),
		true);
	free(dumped);
}

static void add_action(void *ctx, const char *action)
{
	json_array_append_new(ctx, json_string(action));
}

static void refuse(struct act *act, struct tg_store_tx *tx, const struct tg_locked *locked,
	const struct tg_refusal *refusal)
{
	const struct tg_case *kase = locked->kase;
	struct tg_act_result res = {.status = refusal->status, .detail = refusal->detail};
	json_t *list = refusal->errors;
	char *text;

	if (refusal->status == TG_ACT_NOT_ALLOWED) {
		list = json_array();
		tg_life_allowed(kase, act->d->city, &act->actor, locked->now_us, locked->task,
			add_action, list);
	}
	if (refusal->status == TG_ACT_STALE)
		res.version = locked->task >= 0 ? kase->tasks[locked->task].version : kase->version;
	text = list ? json_dumps(list, JSON_COMPACT) : NULL;
	res.json = tg_slice_cstr(text);
	tg_store_refuse(tx, refusal->status == TG_ACT_NOT_FOUND
				    ? NULL
				    : json_pack("{s:{s:i, s:s?, s:I, s:s?}}", "refusal", "status",
					      (int)res.status, "json", text, "version",
					      (json_int_t)res.version, "detail", res.detail));
	json_decref(list);
	finish(act, &res);
	free(text);
}

/* --- deciding under the lock --- */

static void decide(struct act *act, const struct tg_locked *locked, struct tg_store_tx *tx)
{
	struct tg_life_in in = {.city = act->d->city,
		.actor = &act->actor,
		.now_us = locked->now_us,
		.action = tg_slice_cstr(act->action),
		.task = locked->task,
		.has_version = act->has_version,
		.check_version = !act->create && !act->any_version,
		.version = act->version,
		.body = act->body,
		.place = locked->place,
		.other = locked->other};
	struct tg_case *kase = locked->kase;
	struct tg_refusal refusal;

	if (act->create)
		tg_life_report(kase, &in, &refusal);
	else
		tg_life_decide(kase, &in, &refusal);
	if (refusal.status == TG_ACT_DONE)
		tg_store_apply(tx, kase, locked->now_us, on_done, act);
	else
		refuse(act, tx, locked, &refusal);
}

static void on_case(struct act *act, struct tg_locked *locked, struct tg_store_tx *tx)
{
	static const struct tg_refusal unseen = {TG_ACT_NOT_FOUND, nothing, NULL};

	if (act->create)
		locked->kase = tg_case_new();
	if (!locked->kase || !act->d->city) {
		tg_store_refuse(tx, NULL);
		finish(act, &(struct tg_act_result){.status = TG_ACT_UNAVAILABLE, .detail = away});
	} else if (!act->create && !tg_life_visible(locked->kase, &act->actor)) {
		refuse(act, tx, locked, &unseen);
	} else {
		decide(act, locked, tx);
	}
	tg_case_free(locked->kase);
}

static void on_locked(void *ctx, int rc, const struct tg_locked *found, struct tg_store_tx *tx)
{
	struct act *act = ctx;
	struct tg_locked locked;

	if (rc) {
		finish(act, &(struct tg_act_result){.status = TG_ACT_UNAVAILABLE, .detail = away});
		return;
	}
	locked = *found;
	switch (locked.what) {
	case TG_LOCKED_CASE: on_case(act, &locked, tx); break;
	case TG_LOCKED_NOTHING:
		tg_store_refuse(tx, NULL);
		finish(act, &(struct tg_act_result){.status = TG_ACT_NOT_FOUND, .detail = nothing});
		break;
	case TG_LOCKED_REUSED:
		tg_store_refuse(tx, NULL);
		finish(act, &(struct tg_act_result){.status = TG_ACT_KEY_REUSED,
				    .detail = "this idempotency key was used with another body"});
		break;
	case TG_LOCKED_REPLAY:
		tg_store_refuse(tx, NULL);
		answer_kept(act, locked.answer);
		break;
	}
}

/* --- asking --- */

/* A location worth looking up; a bad one is the form's business. */
static bool find_location(const json_t *body, double out[2])
{
	const json_t *loc = json_object_get(body, "location");

	return tg_json_dbl(loc, "lon", &out[0], NULL) && tg_json_dbl(loc, "lat", &out[1], NULL) &&
	       fabs(out[0]) <= 180 && fabs(out[1]) <= 90;
}

/* The case that this one is to be merged into; a text that is no id is the form's business. */
static const char *find_other(const struct act *act)
{
	const char *into = NULL;

	if (strcmp(act->action, "merge") || !tg_json_str(act->body, "into", &into, NULL) ||
		!tg_store_is_uuid(tg_slice_cstr(into)))
		return NULL;
	return into;
}

static struct act *begin(struct tg_dispatch *d, const struct tg_actor *actor, const json_t *body,
	tg_act_cb cb, void *ctx)
{
	struct act *act = calloc(1, sizeof(*act));

	if (!act)
		abort(); /* a few hundred bytes: the process cannot go on either */
	act->d = d;
	act->actor = *actor;
	act->cb = cb;
	act->ctx = ctx;
	act->body = json_incref((json_t *)(uintptr_t)body);
	act->began_us = tg_mono_us();
	return act;
}

static void ask(struct act *act, const char *id, struct tg_slice scope, struct tg_slice key,
	const uint8_t *sha256)
{
	const struct tg_store_key k = {scope, key, sha256};
	double lon_lat[2];
	bool placed = find_location(act->body, lon_lat);

	if (!act->d->city)
		finish_later(act, TG_ACT_UNAVAILABLE, "no city is loaded yet");
	else if (tg_store_lock(act->d, id, act->on_task, &k, placed ? lon_lat : NULL,
			 find_other(act), on_locked, act))
		finish_later(act, TG_ACT_UNAVAILABLE, away);
}

void tg_act(struct tg_dispatch *d, const struct tg_act_request *req, tg_act_cb cb, void *ctx)
{
	struct act *act = begin(d, req->actor, req->body, cb, ctx);

	act->on_task = req->on_task;
	act->has_version = req->has_version;
	act->version = req->version;
	if (!tg_store_is_uuid(req->id)) {
		finish_later(act, TG_ACT_NOT_FOUND, nothing);
		return;
	}
	for (size_t i = 0; i < req->id.len; i++)
		act->id[i] = (char)(req->id.data[i] |
				    (req->id.data[i] >= 'A' && req->id.data[i] <= 'F' ? 0x20 : 0));
	/* A longer name is no action; cut short it stays none. */
	memcpy(act->action, req->action.data ? req->action.data : "",
		req->action.len < ACTION_BYTES_MAX ? req->action.len : ACTION_BYTES_MAX - 1);
	ask(act, act->id, req->key_scope, req->key, req->body_sha256);
}

void tg_act_create(struct tg_dispatch *d, const struct tg_actor *actor, const json_t *fields,
	struct tg_slice key_scope, struct tg_slice key, const uint8_t body_sha256[32], tg_act_cb cb,
	void *ctx)
{
	struct act *act = begin(d, actor, fields, cb, ctx);

	act->create = true;
	ask(act, NULL, key_scope, key, body_sha256);
}

void tg_act_by_system(struct tg_dispatch *d, const char *action, bool on_task, const char *id,
	tg_act_cb cb, void *ctx)
{
	static const struct tg_actor the_system = {.name = "system", .role = TG_ROLE_SYSTEM};
	json_t *body = json_object();
	struct act *act = begin(d, &the_system, body, cb, ctx);

	json_decref(body);
	act->on_task = on_task;
	act->any_version = true;
	strncpy(act->id, id, sizeof(act->id) - 1);
	strncpy(act->action, action, sizeof(act->action) - 1);
	ask(act, act->id, TG_SLICE(""), TG_SLICE(""), NULL);
}
