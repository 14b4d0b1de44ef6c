"""Every profile of schema/feeds over the data it is for: what is stored equals what this file reads from the same rows.

The data do not ship: they are looked for in $TONGGUAN_DATA, else ../shared/data, and what is absent is skipped. TONGGUAN_FEED_ROWS is
how many rows of each file are fed (default 300; 0: the whole files, `make feeds`, which prints a table).
"""
import collections
import csv
import gzip
import os
import re
import time
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from harness import HERE, ROOT, City, Role, wait_for

pytestmark = pytest.mark.apart

DATA = os.environ.get("TONGGUAN_DATA", os.path.join(ROOT, "../shared/data"))
ROWS = int(os.environ.get("TONGGUAN_FEED_ROWS", "300"))
PLACE = f"{HERE[0]},{HERE[1]}"
CHANNELS = {"Constituent Call": "call", "Citizens Connect App": "app", "Self Service": "web", "Twitter": "twitter",
            "Employee Generated": "crew", "City Worker App": "crew-app", "Maximo Integration": "maximo"}
SERIES = {"ambient_temperature_system_failure": ("office-temperature", "temperature"), "nyc_taxi": ("nyc-taxi", "passengers"),
          "TravelTime_387": ("travel-time-387", "travel_time"), "occupancy_6005": ("occupancy-6005", "occupancy"),
          "speed_6005": ("speed-6005", "speed"), "speed_7578": ("speed-7578", "speed")}


def series(row):
    return SERIES[row["series"].split("/")[1]]


def column(lon="lon", lat="lat"):
    return lambda row, metric: (float(row[lon]), float(row[lat]))


def boston(row, metric):
    place = float(row["lon"]), float(row["lat"])
    return None if place == (-71.0587, 42.3594) else place


def nab(row, metric):
    city = row["series"].split("/")[1]
    return HERE if city.startswith("ambient") else (-74.006, 40.7128) if city == "nyc_taxi" else (-93.2, 44.96)


def air(row, metric):
    return {"pm_xuhui": (121.4329, 31.1819), "pm_us_post": (121.4329, 31.1819), "pm_jingan": (121.4436, 31.2309)}.get(
        metric, (121.4737, 31.2304))


# What each file's rows mean: (zone or None where the text says it, time, event_id, source_id, place, {column: metric}, {column: no value}).
# A file without metrics gives one event a row.
Feed = collections.namedtuple("Feed", "zone time event source place metrics missing", defaults=({}, {}))
FEEDS = {
    "reports/boston311_2015h1.csv.gz": Feed("America/New_York", "open_dt", lambda r, n: r["case_id"],
                                            lambda r: "bos311-" + CHANNELS[r["source"]], boston),
    "reports/boston_open311_2018.csv.gz": Feed(None, "requested_datetime", lambda r, n: r["service_request_id"],
                                               lambda r: "bos-open311", column()),
    "sensors/nab_dev.csv.gz": Feed("UTC", "time", lambda r, n: r["time"], lambda r: "nab-" + series(r)[0], nab,
                                   {"value": lambda r: series(r)[1]}),
    "sensors/nab_dev_labels.csv": Feed("UTC", "window_start", lambda r, n: r["series"], lambda r: "nab-labels", lambda r, m: None),
    "sensors/skab_dev.csv.gz": Feed("UTC", "time", lambda r, n: r["time"], lambda r: "skab-" + r["run"], lambda r, m: HERE, {
        "accelerometer1rms": "accelerometer1_rms", "accelerometer2rms": "accelerometer2_rms", "current": "current",
        "pressure": "pressure", "temperature": "temperature", "thermocouple": "thermocouple", "voltage": "voltage",
        "volume_flow_raterms": "volume_flow"}),
    "sensors/shanghai_pm25_2010_2015.csv.gz": Feed(
        "Asia/Shanghai", "time", lambda r, n: r["time"], lambda r: "shanghai-weather", air, {
            "pm_xuhui": "pm25", "pm_jingan": "pm25", "pm_us_post": "pm25", "dewp": "dew_point", "humi": "humidity", "pres": "pressure",
            "temp": "temperature", "iws": "wind_speed_cumulated", "precipitation": "precipitation", "iprec": "precipitation_cumulated"}),
    "sensors/aarhus_parking_2014_to_aug.csv.gz": Feed(
        "Europe/Copenhagen", "updatetime", lambda r, n: r["row_id"], lambda r: "aarhus-parking-" + r["garage"],
        lambda r, m: (10.2108, 56.1567), {"vehicles": "vehicles", "total_spaces": "spaces"}),
    "sensors/aarhus_traffic_158324_2014_08.csv.gz": Feed(
        "Europe/Copenhagen", "time", lambda r, n: r["time"], lambda r: "aarhus-traffic-" + r["report_id"],
        lambda r, m: (10.104986, 56.231721), {"avg_speed_kmh": "avg_speed", "vehicle_count": "vehicles",
                                              "avg_travel_s": "avg_travel_time", "median_travel_s": "median_travel_time"}),
    "sensors/aarhus_traffic_reporters.csv": Feed("Europe/Copenhagen", lambda r: "2014-08-01T00:00:00", lambda r, n: "registered",
                                                 lambda r: "aarhus-traffic-" + r["report_id"], column("lon1", "lat1")),
    "sensors/edinburgh_litter_bins_2016_to_jul10.csv.gz": Feed(
        "Europe/London", "time", lambda r, n: r["event_id"], lambda r: "edinburgh-bin-" + r["site_id"], lambda r, m: (-3.1883, 55.9533),
        {"fill_before_pct": "fill_before", "fill_after_pct": "fill_after", "volume_l": "volume", "weight_kg": "weight"}),
    "sensors/chicago_beach_water_2013_2015.csv.gz": Feed(
        "America/Chicago", "time", lambda r, n: r["measurement_id"], lambda r: "chicago-" + r["beach"], column(), {
            "water_temp_c": "water_temperature", "turbidity_ntu": "turbidity", "transducer_depth_m": "depth",
            "wave_height_m": "wave_height", "wave_period_s": "wave_period", "battery_v": "battery"},
        {"wave_height_m": "-99999.992", "wave_period_s": "-100000"}),
    "vehicles/beijing_geolife_user001.csv.gz": Feed(None, "time", lambda r, n: r["time"], lambda r: "geolife-" + r["user"], column()),
    "vehicles/sf_cabs_dev.csv.gz": Feed(None, "time", lambda r, n: r["time"], lambda r: "sf-cab-" + r["vehicle"], column()),
    "vehicles/shanghai_taxi_26834_20150401.csv.gz": Feed("Asia/Shanghai", "time", lambda r, n: str(n),
                                                         lambda r: "shanghai-taxi-" + r["vehicle"], column()),
    "vehicles/beijing_taxi_demo.csv.gz": Feed("Asia/Shanghai", lambda r: "2015-04-01T" + r["time_of_day"], lambda r, n: str(n),
                                              lambda r: "beijing-taxi-" + r["vehicle"], column()),
}
STATIONS = {"pm_xuhui": "shanghai-air-xuhui", "pm_jingan": "shanghai-air-jingan", "pm_us_post": "shanghai-air-us-post"}


def rows_of(name):
    path = os.path.join(DATA, name)
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as f:
        for number, row in enumerate(csv.DictReader(f), 1):
            if ROWS and number > ROWS:
                break
            yield number, row


def expected(name):
    """(events as they are to be stored, rows that give none, readings without a number in other rows)."""
    feed, events, none, gaps = FEEDS[name], [], 0, 0
    zone = ZoneInfo(feed.zone) if feed.zone else None
    for number, row in rows_of(name):
        text = feed.time(row) if callable(feed.time) else row[feed.time]
        at = datetime.fromisoformat(text)
        at = (at.replace(tzinfo=zone) if zone else at).astimezone(timezone.utc)
        event, before = feed.event(row, number), len(events)
        if not feed.metrics:
            events.append((feed.source(row), event, at, None, None, feed.place(row, None)))
        for key, metric in feed.metrics.items():
            if not row[key] or row[key] == feed.missing.get(key):
                continue
            metric = metric(row) if callable(metric) else metric
            events.append((STATIONS.get(key) or feed.source(row), event if len(feed.metrics) == 1 else f"{event}/{metric}", at, metric,
                           float(row[key]), feed.place(row, key)))
        made = len(events) - before
        none += made == 0
        gaps += made and len(feed.metrics or "1") - made
    return events, none, gaps


@pytest.fixture(scope="module")
def fed():
    """A city whose ingest keeps what is old."""
    if not os.path.isdir(DATA):
        pytest.skip(f"{DATA} is not there")
    with City(roles=(), env={"TONGGUAN_INGEST_RETENTION_DAYS": "0"}) as city:
        city.ingest = Role(city, "ingest").ready()
        city.table = []
        yield city
        if not ROWS:
            print("\n| file | rows | stored | refused by the feed | refused by ingest | readings without a number | feed s |\n|---|---|---|---|---|---|---|")
            for line in city.table:
                print("| " + " | ".join(str(v) for v in line) + " |")


def settled(city, before, sent):
    """Waits until ingest has judged so many records more; (stored, refused by reason)."""
    def judged():
        rows, dead = city.rows("""SELECT (SELECT sum(next) FROM tongguan.source_offset), (SELECT count(*) FROM tongguan.dead_letter)""")[0]
        return (rows or 0) - before[0] == sent and [dead - before[1]]
    dead = wait_for(judged, 600, what=f"{sent} records judged by ingest")[0]
    return sent - dead, dead


def standing(city):
    next_, dead = city.rows("SELECT (SELECT sum(next) FROM tongguan.source_offset), (SELECT count(*) FROM tongguan.dead_letter)")[0]
    return next_ or 0, dead


def feed(city, name, *more):
    args = ["feed", os.path.join(DATA, name), "--speed", "max", *(["--rows", str(ROWS)] if ROWS else []), *more]
    began = time.monotonic()
    done = city.run(*args, timeout=900)
    assert done.returncode == 0, done.stderr
    said = re.match(r"(\S+): (\d+) rows = (\d+) taken \+ (\d+) refused; (\d+) events sent\n", done.stdout)
    assert said, done.stdout
    reasons = {(m[2], m[3]): int(m[1]) for m in re.finditer(r"^ +(\d+) (rows|readings): (.*)$", done.stdout, re.M)}
    return [int(n) for n in said.groups()[1:]], reasons, done.stderr, time.monotonic() - began


@pytest.mark.parametrize("name", FEEDS)
def test_feed__what_is_stored_is_what_the_file_says(fed, name):
    if not os.path.exists(os.path.join(DATA, name)):
        pytest.skip(f"{name} is not there")
    want, none, gaps = expected(name)
    total = sum(1 for _ in rows_of(name))
    before = standing(fed)
    (rows, taken, refused, sent), reasons, _, seconds = feed(fed, name, "--keep-time", "--place", PLACE)
    assert rows == total == taken + refused
    assert refused == none and sent == len(want)
    assert reasons == {key: n for key, n in {("rows", "there is no number"): none, ("readings", "there is no number"): gaps}.items() if n}
    stored, dead = settled(fed, before, sent)
    assert (stored, dead) == (len(want), 0)
    fed.table.append((name, rows, stored, refused, dead, gaps, f"{seconds:.1f}"))
    sources = sorted({event[0] for event in want})
    times = [event[2] for event in want]
    got = fed.rows("""SELECT source_id, event_id, occurred_at, metric, value, CASE WHEN geom IS NOT NULL THEN ARRAY[ST_X(geom), ST_Y(geom)] END
        FROM tongguan.event WHERE source_id = ANY(%s) AND occurred_at BETWEEN %s AND %s AND (state IS NULL) = %s""",
                   sources, min(times), max(times), "reporters" not in name)
    def comparable(event):
        source, event_id, at, metric, value, place = event
        return source, event_id, at.astimezone(timezone.utc), metric or "", value or 0.0, tuple(place or ())
    assert sorted(map(comparable, got)) == sorted(map(comparable, want))


def test_feed__the_same_file_again_stores_nothing_more(fed):
    name = "vehicles/shanghai_taxi_26834_20150401.csv.gz"
    if not os.path.exists(os.path.join(DATA, name)):
        pytest.skip(f"{name} is not there")
    feed(fed, name, "--keep-time")
    first = fed.value("SELECT count(*) FROM tongguan.event WHERE source_id = 'shanghai-taxi-26834'")
    before = standing(fed)
    (_, _, _, sent), _, _, _ = feed(fed, name, "--keep-time")
    settled(fed, before, sent)
    assert fed.value("SELECT count(*) FROM tongguan.event WHERE source_id = 'shanghai-taxi-26834'") == first


def test_feed__what_is_too_old_is_said_before_and_refused_by_ingest(fed):
    """The default: ingest keeps 400 days. The same rows moved to now are stored, with their own time beside."""
    name = "sensors/aarhus_traffic_158324_2014_08.csv.gz"
    if not os.path.exists(os.path.join(DATA, name)):
        pytest.skip(f"{name} is not there")
    fed.ingest.stop()
    fed.env = dict(fed.env, TONGGUAN_INGEST_RETENTION_DAYS="400")
    fed.ingest = Role(fed, "ingest").ready()
    before = standing(fed)
    (_, _, _, sent), _, told, _ = feed(fed, name, "--keep-time")
    assert f"{sent} events will be older than 400 days: ingest refuses them (time_too_old)" in told
    assert settled(fed, before, sent) == (0, sent)
    assert fed.rows("SELECT reason, count(*) FROM tongguan.dead_letters GROUP BY 1") == [("time_too_old", sent)]
    before = standing(fed)
    (_, _, _, sent), _, told, _ = feed(fed, name)
    assert "older than" not in told
    assert settled(fed, before, sent) == (sent, 0)
    moved = fed.rows("""SELECT occurred_at, (payload #>> '{attributes,original_time}')::timestamptz FROM tongguan.events
        WHERE source_id = 'aarhus-traffic-158324' AND payload -> 'attributes' ? 'original_time'""")
    assert len(moved) == sent and len({at - original for at, original in moved}) == 1


def test_feed__without_a_place_a_sensor_must_be_registered(fed):
    name = "sensors/skab_dev.csv.gz"
    if not os.path.exists(os.path.join(DATA, name)):
        pytest.skip(f"{name} is not there")
    before = standing(fed)
    (_, _, _, sent), _, _, _ = feed(fed, name)
    assert settled(fed, before, sent) == (0, sent)
    assert fed.value("SELECT count(*) FROM tongguan.dead_letters WHERE reason = 'unknown_device'") == sent


def test_feed__ndjson_in_another_datum_and_geojson(fed, tmp_path):
    """Objects a line, packed, in GCJ-02; and features whose place is their geometry."""
    base = "topic: tongguan.vehicle.positions\ntime: {{value: \"{{t}}\"}}\nevent_id: \"{{id}}\"\nsource_id: {0}\nsource_kind: vehicle\n"
    (tmp_path / "lines.yaml").write_text(
        "feed: lines\nfile: lines.ndjson.gz\nformat: ndjson\n" + base.format("lines") +
        "location: {lon: \"{at.lon}\", lat: \"{at.lat}\", datum: gcj02}\nposition: {speed_kmh: {value: \"{ms}\", scale: 3.6}}\n")
    with gzip.open(tmp_path / "lines.ndjson.gz", "wt") as f:
        f.write('{"id": 1, "t": "2020-05-01T00:00:00Z", "at": {"lon": 121.4737, "lat": 31.2304}, "ms": 10}\n')
        f.write('{"id": 2, "t": "2020-05-01T00:00:01Z", "at": {"lon": 2.3522, "lat": 48.8566}}\n')
        f.write('{"id": 3, "t": \n')
    (tmp_path / "shapes.yaml").write_text(
        "feed: shapes\nfile: shapes.geojson\nformat: geojson\n" + base.format("shapes") + "location: geometry\nposition: {}\n")
    (tmp_path / "shapes.geojson").write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"id": "a", "t": "2020-05-01T00:00:00+08:00"},'
        ' "geometry": {"type": "Point", "coordinates": [-71.075, 42.345]}}, {"type": "Feature", "properties": {"id": "b"}, "geometry": null}]}')
    fed.ingest.stop()
    fed.ingest = Role(fed, "ingest", env={"TONGGUAN_INGEST_RETENTION_DAYS": "0"}).ready()
    before = standing(fed)
    done = fed.run("feed", str(tmp_path / "lines.yaml"), str(tmp_path / "shapes.yaml"), "--speed", "max", "--keep-time")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("lines: 3 rows = 2 taken + 1 refused; 2 events sent\n         1 rows: the line is no JSON object\n"
                           "shapes: 2 rows = 1 taken + 1 refused; 1 events sent\n         1 rows: the time cannot be read\n")
    assert settled(fed, before, 3) == (3, 0)
    got = {row[0]: row[1:] for row in fed.rows("""SELECT event_id, ST_X(geom), ST_Y(geom), speed_kmh, occurred_at FROM tongguan.event
        WHERE source_id IN ('lines', 'shapes')""")}
    moved = (got["1"][0] - 121.4737) * 95200, (got["1"][1] - 31.2304) * 110900
    assert 400 < (moved[0] ** 2 + moved[1] ** 2) ** 0.5 < 560 and moved[0] < 0  # Shanghai: GCJ-02 lies some 480 m off, to the east
    assert got["1"][2] == 36 and got["2"][:2] == (2.3522, 48.8566)                 # outside China the two are one
    assert got["a"][:2] == (-71.075, 42.345)
    assert got["a"][3] == datetime(2020, 4, 30, 16, tzinfo=timezone.utc)
