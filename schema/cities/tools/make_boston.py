"""Make the city folder schema/cities/boston from the City of Boston's open data.

    make_boston.py REPORTS NEIGHBORHOODS [FOLDER]

REPORTS        311 service requests of 2015 as CSV (.gz too), one row a case, with the columns case_id, open_dt,
               target_dt (both local time, ISO 8601), reason, type, department, location, neighborhood,
               lat, lon, source (the city's CASE_ENQUIRY_ID, OPEN_DT, TARGET_DT, ...)
NEIGHBORHOODS  the city's neighbourhood polygons as GeoJSON, with the properties id and name
FOLDER         default: schema/cities/boston beside this tool

Both data sets are published by the City of Boston under the Public Domain Dedication and License.
Names, short names, condition texts and proposed limits are ours, in the boston_*.csv beside this tool.
Needs Python 3.11 and shapely 2.2 or later. The same input gives the same bytes.
"""

import bisect
import collections
import csv
import datetime as dt
import gzip
import json
import math
import os
import re
import sys

import shapely
import shapely.geometry

HERE = os.path.dirname(os.path.abspath(__file__))
DIVISION = "025025"
CALENDAR_YEARS = range(2015, 2028)      # from the reports' year on, without a hole
DAY_START, DAY_END = dt.time(8, 30), dt.time(17, 0)
DAY_S = 8.5 * 3600
SAMPLE_FROM, SAMPLE_ROWS = "2015-03-16", 5000
SAMPLE_COLUMNS = "case_id,open_dt,reason,type,department,location,neighborhood,lat,lon,source".split(",")
SLACK_S = 4             # the city's own deadlines are a few seconds off
SHARE_MIN = 0.12        # a limit that explains less of a type's deadlines is not taken for a rule
SIMPLIFY_M = 14.0       # square root of the area that simplification may shave off a corner
PART_M2_MIN = 2000.0    # rocks and digitising dust below this are left out
# What an inspector may put right on the spot: our proposal.
ON_THE_SPOT = "21012 22030 22035 22042 22045".split()
# What lies about for days, and what is gone within hours; all else may be either. Ours, too.
LASTING = {"long": "21003 21011 21012 22001 22002 22003 22004 22006 22010 22011 22012 22013 22016 22017 22018 22019 22027 22028 22029",
           "short": "21013 21014 21015 21016 21017 21018 21019 21020 21021 21022 21023"}
CLASSES = {
    "20": ("pingan", "突发事件(本地扩展)", "Emergency (local ext.)"),
    "21": ("pingan", "大平安扩展", "Ext: public safety"),
    "22": ("jianguan", "大建管扩展", "Ext: construction & management"),
    "23": ("shichang", "大市场扩展", "Ext: market supervision"),
    "24": ("minsheng", "大民生扩展", "Ext: livelihood"),
}


def read_csv(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def write_csv(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


# ---- Working calendar: federal holidays and those of Massachusetts, by rule ------------------------------

def nth_weekday(year, month, weekday, n):
    first = dt.date(year, month, 1)
    return first + dt.timedelta((weekday - first.weekday()) % 7 + 7 * (n - 1))


def last_weekday(year, month, weekday):
    last = dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(1)
    return last - dt.timedelta((last.weekday() - weekday) % 7)


def holidays(year):
    """Date → (zh, en). A fixed day that falls on a Sunday is kept on the Monday after."""
    fixed = [(1, 1, "元旦", "New Year's Day"), (7, 4, "独立日", "Independence Day"),
             (11, 11, "退伍军人节", "Veterans Day"), (12, 25, "圣诞节", "Christmas Day")]
    if year >= 2021:
        fixed.append((6, 19, "六月节", "Juneteenth"))
    found = {}
    for month, day, zh, en in fixed:
        date = dt.date(year, month, day)
        if date.weekday() == 6:
            date, zh, en = date + dt.timedelta(1), zh + "补休", en + " (observed)"
        found[date] = (zh, en)
    found[nth_weekday(year, 1, 0, 3)] = ("马丁·路德·金日", "Martin Luther King Jr. Day")
    found[nth_weekday(year, 2, 0, 3)] = ("总统日", "Presidents' Day")
    found[nth_weekday(year, 4, 0, 3)] = ("爱国者日", "Patriots' Day")
    found[last_weekday(year, 5, 0)] = ("阵亡将士纪念日", "Memorial Day")
    found[nth_weekday(year, 9, 0, 1)] = ("劳动节", "Labor Day")
    found[nth_weekday(year, 10, 0, 2)] = ("原住民日", "Columbus / Indigenous Peoples' Day")
    found[nth_weekday(year, 11, 3, 4)] = ("感恩节", "Thanksgiving Day")
    return found


def half_days(year):
    """City Hall closes at noon on the eve of Thanksgiving and of Christmas: our assumption, see README."""
    eves = {nth_weekday(year, 11, 3, 4) - dt.timedelta(1): ("感恩节前夕", "Eve of Thanksgiving"),
            dt.date(year, 12, 24): ("圣诞前夕", "Christmas Eve")}
    return {date: names for date, names in eves.items() if date.weekday() < 5 and year >= 2024}


def make_calendar(folder):
    rows = []
    for year in CALENDAR_YEARS:
        days = [(date, "off", "", names) for date, names in holidays(year).items()]
        days += [(date, "half", "08:30-12:00", names) for date, names in half_days(year).items()]
        for date, kind, periods, (zh, en) in sorted(days):
            rows.append(["cityhall", date.isoformat(), kind, periods, zh, en])
    write_csv(os.path.join(folder, "calendar.csv"), "calendar,date,kind,periods,name,name_en".split(","), rows)


# ---- Limits: the rule that explains most of a type's recorded deadlines ------------------------------------

class WorkingTime:
    """Position of an instant on the axis of working seconds."""

    def __init__(self, first_year, last_year):
        off = {d for year in range(first_year, last_year + 1) for d in holidays(year)}
        day, end = dt.date(first_year, 1, 1), dt.date(last_year, 12, 31)
        self.days = []
        while day <= end:
            if day.weekday() < 5 and day not in off:
                self.days.append(day)
            day += dt.timedelta(1)

    def position_s(self, instant):
        i = bisect.bisect_left(self.days, instant.date())
        if i == len(self.days) or self.days[i] != instant.date():
            return i * DAY_S
        into = (instant - dt.datetime.combine(instant.date(), DAY_START)).total_seconds()
        return i * DAY_S + min(max(into, 0), DAY_S)


def candidate_limits(working, row):
    """Every whole limit (unit, n) that leads from this row's opening to its deadline."""
    opened = dt.datetime.fromisoformat(row["open_dt"])
    target = dt.datetime.fromisoformat(row["target_dt"])
    found = set()
    days = (working.position_s(target) - working.position_s(opened)) / DAY_S
    if round(days) >= 1 and abs(days - round(days)) * DAY_S < SLACK_S:
        found.add(("wd", round(days)))
    hours = (target - opened).total_seconds() / 3600
    if round(hours) >= 1 and abs(hours - round(hours)) * 3600 < SLACK_S:
        whole = round(hours)
        found.add(("nd", whole // 24) if whole % 24 == 0 and whole > 48 else ("h", whole))
    return found


def limits_of(working, rows):
    """Up to three (limit, share of deadlines explained), most frequent first."""
    rows = [row for row in rows if row["target_dt"]]
    left = [candidate_limits(working, row) for row in rows]
    limits = []
    while left and len(rows) >= 5 and len(limits) < 3:
        counts = collections.Counter(limit for found in left for limit in found)
        if not counts:
            break
        (unit, n), hits = max(counts.items(), key=lambda c: (c[1], c[0][0] == "wd", -c[0][1]))
        if hits < max(2, SHARE_MIN * len(rows)):
            break
        limits.append((f"{n}{unit}", hits / len(rows)))
        # A deadline that misses this rule by a holiday is a neighbour of it, not a rule of its own.
        left = [found for found in left if (unit, n) not in found and not (
            unit == "wd" and any(u == "wd" and abs(m - n) <= max(1, n * 0.05) for u, m in found))]
    return limits


def natural_hours(limit):
    n, unit = re.fullmatch(r"(\d+)(h|wh|wd|nd)", limit).groups()
    return int(n) * {"h": 1, "wh": 1, "wd": 24 * 7 / 5, "nd": 24}[unit]


def urgency_of(limit):
    n, unit = re.fullmatch(r"(\d+)(h|wh|wd|nd)", limit).groups()
    if unit in ("h", "wh"):
        return "urgent" if unit == "h" and int(n) <= 4 else "priority"
    return "normal" if int(n) <= 3 else "slow"


# ---- Catalogue, conditions, departments ----------------------------------------------------------------------

def conditions_of(texts, city_limits):
    """(limit, source, texts) of every condition of one type; the city's own limits, shortest first, lead."""
    found = []
    for text in texts:
        rank = re.fullmatch(r"city(\d)", text["limit"])
        if rank and int(rank[1]) > len(city_limits):
            sys.exit(f"boston_conditions.csv: {text['type']}: the reports show no limit {text['limit']}")
        limit = city_limits[int(rank[1]) - 1] if rank else text["limit"]
        found.append((limit, "city" if rank else "proposal", text))
    return found


def make_catalog(folder, reports, types, texts):
    working = WorkingTime(2014, 2018)
    by_type = collections.defaultdict(list)
    for row in reports:
        by_type[row["type"]].append(row)
    known = {t["type"] for t in types}
    if set(by_type) - known:
        sys.exit(f"boston_types.csv lacks: {sorted(set(by_type) - known)}")
    catalog, conditions = [], []
    for t in types:
        rows = by_type[t["type"]]
        seen = limits_of(working, rows)
        city_limits = sorted((limit for limit, _ in seen), key=natural_hours)
        own = conditions_of([x for x in texts if x["type"] == t["type"]], city_limits)
        if own:
            limits, limit_source = [c[0] for c in own], own[0][1]
        elif seen:
            limits, limit_source = [seen[0][0]], "city"
        else:
            limits, limit_source = [t["proposal_limit"]], "proposal"
        if not limits[0]:
            sys.exit(f"boston_types.csv: {t['type']}: no deadline in the reports and no proposed limit")
        note = "; ".join(f"{limit} explains {share:.0%}" for limit, share in seen)
        targets = sum(1 for row in rows if row["target_dt"])
        catalog.append(catalog_row(t, rows, limits, limit_source,
                                   f"{len(rows)} reports, {targets} with a deadline" + (f": {note}" if note else "")))
        for number, (limit, _, text) in enumerate(own, 1):
            conditions.append(["事件", t["type_code"][:2], CLASSES[t["type_code"][:2]][1], "", t["name_zh"], number,
                               text["filing_zh"], text["close_zh"], "", limit, t["type_code"], "", "",
                               text["filing_en"], text["close_en"]])
    write_csv(os.path.join(folder, "catalog.csv"), (
        "kind,class_code,class_name_zh,class_name_en,type_code,type_name_zh,type_name_en,domain,lead_department,"
        "co_departments,accept_limit,dispatch_limit,dispose_limit,urgency,source,limit_source,limits_by_condition,"
        "note,short_zh,short_en,pinyin,self_dispose,lasting").split(","), catalog)
    write_csv(os.path.join(folder, "conditions.csv"), (
        "kind,old_class_code,old_class_name,old_type_code,type_name_zh,condition_no,filing_condition_zh,"
        "close_condition_zh,limit_raw,limit,gbt47678_code,dispose_unit_zh,supervise_unit_zh,filing_condition_en,"
        "close_condition_en").split(","), conditions)


def catalog_row(t, rows, limits, limit_source, note):
    domain, class_zh, class_en = CLASSES[t["type_code"][:2]]
    departments = collections.Counter(row["department"] for row in rows).most_common()
    others = [d for d, n in departments[1:] if n >= 0.1 * len(rows) and d != "No Q"]
    urgency = urgency_of(limits[0])
    return ["事件", t["type_code"][:2], class_zh, class_en, t["type_code"], t["name_zh"], t["name_en"], domain,
            departments[0][0], ";".join(others), "0.1h" if urgency == "urgent" else "0.25h",
            {"urgent": "0.1h", "slow": "0.5h"}.get(urgency, "0.25h"), limits[0], urgency, "municipal", limit_source,
            "|".join(limits), note, t["short_zh"], t["short_en"], t["pinyin"], "yes" if t["type_code"] in ON_THE_SPOT else "",
            next((name for name, codes in LASTING.items() if t["type_code"] in codes.split()), "")]


def make_departments(folder, reports, types):
    departments = read_csv(os.path.join(HERE, "boston_departments.csv"))
    occurring = {row["department"] for row in reports} - {"No Q"}
    if occurring - {d["dept_code"] for d in departments}:
        sys.exit("boston_departments.csv lacks a department of the reports")
    lead, helps = collections.Counter(), collections.Counter()
    for row in read_csv(os.path.join(folder, "catalog.csv")):
        lead[row["lead_department"]] += 1
        helps.update(filter(None, row["co_departments"].split(";")))
    write_csv(os.path.join(folder, "departments.csv"), (
        "dept_code,name_zh,name_en,kind,lead_types,co_types,source,short_zh,short_en,pinyin,calendar").split(","), [
            [d["dept_code"], d["name_zh"], d["name_en"], d["kind"], lead[d["dept_code"]], helps[d["dept_code"]],
             "municipal", d["short_zh"], d["short_en"], d["pinyin"], d["calendar"]] for d in departments])


# ---- Shapes ---------------------------------------------------------------------------------------------------

def to_metres(shapes):
    """An equirectangular plane good to centimetres over a city; simplification is all it serves."""
    kx = 111195.0 * math.cos(math.radians(42.32))
    return [shapely.transform(s, lambda a: a * [kx, 111195.0]) for s in shapes], kx


def polygons(shape, area_min):
    parts = shapely.get_parts(shape) if shape.geom_type != "Polygon" else [shape]
    return [p for p in parts if p.geom_type == "Polygon" and p.area >= area_min]


def to_degrees(shape, kx):
    """Five decimals are about one metre; shared corners stay shared."""
    return shapely.transform(shape, lambda a: (a / [kx, 111195.0]).round(5))


def feature(shape, properties):
    parts = shapely.get_parts(shape) if shape.geom_type != "Polygon" else [shape]
    parts = [shapely.geometry.polygon.orient(p) for p in parts]
    return {"type": "Feature", "properties": properties,
            "geometry": {"type": "MultiPolygon",
                         "coordinates": [shapely.geometry.mapping(p)["coordinates"] for p in parts]}}


def write_geojson(path, features):
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"type":"FeatureCollection","features":[\n')
        out.write(",\n".join(json.dumps(f, ensure_ascii=False, separators=(",", ":")) for f in features))
        out.write("\n]}\n")


def make_shapes(folder, neighborhoods):
    with open(neighborhoods, encoding="utf-8") as source:
        features = json.load(source)["features"]
    names = {int(row["id"]): row for row in read_csv(os.path.join(HERE, "boston_streets.csv"))}
    features.sort(key=lambda f: int(f["properties"]["id"]))
    metric, kx = to_metres([shapely.make_valid(shapely.geometry.shape(f["geometry"])) for f in features])
    metric = [shapely.MultiPolygon(polygons(s, PART_M2_MIN)) for s in metric]
    # Neighbours share their borders only once slips of some metres are closed; then a border is simplified once.
    metric = shapely.coverage_simplify(shapely.coverage_clean(metric, gap_width=5.0), SIMPLIFY_M)
    degrees = [shapely.make_valid(to_degrees(s, kx)) for s in metric]
    streets = []
    for f, shape in zip(features, degrees):
        name = names[int(f["properties"]["id"])]
        if name["name_en"] != f["properties"]["name"]:
            sys.exit(f"boston_streets.csv: {name['name_en']} is not {f['properties']['name']}")
        shape = shapely.MultiPolygon(polygons(shape, 0))
        streets.append(feature(shape, {
            "code": f"{DIVISION}{int(name['id']):03d}", "name": name["name_zh"], "name_zh": name["name_zh"],
            "name_en": name["name_en"], "short_zh": name["short_zh"], "short_en": name["short_en"],
            "district": name["district"]}))
    write_geojson(os.path.join(folder, "streets.geojson"), streets)
    whole = shapely.MultiPolygon(polygons(shapely.union_all(degrees), 0))
    write_geojson(os.path.join(folder, "boundary.geojson"), [feature(whole, {
        "code": DIVISION, "name": "波士顿", "name_zh": "波士顿", "name_en": "Boston"})])


# ---- Feed ---------------------------------------------------------------------------------------------------

def make_feed(folder, reports, types):
    """Titles stay out: the city's staff note names in them."""
    os.makedirs(os.path.join(folder, "feeds"), exist_ok=True)
    reports = sorted(reports, key=lambda row: (row["open_dt"], row["case_id"]))
    start = bisect.bisect_left([row["open_dt"] for row in reports], SAMPLE_FROM)
    write_csv(os.path.join(folder, "feeds", "reports.csv"), SAMPLE_COLUMNS,
              [[" ".join(row[c].split()) for c in SAMPLE_COLUMNS] for row in reports[start:start + SAMPLE_ROWS]])
    write_csv(os.path.join(folder, "feeds", "types.csv"), ["value", "type_code"],
              sorted((" ".join(t["type"].split()), t["type_code"]) for t in types))


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    folder = sys.argv[3] if len(sys.argv) == 4 else os.path.join(HERE, "..", "boston")
    os.makedirs(folder, exist_ok=True)
    reports = read_csv(sys.argv[1])
    types = read_csv(os.path.join(HERE, "boston_types.csv"))
    make_catalog(folder, reports, types, read_csv(os.path.join(HERE, "boston_conditions.csv")))
    make_departments(folder, reports, types)
    make_calendar(folder)
    make_shapes(folder, sys.argv[2])
    make_feed(folder, reports, types)


if __name__ == "__main__":
    main()
