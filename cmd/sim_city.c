/* Where a simulated city's events happen: read from the city's folder, no database is needed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/geo.h"
#include "base/share.h"
#include "cmd/city.h"
#include "cmd/sim.h"

#define METRES_A_DEGREE 111195.0
#define EVERY_DEFAULT_S 300
#define TRIES_MAX       10000

static int find_dir(const char *name, char **ret, struct tg_buf *why)
{
	struct tg_buf relative = {0}, path = {0};
	int rc = 0;

	if (strchr(name, '/')) {
		rc = tg_buf_add_cstr(&path, name);
	} else {
		rc = tg_buf_addf(&relative, "schema/cities/%s/city.yaml", name);
		if (!rc)
			rc = tg_share_path(tg_buf_cstr(&relative), &path);
		if (!rc)
			path.len -= strlen("/city.yaml");
	}
	if (rc == -TG_ENOENT && tg_buf_addf(why, "there is no city %s", name))
		rc = -TG_ENOMEM;
	if (!rc) {
		*ret = strndup(path.data, path.len);
		rc = *ret ? 0 : -TG_ENOMEM;
	}
	tg_buf_release(&relative);
	tg_buf_release(&path);
	return rc;
}

static void widen(struct sim_city *city, const json_t *node)
{
	const json_t *child;
	size_t i;

	if (json_is_array(node) && json_array_size(node) >= 2 &&
		json_is_number(json_array_get(node, 0))) {
		double lon = json_number_value(json_array_get(node, 0));
		double lat = json_number_value(json_array_get(node, 1));

		city->low.lon = fmin(city->low.lon, lon);
		city->low.lat = fmin(city->low.lat, lat);
		city->high.lon = fmax(city->high.lon, lon);
		city->high.lat = fmax(city->high.lat, lat);
		return;
	}
	json_array_foreach (node, i, child)
		widen(city, child);
}

static int take_boundary(struct sim_city *city)
{
	json_t *texts = json_object_get(city->read->head, "boundary"), *text;
	const char *reason;
	size_t i;
	int rc = tg_polyindex_new(&city->inside);

	city->low = (struct tg_lonlat){180, 90};
	city->high = (struct tg_lonlat){-180, -90};
	json_array_foreach (texts, i, text) {
		json_t *geometry = NULL;

		if (!rc)
			rc = tg_json_parse(tg_slice_cstr(json_string_value(text)), &geometry, NULL);
		if (!rc)
			rc = tg_polyindex_add_json(city->inside, 0, geometry, &reason);
		if (!rc)
			widen(city, json_object_get(geometry, "coordinates"));
		json_decref(geometry);
	}
	if (!rc && json_array_size(texts) == 0)
		rc = -TG_ECONF;
	return rc ? rc : tg_polyindex_build(city->inside);
}

static int take_devices(struct sim_city *city)
{
	json_t *row;
	size_t i;

	city->devices = calloc(json_array_size(city->read->devices) + 1, sizeof(*city->devices));
	if (!city->devices)
		return -TG_ENOMEM;
	json_array_foreach (city->read->devices, i, row) {
		const json_t *every = json_object_get(row, "report_every_s");

		if (!json_object_get(row, "lon"))
			continue;
		city->devices[city->devices_len++] = (struct sim_device){
			.id = json_string_value(json_object_get(row, "device_id")),
			.kind = (int)json_integer_value(json_object_get(row, "source_kind")),
			.at = {json_number_value(json_object_get(row, "lon")),
				json_number_value(json_object_get(row, "lat"))},
			.every_us =
				TG_US_PER_S * (every ? json_integer_value(every) : EVERY_DEFAULT_S),
			.limits = json_object_get(row, "limits"),
		};
	}
	return 0;
}

static int take_types(struct sim_city *city)
{
	json_t *row;
	size_t i;

	city->types = calloc(json_array_size(city->read->types) + 1, sizeof(*city->types));
	if (!city->types)
		return -TG_ENOMEM;
	json_array_foreach (city->read->types, i, row) {
		const char *code = json_string_value(json_object_get(row, "type_code"));

		if (code)
			city->types[city->types_len++] = strdup(code);
	}
	return 0;
}

int sim_city_load(const char *name, struct sim_city *ret, struct tg_buf *why)
{
	int rc;

	*ret = (struct sim_city){.read = calloc(1, sizeof(struct city))};
	if (!ret->read)
		return -TG_ENOMEM;
	rc = find_dir(name, &ret->dir, why);
	if (!rc) {
		ret->read->dir = ret->dir;
		rc = city_read(ret->read);
		if (ret->read->complaints.len &&
			tg_buf_add(why, ret->read->complaints.data, ret->read->complaints.len))
			rc = -TG_ENOMEM;
	}
	if (!rc)
		rc = take_boundary(ret);
	if (!rc)
		rc = take_devices(ret);
	if (!rc)
		rc = take_types(ret);
	return rc;
}

void sim_city_release(struct sim_city *city)
{
	for (size_t i = 0; i < city->types_len; i++)
		free(city->types[i]);
	free(city->types);
	free(city->devices);
	tg_polyindex_free(city->inside);
	if (city->read) {
		city_release(city->read);
		free(city->read);
	}
	free(city->dir);
}

struct tg_lonlat sim_city_point(const struct sim_city *city, struct sim_random *r)
{
	struct tg_lonlat p = {0, 0};

	for (int i = 0; i < TRIES_MAX; i++) {
		p.lon = sim_between(r, city->low.lon, city->high.lon);
		p.lat = sim_between(r, city->low.lat, city->high.lat);
		if (tg_polyindex_find(city->inside, p) >= 0)
			break;
	}
	return p;
}

struct tg_lonlat sim_move(struct tg_lonlat p, double dx, double dy)
{
	p.lon += dx / (METRES_A_DEGREE * cos(p.lat * M_PI / 180));
	p.lat += dy / METRES_A_DEGREE;
	return p;
}
