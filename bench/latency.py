"""From producing a report to its case on the live stream: among readings that open none, and where each event opens one."""
import multiprocessing
import os
import random
import subprocess
import tempfile
import time

from common import TOPIC, cpu_seconds, head, line, reading, resident_mb
from harness import City, Stream, now_us, protocol, report, scattered

SECONDS = 30
MIX = int(os.environ.get("BENCH_MIX", "2000"))      # events a second …
MIX_CASES = 20                                      # … of which so many open a case
RATE = int(os.environ.get("BENCH_RATE", "500"))     # events a second that each open one
PACK = """pack: bench
version: 1
lateness_s: 3600
rules:
  - {id: each, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: ["*"]}
"""


def send(brokers, types, rate, cases, begin, pipe):
    """rate events a second, each at its own instant, cases of them reports; tells when each report was sent."""
    from confluent_kafka import Producer
    rng, pb, sent, made = random.Random(rate), protocol(), {}, random.randrange(1 << 30)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0})
    plain = pb.Event(source_id="", source_kind=pb.SENSOR)
    for i in range(rate * SECONDS):
        while (left := begin + i / rate - time.time()) > 0:
            producer.poll(min(left, 0.002))
        if i * cases % rate >= cases:
            producer.produce(TOPIC, reading(plain, made + i, now_us(), rng).SerializeToString())
            continue
        lon, lat = scattered(rng)
        event = report(f"lat-{made}-{i}", source=f"bench-{rate}", occurred_us=now_us(), lon=lon, lat=lat, type_code=rng.choice(types),
                       reporter=f"r{i % 97}")
        sent[event.event_id] = time.time()
        producer.produce("tongguan.citizen.reports", event.SerializeToString())
    producer.flush()
    pipe.send(sent)


def listen(stream, total, seconds):
    """{case: when it was first heard of}."""
    arrived, seen, end = {}, 0, time.monotonic() + seconds
    stream.events.clear()
    while len(arrived) < total and time.monotonic() < end:
        stream.read(0.005)
        at = time.time()
        for kind, _, data in stream.events[seen:]:
            if kind == "case":
                arrived.setdefault(str(data["case_id"]), at)
        seen = len(stream.events)
    return arrived


def measure(city, stream, types, rate, cases):
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.Process(target=send, args=(city.env["TONGGUAN_KAFKA_BROKERS"], types, rate, cases, time.time() + 2, there))
    worker.start()
    arrived = listen(stream, cases * SECONDS, SECONDS + 60)
    sent = here.recv()
    worker.join()
    case_of = dict(city.rows("""SELECT c.case_id::text, e.event_id FROM tongguan.events e JOIN tongguan.incident_events m
        ON m.event_uid = e.uid JOIN tongguan.cases c USING (incident_id) WHERE e.source_id = %s""", f"bench-{rate}"))
    # A report may also be a member of a cluster with a case of its own: the first of its cases counts.
    first = {}
    for case, at in arrived.items():
        if case in case_of:
            first[case_of[case]] = min(at, first.get(case_of[case], at))
    took = sorted(1000 * (at - sent[event]) for event, at in first.items())
    assert len(took) == len(sent), f"{len(took)} of {len(sent)} reports became a case on the stream"
    return [f"{took[min(len(took) - 1, int(len(took) * q))]:.0f}" for q in (0.5, 0.9, 0.99, 1)]


def bench():
    print(f"\n## event to case on the stream, {SECONDS} s each")
    packs = tempfile.mkdtemp(prefix="tongguan-bench-")
    os.chmod(packs, 0o755)
    with open(os.path.join(packs, "bench.yaml"), "w", encoding="utf-8") as pack:
        pack.write(PACK)
    with City(env={"TONGGUAN_CORRELATE_PACKS": packs}) as city:
        types = [code for (code,) in city.rows("SELECT type_code FROM tongguan.case_type ORDER BY 1 LIMIT 5")]
        stream = Stream(city.api("operator"))
        roles = {name: int(subprocess.run(["pgrep", "-P", str(city.up.pid), "-f", f"tongguan {name}"], capture_output=True,
                                          text=True).stdout.split()[0]) for name in ("ingest", "correlate", "dispatch")}
        costs = []
        head("events/s", "cases/s", "p50 ms", "p90 ms", "p99 ms", "max ms")
        for rate, cases in ((MIX, MIX_CASES), (RATE, RATE)):
            before = {name: cpu_seconds(pid) for name, pid in roles.items()}
            line(f"{rate:,}", cases, *measure(city, stream, types, rate, cases))
            costs += [(rate, name, (cpu_seconds(pid) - before[name]) / (rate * SECONDS) * 1e6, resident_mb(pid))
                      for name, pid in roles.items()]
        print()
        head("at events/s", "role", "CPU µs/event", "resident MB")
        for rate, name, cpu, memory in costs:
            line(f"{rate:,}", name, f"{cpu:.0f}", f"{memory:.0f}")
        stream.close()
