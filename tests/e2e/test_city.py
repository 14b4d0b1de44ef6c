"""A city folder: 徐汇 alive, every mistake named before anything changes, and a new version taken up by roles that run."""
import csv
import functools
import json
import os
import random
import re
import shutil
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone

import harness
import pytest

pytestmark = pytest.mark.apart

XUHUI = os.path.join(harness.ROOT, "schema/cities/xuhui")
SENSORS = "tongguan.sensor.readings"
INSIDE = (121.4380, 31.1880)      # 徐家汇街道


@pytest.fixture(scope="module")
def xuhui():
    with harness.City("xuhui", feed="reports", extra=("--speed", "max")) as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "city"
    shutil.copytree(XUHUI, copy, ignore=shutil.ignore_patterns("feeds", "packs"))
    return copy


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


# ---- 徐汇 -------------------------------------------------------------------------------------------------------------------

def test_xuhui__every_made_up_report_is_stored_in_its_street_and_becomes_a_case(xuhui):
    sent = {row["report_id"]: row["street"] for row in rows_of(os.path.join(XUHUI, "feeds/reports.csv"))}

    def stored():
        return xuhui.value("SELECT count(*) FROM tongguan.events WHERE source_id LIKE 'xh-%%'") == len(sent)
    harness.wait_for(stored, 120, what="all reports stored")
    found = xuhui.rows("SELECT e.event_id, s.name_zh, e.flags, e.datum FROM tongguan.events e"
                       " LEFT JOIN tongguan.street s ON s.code = e.street WHERE e.source_id LIKE 'xh-%%'")
    # The file has GCJ-02; half a kilometre wrong would put many into the next street, or outside.
    assert {event: street for event, street, _, _ in found} == sent
    assert {(flags, datum) for *_, flags, datum in found} == {(0, 2)}
    filed = harness.wait_for(lambda: xuhui.rows("SELECT case_no, district FROM tongguan.cases WHERE filed_at IS NOT NULL"), 60,
                             what="the first case filed")
    assert all(re.fullmatch(r"310104\d{14}", number) for number, _ in filed)
    flood = [harness.report(lon=INSIDE[0] + i * 0.0005, lat=INSIDE[1], type_code="20005", reporter=f"p{i}") for i in range(3)]
    xuhui.produce("tongguan.citizen.reports", [event.SerializeToString() for event in flood])
    harness.wait_for(lambda: xuhui.value("SELECT count(*) FROM tongguan.incidents WHERE rule_id = 'xh.flooded-road'"
                                         " AND event_count = 3"), 60, what="the flood as one incident")
    assert {rule.split(".")[0] for (rule,) in xuhui.rows("SELECT DISTINCT rule_id FROM tongguan.incidents")} == {"xh"}


# ---- its deadlines over three years, by an oracle of the test's own -------------------------------------------------------------

ZONE = timezone(timedelta(hours=8))
WEEK = {"office": (range(1, 6), [(8, 12), (14, 18)], 8), "allday": (range(1, 8), [(0, 24)], 24)}


@functools.cache
def working_days(calendar):
    """date → its periods, as city.yaml and calendar.csv say."""
    with open(os.path.join(XUHUI, "calendar.csv"), encoding="utf-8") as rows:
        special = {r["date"]: r["kind"] for r in csv.DictReader(rows) if r["calendar"] == calendar}
    weekdays, periods, _ = WEEK[calendar]

    def of(day):
        kind = special.get(day.isoformat(), "work" if day.isoweekday() in weekdays else "off")
        return {"work": periods, "half": periods[:1], "off": []}[kind]
    return of


def later(periods_of, start, seconds, pauses):
    """The instant at which so many seconds of working time without the pauses are used up; periods_of None: all time counts."""
    day, left = start.date(), seconds
    while True:
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZONE)
        for a, b in periods_of(day) if periods_of else [(0, 24)]:
            spans = [(max(midnight + timedelta(hours=a), start), midnight + timedelta(hours=b))]
            for x, y in pauses:
                spans = [s for p, q in spans for s in ((p, min(q, x)), (max(p, y), q)) if s[0] < s[1]] if spans else []
            for p, q in spans:
                if (q - p).total_seconds() >= left > 0:
                    return p + timedelta(seconds=left)
                left -= max(0.0, (q - p).total_seconds())
        day += timedelta(days=1)


def test_xuhui__deadlines_of_three_years_are_those_of_an_oracle(xuhui):
    seed = int(os.environ.get("TG_TEST_SEED", str(time.time_ns() % 1_000_000)))
    print(f"seed {seed} (TG_TEST_SEED)")
    rng, api = random.Random(seed), xuhui.api()
    for _ in range(250):
        calendar, unit = rng.choice(list(WEEK)), rng.choice(["h", "wh", "wd", "nd"])
        start = datetime(2024, 1, 1, tzinfo=ZONE) + timedelta(seconds=rng.randrange(3 * 365 * 86400 - 60 * 86400))
        amount = rng.choice([0.25, 1, 2, 5, 15]) if unit in ("wd", "nd") else rng.choice([0.5, 1, 2, 4, 48])
        per = {"h": 3600, "wh": 3600, "nd": 86400, "wd": WEEK[calendar][2] * 3600}[unit]
        periods_of = working_days(calendar) if unit in ("wh", "wd") else None
        body = {"calendar": calendar, "start": start.isoformat(), "limit": f"{amount}{unit}"}
        seconds, pauses = amount * per, []
        if rng.random() < .5:  # granted at once: so much more of the same
            body["extensions"] = [{"at": start.isoformat(), "limit": f"{amount}{unit}"}]
            seconds *= 2
        due = later(periods_of, start, seconds, [])
        for _ in range(rng.randrange(3)):  # suspended while it runs, resumed up to nine days later
            begin = (pauses[-1][1] if pauses else start) + timedelta(seconds=1)
            if (due - begin).total_seconds() < 2:
                break
            x = begin + timedelta(seconds=int(rng.random() * (due - begin).total_seconds()))
            pauses.append((x, x + timedelta(seconds=rng.randrange(1, 9 * 86400))))
            due = later(periods_of, start, seconds, pauses)
        body["pauses"] = [{"from": x.isoformat(), "to": y.isoformat()} for x, y in pauses]
        status, doc = api("POST", "/api/v1/deadline/explain", body)
        assert status == 200, (body, doc)
        assert datetime.fromisoformat(doc["due_at"]) == due, (body, doc["due_at"], due)
        counted = sum((datetime.fromisoformat(p["to"]) - datetime.fromisoformat(p["from"])).total_seconds() for p in doc["periods"])
        assert abs(counted - seconds) < 1e-3, body
        off = {s["date"] for s in doc["skipped"]}
        counted_days = {datetime.fromisoformat(p["from"]).astimezone(ZONE).date().isoformat() for p in doc["periods"]}
        assert not off & counted_days, body
        if periods_of and not pauses:  # every day without working time between the first and the last is named
            days = [start.date() + timedelta(days=n) for n in range((due.astimezone(ZONE).date() - start.date()).days + 1)]
            assert {d.isoformat() for d in days if not periods_of(d)} <= off, body


def test_xuhui__has_its_streets_types_departments_and_cells(xuhui):
    one = xuhui.rows("""SELECT (SELECT count(*) FROM tongguan.streets), (SELECT count(*) FROM tongguan.catalog),
        (SELECT count(*) FROM tongguan.departments), (SELECT count(*) FROM tongguan.zones),
        (SELECT count(*) FROM tongguan.filing_condition WHERE handle_limit = '' OR filing_zh = '' OR close_en = ''),
        (SELECT count(*) FROM tongguan.grid_cells WHERE street IS NULL)""")[0]
    assert one == (13, 206, 45, 26, 0, 0)
    # The areas leave no gap and do not overlap: together they are the outline.
    assert xuhui.value("""SELECT ST_Area(ST_SymDifference(c.boundary, (SELECT ST_Union(geom) FROM tongguan.street))::geography) < 1
        AND abs(ST_Area(c.boundary::geography) - (SELECT sum(ST_Area(geom::geography)) FROM tongguan.street)) < 1
        FROM tongguan.city c""")
    # A hundred metres square but along the outline, where a part is cut off.
    least, middle, most = xuhui.rows("SELECT min(a), percentile_cont(0.5) WITHIN GROUP (ORDER BY a), max(a)"
                                     " FROM (SELECT ST_Area(geom::geography) AS a FROM tongguan.grid_cells) AS areas")[0]
    assert 0 < least and 9900 < middle < 10100 and most < 10100


@pytest.mark.parametrize("start,due", [
    ("2026-02-13T16:00:00+08:00", "2026-02-14T16:00:00+08:00"),     # a Saturday that is worked
    ("2026-02-14T16:00:00+08:00", "2026-02-24T16:00:00+08:00"),     # then nine days off
    ("2024-09-13T10:00:00+08:00", "2024-09-14T10:00:00+08:00"),
    ("2025-09-30T10:00:00+08:00", "2025-10-09T10:00:00+08:00"),
])
def test_xuhui__a_working_day_knows_holidays_and_the_days_worked_for_them(xuhui, start, due):
    status, doc = xuhui.api()("POST", "/api/v1/deadline/explain", {"calendar": "office", "start": start, "limit": "1wd"})
    assert status == 200, doc
    assert datetime.fromisoformat(doc["due_at"]) == datetime.fromisoformat(due)


# ---- Mistakes -----------------------------------------------------------------------------------------------------------------

def edit(name):
    """Decorates a change of one file's text."""
    def wrap(change):
        def apply(folder):
            path = folder / name
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            path.write_text(change(text), encoding="utf-8")
        return apply
    return wrap


def edit_shapes(name):
    def wrap(change):
        @edit(name)
        def apply(text):
            doc = json.loads(text or '{"type":"FeatureCollection","features":[]}')
            change(doc["features"])
            return json.dumps(doc, ensure_ascii=False)
        return apply
    return wrap


def cell(name, west, south, size=0.001, street="310104014"):
    ring = [[west, south], [west + size, south], [west + size, south + size], [west, south + size], [west, south]]
    return {"type": "Feature", "properties": {"cell_id": name, "street": street},
            "geometry": {"type": "Polygon", "coordinates": [ring]}}


@edit_shapes("streets.geojson")
def open_ring(features):
    features[2]["geometry"]["coordinates"][0].pop()


@edit_shapes("streets.geojson")
def crossed_ring(features):
    ring = features[0]["geometry"]["coordinates"][0]
    ring[4], ring[12] = ring[12], ring[4]


@edit_shapes("boundary.geojson")
def bow_tie(features):
    features.append({"type": "Feature", "properties": {"code": "bow"}, "geometry": {"type": "Polygon", "coordinates": [
        [[121.40, 31.10], [121.42, 31.12], [121.42, 31.10], [121.40, 31.12], [121.40, 31.10]]]}})


@edit_shapes("grid.geojson")
def overlapping_cells(features):
    features += [cell("a", 121.430, 31.190), cell("b", 121.431, 31.190), cell("c", 121.4305, 31.190)]


@edit_shapes("grid.geojson")
def one_cell_in_another(features):
    features += [cell("a", 121.430, 31.190), cell("b", 121.4302, 31.1902, 0.0005)]


@edit_shapes("grid.geojson")
def cell_of_no_street(features):
    features += [cell("a", 121.430, 31.190, street="310104999")]


@edit_shapes("streets.geojson")
def doubled_street(features):
    features[5]["properties"]["code"] = features[4]["properties"]["code"]


def with_grid(change):
    def apply(folder):
        change(folder)
        edit("city.yaml")(lambda text: re.sub(r"cell_m:.*", "grid: grid.geojson", text))(folder)
    return apply


def line(number, pattern, to):
    """A change of one line of a file."""
    def change(text):
        lines = text.split("\n")
        lines[number - 1], n = re.subn(pattern, to, lines[number - 1], count=1)
        assert n == 1, lines[number - 1]
        return "\n".join(lines)
    return change


def add(name, text):
    def change(folder):
        with open(folder / name, "a", encoding="utf-8") as out:
            out.write(text)
    return change


MISTAKES = {
    "an open ring": (open_ring, r"streets.geojson:3: feature 3: a ring is open"),
    "a ring that crosses itself": (crossed_ring, r"streets.geojson:1: feature 1 \"310104003\": Self-intersection at 121"),
    "a bow tie": (bow_tie, r"boundary.geojson:2: feature 2 \"bow\": Self-intersection at 121.41\d+, 31.11"),
    "overlapping cells": (with_grid(overlapping_cells), r"grid.geojson:3: feature 3 \"c\" overlaps feature 1 \"a\" by \d+ m²"),
    "a cell in a cell": (with_grid(one_cell_in_another), r"grid.geojson:2: feature 2 \"b\" overlaps feature 1 \"a\""),
    "a cell of no street": (with_grid(cell_of_no_street), r"grid.geojson: cell \"a\": there is no street \"310104999\""),
    "a doubled street": (doubled_street, r"streets.geojson:6: feature 6: code \"310104010\" occurs twice"),
    "a type without a limit": (edit("catalog.csv")(line(4, ",2h,urgent", ",,urgent")), r"catalog.csv:4: dispose_limit: \"\" is no limit"),
    "a limit of nothing": (edit("catalog.csv")(line(4, ",2h,urgent", ",0h,urgent")), r"catalog.csv:4: dispose_limit: \"0h\" is no limit"),
    "a doubled type": (edit("catalog.csv")(line(5, ",01004,", ",01003,")), r"catalog.csv:5: type_code \"01003\" .*twice"),
    "an unknown lead": (edit("catalog.csv")(line(2, ",供水企业,", ",供酒企业,")), r"catalog.csv:2: lead_department: .*\"供酒企业\""),
    "an unknown helper": (edit("catalog.csv")(line(2, ",街镇,", ",乡镇,")), r"catalog.csv:2: co_departments: .*\"乡镇\""),
    "a condition of no type": (edit("conditions.csv")(line(3, ",4wh,01001,", ",4wh,99001,")), r"conditions.csv:3: there is no type 99001"),
    "a condition without a limit": (edit("conditions.csv")(line(3, ",4wh,", ",,")), r"conditions.csv:3: limit: \"\" is no limit"),
    "a calendar with a hole": (edit("calendar.csv")(lambda text: re.sub("office,2025-05-06.*\n", "", text)),
                               r"calendar.csv:493: calendar office has a hole: 2025-05-06 is missing before this day; add it"),
    "a doubled day": (edit("calendar.csv")(lambda text: text + "office,2025-05-06,off,,\n"),
                      r"calendar.csv:1098: 2025-05-06 of calendar office stands on line 493 already"),
    "no such day": (edit("calendar.csv")(lambda text: text + "office,2027-02-29,off,,\n"), r"calendar.csv:1098: date is no day"),
    "an unknown calendar": (edit("departments.csv")(line(2, ",office", ",ofice")), r"departments.csv:2: there is no calendar \"ofice\""),
    "a device far away": (edit("devices.csv")(line(3, r"121\.\d+,31\.\d+", "31.19,121.43")), r"devices.csv:3: lon and lat are no place"),
    "a device in another town": (edit("devices.csv")(line(3, r"121\.\d+", "120.4")), r"devices.csv:3: device \"xh-bin-003-2\" stands \d+\.\d km outside"),
    "a device of no kind": (edit("devices.csv")(line(2, ",sensor,", ",sencor,")), r"devices.csv:2: source_kind: \"sencor\""),
    "a device of no datum": (edit("devices.csv")(line(2, ",wgs84,", ",wgs48,")), r"devices.csv:2: datum: \"wgs48\""),
    "a device twice": (edit("devices.csv")(line(3, "xh-bin-003-2", "xh-bin-003-1")), r"devices.csv:3: device_id \"xh-bin-003-1\" .*twice"),
    "limits that are none": (edit("devices.csv")(line(2, "fill_pct>90", "fill_pct=90")), r"devices.csv:2: limits: "),
    "an unknown key": (edit("city.yaml")(lambda text: text + "halo: 3\n"), r"city.yaml:\d+: there is no key \"halo\""),
    "too wide a halo": (edit("city.yaml")(lambda text: text.replace("halo_m: 500", "halo_m: 5000")), r"city.yaml:1: halo_m is larger"),
    "YAML that is none": (edit("city.yaml")(lambda text: text + " - [\n"), r"city.yaml:\d+:\d+: "),
    "a missing table": (lambda folder: os.remove(folder / "departments.csv"), r"departments.csv: is missing"),
    "a unit of nobody": (add("departments.csv", "X1,某,,,,,,,,,office,NOSUCH,\n"), r"departments.csv:47: parent: there is no department \"NOSUCH\""),
    "a unit of itself": (add("departments.csv", "X1,某,,,,,,,,,office,X1,\n"), r"departments.csv:47: parent: it is its own unit"),
    "a street that is not there": (add("departments.csv", "X1,某,,,,,,,,,office,,天平;NOSUCH\n"), r"departments.csv:47: streets: there is no street \"NOSUCH\""),
    "a roster of nobody": (add("duty.csv", "CGJ,1-5,08:00-18:00,\n"), r"duty.csv:225: name is empty"),
    "a night in one row": (add("duty.csv", "CGJ,1-5,18:00-08:00,A\n"), r"duty.csv:225: period is none"),
    "an eighth day": (add("duty.csv", "CGJ,1-8,08:00-18:00,A\n"), r"duty.csv:225: weekdays"),
    "a short row": (edit("catalog.csv")(line(7, r",[a-z]+,$", "")), r"catalog.csv:7: the row has another number of fields"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_city_load__a_mistake_is_named_by_file_and_row_and_nothing_changes(xuhui, folder, mistake):
    change, wanted = MISTAKES[mistake]
    change(folder)
    before = xuhui.rows("SELECT version, loaded_at, xmin::text FROM tongguan.city")
    done = xuhui.run("city", "load", str(folder))
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"^{re.escape(str(folder))}/(?:{wanted})", done.stderr, re.M), done.stderr
    *said, last = done.stderr.splitlines()
    n = len(said)
    assert last.endswith(f": {n} mistake{'s' * (n != 1)}; nothing was changed"), done.stderr
    assert xuhui.rows("SELECT version, loaded_at, xmin::text FROM tongguan.city") == before


def test_city_load__many_mistakes_are_all_counted(xuhui, folder):
    edit("catalog.csv")(lambda text: text.replace(",jianguan,", ",jianguang,"))(folder)
    done = xuhui.run("city", "load", str(folder))
    n = sum(row["domain"] == "jianguan" for row in rows_of(os.path.join(XUHUI, "catalog.csv")))
    assert f"and {n - 25} more\n" in done.stderr and f": {n} mistakes; nothing was changed" in done.stderr
    assert done.stderr.count("catalog.csv:") == 25


# ---- Taken up -------------------------------------------------------------------------------------------------------------------

def reading(source, lon=None, lat=None, datum=None, value=1.0):
    pb = harness.protocol()
    event = pb.Event(event_id=uuid.uuid4().hex, source_id=source, source_kind=pb.SENSOR, occurred_at_us=harness.now_us())
    event.reading.metric, event.reading.value = "fill_pct", value
    if lon is not None:
        event.location.lon, event.location.lat = lon, lat
    if datum:
        event.location.datum = datum
    return event


def stored(city, event):
    """(street, flags, lon, lat) of the event's row, or ("refused", reason)."""
    offset = city.produce(SENSORS, [event.SerializeToString()])[0]

    def ended():
        rows = city.rows("SELECT street, flags, round(ST_X(geom)::numeric, 6)::float8, round(ST_Y(geom)::numeric, 6)::float8"
                         " FROM tongguan.events WHERE event_id = %s", event.event_id)
        return rows or city.rows("SELECT 'refused', reason FROM tongguan.dead_letters WHERE topic = %s AND partition = %s"
                                 " AND \"offset\" = %s", SENSORS, *offset)
    return harness.wait_for(ended, 30)[0]


def uptimes(city):
    """Process id and start of every role: the same as long as nobody restarted one."""
    found = {}
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(") ")[2].split()
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                name = cmdline.read().split(b"\0")[1].decode()
        except (OSError, IndexError, NotADirectoryError):
            continue
        if fields[1] == str(city.up.pid) and name in harness.ROLES:
            found[name] = (pid, fields[19])
    assert set(found) == set(harness.ROLES)
    return found


def test_devices__give_their_place_and_strangers_are_stored_and_flagged(xuhui):
    device, street, lon, lat, limits, every = xuhui.rows(
        "SELECT device_id, street, round(ST_X(geom)::numeric, 6)::float8, round(ST_Y(geom)::numeric, 6)::float8, limits, report_every_s"
        " FROM tongguan.devices WHERE device_id = 'xh-bin-010-2'")[0]
    assert (street, limits, every) == ("310104010", {"fill_pct": {"above": 90}, "temperature_c": {"above": 60}}, 1800)
    assert stored(xuhui, reading(device)) == (street, 8, lon, lat)
    assert stored(xuhui, reading(device, *INSIDE)) == ("310104014", 0, *INSIDE)
    assert stored(xuhui, reading("stranger", *INSIDE)) == ("310104014", 2, *INSIDE)
    assert stored(xuhui, reading("stranger")) == ("refused", "unknown_device")
    assert stored(xuhui, reading("xh-truck-01")) == ("refused", "unknown_device")     # registered, but nowhere
    assert stored(xuhui, reading(device, 121.9, 31.2)) == (None, 4, 121.9, 31.2)      # outside: a fact


def test_city_load__running_roles_take_up_devices_types_calendars_and_cells_while_events_flow(xuhui, folder):
    edit("devices.csv")(lambda text: text + "lamp-gcj,sensor,121.4425,31.1860,gcj02,灯,60,lux<5\nphone,inspector,,,,手机,,\n")(folder)
    edit("catalog.csv")(lambda text: re.sub(r"(.*),09022,占道促销宣传,(.*)\n", r"\1,09022,占道促销宣传,\2\n\1,09088,占道试验,\2\n", text))(folder)
    edit("calendar.csv")(lambda text: text.replace("office,2026-02-24,work", "office,2026-02-24,off"))(folder)
    edit("departments.csv")(lambda text: text.replace("区残联", "区残疾人联合会"))(folder)
    edit("catalog.csv")(lambda text: text.replace("区残联", "区残疾人联合会"))(folder)
    assert stored(xuhui, reading("lamp-gcj")) == ("refused", "unknown_device")
    started = uptimes(xuhui)
    stop, sent = threading.Event(), []

    def keep_sending():
        while not stop.is_set():
            event = reading("xh-bin-003-1")
            xuhui.produce(SENSORS, [event.SerializeToString()])
            sent.append(event.event_id)
    flow = threading.Thread(target=keep_sending)
    flow.start()
    try:
        done = xuhui.run("city", "load", str(folder))
        assert done.returncode == 0, done.stderr
        version = xuhui.value("SELECT version FROM tongguan.city")

        def taken_up():
            metrics = harness.Api(xuhui.address)("GET", "/metrics", raw=True)[2].decode()
            return f"tongguan_dispatch_city_version {version}\n" in metrics and stored(xuhui, reading("lamp-gcj"))[0] != "refused"
        harness.wait_for(taken_up, 30, every=0.3, what="the new city")
    finally:
        stop.set()
        flow.join()
    street, flags, lon, lat = stored(xuhui, reading("lamp-gcj"))
    assert (street, flags) == ("310104014", 8) and 400 < metres((lon, lat), (121.4425, 31.1860)) < 600
    harness.wait_for(lambda: xuhui.value("SELECT count(*) FROM tongguan.events WHERE event_id = ANY(%s)", sent) == len(sent), 30)
    assert xuhui.value("SELECT count(*) FROM tongguan.events WHERE event_id = ANY(%s) AND street <> '310104003'", sent) == 0
    status, kind = xuhui.api()("GET", "/api/v1/catalog/09088")
    assert status == 200 and kind["name_zh"] == "占道试验"
    status, doc = xuhui.api()("POST", "/api/v1/deadline/explain",
                              {"calendar": "office", "start": "2026-02-14T16:00:00+08:00", "limit": "1wd"})
    assert datetime.fromisoformat(doc["due_at"]) == datetime.fromisoformat("2026-02-25T16:00:00+08:00")
    assert uptimes(xuhui) == started
    assert xuhui.value("SELECT limits FROM tongguan.devices WHERE device_id = 'lamp-gcj'") == {"lux": {"below": 5}}


def test_city_load__cells_of_ones_own_by_lowest_name_on_their_borders(xuhui, folder):
    @edit_shapes("grid.geojson")
    def cells(features):
        features += [cell("b10", 121.438, 31.188), cell("b9", 121.439, 31.188), cell("a", 121.438, 31.189)]
    with_grid(cells)(folder)
    done = xuhui.run("city", "load", str(folder))
    assert done.returncode == 0 and "3 cells" in done.stdout, done.stdout + done.stderr

    def cell_of(lon, lat):
        event = reading("stranger", lon, lat)
        stored(xuhui, event)
        return xuhui.value("SELECT grid_cell FROM tongguan.events WHERE event_id = %s", event.event_id)
    harness.wait_for(lambda: cell_of(121.4385, 31.1885) == "b10", 30, every=0.3, what="the new cells")
    assert [cell_of(*p) for p in ((121.4395, 31.1885), (121.439, 31.1885), (121.4385, 31.189), (121.439, 31.189), (121.4, 31.189))] == [
        "b9", "b10", "a", "a", None]
    assert xuhui.run("city", "load", XUHUI).returncode == 0


def test_city_load__rules_that_look_further_than_a_new_halo_are_counted(xuhui, folder):
    def beyond(n):
        metrics = harness.Api(xuhui.env["TONGGUAN_CORRELATE_LISTEN"])("GET", "/metrics", raw=True)[2].decode()
        return f"tongguan_correlate_rules_beyond_halo {n}\n" in metrics
    edit("city.yaml")(lambda text: text.replace("halo_m: 500", "halo_m: 150"))(folder)
    assert xuhui.run("city", "load", str(folder)).returncode == 0
    harness.wait_for(lambda: beyond(3), 30, every=0.2, what="three rules beyond the halo")
    assert xuhui.run("city", "load", XUHUI).returncode == 0
    harness.wait_for(lambda: beyond(0), 30, every=0.2, what="none beyond it")


def test_city_load__a_broken_connection_or_no_folder_is_one_line(xuhui, tmp_path):
    done = xuhui.run("city", "load", str(tmp_path))
    assert done.returncode == 1 and "city.yaml: is missing" in done.stderr
    assert xuhui.run("city", "load").returncode == 2
    assert xuhui.run("city", "unload", XUHUI).returncode == 2


def metres(a, b):
    return ((a[0] - b[0]) ** 2 * 95200 ** 2 + (a[1] - b[1]) ** 2 * 111195 ** 2) ** 0.5
