"""Benchmarks: ingest beside psql's binary \\copy, event to case on the stream, and what each role costs.

usage: bench.py [PART[,PART…]]   parts: ingest latency (default: both; the footprint is printed with each)
"""
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))
from harness import City, Role, Stream, now_us, protocol, report, scattered, wait_for  # noqa: E402

TOPIC = "tongguan.sensor.readings"
ROWS = int(os.environ.get("BENCH_ROWS", "3000000"))   # a sample of at least 30 s on the machines we know
SAMPLES = int(os.environ.get("BENCH_SAMPLES", "3"))
RATE, SECONDS = int(os.environ.get("BENCH_RATE", "500")), 30
CLOCK = os.sysconf("SC_CLK_TCK")


PACK = """pack: bench
version: 1
lateness_s: 3600
rules:
  - {id: each, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: ["*"]}
"""


def line(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("VmRSS")) / 1024


# ---- ingest -----------------------------------------------------------------------------------------------------------------

def produce_part(brokers, part, parts, rows):
    """One process's share of the readings: distinct devices, places all over the city, times of the last ten minutes."""
    from confluent_kafka import Producer
    pb = protocol()
    rng = random.Random(part)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20, "batch.num.messages": 10000,
                         "queue.buffering.max.messages": 500000})
    event = pb.Event(source_id="", source_kind=pb.SENSOR)
    start = now_us() - 600_000_000
    for i in range(part, rows, parts):
        event.event_id, event.source_id = f"b{i:08d}", f"device-{i % 20000:05d}"
        event.occurred_at_us = start + i * 100
        event.location.lon, event.location.lat = scattered(rng, 4000)
        event.reading.metric, event.reading.value, event.reading.unit = "pm10", rng.random() * 200, "ug/m3"
        while True:
            try:
                producer.produce(TOPIC, event.SerializeToString(), key=event.source_id)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush()


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


def psql(city, command):
    began = time.monotonic()
    subprocess.run(["psql", city.env["TONGGUAN_POSTGRES_URL"], "-qX", "-v", "ON_ERROR_STOP=1", "-c", command], check=True)
    return time.monotonic() - began


def ours(city):
    """Rows/s of one ingest from a full topic, its CPU per event and resident memory."""
    with city.pg() as conn:
        conn.execute("TRUNCATE tongguan.event")
        conn.execute("UPDATE tongguan.source_offset SET next = 0, forwarded = 0")
        conn.execute("CHECKPOINT")
    role = Role(city, "ingest")
    count = "SELECT coalesce(sum(next), 0)::bigint FROM tongguan.source_offset WHERE topic = %s"
    wait_for(lambda: city.value(count, TOPIC) > 0, 60, every=0.01)
    first, began, cpu = city.value(count, TOPIC), time.monotonic(), cpu_seconds(role.proc.pid)
    wait_for(lambda: city.value(count, TOPIC) >= ROWS, 900, every=0.05)
    took = time.monotonic() - began
    cost = (cpu_seconds(role.proc.pid) - cpu) / (ROWS - first)
    memory = resident_mb(role.proc.pid)
    wait_for(lambda: not city.value("SELECT count(*) FROM tongguan.source_offset WHERE forwarded < next"), 300)
    role.stop()
    assert city.value("SELECT count(*) FROM tongguan.event") == ROWS
    return (ROWS - first) / took, cost, memory, took


def bench_ingest():
    print(f"\n## ingest: {ROWS:,} readings on 8 partitions, one session, commits synced, every index of the product")
    with City(roles=(), env={"TONGGUAN_KAFKA_INPUT_PARTITIONS": "8"}) as city:
        workers = [multiprocessing.Process(target=produce_part, args=(city.env["TONGGUAN_KAFKA_BROKERS"], p, 2, ROWS))
                   for p in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        ours(city)  # warms the caches, and gives the rows that \copy will load
        dump = os.path.join(city.dir, "rows.bin")
        indexes = twin(city)
        psql(city, f"\\copy (SELECT * FROM tongguan.event) TO '{dump}' WITH (FORMAT binary)")
        line("sample", "ingest rows/s", "seconds", r"\copy rows/s", "seconds", "ratio", "CPU µs/event", "resident MB")
        line(*["---"] * 8)
        ratios = []
        for i in range(SAMPLES):
            rate, cost, memory, took = ours(city)
            with city.pg() as conn:
                conn.execute("TRUNCATE bench.event")
                conn.execute("CHECKPOINT")
            floor = psql(city, f"\\copy bench.event FROM '{dump}' WITH (FORMAT binary)")
            ratios.append(rate * floor / ROWS)
            line(i + 1, f"{rate:,.0f}", f"{took:.1f}", f"{ROWS / floor:,.0f}", f"{floor:.1f}", f"{ratios[-1]:.2f}",
                 f"{cost * 1e6:.2f}", f"{memory:.0f}")
        print(f"median ratio {statistics.median(ratios):.2f} (spread {min(ratios):.2f}–{max(ratios):.2f}), {indexes} indexes")


# ---- event → case on the stream ------------------------------------------------------------------------------------------

def send_steadily(brokers, types, begin, sent):
    """RATE reports a second, each at its own instant."""
    from confluent_kafka import Producer
    rng = random.Random(5)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0})
    for i in range(RATE * SECONDS):
        due = begin + i / RATE
        while (left := due - time.time()) > 0:
            producer.poll(min(left, 0.002))
        lon, lat = scattered(rng)
        event = report(f"lat-{i}", source="bench", occurred_us=now_us(), lon=lon, lat=lat, type_code=rng.choice(types),
                       reporter=f"r{i % 97}")
        sent.append((event.event_id, time.time()))
        producer.produce("tongguan.citizen.reports", event.SerializeToString())
    producer.flush()


def sender(brokers, types, begin, pipe):
    sent = []
    send_steadily(brokers, types, begin, sent)
    pipe.send(sent)


def bench_latency():
    print(f"\n## event to case on the stream: {RATE} reports/s for {SECONDS} s, each one opens a case")
    packs = tempfile.mkdtemp(prefix="tongguan-bench-")
    os.chmod(packs, 0o755)
    with open(os.path.join(packs, "bench.yaml"), "w", encoding="utf-8") as pack:
        pack.write(PACK)
    with City(env={"TONGGUAN_CORRELATE_PACKS": packs}) as city:
        types = [code for (code,) in city.rows("SELECT type_code FROM tongguan.case_type ORDER BY 1 LIMIT 5")]
        stream = Stream(city.api("operator"))
        here, there = multiprocessing.Pipe()
        begin = time.time() + 2
        roles = {name: int(subprocess.run(["pgrep", "-P", str(city.up.pid), "-f", f"tongguan {name}"], capture_output=True,
                                          text=True).stdout.split()[0]) for name in ("ingest", "correlate", "dispatch")}
        before = {name: cpu_seconds(pid) for name, pid in roles.items()}
        worker = multiprocessing.Process(target=sender, args=(city.env["TONGGUAN_KAFKA_BROKERS"], types, begin, there))
        worker.start()
        arrived, total, quiet = {}, RATE * SECONDS, time.monotonic() + SECONDS + 60
        seen = 0
        while len(arrived) < total and time.monotonic() < quiet:
            stream.read(0.005)
            at = time.time()
            for kind, _, data in stream.events[seen:]:
                if kind == "case":
                    arrived.setdefault(str(data["case_id"]), at)
            seen = len(stream.events)
        sent = dict(here.recv())
        worker.join()
        case_of = dict(city.rows("""SELECT c.case_id::text, e.event_id FROM tongguan.events e JOIN tongguan.incident_events m
            ON m.event_uid = e.uid JOIN tongguan.cases c USING (incident_id) WHERE e.source_id = 'bench'"""))
        # A report may also be a member of a cluster with a case of its own: the first of its cases counts.
        first = {}
        for case, at in arrived.items():
            if case in case_of:
                first[case_of[case]] = min(at, first.get(case_of[case], at))
        took = sorted(1000 * (at - sent[event]) for event, at in first.items())
        assert len(took) == total, f"{len(took)} of {total} reports became a case on the stream"
        line("p50 ms", "p90 ms", "p99 ms", "max ms")
        line(*["---"] * 4)
        line(*(f"{took[min(len(took) - 1, int(len(took) * q))]:.0f}" for q in (0.5, 0.9, 0.99, 1)))
        print()
        line("role", "CPU µs/event", "resident MB")
        line(*["---"] * 3)
        for name, pid in roles.items():
            line(name, f"{(cpu_seconds(pid) - before[name]) / total * 1e6:.0f}", f"{resident_mb(pid):.0f}")
        stream.close()


def main():
    wanted = sys.argv[1].split(",") if len(sys.argv) > 1 and sys.argv[1] else ["ingest", "latency"]
    parts = {"ingest": bench_ingest, "latency": bench_latency}
    unknown = set(wanted) - set(parts)
    if unknown:
        raise SystemExit(f"bench: there is no part {', '.join(unknown)}; there are {', '.join(parts)}")
    print(f"# {os.cpu_count()} cores, {os.uname().release}")
    for part in wanted:
        parts[part]()


if __name__ == "__main__":
    main()
