"""Ingest beside psql's binary \\copy of the same rows: one session, two sessions, JSON, on top of stored rows; and what an
event costs in CPU, memory and allocations."""
import contextlib
import ctypes
import glob
import os
import random
import re
import socket
import statistics
import subprocess
import time
import urllib.request

from common import ENV, NEXT, PARTITIONS, TOPIC, cpu_seconds, fill_topic, head, line, resident_mb
from harness import ROOT, City, Role, wait_for

ROWS = int(os.environ.get("BENCH_ROWS", "3000000"))   # a sample of at least 30 s on the machines we know
SAMPLES = int(os.environ.get("BENCH_SAMPLES", "5"))
STORED = int(os.environ.get("BENCH_STORED", "10000000"))


def empty(city, table):
    with city.pg() as conn:
        conn.execute(f"TRUNCATE {table}")
        conn.execute("CHECKPOINT")


def twin(city):
    """A table with the same columns, partitions and indexes as tongguan.event, read from the catalogue."""
    with city.pg() as conn:
        conn.execute("CREATE SCHEMA bench")
        conn.execute("CREATE TABLE bench.event (LIKE tongguan.event) PARTITION BY RANGE (occurred_at)")
        for name, bound in conn.execute("SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i"
                                        " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'tongguan.event'::regclass"):
            conn.execute(f"CREATE TABLE bench.{name} PARTITION OF bench.event {bound}")
        indexes = conn.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'tongguan' AND tablename = 'event'").fetchall()
        for (definition,) in indexes:
            conn.execute(definition.replace("tongguan.event", "bench.event").replace(" ONLY ", " "))
    return len(indexes)


def start_psql(city, command):
    return subprocess.Popen(["psql", city.env["TONGGUAN_POSTGRES_URL"], "-qX", "-v", "ON_ERROR_STOP=1", "-c", command])


def copy_in(city, dumps):
    """Rows/s of that many \\copy sessions at once into the empty twin, and the seconds."""
    empty(city, "bench.event")
    began = time.monotonic()
    sessions = [start_psql(city, f"\\copy bench.event FROM '{dump}' WITH (FORMAT binary)") for dump in dumps]
    for session in sessions:
        assert session.wait() == 0
    took = time.monotonic() - began
    return ROWS / took, took


def dump(city, path, where):
    assert start_psql(city, f"\\copy (SELECT * FROM tongguan.event WHERE {where}) TO '{path}' WITH (FORMAT binary)").wait() == 0
    return path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def ingests(city, count, env=None):
    """That many ingests of one group, each with an address of its own, stopped at the end."""
    extra = [dict(env or {}, **({"TONGGUAN_INGEST_LISTEN": f"127.0.0.1:{free_port()}"} if i else {})) for i in range(count)]
    roles = [Role(city, "ingest", env=e) for e in extra]
    for role, e in zip(roles, extra):
        role.listen = e.get("TONGGUAN_INGEST_LISTEN", city.env["TONGGUAN_INGEST_LISTEN"])
    try:
        yield roles
    finally:
        for role in roles:
            role.stop()


def owned(role):
    """How many partitions an ingest has, by what it says itself."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{role.listen}/metrics", timeout=2) as answer:
        return float(re.search(rb"^tongguan_ingest_partitions (\S+)", answer.read(), re.M)[1])
    return 0


def read_all(city, rows=ROWS, sessions=1, keep=False, env=None):
    """Ingest(s) read a full topic from its start: rows/s, seconds, CPU seconds an event, resident MB of the largest."""
    if not keep:
        empty(city, "tongguan.event")
    with city.pg() as conn:
        conn.execute("UPDATE tongguan.source_offset SET next = 0, forwarded = 0")
        before = conn.execute("SELECT count(*) FROM tongguan.event").fetchone()[0] if keep else 0
    with ingests(city, sessions, env) as roles, city.pg() as conn:
        def done():
            return conn.execute(NEXT, (TOPIC,)).fetchone()[0]
        wait_for(lambda: done() > 0, 60, every=0.01)
        if sessions > 1:  # from when each has its part
            wait_for(lambda: all(owned(role) for role in roles), 60, every=0.05)
        pids = [role.proc.pid for role in roles]
        first, began, cpu = done(), time.monotonic(), sum(map(cpu_seconds, pids))
        wait_for(lambda: done() >= rows, 900, every=0.05)
        took = time.monotonic() - began
        cost = (sum(map(cpu_seconds, pids)) - cpu) / (rows - first)
        memory = max(map(resident_mb, pids))
        wait_for(lambda: not conn.execute("SELECT 1 FROM tongguan.source_offset WHERE forwarded < next").fetchone(), 300)
        assert conn.execute("SELECT count(*) FROM tongguan.event").fetchone()[0] == before + rows
    return (rows - first) / took, took, cost, memory


def allocations(city):
    """Heap allocations an event in steady state, of our own code and of all: between a third of the topic and its end."""
    shim = os.path.join(ROOT, "build/bench/count_malloc.so")
    os.makedirs(os.path.dirname(shim), exist_ok=True)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", shim, os.path.join(ROOT, "bench/count_malloc.c"), "-ldl"], check=True)
    counts = os.path.join(city.dir, "allocations")
    empty(city, "tongguan.event")
    with city.pg() as conn:
        conn.execute("UPDATE tongguan.source_offset SET next = 0, forwarded = 0")
        with ingests(city, 1, {"LD_PRELOAD": shim, "COUNT_MALLOC_FILE": counts}):
            seen = []
            for share in (3, 1):
                wait_for(lambda: conn.execute(NEXT, (TOPIC,)).fetchone()[0] >= ROWS // share, 900, every=0.01)
                with open(counts, "rb") as file:
                    words = file.read(16)
                seen.append((conn.execute(NEXT, (TOPIC,)).fetchone()[0], *(ctypes.c_uint64.from_buffer_copy(words, at).value
                                                                          for at in (0, 8))))
    events = seen[1][0] - seen[0][0]
    return (seen[1][1] - seen[0][1]) / events, (seen[1][2] - seen[0][2]) / events


def spread(ratios):
    return f"median {statistics.median(ratios):.2f} (spread {min(ratios):.2f}–{max(ratios):.2f})"


def compare(city, title, dumps, sessions):
    print(f"\n### {title}")
    head("sample", "ingest rows/s", "seconds", r"\copy rows/s", "seconds", "ratio", "CPU µs/event", "resident MB")
    ratios = []
    for i in range(SAMPLES):
        rate, took, cost, memory = read_all(city, sessions=sessions)
        floor, floor_took = copy_in(city, dumps)
        ratios.append(rate / floor)
        line(i + 1, f"{rate:,.0f}", f"{took:.1f}", f"{floor:,.0f}", f"{floor_took:.1f}", f"{ratios[-1]:.2f}",
             f"{cost * 1e6:.2f}", f"{memory:.0f}")
    print(spread(ratios), flush=True)


def bench_json(city):
    """A topic of its own city: the same readings as JSON; beside the protobuf rate measured just before each."""
    print("\n### JSON beside protobuf")
    with City(roles=(), env=ENV) as other:
        fill_topic(other, ROWS, as_json=True)
        read_all(other)
        head("sample", "JSON rows/s", "protobuf rows/s", "ratio", "CPU µs/event")
        ratios = []
        for i in range(SAMPLES):
            beside = read_all(city)[0]
            rate, _, cost, _ = read_all(other)
            ratios.append(rate / beside)
            line(i + 1, f"{rate:,.0f}", f"{beside:,.0f}", f"{ratios[-1]:.2f}", f"{cost * 1e6:.2f}")
    print(spread(ratios), flush=True)


FILL = """INSERT INTO tongguan.event (uid, occurred_at, ingested_at, source, source_pos, source_id, event_id, source_kind, metric,
    value, unit, geom, grid_cell, street, district, region, flags)
SELECT encode(substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) || substring(decode(md5(i::text), 'hex') FROM 1
    FOR 10), 'hex')::uuid, at, at, 1, i, 'stored-' || i %% 20000, 's' || i, 1, 'pm10', 1.5, 'ug/m3',
    ST_SetSRID(ST_MakePoint(-71.075 + (random() - 0.5) * 0.1, 42.345 + (random() - 0.5) * 0.07), 4326), '0101', '01', '25025', 0, 0
FROM (SELECT i, now() - interval '1 hour' * %(hours)s * (1 - i / %(rows)s::float8) AS at FROM generate_series(1, %(rows)s) i) s"""


def fullest_partitions(city):
    """The partition of now began six days ago, as on a Sunday: whatever the day, what is measured is the fullest that it gets."""
    with city.pg() as conn:
        for (name,) in conn.execute("SELECT name FROM tongguan.event_partitions()").fetchall():
            conn.execute(f"DROP TABLE tongguan.{name}")
        for day, days in ((1, 1), (-7, 1), (0, 366), *((-n, 7) for n in range(8, 31))):
            conn.execute("SELECT tongguan.event_partition_ensure(current_date + %s, %s)", (day, days))


def fill_stored(city, rows):
    """Rows of the last thirty days, in order of time."""
    fullest_partitions(city)
    with city.pg() as conn:
        conn.execute("UPDATE tongguan.source_offset SET next = 0, forwarded = 0")
        conn.execute(FILL, {"rows": rows, "hours": 720})
        conn.execute("ANALYZE tongguan.event")


NEARBY = """SELECT event_id FROM tongguan.event WHERE occurred_at > now() - interval '1 hour'
    AND geom && ST_Expand(ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4326), %(degrees)s)
    AND ST_DistanceSphere(geom, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4326)) <= 200"""


def look_around(city):
    """Milliseconds and hits of each look around a place for what happened in the last hour."""
    rng, took, hits = random.Random(3), [], []
    with city.pg() as conn:
        conn.execute("ANALYZE tongguan.event")
        conn.execute("SELECT tongguan.event_summarize()")  # as ingest does every half minute
        for _ in range(400):
            place = {"lon": -71.075 + rng.uniform(-0.05, 0.05), "lat": 42.345 + rng.uniform(-0.035, 0.035), "degrees": 0.0025}
            began = time.perf_counter()
            hits.append(len(conn.execute(NEARBY, place).fetchall()))
            took.append(1000 * (time.perf_counter() - began))
    return sorted(took), sorted(hits)


def bench_stored(city):
    """The same topic on top of STORED rows beside an empty table; a look around a place among them, before and after."""
    print(f"\n### on top of {STORED:,} stored events beside an empty table; events within 200 m in the last hour")
    beside = read_all(city)[0]
    empty(city, "tongguan.event")
    fill_stored(city, STORED)
    looks = {f"{STORED:,} of thirty days": look_around(city)}
    full = read_all(city, keep=True)[0]
    looks[f"and {ROWS:,} more in this hour"] = look_around(city)
    head("full rows/s", "empty rows/s", "ratio")
    line(f"{full:,.0f}", f"{beside:,.0f}", f"{full / beside:.2f}")
    print()
    head("stored", "hits p50", "p50 ms", "p99 ms")
    for name, (took, hits) in looks.items():
        line(name, hits[200], f"{took[200]:.1f}", f"{took[395]:.1f}")


def bench():
    print(f"\n## ingest: {ROWS:,} readings on {PARTITIONS} partitions, commits synced, every index of the product")
    wanted = os.environ.get("BENCH_INGEST", "one,cost,two,json,stored").split(",")
    with City(roles=(), env=ENV) as city:
        fill_topic(city, ROWS)
        read_all(city)  # warms the caches, and gives the rows that \\copy will load
        indexes = twin(city)
        print(f"{indexes} indexes")
        whole = dump(city, os.path.join(city.dir, "rows.bin"), "true")
        if "one" in wanted:
            compare(city, "one session", [whole], 1)
        if "cost" in wanted:
            ours, everything = allocations(city)
            print(f"heap allocations an event in steady state: {ours:.4f} of our own code, {everything:.1f} with its libraries")
        if "two" in wanted:
            halves = [dump(city, os.path.join(city.dir, f"half{i}.bin"), f"source_pos % 2 = {i}") for i in (0, 1)]
            compare(city, "two sessions", halves, 2)
            for half in halves:
                os.unlink(half)
        if "json" in wanted:
            bench_json(city)
        if "stored" in wanted:
            bench_stored(city)
        for path in glob.glob(os.path.join(city.dir, "*.bin")):
            os.unlink(path)
