/* Running an example: the rule alone, one engine, one source partition. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "correlate/book.h"
#include "correlate/engine.h"
#include "correlate/example.h"

void tg_example_release(struct tg_example *ex)
{
	tg_arena_release(&ex->arena);
}

/* The uid of event i is its number. */
static void set_uid(uint8_t uid[16], size_t i)
{
	memset(uid, 0, 16);
	uid[14] = (uint8_t)(i >> 8);
	uid[15] = (uint8_t)i;
}

static int by_number(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static void members_of(const struct tg_entry *e, struct tg_expected *ret)
{
	ret->len = 0;
	for (size_t i = 0; i < e->len && ret->len < TG_EXAMPLE_EVENTS_MAX; i++)
		ret->members[ret->len++] =
			(uint16_t)(e->members[i].uid[14] << 8 | e->members[i].uid[15]);
	qsort(ret->members, ret->len, sizeof(ret->members[0]), by_number);
	ret->state = e->cleared ? "cleared" : "open";
}

static bool same(const struct tg_expected *wanted, const struct tg_expected *got)
{
	if (wanted->state && strcmp(wanted->state, got->state) != 0)
		return false;
	return wanted->len == got->len &&
	       memcmp(wanted->members, got->members, wanted->len * sizeof(wanted->members[0])) == 0;
}

static int say(struct tg_buf *why, const struct tg_example *ex, const char *what,
	const struct tg_expected *x)
{
	int rc = tg_buf_addf(why, "  %s {", what);

	for (size_t i = 0; i < x->len && !rc; i++)
		rc = tg_buf_addf(
			why, "%s%s", i ? ", " : "", ex->events[x->members[i]]->event->event_id);
	return rc ? rc : tg_buf_addf(why, "} %s\n", x->state ? x->state : "");
}

/* Every incident that is wanted must be there, and no other. */
static int compare(const struct tg_example *ex, const struct tg_book *book, struct tg_buf *why)
{
	bool found[TG_EXAMPLE_EXPECT_MAX] = {false};
	bool differs = false;
	int rc = 0;

	for (size_t i = 0; i < book->len && !rc; i++) {
		struct tg_expected got;
		size_t k = 0;

		if (book->entries[i]->merged)
			continue;
		members_of(book->entries[i], &got);
		while (k < ex->expect_len && (found[k] || !same(&ex->expect[k], &got)))
			k++;
		if (k < ex->expect_len) {
			found[k] = true;
		} else {
			differs = true;
			rc = say(why, ex, "raised, but not expected:", &got);
		}
	}
	for (size_t k = 0; k < ex->expect_len && !rc; k++)
		if (!found[k]) {
			differs = true;
			rc = say(why, ex, "expected, but not raised:", &ex->expect[k]);
		}
	return rc ? rc : differs;
}

/* One batch an event, as slow as it can come. */
static int push(const struct tg_rule *rule, const tg_located_pb *loc, struct tg_engine *engine,
	struct tg_book *book, struct tg_findings *f)
{
	int rc;

	tg_findings_reset(f);
	rc = tg_engine_push(engine, loc, false, TG_SLICE(""), f);
	if (!rc)
		rc = tg_engine_end(engine, 0, f);
	if (!rc)
		rc = tg_book_apply(book, f);
	if (rule->kind == TG_RULE_CLUSTER)
		tg_book_clear(book, 0, rule->window_us, tg_engine_horizon_us(engine, rule));
	tg_engine_expire(engine);
	return rc;
}

static int run(const struct tg_rule *rule, const struct tg_example *ex, struct tg_engine *engine,
	struct tg_book *book)
{
	struct tg_findings f = {0};
	tg_located_pb progress = TONGGUAN__V1__LOCATED_EVENT__INIT;
	int rc = 0;

	for (size_t i = 0; i < ex->events_len && !rc; i++) {
		tg_located_pb loc = *ex->events[i];
		uint8_t uid[16];

		set_uid(uid, i);
		loc.uid.data = uid;
		loc.uid.len = sizeof(uid);
		rc = push(rule, &loc, engine, book, &f);
	}
	progress.has_progress_us = true;
	progress.progress_us = ex->until_us;
	if (!rc && ex->until_us != INT64_MIN)
		rc = push(rule, &progress, engine, book, &f);
	tg_findings_release(&f);
	return rc;
}

static int make_registry(const struct tg_example *ex, const char *zone,
	const struct tg_ruleset *set, struct tg_registry **ret)
{
	struct tg_registry *r = NULL;
	int rc = tg_registry_new(&r);

	for (size_t i = 0; i < ex->events_len && !rc; i++) {
		const tg_located_pb *loc = ex->events[i];

		if (!tg_registry_find(r, loc->event->source_id))
			rc = tg_registry_add(r, tg_slice_cstr(loc->event->source_id),
				tg_slice_cstr(loc->street), tg_slice_cstr(loc->district), 0,
				TG_SLICE("{}"));
	}
	for (size_t i = 0; i < ex->devices_len && !rc; i++) {
		const struct tg_example_device *d = &ex->devices[i];

		rc = tg_registry_add(r, tg_slice_cstr(d->id), tg_slice_cstr(d->street),
			tg_slice_cstr(d->district), 0, tg_slice_cstr(d->limits));
	}
	if (!rc && zone)
		rc = tg_zone_load(zone, &r->zone);
	if (!rc)
		rc = tg_registry_bind(r, set);
	*ret = r;
	return rc;
}

int tg_example_run(const struct tg_rule *rule, const struct tg_example *ex, const char *zone,
	struct tg_buf *why)
{
	struct tg_rule *only[1] = {(struct tg_rule *)(uintptr_t)rule};
	const struct tg_ruleset rules = {
		.rules = only, .len = 1, .lateness_max_us = rule->lateness_us};
	struct tg_window_budget budget = {0, TG_EXAMPLE_EVENTS_MAX};
	struct tg_engine_counts counts = {0};
	struct tg_engine_shared shared = {
		.rules = &rules, .budget = &budget, .counts = &counts, .here = -1};
	struct tg_registry *registry = NULL;
	struct tg_guard *guard = NULL;
	struct tg_engine *engine = NULL;
	struct tg_book book = {0};
	int rc = tg_guard_new(&rules, &guard);

	if (!rc)
		rc = make_registry(ex, zone, &rules, &registry);
	shared.guard = guard;
	shared.registry = registry;
	if (!rc)
		rc = tg_engine_new(&shared, &engine);
	if (!rc)
		rc = tg_book_init(&book);
	if (!rc)
		rc = run(rule, ex, engine, &book);
	if (!rc)
		rc = tg_book_finish(&book, &rules);
	if (!rc)
		rc = compare(ex, &book, why);
	if (book.by_event)
		tg_book_release(&book);
	tg_engine_free(engine);
	tg_guard_free(guard);
	tg_registry_free(registry);
	return rc;
}
