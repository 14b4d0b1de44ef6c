"""Make the city folder schema/cities/xuhui.

    make_xuhui.py TYPES DEPARTMENTS DAYS [FOLDER]

TYPES        catalogue as CSV: kind, class_code, class_name_zh, class_name_en, type_code, type_name_zh, type_name_en, domain,
             lead_department, co_departments, accept_limit, dispatch_limit, dispose_limit, urgency, source, limit_source,
             limits_by_condition (limits of the filing conditions in order, divided by |)
DEPARTMENTS  dept_code, name_zh, name_en, kind, lead_types, co_types, source
DAYS         every day of the years: date, is_workday (0, 1), name
FOLDER       default: schema/cities/xuhui beside this tool

The outline and the thirteen areas in it are drawn by hand below, about as the district lies; they follow no survey and no map. Texts of
conditions, short names, devices, zones and reports are ours. The reports are made up by a seeded generator. Python 3.11, nothing
else. The same input gives the same bytes.
"""
import csv
import datetime as dt
import json
import math
import os
import random
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DIVISION = "310104"

# ---- Shapes: corners in degrees, and the areas between them, counter-clockwise ---------------------------

CORNERS = {
    "A1": (121.442, 31.219), "A2": (121.456, 31.220),
    "B1": (121.428, 31.206), "B2": (121.444, 31.206), "B3": (121.459, 31.206),
    "C1": (121.415, 31.195), "C2": (121.432, 31.195), "C3": (121.446, 31.195), "C4": (121.457, 31.195), "C5": (121.468, 31.194),
    "D1": (121.394, 31.181), "D2": (121.412, 31.180), "D3": (121.430, 31.180), "D4": (121.446, 31.181), "D5": (121.460, 31.182),
    "E1": (121.392, 31.166), "E2": (121.412, 31.165), "E3": (121.430, 31.165), "E4": (121.446, 31.165), "E5": (121.462, 31.166),
    "F1": (121.404, 31.151), "F2": (121.420, 31.150), "F3": (121.436, 31.150), "F4": (121.456, 31.150),
    "G1": (121.412, 31.136), "G2": (121.430, 31.135), "G3": (121.458, 31.136),
    "H1": (121.436, 31.118), "H2": (121.450, 31.106), "H3": (121.460, 31.112),
}
STREETS = [  # code, zh, en, short zh, short en, corners
    ("003", "天平路街道", "Tianping Road Subdistrict", "天平", "Tianping", "B1 C1 C2 C3 B2"),
    ("004", "湖南路街道", "Hunan Road Subdistrict", "湖南", "Hunan Road", "B1 B2 B3 A2 A1"),
    ("007", "斜土路街道", "Xietu Road Subdistrict", "斜土", "Xietu", "B2 C3 C4 C5 B3"),
    ("008", "枫林路街道", "Fenglin Road Subdistrict", "枫林", "Fenglin", "C3 D4 D5 C5 C4"),
    ("010", "长桥街道", "Changqiao Subdistrict", "长桥", "Changqiao", "E3 F3 F4 E5 E4"),
    ("011", "田林街道", "Tianlin Subdistrict", "田林", "Tianlin", "D2 E2 E3 D3"),
    ("012", "虹梅路街道", "Hongmei Road Subdistrict", "虹梅", "Hongmei", "C1 D1 E1 E2 D2"),
    ("013", "康健新村街道", "Kangjian Subdistrict", "康健", "Kangjian", "E1 F1 F2 F3 E3 E2"),
    ("014", "徐家汇街道", "Xujiahui Subdistrict", "徐家汇", "Xujiahui", "C1 D2 D3 D4 C3 C2"),
    ("015", "凌云路街道", "Lingyun Road Subdistrict", "凌云", "Lingyun", "F1 G1 G2 F3 F2"),
    ("016", "龙华街道", "Longhua Subdistrict", "龙华", "Longhua", "D4 E4 E5 D5"),
    ("017", "漕河泾街道", "Caohejing Subdistrict", "漕河泾", "Caohejing", "D3 E3 E4 D4"),
    ("103", "华泾镇", "Huajing Town", "华泾", "Huajing", "F3 G2 H1 H2 H3 G3 F4"),
]
BENDS, BEND = 3, 0.07       # corners between two corners, and how far they stray, as a share of the way


def border(a, b):
    """The points between two corners: the same for both neighbours."""
    if a > b:
        return border(b, a)[::-1]
    rng = random.Random(f"border {a} {b}")
    (x0, y0), (x1, y1) = CORNERS[a], CORNERS[b]
    points = []
    for i in range(1, BENDS + 1):
        t, stray = i / (BENDS + 1), rng.uniform(-BEND, BEND)
        points.append((round(x0 + (x1 - x0) * t - (y1 - y0) * stray, 5), round(y0 + (y1 - y0) * t + (x1 - x0) * stray, 5)))
    return points


def ring_of(names):
    ring = []
    for a, b in zip(names, names[1:] + names[:1]):
        ring += [CORNERS[a], *border(a, b)]
    return ring + ring[:1]


def outline():
    """The sides that only one area has, one after the other."""
    sides = {(a, b) for *_, names in STREETS for a, b in zip(names.split(), names.split()[1:] + names.split()[:1])}
    after = {a: b for a, b in sides if (b, a) not in sides}
    at, walk = min(after), []
    for _ in after:
        walk.append(at)
        at = after[at]
    return ring_of(walk)


def feature(ring, properties):
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def write_geojson(path, features):
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"type":"FeatureCollection","features":[\n')
        out.write(",\n".join(json.dumps(f, ensure_ascii=False, separators=(",", ":")) for f in features))
        out.write("\n]}\n")


def inside(ring, x, y):
    odd = False
    for (x0, y0), (x1, y1) in zip(ring, ring[1:]):
        if (y0 > y) != (y1 > y) and x < x0 + (x1 - x0) * (y - y0) / (y1 - y0):
            odd = not odd
    return odd


def place_in(rng, ring):
    """Somewhere in the area, not close to its edge."""
    xs, ys = [p[0] for p in ring], [p[1] for p in ring]
    while True:
        x, y = rng.uniform(min(xs), max(xs)), rng.uniform(min(ys), max(ys))
        if all(inside(ring, x + dx, y + dy) for dx in (-0.0006, 0.0006) for dy in (-0.0006, 0.0006)):
            return round(x, 6), round(y, 6)


def square(x, y, half_m):
    dx, dy = half_m / 111195 / math.cos(math.radians(y)), half_m / 111195
    return [[round(x + sx * dx, 6), round(y + sy * dy, 6)] for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]


def make_shapes(folder, rings):
    write_geojson(os.path.join(folder, "boundary.geojson"), [feature(outline(), {
        "code": DIVISION, "name": "徐汇", "name_zh": "徐汇", "name_en": "Xuhui"})])
    write_geojson(os.path.join(folder, "streets.geojson"), [feature(rings[code], {
        "code": DIVISION + code, "name": zh, "name_zh": zh, "name_en": en, "short_zh": short_zh, "short_en": short_en,
        "district": "徐汇区"}) for code, zh, en, short_zh, short_en, _ in STREETS])
    rng, zones = random.Random("zones"), []
    for code, zh, en, short_zh, short_en, _ in STREETS:
        for kind, name_zh, name_en, half_m in (("school", "学校周边", "school surroundings", 200), ("site", "工地", "construction site", 80)):
            zones.append(feature(square(*place_in(rng, rings[code]), half_m), {
                "code": f"{kind}-{code}", "name": f"{short_zh}{name_zh}(演示)", "name_en": f"{short_en} {name_en} (demo)", "class": kind}))
    write_geojson(os.path.join(folder, "zones.geojson"), zones)


# ---- Catalogue, conditions, departments, calendar -------------------------------------------------------------

# By how soon it is due: filing and closing condition, for a component (部件) and for a matter (事件), zh and en. Our words.
TIERS = [
    (lambda n, unit: unit == "h" and n <= 4, {
        "部件": ("{zh}缺失、断裂或外露，随时可能伤人或中断供应", "{en}: missing, broken or exposed; may hurt somebody any moment",
               "险情排除，设施复位并现场确认安全", "Danger removed, back in place, seen to be safe"),
        "事件": ("{zh}正在发生，危及人身安全或严重妨碍通行", "{en}: going on now, dangerous or blocking the way",
               "现场制止或排除，秩序恢复", "Stopped or removed on the spot, order restored")}),
    (lambda n, unit: unit == "wh", {
        "部件": ("{zh}停用、松动或移位，当班人员可以恢复", "{en}: out of use, loose or displaced; the crew on duty can restore it",
               "恢复使用", "In use again"),
        "事件": ("发现{zh}，当班可以纠正", "{en}: can be put right within the shift", "现场清理或纠正完毕", "Cleared or put right")}),
    (lambda n, unit: (unit == "wd" and n <= 1) or (unit == "h" and n <= 24), {
        "部件": ("{zh}部分失效，使用受影响", "{en}: works in part only", "功能恢复正常", "Works as it should"),
        "事件": ("{zh}，一处或少量", "{en}: one spot or little of it", "清除干净，无残留", "Removed, nothing left")}),
    (lambda n, unit: (unit == "wd" and n <= 2) or unit == "h", {
        "部件": ("{zh}破损或倾斜明显，暂不危险", "{en}: plainly damaged or leaning, not dangerous yet",
               "修复或扶正牢固", "Repaired or set upright firmly"),
        "事件": ("{zh}，多处或范围较大", "{en}: several spots or a larger area", "全部清除并复查一次", "All removed, looked at once more")}),
    (lambda n, unit: n <= 4, {
        "部件": ("{zh}外观受损、锈蚀或被污染", "{en}: worn, rusty or soiled", "外观整修完好", "Looks sound again"),
        "事件": ("{zh}，须由责任单位到场整改", "{en}: whoever is responsible must put it right", "责任单位整改并通过复核", "Put right and checked")}),
    (lambda n, unit: n <= 5, {
        "部件": ("{zh}轻微缺损，列入计划维修", "{en}: slightly damaged, to be repaired by plan", "按计划修复", "Repaired as planned"),
        "事件": ("{zh}，须备料或办理手续后处理", "{en}: needs material or a permit first", "手续齐备并处理完毕", "Permit in hand, dealt with")}),
    (lambda n, unit: True, {
        "部件": ("{zh}须整体更换或开挖施工", "{en}: to be replaced whole or dug up", "施工完成，场地恢复", "Works done, ground restored"),
        "事件": ("{zh}，须工程措施或多部门会同处理", "{en}: needs works or several departments", "工程完成并联合验收", "Works done and accepted by all")}),
]


def tier_of(limit):
    number, unit = re.fullmatch(r"([\d.]+)(h|wh|wd|nd)", limit).groups()
    return next(texts for fits, texts in TIERS if fits(float(number), unit))


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def write_csv(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns.split(","))
        writer.writerows(rows)


CATALOG = ("kind,class_code,class_name_zh,class_name_en,type_code,type_name_zh,type_name_en,domain,lead_department,co_departments,"
           "accept_limit,dispatch_limit,dispose_limit,urgency,source,limit_source,limits_by_condition,short_zh,short_en,pinyin,self_dispose")
# What an inspector may put right on the spot: our proposal.
ON_THE_SPOT = "06007 06010 06019 06036 06041 07001 07002 09005 09010 09011 09022".split()
SHORT = ("short_zh", "short_en", "pinyin")


def make_catalog(folder, types, names):
    catalog, conditions = [], []
    for t in types:
        # Several conditions of one limit differ by words that are not ours: one of each limit is kept, the type's own first.
        limits = list(dict.fromkeys([t["dispose_limit"]] + t["limits_by_condition"].split("|")))
        limits = [limit for limit in limits if limit]
        catalog.append([(t | {"limits_by_condition": "|".join(limits)})[c] for c in CATALOG.split(",")[:-4]] +
                       [names[t["type_code"]][c] for c in SHORT] + ["yes" if t["type_code"] in ON_THE_SPOT else ""])
        for number, limit in enumerate(limits, 1):
            filing_zh, filing_en, close_zh, close_en = tier_of(limit)[t["kind"]]
            conditions.append([t["kind"], t["type_code"], t["type_name_zh"], number, filing_zh.format(zh=t["type_name_zh"]),
                               close_zh, limit, t["type_code"], filing_en.format(en=t["type_name_en"]), close_en])
    write_csv(os.path.join(folder, "catalog.csv"), CATALOG, catalog)
    write_csv(os.path.join(folder, "conditions.csv"), "kind,type_code,type_name_zh,condition_no,filing_condition_zh,close_condition_zh,"
              "limit,gbt47678_code,filing_condition_en,close_condition_en", conditions)


ALWAYS_THERE = {"GAF", "JJZ", "XFZ", "YJJ", "GD", "GS", "RQ", "GDJ"}     # our assumption
NOBODY_AT_NIGHT = "LRJ"


def make_departments(folder, departments, names):
    columns = "dept_code,name_zh,name_en,kind,lead_types,co_types,source"
    rows = [[d[c] for c in columns.split(",")] + [names[d["dept_code"]][c] for c in SHORT] +
            ["allday" if d["dept_code"] in ALWAYS_THERE else "office", "", ""] for d in departments]
    # What the catalogue gives to the street or town goes to the office of the one where it is.
    rows += [["JZ" + code, zh, en, "street", 0, 0, "proposal", short_zh, short_en, "jz" + code, "office", "JZ", DIVISION + code]
             for code, zh, en, short_zh, short_en, _ in STREETS]
    write_csv(os.path.join(folder, "departments.csv"), columns + ",short_zh,short_en,pinyin,calendar,parent,streets", rows)


def make_duty(folder, departments):
    """Who is on duty, in turns and without names of people. One department has nobody at night: its levels go up at once."""
    rows = []
    for code in [d["dept_code"] for d in departments] + ["JZ" + code for code, *_ in STREETS]:
        if code != NOBODY_AT_NIGHT:
            rows.append([code, "1-7", "00:00-06:00", "夜班"])
        rows += [[code, "1-5", "06:00-14:00", "早班"], [code, "1-5", "14:00-22:00", "中班"], [code, "6-7", "06:00-22:00", "周末班"]]
        if code != NOBODY_AT_NIGHT:
            rows.append([code, "1-7", "22:00-24:00", "夜班"])
    write_csv(os.path.join(folder, "duty.csv"), "department,weekdays,period,name", rows)


def make_calendar(folder, days):
    """Every day of the years, so that a missing one is seen; make-up days of the holidays (调休) are work on a weekend."""
    rows = []
    for d in days:
        weekend = dt.date.fromisoformat(d["date"]).isoweekday() > 5
        work = d["is_workday"] == "1"
        name = d["name"] + ("调休上班" if work and weekend else "") if d["name"] else ""
        rows.append(["office", d["date"], "work" if work else "off", "", name])
    write_csv(os.path.join(folder, "calendar.csv"), "calendar,date,kind,periods,name", rows)


# ---- Devices and reports, made up -----------------------------------------------------------------------------

DEVICES = [  # kind of device, zh, how many a street, report_every_s, limits
    ("bin", "垃圾箱满溢传感器", 2, 1800, "fill_pct>90;temperature_c>60"),
    ("water", "道路积水液位计", 1, 300, "level_cm>15"),
    ("dust", "扬尘噪声监测点", 1, 60, "pm10_ug_m3>150;noise_db>70"),
]


def make_devices(folder, rings):
    rng, rows = random.Random("devices"), []
    for code, *_, short_zh, _, _ in STREETS:
        for kind, zh, count, every, limits in DEVICES:
            for n in range(1, count + 1):
                lon, lat = place_in(rng, rings[code])
                rows.append([f"xh-{kind}-{code}-{n}", "sensor", lon, lat, "wgs84", f"{short_zh}{zh}{n}(演示)", every, limits])
    rows += [[f"xh-truck-{n:02}", "vehicle", "", "", "", f"渣土车{n:02}(演示)", 30, ""] for n in range(1, 9)]
    write_csv(os.path.join(folder, "devices.csv"), "device_id,source_kind,lon,lat,datum,name,report_every_s,limits", rows)


def gcj02(lon, lat):
    """What a map application in mainland China shows for a WGS 84 place: the published formula."""
    x, y = lon - 105, lat - 35

    def waves(t, *pairs):
        return sum(a * math.sin(math.pi * t / w) for a, w in pairs) * 2 / 3
    common = 0.1 * x * y + waves(x, (20, 1 / 6), (20, 1 / 2))
    root = math.sqrt(abs(x))
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * root + common + waves(x, (20, 1), (40, 3), (150, 12), (300, 30))
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.2 * root + common + waves(y, (20, 1), (40, 3), (160, 12), (320, 30))
    axis, e2, rad = 6378245.0, 0.00669342162296594323, math.pi / 180
    w2 = 1 - e2 * math.sin(lat * rad) ** 2
    return (round(lon + east / (axis / math.sqrt(w2) * math.cos(lat * rad) * rad), 6),
            round(lat + north / (axis * (1 - e2) / (w2 * math.sqrt(w2)) * rad), 6))


MIDNIGHT, FIRST_HOUR, DAYS, REPORTS = dt.datetime(2026, 3, 16), 8, 3, 2400
CHANNELS = [("hotline", 45), ("app", 30), ("inspector", 25)]
# How often, beside one for every other type: what a street sees daily.
OFTEN = {"09009": 160, "09010": 120, "09011": 140, "06010": 110, "06028": 100, "06012": 60, "01037": 60, "06013": 50, "09005": 60,
         "06042": 50, "09006": 40, "06036": 40, "01003": 20, "01023": 12, "06014": 20, "04002": 20, "02010": 15, "06027": 15}
WAVES = [  # type, how many, at which hour after the first midnight, within hours, within metres
    ("10002", 2, 8.02, 0.05, 40),
    ("20005", 14, 41, 1.5, 250), ("20005", 9, 41.5, 1.5, 200), ("09011", 12, 8, 1.5, 120), ("09011", 12, 32, 1.5, 120),
    ("06010", 7, 30, 10, 90), ("01037", 6, 19.5, 4, 150), ("06028", 8, 22, 2, 250), ("01003", 4, 42, 2, 60), ("20006", 3, 37, 0.5, 50),
]


def hour_of(rng):
    """Few by night, most in the forenoon and the early evening."""
    while True:
        hour = rng.uniform(0, 24)
        if rng.random() < 0.08 + 0.5 * math.exp(-((hour - 9.5) / 3) ** 2) + 0.4 * math.exp(-((hour - 18) / 3.5) ** 2):
            return hour


def make_reports(folder, types, rings):
    rng = random.Random("reports")
    names = {t["type_code"]: t["type_name_zh"] for t in types}
    street_names = {code: zh for code, zh, *_ in STREETS}
    codes = list(names)
    weights = [OFTEN.get(c, 1) for c in codes]
    found = []
    for _ in range(REPORTS):
        street = rng.choice(list(rings))
        hours = 24 * rng.randrange(DAYS) + hour_of(rng)
        at = MIDNIGHT + dt.timedelta(hours=hours if hours >= FIRST_HOUR else hours + 24 * DAYS)    # begins with a working morning
        found.append((at, rng.choices(codes, weights)[0], street, *place_in(rng, rings[street])))
    for code, count, hour, span, metres in WAVES:
        street = rng.choice(list(rings))
        lon, lat = place_in(rng, rings[street])
        for _ in range(count):
            turn, far = rng.uniform(0, 2 * math.pi), metres / 2 * math.sqrt(rng.random())
            found.append((MIDNIGHT + dt.timedelta(hours=hour + rng.uniform(0, span)), code, street,
                          lon + far * math.cos(turn) / 95200, lat + far * math.sin(turn) / 111195))
    rows = []
    for n, (at, code, street, lon, lat) in enumerate(sorted(found), 1):
        channel = rng.choices([c for c, _ in CHANNELS], [w for _, w in CHANNELS])[0]
        rows.append([f"XH{n:05}", at.strftime("%Y-%m-%dT%H:%M:%S"), channel, code, names[code], street_names[street],
                     *gcj02(lon, lat), f"p{rng.randrange(1, 900):03}"])
    write_csv(os.path.join(folder, "feeds", "reports.csv"), "report_id,reported_at,channel,type_code,type,street,lon,lat,reporter", rows)


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    folder = sys.argv[4] if len(sys.argv) == 5 else os.path.join(HERE, "..", "xuhui")
    os.makedirs(os.path.join(folder, "feeds"), exist_ok=True)
    types, departments, days = map(read_csv, sys.argv[1:4])
    names = {row["code"]: row for row in read_csv(os.path.join(HERE, "xuhui_names.csv"))}
    rings = {code: ring_of(corners.split()) for code, *_, corners in STREETS}
    make_shapes(folder, rings)
    make_catalog(folder, types, names)
    make_departments(folder, departments, names)
    make_duty(folder, departments)
    make_calendar(folder, days)
    make_devices(folder, rings)
    make_reports(folder, types, rings)


if __name__ == "__main__":
    main()
