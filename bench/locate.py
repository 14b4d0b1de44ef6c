"""The index of polygons beside PostGIS, in the same run and on the same points: equal answers, how fast, how large."""
import os
import statistics
import struct
import subprocess
import time
from fractions import Fraction

import harness
from locate_map import Map, pack_points

PROGRAM = os.path.join(harness.ROOT, "build/obj/bench/locate")
CHUNK = 50_000


def build():
    subprocess.run(["make", "-s", os.path.relpath(PROGRAM, harness.ROOT)], cwd=harness.ROOT, check=True)


def ours(folder, area, points):
    """(the id of each point or -1, points/s of each round, the program's other figures)"""
    names = [os.path.join(folder, name) for name in ("shapes.txt", "points.bin", "ids.bin")]
    with open(names[0], "w", encoding="ascii") as out:
        out.writelines(area.wkb(i) + "\n" for i in range(len(area.rings)))
    with open(names[1], "wb") as out:
        out.write(pack_points(points))
    said = subprocess.run([PROGRAM, *names], check=True, capture_output=True, text=True).stdout
    figures = [line.split() for line in said.splitlines()]
    with open(names[2], "rb") as found:
        ids = struct.unpack(f"={len(points)}i", found.read())
    return ids, [float(v) for k, v in figures if k == "points_s"], {k: float(v) for k, v in figures}


def postgis(conn, area, points):
    """(the same of PostGIS: the lowest id whose shape the point meets, seconds)"""
    conn.execute("DROP TABLE IF EXISTS locate_shape; CREATE TEMP TABLE locate_shape (id integer, geom geometry)")
    conn.execute("DROP TABLE IF EXISTS locate_point; CREATE TEMP TABLE locate_point (n integer, lon float8, lat float8)")
    with conn.cursor() as cur:
        with cur.copy("COPY locate_shape FROM STDIN") as copy:
            for i in range(len(area.rings)):
                copy.write_row((i, area.wkb(i)))
        with cur.copy("COPY locate_point FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["int4", "float8", "float8"])
            for n, (lon, lat) in enumerate(points):
                copy.write_row((n, lon, lat))
    conn.execute("CREATE INDEX ON locate_shape USING gist (geom); ANALYZE locate_shape; ANALYZE locate_point")
    began = time.monotonic()
    rows = conn.execute("""SELECT p.n, (SELECT min(s.id) FROM locate_shape s WHERE ST_Intersects(s.geom, ST_MakePoint(p.lon, p.lat)))
        FROM locate_point p ORDER BY p.n""").fetchall()
    took = time.monotonic() - began
    return [-1 if found is None else found for _, found in rows], took


def holds(ring, p):
    """Whether the ring holds or touches the point: exact, in fractions."""
    x, y = map(Fraction, p)
    odd = False
    for (ax, ay), (bx, by) in zip(ring, ring[1:]):
        if (ay > y) == (by > y) and not (min(ay, by) <= y <= max(ay, by) and min(ax, bx) <= x <= max(ax, bx)):
            continue
        side = (Fraction(bx) - Fraction(ax)) * (y - Fraction(ay)) - (x - Fraction(ax)) * (Fraction(by) - Fraction(ay))
        if side == 0 and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
            return True
        if (ay > y) != (by > y) and (side > 0) == (by > ay):
            odd = not odd
    return odd


def true_owner(area, p):
    near = [i for i, ring in enumerate(area.rings)
            if min(x for x, _ in ring) <= p[0] <= max(x for x, _ in ring) and min(y for _, y in ring) <= p[1] <= max(y for _, y in ring)]
    return min((i for i in near if holds(area.rings[i], p)), default=-1)


def compare(city, side, bends, at_random):
    """{mismatches, wrong, rates, ...}: wrong are those mismatches in which exact arithmetic is not on our side."""
    area = Map(side, bends)
    points = area.random_points(at_random) + area.border_points()
    found, rates, figures = ours(city.dir, area, points)
    with city.pg() as conn:
        conn.execute("SET max_parallel_workers_per_gather = 0")
        theirs, took = postgis(conn, area, points)
    differ = [i for i, (a, b) in enumerate(zip(found, theirs)) if a != b]
    wrong = [i for i in differ[:200] if found[i] != true_owner(area, points[i])]
    _, random_rates, _ = ours(city.dir, area, points[:at_random])
    return {"shapes": len(area.rings), "corners": sum(map(len, area.rings)), "random": at_random, "border": len(points) - at_random,
            "differ": len(differ), "wrong": len(wrong), "rates": rates, "random_rates": random_rates, "postgis": len(points) / took,
            "megabytes": figures["bytes"] / 1e6, "build_s": figures["build_s"],
            "spot": [(points[i], found[i], theirs[i]) for i in differ[:3]]}


def bench(line):
    print("\n## locate: an index of irregular cells beside PostGIS (one backend, GiST), one core, the same points")
    build()
    with harness.City(roles=()) as city:
        got = compare(city, 205, 4, 300_000)
        line("cells", "corners", "points", "ours points/s (median, spread)", "PostGIS points/s", "times", "differ", "MB", "built in s")
        line(*["---"] * 9)
        for what, rates in ((f"{got['random']:,} at random", got["random_rates"]),
                            (f"those and {got['border']:,} corners and edge middles", got["rates"])):
            middle = statistics.median(rates)
            line(f"{got['shapes']:,}", f"{got['corners']:,}", what, f"{middle / 1e6:.2f} M ({min(rates) / 1e6:.2f}–{max(rates) / 1e6:.2f})",
                 f"{got['postgis']:,.0f}", f"{middle / got['postgis']:.0f}", got["differ"], f"{got['megabytes']:.0f}", f"{got['build_s']:.2f}")
        for spot in got["spot"]:
            print("differs:", *spot)
        bench_reload(city, line)


def bench_reload(city, line):
    """The longest that a running ingest kept a question waiting while it took up a city of as many cells."""
    area = Map(205, 4)
    with city.pg() as conn:
        conn.execute("DELETE FROM tongguan.grid_cell")
        with conn.cursor() as cur, cur.copy("COPY tongguan.grid_cell (id, cell_id, geom) FROM STDIN") as copy:
            for i in range(len(area.rings)):
                copy.write_row((i, f"c{i:06}", "0106000020E6100000" + area.wkb(i)[10:].upper()))
    role = harness.Role(city, "ingest").ready(120)
    address = city.env["TONGGUAN_INGEST_LISTEN"]

    def slowest(seconds):
        worst, end = 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            assert harness.Api(address)("GET", "/healthz", raw=True)[0] == 200
            worst = max(worst, time.monotonic() - began)
        return worst
    calm = slowest(10)
    city.rows("UPDATE tongguan.city SET version = version + 1 RETURNING 1")
    busy = slowest(10)
    with open(role.log.name, encoding="utf-8") as log:
        taken = log.read().count("city taken up")
    role.stop()
    line("city of 42,025 cells taken up by a running ingest", f"{taken - 1} reload", f"longest /healthz answer {busy * 1e3:.1f} ms",
         f"without a reload {calm * 1e3:.1f} ms")
