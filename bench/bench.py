"""Benchmarks: ingest beside psql's binary \\copy, the polygon index beside PostGIS, produced to visible, event to case, and what
each role costs.

usage: bench.py [PART[,PART…]]   parts: ingest locate visible latency (default: all)
"""
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time

from common import cpu_seconds, line, resident_mb
from harness import City, Stream, now_us, report, scattered

RATE, SECONDS = int(os.environ.get("BENCH_RATE", "500")), 30

PACK = """pack: bench
version: 1
lateness_s: 3600
rules:
  - {id: each, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: ["*"]}
"""


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


def bench_locate():
    import locate
    locate.bench(line)


def bench_ingest():
    import ingest
    ingest.bench()


def bench_visible():
    import visible
    visible.bench()


PARTS = {"ingest": bench_ingest, "locate": bench_locate, "visible": bench_visible, "latency": bench_latency}


def main():
    wanted = sys.argv[1].split(",") if len(sys.argv) > 1 and sys.argv[1] else list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        raise SystemExit(f"bench: there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(f"# {os.cpu_count()} cores, {os.uname().release}")
    for part in wanted:
        PARTS[part]()


if __name__ == "__main__":
    main()
