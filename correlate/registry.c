#include "correlate/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "correlate/rule.h"

static uint64_t new_serial(void)
{
	static _Atomic uint64_t last;

	return ++last;
}

int tg_registry_new(struct tg_registry **ret)
{
	struct tg_registry *r = calloc(1, sizeof(*r));
	int rc = r ? tg_map_new(0, &r->devices) : -TG_ENOMEM;

	if (rc) {
		free(r);
		return rc;
	}
	r->serial = new_serial();
	*ret = r;
	return 0;
}

static void device_free(struct tg_device *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->limits_len; i++)
		free(d->limits[i].metric);
	free(d->limits);
	free(d->listeners);
	free(d->id);
	free(d->street);
	free(d->district);
	free(d);
}

void tg_registry_free(struct tg_registry *r)
{
	size_t pos = 0;
	void *d;

	if (!r)
		return;
	while ((d = tg_map_next(r->devices, &pos, NULL)))
		device_free(d);
	tg_map_free(r->devices);
	tg_zone_free(r->zone);
	free(r);
}

static char *text_of(struct tg_slice s)
{
	return s.len ? strndup(s.data, s.len) : NULL;
}

static void read_limits(struct tg_device *d, struct tg_slice text)
{
	json_t *root = NULL, *one;
	const char *metric;

	if (text.len <= 2 || tg_json_parse(text, &root, NULL))
		return;
	d->limits = calloc(json_object_size(root) + 1, sizeof(*d->limits));
	json_object_foreach (root, metric, one) {
		struct tg_limits *l;

		if (!d->limits)
			break;
		l = &d->limits[d->limits_len];
		l->has_above = tg_json_dbl(one, "above", &l->above, NULL);
		l->has_below = tg_json_dbl(one, "below", &l->below, NULL);
		l->metric = strdup(metric);
		d->limits_len += l->metric != NULL;
	}
	json_decref(root);
}

int tg_registry_add(struct tg_registry *r, struct tg_slice id, struct tg_slice street,
	struct tg_slice district, int32_t partition, struct tg_slice limits)
{
	struct tg_device *d = calloc(1, sizeof(*d));
	int rc = -TG_ENOMEM;

	if (!d)
		return rc;
	d->id = text_of(id);
	d->street = text_of(street);
	d->district = text_of(district);
	d->partition = partition;
	read_limits(d, limits);
	device_free(tg_map_remove(r->devices, id));
	r->serial = new_serial();
	if (d->id)
		rc = tg_map_put(r->devices, id, d);
	if (rc)
		device_free(d);
	return rc;
}

static int bind(struct tg_device *d, const struct tg_ruleset *rules)
{
	uint32_t *more;

	d->listeners_len = 0;
	for (uint32_t i = 0; i < rules->len; i++) {
		if (rules->rules[i]->kind != TG_RULE_SILENCE ||
			!tg_glob_match(rules->rules[i]->devices, d->id))
			continue;
		more = realloc(d->listeners, (d->listeners_len + 1) * sizeof(*more));
		if (!more)
			return -TG_ENOMEM;
		d->listeners = more;
		more[d->listeners_len++] = i;
	}
	return 0;
}

int tg_registry_bind(struct tg_registry *r, const struct tg_ruleset *rules)
{
	struct tg_device *d;
	size_t pos = 0;
	int rc = 0;

	while (!rc && (d = tg_map_next(r->devices, &pos, NULL)))
		rc = bind(d, rules);
	return rc;
}

const struct tg_device *tg_registry_find(const struct tg_registry *r, const char *id)
{
	return tg_map_get(r->devices, tg_slice_cstr(id));
}

const struct tg_device *tg_registry_device(const struct tg_registry *r, struct tg_name *name)
{
	if (name->registry != r->serial) {
		name->device = tg_registry_find(r, name->text);
		name->registry = r->serial;
	}
	return name->device;
}

const struct tg_limits *tg_device_limits(const struct tg_device *d, const char *metric)
{
	for (size_t i = 0; i < d->limits_len; i++)
		if (strcmp(d->limits[i].metric, metric) == 0)
			return &d->limits[i];
	return NULL;
}

bool tg_glob_match(const char *glob, const char *text)
{
	const char *star = NULL, *back = NULL;

	while (*text) {
		if (*glob == '*') {
			star = ++glob;
			back = text;
		} else if (*glob == '?' || *glob == *text) {
			glob++;
			text++;
		} else if (star) {
			glob = star;
			text = ++back;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}
