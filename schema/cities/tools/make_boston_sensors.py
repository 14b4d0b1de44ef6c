"""Make feeds of sensors for the city folder schema/cities/boston from two other cities' open data.

    make_boston_sensors.py BEACHES BINS [FOLDER]

BEACHES  water at Chicago's beaches as CSV (.gz too): time, beach, water_temp_c, turbidity_ntu, wave_height_m, battery_v, measurement_id
         (Chicago Park District, Beach Water Quality Automated Sensors; the city's open data)
BINS     emptyings of Edinburgh's litter bins: time, event_id, site_id, street, fill_before_pct, weight_kg (City of Edinburgh Council,
         Open Government Licence v3.0)
FOLDER   default: schema/cities/boston beside this tool

Boston publishes no such series. Values, their order and their holes are as measured; places are put in Boston for the demonstration,
and times are moved by whole weeks to stand beside the reports of March 2015 (`measured` keeps the hour on the sensor's own clock).
The same input gives the same bytes.
"""
import collections
import csv
import datetime as dt
import gzip
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN = dt.datetime(2015, 3, 16)
DAYS = 14
WATER_FROM, BINS_FROM = dt.datetime(2014, 7, 14), dt.datetime(2016, 6, 6)   # Mondays, as BEGIN is
MISSING = {"", "-99999.992"}
BINS_KEPT = 40
# Where Boston bathes.
WATER = {
    "Montrose Beach": ("bos-buoy-constitution", "Constitution Beach 水质浮标(演示)", -71.0100, 42.3845),
    "Osterman Beach": ("bos-buoy-pleasure-bay", "Pleasure Bay 水质浮标(演示)", -71.0240, 42.3350),
    "Ohio Street Beach": ("bos-buoy-m-street", "M Street Beach 水质浮标(演示)", -71.0350, 42.3290),
    "Calumet Beach": ("bos-buoy-carson", "Carson Beach 水质浮标(演示)", -71.0490, 42.3265),
    "63rd Street Beach": ("bos-buoy-malibu", "Malibu Beach 水质浮标(演示)", -71.0535, 42.3085),
    "Rainbow Beach": ("bos-buoy-tenean", "Tenean Beach 水质浮标(演示)", -71.0490, 42.2985),
}
COMMON = (-71.0656, 42.3550)        # bins stand in rows around it
ROW, STEP_LON, STEP_LAT = 8, 0.0011, 0.0008


def read(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


def write(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def within(rows, begin):
    """(moved time, row) of the fortnight from begin, in order of time."""
    found = [(dt.datetime.fromisoformat(row["time"]) - begin + BEGIN, row) for row in rows]
    return sorted(((at, row) for at, row in found if BEGIN <= at < BEGIN + dt.timedelta(days=DAYS)),
                  key=lambda pair: (pair[0], sorted(pair[1].items())))


def value(text):
    return "" if text in MISSING else text


def main(beaches, bins, folder):
    water = [(at.isoformat(), row["measurement_id"], WATER[row["beach"]][0], value(row["water_temp_c"]), value(row["turbidity_ntu"]),
              value(row["wave_height_m"]), value(row["battery_v"]), row["time"]) for at, row in within(read(beaches), WATER_FROM)]
    write(os.path.join(folder, "feeds/water.csv"),
          "time,event_id,device,temperature_c,turbidity_ntu,wave_m,battery_v,measured".split(","), water)
    emptied = within(read(bins), BINS_FROM)
    often = collections.Counter(row["site_id"] for _, row in emptied)
    sites = [site for site, _ in sorted(often.items(), key=lambda pair: (-pair[1], pair[0]))[:BINS_KEPT]]
    number = {site: i for i, site in enumerate(sites)}
    write(os.path.join(folder, "feeds/bins.csv"), "time,event_id,device,fill_pct,weight_kg,measured".split(","),
          [(at.isoformat(), row["event_id"], f"bos-bin-{number[row['site_id']] + 1:02d}", row["fill_before_pct"],
            f"{float(row['weight_kg'] or 0):.1f}", row["time"]) for at, row in emptied if row["site_id"] in number])
    devices = [(device, "sensor", lon, lat, "wgs84", name, 3600) for device, name, lon, lat in WATER.values()]
    devices += [(f"bos-bin-{i + 1:02d}", "sensor", f"{COMMON[0] + (i % ROW - ROW / 2) * STEP_LON:.6f}",
                 f"{COMMON[1] + (i // ROW - 2) * STEP_LAT:.6f}", "wgs84", f"垃圾箱{i + 1}(演示)", "") for i in range(len(sites))]
    write(os.path.join(folder, "devices.csv"), "device_id,source_kind,lon,lat,datum,name,report_every_s".split(","), sorted(devices))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else os.path.join(HERE, "../boston"))
