/* The registry of devices of a city folder. */
#include <math.h>

#include "base/geo.h"
#include "cmd/city.h"

/* By enum of the wire; the order is the number. */
static const char *const kinds[] = {
	"sensor", "vehicle", "inspector", "citizen", "video", "system", NULL};

static const struct {
	const char *names[3];
	struct tg_lonlat (*to_wgs84)(struct tg_lonlat p); /* NULL: it is that, within centimetres */
} datums[] = {
	{{"", "WGS84", "wgs84"}, NULL},
	{{"", "GCJ02", "gcj02"}, tg_geo_from_gcj02},
	{{"", "BD09", "bd09"}, tg_geo_from_bd09},
	{{"", "CGCS2000", "cgcs2000"}, NULL},
};

#define DATUMS ((int)(sizeof(datums) / sizeof(datums[0])))

/* 0 … 3, an empty text is WGS 84; -1: no datum. */
static int datum_of(struct tg_slice text)
{
	for (int i = 0; i < DATUMS; i++) {
		for (int k = 0; k < 3; k++) {
			if (tg_slice_is(text, datums[i].names[k]))
				return i;
		}
	}
	return -1;
}

static int kind_of(struct tg_slice text)
{
	for (int i = 0; kinds[i]; i++)
		if (tg_slice_is(text, kinds[i]))
			return i + 1;
	return 0;
}

static void complain_of(struct city *city, struct tg_csv *csv, const char *file, const char *column,
	const char *what)
{
	struct tg_slice text = city_cell(csv, column);

	city_complain(city, file, tg_csv_line(csv), "%s: \"%.*s\" is no %s; correct it", column,
		(int)text.len, text.data, what);
}

/* What moves may have no place: both fields empty. */
static void read_place(struct city *city, struct tg_csv *csv, const char *file, json_t *row)
{
	struct tg_slice lon = city_cell(csv, "lon"), lat = city_cell(csv, "lat");
	int datum = datum_of(city_cell(csv, "datum"));
	struct tg_lonlat at;

	if (datum < 0) {
		complain_of(city, csv, file, "datum", "wgs84, gcj02, bd09 or cgcs2000");
		return;
	}
	json_object_set_new(row, "datum", json_integer(datum + 1));
	if (lon.len == 0 && lat.len == 0)
		return;
	if (!city_number(lon, -180, 180, &at.lon) || !city_number(lat, -90, 90, &at.lat)) {
		city_complain(city, file, tg_csv_line(csv),
			"lon and lat are no place in degrees; write both, or none for what moves");
		return;
	}
	if (datums[datum].to_wgs84)
		at = datums[datum].to_wgs84(at);
	json_object_set_new(row, "lon", json_real(at.lon));
	json_object_set_new(row, "lat", json_real(at.lat));
}

/* "pm10>150;level_cm>27;battery<20" → {"pm10": {"above": 150}, …}. */
static json_t *read_limits(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice text = city_cell(csv, "limits"), part;
	json_t *limits = json_object();
	size_t at = 0;

	while (city_part(text, &at, &part)) {
		size_t n = 0;
		double value;
		json_t *metric;

		while (n < part.len && part.data[n] != '<' && part.data[n] != '>')
			n++;
		if (n == 0 || n >= part.len ||
			!city_number((struct tg_slice){part.data + n + 1, part.len - n - 1}, -1e300,
				1e300, &value)) {
			complain_of(city, csv, file, "limits", "list such as pm10>150;battery<20");
			break;
		}
		metric = json_object_getn(limits, part.data, n);
		if (!metric) {
			metric = json_object();
			json_object_setn_new(limits, part.data, n, metric);
		}
		json_object_set_new(
			metric, part.data[n] == '<' ? "below" : "above", json_real(value));
	}
	return limits;
}

static void read_device(struct city *city, struct tg_csv *csv, const char *file)
{
	struct tg_slice id = city_cell(csv, "device_id"), every = city_cell(csv, "report_every_s");
	int kind = kind_of(city_cell(csv, "source_kind"));
	double seconds = 0;
	json_t *row;

	if (id.len == 0 || id.len > 64 || city_key(city->device_keys, id)) {
		city_complain(city, file, tg_csv_line(csv),
			"device_id \"%.*s\" has not 1-64 bytes or occurs twice; give the device "
			"one "
			"of its own",
			(int)(id.len < 80 ? id.len : 80), id.data);
		return;
	}
	if (kind == 0)
		complain_of(city, csv, file, "source_kind",
			"sensor, vehicle, inspector, citizen, video or system");
	if (every.len && (!city_number(every, 1, 1e9, &seconds) || seconds != floor(seconds)))
		complain_of(city, csv, file, "report_every_s", "whole number of seconds from 1");
	row = json_object();
	city_set(row, "device_id", id);
	json_object_set_new(row, "line", json_integer((json_int_t)tg_csv_line(csv)));
	json_object_set_new(row, "source_kind", json_integer(kind));
	read_place(city, csv, file, row);
	city_set(row, "name", city_cell(csv, "name"));
	if (seconds > 0)
		json_object_set_new(row, "report_every_s", json_integer((json_int_t)seconds));
	json_object_set_new(row, "limits", read_limits(city, csv, file));
	city_key_set(city->device_keys, id, row);
	json_array_append_new(city->devices, row);
}

void city_read_devices(struct city *city)
{
	static const char *const columns[] = {"device_id", "source_kind", "lon", "lat", NULL};

	city_rows(city, "devices.csv", columns, false, read_device);
}
