/* A case that an incident opens, and what it says of the incident afterwards. */
#include <stdio.h>
#include <string.h>

#include "dispatch/life_impl.h"
#include "proto/incident.h"

static const struct tg_actor the_system = {.name = "system", .role = TG_ROLE_SYSTEM};

static enum tg_urgency urgency_of(int64_t severity)
{
	return severity <= 1   ? TG_URGENT
	       : severity == 2 ? TG_PRIORITY
	       : severity == 3 ? TG_NORMAL
			       : TG_SLOW;
}

static json_t *said(const struct tg_incident_msg *msg)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s*}", "incident_id", msg->incident_id,
		"state", msg->state, "revision", (json_int_t)msg->revision, "event_count",
		(json_int_t)msg->event_count, "severity", (json_int_t)msg->severity, "merged_into",
		msg->merged_into);
}

/* Takes detail. False when the log is full or memory is out. */
static bool add_entry(struct tg_case *kase, const char *action, int from, json_t *detail)
{
	if (!detail || kase->log_count == TG_CASE_LOG_MAX) {
		json_decref(detail);
		return false;
	}
	kase->log[kase->log_count++] = (struct tg_entry){.task = -1,
		.action = action,
		.actor = the_system.name,
		.actor_role = tg_role_name(TG_ROLE_SYSTEM),
		.from_state = from,
		.to_state = (int)kase->state,
		.task_from = -1,
		.task_to = -1,
		.case_version = kase->version,
		.detail = detail};
	return true;
}

static bool fill(struct tg_case *kase, const struct tg_city *city,
	const struct tg_incident_msg *msg, const struct tg_place *place, struct life_step *step)
{
	const struct tg_type *type = tg_city_type(city, msg->case_type);

	snprintf(kase->incident_id, sizeof(kase->incident_id), "%s", msg->incident_id);
	kase->origin = "incident";
	kase->state = TG_CASE_new;
	kase->version = 1;
	kase->domain = life_keep(step, msg->domain);
	kase->type_code = type ? life_keep(step, type->code) : NULL;
	kase->title = life_keep(step, msg->title ? msg->title
				      : type     ? type->name_zh
						 : msg->rule_id);
	kase->urgency = urgency_of(msg->severity);
	kase->has_place = msg->has_place;
	kase->lon = msg->lon;
	kase->lat = msg->lat;
	kase->grid_cell = place->grid_cell ? life_keep(step, place->grid_cell) : NULL;
	kase->street = place->street ? life_keep(step, place->street) : NULL;
	kase->district = place->district ? life_keep(step, place->district) : NULL;
	kase->reported_us = step->in->now_us;
	life_clock_apply(step, (struct life_clock_verb){LIFE_START, TG_CLOCK_accept});
	life_clock_apply(step, (struct life_clock_verb){LIFE_START, TG_CLOCK_total});
	life_derive(kase);
	return !step->failed;
}

/* Accepting and filing by the rule's word. A case for which that cannot be is left to a person. */
static void auto_file(struct tg_case *kase, const struct tg_city *city,
	const struct tg_incident_msg *msg, int64_t now_us)
{
	const struct tg_type *type = tg_city_type(city, kase->type_code);
	struct tg_life_in in = {.city = city, .actor = &the_system, .now_us = now_us, .task = -1};
	struct tg_refusal refusal;
	json_t *body, *nothing = json_object();

	if (!msg->auto_file || !type || !kase->grid_cell ||
		!tg_type_condition(type, msg->condition)) {
		json_decref(nothing);
		return;
	}
	body = json_pack("{s:I}", "condition", (json_int_t)msg->condition);
	in.body = nothing;
	in.action = TG_SLICE("accept");
	tg_life_decide(kase, &in, &refusal);
	if (refusal.status == TG_ACT_DONE) {
		in.action = TG_SLICE("file");
		in.body = body;
		tg_life_decide(kase, &in, &refusal);
	}
	json_decref(body);
	json_decref(nothing);
	json_decref(refusal.errors);
}

bool tg_life_open_incident(struct tg_case *kase, const struct tg_city *city,
	const struct tg_incident_msg *msg, const struct tg_place *place,
	const struct tg_recurrence *repeats, const char *trace, int64_t now_us)
{
	struct tg_life_in in = {.city = city, .actor = &the_system, .now_us = now_us, .task = -1};
	struct life_step step = {.kase = kase, .in = &in};
	json_t *detail = said(msg);

	if (detail)
		json_object_set_new(detail, "rule",
			json_pack("{s:s, s:I}", "id", msg->rule_id, "version",
				(json_int_t)msg->rule_version));
	if (detail && trace)
		json_object_set_new(detail, "traceparent", json_string(trace));
	if (!fill(kase, city, msg, place, &step)) {
		json_decref(detail);
		return false;
	}
	strcpy(kase->recurs, repeats->id);
	if (!add_entry(kase, "report", -1, detail))
		return false;
	if (repeats->id[0] && !add_entry(kase, "recur", (int)kase->state,
				      json_pack("{s:s, s:s?}", "repeats", repeats->id, "case_no",
					      repeats->case_no)))
		return false;
	auto_file(kase, city, msg, now_us);
	return true;
}

/* --- afterwards --- */

bool tg_life_recurred(const struct tg_case *kase, const struct tg_incident_msg *msg)
{
	return kase->state == TG_CASE_closed && !strcmp(msg->state, "open") &&
	       kase->closed_us != TG_NO_TIME && msg->last_event_us > kase->closed_us;
}

static bool before_dispatch(const struct tg_case *kase)
{
	return kase->state == TG_CASE_new || kase->state == TG_CASE_verifying ||
	       kase->state == TG_CASE_to_file ||
	       (kase->state == TG_CASE_to_dispatch && !kase->tasks_count);
}

/* False when the two may not be merged: too far apart, of other classes. */
static bool merge(struct tg_case *kase, const struct tg_city *city, const struct tg_other *other,
	int64_t now_us)
{
	struct tg_life_in in = {.city = city,
		.actor = &the_system,
		.now_us = now_us,
		.task = -1,
		.action = TG_SLICE("merge"),
		.other = *other};
	struct tg_refusal refusal = {.status = TG_ACT_INVALID};
	json_t *body = json_pack("{s:s}", "into", other->id);

	in.body = body;
	if (body)
		tg_life_decide(kase, &in, &refusal);
	json_decref(body);
	json_decref(refusal.errors);
	return refusal.status == TG_ACT_DONE;
}

bool tg_life_note_incident(struct tg_case *kase, const struct tg_city *city,
	const struct tg_incident_msg *msg, const struct tg_other *other, int64_t now_us,
	bool *ret_beside)
{
	json_t *detail = said(msg);
	bool joined = other && strcmp(other->id, kase->id) != 0 && !strcmp(msg->state, "merged");

	*ret_beside = joined && !(before_dispatch(kase) && merge(kase, city, other, now_us));
	if (detail && *ret_beside)
		json_object_set_new(detail, "beside", json_string(other->id));
	/* A rule has taken it back; whether that ends the case is a person's to say. */
	if (detail && !strcmp(msg->state, "withdrawn") && before_dispatch(kase))
		json_object_set_new(detail, "proposed", json_string("void"));
	return add_entry(kase, "incident", (int)kase->state, detail);
}
