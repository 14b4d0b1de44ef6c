"""From producing a report to its case on the live stream: among readings that open none, and where each event opens one."""
import multiprocessing
import os
import random
import subprocess
import tempfile
import time

from common import ENV, TOPIC, cpu_seconds, head, line, reading, resident_mb
from harness import City, Stream, protocol, report, scattered

WARM, SECONDS = 10, 30      # the first ones are not counted
MIX = int(os.environ.get("BENCH_MIX", "2000"))      # events a second …
MIX_CASES = 20                                      # … of which so many open a case
RATE = int(os.environ.get("BENCH_RATE", "500"))     # events a second that each open one
PACK = """pack: bench
version: 1
lateness_s: 3600
rules:
  - {id: each, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: ["*"]}
"""


def messages(types, rate, cases, begin):
    """[(event_id or None for a reading, bytes)], made beforehand: the sender then does nothing but send."""
    rng, pb, made = random.Random(rate), protocol(), random.randrange(1 << 30)
    plain, out = pb.Event(source_id="", source_kind=pb.SENSOR), []
    for i in range(rate * (WARM + SECONDS)):
        at = int((begin + i / rate) * 1e6)
        if i * cases % rate >= cases:
            out.append((None, reading(plain, made + i, at, rng).SerializeToString()))
            continue
        lon, lat = scattered(rng)
        event = report(f"lat-{made}-{i}", source=f"bench-{rate}", occurred_us=at, lon=lon, lat=lat, type_code=rng.choice(types),
                       reporter=f"r{i % 97}")
        out.append((event.event_id, event.SerializeToString()))
    return out


def send(brokers, types, rate, cases, begin, pipe):
    """rate events a second, each at its own instant, cases of them reports; tells when each report was sent. Reports go at once;
    readings by a producer that waits 5 ms for company, as librdkafka's do unless told otherwise."""
    from confluent_kafka import Producer
    reports, readings = (Producer({"bootstrap.servers": brokers, "linger.ms": linger}) for linger in (0, 5))
    values, sent = messages(types, rate, cases, begin), {}
    for i, (event_id, value) in enumerate(values):
        if (left := begin + i / rate - time.time()) > 0.001:
            readings.poll(0)
            reports.poll(0)
            time.sleep(left)
        if event_id:
            sent[event_id] = time.time()
        (reports if event_id else readings).produce("tongguan.citizen.reports" if event_id else TOPIC, value)
    reports.flush()
    readings.flush()
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


# Of each report's case: when ingest had read it, when its incident's row and its case's were being written.
STAGES = """SELECT c.case_id::text, e.event_id, extract(epoch FROM e.ingested_at)::float, extract(epoch FROM i.detected_at)::float,
        extract(epoch FROM l.at)::float
    FROM tongguan.events e JOIN tongguan.incident_events m ON m.event_uid = e.uid JOIN tongguan.incidents i USING (incident_id)
    JOIN tongguan.cases c USING (incident_id) JOIN tongguan.case_log l ON l.case_id = c.case_id AND l.seq = 1 WHERE e.source_id = %s"""


def quantiles(ms):
    ms = sorted(ms)
    return [f"{ms[min(len(ms) - 1, int(len(ms) * q))]:.0f}" for q in (0.5, 0.9, 0.99, 1)]


def measure(city, stream, types, rate, cases):
    """Quantiles of the whole way, and of each stage."""
    here, there = multiprocessing.Pipe()
    begin = time.time() + 8  # time to make the messages
    worker = multiprocessing.Process(target=send, args=(city.env["TONGGUAN_KAFKA_BROKERS"], types, rate, cases, begin, there))
    worker.start()
    arrived = listen(stream, cases * (WARM + SECONDS), WARM + SECONDS + 70)
    sent = here.recv()
    worker.join()
    # A report may also be a member of a cluster with a case of its own: the first of its cases counts.
    first = {}
    for case, event, *stages in city.rows(STAGES, f"bench-{rate}"):
        if case in arrived:
            first[event] = min((arrived[case], *stages), first.get(event, (float("inf"),)))
    missing = [event for event in sent if event not in first]
    assert not missing, f"{len(missing)} of {len(sent)} reports became no case on the stream"
    counted = [(event, *first[event]) for event, at in sent.items() if at >= begin + WARM]
    steps = [[1000 * (to - since) for since, to in zip(way, way[1:])]
             for way in ((sent[event], read, incident, case, heard) for event, heard, read, incident, case in counted)]
    return quantiles([sum(s) for s in steps]), [quantiles(stage) for stage in zip(*steps)]


def bench():
    print(f"\n## event to case on the stream, {SECONDS} s each")
    packs = tempfile.mkdtemp(prefix="tongguan-bench-")
    os.chmod(packs, 0o755)
    with open(os.path.join(packs, "bench.yaml"), "w", encoding="utf-8") as pack:
        pack.write(PACK)
    with City(env={"TONGGUAN_CORRELATE_PACKS": packs} | ENV) as city:
        types = [code for (code,) in city.rows("SELECT type_code FROM tongguan.case_type ORDER BY 1 LIMIT 5")]
        stream = Stream(city.api("operator"))
        roles = {name: int(subprocess.run(["pgrep", "-P", str(city.up.pid), "-f", f"tongguan {name}"], capture_output=True,
                                          text=True).stdout.split()[0]) for name in ("ingest", "correlate", "dispatch")}
        costs, stages = [], []
        head("events/s", "cases/s", "p50 ms", "p90 ms", "p99 ms", "max ms")
        for rate, cases in ((MIX, MIX_CASES), (RATE, RATE)):
            before = {name: cpu_seconds(pid) for name, pid in roles.items()}
            whole, steps = measure(city, stream, types, rate, cases)
            line(f"{rate:,}", cases, *whole)
            names = ("produced → read", "→ its incident is written", "→ its case is written", "→ on the stream")
            stages += [(rate, *step) for step in zip(names, steps)]
            costs += [(rate, name, (cpu_seconds(pid) - before[name]) / (rate * (WARM + SECONDS)) * 1e6, resident_mb(pid))
                      for name, pid in roles.items()]
        print()
        head("at events/s", "stage", "p50 ms", "p90 ms", "p99 ms", "max ms")
        for rate, name, step in stages:
            line(f"{rate:,}", name, *step)
        print()
        head("at events/s", "role", "CPU µs/event", "resident MB")
        for rate, name, cpu, memory in costs:
            line(f"{rate:,}", name, f"{cpu:.0f}", f"{memory:.0f}")
        stream.close()
