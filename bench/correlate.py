"""Correlate beside one ZADD an event over the same Redis: its engine from a record's bytes to what Redis has acknowledged, and
the whole role from a full topic; events that no rule wants; what an event costs."""
import contextlib
import ctypes
import os
import re
import shutil
import statistics
import subprocess
import time
import urllib.request

import harness
from common import ENV, cpu_seconds, head, line, resident_mb
from confluent_kafka import KafkaException
from harness import ROOT, City, Role, wait_for

PROGRAM = os.path.join(ROOT, "build/obj/bench/correlate")
PACK = os.path.join(ROOT, "bench/correlate.yaml")
EVENTS = int(os.environ.get("BENCH_EVENTS", "1500000"))
SAMPLES = int(os.environ.get("BENCH_SAMPLES", "5"))
LOCATED = "tongguan.events.located"
MIXES = {"wanted": "each event kept by one rule at least", "none": "no rule wants any"}


def build():
    subprocess.run(["make", "-s", os.path.relpath(PROGRAM, ROOT)], cwd=ROOT, check=True)


def run(*args, env=None):
    said = subprocess.run([PROGRAM, *map(str, args)], cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout
    return {name: float(value) for name, value in (row.split() for row in said.splitlines())}


def shim():
    out = os.path.join(ROOT, "build/bench/count_malloc.so")
    os.makedirs(os.path.dirname(out), exist_ok=True)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", out, os.path.join(ROOT, "bench/count_malloc.c"), "-ldl"], check=True)
    return out


def spread(values, form="{:.2f}"):
    return f"median {form.format(statistics.median(values))} (spread {form.format(min(values))}–{form.format(max(values))})"


# ---- the engine alone -------------------------------------------------------------------------------------------------------

def bench_engine(city):
    url = city.env["TONGGUAN_REDIS_URL"]
    counted = run("engine", url, PACK, EVENTS, "wanted", env=dict(os.environ, LD_PRELOAD=shim(), COUNT_MALLOC_FILE=os.path.join(
        city.dir, "allocations")))
    print(f"\n### the engine: a record's bytes → judged → acknowledged by Redis, {EVENTS:,} events, 20 rules of all four kinds")
    head("sample", "events/s", "CPU µs/event", "of it reading the bytes", "waiting for Redis", "ZADD/s", "ratio", "no rule wants: events/s",
         "CPU µs/event")
    ratios, rates, none = [], [], []
    for i in range(SAMPLES):
        ours, floor, spare = run("engine", url, PACK, EVENTS, "wanted"), run("zadd", url, EVENTS), run("engine", url, PACK, EVENTS, "none")
        assert ours["full"] == 0 and ours["late"] == 0 and ours["judged"] >= 1 and ours["found"] > 0, ours
        assert spare["guarded"] == 1, spare
        ratios.append(ours["rate"] / floor["rate"])
        rates.append(ours["rate"])
        none.append(spare["rate"])
        line(i + 1, f"{ours['rate']:,.0f}", f"{ours['cpu_us']:.2f}", f"{ours['decode_us']:.2f}", f"{ours['redis_s'] / ours['seconds']:.0%}",
             f"{floor['rate']:,.0f}", f"{ratios[-1]:.2f}", f"{spare['rate']:,.0f}", f"{spare['cpu_us']:.2f}")
    print(f"× ZADD: {spread(ratios)}; events/s: {spread(rates, '{:,.0f}')}; no rule wants: {spread(none, '{:,.0f}')}")
    print(f"heap allocations an event in the second half: {counted['allocations']:.4f}; {ours['redis_bytes']:.0f} bytes an event to Redis;"
          f" resident {ours['resident_mb']:.0f} MB for {ours['window_events']:,.0f} events in windows and series", flush=True)


# ---- the role ---------------------------------------------------------------------------------------------------------------

def register(city):
    """The city's box, and the bench's devices in the registry."""
    box = city.rows("SELECT ST_XMin(boundary), ST_YMin(boundary), ST_XMax(boundary), ST_YMax(boundary), region_m FROM tongguan.city")[0]
    said = subprocess.run([PROGRAM, "devices", *map(str, box[:4])], check=True, capture_output=True, text=True).stdout
    with city.pg() as conn, conn.cursor() as cur:
        cur.execute("CREATE TEMP TABLE d (id text, lon float8, lat float8)")
        with cur.copy("COPY d FROM STDIN") as copy:
            for row in said.splitlines():
                copy.write_row(row.split())
        cur.execute("INSERT INTO tongguan.device (device_id, source_kind, geom) SELECT id, 1, ST_SetSRID(ST_MakePoint(lon, lat), 4326) FROM d")
        cur.execute("UPDATE tongguan.city SET version = version + 1")
    return box


def offsets(client, parts):
    return sum(int(client.hget(f"tg:{{p{p}}}:meta", "offset") or 0) for p in parts)


def metric(city, name):
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{city.env['TONGGUAN_CORRELATE_LISTEN']}/metrics", timeout=2) as answer:
        return float(re.search(rb"^%b (\S+)" % name.encode(), answer.read(), re.M)[1])
    return 0


def read_all(city, client, start, env=None):
    """One role reads the topic from `start` to its end: of the last three fifths events/s, CPU an event, resident MB, what a shim counted."""
    for p, offset in start.items():
        client.delete(f"tg:{{p{p}}}:seg")
        client.hset(f"tg:{{p{p}}}:meta", mapping={"offset": offset, "epoch": 0})
        client.hdel(f"tg:{{p{p}}}:meta", "watermarks")
    with city.pg() as conn:
        conn.execute("TRUNCATE tongguan.incident, tongguan.incident_event, tongguan.incident_told, tongguan.incident_owner CASCADE")
    base, counts = sum(start.values()), (env or {}).get("COUNT_MALLOC_FILE")
    role = Role(city, "correlate", env={"TONGGUAN_CORRELATE_PACKS": packs_of(city), **(env or {})})
    try:
        # From when every device has been heard: a new owner tells once what it makes of each.
        wait_for(lambda: offsets(client, start) > base + EVENTS * 2 // 5, 300, every=0.005)
        first, began, cpu, before = offsets(client, start), time.monotonic(), cpu_seconds(role.proc.pid), allocated(counts)
        wait_for(lambda: offsets(client, start) >= base + EVENTS, 600, every=0.005)
        took, cost = time.monotonic() - began, cpu_seconds(role.proc.pid) - cpu
        left = base + EVENTS - first
        assert metric(city, "tongguan_correlate_window_full_total") == 0
        return {"rate": left / took, "cpu_us": cost / left * 1e6, "resident_mb": resident_mb(role.proc.pid),
                "allocations": (allocated(counts) - before) / left, "incidents": city.value("SELECT count(*) FROM tongguan.incident")}
    finally:
        role.stop()


def allocated(path):
    if not path:
        return 0
    with open(path, "rb") as file:
        return ctypes.c_uint64.from_buffer_copy(file.read(8)).value


def packs_of(city):
    folder = os.path.join(city.dir, "bench-packs")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(PACK, folder)
    return folder


def ends(city):
    consumer = harness.Consumer({"bootstrap.servers": city.env["TONGGUAN_KAFKA_BROKERS"], "group.id": "bench-look"})
    try:
        def look():
            with contextlib.suppress(KafkaException):  # a topic that was just made has no leader yet
                parts = consumer.list_topics(LOCATED, timeout=10).topics[LOCATED].partitions
                return {p: consumer.get_watermark_offsets(harness.TopicPartition(LOCATED, p), timeout=10)[1] for p in parts}
            return None
        return wait_for(look, what="the topic")
    finally:
        consumer.close()


def fill(city, mix, box):
    """The offsets where the mix begins."""
    start = ends(city)
    run("fill", city.env["TONGGUAN_KAFKA_BROKERS"], EVENTS, mix, len(start), *box)
    used = sum(end > start[p] for p, end in ends(city).items())
    print(f"\n### the whole role: {EVENTS:,} located events ({MIXES[mix]}) from {used} partitions of a real broker, rows and messages included")
    return start


def bench_role(city):
    import redis
    url = city.env["TONGGUAN_REDIS_URL"]
    client, box = redis.Redis.from_url(url), register(city)
    for mix in MIXES:
        start = fill(city, mix, box)
        read_all(city, client, start)  # warms the caches
        head("sample", "events/s", "CPU µs/event", "resident MB", "incidents", "ZADD/s", "ratio")
        ratios, rates = [], []
        for i in range(SAMPLES):
            ours = read_all(city, client, start)
            client.flushdb()
            floor = run("zadd", url, EVENTS)
            assert (ours["incidents"] > 0) == (mix == "wanted"), ours
            ratios.append(ours["rate"] / floor["rate"])
            rates.append(ours["rate"])
            line(i + 1, f"{ours['rate']:,.0f}", f"{ours['cpu_us']:.2f}", f"{ours['resident_mb']:.0f}", f"{ours['incidents']:,}",
                 f"{floor['rate']:,.0f}", f"{ratios[-1]:.2f}")
        print(f"× ZADD: {spread(ratios)}; events/s: {spread(rates, '{:,.0f}')}")
        counted = read_all(city, client, start, {"LD_PRELOAD": shim(), "COUNT_MALLOC_FILE": os.path.join(city.dir, f"{mix}-allocations")})
        print(f"heap allocations an event of the role's own code: {counted['allocations']:.4f}", flush=True)


def bench():
    print(f"\n## correlate: {SAMPLES} samples of each, alternating")
    build()
    wanted = os.environ.get("BENCH_CORRELATE", "engine,role").split(",")
    with City(roles=(), env=ENV) as city:
        if "engine" in wanted:
            bench_engine(city)
        if "role" in wanted:
            bench_role(city)
